"""The information-matrix test holds every likelihood of section 5: one step, v its natural parameters."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import eigh

from uncollapse import spectrum
from uncollapse.errors import DataError
from uncollapse.theory.information_matrix import HeldOut, information_spectrum, strengths_along, well_known


def covariance(scores: np.ndarray) -> np.ndarray:
    return np.cov(scores, rowvar=False, bias=True)


def test_gaussian_scores_give_the_modes_over_the_decoder_variance(rng):
    x = rng.standard_normal((300, 5)) @ rng.standard_normal((5, 5))
    variance = 0.3
    found = information_spectrum(covariance((x - x.mean(axis=0)) / variance), np.eye(5) / variance)
    np.testing.assert_allclose(found.strengths, spectrum(x).strengths / variance, rtol=1e-10)


def test_bernoulli_poisson_and_categorical_give_the_likelihoods_own_spectra(rng):
    rates = np.exp(0.5 * rng.standard_normal((400, 3)) @ rng.standard_normal((3, 6)))
    counts = rng.poisson(rates).astype(float)
    binary = (counts > 0).astype(float)
    binary[0], binary[1] = 0.0, 1.0
    p, mean = binary.mean(axis=0), counts.mean(axis=0)
    of_binary = information_spectrum(covariance(binary - p), np.diag(p * (1 - p)))
    np.testing.assert_allclose(of_binary.strengths, spectrum(binary, likelihood="bernoulli").strengths, rtol=1e-9)
    of_counts = information_spectrum(covariance(counts - mean), np.diag(mean))
    np.testing.assert_allclose(of_counts.strengths, spectrum(counts, likelihood="poisson").strengths, rtol=1e-9)

    kept = counts[counts.sum(axis=1) > 0]
    totals = kept.sum(axis=1)
    share = kept.sum(axis=0) / totals.sum()
    scores = kept - totals[:, None] * share
    information = totals.mean() * (np.diag(share) - np.outer(share, share))
    found = information_spectrum(scores.T @ scores / len(scores), information)
    assert found.rank == 5  # the softmax does not notice a shift of all
    known = spectrum(kept, likelihood="categorical").strengths
    np.testing.assert_allclose(found.strengths, known[:5], rtol=1e-9)


def test_any_pair_of_matrices_is_the_generalised_eigenvalue_problem(rng):
    a, b = (m @ m.T + 0.1 * np.eye(6) for m in rng.standard_normal((2, 6, 6)))
    found = information_spectrum(a, b)
    np.testing.assert_allclose(found.strengths, eigh(a, b, eigvals_only=True)[::-1], rtol=1e-8)
    np.testing.assert_allclose(found.directions.T @ b @ found.directions, np.eye(6), atol=1e-8)


def test_a_vector_that_changes_nothing_is_named():
    with pytest.raises(DataError, match="changes nothing"):
        information_spectrum(np.zeros((3, 3)), np.zeros((3, 3)))


def test_errors_of_strengths_hold(rng):
    """Of 400 samples of 500, λ ± 2 errors holds the truth about 95 times in 100."""
    true, hits = 1.7, 0
    for _ in range(400):
        scores = np.sqrt(true) * rng.standard_normal((500, 1))
        found = strengths_along(scores, rng.standard_normal((500, 4, 1)).__pow__(2).mean(axis=1))
        hits += abs(found.strengths[0] - true) < 2 * found.errors[0]
    assert 0.90 < hits / 400 < 0.99


def test_the_threshold_is_that_of_the_curvature_where_the_decoder_is_not_calibrated():
    """A decoder that sees c = ±1 and forgets that x depends on it; v enters as v + c·k·v²/2, so that A = (1 − bk)F.

    The Hessian of the whole objective at collapse, by quadrature over x and z: collapse is stable above λ of A alone.
    """
    b, k, noise = 0.6, 0.7, 0.5
    variance = b**2 + noise**2  # of x, and of the decoder, which knows it
    nodes, weights = np.polynomial.hermite_e.hermegauss(12)
    weights = weights / weights.sum()
    c = np.array([1.0, -1.0])[:, None, None]
    x = b * c + noise * nodes[None, :, None]
    z0, mass = nodes[None, None, :], 0.5 * weights[None, :, None] * weights[None, None, :]

    def loss(w: float, slope: float, log_s: float, beta: float) -> float:
        mean, s = slope * x, np.exp(log_s)
        v = w * (mean + s * z0)
        cost = (x - (v + c * k * v**2 / 2)) ** 2 / (2 * variance)
        kl = (mean**2 + s**2 - 1) / 2 - log_s
        return float((mass * (cost + beta * kl)).sum())

    def lowest_curvature(beta: float) -> float:
        step, origin = 1e-3, np.zeros(3)
        hessian = np.empty((3, 3))
        for i in range(3):
            for j in range(3):
                signs = ((1, 1), (1, -1), (-1, 1), (-1, -1))
                at = [origin + step * (p * np.eye(3)[i] + q * np.eye(3)[j]) for p, q in signs]
                hessian[i, j] = sum(p * q * loss(*point, beta) for (p, q), point in zip(signs, at, strict=True))
        return float(np.linalg.eigvalsh(hessian / (4 * step**2))[0])

    own_fisher = information_spectrum(np.eye(1) / variance, np.eye(1) / variance).strengths[0]
    curvature = information_spectrum(np.eye(1) / variance, (1 - b * k) * np.eye(1) / variance).strengths[0]
    assert (own_fisher, curvature) == (pytest.approx(1.0), pytest.approx(1 / (1 - b * k)))
    assert lowest_curvature(0.98 * curvature) < -1e-4
    assert lowest_curvature(1.02 * curvature) > -1e-6
    assert lowest_curvature(1.2 * own_fisher) < -1e-4  # where its own Fisher information would call it dead


def test_λ_is_over_the_curvature_where_that_is_known():
    fisher = HeldOut(np.array([2.0, 1.5, 1.1]), np.full(3, 0.1))
    curved = HeldOut(np.array([3.0, 5.0, -2.0]), np.array([0.4, 0.8, 0.1]))
    found, known = well_known(curved, fisher)
    assert found.strengths.tolist() == [3.0, 1.5, 1.1]
    assert found.errors.tolist() == [0.4, 0.1, 0.1]
    assert known.tolist() == [True, False, False]
