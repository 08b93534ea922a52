"""The residual's spectrum and its prediction, against covariances and regressions written out."""

from __future__ import annotations

import numpy as np
import pytest

from uncollapse.theory import residual as module
from uncollapse.theory.residual import ResidualSpectrum, predicted_out_of_fold, residual_spectrum


def by_hand(draws: list[np.ndarray], k: int):
    """Strengths, held-out strengths and errors, from the two groups' means, written out with loops."""
    a, b = np.mean(draws[::2], axis=0), np.mean(draws[1::2], axis=0)

    def cross(x, y):
        x, y = x - x.mean(0), y - y.mean(0)
        c = x.T @ y / len(x)
        values, vectors = np.linalg.eigh((c + c.T) / 2)
        order = np.argsort(values)[::-1]
        return values[order], vectors[:, order]

    n = len(a)
    products = np.empty((n, k))
    even, odd = np.arange(0, n, 2), np.arange(1, n, 2)
    for held, rest in ((odd, even), (even, odd)):
        path = cross(a[rest], b[rest])[1][:, :k]
        left, right = a[held] - a[held].mean(0), b[held] - b[held].mean(0)
        products[held] = (left @ path) * (right @ path) * len(held) / (len(held) - 1)
    return cross(a, b)[0], products.mean(0), products.std(0) / np.sqrt(n)


