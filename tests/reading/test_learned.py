"""Variances and dispersions that a loss learns, as parameters of a module or as arguments, by PyTorch's densities."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import NegativeBinomial, Normal

from uncollapse import Objective, ObjectiveError, forecast, read_loss

D, K = 10, 3


def kl(mu, logvar):
    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1)


SCALES = {
    "log σ": (lambda p: p.exp(), -1.2),
    "log σ²": (lambda p: (p / 2).exp(), 0.7),
    "σ": (lambda p: p, 0.05),
    "σ²": (lambda p: p.sqrt(), 4.0),
    "a precision": (lambda p: 1 / p.sqrt(), 0.3),
    "softplus": (lambda p: F.softplus(p) + 1e-4, -3.0),
}


class Gaussian(nn.Module):
    """A network that the loss leaves alone, and a variance in one of many ways."""

    def __init__(self, way, shape=(), weight=1.0, spread=0.0, reduce="sum"):
        super().__init__()
        self.net = nn.Linear(D, 1)
        self.sigma, start = SCALES[way]
        self.own = nn.Parameter(start * (1 + spread * torch.rand(shape)))
        self.weight, self.reduce = weight, reduce

    def loss(self, recon, x, mu, logvar):
        nll = -Normal(recon, self.sigma(self.own).expand_as(recon)).log_prob(x)
        nll = nll.flatten(1).sum(1) if self.reduce == "sum" else nll.flatten(1).mean(1)
        return nll.mean() + self.weight * kl(mu, logvar).mean()


@pytest.mark.parametrize("way", SCALES)
@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_a_variance_is_learned_however_it_is_written(way, shape):
    reading = read_loss(Gaussian(way, shape, weight=2.5).loss, D, K)
    assert reading.learns_variance
    assert reading.misfit.learned.names == ("own",)
    assert Objective.from_reading(reading) == Objective(
        beta=reading.ratio, decoder_variance="learned", n_latents=K, likelihood="gaussian"
    )
    assert reading.ratio == pytest.approx(2.5, rel=1e-3)


def test_the_beta_is_that_of_the_optimal_variance(rng):
    """σ at its best for the batch and σ as a parameter lead to one forecast."""

    def optimal(recon, x, mu, logvar):
        return D / 2 * ((recon - x) ** 2).mean().log() + 1.5 * kl(mu, logvar).mean()

    x = rng.standard_normal((400, D)) * np.linspace(3, 0.3, D)
    found = [read_loss(loss, D, K) for loss in (optimal, Gaussian("log σ", weight=1.5).loss)]
    alive = [forecast(x, objective=Objective.from_reading(reading)) for reading in found]
    assert found[0].ratio == pytest.approx(found[1].ratio, rel=1e-3)
    assert alive[0].n_alive == alive[1].n_alive


def test_averages_are_told_by_the_whole_cost():
    reading = read_loss(Gaussian("log σ²", reduce="mean").loss, D, K)
    assert reading.averaged
    assert reading.ratio == pytest.approx(D, rel=1e-3)
    images = read_loss(Gaussian("log σ²", (), reduce="sum").loss, (2, 3, 4), K)
    assert images.misfit.axes == ("sum", "sum", "sum")
    assert images.ratio == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("spread", [0.0, 0.8])
def test_a_variance_for_each_column_has_no_one_level(spread):
    reading = read_loss(Gaussian("σ²", (D,), weight=3.0, spread=spread).loss, D, K)
    said = " ".join(reading.remarks)
    assert "largest eigenvalue of the correlation matrix" in said
    assert "uncollapse.probes.columns.per_column" in said
    assert "docs/models.md" in said
    assert "forecast x / x.std(axis=0) at decoder variance 1 and β = 3" in reading.outside
    with pytest.raises(ObjectiveError, match="each column has a learned variance"):
        Objective.from_reading(reading)


def test_a_variance_for_each_channel_is_outside():
    reading = read_loss(Gaussian("log σ", (3, 1, 1)).loss, (3, 4, 5), K)
    assert "learned variance of each group of columns" in reading.outside


class Averaged(Gaussian):
    """Many numbers, of which the loss takes the mean."""

    def loss(self, recon, x, mu, logvar):
        sigma = self.own.mean().exp()
        return -Normal(recon, sigma).log_prob(x).sum(1).mean() + kl(mu, logvar).mean()


def test_many_numbers_that_act_as_one_are_one():
    reading = read_loss(Averaged("log σ", (D,), spread=0.5).loss, D, K)
    assert reading.misfit.learned.per == "all"
    assert not reading.outside


class NoLog(Gaussian):
    def loss(self, recon, x, mu, logvar):
        return (((recon - x) / self.sigma(self.own)) ** 2).sum(1).mean() + kl(mu, logvar).mean()


class TurnedLog(Gaussian):
    def loss(self, recon, x, mu, logvar):
        squares = (((recon - x) / self.own.exp()) ** 2 / 2).sum(1).mean()
        return squares - D * self.own + kl(mu, logvar).mean()


class NotALog(Gaussian):
    def loss(self, recon, x, mu, logvar):
        return ((recon - x) ** 2).sum(1).mean() * self.own.exp() + self.own**2 + kl(mu, logvar).mean()


class BothLearned(Gaussian):
    """Weights of both terms are learned, as of several tasks."""

    def __init__(self, way):
        super().__init__(way)
        self.other = nn.Parameter(torch.zeros(()))

    def loss(self, recon, x, mu, logvar):
        squares = (-self.own).exp() * ((recon - x) ** 2).sum(1).mean() + self.own
        return squares + (-self.other).exp() * kl(mu, logvar).mean() + self.other


class LearnedPrior(Gaussian):
    """A mean of the prior that is learned: it moves KLs, each in its own way."""

    def __init__(self, way):
        super().__init__(way)
        self.prior = nn.Parameter(torch.zeros(K))

    def loss(self, recon, x, mu, logvar):
        return super().loss(recon, x, mu - self.prior, logvar)


def test_a_learned_prior_is_no_weight_of_the_kl():
    reading = read_loss(LearnedPrior("log σ").loss, D, K)
    assert reading.learns_variance
    assert reading.ratio == pytest.approx(1.0, rel=1e-3)


class LastGain(Gaussian):
    """Its decoder ends inside the loss."""

    def __init__(self, way):
        super().__init__(way)
        self.gain, self.shift = nn.Parameter(torch.ones(D)), nn.Parameter(torch.zeros(D))

    def loss(self, recon, x, mu, logvar):
        return super().loss(self.gain * recon + self.shift, x, mu, logvar)


def test_a_part_of_the_decoder_is_no_variance():
    reading = read_loss(LastGain("log σ").loss, D, K)
    assert reading.misfit.learned.names == ("own",)
    assert reading.ratio == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize(
    ("module", "says"),
    [(NoLog, "without end"), (TurnedLog, "is turned"), (NotALog, "no log"), (BothLearned, "KL is learned")],
)
def test_what_is_wrong_with_a_learned_variance_is_said(module, says):
    reading = read_loss(module("log σ").loss, D, K)
    assert says in reading.outside
    assert reading.to_dict()["faults"]
    assert reading.outside[1:] in reading.remarks[0]


def test_the_module_is_as_it_was_after_a_reading_and_after_an_error():
    module = Gaussian("log σ", (D,), spread=0.5)
    before = {name: (p, p.data_ptr(), p.detach().clone()) for name, p in module.named_parameters()}
    read_loss(module.loss, D, K)
    with pytest.raises(ObjectiveError):
        read_loss(module.loss, D + 1, K)
    for name, p in module.named_parameters():
        own, place, value = before[name]
        assert p is own
        assert p.data_ptr() == place
        assert p.dtype == value.dtype
        assert p.requires_grad
        assert torch.equal(p, value)


def test_parameters_that_have_no_numbers_are_left_alone():
    module = Gaussian("log σ")
    module.lazy, module.nowhere = nn.LazyLinear(1), nn.Linear(1, 1, device="meta")
    assert read_loss(module.loss, D, K).misfit.learned.names == ("own",)


def test_a_parameter_that_is_fixed_is_a_weight():
    module = Gaussian("σ", ())
    module.own.requires_grad_(False)
    reading = read_loss(module.loss, D, K)
    assert not reading.learns_variance
    assert reading.water_level == pytest.approx(0.05**2, rel=1e-3)


def one_given(recon, x, mu, logvar, log_sigma):
    return -Normal(recon, log_sigma.exp()).log_prob(x).sum(1).mean() + kl(mu, logvar).mean()


def before_the_posterior(recon, x, sigma, mu, logvar):
    return -Normal(recon, sigma).log_prob(x).sum(1).mean() + kl(mu, logvar).mean()


def by_its_name(recon, x, mu, std, logvar_x):
    nll = F.gaussian_nll_loss(recon, x, logvar_x.exp().expand_as(x), reduction="sum") / len(x)
    return nll + kl(mu, 2 * std.log()).mean()


@pytest.mark.parametrize("loss", [one_given, before_the_posterior, by_its_name])
def test_an_argument_is_taken_for_learned_and_it_is_said(loss):
    reading = read_loss(loss, D, K)
    assert reading.learns_variance
    assert reading.ratio == pytest.approx(1.0, rel=1e-3)
    assert "is taken for learned; if it is fixed, say it (--set" in reading.notes[0]


def test_an_argument_that_is_told_is_a_weight():
    reading = read_loss(one_given, D, K, settings={"log_sigma": math.log(2.0)})
    assert reading.water_level == pytest.approx(4.0, rel=1e-3)
    assert not reading.learns_variance


def summed_given(recon, x, mu, logvar, log_sigma):
    squares = (((recon - x) / log_sigma.exp()) ** 2 / 2).sum(1).mean()
    return squares + log_sigma.sum() + kl(mu, logvar).mean()


def test_an_argument_is_given_as_its_sum_wants_it():
    """A sum of log σ is a Gaussian's where there is one for each column."""
    assert "each column" in read_loss(summed_given, D, K).outside


