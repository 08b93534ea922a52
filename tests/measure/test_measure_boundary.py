"""Whatever measuring is given ends in a measurement or in one line of ours, without a warning of NumPy's."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from odd_values import label
from uncollapse import Objective, forecast, measure_posterior
from uncollapse.errors import DataError, ObjectiveError, UncollapseError
from uncollapse.measure.baseline import baseline_losses
from uncollapse.measure.decoder import measure_decoder, row_losses
from uncollapse.measure.observe import observe
from uncollapse.measure.posterior import posterior
from uncollapse.probes import CallableProbe

GOOD = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])

SAME = [
    GOOD.tolist(), GOOD.astype(int), GOOD.astype(np.float16), GOOD.astype(np.longdouble), GOOD.astype(">f4"),
    torch.tensor(GOOD), torch.tensor(GOOD, requires_grad=True), torch.tensor(GOOD).bfloat16(), pd.DataFrame(GOOD),
    [[Fraction(int(v)) for v in row] for row in GOOD], [[Decimal(int(v)) for v in row] for row in GOOD],
    np.asfortranarray(GOOD), np.ma.masked_array(GOOD),
]  # fmt: skip

NONE = [
    None, "abc", b"abc", 3, 3.0, True, 1j, np.nan, pd.NA, object(), object, {}, {"a": GOOD}, set(), [], [[]], [[], []],
    [[1.0, 2.0], [3.0]], [["a", "b"]], np.zeros(3), np.zeros((3, 0)), GOOD.astype(complex), GOOD > 2,
    GOOD.astype(str), np.zeros((2, 2), dtype="M8[s]"), np.datetime64("2020-01-01"), [[1.0, None]], [[1.0, pd.NA]],
    [[1.0, Decimal("NaN")]], pd.DataFrame({"a": ["x", "y"]}), sparse.csr_array(GOOD), sparse.coo_array(GOOD),
    torch.tensor(GOOD).to_sparse(), torch.empty(3, 2, device="meta"), torch.tensor(GOOD).to(torch.complex64),
    np.ma.masked_array(GOOD, GOOD > 5), np.full((3, 2), np.inf), np.full((3, 2), np.nan), memoryview(b"abcd"),
    lambda: GOOD, range(3), iter([]), iter([GOOD]), [GOOD, "x"], Fraction(1, 2), 10**400, [[10**400, 1.0]],
]  # fmt: skip


def line(caught):
    assert "\n" not in str(caught.value)
    assert 10 < len(str(caught.value)) < 300


@pytest.mark.parametrize("values", SAME, ids=lambda v: type(v).__name__)
def test_numbers_in_any_container_are_measured_as_the_array_is(values):
    expected = measure_posterior(GOOD, variance=GOOD)
    for found in (measure_posterior(values, variance=GOOD), measure_posterior(GOOD, variance=values)):
        np.testing.assert_array_equal(found.kl, expected.kl)


@pytest.mark.parametrize("values", NONE, ids=lambda v: type(v).__name__)
def test_what_is_no_posterior_is_refused_wherever_it_is_given(values):
    for arguments in (
        {"mean": values, "variance": GOOD},
        {"mean": GOOD, "variance": values},
        {"mean": GOOD, "log_variance": values},
        {"mean": GOOD, "std": values},
    ):
        for measure in (measure_posterior, posterior):
            with pytest.raises(DataError) as caught:
                measure(**arguments)
            line(caught)


@pytest.mark.parametrize("values", [v for v in NONE if not isinstance(v, int | float | Fraction) or v != v], ids=label)
def test_what_is_no_prior_is_refused(values):
    for name in ("prior_mean", "prior_variance"):
        with pytest.raises(DataError) as caught:
            posterior(GOOD, variance=GOOD, **{name: values})
        line(caught)


@pytest.mark.parametrize("sizes", ["two", 1.5, (0, 2), (-1, 3), (2, 1), None, {1}, object()])
def test_sizes_of_levels_that_do_not_fit_are_refused(sizes):
    with pytest.raises(DataError) as caught:
        measure_posterior(GOOD, variance=GOOD, level_sizes=sizes)
    line(caught)


def test_batches_that_are_none_and_iterators_that_raise_are_named():
    good = posterior(GOOD, variance=GOOD)

    def breaks():
        yield good
        raise OSError("the disk is gone")

    with pytest.raises(DataError, match="batch 2 fails: OSError: the disk is gone") as caught:
        measure_posterior(breaks())
    assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(DataError, match="batch 2 is ndarray of shape 3×2, not a posterior"):
        measure_posterior(iter([good, GOOD]))
    with pytest.raises(DataError, match="brings its own variance"):
        measure_posterior(iter([good]), variance=GOOD)
    assert measure_posterior([good, good]).n_samples == 6


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"mean": np.array([[0.0, 0.0], [1.0, 1e155]]), "variance": np.ones((2, 2))}, "mean"),
        ({"mean": np.array([[0.0, 0.0], [1.0, -1e141]]), "variance": np.ones((2, 2))}, "mean"),
        ({"mean": np.zeros((2, 2)), "variance": np.array([[1.0, 1.0], [1.0, 1e155]])}, "variance"),
        ({"mean": np.zeros((2, 2)), "std": np.array([[1.0, 1.0], [1.0, 1e200]])}, "variance"),
        ({"mean": np.zeros((2, 2)), "log_variance": np.array([[1.0, 1.0], [1.0, 400.0]])}, "variance"),
        (
            {
                "mean": np.array([[0.0, 0.0], [1.0, 1e50]]),
                "variance": np.ones((2, 2)),
                "prior_variance": np.array([1.0, 1e-50]),
            },
            "KL",
        ),
    ],
)
def test_a_kl_that_is_not_finite_is_refused_and_the_row_named(given, what):
    with pytest.raises(DataError, match=f"the {what} is too large.* in 1 of 2 .*latent 2; first in row 1, ") as c:
        measure_posterior(**given)
    line(c)
    given["mean"] = np.where(np.abs(given["mean"]) > 10, 10.0, given["mean"])
    if what == "mean":
        assert np.isfinite(measure_posterior(**given).kl).all()


def test_the_row_of_a_mean_too_large_is_that_of_the_whole_data():
    def encode(x):
        return x, np.zeros_like(x)

    x = np.zeros((3000, 2))
    x[2500, 0] = 1e155
    blocks = [x[i : i + 1000] for i in range(0, 3000, 1000)]
    with pytest.raises(DataError, match="first in row 2500, counted"):
        observe(CallableProbe(encode, lambda z: z), iter(blocks))


def test_nothing_of_numpys_leaks_even_where_it_raises_at_everything(rng):
    tiny = rng.standard_normal((40, 3)) * [1e-200, 1e-300, 1.0]
    probe = CallableProbe(lambda x: (x, np.full_like(x, -600.0)), lambda z: z)
    objective = Objective(n_latents=3)
    with np.errstate(all="raise"):
        m = measure_posterior(tiny, std=np.full((40, 3), 1e-200))
        for name in ("kl", "kl_std", "mean_variance", "variance_std", "aggregate_covariance", "mean_rank",
                     "mutual_information_at_most", "active", "alive"):  # fmt: skip
            assert np.isfinite(getattr(m, name)).all()
        seen = observe(probe, tiny)
        d = measure_decoder(probe, seen, objective)
        assert np.isfinite([d.elbo, d.loss, d.misfit, d.mutual_information]).all()
        assert np.isfinite(d.residual.strengths).all()
        assert np.isfinite(row_losses(probe, seen, objective)).all()
        for likelihood in ("bernoulli", "poisson", "negative-binomial"):
            counts = (rng.random((40, 3)) < 0.5).astype(float)
            zero = CallableProbe(lambda x: (0 * x, 0 * x), lambda z: np.full_like(z, 1e-320))
            seen = observe(zero, counts)
            other = measure_decoder(zero, seen, Objective(n_latents=3, likelihood=likelihood))
            assert np.isfinite([other.elbo, other.loss]).all()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"scale": 0}, "scale must be a finite number other than 0"),
        ({"scale": "2"}, "scale must be"),
        ({"scale": np.array([1.0, 2.0])}, "scale must be"),
        ({"scale": torch.tensor(np.nan)}, "scale must be"),
        ({"drop_nonfinite": "no"}, "drop_nonfinite must be True or False, got 'no'"),
        ({"drop_nonfinite": None}, "drop_nonfinite must be"),
        ({"drop_nonfinite": 1}, "drop_nonfinite must be"),
        ({"n_rows": 0}, "n_rows must be"),
        ({"n_rows": 2.5}, "n_rows must be"),
        ({"n_rows": "all"}, "n_rows must be"),
        ({"seed": 1.5}, "seed must be"),
        ({"seed": "x"}, "seed must be"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_settings_of_observing_are_checked_first(settings, said):
    probe = CallableProbe(lambda x: (x, 0 * x), lambda z: z)
    with pytest.raises(DataError, match=said):
        observe(probe, GOOD, **settings)


def test_what_has_an_obvious_meaning_is_taken(rng):
    probe, x = CallableProbe(lambda x: (x, 0 * x), lambda z: z), rng.standard_normal((30, 2))
    plain = observe(probe, x, scale=0.5, n_rows=10, seed=3, drop_nonfinite=True)
    same = observe(probe, x, scale=Fraction(1, 2), n_rows=np.int64(10), seed=torch.tensor(3), drop_nonfinite=np.True_)
    np.testing.assert_array_equal(plain.x, same.x)
    np.testing.assert_array_equal(plain.measurement.kl, same.measurement.kl)


@pytest.mark.parametrize("model", [None, "model", 3, object(), CallableProbe, torch.nn.Linear(2, 2), {}])
def test_what_is_no_probe_is_told_how_to_become_one(model):
    seen = observe(CallableProbe(lambda x: (x, 0 * x), lambda z: z), GOOD)
    for call in (lambda: observe(model, GOOD), lambda: measure_decoder(model, seen, Objective())):
        with pytest.raises(ObjectiveError, match="probe must be a probe, got .*open_probe"):
            call()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"observation": GOOD}, "observation must be an Observation"),
        ({"objective": "mse"}, "objective must be an Objective"),
        ({"n_draws": 1}, "n_draws must be a whole number from 2 to 1000"),
        ({"n_draws": "4"}, "n_draws must be"),
        ({"seed": None}, "seed must be"),
    ],
)
def test_settings_of_the_decoders_measurement_are_checked(arguments, said):
    probe = CallableProbe(lambda x: (x, 0 * x), lambda z: z)
    given = {"observation": observe(probe, GOOD), "objective": Objective(n_latents=2), **arguments}
    with pytest.raises((DataError, ObjectiveError), match=said):
        measure_decoder(probe, given.pop("observation"), given.pop("objective"), **given)


@pytest.mark.parametrize(
    "out",
    [1e200, -1e200, np.nan, np.inf, 1e160],
)
def test_a_decoder_too_far_off_is_refused_before_any_number_is_infinite(out):
    probe = CallableProbe(lambda x: (x, 0 * x), lambda z: np.full_like(z, out))
    with pytest.raises(DataError, match="decoder's output is (not finite|up to .*e[+]\\d+, too far)") as caught:
        measure_decoder(probe, observe(probe, GOOD), Objective(n_latents=2))
    line(caught)


def test_a_complex_decoder_of_a_users_own_probe_is_refused():
    class Theirs:
        name, objective, decoder_variance, notes, trained_for = "theirs", None, None, (), None

        def encode(self, x, given=None):
            return posterior(x, variance=np.ones_like(x))

        def decode(self, z, given=None):
            return z + 1j

    seen = observe(Theirs(), GOOD)
    with pytest.raises(DataError, match="decoder gives ndarray of complex128 and shape .3, 2.*real numbers are due"):
        measure_decoder(Theirs(), seen, Objective(n_latents=2))


def test_the_baseline_wants_a_forecast():
    with pytest.raises(UncollapseError, match="forecast must be a Forecast"):
        baseline_losses("forecast", GOOD, GOOD)


def test_a_decoder_without_error_has_no_best_variance_and_no_bound_where_it_is_learned(rng):
    x = rng.standard_normal((40, 2))
    probe = CallableProbe(lambda x: (x, np.full_like(x, -700.0)), lambda z: np.zeros_like(z))
    seen = observe(probe, 0 * x)
    d = measure_decoder(probe, seen, Objective(n_latents=2))
    assert (d.misfit, d.tuned_decoder_variance, d.tuned_elbo) == (0, None, None)
    with pytest.raises(DataError, match="makes no error at all.*give a decoder variance"):
        measure_decoder(probe, seen, Objective(n_latents=2, decoder_variance="learned"))


def test_a_scale_that_overflows_the_data_is_refused():
    with pytest.raises(DataError, match="a scale of 1e[+]308 takes the values beyond"):
        observe(CallableProbe(lambda x: (x, 0 * x), lambda z: z), GOOD, scale=1e308)


@pytest.mark.parametrize("part", ["x", "y", "given"])
def test_rows_of_the_baseline_are_checked(part):
    f = forecast(GOOD, n_latents=1)
    for rows in ("abc", GOOD[0], GOOD + 1j, GOOD * np.nan):
        with pytest.raises(DataError):
            baseline_losses(f, **{"x": GOOD, "y": GOOD, part: rows})
    with pytest.raises(DataError, match="x has 1 columns and the forecast is for 2"):
        baseline_losses(f, GOOD[:, :1], GOOD)
    with pytest.raises(DataError, match="too far from the data of the forecast: row 1, counted"):
        baseline_losses(f, np.array([[1.0, 2.0], [1e200, 1.0], [1.0, 1.0]]), GOOD)
    with pytest.raises(DataError, match="x has 3 rows and y has 2"):
        baseline_losses(f, GOOD, GOOD[:2])


@pytest.mark.parametrize("part", ["data", "target", "given"])
def test_a_value_that_is_not_finite_is_placed_as_a_forecast_places_it(part):
    tables = {"data": np.zeros((6, 3)), part: np.zeros((6, 3))}
    tables[part][[3, 5], 2] = np.nan
    with pytest.raises(DataError) as of_forecast:
        forecast(**tables)
    probe = CallableProbe(lambda x, given=None: (x, np.zeros_like(x)), lambda z, given=None: z)
    with pytest.raises(DataError) as of_model:
        observe(probe, **tables)
    name = {"data": "the data", "target": "the target", "given": "the condition"}[part]
    assert f"{name}: 2 value(s) are NaN or infinite, the first in row 3, column 2 (counted" in str(of_model.value)
    if part == "data":
        assert str(of_model.value) == str(of_forecast.value)
    assert "the first in row 3, column " in str(of_forecast.value)
