"""Modes of counts in the logarithm of their means, where a decoder with a log link adds its latents.

Strengths of Pearson residuals are exact at the first threshold. Far above it they count too many modes: a factor of the
log-mean that changes it by more than a little bends the counts themselves, and each bend is a mode of its own there.
"""

from __future__ import annotations

import numpy as np

__all__ = ["log_strengths", "matched_dispersion"]


def log_strengths(
    y: np.ndarray,
    sizes: np.ndarray | None = None,
    alpha: np.ndarray | float = 0.0,
    columns: np.ndarray | None = None,
    *,
    shares: bool = False,
) -> tuple[np.ndarray, float]:
    """Strengths of log(y/s + ½) about its regression on a condition, each column over its sampling noise.

    Parameters
    ----------
    y : ndarray of shape (n, d)
        Counts.
    sizes : ndarray of shape (n,), optional
        s; taken over their mean.
    alpha : ndarray of shape (d,) or float
        1/r of the negative binomial; 0 for Poisson.
    columns : ndarray of shape (n, c), optional
        The condition.
    shares : bool
        The sizes are the row totals, so that only shares are modelled and what moves all logarithms alike is no mode
        (the log-ratios of Aitchison, J. R. Stat. Soc. B 44, 1982).

    Returns
    -------
    strengths : ndarray of shape (min(n, d),)
        Descending, in units of β, as those of `forecast`.
    edge : float
        What noise of these sizes and of no common mode reaches: the strongest mode after each entry got a sign by
        chance (Hong, Sheng & Dobriban 2020, "Selecting the number of components in PCA via random signs"). It holds for
        noise that differs by row and column, and for added zeros.

    Notes
    -----
    The delta method: Var log(y/s) ≈ 1/(sμ) + 1/r, so that over its standard deviation a column is Gaussian of unit
    decoder variance about a mean that is linear in the latents. sμ of an entry is taken as y + ½, which makes the noise
    too large where counts are small: they are not taken for modes.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> rates = np.exp(6 + np.outer(rng.standard_normal(500), np.ones(5)))
    >>> strengths, edge = log_strengths(rng.poisson(rates))
    >>> int((strengths > edge).sum())
    1
    """
    s = np.ones(len(y)) if sizes is None else sizes / sizes.mean()
    logs = np.log(y / s[:, None] + 0.5)
    design = np.ones((len(y), 1)) if columns is None else np.column_stack([np.ones(len(y)), columns])
    left = logs - design @ np.linalg.lstsq(design, logs, rcond=None)[0]
    noise = (1 / (y + 0.5)).mean(axis=0) + alpha
    left = left / np.sqrt(noise)
    if shares:
        alike = 1 / np.sqrt(noise)
        left = left - np.multiply.outer(left @ alike, alike) / (alike @ alike)
    singular = np.linalg.svd(left, compute_uv=False)
    strengths: np.ndarray = singular**2 / len(y)
    flipped = left * np.random.default_rng(0).choice([-1.0, 1.0], size=left.shape)
    return strengths, float(np.linalg.norm(flipped, 2) ** 2) / len(y)


def matched_dispersion(r: np.ndarray, zeros: np.ndarray) -> np.ndarray:
    """r of the negative binomial of the same mean and variance as a zero-inflated one.

    Parameters
    ----------
    r : ndarray of shape (d,)
        Of the negative binomial that is inflated.
    zeros : ndarray of shape (d,)
        π, the share of added zeros, below 1.

    Notes
    -----
    A count that is 0 with probability π and else of mean m and variance m + m²/r has mean (1 − π)m and variance
    (1 − π)m + (1 − π)(1/r + π)m²; so 1/r' = (1/r + π)/(1 − π).

    Examples
    --------
    >>> matched_dispersion(np.array([2.0]), np.array([0.0])), matched_dispersion(np.array([2.0]), np.array([0.5]))
    (array([2.]), array([0.5]))
    """
    matched: np.ndarray = (1 - zeros) / (1 / r + zeros)
    return matched
