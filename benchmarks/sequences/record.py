"""Does a latent live just below λ, and die just above?

`TEXT_DIR=… MNIST_DIR=… python benchmarks/sequences/record.py [SEED] [PROCESSES] [DECODER …]`

For each set and each decoder a language model is trained, and trained on as its VAEs will be, without a latent: that is
where a VAE ends whose latents are all dead. λ is measured there, on the sequences that train: the objective that
training minimises is theirs. From there VAEs are trained at shares of λ:

* from a quiet start (the latents begin dead), with an encoder that is told the score: whether collapse is stable, which
  is what λ says;
* once more from below (β rises from 0 over the first third) where all were dead below λ: dead, or slow?

results/sequences.csv has a row for each VAE, results/perfect.csv one for data drawn from each decoder itself. The
judgement is in page.py; seeds 30 and 31 set it, and the settings here. Rows that are there are not made again.
"""

from __future__ import annotations

import csv
import multiprocessing
import sys
import time
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sets import SETS, load
from told import Ends, told_vae

from uncollapse.data.tokens import Tokens, as_tokens
from uncollapse.injecting.decoder import open_decoder
from uncollapse.injecting.measure import injection_spectrum
from uncollapse.injecting.result import InjectionSpectrum
from uncollapse.measure.result import ALIVE_NATS
from uncollapse.sequences import (
    LanguageModel,
    SequenceTraining,
    SequenceVAE,
    shape_named,
    train_language_model,
    train_sequence_vae,
)
from uncollapse.sequences.decoders import SequenceDecoder
from uncollapse.sequences.rows import split

SEED = 32
DECODERS = ("window:0", "window:2", "gru")
SHARES = (0.7, 0.85, 0.95, 1.05, 1.2)
LATENTS, WIDTH, BATCH = 4, 16, 128
LANGUAGE = {"epochs": 10, "batch_size": BATCH, "learning_rate": 1e-2}
VAE = {"epochs": 8, "batch_size": BATCH, "learning_rate": 1e-2}
FROM_BELOW = 1 / 3
DEAD_WEIGHT = 100.0
"""β at which no latent lives: the decoder is then trained on as a language model."""

MEASURED, MEASURED_ELSEWHERE = 8_000, 4_000
PATH = {"n_sequences": 4_000, "n_draws": 2, "n_directions": LATENTS}
RESULTS = Path(__file__).parent / "results"

Row = dict[str, Any]
Job = tuple[str, str, int]


