"""The data of the zoo: every set as a table of rows for training, and as many that no training sees.

The made ones differ from seed to seed; of the real ones each seed takes rows of its own.
"""

from __future__ import annotations

import gzip
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits

from uncollapse import Objective, forecast

__all__ = ["SETS", "Data", "MissingData", "load"]

MNIST_DIR = Path(os.environ.get("MNIST_DIR", Path(__file__).parents[3] / "shared" / "data" / "mnist"))


class MissingData(SystemExit):
    """A file that is asked for is not there; one line on the terminal, no traceback."""


@dataclass(frozen=True, eq=False)
class Data:
    """Rows for training and rows held out, float32, with their conditions if there are any."""

    name: str
    x: np.ndarray
    held_out: np.ndarray
    given: np.ndarray | None = None
    likelihood: str = "gaussian"
    image: tuple[int, int, int] | None = None

    def strengths(self) -> np.ndarray:
        """ζ² of its modes, descending: in units of τ, or of β for other likelihoods."""
        loss = Objective(likelihood=self.likelihood)  # type: ignore[arg-type]
        return forecast(self.x, given=self.given, objective=loss).critical_levels


def load(name: str, seed: int) -> Data:
    """One of `SETS`."""
    return SETS[name](np.random.default_rng([seed, len(name)]))


def _digits(rng: np.random.Generator) -> Data:
    x = _shuffled(load_digits().data / 4, rng)
    return Data("digits", x[:1200], x[1200:], image=(1, 8, 8))


def _mnist(rng: np.random.Generator) -> Data:
    chosen = rng.permutation(60000)[:8000]
    x = _images()[chosen].astype(np.float32) / 255
    return Data("mnist", x[:6000], x[6000:], image=(1, 28, 28))


def _small_mnist(rng: np.random.Generator) -> Data:
    """MNIST at 14 × 14: blocks of four pixels added up, halved."""
    whole = _mnist(rng)
    halves = [part.reshape(-1, 14, 2, 14, 2).sum((2, 4)).reshape(-1, 196) / 2 for part in (whole.x, whole.held_out)]
    return Data("mnist14", *halves, image=(1, 14, 14))


def _lowrank(rng: np.random.Generator) -> Data:
    """Six directions in 30 features, with noise of variance 0.3 in all."""
    factors = rng.standard_normal((6000, 6)) * np.sqrt(np.geomspace(8, 1.5, 6))
    frame = np.linalg.qr(rng.standard_normal((30, 6)))[0]
    return _halves("lowrank", factors @ frame.T + np.sqrt(0.3) * rng.standard_normal((6000, 30)))


def _curved(rng: np.random.Generator) -> Data:
    """A surface of two dimensions that bends through 20: linear models see a dozen modes in it."""
    u = rng.uniform(-1, 1, (6000, 2))
    phases, waves = rng.uniform(0, 2 * np.pi, 20), rng.normal(0, 2.0, (2, 20))
    return _halves("curved", 1.5 * np.sin(u @ waves + phases) + 0.1 * rng.standard_normal((6000, 20)))


def _binary(rng: np.random.Generator) -> Data:
    logits = rng.standard_normal((6000, 4)) @ rng.normal(0, 1.2, (4, 24)) + rng.normal(0, 0.5, 24)
    return _halves("binary", rng.random((6000, 24)) < 1 / (1 + np.exp(-logits)), "bernoulli")


def _counts(rng: np.random.Generator) -> Data:
    log_rates = rng.standard_normal((6000, 4)) @ rng.normal(0, 0.35, (4, 20)) + np.log(rng.uniform(2, 8, 20))
    return _halves("counts", rng.poisson(np.exp(log_rates)), "poisson")


def _topics(rng: np.random.Generator) -> Data:
    """Thirty words over 16 kinds; their logits lie on three directions."""
    logits = rng.standard_normal((6000, 3)) @ rng.normal(0, 1.0, (3, 16))
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return _halves("topics", rng.multinomial(30, shares / shares.sum(axis=1, keepdims=True)), "categorical")


