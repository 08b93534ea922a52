"""Is collapse stable above λ? `TEXT_DIR=… MNIST_DIR=… python benchmarks/sequences/calm.py DATA DECODER …`.

Asked after record.py was seen, in which VAEs without a context live above λ from a quiet start: Adam's first steps at a
rate of 0.01 are no small ones. Here the same VAEs are trained at a fifth of that rate, for twice as many epochs, on
both sides of λ; results/calm.csv.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import replace

import torch
from record import LANGUAGE, LATENTS, MEASURED, RESULTS, SEED, VAE, WIDTH, trained_on
from sets import load
from told import told_vae

from uncollapse.injecting.decoder import open_decoder
from uncollapse.injecting.measure import injection_spectrum
from uncollapse.measure.result import ALIVE_NATS
from uncollapse.sequences import SequenceTraining, shape_named, train_language_model
from uncollapse.sequences.rows import split

CALM = SequenceTraining(epochs=2 * VAE["epochs"], batch_size=VAE["batch_size"], learning_rate=VAE["learning_rate"] / 5)
SHARES = (0.7, 1.05)


def main() -> None:
    """The sets and decoders that are named."""
    torch.set_num_threads(1)
    for name, decoder in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        tokens = load(name, SEED)
        seen, away = split(tokens)
        shape = shape_named(decoder, tokens.n_vocabulary, width=WIDTH)
        language = train_language_model(tokens, shape, SequenceTraining(seed=SEED, **LANGUAGE))
        language = replace(language, decoder=trained_on(tokens, language, SEED).decoder)
        found = injection_spectrum(language.decoder, seen, n_sequences=MEASURED)
        features = [open_decoder(language.decoder, x.ids, x.mask).scores(x.ids, x.mask, n_draws=0, seed=0).scores
                    @ found.directions for x in (seen, away)]  # fmt: skip
        for share in SHARES:
            how = {"beta": share * found.critical_beta, "n_latents": LATENTS, "training": replace(CALM, seed=SEED)}
            kl = told_vae(language, seen, away, (features[0], features[1]), **how).kl
            alive = int((kl > ALIVE_NATS).sum())
            _add([name, decoder, SEED, f"{found.critical_beta:.6g}", share, alive, f"{float(kl.max()):.6g}"])


def _add(row: list[object]) -> None:
    path = RESULTS / "calm.csv"
    new = not path.is_file()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["data", "decoder", "seed", "lambda", "share", "alive", "kl_max"], row] if new else [row])


if __name__ == "__main__":
    main()
