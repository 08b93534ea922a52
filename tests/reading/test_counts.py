"""Losses of counts, against the distributions of SciPy and PyTorch: which, with what weight and dispersion."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import nbinom, poisson

from uncollapse import Objective, read_loss
from uncollapse.reading.forms import misfit_sum

K = 4


def kl(mu, logvar):
    return 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(1)


def of_scipy(r, mean_of, weight=1.0):
    """A loss of nbinom's own log-probability, which is NaN off the whole numbers."""

    def loss(recon, x, mu, logvar):
        with np.errstate(all="ignore"):
            m = mean_of(recon)
            return -nbinom.logpmf(x, r, r / (r + m)).sum(1).mean() + weight * kl(mu, logvar).mean()

    return loss


@pytest.mark.parametrize("r", [0.05, 0.7, 2.0, 30.0, 2000.0])
@pytest.mark.parametrize(
    ("what", "mean_of"),
    [("means", lambda m, r: m), ("log-means", lambda f, r: np.exp(f)), ("logits", lambda f, r: r * np.exp(f))],
)
def test_a_negative_binomial_is_read_with_its_dispersion(what, mean_of, r):
    reading = read_loss(of_scipy(r, lambda recon: mean_of(recon, r), 3.0), 12, K)
    assert f"negative binomial cost of {what}" in reading.formula
    assert reading.likelihood == "negative-binomial"
    assert reading.water_level == pytest.approx(3.0, rel=1e-3)
    assert reading.dispersion == pytest.approx(r, rel=1e-3)
    assert not reading.learns_variance
    assert Objective.from_reading(reading) == Objective(
        beta=reading.water_level, n_latents=K, likelihood="negative-binomial"
    )


@pytest.mark.parametrize("log_mean", [False, True])
def test_of_endless_dispersion_it_is_a_poisson(log_mean):
    mean_of = np.exp if log_mean else lambda m: m

    def counts(recon, x, mu, logvar):
        return -poisson.logpmf(x, mean_of(recon)).sum(1).mean() + 2 * kl(mu, logvar).mean()

    for loss in (of_scipy(1e8, mean_of, 2.0), counts):
        reading = read_loss(loss, 12, K)
        assert reading.likelihood == "poisson"
        assert reading.dispersion is None
        assert reading.water_level == pytest.approx(2.0, rel=1e-3)


def test_a_mean_over_features_is_told():
    torch = pytest.importorskip("torch")

    def loss(recon, x, mu, logvar):
        p = torch.distributions.NegativeBinomial(2.0, logits=torch.tensor(recon))
        return -p.log_prob(torch.tensor(x)).mean().item() + kl(mu, logvar).mean()

    reading = read_loss(loss, 12, K)
    assert reading.averaged
    assert reading.water_level == pytest.approx(12.0, rel=1e-3)


def gamma(recon, x, mu, logvar):
    return (x / recon + np.log(recon)).sum(1).mean() + kl(mu, logvar).mean()


def inflated(recon, x, mu, logvar):
    p = 0.7 * nbinom.pmf(x, 2, 2 / (2 + recon)) + 0.3 * (x == 0)
    return -np.log(p).sum(1).mean() + kl(mu, logvar).mean()


def binomial(recon, x, mu, logvar):
    return -(x * np.log(expit(recon)) + (9 - x) * np.log(expit(-recon))).sum(1).mean() + kl(mu, logvar).mean()


@pytest.mark.parametrize("loss", [gamma, inflated, binomial])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_its_neighbours_are_not_taken_for_it(loss):
    reading = read_loss(loss, 12, K)
    assert reading.outside
    assert reading.dispersion is None


@pytest.mark.parametrize("r", [0.4, 3.0])
def test_the_forms_are_the_distributions_but_for_terms_in_the_counts(r, rng):
    x = rng.integers(0, 9, (5, 3)).astype(float)
    one, other = rng.uniform(0.1, 4, (2, 5, 3))
    for kind, mean_of in (
        ("negative binomial", lambda m: m),
        ("negative binomial of log-means", np.exp),
        ("negative binomial of logits", lambda f: r * np.exp(f)),
    ):
        a, b = (-nbinom.logpmf(x, r, r / (r + mean_of(recon))).sum() for recon in (one, other))
        assert misfit_sum(kind, one, x, r) - misfit_sum(kind, other, x, r) == pytest.approx(a - b)