def _explained(rng: np.random.Generator) -> Data:
    """The condition says nearly all: beside it, four directions of strength 0.5 down to 0.2."""
    condition = rng.standard_normal((6000, 6))
    frame = np.linalg.qr(rng.standard_normal((20, 10)))[0]
    own = rng.standard_normal((6000, 4)) * np.sqrt(np.geomspace(0.5, 0.2, 4))
    x = condition * np.sqrt(np.geomspace(8, 2, 6)) @ frame[:, :6].T + own @ frame[:, 6:].T
    x = (x + 0.2 * rng.standard_normal(x.shape)).astype(np.float32)
    return Data("explained", x[:3000], x[3000:], condition[:3000].astype(np.float32))


def _rare(rng: np.random.Generator) -> Data:
    """Ten features of noise 0.3, and two factors that are on in one row of twenty."""
    on = (rng.random((6000, 2)) < 0.05) * rng.normal(4, 0.5, (6000, 2))
    return _halves("rare", on @ np.linalg.qr(rng.standard_normal((12, 2)))[0].T + 0.3 * rng.standard_normal((6000, 12)))


def _overdispersed(rng: np.random.Generator) -> Data:
    means = np.exp(rng.standard_normal((6000, 4)) @ rng.normal(0, 0.35, (4, 20)) + np.log(rng.uniform(2, 8, 20)))
    r = 4.0
    return _halves("overdispersed", rng.negative_binomial(r, r / (r + means)), "negative-binomial")


def _torus(rng: np.random.Generator) -> Data:
    """Two circles of radius one, bent through 20 features: a torus."""
    angles = rng.uniform(0, 2 * np.pi, (6000, 2))
    return _halves("torus", _smoothly(rng, np.column_stack([np.cos(angles), np.sin(angles)]), 20))


def _roll(rng: np.random.Generator) -> Data:
    """A Swiss roll of one turn and a half, bent through 12 features."""
    turn, height = rng.uniform(1.5 * np.pi, 4.5 * np.pi, 6000), rng.uniform(0, 21, 6000)
    points = np.column_stack([turn * np.cos(turn), height, turn * np.sin(turn)])
    return _halves("roll", _smoothly(rng, (points - points.mean(axis=0)) / points.std(axis=0), 12))


def _smoothly(rng: np.random.Generator, points: np.ndarray, columns: int) -> np.ndarray:
    """A random smooth map, of 64 waves, with noise of standard deviation 0.2 in every feature."""
    waves = np.sin(points @ rng.normal(0, 1, (points.shape[1], 64)) + rng.uniform(0, 2 * np.pi, 64))
    x = waves @ rng.standard_normal((64, columns))
    return x / x.std() + 0.2 * rng.standard_normal(x.shape)


def _tumours(rng: np.random.Generator) -> Data:
    """scikit-learn's breast cancer table, standardised: 569 rows of 30 measurements."""
    table = load_breast_cancer().data
    x = _shuffled((table - table.mean(axis=0)) / table.std(axis=0), rng)
    return Data("tumours", x[:400], x[400:])


SETS = {
    "digits": _digits,
    "mnist": _mnist,
    "mnist14": _small_mnist,
    "lowrank": _lowrank,
    "curved": _curved,
    "binary": _binary,
    "counts": _counts,
    "topics": _topics,
    "explained": _explained,
    "rare": _rare,
    "overdispersed": _overdispersed,
    "torus": _torus,
    "roll": _roll,
    "tumours": _tumours,
}


def _halves(name: str, x: np.ndarray, likelihood: str = "gaussian") -> Data:
    x = x.astype(np.float32)
    return Data(name, x[:3000], x[3000:], likelihood=likelihood)


def _shuffled(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return x[rng.permutation(len(x))].astype(np.float32)


@cache
def _images() -> np.ndarray:
    """MNIST's 60,000 training images as rows of bytes."""
    path = MNIST_DIR / "train-images-idx3-ubyte.gz"
    if not path.is_file():
        raise MissingData(f"{path} is not there; put MNIST's files in a folder and name it with MNIST_DIR")
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 784)
