"""Above λ: is collapse stable, and is it best?

`TEXT_DIR=… MNIST_DIR=… python benchmarks/sequences/calm.py WHAT DATA DECODER …`

Asked after record.py was seen, in which VAEs without a context live above λ from a quiet start. WHAT is

* stable: the same VAEs at a fifth of the learning rate, for twice as many epochs, on both sides of λ (Adam's first
  steps at a rate of 0.01 are no small ones); results/calm.csv;
* best: the second threshold (docs/theory.md section 11) of constants along the leading directions, of a size that half
  of the sequences that train chose, judged on those held out; results/second.csv.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from record import LANGUAGE, LATENTS, MEASURED, RESULTS, SEED, VAE, WIDTH, trained_on
from sets import load
from told import told_vae

from uncollapse.data.tokens import Tokens
from uncollapse.injecting.decoder import open_decoder
from uncollapse.injecting.measure import injection_spectrum
from uncollapse.injecting.result import InjectionSpectrum
from uncollapse.measure.result import ALIVE_NATS
from uncollapse.sequences import LanguageModel, SequenceTraining, shape_named, train_language_model
from uncollapse.sequences.decoders import SequenceDecoder
from uncollapse.sequences.rows import negative_log_likelihood, split, tensors
from uncollapse.theory.zero_rate import level_of

CALM = SequenceTraining(epochs=2 * VAE["epochs"], batch_size=VAE["batch_size"], learning_rate=VAE["learning_rate"] / 5)
SHARES = (0.7, 1.05)


SIZES, N_DIRECTIONS = np.geomspace(0.5, 8.0, 10), 3
"""Of v, in units in which the curvature along it is 1.
Of a smaller one the root is told by the mean score, which is noise."""


@dataclass(frozen=True, eq=False)
class Begun:
    """A language model trained on as VAEs would be, and its λ."""

    name: str
    decoder: str
    seen: Tokens
    away: Tokens
    language: LanguageModel
    spectrum: InjectionSpectrum

    @property
    def facts(self) -> dict[str, object]:
        """Of a row."""
        return {"data": self.name, "decoder": self.decoder, "seed": SEED, "lambda": self.spectrum.critical_beta}


def main() -> None:
    """The sets and decoders that are named."""
    torch.set_num_threads(1)
    ask, file = {"stable": (stable, "calm.csv"), "best": (best, "second.csv")}[sys.argv[1]]
    for name, decoder in zip(sys.argv[2::2], sys.argv[3::2], strict=True):
        for row in ask(begun(name, decoder)):
            _add(RESULTS / file, row)


def begun(name: str, decoder: str) -> Begun:
    """As in the record."""
    tokens = load(name, SEED)
    seen, away = split(tokens)
    shape = shape_named(decoder, tokens.n_vocabulary, width=WIDTH)
    language = train_language_model(tokens, shape, SequenceTraining(seed=SEED, **LANGUAGE))
    language = replace(language, decoder=trained_on(tokens, language, SEED).decoder)
    found = injection_spectrum(language.decoder, seen, n_sequences=MEASURED)
    return Begun(name, decoder, seen, away, language, found)


def stable(b: Begun) -> Iterator[dict[str, object]]:
    """A slow training on both sides of λ."""
    decoder = b.language.decoder
    scores = [open_decoder(decoder, x.ids, x.mask).scores(x.ids, x.mask, n_draws=0, seed=0).scores
              @ b.spectrum.directions for x in (b.seen, b.away)]  # fmt: skip
    for share in SHARES:
        how = {"beta": share * b.spectrum.critical_beta, "n_latents": LATENTS, "training": replace(CALM, seed=SEED)}
        kl = told_vae(b.language, b.seen, b.away, (scores[0], scores[1]), **how).kl
        yield b.facts | {"share": share, "alive": int((kl > ALIVE_NATS).sum()), "kl_max": float(kl.max())}


def best(b: Begun) -> Iterator[dict[str, object]]:
    """The weight below which a rare code along one constant beats collapse."""
    along = b.spectrum.directions[:, :N_DIRECTIONS].T
    constants = np.concatenate([sign * size * along for sign in (1, -1) for size in SIZES])
    choosing = b.seen[: len(b.seen) // 2]
    at = int(level_of(ratios(b.language.decoder, choosing, constants)).argmax())
    judged = ratios(b.language.decoder, b.away, constants[[at]])
    size = float(np.linalg.norm(constants[at]) / np.linalg.norm(along[at % len(along)]))
    yield b.facts | {"second": float(level_of(judged)[0]), "size": size, "largest": float(judged.max())}


@torch.no_grad()
def ratios(decoder: SequenceDecoder, tokens: Tokens, constants: np.ndarray) -> np.ndarray:
    """log p(x; v) − log p(x; 0) of each sequence and constant, (n, k)."""
    ids, lengths = tensors(tokens)
    before = negative_log_likelihood(decoder, ids, lengths)
    columns = [
        before - negative_log_likelihood(decoder, ids, lengths, v.expand(len(ids), -1))
        for v in torch.as_tensor(constants, dtype=torch.float32)
    ]
    return torch.stack(columns, dim=1).double().numpy()


def _add(path: Path, row: dict[str, object]) -> None:
    new = not path.is_file()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        values = [f"{value:.6g}" if isinstance(value, float) else value for value in row.values()]
        writer.writerows([list(row), values] if new else [values])


if __name__ == "__main__":
    main()
