"""Sets of sequences for the record: two files of strings, a play, sequences with a hidden topic, and images row by row
and block by block.

names.txt, smiles.txt and tinyshakespeare.txt lie in the folder that TEXT_DIR names, MNIST's files in MNIST_DIR.
"""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
from sklearn.cluster import MiniBatchKMeans

from uncollapse.data.tokens import Tokens, as_tokens, open_tokens, tokens_of_lines

__all__ = ["SETS", "load"]

SETS = ("names", "smiles", "shakespeare", "topics", "digits")
MOST, LONGEST = 24_000, 20
ROW_KINDS = 64
"""Kinds of a row of 14 binary pixels: each row of an image is the token of the nearest one."""


def load(name: str, seed: int) -> Tokens:
    """At most 24,000 sequences of at most 20 tokens and an end.

    Raises
    ------
    FileNotFoundError
        TEXT_DIR or MNIST_DIR does not have the file.
    """
    if name == "topics":
        return _topics(seed)
    if name == "digits":
        return as_tokens(_rows(_mnist()[np.random.default_rng([seed, 8]).permutation(60_000)[:MOST]], seed), name=name)
    place = Path(os.environ.get("TEXT_DIR", "."))
    if name == "shakespeare":
        lines = (place / "tinyshakespeare.txt").read_text("utf-8").splitlines()
        whole = tokens_of_lines([line for line in lines if len(line) > 8], name=name, longest=LONGEST)
    else:
        whole = open_tokens(str(place / f"{name}.txt"), longest=LONGEST)
    return whole.shuffled(seed)[:MOST]


def _mnist() -> np.ndarray:
    path = Path(os.environ.get("MNIST_DIR", ".")) / "train-images-idx3-ubyte.gz"
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28) / 255


def _rows(images: np.ndarray, seed: int) -> np.ndarray:
    """14 steps, each a row of 14 binary pixels."""
    pooled = images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))
    rows = (pooled > 0.5).astype(float).reshape(-1, 14)
    kinds = MiniBatchKMeans(ROW_KINDS, n_init=1, random_state=seed).fit(rows[:50_000])
    return kinds.predict(rows).reshape(-1, 14).astype(np.int64)


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
