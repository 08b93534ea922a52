"""Models as they are handed over: batch norm in training mode, half precision, other sizes, frozen parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from uncollapse import DataError, Objective, load_revived, revive

D, K = 6, 3


@pytest.fixture
def x(rng):
    return rng.standard_normal((900, 2)) @ (2 * rng.standard_normal((2, D))) + 0.2 * rng.standard_normal((900, D))


class Normed(nn.Module):
    """With batch norm and dropout, whose latents are dead."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(D, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 2 * K))
        self.decoder = nn.Linear(K, D)
        for part in (self.encoder[3], self.decoder):
            nn.init.zeros_(part.weight)
            nn.init.zeros_(part.bias)

    def encode(self, x):
        mean, log_variance = self.encoder(x).chunk(2, 1)
        return mean, log_variance

    def decode(self, z):
        return self.decoder(z)


def test_batch_norm_in_training_mode_is_left_as_it_was(x, tmp_path):
    model = Normed().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    better = revive(model, x, spread="log_variance", objective=Objective(n_latents=K))
    assert better.alive_after >= 2
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    better.write(tmp_path)
    loaded = load_revived(model, tmp_path, spread="log_variance").eval()
    own = better.probe.encode(x[:10]).mean
    rows = torch.tensor(x[:10], dtype=torch.float32)
    np.testing.assert_allclose(loaded.encode(rows)[0].detach().numpy(), own, atol=1e-4)


def test_half_precision_works(x, tmp_path):
    model = Normed().to(torch.bfloat16).eval()
    better = revive(model, x, spread="log_variance", objective=Objective(n_latents=K))
    assert better.gain > 5 * better.gain_error
    better.write(tmp_path)
    loaded = load_revived(model, tmp_path, spread="log_variance")
    mean, _ = loaded.encode(torch.tensor(x[:4]).to(torch.bfloat16))
    assert mean.dtype == torch.bfloat16


def test_a_frozen_model_is_revived_too(x):
    model = Normed().eval().requires_grad_(False)
    assert revive(model, x, spread="log_variance", objective=Objective(n_latents=K)).better


def test_a_decoder_of_another_size_is_one_line(x):
    model = Normed().eval()
    model.decoder = nn.Linear(K, D + 1)
    with pytest.raises(DataError, match=r"gives 7 numbers a row and the data have 6") as caught:
        revive(model, x, spread="log_variance", objective=Objective(n_latents=K))
    assert "\n" not in str(caught.value)


def test_fewer_rows_than_latents_end_in_a_model_or_a_line(rng):
    x = rng.standard_normal((30, 4))
    model = (lambda x: (np.zeros((len(x), 50)), np.ones((len(x), 50))), lambda z: np.zeros((len(z), 4)))
    better = revive(model, x, spread="std", objective=Objective(n_latents=50))
    assert better.loss_after <= better.loss_before
    with pytest.raises(DataError, match="24 rows or more"):
        revive(model, x[:20], spread="std", objective=Objective(n_latents=50))


@pytest.mark.parametrize("budget", [0.0, -1.0])
def test_without_time_nothing_is_worse(x, budget):
    better = revive(Normed().eval(), x, spread="log_variance", objective=Objective(n_latents=K), budget=budget)
    assert better.loss_after <= better.loss_before


@pytest.mark.parametrize("odd", [None, "ten", np.nan, [1], 1j])
def test_a_budget_is_a_number(x, odd):
    with pytest.raises(DataError, match="budget"):
        revive(Normed().eval(), x, spread="log_variance", objective=Objective(n_latents=K), budget=odd)
