"""Does a latent live just below λ, and die just above? `TEXT_DIR=… python benchmarks/sequences/record.py [SEED]`.

For each set and each decoder: a language model is trained, and λ is measured on it. At shares of λ a path of no
training is judged (a gain proves that collapse is not best there), and VAEs are trained from the language model (a
quiet start); results/sequences.csv. A VAE that stays dead where a path gains is slow: near λ a latent grows too slowly
for its steps.
"""

from __future__ import annotations

import csv
import multiprocessing
import os
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

import torch
from sets import SETS, load

from uncollapse.injecting.measure import injection_spectrum
from uncollapse.sequences import SequenceTraining, shape_named, train_language_model, train_sequence_vae
from uncollapse.sequences.rows import split

SEED = 31
DECODERS = ("window:0", "window:2", "gru")
SHARES, TRAINED = (0.7, 0.85, 0.95, 1.05, 1.2), (0.7, 0.85, 1.05, 1.2)
LATENTS = 4
WIDTH = 32
LANGUAGE = SequenceTraining(epochs=30, learning_rate=5e-3)
VAE = {"epochs": 30, "batch_size": 64, "learning_rate": 5e-3, "encoder": "gru"}
RESULTS = Path(__file__).parent / "results" / "sequences.csv"

Row = dict[str, Any]


def main() -> None:
    """Run all, on every core; a job that is there already is not run again."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else SEED
    rows = _read()
    have = {(row["data"], row["decoder"]) for row in rows if int(row["seed"]) == seed}
    jobs = [(name, decoder, seed) for decoder, name in product(DECODERS, SETS) if (name, decoder) not in have]
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        for some in pool.imap_unordered(recorded, jobs):
            rows += some
            _write(rows)


def recorded(job: tuple[str, str, int]) -> list[Row]:
    """A language model, its λ, and a VAE at each share of it."""
    torch.set_num_threads(1)
    name, decoder, seed = job
    tokens = load(name, seed)
    how = SequenceTraining(LANGUAGE.epochs, LANGUAGE.batch_size, LANGUAGE.learning_rate, seed=seed)
    shape = shape_named(decoder, tokens.n_vocabulary, width=WIDTH)
    language = train_language_model(tokens, shape, how)
    trained_on, held_out = split(tokens)
    first, other = (injection_spectrum(language.decoder, some) for some in (trained_on, held_out))
    rows = []
    for share in SHARES:
        started, beta = time.process_time(), share * first.critical_beta
        path = injection_spectrum(language.decoder, trained_on, beta=beta, n_latents=LATENTS)
        row = {
            "data": name, "decoder": decoder, "seed": seed, "share": share, "beta": beta, "nats": language.nats,
            "lambda": first.critical_beta, "error": float(first.errors[0]), "held_out": other.critical_beta,
            "held_out_error": float(other.errors[0]), "fisher": float(first.fisher[0]),
            "offset_gain": first.offset_gain, "n_above": path.n_alive(), "predicted": path.worth(),
            "path": path.measured_worth, "path_error": path.measured_error,
            "alive": "", "kl": "", "kl_max": "", "loss": "",
        }  # fmt: skip
        if share in TRAINED:
            vae = train_sequence_vae(tokens, start=language, beta=beta, n_latents=LATENTS, seed=seed, **VAE)
            e = vae.held_out
            row |= {"alive": e.n_alive, "kl": e.rate, "kl_max": float(e.kl.max()), "loss": e.loss}
        rows.append(row | {"seconds": time.process_time() - started})
    return rows


def _read() -> list[Row]:
    if not RESULTS.is_file():
        return []
    with RESULTS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _write(rows: list[Row]) -> None:
    with RESULTS.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({key: f"{v:.6g}" if isinstance(v, float) else v for key, v in row.items()} for row in rows)


if __name__ == "__main__":
    main()