def main() -> None:
    """Run all; a job that is there already is not run again."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else SEED
    n_processes = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    decoders = sys.argv[3:] or DECODERS
    files = [RESULTS / name for name in ("sequences.csv", "perfect.csv")]
    tables = [_read(path) for path in files]
    have = {(row["data"], row["decoder"]) for row in tables[0] if int(row["seed"]) == seed}
    jobs = [(name, decoder, seed) for decoder, name in product(decoders, SETS) if (name, decoder) not in have]
    with multiprocessing.get_context("spawn").Pool(n_processes) as pool:
        for made in pool.imap_unordered(recorded, jobs):
            for path, table, some in zip(files, tables, made, strict=True):
                table += some
                _write(path, table)


def recorded(job: Job) -> tuple[list[Row], list[Row]]:
    """A language model, its λ, and VAEs at each share of it; and λ of data drawn from that model."""
    torch.set_num_threads(1)
    name, decoder, seed = job
    tokens = load(name, seed)
    begun = began(tokens, decoder, seed)
    shared = {"data": name, "decoder": decoder, "seed": seed}
    found = begun.spectrum
    perfect = injection_spectrum(begun.language.decoder, drawn(begun.language.decoder, tokens, seed))
    facts = {
        **shared, "nats": float(begun.collapsed[0].mean()), "nats_held_out": float(begun.collapsed[1].mean()),
        "lambda": found.critical_beta, "error": float(found.errors[0]), **begun.halves,
        "held_out": begun.elsewhere.critical_beta, "held_out_error": float(begun.elsewhere.errors[0]),
        "fisher": float(found.fisher[0]), "in_sample": float(found.strengths[0]), "offset_gain": found.offset_gain,
    }  # fmt: skip
    rows = [row for share in SHARES for row in at_share(begun, facts, share, seed)]
    low, high = perfect.interval
    return rows, [
        shared | {"lambda": perfect.critical_beta, "error": float(perfect.errors[0]), "low": low, "high": high}
    ]


@dataclass(frozen=True, eq=False)
class Begun:
    """What VAEs start from, and all that is known of it; `features` are scores in units of F, (n, r)."""

    tokens: Tokens
    seen: Tokens
    away: Tokens
    language: LanguageModel
    spectrum: InjectionSpectrum
    elsewhere: InjectionSpectrum
    halves: Row
    features: tuple[np.ndarray, np.ndarray]
    collapsed: tuple[np.ndarray, np.ndarray]


def began(tokens: Tokens, decoder: str, seed: int) -> Begun:
    """A language model, trained on as its VAEs will be; its λ; its scores; what collapse costs."""
    seen, away = split(tokens)
    shape = shape_named(decoder, tokens.n_vocabulary, width=WIDTH)
    language = train_language_model(tokens, shape, SequenceTraining(seed=seed, **LANGUAGE))
    language = replace(language, decoder=trained_on(tokens, language, seed).decoder)
    half = len(seen) // 2
    whole = injection_spectrum(language.decoder, seen, n_sequences=MEASURED)
    parts = away, seen[:half], seen[half:]
    elsewhere, first, second = (injection_spectrum(language.decoder, x, n_sequences=MEASURED_ELSEWHERE) for x in parts)
    scores = [open_decoder(language.decoder, x.ids, x.mask).scores(x.ids, x.mask, n_draws=0, seed=0).scores
              for x in (seen, away)]  # fmt: skip
    features = scores[0] @ whole.directions, scores[1] @ whole.directions
    dead = trained_on(tokens, language, seed + 1)  # another cycle of the learning rate, as the VAEs have
    return Begun(
        tokens, seen, away, language, whole, elsewhere,
        {"first_half": first.critical_beta, "second_half": second.critical_beta},
        features, (without(dead, seen), without(dead, away)),
    )  # fmt: skip


def trained_on(tokens: Tokens, language: LanguageModel, seed: int) -> SequenceVAE:
    """The language model after as many steps as a VAE gets, all of its latents dead."""
    return train_sequence_vae(
        tokens, start=language, beta=DEAD_WEIGHT, n_latents=1, encoder="counts", seed=seed, **VAE
    )  # fmt: skip


def without(dead: SequenceVAE, tokens: Tokens) -> np.ndarray:
    """Nats of each sequence of its decoder alone."""
    return dead.losses(tokens) - DEAD_WEIGHT * kl_of(dead, tokens).sum(axis=1)


def kl_of(vae: SequenceVAE, tokens: Tokens) -> np.ndarray:
    """KL of each latent, (n, L)."""
    mean, variance = vae.encode(tokens)
    return 0.5 * (mean**2 + variance - 1 - np.log(variance))


def at_share(begun: Begun, facts: Row, share: float, seed: int) -> list[Row]:
    """A VAE, and a path of no training below λ."""
    beta = share * begun.spectrum.critical_beta
    how = {"beta": beta, "n_latents": LATENTS}
    row = {**facts, "share": share, "beta": beta, "n_above": begun.spectrum.n_alive(beta),
           "predicted": begun.spectrum.worth(beta), "path": "", "path_error": ""}  # fmt: skip
    if share < 1:
        path = injection_spectrum(begun.language.decoder, begun.seen, **how, **PATH)
        row |= {"path": path.measured_worth, "path_error": path.measured_error}
    rows = [row | by_score(begun, how, seed)]
    if share < 1 and not rows[0]["alive"]:  # dead there, or slow
        rows.append(row | by_score(begun, how, seed, warm_up=FROM_BELOW))
    return rows


def by_score(begun: Begun, how: Row, seed: int, warm_up: float = 0.0) -> Row:
    """Told the score, from a quiet start unless β is warmed up."""
    training = SequenceTraining(seed=seed, **VAE)
    started = time.process_time()
    ends = told_vae(
        begun.language, begun.seen, begun.away, begun.features, training=training, warm_up=warm_up, **how
    )  # fmt: skip
    start = "below" if warm_up else "quiet"
    return {"start": start, **ended(begun, ends, started)}


def ended(begun: Begun, ends: Ends, started: float) -> Row:
    """What a training came to, against the same training without latents."""
    pairs = [(without - there) for without, there in zip(begun.collapsed, (ends.losses, ends.held_out), strict=True)]
    gains = [x for pair in pairs for x in (float(pair.mean()), float(pair.std() / np.sqrt(len(pair))))]
    names = ("gain", "gain_error", "gain_held_out", "gain_held_out_error")
    return {
        "alive": int((ends.kl > ALIVE_NATS).sum()), "kl": float(ends.kl.sum()), "kl_max": float(ends.kl.max()),
        **dict(zip(names, gains, strict=True)),
        "seconds": time.process_time() - started,
    }  # fmt: skip


@torch.no_grad()
def drawn(decoder: SequenceDecoder, tokens: Tokens, seed: int) -> Tokens:
    """As many sequences of the full length from the decoder itself, so that it is perfect."""
    n, length = min(len(tokens), MEASURED_ELSEWHERE), tokens.ids.shape[1]
    generator = torch.Generator().manual_seed(seed)
    x = torch.zeros(n, length, dtype=torch.int64)
    for t in range(length):
        x[:, t] = torch.multinomial(decoder(x[:, : t + 1])[:, t].softmax(1), 1, generator=generator)[:, 0]
    return replace(as_tokens(x.numpy()), n_vocabulary=tokens.n_vocabulary)


def _read(path: Path) -> list[Row]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _write(path: Path, rows: list[Row]) -> None:
    if not rows:
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({key: f"{v:.6g}" if isinstance(v, float) else v for key, v in row.items()} for row in rows)


if __name__ == "__main__":
    main()
