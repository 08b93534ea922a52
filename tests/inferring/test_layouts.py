"""Samples of any layout, outputs of any nesting, spreads of any kind: read as the module takes and gives them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from seeds import SEED
from uncollapse.errors import ObjectiveError
from uncollapse.inferring.infer import infer
from uncollapse.inferring.result import Said


def draws(mean, std):
    return mean + std * torch.randn_like(mean)


class Conv(nn.Module):
    """Takes channels first; its halves are nested in what it gives."""

    def __init__(self, channels=3, nested=True):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, 4, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(64, 8))
        self.back = nn.Sequential(
            nn.Linear(4, 64), nn.Unflatten(1, (4, 4, 4)), nn.ConvTranspose2d(4, channels, 4, 2, 1)
        )
        self.nested = nested

    def encode(self, x):
        mean, log_std = self.body(x).chunk(2, 1)
        z = draws(mean, log_std.exp())
        return (z, (mean, log_std)) if self.nested else {"q": {"mu": mean, "s": log_std}, "z": z}

    def decode(self, z):
        return self.back(z)

    def forward(self, x):
        z = self.encode(x)[0] if self.nested else self.encode(x)["z"]
        return self.decode(z)


@pytest.mark.parametrize("nested", [True, False])
def test_channels_last_are_moved_first_and_back(nested):
    torch.manual_seed(SEED)
    model = Conv(nested=nested).eval()
    x = np.random.default_rng(SEED).standard_normal((40, 8, 8, 3))
    found = infer(model, x, said=Said(loss=True))
    first = torch.as_tensor(x, dtype=torch.float32).permute(0, 3, 1, 2)
    mean, log_std = model.body(first).detach().chunk(2, 1)
    q = found.probe.encode(x.reshape(40, -1))
    np.testing.assert_allclose(q.mean, mean, atol=1e-5)
    np.testing.assert_allclose(q.variance, (2 * log_std).exp(), rtol=1e-4)
    recon = model.back(mean).detach().permute(0, 2, 3, 1).reshape(40, -1)
    np.testing.assert_allclose(found.probe.decode(q.mean).reshape(40, -1), recon, atol=1e-5)


def test_images_without_a_channel_get_one_and_those_of_a_dense_model_are_flat():
    x = np.random.default_rng(SEED).standard_normal((40, 8, 8))
    torch.manual_seed(SEED)
    told = [one for one in infer(Conv(channels=1), x, said=Said(loss=True)).found if one.what == "input shape"]
    assert [one.value for one in told] == ["1 × 8 × 8"]
    told = [one for one in infer(Dense(64), x, said=Said(loss=True)).found if one.what == "input shape"]
    assert [one.value for one in told] == ["rows of 64"]


class Dense(nn.Module):
    """Means and log-variances in one tensor, in halves or in turn."""

    def __init__(self, n=12, paired=False):
        super().__init__()
        self.encoder, self.decoder, self.paired = nn.Linear(n, 6), nn.Linear(3, n), paired

    def forward(self, x):
        stats = self.encoder(x)
        mean, logvar = stats.view(-1, 3, 2).unbind(-1) if self.paired else stats.chunk(2, 1)
        return self.decoder(draws(mean, (logvar / 2).exp())), mean, logvar


@pytest.mark.parametrize("paired", [True, False])
def test_mean_and_spread_in_turn_or_in_halves(paired):
    torch.manual_seed(SEED)
    model = Dense(paired=paired)
    x = 3 * np.random.default_rng(SEED).standard_normal((40, 12))
    found = infer(model, x, said=Said(loss=True))
    _, mean, logvar = (part.detach() for part in model(torch.as_tensor(x, dtype=torch.float32)))
    q = found.probe.encode(x)
    np.testing.assert_allclose(q.mean, mean, atol=1e-5)
    np.testing.assert_allclose(q.variance, logvar.exp(), rtol=1e-4)


def test_a_dead_models_spread_is_told_by_larger_samples():
    torch.manual_seed(SEED)
    model = Dense()
    with torch.no_grad():
        model.encoder.weight *= 0.03  # every log-variance is about 0, whatever it stands for
        model.encoder.bias.zero_()
    found = infer(model, np.random.default_rng(SEED).standard_normal((40, 12)), said=Said(loss=True))
    assert ("spread", "log-variance") in [(one.what, one.value) for one in found.found]


def as_bytes(rows):
    return np.round(255 * (rows - rows.min()) / np.ptp(rows))


def test_a_model_of_unit_pixels_is_told_from_bytes():
    """At 255 times its own range its variances are larger than any number."""
    torch.manual_seed(SEED)
    model = Dense()
    with torch.no_grad():
        model.encoder.weight *= 4
    x = as_bytes(np.random.default_rng(SEED).standard_normal((40, 12)))
    found = infer(model, x, said=Said(loss=True))
    assert ("spread", "log-variance") in [(one.what, one.value) for one in found.found]


def test_a_latent_whose_draws_are_lost_in_rounding_does_not_count():
    torch.manual_seed(SEED)
    model = Dense()
    with torch.no_grad():
        model.encoder.weight[5] = 0
        model.encoder.bias[[2, 5]] = torch.tensor([700.0, -30.0])
    found = infer(model, np.random.default_rng(SEED).standard_normal((40, 12)), said=Said(loss=True))
    assert ("spread", "log-variance") in [(one.what, one.value) for one in found.found]


class Halfway(Dense):
    """Draws for all its latents but one, whose spread is as large as theirs."""

    def forward(self, x):
        mean, logvar = self.encoder(x).chunk(2, 1)
        drawn = torch.tensor([1.0, 1.0, 0.0])
        return self.decoder(draws(mean, drawn * (logvar / 2).exp())), mean, logvar


def test_a_latent_that_is_not_drawn_though_it_has_a_spread_is_no_gaussian():
    torch.manual_seed(SEED)
    with pytest.raises(ObjectiveError, match="its own draws of z are none"):
        infer(Halfway(), np.random.default_rng(SEED).standard_normal((40, 12)), said=Said(loss=True))


class Wide(nn.Module):
    """Its standard deviations are large for large samples, where a softplus changes nothing."""

    def __init__(self):
        super().__init__()
        self.mean, self.wide, self.decoder = nn.Linear(12, 3), nn.Linear(12, 3), nn.Linear(3, 12)

    def encoder(self, x):
        return self.mean(x), nn.functional.softplus(self.wide(x)) + 0.05

    def forward(self, x):
        return self.decoder(draws(*self.encoder(x)))


def test_a_standard_deviation_is_no_softplus_of_itself():
    torch.manual_seed(SEED)
    found = infer(Wide(), 4 * np.random.default_rng(SEED).standard_normal((40, 12)), said=Said(loss=True))
    assert ("spread", "std") in [(one.what, one.value) for one in found.found]


@dataclass
class Output:
    x_hat: torch.Tensor
    mean: torch.Tensor
    log_var: torch.Tensor


class Fields(Dense):
    """Its output is an object with fields; encoder and decoder show nothing by themselves."""

    def __init__(self):
        super().__init__()
        self.first, self.last = self.encoder, self.decoder
        del self.encoder, self.decoder

    def forward(self, x):
        mean, log_var = self.first(x).chunk(2, 1)
        return Output(self.last(draws(mean, (log_var / 2).exp())), mean, log_var)


def test_fields_of_an_output_are_found():
    torch.manual_seed(SEED)
    model = Fields()
    x = np.random.default_rng(SEED).standard_normal((40, 12))
    q = infer(model, x, said=Said(loss=True)).probe.encode(x)
    np.testing.assert_allclose(q.mean, model(torch.as_tensor(x, dtype=torch.float32)).mean.detach(), atol=1e-5)


class FullCovariance(Dense):
    def encode(self, x):
        h = self.encoder(x)
        return h[:, :3], torch.diag_embed(h[:, 3:].exp())

    def decode(self, z):
        return self.decoder(z)


def test_a_full_covariance_is_refused_for_what_it_is():
    with pytest.raises(ObjectiveError, match="mean of 3 numbers and 3 × 3 beside it: a full covariance"):
        infer(FullCovariance(), np.ones((40, 12)), said=Said(loss=True))


class Flow(Dense):
    def encode(self, x):
        return self.encoder(x).chunk(2, 1)

    def decode(self, z):
        return self.decoder(z)

    def forward(self, x):
        mean, logvar = self.encode(x)
        z = draws(mean, (logvar / 2).exp())
        return self.decode(z + 2 * torch.tanh(z.sum(1, keepdim=True))), mean, logvar


def test_a_flow_is_refused_by_its_draws_unless_the_spread_is_said():
    torch.manual_seed(SEED)
    model, x = Flow(), np.random.default_rng(SEED).standard_normal((40, 12))
    with pytest.raises(ObjectiveError, match="does z go through a flow"):
        infer(model, x, said=Said(loss=True))
    assert infer(model, x, said=Said(loss=True, spread="log_variance")).missing == ()


class LowRank(Flow):
    def encode(self, x):
        h = self.encoder(x)
        return torch.distributions.LowRankMultivariateNormal(h[:, :3], h[:, 3:, None], torch.ones(3))


def test_a_distribution_of_another_kind_is_refused_by_its_name():
    with pytest.raises(ObjectiveError, match="encode gives a LowRankMultivariateNormal"):
        infer(LowRank(), np.ones((40, 12)), said=Said(loss=True))
