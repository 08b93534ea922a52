"""Cases that once went wrong, each as small as it can be shown."""

from __future__ import annotations

import json

import numpy as np
import pytest

from commandline import run
from uncollapse import (
    DataError,
    Level,
    Objective,
    ObjectiveError,
    SourceError,
    UncollapseWarning,
    forecast,
    moments,
    origin_hessian,
    spectrum,
)
from uncollapse.data.sources import open_source
from uncollapse.forecasting import words
from uncollapse.forecasting.intervals import bootstrap

quiet = pytest.mark.filterwarnings("ignore::uncollapse.UncollapseWarning")
CROSS = np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])


@pytest.mark.parametrize("mean", [1e6, 1e8])
def test_a_large_target_does_not_hide_the_mean_of_the_input(rng, mean):
    x = rng.standard_normal((2000, 1)) + mean
    y = mean * (x - x.mean() + 0.5 * rng.standard_normal((2000, 1)))
    centred = x - x.mean()
    expected = (centred.T @ (y - y.mean()))[0, 0] ** 2 / (centred**2).sum() / 2000
    assert spectrum(x, y).strengths[0] == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_regression_does_not_depend_on_the_units_of_the_input(rng, dtype):
    x = rng.standard_normal((2000, 10))
    x[:, 0] *= 1e3 if dtype == np.float32 else 1e8
    y = x[:, 1:2].copy()
    assert spectrum(x.astype(dtype), y.astype(dtype)).strengths[0] == pytest.approx(y.var(), rel=1e-4)


def test_dead_input_columns_do_not_count_as_fitted(rng):
    base = rng.standard_normal((100, 10))
    y = base[:, :2] @ rng.standard_normal((2, 3)) + 0.3 * rng.standard_normal((100, 3))
    once, often = spectrum(base, y), spectrum(np.tile(base, (1, 20)), y)
    np.testing.assert_allclose(often.strengths, once.strengths, rtol=1e-8)
    assert often.noise.edge == pytest.approx(once.noise.edge)


def test_float32_says_that_it_cannot_see_weak_modes(rng):
    x = (rng.standard_normal((500, 80)) * np.geomspace(1e4, 1e-2, 80)).astype(np.float32)
    with pytest.warns(UncollapseWarning, match="pass float64 data"):
        s = spectrum(x)
    assert not s.complete
    assert spectrum(x.astype(float)).rank == 80