@pytest.mark.parametrize(("n", "n_draws"), [(40, 2), (41, 3), (40, 5), (9, 4), (5, 2), (4, 2)])
def test_the_spectrum_is_that_of_the_two_groups_of_draws(rng, n, n_draws):
    base = rng.standard_normal((n, 4)) * [3.0, 2.0, 1.0, 0.5] + 7.0  # a mean that must be taken out of each half
    draws = [base + 0.3 * rng.standard_normal((n, 4)) for _ in range(n_draws)]
    k = min(2, n // 2 - 1)
    strengths, held_out, errors = by_hand(draws, k)
    r = residual_spectrum(iter(draws), n_directions=2)
    np.testing.assert_allclose(r.strengths, strengths)
    np.testing.assert_allclose(r.held_out, held_out)
    np.testing.assert_allclose(r.errors, errors)
    assert (r.n_rows, r.directions.shape) == (n, (4, k))
    a, b = np.mean(draws[::2], axis=0), np.mean(draws[1::2], axis=0)
    along = [((a - a.mean(0)) @ v * ((b - b.mean(0)) @ v)).mean() for v in r.directions.T]
    np.testing.assert_allclose(along, strengths[:k])
    assert residual_spectrum(draws).directions.shape == (4, min(4, max(n // 2 - 1, 1)))


def test_groups_with_means_of_their_own_are_centred_column_by_column(rng):
    """The draws of a group may share an offset, another one in each column: it is no residual."""
    base = rng.standard_normal((40, 3)) * [3.0, 2.0, 1.0]
    plain, shifted = [base, base + 0.1], [base + np.array([9.0, -5.0, 2.0]), base + 0.1 - np.array([30.0, 1.0, 4.0])]
    np.testing.assert_allclose(residual_spectrum(shifted).strengths, residual_spectrum(plain).strengths)
    whole = [rng.integers(0, 9, (12, 3)) for _ in range(3)]  # of integers too
    np.testing.assert_allclose(
        residual_spectrum(whole).strengths, residual_spectrum([d.astype(float) for d in whole]).strengths
    )


def test_the_number_of_directions_is_sixteen_unless_said(rng):
    assert residual_spectrum([rng.standard_normal((60, 20))] * 2).directions.shape == (20, 16)


def test_two_rows_of_one_half_are_few_and_still_held_out(rng):
    """Three rows: the half of one row takes the directions of all, the half of two those of the other."""
    draws = [rng.standard_normal((3, 2)) * [5.0, 0.1]] * 2
    r = residual_spectrum(draws, n_directions=1)
    a = draws[0] - draws[0].mean(0)
    ends = draws[0][::2] - draws[0][::2].mean(0)
    along = np.linalg.svd(a)[2][0]  # of all rows: the row between the ends has no spread of its own
    np.testing.assert_allclose(r.held_out, [2 * ((ends @ along) ** 2).sum() / 3])


def test_one_group_of_zeros_leaves_nothing(rng, monkeypatch):
    monkeypatch.setattr(module, "MOST_DENSE", 3)
    r = residual_spectrum([np.zeros((20, 5)), rng.standard_normal((20, 5))], n_directions=2)
    np.testing.assert_array_equal(r.strengths, [0.0, 0.0])


def test_more_directions_than_rows_give_as_many_as_there_are(rng, monkeypatch):
    monkeypatch.setattr(module, "MOST_DENSE", 3)
    draws = [rng.standard_normal((9, 5)) + 1.0] * 2
    thin = residual_spectrum(draws, n_directions=5)
    assert thin.directions.shape == (5, 3)
    assert np.isfinite(thin.held_out).all()


def test_the_draws_are_not_changed(rng):
    draws = [rng.standard_normal((10, 3)) for _ in range(4)]
    kept = [draw.copy() for draw in draws]
    residual_spectrum(draws)
    np.testing.assert_array_equal(draws, kept)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_few_rows_still_give_an_answer(rng, n):
    r = residual_spectrum([rng.standard_normal((n, 3))] * 2)
    assert np.isfinite(r.held_out).all()
    assert np.isfinite(r.errors).all()
    assert r.directions.shape == (3, 1)


def test_many_columns_go_through_a_truncated_svd_with_the_same_answer(rng, monkeypatch):
    base = rng.standard_normal((60, 8)) * np.geomspace(4, 0.1, 8) + 3.0
    draws = [base + 0.05 * rng.standard_normal(base.shape) for _ in range(2)]
    dense = residual_spectrum(draws, n_directions=3)
    monkeypatch.setattr(module, "MOST_DENSE", 7)
    thin = residual_spectrum(draws, n_directions=3)
    np.testing.assert_allclose(thin.strengths, dense.strengths[:3], rtol=1e-2)
    np.testing.assert_allclose(np.abs(np.sum(thin.directions * dense.directions, axis=0)), 1.0, atol=1e-2)
    np.testing.assert_allclose(thin.held_out, dense.held_out, rtol=2e-2)
    a, b = (draw - draw.mean(0) for draw in draws)
    np.testing.assert_allclose(thin.strengths, ((a @ thin.directions) * (b @ thin.directions)).mean(0))
    assert (np.diff(thin.strengths) <= 0).all()
    again = residual_spectrum(draws, n_directions=3)
    np.testing.assert_array_equal(again.strengths, thin.strengths)  # from a fixed start
    nothing = residual_spectrum([np.ones((10, 8))] * 2, n_directions=2)
    np.testing.assert_array_equal(nothing.strengths, [0.0, 0.0])
    assert nothing.directions.shape == (8, 2)


def test_a_matrix_of_exactly_the_limit_is_dense(rng, monkeypatch):
    draws = [rng.standard_normal((30, 6))] * 2
    monkeypatch.setattr(module, "MOST_DENSE", 6)
    assert len(residual_spectrum(draws, n_directions=2).strengths) == 6
    monkeypatch.setattr(module, "MOST_DENSE", 5)
    assert len(residual_spectrum(draws, n_directions=2).strengths) == 2


def test_what_the_result_says_of_a_water_level():
    r = ResidualSpectrum(np.array([5.0, 1.0]), np.eye(2), np.array([4.0, 2.0]), np.array([0.5, 0.4]), 10)
    assert (r.top, r.error, r.most) == (4.0, 0.5, 5.0)
    wide = ResidualSpectrum(np.array([4.5]), np.eye(1), np.array([4.0]), np.array([0.5]), 10)
    assert wide.most == 5.0
    assert [r.n_above(level) for level in (2.9, 3.0, 1.19, 1.2)] == [1, 0, 2, 1]
    assert r.n_above(3.9, n_errors=0.0) == 1


def test_one_draw_is_refused_with_its_number():
    with pytest.raises(ValueError, match="two of them or more, got 1"):
        residual_spectrum([np.eye(3)])
    with pytest.raises(ValueError, match="two of them or more, got 0"):
        residual_spectrum([])


def test_the_prediction_of_each_half_is_the_ridge_of_the_other(rng):
    x, y = rng.standard_normal((21, 3)) + 2.0, rng.standard_normal((21, 2)) - 1.0
    halves = np.arange(21) % 4 < 2
    expected = np.empty_like(y)
    for held in (halves, ~halves):
        a, b = x[~held], y[~held]
        gram = (a - a.mean(0)).T @ (a - a.mean(0))
        penalty = np.linalg.eigvalsh(gram).mean() * 3 / len(a)
        weights = np.linalg.inv(gram + penalty * np.eye(3)) @ (a - a.mean(0)).T @ (b - b.mean(0))
        expected[held] = (x[held] - a.mean(0)) @ weights + b.mean(0)
    np.testing.assert_allclose(predicted_out_of_fold(x, y), expected)


def test_inputs_that_do_not_vary_predict_the_mean(rng):
    y = rng.standard_normal((8, 2))
    halves = np.arange(8) % 4 < 2
    predicted = predicted_out_of_fold(np.ones((8, 3)), y)
    np.testing.assert_allclose(predicted[halves], np.broadcast_to(y[~halves].mean(0), (4, 2)))