def of_each_number(recon, x, mu, logvar, logvar_x):
    assert logvar_x.shape == x.shape
    return (((recon - x) ** 2 / logvar_x.exp() + logvar_x) / 2).sum(1).mean() + kl(mu, logvar).mean()


def test_a_variance_of_each_number_is_outside():
    assert "each number of each row" in read_loss(of_each_number, D, K).outside


def both_spreads(recon, x, mu, logvar, std):
    return ((recon - x) ** 2).sum(1).mean() + (0.5 * (mu**2 + std**2 - 1 - logvar)).sum(1).mean()


def unused(recon, x, mu, logvar, theta):
    return ((recon - x) ** 2).sum(1).mean() + theta * kl(mu, logvar).mean()


def test_a_second_spread_of_the_posterior_stays_its_own():
    assert read_loss(both_spreads, D, K).water_level == pytest.approx(0.5, rel=1e-3)


def test_a_name_that_stands_for_something_else_is_asked_for():
    with pytest.raises(ObjectiveError, match="asks for theta, which nobody told"):
        read_loss(unused, D, K)
    assert read_loss(unused, D, K, settings={"theta": 3.0}).water_level == pytest.approx(1.5, rel=1e-3)


class Counts(nn.Module):
    """r in logs, one for all or for each column."""

    def __init__(self, shape, of_logs=False):
        super().__init__()
        self.px_r = nn.Parameter(torch.linspace(-1, 1.5, math.prod(shape)).reshape(shape))
        self.of_logs = of_logs

    def loss(self, x, recon, mu, logvar):
        r = self.px_r.exp()
        log_mean = recon if self.of_logs else recon.log()
        log_p = NegativeBinomial(r, logits=log_mean - r.log()).log_prob(x)
        return -log_p.sum(1).mean() + 2 * kl(mu, logvar).mean()


