"""Does a latent live just below λ, and die just above? `TEXT_DIR=… python benchmarks/sequences/record.py [SEED]`.

For each set and each decoder: a language model is trained, λ is measured on it, and from it VAEs are trained (a quiet
start) at shares of λ; results/sequences.csv. Fewer steps than escape takes leave a latent dead that would live: each
VAE is trained so long that a latent of the expected rate has time to grow, or it is called slow.
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
from uncollapse.sequences import SequenceTraining, train_language_model, train_sequence_vae
from uncollapse.sequences.rows import split

SEED = 31
DECODERS = ("window:0", "window:2", "window:6", "gru")
SHARES = (0.7, 0.85, 0.95, 1.05, 1.2)
LATENTS = 4
LANGUAGE = SequenceTraining(epochs=40, learning_rate=5e-3)
VAE = {"epochs": 40, "learning_rate": 3e-3}
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
    language = train_language_model(tokens, decoder, how)
    trained_on, held_out = split(tokens)
    on_training, on_held_out = (injection_spectrum(language.decoder, some) for some in (trained_on, held_out))
    rows = []
    for share in SHARES:
        started, beta = time.process_time(), share * on_training.critical_beta
        vae = train_sequence_vae(
            tokens, start=language, beta=beta, n_latents=LATENTS, encoder="positions", seed=seed, **VAE
        )
        e = vae.held_out
        rows.append(
            {
                "data": name, "decoder": decoder, "seed": seed, "share": share, "beta": beta,
                "nats": language.nats, "lambda": on_training.critical_beta, "error": float(on_training.errors[0]),
                "held_out": on_held_out.critical_beta, "held_out_error": float(on_held_out.errors[0]),
                "fisher": float(on_training.fisher[0]), "offset_gain": on_training.offset_gain,
                "worth": on_training.worth(beta), "n_above": on_training.n_alive(beta),
                "alive": e.n_alive, "kl": e.rate, "kl_max": float(e.kl.max()), "loss": e.loss,
                "seconds": time.process_time() - started,
            }
        )  # fmt: skip
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
