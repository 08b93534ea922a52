"""What posteriors say about collapse: KL of each latent on each row, the (ε, δ) measure, information, tuned ELBO."""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

__all__ = [
    "aggregate_gaussian",
    "aggregate_kl",
    "collapsed_share",
    "collapsed_share_from_counts",
    "counts_below",
    "gaussian_information",
    "gaussian_kl",
    "importance_bound",
    "log_ratio",
    "prior_excess",
    "sampled_mutual_information",
    "tuned_elbo",
]


LEAST_STEP = 1e-6
"""Standard deviations below this share of the means' spread tell rows apart no better; beyond, float64 overflows."""


def gaussian_kl(
    mean: np.ndarray,
    variance: np.ndarray,
    prior_variance: np.ndarray | float = 1.0,
    prior_mean: np.ndarray | float = 0.0,
) -> np.ndarray:
    """KL(N(m, s²) ‖ N(m₀, η_enc²)) of each entry, in nats.

    Parameters
    ----------
    mean, variance : ndarrays that broadcast, usually of shape (n, l)
        Posterior mean and variance of each row and latent.
    prior_variance, prior_mean : float or ndarrays that broadcast
        η_enc² and m₀, which a conditional prior gives per row.

    Notes
    -----
    Lucas et al. 2019, eq. 13, one latent.

    Examples
    --------
    >>> gaussian_kl(np.array([[0.0, 1.0]]), np.ones((1, 2)))
    array([[0. , 0.5]])
    """
    ratio = variance / prior_variance
    return 0.5 * ((mean - prior_mean) ** 2 / prior_variance + ratio - 1 - np.log(ratio))


def collapsed_share(kl: np.ndarray, epsilons: np.ndarray, delta: float = 0.01) -> np.ndarray:
    """Share of latents that are (ε, δ)-collapsed: P[KL_i(x) < ε] ≥ 1 − δ.

    Parameters
    ----------
    kl : ndarray of shape (n, l)
        Nats, per row and latent.
    epsilons : ndarray of shape (k,)
        Nats.
    delta : float
        Share of rows that may lie above ε.

    Returns
    -------
    ndarray of shape (k,)
        In [0, 1].

    Notes
    -----
    Lucas et al. 2019, sec. 6.2.

    Examples
    --------
    >>> collapsed_share(np.array([[0.0, 0.5], [0.001, 0.7]]), np.array([0.01, 1.0]))
    array([0.5, 1. ])
    """
    return collapsed_share_from_counts(counts_below(kl, epsilons), len(kl), delta)


def counts_below(kl: np.ndarray, epsilons: np.ndarray) -> np.ndarray:
    """Rows in which each latent's KL lies below each ε, shape (l, k): sums over blocks of rows add up.

    Parameters
    ----------
    kl : ndarray of shape (n, l)
        Nats.
    epsilons : ndarray of shape (k,)
        Nats, ascending.

    Examples
    --------
    >>> counts_below(np.array([[0.0, 0.5], [0.001, 0.7]]), np.array([0.001, 0.01, 1.0]))
    array([[1, 2, 2],
           [0, 0, 2]])
    """
    with np.errstate(over="ignore", under="ignore"):
        rounded, levels = kl.T.astype(np.float32), np.asarray(epsilons).astype(np.float32)
    # rounding keeps the order, sorting float32 takes half the time, and that a fraction of a search for every entry
    columns = np.sort(rounded, axis=1)
    shape = (kl.shape[1], len(levels))
    below, not_above = (
        np.reshape([np.searchsorted(column, levels, side) for column in columns], shape) for side in ("left", "right")
    )
    for latent, k in np.argwhere(not_above > below):  # entries that round to the very ε are compared as they are
        below[latent, k] += (kl[rounded[latent] == levels[k], latent] < epsilons[k]).sum()
    return below


def collapsed_share_from_counts(below: np.ndarray, n_rows: int, delta: float) -> np.ndarray:
    """(ε, δ)-collapsed share of latents from the counts of `counts_below`, shape (k,); see `collapsed_share`."""
    return (below >= (1 - delta) * n_rows).mean(axis=0)


