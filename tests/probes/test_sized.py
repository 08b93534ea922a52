"""Size factors and dispersions that a model of counts does not know itself."""

from __future__ import annotations

import json

import numpy as np
import pytest

from commandline import run
from uncollapse import DataError, Objective, ObjectiveError, diagnose, forecast, open_probe
from uncollapse.data.rows import as_rows
from uncollapse.probes.sized import with_dispersion, with_sizes

COUNTS = Objective(likelihood="negative-binomial", n_latents=2)


def sized_counts(rng, n=600, d=8):
    sizes = rng.lognormal(0, 0.8, n)
    return rng.poisson(np.outer(sizes, np.full(d, 20.0))).astype(float), sizes


def blind(x):
    """Encoder and decoder of a collapsed model, which knows the mean at a size of one."""
    return (lambda x: (np.zeros((len(x), 2)), np.ones((len(x), 2))), lambda z: np.full((len(z), x.shape[1]), 20.0))


def test_with_its_sizes_a_collapsed_model_misses_nothing_and_without_them_a_mode(rng):
    x, sizes = sized_counts(rng)
    poisson = Objective(likelihood="poisson", n_latents=2)
    without = diagnose(blind(x), x, spread="std", objective=poisson, budget=0.5)
    known = diagnose(blind(x), x, spread="std", objective=poisson, size_factors=sizes, budget=0.5)
    assert without.decoder.residual.top > 20
    assert known.decoder.residual.top < 2
    assert known.linear_gap == pytest.approx(0, abs=0.1)
    assert known.forecast.spectrum.strengths[0] < 2 < without.forecast.spectrum.strengths[0]
    assert known.cause != without.cause


def test_totals_and_a_condition_beside_are_taken(rng):
    x, _ = sized_counts(rng)
    batch = (np.arange(600) % 2)[:, None].astype(float)
    probe, given = with_sizes(open_probe(blind(x), spread="std"), "total", as_rows(x), batch)
    assert given.shape == (600, 2)
    assert np.allclose(given[:, 1], x.sum(1) / x.sum(1).mean())
    known = probe.covariates(given)
    assert (known.columns == batch).all()
    assert np.allclose(known.sizes, given[:, 1])


def test_a_module_with_sizes_stays_one_that_can_be_trained(rng):
    torch = pytest.importorskip("torch")

    class VAE(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.mean, self.out = torch.nn.Linear(8, 2), torch.nn.Linear(2, 8)

        def encode(self, x):
            return self.mean(x) / 100, 0 * self.mean(x)

        def decode(self, z):
            return torch.exp(self.out(z))

    x, sizes = sized_counts(rng)
    probe, given = with_sizes(open_probe(VAE(), spread="log_variance"), sizes, as_rows(x))
    z = rng.standard_normal((600, 2))
    assert np.allclose(probe.decode(z, given) / sizes[:, None], probe.decode(z, np.ones((600, 1))), rtol=1e-4)
    d = diagnose(VAE(), x, spread="log_variance", objective=Objective(likelihood="poisson"), size_factors=sizes)
    assert any(line.name in ("both", "path") for line in d.bill.tried)


def test_a_given_dispersion_is_that_of_forecast_and_decoder(rng):
    x, _ = sized_counts(rng)
    d = diagnose(blind(x), x, spread="std", objective=COUNTS, dispersion=5.0, budget=0.2)
    f = forecast(x, objective=COUNTS, dispersion=5.0)
    assert d.forecast.spectrum.strengths[0] == pytest.approx(f.spectrum.strengths[0])
    m, r = 20.0, 5.0
    left = ((x - m) / (1 + m / r)) / np.sqrt((m / (1 + m / r)) * 1.1)
    assert d.decoder.residual.top == pytest.approx(np.linalg.eigvalsh(left.T @ left / 600)[-1], rel=0.5)


@pytest.mark.parametrize(
    ("option", "match"),
    [
        ({"size_factors": np.ones(3)}, "3 size factors for 600 rows"),
        ({"size_factors": np.zeros(600)}, "one positive number per row"),
        ({"size_factors": "totals"}, "got 'totals'"),
        ({"size_factors": np.ones(600), "given": np.ones((5, 1))}, "600 size factors for 5 rows of the condition"),
        ({"dispersion": -1.0}, "dispersion must be positive"),
    ],
)
def test_what_does_not_fit_is_refused(rng, option, match):
    x, _ = sized_counts(rng)
    with pytest.raises(DataError, match=match):
        diagnose(blind(x), x, spread="std", objective=COUNTS, **option)


def test_rows_without_counts_and_sizes_given_twice_are_refused(rng):
    x, sizes = sized_counts(rng)
    probe, given = with_sizes(with_dispersion(open_probe(blind(x), spread="std"), 3.0), sizes, as_rows(x))
    assert probe.dispersion == 3.0
    with pytest.raises(ObjectiveError, match="takes its size factors from its own condition"):
        with_sizes(probe, sizes, as_rows(x), given)
    x[4] = 0
    with pytest.raises(DataError, match=r"row 4 \(counted from 0\) holds no counts"):
        diagnose(blind(x), x, spread="std", objective=COUNTS, size_factors="total")
    with pytest.raises(DataError, match="give the data that the model was trained on"):
        diagnose(blind(x), spread="std", objective=COUNTS)


def test_the_command_takes_both(rng, tmp_path, monkeypatch):
    x, sizes = sized_counts(rng)
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", x)
    np.save("sizes.npy", sizes)
    np.save("r.npy", np.full(8, 50.0))
    (tmp_path / "counting.py").write_text(
        "import numpy as np\n"
        "def build():\n"
        "    return (lambda x: (np.zeros((len(x), 2)), np.ones((len(x), 2))), lambda z: np.full((len(z), 8), 20.0))\n"
    )
    options = ["--spread", "std", "--likelihood", "negative-binomial", "--budget", "0.2", "--json", "-"]
    done = run("diagnose", "counting:build", "x.npy", *options, "--size-factors", "sizes.npy", "--dispersion", "r.npy")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["forecast_alive"] == 0
    plain = run("diagnose", "counting:build", "x.npy", *options)
    assert json.loads(plain.stdout)["forecast_alive"] > 0