@pytest.mark.parametrize("d", [1, 4, 64])
def test_long_float32_tables_keep_their_accuracy(rng, d):
    x = np.where(rng.random((1_000_000 // d, d)) < 0.5, np.float32(0.3), np.float32(-0.3)) + np.float32(0.19)
    exact = spectrum(x.astype(float)).strengths
    assert np.abs(spectrum(x).strengths - exact).max() < 1e-5 * exact[0]


def test_bernoulli_without_biases_is_refused(rng):
    with pytest.raises(ObjectiveError, match="keep the biases"):
        Objective(likelihood="bernoulli", bias=False)
    with pytest.raises(DataError, match="without biases"):
        spectrum(np.eye(3), likelihood="bernoulli", bias=False)


def test_options_that_come_too_late_are_refused(rng):
    x, y = rng.standard_normal((20, 3)), rng.standard_normal((20, 2))
    with pytest.raises(DataError, match="summed already"):
        spectrum(moments(x), y)
    for late in ({"scale": 0.1}, {"target": y}, {"n_modes": 1}):
        with pytest.raises(ObjectiveError, match="taken already"):
            forecast(spectrum(x), **late)


def test_masked_values_are_missing_values():
    masked = np.ma.masked_greater(np.array([[1.0, 2.0], [3.0, 1e6], [0.0, 1.0]]), 1e5)
    with pytest.raises(DataError, match="row 1, column 1"):
        spectrum(masked)


def test_no_advice_leads_into_an_ill_posed_objective():
    f = forecast(CROSS, beta=1.5, decoder_variance="learned", n_latents=2)
    with pytest.raises(ObjectiveError, match="cannot keep 2"):
        f.keep(2)
    assert not any("keep" in line for line in words.advice(f))
    assert forecast(CROSS, beta=f.keep(1).beta * 0.999, decoder_variance="learned", n_latents=2).n_alive == 1


@quiet
def test_modes_that_nobody_looked_for_are_not_called_collapsed(rng):
    text = words.verdict(forecast(3 * rng.standard_normal((100, 50)), n_modes=3))
    assert text.startswith("At least 3 latents could live")
    assert forecast(rng.standard_normal((100, 5)), n_modes=5, n_latents=8).n_latents == 8


def test_a_bernoulli_decoder_has_no_variance_to_lower(rng):
    x = (rng.random((100, 4)) < 0.4).astype(float)
    assert forecast(x, likelihood="bernoulli", beta=3.0).keep(1).decoder_variance is None


@quiet
def test_bootstrap_of_very_few_rows_and_of_the_wrong_rows(rng):
    x, y = rng.standard_normal((4, 6)), rng.standard_normal((4, 3))
    assert bootstrap(x, forecast(x, y), y).n_samples == 200
    z = rng.standard_normal((50, 3))
    f = forecast(z)
    with pytest.raises(DataError, match="20 rows came where the forecast saw 50"):
        bootstrap(z[:20], f)
    z[3, 1] = np.nan
    with pytest.raises(DataError, match="NaN or infinite"):
        bootstrap(z, f)


@quiet
@pytest.mark.parametrize(
    ("size", "options"), [(1e-170, {}), (1e160, {}), (1e160, {"n_modes": 2}), (1.0, {"scale": 1e200})]
)
def test_numbers_whose_squares_leave_float64_are_named(rng, size, options):
    with pytest.raises(DataError, match=r"rescale"):
        spectrum(rng.standard_normal((9, 4)) * size, **options)


def test_files_damaged_behind_their_header_are_named(tmp_path):
    (tmp_path / "latin.csv").write_bytes(b"a,b\n1,2\n3,\xe9\n")
    (tmp_path / "long.csv").write_bytes(b"a,b\n1,2\nx" + b"9" * 200_000 + b",1\n")
    for name in ("latin.csv", "long.csv"):
        with pytest.raises(SourceError, match=name):
            moments(open_source(str(tmp_path / name)))


@pytest.mark.filterwarnings("ignore")
def test_stores_of_text_are_refused(tmp_path):
    zarr = pytest.importorskip("zarr")
    zarr.save(tmp_path / "complex.zarr", np.zeros((3, 2), complex))
    with pytest.raises(SourceError, match="expected real numbers"):
        open_source(str(tmp_path / "complex.zarr"))


def test_a_header_of_column_numbers_is_a_header(tmp_path):
    (tmp_path / "t.csv").write_text("0,1,2\n1.5,2.5,1\n3.5,5.5,2\n")
    with pytest.warns(UncollapseWarning, match="only counts the columns"):
        rows = open_source(str(tmp_path / "t.csv"))
    assert moments(rows).n_samples == 2


def test_an_output_never_replaces_an_input(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3,5\n4,4\n")
    result = run("forecast", "t.csv", "--json", "t.csv", cwd=tmp_path)
    assert result.returncode == 2
    assert "also an input" in result.stderr
    assert (tmp_path / "t.csv").read_text().startswith("a,b")


def test_mistyped_options_end_in_one_line():
    for words_ in (["forecast", "iris", "--beta", "abc"], ["forecast"], ["nonsense"], ["forecast", "iris", "--what"]):
        result = run(*words_)
        assert result.returncode == 2
        assert len(result.stderr.splitlines()) == 1


def test_numpy_numbers_make_plain_json(rng):
    f = forecast(
        rng.standard_normal((20, 3)), n_latents=np.int64(2), beta=np.float32(2), encoder_variance=np.array([0.1, 0.2])
    )
    assert json.loads(json.dumps(f.to_dict()))["objective"]["n_latents"] == 2


@quiet
def test_wide_tables_count_constant_columns_and_keep_exact_energies(rng):
    import scipy.sparse as sp

    x = rng.standard_normal((9, 50))
    x[:, :5] = 0.1
    assert spectrum(x).n_constant == 5
    shifted = np.zeros((300, 60))
    shifted[:, :3] = 1e6 + rng.standard_normal((300, 3))
    shifted[:, 3:] = rng.standard_normal((300, 57)) * (rng.random((300, 57)) < 0.1)
    exact = ((shifted - shifted.mean(axis=0)) ** 2).sum() / 300
    assert spectrum(sp.csr_array(shifted), n_modes=4).total_energy == pytest.approx(exact, rel=1e-9)


@quiet
def test_wide_tables_in_pieces_form_no_square_matrix(monkeypatch, rng):
    from uncollapse.spectra import decompose

    monkeypatch.setattr(decompose, "MANY_FEATURES", 40)
    monkeypatch.setattr(decompose, "moments", lambda *_, **__: pytest.fail("a d × d matrix was formed"))
    x = rng.standard_normal((100, 50))
    whole = np.linalg.svd(x - x.mean(axis=0), compute_uv=False) ** 2 / 100
    np.testing.assert_allclose(spectrum([x[:60], x[60:]], n_modes=3).strengths, whole[:3], rtol=1e-6)
    with pytest.raises(DataError, match="read only once"):
        spectrum(iter([x]))


def test_empty_batches_are_passed_over(rng):
    x = rng.standard_normal((10, 3))
    assert moments(iter([x[:0], x, x[:0]])).n_samples == 10


def test_constant_data_have_weights_whatever_the_widths():
    ones = np.ones((9, 2))
    for widths in (0.5, (0.5, 0.2), (0.5, "learned")):
        with pytest.warns(UncollapseWarning):
            f = forecast(ones, encoder_variance=widths, n_latents=2)
        assert not f.weights.decoder.any()


def test_the_cost_of_a_condition_counts_all_modes_of_the_data(rng):
    y = rng.standard_normal((300, 4)) * 3
    f = forecast(y, given=y[:, :3])
    assert (f.n_alive, f.without_condition.n_alive) == (1, 4)


def test_origin_hessian_refuses_levels(rng):
    with pytest.raises(ObjectiveError, match="not for levels"):
        origin_hessian(forecast(rng.standard_normal((50, 2)), levels=(Level(20.0),)))


def test_bootstrap_of_a_conditional_forecast_wants_the_condition(rng):
    x = rng.standard_normal((100, 3))
    with pytest.raises(DataError, match="has a condition"):
        bootstrap(x, forecast(x + rng.standard_normal((100, 3)), given=x))


def test_an_upper_level_wider_than_the_first_can_still_be_all_alive(rng):
    x = rng.standard_normal((100, 2)) * 5
    f = forecast(x, levels=(Level(1, 0.1, 2), Level(1, 0.1, 4)))
    assert f.levels[1].n_alive == 2
    assert f.status == "alive"


def test_other_likelihoods_do_not_claim_gaussian_totals(rng):
    f = forecast((rng.random((200, 4)) < 0.3).astype(float), likelihood="bernoulli", beta=0.5)
    assert f.n_alive > 0
    assert np.isnan(f.rate)
    assert np.isnan(f.distortion)
    assert f.to_dict()["rate"] is None


def test_large_scales_do_not_overflow_in_the_noise_level(rng):
    x = rng.standard_normal((50, 3)) * [5, 1, 0.1]
    large, small = spectrum(x * 1e100), spectrum(x)
    np.testing.assert_allclose(large.debiased_strengths / 1e200, small.debiased_strengths, rtol=1e-9)
