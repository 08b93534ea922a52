"""What posteriors say about collapse: KL of each latent on each row, the (ε, δ) measure, and the σ²-tuned ELBO."""

from __future__ import annotations

import numpy as np

__all__ = ["collapsed_share", "gaussian_kl", "tuned_elbo"]


def gaussian_kl(mean: np.ndarray, variance: np.ndarray, prior_variance: float = 1.0) -> np.ndarray:
    """KL(N(m, s²) ‖ N(0, η_enc²)) of each entry, in nats.

    Parameters
    ----------
    mean, variance : ndarrays that broadcast, usually of shape (n, l)
        Posterior mean and variance of each row and latent.
    prior_variance : float
        η_enc².

    Notes
    -----
    Lucas et al. 2019, eq. 13, one latent.

    Examples
    --------
    >>> gaussian_kl(np.array([[0.0, 1.0]]), np.ones((1, 2)))
    array([[0. , 0.5]])
    """
    ratio = variance / prior_variance
    return 0.5 * (mean**2 / prior_variance + ratio - 1 - np.log(ratio))


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
    ordered = np.sort(kl, axis=0)
    # count rows below each ε by bisection, so that a long list of ε costs one sort
    below = np.array([np.searchsorted(column, epsilons, side="left") for column in ordered.T])  # (l, k)
    return (below / len(kl) >= 1 - delta).mean(axis=0)


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
