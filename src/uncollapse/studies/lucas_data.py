"""The data of Lucas et al. 2019: a random thousand digits, and pixels dequantised and put through the logit."""

from __future__ import annotations

import warnings

import numpy as np

from uncollapse.data.blocks import Rows
from uncollapse.errors import UncollapseWarning
from uncollapse.spectra.decompose import spectrum
from uncollapse.spectra.result import Spectrum
from uncollapse.studies.study import Request

__all__ = ["LOGIT_MARGIN", "digits", "in_own_axes", "logit_digits", "logit_pixels", "modes_of", "turned"]

LOGIT_MARGIN = 1e-6


def digits(request: Request, n: int, seed: int = 0) -> np.ndarray:
    """`n` MNIST images drawn at random, pixels in [0, 1], float64, shape (n, 784)."""
    x = request.mnist(None if request.preset != "quick" else 4 * n)
    return x[np.random.default_rng(seed).choice(len(x), n, replace=False)].astype(float)


def in_own_axes(x: np.ndarray, keep: int) -> np.ndarray:
    """Rows turned to their principal axes, the first `keep` of them.

    With all axes kept this is an orthogonal change of coordinates: the linear VAE and its ELBO are the same. Adam,
    which scales each coordinate by itself, converges many times faster there than among the pixels.
    """
    return (x - x.mean(0)) @ _axes(x)[:, :keep]


def turned(x: np.ndarray) -> np.ndarray:
    """Rows turned to their principal axes, their mean with them; float32.

    An MLP's first and last weights absorb the turn, so model and ELBO are the same.
    """
    return (x @ _axes(x)).astype(np.float32)


def _axes(x: np.ndarray) -> np.ndarray:
    from scipy.linalg import eigh

    centred = x - x.mean(0, dtype=np.float64)
    return np.asarray(eigh(centred.T @ centred)[1][:, ::-1])


def logit_pixels(levels: np.ndarray, seed: int = 0) -> np.ndarray:
    """Grey levels 0…255 → logit(ε + (1 − 2ε)(x + U)/256) with ε = 1e-6, float32.

    Lucas et al. 2019, sec. 6.2, after Papamakarios et al. 2017.
    """
    u = (levels + np.random.default_rng(seed).random(levels.shape)) / 256
    u = LOGIT_MARGIN + (1 - 2 * LOGIT_MARGIN) * u
    return (np.log(u) - np.log1p(-u)).astype(np.float32)


def logit_digits(request: Request, n: int, pixels: np.ndarray | None = None) -> np.ndarray:
    """The first `n` MNIST images through `logit_pixels`, shape (n, 784), or only some of the pixels."""
    levels = np.rint(request.mnist(n) * 255)
    return logit_pixels(levels if pixels is None or len(pixels) == levels.shape[1] else levels[:, pixels])


def modes_of(rows: Rows | np.ndarray, n_modes: int | None = None) -> Spectrum:
    """Spectrum of the rows a study trains on.

    Without its warnings (constant pixels, few rows): the training set itself is what is forecast, as in the paper.
    """
    with warnings.catch_warnings(action="ignore", category=UncollapseWarning):
        return spectrum(rows, n_modes=n_modes)
