"""Values that no likelihood gives, and how the command and objectives take counts."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from commandline import run
from count_tables import DISPERSIONS, counts
from uncollapse import DataError, ObjectiveError, forecast, moments, spectrum
from uncollapse.data.rows import as_rows

quiet = pytest.mark.filterwarnings("ignore::uncollapse.UncollapseWarning")


def with_value(value: float) -> np.ndarray:
    y = np.tile([[3.0, 1.0, 0.0], [0.0, 2.0, 5.0]], (20, 1))
    y[17, 2] = value
    return y


UNFIT = [
    (with_value(-1), {"likelihood": "poisson"}, "value -1 in row 17, column 2 .* is negative"),
    (with_value(2.5), {"likelihood": "poisson"}, "value 2.5 in row 17, column 2 .* is not a whole number"),
    (with_value(0.25), {"likelihood": "categorical"}, "value 0.25 in row 17, column 2"),
    (with_value(-3), {"likelihood": "negative-binomial", "size_factors": "total"}, "value -3 in row 17, column 2"),
    (with_value(5), {"likelihood": "bernoulli", "scale": 0.25}, r"value 5 × 0.25 in row 1, column 2 .* leave \[0"),
    (with_value(-1e-3) / 9, {"likelihood": "bernoulli"}, r"value -0.000111111 in row 17, column 2 .* leave \[0"),
    (with_value(2), {"likelihood": "poisson", "bias": False}, "without biases"),
    (with_value(2), {"likelihood": "poisson", "size_factors": np.ones(39)}, "39 size factors for 40 "),
    (with_value(2), {"likelihood": "poisson", "size_factors": -np.ones(40)}, "one positive number per row.*index 0"),
    (with_value(2), {"likelihood": "poisson", "size_factors": np.full(40, np.nan)}, "one positive number per row"),
    (with_value(2), {"likelihood": "poisson", "size_factors": np.full(40, np.inf)}, "one positive number per row"),
    (with_value(2), {"likelihood": "poisson", "size_factors": 2.0}, "one positive number per row, or .total., got 2"),
    (with_value(2), {"likelihood": "poisson", "size_factors": "mean"}, "got 'mean'"),
    (with_value(2), {"likelihood": "poisson", "size_factors": ["a"]}, r"got \['a'\]"),
    (with_value(2), {"likelihood": "poisson", "size_factors": np.ones((20, 2))}, "array of shape"),
    (with_value(2), {"likelihood": "categorical", "size_factors": np.ones(40)}, "row totals"),
    (with_value(2), {"size_factors": "total"}, "size factors belong to counts"),
    (with_value(2), {"likelihood": "poisson", "dispersion": 1.0}, "dispersion belongs to"),
    (with_value(2), {"likelihood": "negative-binomial", "dispersion": 0.0}, "dispersion must be a positive number"),
    (with_value(2), {"likelihood": "negative-binomial", "dispersion": np.ones(2)}, "2 dispersions for 3 columns"),
    (with_value(2), {"likelihood": "negative-binomial", "dispersion": "learned"}, "got 'learned'"),
    (np.zeros((40, 3)), {"likelihood": "categorical"}, "row 0 .* holds no counts"),
]


@quiet
@pytest.mark.parametrize("form", ["dense", "sparse", "wide", "blocks"])
@pytest.mark.parametrize(("y", "options", "message"), UNFIT)
def test_unfit_values_are_named(y, options, message, form):
    data = {"dense": y, "wide": y, "sparse": sp.csr_array(y), "blocks": [y[:7], y[7:]]}[form]
    more = {"n_modes": 2} if form == "wide" else {}
    with pytest.raises(DataError, match=message) as caught:
        spectrum(data, **options, **more)
    assert "\n" not in str(caught.value)


@quiet
def test_what_rounding_leaves_is_no_fraction(rng):
    y = counts(rng, n=60)[0]
    expected = spectrum(y, likelihood="poisson").strengths
    for rounded in ((y * 0.1) / 0.1, (y.astype(np.float32) / np.float32(7)) * np.float32(7), y + 1e-9):
        np.testing.assert_allclose(spectrum(rounded, likelihood="poisson").strengths, expected, rtol=1e-5)
    spectrum((y > 0) * (1 + 1e-9), likelihood="bernoulli")


@quiet
def test_rows_without_counts_and_length_known_late(rng):
    y, s, _ = counts(rng, n=60)
    y[33] = 0
    for likelihood in ("poisson", "negative-binomial"):
        spectrum(y, likelihood=likelihood)
        for more in ({}, {"n_modes": 2}):
            with pytest.raises(DataError, match="row 33 .* holds no counts"):
                spectrum(y, likelihood=likelihood, size_factors="total", **more)
    for wrong in (s[:50], np.tile(s, 2)):
        with pytest.raises(DataError, match="size factors for"):
            spectrum(iter([y[:30], y[30:]]), likelihood="poisson", size_factors=wrong)
        with pytest.raises(DataError, match="size factors for"):
            spectrum(replace(as_rows(y), n_rows=None), likelihood="poisson", size_factors=wrong, n_modes=2)
    with pytest.raises(DataError, match="several passes"):
        spectrum(iter([y]), likelihood="negative-binomial", size_factors=s)


@quiet
def test_moments_are_checked_as_far_as_they_can_be(rng):
    y, s, _ = counts(rng, n=60)
    with pytest.raises(DataError, match="column 0 has mean .* counts cannot"):
        spectrum(moments(-y), likelihood="poisson")
    with pytest.raises(DataError, match="column 0 has mean .* counts cannot"):
        spectrum(moments(y / (2 * y.max())), likelihood="poisson")
    for late in (
        {"likelihood": "poisson", "size_factors": s},
        {"likelihood": "negative-binomial", "size_factors": "total"},
    ):
        with pytest.raises(DataError, match="summed already"):
            spectrum(moments(y), **late)
    with pytest.raises(DataError, match="no row holds any counts"):
        spectrum(moments(0 * y), likelihood="categorical")
    with pytest.raises(ObjectiveError, match="taken already"):
        forecast(spectrum(y), size_factors=s)


@pytest.mark.parametrize("likelihood", ["poisson", "negative-binomial", "categorical"])
def test_objectives_of_counts(rng, likelihood):
    y = counts(rng, n=60)[0]
    for field in ({"decoder_variance": 2.0}, {"encoder_variance": 0.5}, {"bias": False}):
        with pytest.raises(ObjectiveError, match=likelihood):
            forecast(y, likelihood=likelihood, **field)
    f = forecast(y, likelihood=likelihood, beta=1e-3)
    np.testing.assert_array_equal(f.critical_betas, f.spectrum.strengths)
    assert not f.exact
    assert np.isnan(f.loss)
    dead = forecast(y, likelihood=likelihood, beta=2 * f.critical_beta)
    assert dead.status == "complete"
    assert dead.loss == dead.spectrum.collapsed_loss


def test_the_command_takes_counts(tmp_path, rng):
    y, s, _ = counts(rng, n=60)
    np.save(tmp_path / "y.npy", y)
    np.save(tmp_path / "s.npy", s)
    np.savetxt(tmp_path / "r.csv", DISPERSIONS[None], delimiter=",", header="a,b,c,d", comments="")
    np.save(tmp_path / "half.npy", y + 0.5)

    def answer(*words: str) -> dict:
        result = run("forecast", *words, "--json", "-", cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    keys = answer("y.npy").keys()
    chosen = ["--likelihood", "negative-binomial", "--dispersion", "r.csv", "--size-factors", "s.npy", "--latents", "3"]
    found = answer("y.npy", *chosen)
    assert found.keys() == keys
    expected = spectrum(y, likelihood="negative-binomial", dispersion=DISPERSIONS, size_factors=s)
    np.testing.assert_allclose([mode["critical_beta"] for mode in found["modes"]], expected.strengths)
    assert (found["likelihood"], found["exact"]) == ("negative-binomial", False)
    low, high = found["intervals"]["critical_betas"][0]
    assert low < found["critical_beta"] < high
    categorical = answer("y.npy", "--likelihood", "categorical", "--bootstrap", "0")
    assert categorical["critical_beta"] == pytest.approx(spectrum(y, likelihood="categorical").strengths[0])
    for message, words in {
        "is not a whole number": ["half.npy", "--likelihood", "poisson"],
        "where a single row or column is wanted": ["y.npy", "--likelihood", "poisson", "--size-factors", "y.npy"],
        "--likelihood goes with --beta": ["y.npy", "--likelihood", "poisson", "--recon", "bce"],
        "likelihood must be one of": ["y.npy", "--likelihood", "cauchy"],
    }.items():
        result = run("forecast", *words, cwd=tmp_path)
        assert (result.returncode, result.stdout) == (2, "")
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1
