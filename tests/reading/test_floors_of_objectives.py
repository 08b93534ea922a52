"""An objective made of a loss with free nats says that it has no floor."""

from __future__ import annotations

import warnings

import pytest

from uncollapse import Objective, UncollapseWarning


def kl(mu, log_var):
    return 0.5 * (mu**2 + 2.718281828**log_var - 1 - log_var)


def with_floor_in_all(recon, x, mu, log_var):
    total = kl(mu, log_var).sum(1).mean()
    return 0.5 * ((recon - x) ** 2).sum(1).mean() + (total if total > 3 else 0 * total + 3)


def with_floor_each(recon, x, mu, log_var):
    return 0.5 * ((recon - x) ** 2).sum(1).mean() + kl(mu, log_var).mean(0).clip(0.5).sum()


def without(recon, x, mu, log_var):
    return 0.5 * ((recon - x) ** 2).sum(1).mean() + kl(mu, log_var).sum(1).mean()


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (with_floor_in_all, r"3 nats in all are free in this loss.*--free-bits-total"),
        (with_floor_each, r"0\.5 nats of each latent are free in this loss.*--free-bits,"),
    ],
)
def test_a_floor_is_told_with_what_to_ask(loss, said):
    with pytest.warns(UncollapseWarning, match=said):
        objective = Objective.from_function(loss, features=6, latents=4)
    assert objective.water_level == pytest.approx(1.0, rel=1e-3)


def test_a_loss_without_a_floor_says_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Objective.from_function(without, features=6, latents=4)
