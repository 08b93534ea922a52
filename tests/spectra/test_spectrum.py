"""Spectra of all shapes against dense eigen-solvers, and what sampling noise does to them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from problems import rows_with_spectrum
from seeds import SEED
from uncollapse import DataError, UncollapseWarning, forecast, moments, spectrum
from uncollapse.data import blocks as blocks_module
from uncollapse.forecasting.intervals import bootstrap
from uncollapse.spectra import decompose
from uncollapse.theory.krylov import krylov_modes
from uncollapse.theory.noise import noise_edge, noise_variance, true_signal

quiet = pytest.mark.filterwarnings("ignore::uncollapse.UncollapseWarning")


@quiet
@seed(SEED)
@settings(max_examples=40, deadline=None, database=None)
@given(
    n=st.integers(2, 40),
    d=st.integers(1, 30),
    rank=st.integers(1, 30),
    size=st.sampled_from([1e-12, 1.0, 1e9]),
    data_seed=st.integers(0, 2**32 - 1),
)
def test_strengths_are_the_eigenvalues_of_the_covariance(n, d, rank, size, data_seed):
    rng = np.random.default_rng(data_seed)
    x = size * rng.standard_normal((n, rank)) @ rng.standard_normal((rank, d))
    expected = np.linalg.svd(x - x.mean(axis=0), compute_uv=False) ** 2 / n
    s = spectrum(x)
    assert s.rank == min(n - 1, d, rank)
    np.testing.assert_allclose(s.strengths, expected[: s.rank], rtol=1e-6, atol=1e-10 * expected[0])
    assert s.total_energy == pytest.approx(expected.sum())
    assert s.residual_energy == 0


@quiet
@seed(SEED)
@settings(max_examples=40, deadline=None, database=None)
@given(
    n=st.integers(10, 60),
    d0=st.integers(1, 6),
    d2=st.integers(1, 6),
    data_seed=st.integers(0, 2**32 - 1),
    bias=st.booleans(),
)
def test_regression_strengths_are_what_least_squares_explains(n, d0, d2, data_seed, bias):
    """Σ ζ² is the energy of the fitted values, and the ζ² are its principal values."""
    rng = np.random.default_rng(data_seed)
    x = rng.standard_normal((n, d0)) + 1
    y = x @ rng.standard_normal((d0, d2)) + rng.standard_normal((n, d2))
    s = spectrum(x, y, bias=bias)
    if bias:
        x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    fitted = x @ np.linalg.lstsq(x, y, rcond=None)[0]
    expected = np.linalg.svd(fitted, compute_uv=False) ** 2 / n
    np.testing.assert_allclose(s.strengths, expected[: s.rank], rtol=1e-7, atol=1e-10 * expected[0])
    assert s.residual_energy == pytest.approx(((y - fitted) ** 2).sum() / n, abs=1e-9 * s.total_energy)


@quiet
def test_the_basis_reads_and_writes_the_modes(rng):
    x = rng.standard_normal((60, 5)) @ rng.standard_normal((5, 7))
    y = x[:, :3] @ rng.standard_normal((3, 4)) + rng.standard_normal((60, 4))
    for target in (None, y):
        s = spectrum(x, target)
        out = x if target is None else target
        scores = (x - x.mean(axis=0)) @ s.basis.encoder
        np.testing.assert_allclose(scores.T @ scores / 60, np.eye(s.rank), atol=1e-8)
        np.testing.assert_allclose(s.basis.decoder.T @ s.basis.decoder, np.eye(s.rank), atol=1e-9)
        cross = s.basis.decoder.T @ (out - out.mean(axis=0)).T @ scores / 60
        np.testing.assert_allclose(cross, np.diag(np.sqrt(s.strengths)), atol=1e-8)


@quiet
def test_duplicated_rows_and_columns_change_what_they_should(rng):
    x = rng.standard_normal((30, 4))
    np.testing.assert_allclose(spectrum(np.vstack([x, x])).strengths, spectrum(x).strengths, rtol=1e-12)
    np.testing.assert_allclose(spectrum(np.hstack([x, x])).strengths, 2 * spectrum(x).strengths, rtol=1e-12)


@quiet
def test_without_biases_the_mean_is_a_mode(rng):
    x = rng.standard_normal((200, 4)) + 10
    s = spectrum(x, bias=False)
    np.testing.assert_allclose(s.strengths, np.linalg.eigvalsh(x.T @ x / 200)[::-1], rtol=1e-12)


@quiet
@pytest.mark.parametrize("shape", [(30, 300), (200, 300)])
@pytest.mark.parametrize("make", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("bias", [True, False])
def test_wide_tables_agree_with_the_dense_solver(rng, monkeypatch, shape, make, bias):
    monkeypatch.setattr(blocks_module, "BLOCK_ENTRIES", 1)
    x = rng.standard_normal(shape) * np.geomspace(5, 0.1, shape[1]) * (rng.random(shape) < 0.3) + 0.5 * (
        rng.random(shape[1]) < 0.5
    )
    data = make(x)
    centred = x - x.mean(axis=0) if bias else x
    exact = np.linalg.svd(centred, compute_uv=False) ** 2 / shape[0]
    every = spectrum(data, bias=bias)
    np.testing.assert_allclose(every.strengths, exact[: every.rank], rtol=1e-8, atol=1e-10 * exact[0])
    some = spectrum(data, n_modes=8, bias=bias)
    assert not some.complete
    assert some.total_energy == pytest.approx(exact.sum(), rel=1e-12)
    assert (np.abs(some.strengths - exact[:8]) <= some.strength_errors + 1e-12 * exact[0]).all()
    np.testing.assert_allclose(some.strengths, exact[:8], rtol=1e-5)
    scores = centred @ some.basis.encoder
    np.testing.assert_allclose(scores.T @ scores / shape[0], np.eye(8), atol=1e-4)


@quiet
def test_very_wide_tables_form_no_square_matrix(rng):
    """25,000 features: a d × d matrix would take 5 GB."""
    import tracemalloc

    x = sp.random_array((5000, 25_000), density=0.001, rng=rng, format="csr", dtype=np.float64) * 10
    tracemalloc.start()
    s = spectrum(x, n_modes=5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e9
    exact = sp.linalg.svds(x - 0.0, k=1, return_singular_vectors=False)[0] ** 2 / 5000
    assert s.strengths[0] <= exact * 1.001
    assert s.n_features == 25_000
    assert not s.complete


def test_the_block_krylov_bound_holds_when_stopped_early(rng):
    basis = np.linalg.qr(rng.standard_normal((200, 200)))[0]
    eigenvalues = 1 / np.arange(1, 201)
    covariance = (basis * eigenvalues) @ basis.T
    for passes in (1, 2, 3, 8):
        found = krylov_modes(lambda v: covariance @ v, 200, 5, max_passes=passes, tolerance=1e-14, seed=SEED)
        nearest = np.abs(found.strengths[:, None] - eigenvalues).min(axis=1)
        assert found.n_passes <= passes
        assert (nearest <= found.errors + 1e-14).all()
        assert (found.strengths <= eigenvalues[:5] + 1e-12).all()


def test_wide_data_that_come_only_once_are_refused(monkeypatch):
    monkeypatch.setattr(decompose, "MANY_FEATURES", 10)
    with pytest.raises(DataError, match="reduce them below 10"):
        spectrum(np.zeros((30, 12)), np.zeros((30, 2)))


def test_noise_alone_stays_under_the_edge_and_spikes_stand_above(rng):
    n, d = 2000, 400
    x = rng.standard_normal((n, d)) * 1.5
    s = spectrum(x)
    assert s.noise.variance == pytest.approx(2.25, rel=0.05)
    assert s.above_noise.sum() <= 1
    x[:, 0] *= 4
    x[:, 1] *= 2
    spiked = spectrum(x)
    assert spiked.above_noise.sum() in (2, 3)


def test_de_biasing_takes_the_push_of_noise_out_on_average(rng):
    """ℓ = 4, ν = 1, γ = 1/2: seen near 4(1 + ½/3) = 4.67; over 40 samples the standard error is about 0.06."""
    seen, debiased = [], []
    for _ in range(40):
        x = rng.standard_normal((300, 150))
        x[:, 0] *= 2
        s = spectrum(x)
        seen.append(s.strengths[0])
        debiased.append(s.debiased_strengths[0])
    assert np.mean(seen) == pytest.approx(4.67, abs=0.3)
    assert np.mean(debiased) == pytest.approx(4.0, abs=0.3)


def test_regression_noise_is_told_from_signal(rng):
    n, d0, d2 = 1000, 60, 30
    x = rng.standard_normal((n, d0))
    y = rng.standard_normal((n, d2))
    none = spectrum(x, y)
    assert none.noise.variance == pytest.approx(1.0, rel=0.05)
    assert none.above_noise.sum() <= 1
    one = spectrum(x, y + np.outer(x[:, 0], np.eye(d2)[0]) * 1.5)
    assert one.above_noise.sum() in (1, 2)
    assert one.debiased_strengths[0] == pytest.approx(2.25, rel=0.15)


@pytest.mark.parametrize("gamma", [0.05, 0.5, 0.99, 1.5, 4.0])
def test_the_noise_edge_matches_simulation(rng, gamma):
    n = 800
    x = rng.standard_normal((n, int(gamma * n)))
    values = np.linalg.svd(x, compute_uv=False) ** 2 / n
    assert values.max() == pytest.approx(noise_edge(1.0, gamma), rel=0.06)


def test_a_steadily_falling_spectrum_is_not_mistaken_for_noise():
    strengths = np.geomspace(100, 1e-3, 60)
    variance, k = noise_variance(strengths, strengths.sum(), 60, 2000)
    assert k >= 58
    assert variance <= strengths[57]


def test_leading_modes_alone_give_the_same_noise_level(rng):
    x = rng.standard_normal((400, 100))
    x[:, :3] *= [6, 5, 4]
    whole = spectrum(x)
    few = whole.leading(10)
    assert whole.above_noise.sum() in (3, 4)
    assert few.noise == whole.noise


def test_de_biasing_inverts_the_spiked_model():
    a, b, x2 = 0.7, 0.2, np.array([0.5, 1.0, 30.0])
    np.testing.assert_allclose(true_signal((x2 + a) * (x2 + b) / x2, a, b), x2, rtol=1e-12)


@quiet
def test_bootstrap_intervals_cover_the_truth(rng):
    """Ninety per cent intervals over 60 samples: well above 75 % must hold (binomial, 3 standard errors)."""
    strengths, hits = np.array([9.0, 4.0, 1.0]), []
    for trial in range(60):
        x = rng.standard_normal((300, 3)) * np.sqrt(strengths)
        found = bootstrap(x, forecast(x), seed=trial)
        hits.append((found.critical_betas[:, 0] <= strengths) & (strengths <= found.critical_betas[:, 1]))
    assert (np.mean(hits, axis=0) > 0.75).all()


@quiet
@pytest.mark.parametrize("variance", [1.0, "learned"])
def test_bootstrap_agrees_with_resampling_the_rows(rng, variance):
    x = rng.standard_normal((250, 6)) * [4, 3, 2, 1, 0.5, 0.3] + 100
    y = x @ rng.standard_normal((6, 4)) + rng.standard_normal((250, 4))
    for target in (None, y):
        f = forecast(x, target, n_latents=3, decoder_variance=variance)
        shards = bootstrap(x, f, target, n_samples=400, seed=SEED)
        direct = []
        for _ in range(400):
            index = rng.integers(250, size=250)
            other = None if target is None else target[index]
            direct.append(forecast(x[index], other, n_latents=3, decoder_variance=variance).critical_betas[0])
        low, high = np.quantile(direct, [0.05, 0.95])
        width = high - low
        assert abs(shards.critical_betas[0, 0] - low) < 0.3 * width
        assert abs(shards.critical_betas[0, 1] - high) < 0.3 * width


def test_conditions_that_change_the_result_are_warned_about(rng):
    x = rng.standard_normal((50, 4))
    with pytest.warns(UncollapseWarning, match="2 of 6 columns are constant"):
        spectrum(np.hstack([x, np.ones((50, 2))]))
    with pytest.warns(UncollapseWarning, match="10 rows against 20 features"):
        spectrum(rng.standard_normal((10, 20)))
    with pytest.warns(UncollapseWarning, match="fits any target exactly"):
        spectrum(rng.standard_normal((5, 6)), rng.standard_normal((5, 1)))
    with pytest.warns(UncollapseWarning, match="no mode has any strength"):
        spectrum(np.ones((5, 3)))


@quiet
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_modes": 0}, "n_modes must be a whole number from 1 on"),
        ({"scale": np.nan}, "scale"),
        ({"scale": 0.0}, "scale"),
        ({"likelihood": "cauchy"}, "likelihood must be one of"),
        ({"bias": False, "ddof": 1}, "ddof"),
    ],
)
def test_unfit_options_are_refused(options, message):
    with pytest.raises(DataError, match=message):
        spectrum(np.zeros((4, 2)), **options)


@quiet
def test_bernoulli_strengths_are_eigenvalues_of_the_correlation_matrix(rng):
    x = (rng.standard_normal((500, 3)) @ rng.standard_normal((3, 8)) + 0.5 > 0).astype(float)
    s = spectrum(x, likelihood="bernoulli")
    np.testing.assert_allclose(s.strengths, np.linalg.eigvalsh(np.corrcoef(x.T))[::-1], rtol=1e-9)
    p = x.mean(axis=0)
    assert s.collapsed_loss == pytest.approx(-(p * np.log(p) + (1 - p) * np.log(1 - p)).sum())
    with pytest.raises(DataError, match="column 0 has mean"):
        spectrum(moments(x * 3), likelihood="bernoulli")


@quiet
def test_strengths_of_known_spectra_come_back(rng):
    strengths = np.array([9.0, 4.0, 4.0, 1.0, 0.25])
    x = rows_with_spectrum(strengths, 50, 8, rng, mean=1e3)
    np.testing.assert_allclose(spectrum(x).strengths, strengths, rtol=1e-9)


@pytest.mark.filterwarnings("ignore:12 rows against 60 features")
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_directions_of_few_rows_are_found_when_asked_for_from_the_rows_as_they_were(rng, bias, dtype):
    x = (rng.standard_normal((12, 60)) * 20 + 120).astype(dtype)
    rows = 2.0 * (x.astype(float) - bias * x.astype(float).mean(axis=0))
    s = spectrum(x, scale=2.0, bias=bias)
    x[:] = 0
    _, singular, vt = np.linalg.svd(rows, full_matrices=False)
    rank = 12 - bias
    np.testing.assert_allclose(s.strengths, singular[:rank] ** 2 / 12, rtol=1e-9)
    np.testing.assert_allclose(np.abs((s.basis.decoder * vt[:rank].T).sum(axis=0)), 1.0, rtol=1e-9)
    np.testing.assert_allclose(s.basis.encoder.T @ (rows.T @ rows / 12) @ s.basis.encoder, np.eye(rank), atol=1e-8)


def test_of_whitened_columns_no_mode_is_called_noise(rng):
    x = rng.standard_normal((1000, 12))
    assert spectrum(x).above_noise.sum() <= 1
    x -= x.mean(axis=0)
    left, _, right = np.linalg.svd(x, full_matrices=False)
    whitened = spectrum(left @ right * 1000**0.5)
    assert whitened.above_noise.all()
    np.testing.assert_allclose(whitened.debiased_strengths, whitened.strengths, rtol=2e-3)
