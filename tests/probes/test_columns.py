"""Decoder variances of each column: the bill is that of whitened data, and the loss is the model's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from uncollapse import DataError, Objective, diagnose, forecast, load_revived, revive
from uncollapse.measure.decoder import row_losses
from uncollapse.measure.observe import observe
from uncollapse.probes.columns import per_column
from uncollapse.theory.path import linear_path

VARIANCES = np.array([4.0, 0.25, 1.0, 9.0])


class Own(nn.Module):
    """A linear VAE whose decoder ignores z."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(4, 4), nn.Linear(2, 4)
        for layer in (self.encoder, self.decoder):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def encode(self, x):
        mean, log_variance = self.encoder(x).chunk(2, 1)
        return mean, log_variance

    def decode(self, z):
        return self.decoder(z)

    def reparameterize(self, mean, log_variance):
        return mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)


def data(rng, n=3000):
    """In units of each column's η one direction of strength 5, and noise of 0.5."""
    v = np.array([0.5, 0.5, 0.5, 0.5])
    white = np.sqrt(4.5) * rng.standard_normal((n, 1)) * v + np.sqrt(0.5) * rng.standard_normal((n, 4))
    return white * np.sqrt(VARIANCES)


def test_the_loss_is_the_models_own_but_for_a_constant(rng):
    x = data(rng, 400)
    w = rng.standard_normal((2, 4))
    model = (lambda rows: (0.1 * rows[:, :2], np.ones((len(rows), 2))), lambda z: z @ w)
    probe = per_column(model, VARIANCES, spread="std")
    scaled = x / np.sqrt(VARIANCES)
    seen = observe(probe, scaled, n_rows=400)
    own = row_losses(probe, seen, Objective(n_latents=2), n_draws=64, seed=1)
    rng = np.random.default_rng(5)
    by_hand = np.zeros(400)
    for _ in range(64):
        z = 0.1 * x[:, :2] + rng.standard_normal((400, 2))
        by_hand -= stats.norm.logpdf(x, z @ w, np.sqrt(VARIANCES)).sum(axis=1) / 64
    by_hand += seen.posterior.kl.sum(axis=1)
    constant = 0.5 * np.log(VARIANCES).sum()
    assert (own + constant).mean() == pytest.approx(by_hand.mean(), rel=0.02)


def test_a_dead_model_is_revived_by_what_its_columns_are_worth(rng, tmp_path):
    x = data(rng)
    model = Own()
    probe = per_column(model, VARIANCES)
    scaled = x / np.sqrt(VARIANCES)
    better = revive(probe, scaled)
    expected = linear_path(np.array([5.0]), 1.0, 1.0).gain[0]
    assert better.gain == pytest.approx(expected, abs=5 * better.gain_error)
    assert diagnose(probe, scaled).cause in ("optimisation", "slow")
    better.write(tmp_path)
    loaded = load_revived(per_column(model, VARIANCES), tmp_path)
    with torch.no_grad():
        mean = loaded.encode(torch.tensor(scaled[:20], dtype=torch.float32))[0]
    np.testing.assert_allclose(mean, better.probe.encode(scaled[:20]).mean, atol=1e-3)


def test_learned_for_each_column_collapse_starts_at_the_correlation_matrix(rng):
    x = data(rng)
    f = forecast(x / x.std(axis=0))
    assert f.critical_levels[0] == pytest.approx(np.linalg.eigvalsh(np.corrcoef(x.T))[-1])


def test_variances_must_be_positive():
    with pytest.raises(DataError, match="positive"):
        per_column((lambda x: x, lambda z: z), [1.0, 0.0], spread="std")
