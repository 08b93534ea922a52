"""The terms that a VAE's loss is made of, as sums over made-up numbers: what a loss is compared with.

Source: docs/theory.md, section 8. Every form of misfit is given without its weight; a KL is a sum of basis functions of
means m and of what is given for the spread, l: ½(m² + e^l − 1 − l) where l is a log-variance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from scipy.special import expit, log_softmax, xlogy

__all__ = ["KL_FORMS", "MISFITS", "NEGATIVE_BINOMIALS", "Misfit", "kl_basis", "misfit_sum"]

Misfit = Literal[
    "squared", "absolute", "huber", "log-cosh", "root", "bernoulli", "bernoulli of logits", "poisson",
    "poisson of log-rates", "categorical of logits", "categorical", "categorical of logs",
    "optimal variance", "optimal variance a row",
    "negative binomial", "negative binomial of log-means", "negative binomial of logits",
    "learned variance", "learned variances",
]  # fmt: skip


def _squares(recon: np.ndarray, x: np.ndarray) -> np.ndarray:
    return ((recon - x) ** 2).reshape(len(x), -1).sum(axis=1)


def _huber(recon: np.ndarray, x: np.ndarray) -> float:
    away = np.abs(recon - x)
    return float(np.where(away < 1, away**2 / 2, away - 0.5).sum())


def _bernoulli(p: np.ndarray, x: np.ndarray) -> float:
    return float(-(xlogy(x, p) + xlogy(1 - x, 1 - p)).sum())


_FORMS: dict[Misfit, Callable[[np.ndarray, np.ndarray], float]] = {
    "squared": lambda r, x: float(_squares(r, x).sum()),
    "absolute": lambda r, x: float(np.abs(r - x).sum()),
    "huber": _huber,
    "log-cosh": lambda r, x: float(np.log(np.cosh(r - x)).sum()),
    "root": lambda r, x: float(np.sqrt(_squares(r, x)).sum()),
    "bernoulli": _bernoulli,
    "bernoulli of logits": lambda r, x: _bernoulli(expit(r), x),
    "poisson": lambda r, x: float((r - xlogy(x, r)).sum()),
    "poisson of log-rates": lambda r, x: float((np.exp(r) - x * r).sum()),
    "categorical of logits": lambda r, x: float(-(x * log_softmax(r, axis=-1)).sum()),
    "categorical": lambda r, x: float(-xlogy(x, r).sum()),
    "categorical of logs": lambda r, x: float(-(x * r).sum()),
    "optimal variance": lambda r, x: float(x.size / 2 * np.log(_squares(r, x).mean())),
    "optimal variance a row": lambda r, x: float(x[0].size / 2 * np.log(_squares(r, x)).sum()),
}

MISFITS = tuple(_FORMS)

_WITH_DISPERSION: dict[Misfit, Callable[[np.ndarray, np.ndarray, float], float]] = {
    "negative binomial": lambda m, x, r: float(((x + r) * np.log1p(m / r) - xlogy(x, m)).sum()),
    "negative binomial of log-means": lambda f, x, r: float(((x + r) * np.logaddexp(0, f - np.log(r)) - x * f).sum()),
    "negative binomial of logits": lambda f, x, r: float(((x + r) * np.logaddexp(0, f) - x * f).sum()),
}

NEGATIVE_BINOMIALS = tuple(_WITH_DISPERSION)
"""Of variance μ + μ²/r, but for terms in x and r alone; the reconstruction is μ, log μ or log μ/r."""


def misfit_sum(kind: Misfit, recon: np.ndarray, x: np.ndarray, dispersion: float = np.inf) -> float:
    """The misfit summed over rows and features.

    Parameters
    ----------
    kind : str
        One of `MISFITS`, whose last two are those of a Gaussian decoder whose variance is at its best for the batch, or
        for each row: (d/2) log of the squared error, but for constants; or one of `NEGATIVE_BINOMIALS`.
    recon, x : ndarrays of shape (B, …)
    dispersion : float
        r of a negative binomial.

    Examples
    --------
    >>> misfit_sum("squared", np.zeros((2, 3)), np.ones((2, 3)))
    6.0
    """
    with np.errstate(all="ignore"):  # a form that does not fit the numbers is no candidate
        if kind in _WITH_DISPERSION:
            return _WITH_DISPERSION[kind](recon, x, dispersion)
        return _FORMS[kind](recon, x)


KL_FORMS: dict[str, tuple[str, ...]] = {
    "log-variance": ("m²", "exp l", "l"),
    "log standard deviation": ("m²", "exp 2l", "l"),
    "standard deviation": ("m²", "l²", "log l²"),
    "variance": ("m²", "l", "log l"),
    "exp left out": ("m²", "l"),
    "exp of half": ("m²", "exp l/2", "l"),
}
"""What the loss takes l for, and the three terms of its KL then; the KL is ½(first + second − 1 − third)."""


def kl_basis(name: str, mean: np.ndarray, spread: np.ndarray) -> float:
    """One term summed over rows and latents.

    Parameters
    ----------
    name : str
        As in `KL_FORMS`.
    mean, spread : ndarrays of shape (B, K)
    """
    of: dict[str, Callable[[], np.ndarray]] = {
        "m²": lambda: mean**2,
        "exp l": lambda: np.exp(spread),
        "exp 2l": lambda: np.exp(2 * spread),
        "exp l/2": lambda: np.exp(spread / 2),
        "l": lambda: spread,
        "l²": lambda: spread**2,
        "log l²": lambda: np.log(spread**2),
        "log l": lambda: np.log(spread),
    }
    with np.errstate(all="ignore"):
        return float(of[name]().sum())
