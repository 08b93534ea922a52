"""Short trainings of rows of Lucas et al. 2019's Table 1 (MNIST) that change one setting at a time.

`python benchmarks/lucas_pilots.py [NAME …] [--data FOLDER]` trains the pilots of these names, or all, on one thread.
Their lines go into results/lucas-table-1-fig-5-6/pilots.csv in place of older ones. Each is measured on its training
set at several epochs on the way, as the study measures at the end. All take an hour.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from uncollapse.data.rows import as_rows
from uncollapse.files import write_text
from uncollapse.studies.lucas_data import logit_digits, modes_of, turned
from uncollapse.studies.lucas_deep import MNIST
from uncollapse.studies.lucas_table import PRINTED, Case, Found, at_linear_optimum, measured
from uncollapse.studies.study import Request
from uncollapse.training import Network, Setup, Trained, Training
from uncollapse.training.data import table
from uncollapse.training.fit import prepared
from uncollapse.training.loop import Run
from uncollapse.training.stack import Stack

OUT = Path(__file__).parents[1] / "results" / "lucas-table-1-fig-5-6" / "pilots.csv"
LATENTS = 200


@dataclass(frozen=True)
class Pilot:
    """One training: a row of the table, and the settings that the paper's text leaves open."""

    name: str
    row: int  # of MNIST
    hidden: tuple[int, ...] = (1024, 512)
    rate: float = 1e-3
    batch: int = 128
    epochs: int = 16
    images: int = 10_000
    cooling: int = 0
    clip: float | None = None
    sigma_rule: Literal["parameter", "optimal"] = "parameter"
    coordinates: Literal["pixels", "axes"] = "pixels"
    encoder_sees: Literal["centred", "as it is"] = "as it is"
    decoder_predicts: Literal["centred", "as it is"] = "as it is"
    start: Literal["fan-in", "glorot"] = "fan-in"
    multiplication: Literal["bfloat16", "float32"] = "bfloat16"
    seed: int = 0

    @property
    def case(self) -> Case:
        """The row of the table."""
        return MNIST[self.row]

    def setup(self) -> Setup:
        """Objective, network and optimisation."""
        training = Training(
            epochs=self.epochs,
            batch_size=self.batch,
            learning_rate=self.rate,
            cooling=self.cooling,
            clip=self.clip,
            seed=self.seed,
            decoder_variance_rule=self.sigma_rule,
            initial_decoder_variance=self.case.variance,
            mixed_precision=self.multiplication == "bfloat16",
        )
        return Setup(self.case.objective(LATENTS), Network(hidden=self.hidden), training)


BASE = Pilot("", 1)
"""Plain: Adam at a constant rate, no clipping, the pixels' own coordinates, nothing centred."""


def main(names: list[str], data: Path | None) -> None:
    """Train the pilots and write after each, so that a stop loses nothing."""
    torch.set_num_threads(1)
    kept: dict[int, np.ndarray] = {}
    for pilot in PILOTS if not names else [pilot for pilot in PILOTS if pilot.name in names]:
        if pilot.images not in kept:
            kept[pilot.images] = logit_digits(Request("full", data), pilot.images)
        lines = train(pilot, kept[pilot.images])
        _write(pilot.name, lines)
        for line in lines:
            print(pilot.name, {key: line[key] for key in list(line)[-len(_MEASURED) :]}, flush=True)


