"""Images pixel by pixel, and decoders with skips: the same measure."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import logistic
from torch import nn

from seeds import SEED
from uncollapse.errors import DataError
from uncollapse.injecting.logistic import DiscretisedLogistics
from uncollapse.injecting.measure import injection_spectrum


def test_probabilities_are_those_of_the_intervals_and_sum_to_one(rng):
    shape = (3, 5, 2)
    logits, means, log_scales = rng.standard_normal(shape), rng.uniform(-1.2, 1.2, shape), rng.uniform(-3, 0, shape)
    d = DiscretisedLogistics(*(torch.tensor(part) for part in (logits, means, log_scales)), n_levels=9)
    levels = np.linspace(-1, 1, 9)
    p = np.stack([d.log_prob(torch.full((3, 5), level)).exp().numpy() for level in levels])
    np.testing.assert_allclose(p.sum(axis=0), 1, atol=1e-10)
    shares = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    edges = np.concatenate([[-np.inf], levels[:-1] + 1 / 8, [np.inf]])
    cdf = np.stack([logistic.cdf(edge, means, np.exp(log_scales)) for edge in edges])
    np.testing.assert_allclose(p, (shares * np.diff(cdf, axis=0)).sum(axis=-1), atol=1e-10)


def test_draws_have_those_probabilities():
    torch.manual_seed(SEED)
    d = DiscretisedLogistics(torch.tensor([[0.0, 1.0]]), torch.tensor([[-0.6, 0.4]]), torch.tensor([[-2.0, -1.5]]), 5)
    drawn = d.sample((40_000,))[:, 0]
    for level in torch.linspace(-1, 1, 5):
        p = float(d.log_prob(level[None]).exp())
        assert float(((drawn - level).abs() < 1e-3).float().mean()) == pytest.approx(p, abs=5 * (p / 40_000) ** 0.5)


def test_shapes_that_differ_are_named():
    with pytest.raises(DataError, match="of one shape"):
        DiscretisedLogistics(torch.zeros(2, 3), torch.zeros(2, 2), torch.zeros(2, 3))


class Row(nn.Module):
    """Pixels of a row, each by the one before: two logistics of four levels."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.inject, self.out = nn.Linear(1, 5), nn.Linear(5, 6)

    def forward(self, x):
        before = nn.functional.pad(x, (1, 0))[:, :-1]
        parts = self.out(torch.tanh(self.inject(before[..., None])))
        return DiscretisedLogistics(parts[..., :2], parts[..., 2:4], parts[..., 4:] - 1, n_levels=4)


def test_a_perfect_decoder_of_pixels_sits_at_one():
    torch.manual_seed(SEED + 5)
    model, x = Row(), torch.zeros(5000, 5)
    with torch.no_grad():
        for t in range(5):
            x[:, t] = model(x).sample()[:, t]
    found = injection_spectrum(model, x.numpy())
    assert (np.abs(found.held_out - 1) < 4.5 * found.errors).all()


class Skipping(nn.Module):
    """The lower half of an image from its upper half, down and up again, with a skip or without."""

    def __init__(self, *, skip: bool):
        super().__init__()
        torch.manual_seed(2)
        self.down, self.up = nn.Conv2d(1, 3, 2, stride=2), nn.ConvTranspose2d(3, 1, 2, stride=2)
        self.skip = skip

    def forward(self, x):
        upper = x[:, :, :4]
        mean = self.up(torch.tanh(self.down(upper))) + (upper if self.skip else 0)
        return Lower(mean)


class Lower(torch.distributions.Distribution):
    """Of the lower half alone, asked for the whole image."""

    def __init__(self, mean):
        super().__init__(mean.shape[:1], mean.shape[1:], validate_args=False)
        self.normal = torch.distributions.Normal(mean, 0.5)

    def log_prob(self, value):
        return self.normal.log_prob(value[:, :, -4:])

    def sample(self, sample_shape=()):
        return self.normal.sample(sample_shape)


def test_a_skip_leaves_nothing_to_say_and_its_lack_leaves_much():
    torch.manual_seed(SEED + 6)
    right = Skipping(skip=True)
    upper = torch.randn(4000, 1, 4, 4)
    with torch.no_grad():
        x = torch.cat([upper, right(upper).sample()], 2).numpy()
    explained = injection_spectrum(right, x, inject="down")
    assert (np.abs(explained.held_out - 1) < 4.5 * explained.errors).all()
    without = injection_spectrum(Skipping(skip=False), x, inject="down")
    assert without.critical_beta > 1.5