def aggregate_gaussian(mean: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the posteriors of all rows together, latent by latent: of all Gaussians of independent
    latents, the one to which their mean KL is least.

    Parameters
    ----------
    mean, variance : ndarrays of shape (n, l)

    Examples
    --------
    >>> aggregate_gaussian(np.array([[1.0], [-1.0]]), np.array([[0.5], [0.5]]))
    (array([0.]), array([1.5]))
    """
    middle = mean.mean(axis=0)
    return middle, variance.mean(axis=0) + ((mean - middle) ** 2).mean(axis=0)


def aggregate_kl(mean: np.ndarray, covariance: np.ndarray, prior_variance: np.ndarray | float = 1.0) -> float:
    """KL(N(m, S) ‖ N(0, η_enc² I)): a lower bound of KL(q(z) ‖ p(z)) for any q(z) of mean m and covariance S, in nats.

    A Gaussian has the largest entropy of all distributions with its moments, so E KL(q(z|x) ‖ p) less this is an upper
    bound of the mutual information.

    Parameters
    ----------
    mean : ndarray of shape (l,)
    covariance : ndarray of shape (l, l)
    prior_variance : float or ndarray of shape (l,)

    Notes
    -----
    Cover & Thomas 2006, theorem 8.6.5 (maximum entropy); Hoffman & Johnson 2016 for E KL = I + KL(q(z) ‖ p(z)).

    Examples
    --------
    >>> aggregate_kl(np.ones(1), np.eye(1))
    0.5
    """
    scale = 1 / np.sqrt(np.broadcast_to(prior_variance, mean.shape))
    whitened = covariance * np.multiply.outer(scale, scale)
    sign, log_determinant = np.linalg.slogdet(whitened)
    if sign <= 0:
        return float("inf")
    return float(0.5 * (np.sum((mean * scale) ** 2) + np.trace(whitened) - len(mean) - log_determinant))


def sampled_mutual_information(mean: np.ndarray, variance: np.ndarray, draws: np.ndarray) -> float:
    """I(x; z) from N rows: the mean of log q(z_i|x_i) − log (1/N) Σ_j q(z_i|x_j), in nats.

    Its expectation lies below the mutual information and never exceeds log N: the mixture holds z_i's own row.

    Parameters
    ----------
    mean, variance, draws : ndarrays of shape (N, l)
        Of q(z|x_i), and z_i drawn from it.

    Notes
    -----
    Docs/theory.md section 7; the bound: Poole et al. 2019, eq. 10, with the optimal critic.

    Examples
    --------
    >>> apart = np.array([[-100.0], [100.0]])
    >>> round(sampled_mutual_information(apart, np.ones((2, 1)), apart), 6)  # log 2: which of the two rows
    0.693147
    """
    # nothing changes when draws and means move together or a variance grows that is no part of their spread, and the
    # products of matrices below would lose what they subtract
    centre = mean.mean(axis=0)
    spread = np.abs(mean - centre).max(axis=0) + LEAST_STEP * np.abs(centre)
    mean, draws = mean - centre, draws - centre
    variance = np.maximum(variance, (LEAST_STEP * spread) ** 2)
    precision = 1 / variance  # (N, l)
    # log q(z_i | x_j) up to the constant that cancels, (N, N), by products of matrices
    quadratic = draws**2 @ precision.T - 2 * draws @ (mean * precision).T + np.sum(mean**2 * precision, axis=1)
    log_q = -0.5 * (quadratic + np.log(variance).sum(axis=1))
    with np.errstate(under="ignore"):  # rows far from z_i say nothing of it
        mixture = logsumexp(log_q, axis=1)
    return float(np.mean(np.diagonal(log_q) - mixture) + np.log(len(mean)))


def importance_bound(log_weights: np.ndarray) -> float:
    """The importance-weighted bound on log p(y): the mean of log (1/K) Σ_k w_k over rows, in nats.

    Parameters
    ----------
    log_weights : ndarray of shape (K, n)
        log p(y, z_k) − log q(z_k|x) of K draws for each row.

    Notes
    -----
    Burda, Grosse & Salakhutdinov 2016, eq. 8. It rises with K towards log p(y), and at K = 1 is the ELBO.

    Examples
    --------
    >>> round(importance_bound(np.log([[1.0], [3.0]])), 4)  # log 2
    0.6931
    """
    return float(np.mean(logsumexp(log_weights, axis=0) - np.log(len(log_weights))))


def log_ratio(
    draws: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    prior_variance: np.ndarray | float = 1.0,
    prior_mean: np.ndarray | float = 0.0,
) -> np.ndarray:
    """log q(z|x) − log p(z) of each row's draw, in nats, shape (n,); its mean over draws from q is the KL.

    Parameters
    ----------
    draws, mean, variance : ndarrays of shape (n, l)
    prior_variance, prior_mean : float or ndarrays that broadcast

    Notes
    -----
    Two Gaussian densities, whose 2π cancel.

    Examples
    --------
    >>> log_ratio(np.ones((1, 1)), np.ones((1, 1)), np.ones((1, 1)))
    array([0.5])
    """
    own, prior = (draws - mean) ** 2 / variance, (draws - prior_mean) ** 2 / prior_variance
    return 0.5 * (prior - own - np.log(variance / prior_variance)).sum(axis=1)


def prior_excess(draws: np.ndarray, log_prior: np.ndarray) -> np.ndarray:
    """log N(z; 0, I) − log p(z) of each row's draw, in nats, shape (n,).

    Its mean over draws from q(z|x) is what the KL from a prior p is above the KL from N(0, I):
    KL(q‖p) = KL(q‖N(0, I)) + E_q[log N(z; 0, I) − log p(z)].

    Parameters
    ----------
    draws : ndarray of shape (n, l)
    log_prior : ndarray of shape (n,)
        log p(z), with every constant.

    Examples
    --------
    >>> prior_excess(np.zeros((1, 1)), np.array([-np.log(2 * np.pi) / 2]))
    array([0.])
    """
    standard = -0.5 * (draws**2).sum(axis=1) - draws.shape[1] / 2 * np.log(2 * np.pi)
    excess: np.ndarray = standard - log_prior
    return excess


def gaussian_information(kl: np.ndarray, square: np.ndarray, spread: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Mean KL of each latent from the Gaussian with the moments of its own aggregate posterior, shape (l,).

    No other Gaussian gives less, so it holds whatever the prior is: 0 for a latent that says nothing, and never under
    its mutual information I(x; z_j).

    Parameters
    ----------
    kl : ndarray of shape (l,)
        Mean KL from N(0, v).
    square : ndarray of shape (l,)
        E m² + E s², the second moment of the aggregate posterior.
    spread : ndarray of shape (l,)
        Its variance.
    variance : ndarray of shape (l,)
        v.

    Notes
    -----
    ½ (log spread − E log s²), with E log s² = square/v − 1 + log v − 2 KL from the KL of two Gaussians
    (docs/theory.md, section 7).

    Examples
    --------
    >>> gaussian_information(np.array([0.5]), np.array([2.0]), np.array([1.0]), np.array([1.0]))  # N(1, 1) for all rows
    array([0.])
    """
    log_width = square / variance - 1 + np.log(variance) - 2 * kl
    information: np.ndarray = np.maximum(0.5 * (np.log(np.maximum(spread, 1e-300)) - log_width), 0.0)
    return information


def tuned_elbo(misfit: float, n_targets: int, rate: float) -> float:
    """ELBO with the decoder variance at its best for the misfit, E‖y − ŷ‖²/d: −(d/2)(log 2πσ² + 1) − KL, in nats.

    Parameters
    ----------
    misfit : float
        E‖y − ŷ‖² per row.
    n_targets : int
        d.
    rate : float
        KL of all latents per row.

    Notes
    -----
    Lucas et al. 2019, sec. 6.2 and eq. 10 with the factor d put right (docs/errata.md).

    Examples
    --------
    >>> round(tuned_elbo(2.0, 2, 0.0), 4)  # two standard normals: −log 2π − 1
    -2.8379
    """
    return float(-n_targets / 2 * (np.log(2 * np.pi * misfit / n_targets) + 1) - rate)