def train(pilot: Pilot, pixels: np.ndarray) -> list[dict[str, Any]]:
    """Lines of a pilot: its settings and what was measured, at each of four parts of its training."""
    x = turned(pixels) if pilot.coordinates == "axes" else pixels
    mean, zero = x.mean(0), np.zeros(x.shape[1], dtype=np.float32)
    shift_in = mean if pilot.encoder_sees == "centred" else zero
    y = x - mean if pilot.decoder_predicts == "centred" else x
    setup, rows = pilot.setup(), table(x - shift_in, y)
    placed, a = prepared(setup, rows, "cpu")
    stack = Stack([setup], a, placed, [None])
    if pilot.start == "glorot":
        _glorot(stack)
    # the encoder's input is the target less this
    offset = shift_in - (mean if pilot.decoder_predicts == "centred" else zero)
    optimum = at_linear_optimum(modes_of(y), as_rows(y), pilot.case.objective(LATENTS))
    at = {max(1, pilot.epochs * k // 4) for k in (1, 2, 3, 4)}
    lines: list[dict[str, Any]] = []

    def note(vae: Trained, epoch: int) -> None:
        lines.append(_line(pilot, epoch, -(-len(x) // pilot.batch), measured(vae, as_rows(y), offset), optimum))

    def after(run: Run) -> None:
        if run.epoch in at:
            note(run.trained(0), run.epoch)

    ended: list[Trained] = []
    Run(stack, [0], lambda _, vae: ended.append(vae)).go(after_epoch=after)
    note(ended[0], ended[0].n_epochs)
    return lines


def _glorot(stack: Stack) -> None:
    """Weights uniform in ±√(6/(in + out)), biases 0, as TensorFlow's dense layers start (Glorot & Bengio 2010)."""
    with torch.no_grad():
        for name, value in stack.parameters.items():
            if name.endswith(".weight"):
                n_in, n_out = value.shape[-2:]
                value.mul_(math.sqrt(6 / (n_in + n_out)) * math.sqrt(n_in))  # they were uniform in ±1/√in
            elif name.endswith(".bias"):
                value.zero_()


_MEASURED = ("epoch", "steps", *PRINTED, "latents of mean KL < 0.01, %", "ELBO under the linear optimum's",
             "paper's collapse %", "linear optimum's collapse %")  # fmt: skip


def _line(pilot: Pilot, epoch: int, steps: int, found: Found, optimum: Found) -> dict[str, Any]:
    numbers = (epoch, epoch * steps, *found.values, found.silent, optimum.values[0] - found.values[0],
               pilot.case.paper[3], optimum.collapse)  # fmt: skip
    words = {
        key: "-".join(map(str, value)) if isinstance(value, tuple) else value for key, value in asdict(pilot).items()
    }
    return (
        words
        | {"row": pilot.case.name}
        | {name: float(f"{value:.6g}") for name, value in zip(_MEASURED, numbers, strict=True)}
    )


def _write(name: str, lines: list[dict[str, Any]]) -> None:
    """Put the lines in place of older ones of that name, in the order of `PILOTS`."""
    old = list(csv.DictReader(OUT.read_text("utf-8").splitlines())) if OUT.is_file() else []
    order = {pilot.name: i for i, pilot in enumerate(PILOTS)}
    rows = [row for row in old if row["name"] != name and row["name"] in order] + lines
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Pilot)] + list(_MEASURED), lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted(rows, key=lambda row: order[row["name"]]))
    write_text(OUT, text.getvalue())


def _named(prefix: str, base: Pilot, **changes: dict[str, Any]) -> list[Pilot]:
    return [replace(base, name=f"{prefix} {name}".replace("_", " "), **change) for name, change in changes.items()]


ENCODER: dict[str, Any] = {"encoder_sees": "centred"}
BOTH = ENCODER | {"decoder_predicts": "centred"}
GLOROT: dict[str, Any] = {"start": "glorot"}
NARROW = replace(BASE, hidden=(512, 256), batch=64, epochs=40, cooling=10, encoder_sees="centred")
"""More steps in the same time; the rate falls over the last quarter, after the third measurement."""
FALLING = ENCODER | {"clip": 30.0, "epochs": 72, "cooling": 8}
"""The study's settings on fewer images, with a rate that falls over the last ninth, after the third measurement."""
ALL_IMAGES = ENCODER | {"images": 60_000, "clip": 30.0, "seed": 100}
"""The study's settings at a seed that the study does not use: how many epochs it takes was chosen on these."""

PILOTS = [
    *_named(
        "fixed 1:", BASE,
        plain={},
        glorot={"start": "glorot"},
        slow={"rate": 5e-4},
        batch_64={"batch": 64, "epochs": 8},
        axes={"coordinates": "axes"},
        encoder_centred={"encoder_sees": "centred"},
        both_centred={"encoder_sees": "centred", "decoder_predicts": "centred"},
        axes_encoder_centred={"coordinates": "axes", "encoder_sees": "centred"},
        both_centred_glorot=BOTH | GLOROT,
        encoder_centred_fast=ENCODER | {"rate": 2e-3},
        encoder_centred_fast_clipped=ENCODER | {"rate": 2e-3, "clip": 30.0},
        encoder_centred_batch_64=ENCODER | {"batch": 64},
        encoder_centred_slow=ENCODER | {"rate": 5e-4},
        encoder_centred_slow_clipped=ENCODER | {"rate": 5e-4, "clip": 30.0},
        encoder_centred_slow_glorot=ENCODER | GLOROT | {"rate": 5e-4},
    ),
    *_named(
        "fixed 10:", replace(BASE, row=0, epochs=12),
        plain={},
        encoder_centred=ENCODER,
        both_centred=BOTH,
        both_centred_glorot=BOTH | GLOROT,
    ),
    *_named(
        "from 10:", replace(BASE, row=5, epochs=12),
        both_centred=BOTH,
        both_centred_glorot=BOTH | GLOROT,
        both_centred_glorot_optimal=BOTH | GLOROT | {"sigma_rule": "optimal"},
    ),
    *_named(
        "from 0.001:", replace(BASE, row=9, epochs=12),
        both_centred_glorot=BOTH | GLOROT,
        both_centred_glorot_clipped=BOTH | GLOROT | {"clip": 30.0},
    ),
    *_named(
        "long, fixed 1:", replace(BASE, epochs=48),
        both_centred_glorot=BOTH | GLOROT,
        encoder_centred_clipped=ENCODER | {"clip": 30.0, "epochs": 56},
        falling=FALLING,
        all_images_14_epochs=ALL_IMAGES | {"epochs": 14, "cooling": 2},
        all_images_24_epochs=ALL_IMAGES | {"epochs": 24, "cooling": 3},
    ),
    *_named("long, from 1:", replace(BASE, row=6), falling=FALLING),
    *_named("long, from 0.1:", replace(BASE, row=7), falling=FALLING),
    *_named("long, from 10:", replace(BASE, row=5), falling=FALLING),
    *_named(
        "narrow, fixed 1:", replace(NARROW, row=1),
        encoder_centred={},
        glorot=GLOROT,
    ),
    *_named("narrow, from 10:", replace(NARROW, row=5), encoder_centred={}),
    *_named("from any:", replace(BASE, row=9, epochs=16), encoder_centred_optimal=ENCODER | {"sigma_rule": "optimal"}),
]  # fmt: skip

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--data", type=Path)
    given = parser.parse_args()
    if unknown := set(given.names) - {pilot.name for pilot in PILOTS}:
        parser.error(f"no pilot is called {', '.join(sorted(unknown))}; there are {[p.name for p in PILOTS]}")
    main(given.names, given.data)
