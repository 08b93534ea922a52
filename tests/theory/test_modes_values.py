"""Modes, conditional residuals, noise and Krylov blocks, each against plain linear algebra on explicit rows."""

from __future__ import annotations

import numpy as np
import pytest

from uncollapse.theory.conditional import residual_modes
from uncollapse.theory.krylov import gram_strengths, krylov_modes
from uncollapse.theory.modes import (
    autoencoder_basis,
    autoencoder_strengths,
    regression_basis,
    regression_strengths,
    signed,
    whitening,
)
from uncollapse.theory.noise import noise_edge, noise_variance, true_signal


def moments_of(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, y = x - x.mean(0), y - y.mean(0)
    return x.T @ x / len(x), y.T @ x / len(x), y.T @ y / len(x)


@pytest.fixture
def tables(rng):
    x = rng.standard_normal((50, 3)) * [1.0, 3.0, 1e-3]
    return x, x @ rng.standard_normal((3, 4)) * [1.0, 1.0, 1.0, 0.2] + 0.5 * rng.standard_normal((50, 4))


def test_signs_make_the_largest_entry_of_each_column_positive():
    v = np.array([[1.0, -2.0, 0.0], [-3.0, 1.0, 0.0]])
    np.testing.assert_array_equal(signed(v), [[-1.0, 2.0, 0.0], [3.0, -1.0, 0.0]])


def test_the_modes_of_an_autoencoder_are_squared_singular_values(rng):
    x = rng.standard_normal((30, 4)) * [3.0, 2.0, 1.0, 1e-7]
    left = x - x.mean(0)
    covariance, expected = left.T @ left / 30, np.linalg.svd(left, compute_uv=False) ** 2 / 30
    np.testing.assert_allclose(autoencoder_strengths(covariance, 1e-10), expected[:3])
    assert len(autoencoder_strengths(covariance, 0.0)) >= 3
    assert autoencoder_strengths(np.zeros((2, 2)), 1e-10).size == 0
    assert autoencoder_strengths(np.zeros((0, 0)), 1e-10).size == 0
    assert autoencoder_strengths(np.diag([0.5, 0.2]), 1e-10).tolist() == [0.5, 0.2]
    assert autoencoder_strengths(np.diag([2.0, 1.0, 0.5]), 0.25).tolist() == [2.0, 1.0]  # at the edge it is rounding
    basis = autoencoder_basis(covariance, 2)
    _, _, vt = np.linalg.svd(left)
    np.testing.assert_allclose(basis.decoder, signed(vt[:2].T), atol=1e-9)
    np.testing.assert_allclose((left @ basis.encoder).T @ (left @ basis.encoder) / 30, np.eye(2), atol=1e-9)


def test_whitening_whitens_what_varies_whatever_its_unit(tables):
    x, _ = tables
    a, _, _ = moments_of(np.c_[x, np.ones(50), x[:, 0]], x)  # a constant column, and one that repeats another
    m = whitening(a, 1e-10)
    assert m.shape == (5, 3)
    np.testing.assert_allclose(m.T @ a @ m, np.eye(3), atol=1e-8)
    assert whitening(np.zeros((2, 2)), 1e-10).shape == (2, 0)
    assert whitening(np.array([[1.0, 0.6], [0.6, 1.0]]), 0.25).shape == (2, 1)  # 0.4 is not above 0.25 of 1.6


def test_the_modes_of_a_regression_are_those_of_its_fit(tables):
    x, y = tables
    a, yx, _ = moments_of(x, y)
    fit = (x - x.mean(0)) @ np.linalg.lstsq(x - x.mean(0), y - y.mean(0), rcond=None)[0]
    expected = np.linalg.svd(fit, compute_uv=False)[:3] ** 2 / 50
    strengths, rank = regression_strengths(a, yx, 1e-10)
    assert rank == 3
    np.testing.assert_allclose(strengths, expected)
    few, _ = regression_strengths(a, yx, float(strengths[1] / strengths[0]) * (1 + 1e-9))
    assert len(few) == 1
    basis = regression_basis(a, yx, 1e-10, 2)
    assert (np.abs(basis.decoder).max(axis=0) == basis.decoder.max(axis=0)).all()
    scores = (x - x.mean(0)) @ basis.encoder
    np.testing.assert_allclose(scores.T @ scores / 50, np.eye(2), atol=1e-8)
    np.testing.assert_allclose(fit.T @ scores / 50, basis.decoder * np.sqrt(expected[:2]), atol=1e-8)


def test_the_modes_left_by_a_condition_are_those_of_the_residual(tables):
    x, y = tables
    a, yx, yy = moments_of(x, y)
    b = np.linalg.lstsq(x - x.mean(0), y - y.mean(0), rcond=None)[0].T
    left = (y - y.mean(0)) - (x - x.mean(0)) @ b.T
    r = residual_modes(a, yx, yy, 1e-10)
    _, singular, vt = np.linalg.svd(left, full_matrices=False)
    np.testing.assert_allclose(r.strengths, singular**2 / 50)
    np.testing.assert_allclose(r.basis.decoder, signed(vt.T), atol=1e-7)
    scores = left @ r.basis.encoder
    np.testing.assert_allclose(scores.T @ scores / 50, np.eye(4), atol=1e-6)
    np.testing.assert_allclose(r.regression, b, atol=1e-8)
    assert r.rank == 3
    np.testing.assert_allclose(r.energies, ((y - y.mean(0)) @ r.basis.decoder).var(axis=0))
    top = np.linalg.eigvalsh(yy)[-1]
    assert len(residual_modes(a, yx, yy, r.strengths[1] / top * (1 + 1e-9)).strengths) == 1
    whole = residual_modes(a, a, a, 1e-10)  # a condition that is the target leaves nothing
    assert whole.strengths.size == 0


def test_the_noise_edge_is_marchenko_and_pasturs():
    assert noise_edge(1.0, 0.25) == pytest.approx((1 + np.sqrt(0.25)) ** 2)
    assert noise_edge(0.09, 0.04) == pytest.approx(0.25)


def test_a_true_signal_is_what_a_spiked_sample_shows_turned_back():
    """ℓ appears at ℓ(1 + νγ/(ℓ − ν)); in a and b: seen = (s + a)(s + b)/s for the part s above the noise."""
    a, b = 0.7, 0.2
    for s in (0.5, 2.0, 40.0):
        seen = (s + a) * (s + b) / s
        assert true_signal(np.array([seen]), a, b)[0] == pytest.approx(s)
    edge = noise_edge(a, b)
    np.testing.assert_array_equal(true_signal(np.array([edge, 0.5 * edge, 0.0]), a, b), [0.0, 0.0, 0.0])
    assert true_signal(np.array([edge * 1.0001]), a, b)[0] == pytest.approx(np.sqrt(a * b), rel=0.05)
    np.testing.assert_allclose(
        true_signal(np.array([3e200]), 0.7e200, 0.2e200), 1e200 * true_signal(np.array([3.0]), a, b)
    )
    np.testing.assert_array_equal(true_signal(np.array([3.0, 1.0]), 0.0, 0.0), [3.0, 1.0])
    assert true_signal(np.array([]), 0.0, 0.0).size == 0
    np.testing.assert_array_equal(true_signal(np.zeros(2), 0.0, 0.0), [0.0, 0.0])


def by_hand(strengths: list[float], total: float, dimensions: int, n: int) -> tuple[float, int]:
    """Kritchman and Nadler's test one mode after the other."""
    for k in range(min(len(strengths), dimensions - 1) + 1):
        variance = max(total - sum(strengths[:k]), 0.0) / (dimensions - k)
        edge = variance * (1 + np.sqrt((dimensions - k) / n)) ** 2
        if k == min(len(strengths), dimensions - 1) or strengths[k] <= edge:
            return variance, k
    raise AssertionError


@pytest.mark.parametrize(
    ("strengths", "total", "dimensions", "n"),
    [
        ([9.0, 4.0, 1.1, 1.0, 0.9], 16.0, 5, 100),
        ([9.0, 4.0], 13.0 + 0.02 * 8, 10, 50),
        ([1.0, 1.0, 1.0], 3.0, 3, 30),
        ([5.0], 5.0, 1, 10),
        ([5.0, 4.0, 3.0], 12.0, 3, 1000),
        ([2.0, 1.0], 2.5, 6, 7),
    ],
)
def test_the_noise_variance_is_found_mode_by_mode(strengths, total, dimensions, n):
    variance, k = noise_variance(np.array(strengths), total, dimensions, n)
    expected, k_by_hand = by_hand(strengths, total, dimensions, n)
    assert (variance, k) == (pytest.approx(expected), k_by_hand)


def test_random_spectra_have_the_noise_that_the_loop_finds(rng):
    for _ in range(50):
        m = int(rng.integers(1, 8))
        strengths = np.sort(np.exp(rng.uniform(-2, 3, m)))[::-1]
        total, d = float(strengths.sum() + rng.random()), int(rng.integers(m, m + 4))
        n = int(rng.integers(3, 60))
        variance, k = noise_variance(strengths, total, d, n)
        expected, k_by_hand = by_hand(strengths.tolist(), total, d, n)
        assert k == k_by_hand
        assert variance == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("size", [1e-150, 1.0, 1e150])
def test_krylov_blocks_find_the_leading_modes_within_their_bound(rng, size):
    basis = np.linalg.qr(rng.standard_normal((40, 40)))[0]
    values = np.geomspace(9, 1e-3, 40)
    c = basis @ np.diag(values) @ basis.T
    calls = []
    modes = krylov_modes(lambda v: calls.append(v.shape) or size * (c @ v), 40, 3)
    assert (np.abs(modes.strengths / size - values[:3]) <= modes.errors / size + 1e-12).all()
    assert (modes.errors / size <= 1e-6 * 9 * 1.01).all()
    np.testing.assert_allclose(modes.directions.T @ modes.directions, np.eye(3), atol=1e-10)
    np.testing.assert_allclose(np.abs(np.sum(modes.directions * basis[:, :3], axis=0)), 1.0, atol=1e-6)
    assert modes.n_passes == len(calls)
    assert calls[0] == (40, 13)  # three wanted and ten more


def test_krylov_blocks_stop_where_they_are_told(rng):
    c = np.diag(np.linspace(2, 1, 300))
    one = krylov_modes(lambda v: c @ v, 300, 2, max_passes=1)
    assert one.n_passes == 1
    assert one.errors.max() > 1e-3
    many = krylov_modes(lambda v: c @ v, 300, 2, max_passes=3)
    assert many.n_passes == 3
    assert many.errors.max() < one.errors.max()
    assert krylov_modes(lambda v: c @ v, 300, 2, tolerance=1.0).n_passes == 1
    assert krylov_modes(lambda v: c @ v, 300, 2).n_passes <= 12
    again, other = (krylov_modes(lambda v: c @ v, 300, 2, max_passes=1, seed=s) for s in (0, 1))
    np.testing.assert_array_equal(again.strengths, one.strengths)
    assert (other.strengths != one.strengths).any()


def test_a_space_that_is_used_up_is_exact():
    c = np.diag(np.arange(5.0))
    modes = krylov_modes(lambda v: c @ v, 5, 5)
    np.testing.assert_allclose(modes.strengths, [4.0, 3.0, 2.0, 1.0, 0.0], atol=1e-12)
    c = np.diag(np.arange(30.0))
    modes = krylov_modes(lambda v: c @ v, 30, 12, tolerance=0.0)  # never satisfied: ends when no direction is left
    np.testing.assert_allclose(modes.strengths, np.arange(29.0, 17.0, -1.0), rtol=1e-10)
    nothing = krylov_modes(lambda v: 0 * v, 5, 2)
    np.testing.assert_array_equal(nothing.strengths, [0.0, 0.0])


def test_the_gram_matrix_gives_every_mode(rng):
    x = rng.standard_normal((6, 20)) * 2.0
    strengths, weights = gram_strengths(x, 1e-12)
    _, singular, vt = np.linalg.svd(x, full_matrices=False)
    np.testing.assert_allclose(strengths, singular**2 / 6)
    np.testing.assert_allclose(np.abs(np.sum(x.T @ weights * vt.T, axis=0)), 1.0)
    half, few = gram_strengths(x, float((singular[3] / singular[0]) ** 2))
    assert 2 < len(half) <= 4
    assert few.shape == (6, len(half))
    assert gram_strengths(np.zeros((3, 4)), 1e-12)[0].size == 0
    np.testing.assert_allclose(gram_strengths(1e-8 * x, 1e-12)[0], 1e-16 * strengths)


def test_each_mode_has_its_own_bound(rng):
    c = np.diag(np.linspace(2, 1, 300))
    modes = krylov_modes(lambda v: c @ v, 300, 3, max_passes=2)
    left = c @ modes.directions - modes.directions * modes.strengths
    np.testing.assert_allclose(modes.errors, np.linalg.norm(left, axis=0), rtol=1e-6)
    spread = np.diag([100.0, *np.linspace(1, 0.9, 299)])  # a second mode far under the first decides nothing
    easy = krylov_modes(lambda v: spread @ v, 300, 2, tolerance=2e-3)
    assert easy.n_passes < krylov_modes(lambda v: spread @ v, 300, 2, tolerance=2e-5).n_passes