@pytest.mark.parametrize(("shape", "per"), [((), "all"), ((1,), "all"), ((D,), "column")])
@pytest.mark.parametrize("of_logs", [False, True])
def test_a_learned_dispersion_is_told(shape, per, of_logs):
    module = Counts(shape, of_logs)
    reading = read_loss(module.loss, D, K)
    assert reading.likelihood == "negative-binomial"
    assert reading.water_level == pytest.approx(2.0, rel=1e-3)
    assert reading.dispersion == pytest.approx(math.exp(module.px_r.mean().item()), rel=1e-3)
    assert reading.misfit.learned.per == per
    assert reading.misfit.learned.names == ("px_r",)
    assert ("log-means" in reading.formula) == of_logs


@pytest.mark.parametrize("name", ["theta", "px_r", "dispersion", "total_count"])
def test_a_dispersion_that_is_an_argument(name):
    names: dict = {}
    exec(  # the name of an argument is what is tried
        f"def loss(x, px_rate, {name}, qz_m, qz_v):\n"
        f"    p = NegativeBinomial({name}, logits=px_rate.log() - {name}.log())\n"
        f"    return -p.log_prob(x).sum(1).mean() + kl(qz_m, qz_v.log()).mean()\n",
        {"NegativeBinomial": NegativeBinomial, "kl": kl},
        names,
    )
    reading = read_loss(names["loss"], D, K)
    assert reading.water_level == pytest.approx(1.0, rel=1e-3)
    assert reading.misfit.learned.names == (name,)
    assert "learned" in reading.notes[0]
    assert reading.dispersion is None
    fixed = read_loss(names["loss"], D, K, settings={name: 3.0})
    assert fixed.dispersion == pytest.approx(3.0, rel=1e-3)


def test_no_torch_is_needed_to_learn_an_argument(monkeypatch):
    def on_arrays(recon, x, mu, logvar, sigma_x):
        nll = (((recon - x) / sigma_x) ** 2 / 2 + np.log(sigma_x)).sum(1).mean()
        return nll + 4 * 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(1).mean()

    monkeypatch.setitem(sys.modules, "torch", None)
    assert read_loss(on_arrays, D, K).ratio == pytest.approx(4.0, rel=1e-3)
