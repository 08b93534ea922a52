"""Results as xarray Datasets and as ArviZ's InferenceData: the numbers of the nouns, under names."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

pytestmark = pytest.mark.libraries

xarray = pytest.importorskip("xarray", reason="runs in the libraries' environment")
with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)  # ArviZ announces its own next version when it is imported
    arviz = pytest.importorskip("arviz")

from scipy.stats import multivariate_normal, norm  # noqa: E402

from uncollapse import DataError, Objective, diagnose, forecast, measure_posterior  # noqa: E402
from uncollapse.interop.arviz import inference_data  # noqa: E402
from uncollapse.measure.posterior import posterior  # noqa: E402
from uncollapse.objective import Level  # noqa: E402

SCALES = [3.0, 2.0, 1.5, 0.3]
STD = 0.4


def pair():
    """A VAE of three latents, the last of which is dead: its posterior is the prior."""

    def encoder(x):
        mean = 0.8 * x[:, :3] * [1, 1, 0]
        return mean, np.where(np.arange(3) < 2, STD, 1.0) * np.ones_like(mean)

    return encoder, lambda z: np.pad(z * [1.2, 1.2, 0], ((0, 0), (0, 1)))


@pytest.fixture
def x(rng) -> np.ndarray:
    return rng.standard_normal((400, 4)) * SCALES


def same_after_a_file(found, path) -> None:
    found.to_netcdf(path, engine="scipy")
    with xarray.open_dataset(path, engine="scipy") as again:
        xarray.testing.assert_allclose(again.load(), found)


def test_a_forecast_has_its_modes_with_their_critical_beta(x, tmp_path):
    f = forecast(x, beta=1.0, n_latents=3)
    found = f.to_xarray()
    assert found.sizes == {"mode": 4, "feature": 4}
    np.testing.assert_array_equal(found.strength, f.spectrum.strengths)
    np.testing.assert_array_equal(found.critical_beta, f.critical_betas)
    assert found.kl.attrs["units"] == "nats"
    # the covariance, from directions and strengths
    made = np.einsum("mi,m,mj->ij", found.direction, found.strength, found.direction)
    np.testing.assert_allclose(made, np.cov(x.T, bias=True), rtol=1e-9, atol=1e-9)
    weak = found.where(found.critical_beta < 1, drop=True)
    assert weak.mode.values.tolist() == [4]
    assert (found.attrs["n_alive"], found.attrs["water_level"], found.attrs["status"]) == (3, 1.0, "alive")
    assert "direction" not in f.to_xarray(directions=False)
    same_after_a_file(found, tmp_path / "f.nc")


@pytest.mark.parametrize(
    "settings",
    [
        {"likelihood": "poisson"},
        {"levels": (Level(variance=0.5, n_latents=3), Level(n_latents=2)), "decoder_variance": 0.2},
        {"decoder_variance": "learned", "n_latents": 4},
        {"n_latents": 2},
    ],
    ids=["counts", "levels", "without a minimum", "plain"],
)
def test_every_kind_of_forecast_has_a_dataset(settings, x, tmp_path):
    rows = np.abs(x).round() if "likelihood" in settings else x
    found = forecast(rows, **settings)
    same_after_a_file(found.to_xarray(), tmp_path / "f.nc")
    assert found.to_xarray().attrs["status"] == found.status


def test_a_target_has_directions_of_its_own(x):
    found = forecast(x, x[:, :2] @ np.ones((2, 3)), n_latents=1).to_xarray()
    assert found.sizes == {"mode": 1, "feature": 3, "input_feature": 4}


def test_a_measurement_has_its_latents(x, tmp_path):
    mean, spread = pair()[0](x)
    m = measure_posterior(mean, std=spread)
    found = m.to_xarray()
    np.testing.assert_array_equal(found.kl, m.kl)
    assert found.latent.values.tolist() == [1, 2, 3]
    assert found.alive.values.tolist() == [True, True, False]
    assert float(found.collapsed_share.sel(epsilon=0.01, method="nearest")) == pytest.approx(1 / 3)
    assert found.attrs["rate"] == m.rate
    same_after_a_file(found, tmp_path / "m.nc")


def test_spatial_latents_and_levels_say_where_they_are(rng):
    spatial = measure_posterior(rng.standard_normal((50, 2, 3, 4)), variance=np.ones((50, 2, 3, 4))).to_xarray()
    image = spatial.kl.set_index(latent=["channel", "height", "width"]).unstack("latent")
    assert image.sizes == {"channel": 2, "height": 3, "width": 4}
    np.testing.assert_array_equal(image.values.ravel(), spatial.kl.values)
    levels = measure_posterior(rng.standard_normal((50, 3)), variance=np.ones((50, 3)), level_sizes=(2, 1)).to_xarray()
    assert levels.level.values.tolist() == [1, 1, 2]


def test_a_diagnosis_has_measurement_forecast_and_residual(x, tmp_path):
    d = diagnose(pair(), x, spread="std", objective=Objective(beta=1.0), budget=1)
    found = d.to_xarray()
    np.testing.assert_array_equal(found.kl, d.measurement.kl)
    np.testing.assert_array_equal(found.forecast_kl, d.forecast.modes.kl)
    np.testing.assert_array_equal(found.residual_strength, d.decoder.residual.held_out)
    assert float(found.row_loss.mean()) == pytest.approx(d.decoder.loss)
    assert (found.attrs["cause"], found.attrs["verdict"]) == (d.cause, d.verdict)
    same_after_a_file(found, tmp_path / "d.nc")


def test_inference_data_holds_draws_of_each_rows_posterior(x):
    found = inference_data(pair(), x, spread="std", objective=Objective(beta=2.0), n_draws=100, n_rows=400)
    assert found.posterior.z.dims == ("chain", "draw", "row", "latent")
    assert found.posterior.z.shape == (4, 100, 400, 3)
    mean, std = pair()[0](x)
    drawn = found.posterior.z
    assert np.abs((drawn.mean(("chain", "draw")) - mean) / std * np.sqrt(400)).max() < 5
    np.testing.assert_allclose(drawn.std(("chain", "draw")).mean("row"), std.mean(axis=0), rtol=0.01)
    m = measure_posterior(mean, std=std)
    np.testing.assert_allclose(found.posterior.kl, m.kl)
    assert found.posterior.z.where(found.posterior.alive, drop=True).sizes["latent"] == m.n_alive == 2
    assert found.posterior.attrs["rate"] == pytest.approx(m.rate)
    np.testing.assert_array_equal(found.observed_data.y, x)


def test_its_densities_are_those_of_scipy(x):
    found = inference_data(pair(), x, spread="std", objective=Objective(decoder_variance=0.7), n_draws=3, n_rows=400)
    z, decoder = found.posterior.z.values, pair()[1]
    mean, std = pair()[0](x)
    ratio = (norm.logpdf(z, mean, std) - norm.logpdf(z)).sum(axis=-1)
    np.testing.assert_allclose(found.sample_stats.log_ratio, ratio, rtol=1e-9, atol=1e-9)
    expected = [[multivariate_normal.logpdf(x - decoder(one), cov=0.7 * np.eye(4)) for one in chain] for chain in z]
    np.testing.assert_allclose(found.log_likelihood.y, expected, rtol=1e-9)


def test_arviz_summarises_compares_and_weighs_them(x):
    found = inference_data(pair(), x[:40], spread="std", objective=Objective(), n_draws=50)
    table = arviz.summary(found.posterior.sel(row=[1, 2]), var_names=["z"])
    assert len(table) == 6
    assert table.r_hat.max() < 1.1  # independent draws mix
    weights = (found.log_likelihood.y - found.sample_stats.log_ratio).stack(__sample__=("chain", "draw"))
    _, k = arviz.psislw(weights)
    assert k.sizes == {"row": 40}
    assert np.isfinite(k).all()
    assert found.prior.z.sizes == {"chain": 4, "draw": 50, "latent": 3}
    assert abs(float(found.prior.z.std()) - 1) < 0.2
    # draws of prior and posterior are not the same noise
    mean, std = pair()[0](x[:40])
    noise = ((found.posterior.z.values[0, 0] - mean) / std).ravel()
    assert not np.isclose(noise, found.prior.z.values.ravel()[: len(noise)]).any()


def test_a_model_that_says_no_loss_has_draws_and_no_likelihood(x):
    found = inference_data(pair(), x, spread="std")
    assert set(found.groups()) == {"posterior", "prior", "sample_stats", "observed_data"}
    assert found.posterior.sizes["row"] == 256


def test_the_prior_is_the_objectives(x):
    found = inference_data(pair(), x, spread="std", objective=Objective(prior_variance=9.0), n_draws=200)
    assert float(found.prior.z.std()) == pytest.approx(3.0, rel=0.1)
    mean, std = pair()[0](x)
    np.testing.assert_allclose(found.posterior.kl, measure_posterior(mean, std=std, prior_variance=9.0).kl, rtol=1e-9)


def test_a_prior_of_each_rows_own_has_no_group(x):
    class Conditional:
        name, objective, decoder_variance, trained_for, notes = "mine", None, None, None, ()

        def encode(self, x, given=None):
            return posterior(x[:, :2], variance=np.ones((len(x), 2)), prior_mean=x[:, 2:])

        def decode(self, z, given=None):
            return np.pad(z, ((0, 0), (0, 2)))

    assert set(inference_data(Conditional(), x).groups()) == {"posterior", "observed_data"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"n_rows": 1}, "n_rows must be a whole number from 2 on"),
        ({"n_chains": 0}, "n_chains must be a whole number from 1 on"),
        ({"n_draws": 2.5}, "n_draws must be a whole number"),
        ({"n_draws": 1000}, "n_draws must be a whole number from 2 to 1000"),
    ],
)
def test_settings_are_checked(settings, said, x):
    with pytest.raises(DataError, match=said):
        inference_data(pair(), x, spread="std", objective=Objective(), **settings)
