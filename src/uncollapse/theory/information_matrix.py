"""The information-matrix test: at which weight a latent that enters any decoder through an added vector lives.

Source: docs/theory.md, section 12. With S the score of a whole sample in the vector v at v = 0 and A = −E ∂² log p/∂v²,
a latent lives iff β < λ_max(A^{-1/2} Cov(S) A^{-1/2}). Where the decoder is calibrated given its context A is its own
Fisher information F. Every likelihood of section 5 is this with one step and v = its natural parameters.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from uncollapse.errors import DataError

__all__ = ["RANK_CUT", "HeldOut", "InformationSpectrum", "information_spectrum", "strengths_along", "well_known"]

RANK_CUT = 1e-2
"""Directions in which F is less than this share of its largest eigenvalue are left out: what the decoder does not
notice cannot carry anything soon: a latent there must reach ten times as far. Behind a layer norm such directions have
a curvature of 1,500 times F where F is 2e-4 of the largest, and none of it is of a small step."""

NOISY = 0.15
"""Relative error of λ over the curvature from which that over the decoder's Fisher information is taken. In directions
that the decoder hardly notices the curvature of a few thousand sequences is noise, the Fisher information is not."""


@dataclass(frozen=True, eq=False)
class InformationSpectrum:
    """Eigenvalues of F^{-1/2} Cov(S) F^{-1/2} on the directions that F has.

    Attributes
    ----------
    strengths : ndarray of shape (r,)
        λ, descending; in units of β. The largest are biased upwards, as any sample's are.
    directions : ndarray of shape (k, r)
        Of v, as columns, each with uᵀFu = 1.
    """

    strengths: np.ndarray
    directions: np.ndarray = field(repr=False)

    @property
    def rank(self) -> int:
        """Directions that F has."""
        return len(self.strengths)


def information_spectrum(covariance: np.ndarray, information: np.ndarray, cut: float = RANK_CUT) -> InformationSpectrum:
    """Spectrum of a covariance of scores against an information matrix.

    Parameters
    ----------
    covariance : ndarray of shape (k, k)
        Cov(S) over samples.
    information : ndarray of shape (k, k)
        F, the mean over samples.
    cut : float
        Share of F's largest eigenvalue below which a direction is left out.

    Raises
    ------
    DataError
        F is 0: the vector changes nothing.

    Examples
    --------
    >>> information_spectrum(np.diag([3.0, 1.0]), np.diag([2.0, 4.0])).strengths
    array([1.5 , 0.25])
    """
    values, vectors = np.linalg.eigh((information + information.T) / 2)
    if not values[-1] > 0:
        raise DataError("the added vector changes nothing: the decoder's Fisher information in it is 0")
    kept = values > cut * values[-1]
    whiten = vectors[:, kept] / np.sqrt(values[kept])
    strengths, rotation = np.linalg.eigh(whiten.T @ covariance @ whiten)
    return InformationSpectrum(strengths[::-1], whiten @ rotation[:, ::-1])


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Strengths of given directions on samples that did not choose them, with their standard errors; shape (m,)."""

    strengths: np.ndarray
    errors: np.ndarray


def well_known(curved: HeldOut, fisher: HeldOut) -> tuple[HeldOut, np.ndarray]:
    """λ over the curvature where that is known, over the decoder's own Fisher information elsewhere; and where which.

    Parameters
    ----------
    curved, fisher : HeldOut
        Over the one and over the other; the two are the same where the decoder is calibrated.

    Examples
    --------
    >>> curved = HeldOut(np.array([3.0, 5.0]), np.array([0.1, np.inf]))
    >>> well_known(curved, HeldOut(np.array([2.0, 1.5]), np.array([0.1, 0.1])))[0].strengths
    array([3. , 1.5])
    """
    known = np.isfinite(curved.errors) & (curved.errors <= NOISY * curved.strengths)
    strengths = np.where(known, curved.strengths, fisher.strengths)
    return HeldOut(strengths, np.where(known, curved.errors, fisher.errors)), known


def strengths_along(scores: np.ndarray, information: np.ndarray) -> HeldOut:
    """λ along directions: variance of the scores over the mean information.

    Parameters
    ----------
    scores : ndarray of shape (n, m)
        uᵀS of each sample.
    information : ndarray of shape (n, m)
        An unbiased estimate of uᵀAu, or of uᵀFu, for each sample; it may be noisy, and negative in single samples.

    Notes
    -----
    Standard errors by the delta method of a ratio of means.

    Examples
    --------
    >>> found = strengths_along(np.array([[1.0], [-1.0], [2.0], [-2.0]]), np.full((4, 1), 2.0))
    >>> found.strengths, found.errors.round(3)
    (array([1.66666667]), array([0.5]))
    """
    n = len(scores)
    squares = (scores - scores.mean(axis=0)) ** 2 * (n / max(n - 1, 1))
    mean = information.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        strengths = np.where(mean > 0, squares.mean(axis=0) / mean, 0.0)
        errors = np.where(mean > 0, (squares - strengths * information).std(axis=0) / mean / np.sqrt(n), np.inf)
    return HeldOut(strengths, errors)
