"""Rows unpacked batch by batch train as the same rows do in memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from uncollapse import Objective
from uncollapse.errors import DataError, ObjectiveError
from uncollapse.training import Network, Setup, Training, train_all
from uncollapse.training.packed import Packed


def bytes_of(rng, n=60, d=6):
    return torch.from_numpy(rng.integers(0, 256, (n, d), dtype=np.uint8))


def thirds(part, generator):
    return part.float() / 85, part.float() / 85 + 1


def setups(batch, **changes):
    return [
        Setup(
            Objective(n_latents=2, decoder_variance=variance),
            Network(hidden=(5,)),
            Training(epochs=3, batch_size=batch, seed=seed, **changes),
        )
        for seed, variance in enumerate((0.5, 2.0))
    ]


@pytest.mark.parametrize("batch", [16, None])
@pytest.mark.parametrize("stack", [1, 2])
def test_the_parameters_are_those_of_the_same_numbers_in_memory(rng, batch, stack):
    store = bytes_of(rng)
    x, y = thirds(store, None)
    unpacked = train_all(setups(batch), Packed(store, thirds, (6, 6)), stack=stack)
    whole = train_all(setups(batch), x.numpy(), y.numpy(), stack=stack)
    for ours, theirs in zip(unpacked, whole, strict=True):
        for name, value in ours.parameters.items():
            torch.testing.assert_close(value, theirs.parameters[name], msg=name)


def test_a_members_noise_is_its_own_whatever_is_trained_beside_it(rng):
    def noisy(part, generator):
        x = part.float() / 85 + torch.rand(part.shape, generator=generator)
        return x, x

    rows = Packed(bytes_of(rng), noisy, (6, 6))
    alone, beside = train_all(setups(16), rows, stack=1), train_all(setups(16), rows, stack=2)
    for one, other in zip(alone, beside, strict=True):
        torch.testing.assert_close(one.parameters, other.parameters)


def test_a_loss_that_is_lost_is_told_without_unpacking_every_row(rng):
    seen = []

    def huge(part, generator):
        seen.append(len(part))
        return part.float() * 1e30, part.float() * 1e30

    (failed,) = train_all(setups(16)[:1], Packed(bytes_of(rng, 600), huge, (6, 6)))
    assert failed.status == "failed"
    assert "data too large" in failed.message
    assert max(seen) < 600


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda: [Setup(Objective(n_latents=2), Network(), Training(warm_start=True))], "warm start"),
        (lambda: [Setup(Objective(n_latents=2), Network(), Training(estimator="analytic"))], "analytic"),
        (lambda: [Setup(Objective(n_latents=2), Network(hidden=(3,), log_input=True))], "log_input"),
    ],
)
def test_what_needs_all_numbers_is_refused_in_one_line(rng, change, said):
    asked = change()  # setups that rows in memory take
    with pytest.raises(ObjectiveError, match=said) as caught:
        train_all(asked, Packed(bytes_of(rng), thirds, (6, 6)))
    assert "\n" not in str(caught.value)


def test_a_target_beside_packed_rows_is_refused(rng):
    with pytest.raises(DataError, match="no target"):
        train_all(setups(16), Packed(bytes_of(rng), thirds, (6, 6)), np.zeros((60, 6)))
