"""−log p(y | mean), nats per row, of each likelihood, and its score: what the decoder's mean says of the target."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln, xlog1py, xlogy

from uncollapse.theory.counts import count_score

__all__ = ["entry_information", "fisher_information", "in_totals", "misfit", "negative_log_likelihood", "score"]

TINY = 1e-300
"""Means of counts and probabilities are kept above this, so that an impossible row is very costly but not infinite."""


def misfit(y: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """‖y − ŷ‖² of each row, shape (n,)."""
    left = y - mean
    return np.einsum("nd,nd->n", left, left)


def negative_log_likelihood(
    likelihood: str,
    y: np.ndarray,
    mean: np.ndarray,
    *,
    decoder_variance: float = 1.0,
    dispersion: np.ndarray | float = np.inf,
) -> np.ndarray:
    """−log p(y | mean) of each row, all constants included, in nats.

    Parameters
    ----------
    likelihood : {"gaussian", "bernoulli", "poisson", "negative-binomial", "categorical"}
    y, mean : ndarrays of shape (n, d)
        The target and E[y|z].
    decoder_variance : float
        η² of a Gaussian.
    dispersion : ndarray of shape (d,) or float
        r of a negative binomial of variance μ + μ²/r; infinite for Poisson.

    Returns
    -------
    ndarray of shape (n,)

    Notes
    -----
    Docs/theory.md, sections 1 and 5. Of grey values in [0, 1] the Bernoulli one is the binary cross-entropy. The
    categorical one is −Σ_j y_j log p_j, p the mean over its row's total: of one-hot rows or of counts whose total is
    given, without log N!/Π y_j!, which no model changes.

    Examples
    --------
    >>> one = np.ones((1, 1))
    >>> negative_log_likelihood("poisson", 2 * one, one)  # 1 + log 2!
    array([1.69314718])
    """
    if likelihood == "gaussian":
        constant = y.shape[1] / 2 * np.log(2 * np.pi * decoder_variance)
        return misfit(y, mean) / (2 * decoder_variance) + constant
    if likelihood == "bernoulli":
        p = np.clip(mean, TINY, 1 - np.finfo(np.float64).epsneg)
        return -(xlogy(y, p) + xlog1py(1 - y, -p)).sum(axis=1)
    m = np.maximum(mean, TINY)
    if likelihood == "categorical":
        return xlogy(y, m.sum(axis=1, keepdims=True) / m).sum(axis=1)
    terms = gammaln(y + 1) + m - xlogy(y, m)
    r = np.broadcast_to(np.asarray(dispersion, dtype=float), m.shape)
    over = np.isfinite(r) if likelihood == "negative-binomial" else np.zeros(m.shape, dtype=bool)
    if over.any():
        of, yo, mo = r[over], y[over], m[over]
        terms[over] = gammaln(yo + 1) + gammaln(of) - gammaln(yo + of)
        terms[over] += (yo + of) * np.log1p(mo / of) - xlogy(yo, mo / of)
    return terms.sum(axis=1)


def score(likelihood: str, y: np.ndarray, mean: np.ndarray, dispersion: np.ndarray | float = np.inf) -> np.ndarray:
    """Derivative of log p(y) in the decoder's natural parameter (log-mean of counts), entry by entry, (n, d).

    y − μ for a Gaussian (times η²), Bernoulli, Poisson and categorical (μ = N p) decoder; of a negative binomial, see
    `theory.counts.count_score`.
    """
    if likelihood != "negative-binomial":
        return y - mean
    return count_score(y, mean, 1 / np.asarray(dispersion, dtype=float))


def entry_information(likelihood: str, mean: np.ndarray, dispersion: np.ndarray | float = np.inf) -> np.ndarray:
    """Expected minus second derivative of log p(y) in the natural parameter (log-mean of counts), A'', (n, d).

    1 for a Gaussian decoder, whose residuals are measured against τ = βη² in the data's own units. For a categorical
    one N p, without the term that joins the columns: scores of a row sum to 0, and on such directions both metrics are
    one (docs/theory.md section 5).
    """
    if likelihood == "gaussian":
        return np.ones(mean.shape)
    if likelihood == "bernoulli":
        return mean * (1 - mean)
    alpha = 1 / np.asarray(dispersion, dtype=float) if likelihood == "negative-binomial" else 0.0
    return mean / (1 + alpha * mean)


def in_totals(likelihood: str, y: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """A categorical decoder's probabilities times its rows' totals, N p, (n, d); another's mean as it is.

    Examples
    --------
    >>> in_totals("categorical", np.array([[3.0, 1.0]]), np.array([[0.5, 0.5]]))
    array([[2., 2.]])
    """
    if likelihood != "categorical":
        return mean
    share = mean / np.maximum(mean.sum(axis=1, keepdims=True), TINY)
    return share * y.sum(axis=1, keepdims=True)


def fisher_information(likelihood: str, mean: np.ndarray, dispersion: np.ndarray | float = np.inf) -> np.ndarray:
    """`entry_information` averaged over rows, shape (d,): D̄ of docs/theory.md section 5."""
    return entry_information(likelihood, mean, dispersion).mean(axis=0)
