"""Sets of sequences for the record: two files of strings, a play, sequences with a hidden topic, and images pixel by
pixel. The files lie in the folder that TEXT_DIR names: names.txt, smiles.txt, tinyshakespeare.txt."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from uncollapse.data.tokens import Tokens, as_tokens, open_tokens, tokens_of_lines

__all__ = ["SETS", "load"]

SETS = ("names", "smiles", "shakespeare", "topics", "digits")
MOST, LONGEST = 5_000, 20


def load(name: str, seed: int) -> Tokens:
    """At most 5,000 sequences of at most 20 tokens and an end.

    Raises
    ------
    FileNotFoundError
        TEXT_DIR does not have the file.
    """
    if name == "topics":
        return _topics(seed)
    if name == "digits":  # four grey levels, every second row and column: 16 pixels
        images = load_digits().images[:, ::2, ::2].reshape(-1, 16)
        return as_tokens((images // 4.1).astype(int), name=name)
    place = Path(os.environ.get("TEXT_DIR", "."))
    if name == "shakespeare":
        lines = (place / "tinyshakespeare.txt").read_text("utf-8").splitlines()
        whole = tokens_of_lines([line for line in lines if len(line) > 8], name=name, longest=LONGEST)
    else:
        whole = open_tokens(str(place / f"{name}.txt"), longest=LONGEST)
    return whole.shuffled(seed)[:MOST]


def _topics(seed: int) -> Tokens:
    """20 tokens of 12 kinds: a two-dimensional topic of the sequence, and the token before, tell the next."""
    rng = np.random.default_rng([seed, 7])
    following, topics = rng.standard_normal((12, 12)), 0.5 * rng.standard_normal((2, 12))
    topic = rng.standard_normal((MOST, 2)) @ topics
    x = np.zeros((MOST, 20), dtype=np.int64)
    x[:, 0] = rng.integers(0, 12, MOST)
    for t in range(1, 20):
        logits = following[x[:, t - 1]] + topic
        x[:, t] = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return as_tokens(x, name="topics")
