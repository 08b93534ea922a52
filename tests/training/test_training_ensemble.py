"""Members side by side: each as if alone, and none the worse for another's end."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from uncollapse import Objective
from uncollapse.objective import Level
from uncollapse.training import Network, Setup, Training, train, train_all
from uncollapse.training import ensemble as ensembles
from uncollapse.training.data import table

LEVELS = (Level(1, 0.3, 3), Level(2, "learned", 2))
FAMILIES = {
    "linear": ({}, Network(), {}),
    "MLP": ({}, Network(hidden=(8, 6)), {"clip": 2.0, "free_bits": 0.1}),
    "images": ({"decoder_variance": "learned"}, Network(image=(2, 7, 6), channels=(3, 4), hidden=(8,)), {}),
    "two levels": ({"levels": LEVELS}, Network(hidden=(8,), level_hidden=(5,)), {}),
    "fixed widths": ({"encoder_variance": 0.3, "bias": False}, Network(hidden=(8,)), {}),
    "SGD": ({}, Network(hidden=(8,)), {"optimiser": "sgd", "momentum": 0.9, "learning_rate": 1e-3}),
    "analytic": ({}, Network(), {"estimator": "analytic", "steps_per_epoch": 20}),
    "warm": ({}, Network(), {"warm_start": True}),
    "cooling": ({}, Network(hidden=(8,)), {"cooling": 2, "learning_rate": 0.01}),
    "full batch": ({"likelihood": "poisson"}, Network(hidden=(8,)), {"batch_size": None}),
}


def family(name: str, n: int = 4) -> list[Setup]:
    objective, network, training = FAMILIES[name]
    objective = objective if "levels" in objective else {**objective, "n_latents": 3}
    return [
        Setup(Objective(beta=0.5 + i, **objective), network, Training(**{"epochs": 3, "batch_size": 32, "seed": i // 2,
              **training})) for i in range(n)
    ]  # fmt: skip


def rows(setup: Setup, rng: np.random.Generator, n: int = 90) -> np.ndarray:
    d = int(np.prod(setup.network.image)) if setup.network.image else 5
    if setup.objective.likelihood == "poisson":
        return rng.poisson(2.0, (n, d))
    return rng.standard_normal((n, 3)) @ rng.standard_normal((3, d))


def assert_same(ours, theirs):
    # Adam divides by the size of gradients that may be rounding only, so single weights may differ by some steps of it
    for name, value in theirs.parameters.items():
        torch.testing.assert_close(ours.parameters[name], value, rtol=1e-3, atol=3e-4, msg=name)
    np.testing.assert_allclose(ours.history["loss"], theirs.history["loss"], rtol=1e-5)
    np.testing.assert_allclose(ours.latent_kl, theirs.latent_kl, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("name", FAMILIES)
def test_each_member_is_as_if_trained_alone(name, conditional, rng):
    setups = family(name)
    x = rows(setups[0], rng)
    given = rng.standard_normal((len(x), 2)) if conditional else None
    together = train_all(setups, x, given=given, stack=4)
    for setup, ours in zip(setups, together, strict=True):
        alone = train(x, given=given, objective=setup.objective, network=setup.network, training=setup.training)
        assert ours.setup == setup
        assert_same(ours, alone)
    assert not np.allclose(together[0].history["loss"], together[1].history["loss"])


def test_members_may_differ_in_learning_rate_epochs_and_patience(rng):
    x = rng.standard_normal((90, 4))
    setups = [
        Setup(
            Objective(n_latents=2),
            Network(hidden=(6,)),
            Training(epochs=e, learning_rate=rate, batch_size=30, seed=i, patience=p, min_delta=0.5),
        )
        for i, (e, rate, p) in enumerate([(5, 1e-2, None), (2, 1e-3, None), (8, 1e-2, 2), (5, 3e-3, None)])
    ]
    assert len(ensembles.stackable(setups, (4, 4, 0))) == 1
    finished = []
    together = train_all(setups, x, stack=4, on_finish=lambda index, result: finished.append(index))
    assert sorted(finished) == [0, 1, 2, 3]
    assert finished[0] == 1
    assert [vae.status for vae in together] == ["finished", "finished", "plateau", "finished"]
    for setup, ours in zip(setups, together, strict=True):
        alone = train(x, objective=setup.objective, network=setup.network, training=setup.training)
        assert ours.n_epochs == alone.n_epochs
        assert_same(ours, alone)


def test_members_that_cool_towards_different_ends_train_apart(rng):
    x = rng.standard_normal((90, 4))
    setups = [Setup(Objective(n_latents=2), training=Training(epochs=e, cooling=2, batch_size=30)) for e in (3, 5, 3)]
    assert ensembles.stackable(setups, (4, 4, 0)) == [[0, 2], [1]]
    for setup, ours in zip(setups, train_all(setups, x, stack=3), strict=True):
        assert_same(ours, train(x, objective=setup.objective, training=setup.training))


def test_a_member_that_stopped_costs_nothing(rng, monkeypatch):
    from uncollapse.training import stack as stacks

    seen = []
    original = stacks.sampled_terms
    monkeypatch.setattr(stacks, "sampled_terms", lambda a, p, k, x, *rest: seen.append(len(x)) or original(
        a, p, k, x, *rest))  # fmt: skip
    setups = [Setup(Objective(n_latents=2), training=Training(epochs=e)) for e in (1, 2, 3)]
    train_all(setups, rng.standard_normal((50, 4)), stack=3)
    assert seen == [3, 2, 1]


def test_a_member_that_fails_leaves_the_others_alone(rng):
    x = rng.standard_normal((90, 4))
    setups = [
        Setup(Objective(n_latents=2), training=Training(epochs=20, batch_size=30, optimiser="sgd", learning_rate=rate))
        for rate in (0.01, 5.0, 0.02)
    ]
    together = train_all(setups, x, stack=3)
    assert [vae.status for vae in together] == ["finished", "failed", "finished"]
    assert "learning rate" in together[1].message
    assert all(torch.isfinite(value).all() for value in together[1].parameters.values())
    for i in (0, 2):
        assert_same(together[i], train(x, objective=setups[i].objective, training=setups[i].training))


def test_other_architectures_train_in_stacks_of_their_own(rng):
    x = rng.standard_normal((60, 4))
    setups = [Setup(Objective(beta=beta, n_latents=n), training=Training(epochs=1)) for beta in (1, 2) for n in (2, 3)]
    assert ensembles.stackable(setups, (4, 4, 0)) == [[0, 2], [1, 3]]
    assert [vae.architecture.n_latents for vae in train_all(setups, x)] == [2, 3, 2, 3]
    assert train_all([], x) == []


def test_the_size_of_stacks_follows_the_measured_speed(rng, monkeypatch):
    x = table(rng.standard_normal((60, 4)))
    setups = [Setup(Objective(n_latents=2), training=Training(seed=i)) for i in range(40)]
    ms = 1e-3
    for seconds, expected in (
        ({1: 1 * ms, 8: 0.5 * ms, 32: 0.6 * ms, 40: 0.7 * ms}, 8),
        ({1: 1 * ms, 8: 0.99 * ms, 32: 0.99 * ms, 40: 0.98 * ms}, 1),
        ({1: 5 * ms}, 1),  # nothing to gain, so nothing is tried
    ):
        monkeypatch.setattr(ensembles, "_seconds_per_member_step", lambda s, a, r, t=seconds: t[len(s)])
        assert ensembles.best_size(setups, None, x) == expected
    monkeypatch.undo()
    from uncollapse.training.fit import prepared

    placed, a = prepared(setups[0], x, "cpu")
    assert ensembles.best_size(setups, a, placed) > 1  # such small models always gain
