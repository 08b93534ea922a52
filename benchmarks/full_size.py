"""How long each study takes at the papers' own size on one core: `python benchmarks/full_size.py [STUDY …]`.

Of each kind of training at `full`, on all its rows, a few epochs are timed and all others are reckoned from them, since
an epoch costs the same all along. All else of the study runs as it is. The answer, hours of one core's time, goes to
results/full_size.csv, and from there to docs/results.md. Studies that ran at `full` show how good the reckoning is.

    OMP_NUM_THREADS=1 python benchmarks/full_size.py --data MNIST_FOLDER

Where even the rest takes hours, one image in N will do, if the study's time grows with its images and it reads no
labels:

    OMP_NUM_THREADS=1 python benchmarks/full_size.py wang-fig-2 --one-in 20 --data MNIST_FOLDER
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from uncollapse.files import write_text
from uncollapse.studies import STUDIES
from uncollapse.studies.study import Request, Study, run_study
from uncollapse.training.loop import COLUMNS as COURSE
from uncollapse.training.loop import Run

RESULTS = Path(__file__).parents[1] / "results"
TABLE = RESULTS / "full_size.csv"
COLUMNS = ("study", "hours of one core", "of it trainings", "from one image in", "stopped by")
APART = "lucas-table-1-fig-5-6"
"""It trains in processes of its own, where nothing is cut short; it ran at `full`."""

TIMED = 2.0
"""Seconds of epochs that are timed, for each stack of networks."""


class Reckoned:
    """Seconds of trainings as they went, and of the epochs that were not run."""

    def __init__(self) -> None:
        self.left, self.trained = 0.0, 0.0
        self.of_an_epoch: dict[Any, float] = {}

    def go(self, run: Run, *_: Any) -> None:
        """In place of `Run.go`: some epochs that are timed if none of their kind was, and no other."""
        began = time.process_time()
        run._release({})
        stack, epochs = run.stack, max((setup.training.epochs for setup in run.stack.setups), default=0)
        first = stack.setups[0].training
        kind = (stack.architecture, stack.n_members, stack.n_steps, first.batch_size, first.estimator)
        if run.members and kind not in self.of_an_epoch:
            self.of_an_epoch[kind] = _timed(run, epochs)
        if run.members:
            self.left += (epochs - run.epoch) * self.of_an_epoch[kind]
            _end(run, epochs)
        self.trained += time.process_time() - began


def _timed(run: Run, epochs: int) -> float:
    """Seconds of an epoch of this stack; the first sets up and is not counted where there are more."""
    start = time.process_time()
    run._one_epoch(None)
    first, done, start = time.process_time() - start, 0, time.process_time()
    while run.members and run.epoch < epochs and (not done or time.process_time() - start < TIMED):
        run._one_epoch(None)
        done += 1
    return (time.process_time() - start) / done if done else first


def _end(run: Run, epochs: int) -> None:
    """As if all epochs were over: a study may look at each."""
    for member in run.members:
        skipped = epochs - run.epoch
        member.rows += (member.rows[-1:] or [[0.0] * len(COURSE)]) * skipped
        member.latent_kl += (member.latent_kl[-1:] or [np.zeros(run.stack.architecture.n_latents)]) * skipped
    run.epoch = epochs
    run._release({})


@dataclass(frozen=True)
class Fewer(Request):
    """A request that gives one image in `one_in`, the first ones."""

    one_in: int = 1

    def mnist(self, n: int | None = None) -> np.ndarray:
        """The first images; see `Request.mnist`."""
        images = super().mnist(n)
        return images[: len(images) // self.one_in]


def reckon(study: Study, data: Path | None, one_in: int = 1) -> dict[str, Any]:
    """The row of one study; a study that a training cut short brings down has at least the hours told."""
    reckoned, stopped = Reckoned(), ""
    began = time.process_time()
    cut_short = patch.object(Run, "go", lambda run, *more: reckoned.go(run, *more))
    with cut_short, tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of networks that have hardly been trained
        try:
            run_study(study, Fewer("full", data, one_in), Path(folder))
        except Exception as error:
            stopped = f"{type(error).__name__}: {error}".splitlines()[0]
    took = time.process_time() - began
    hours, trainings = ((each + reckoned.left) * one_in / 3600 for each in (took, reckoned.trained))
    return dict(zip(COLUMNS, (study.name, f"{hours:.3g}", f"{trainings:.3g}", str(one_in), stopped), strict=True))


def main() -> None:
    """Reckon the studies that are named, or all that need no images, and write each as it is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", nargs="*", metavar="STUDY")
    parser.add_argument("--data", type=Path, help="folder with the MNIST files")
    parser.add_argument("--one-in", type=int, default=1, metavar="N", help="of MNIST's images, and N times the hours")
    asked = parser.parse_args()
    known = {} if not TABLE.exists() else {row["study"]: row for row in csv.DictReader(io.StringIO(TABLE.read_text()))}
    for study in STUDIES:
        if study.name in asked.studies or (not asked.studies and study.needs_data != "images" and study.name != APART):
            known[study.name] = reckon(study, asked.data, asked.one_in)
            out = io.StringIO()
            table = csv.DictWriter(out, COLUMNS, lineterminator="\n")
            table.writeheader()
            table.writerows(known[each.name] for each in STUDIES if each.name in known)
            write_text(TABLE, out.getvalue())
            print(*known[study.name].values(), _measured(study.name), sep="  ", flush=True)


def _measured(name: str) -> str:
    summary = json.loads((RESULTS / name / "summary.json").read_text())
    return f"measured at full: {summary['seconds'] / 3600:.3g}" if summary["preset"] == "full" else ""


if __name__ == "__main__":
    main()
