"""Whatever is given to training's public functions: a right answer, or one line of ours."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

from uncollapse import Objective, UncollapseError
from uncollapse.training import Network, Schedule, Setup, Training, grid, load, save, sweep, train, train_all

NEVER = (
    "word", "", b"3", float("nan"), float("inf"), -1, -0.5, 10**400, 1j, {}, {1: 2}, object(), print, np.zeros((2, 2)),
    np.datetime64("2020-01-01"), torch.ones(3), [[]], ["a"], [None], Decimal("NaN"),
)  # fmt: skip
"""No setting of a network, a training or a schedule can be any of these."""

LISTS = [(Network, name) for name in ("hidden", "decoder_hidden", "channels", "level_hidden", "image")]


def one_line(make) -> None:
    with pytest.raises(UncollapseError) as caught:
        make()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("kind", [Network, Training, Schedule, Setup])
def test_no_setting_takes_what_it_cannot_mean(kind):
    for item in fields(kind):
        for value in NEVER:
            if isinstance(value, np.ndarray | torch.Tensor) and (kind, item.name) in LISTS:
                continue
            one_line(lambda item=item, value=value: kind(**{item.name: value}))


def test_numbers_become_plain():
    t = Training(
        epochs=np.int64(3), learning_rate=Fraction(1, 4), momentum=Decimal("0.5"), seed=2.0, clip=torch.tensor(2)
    )
    assert (t.epochs, t.learning_rate, t.momentum, t.seed, t.clip) == (3, 0.25, 0.5, 2, 2.0)
    assert {type(v) for v in (t.epochs, t.seed)} == {int}
    assert {type(v) for v in (t.learning_rate, t.momentum, t.clip)} == {float}
    assert Network(hidden=np.array([8, 4])).hidden == (8, 4)
    assert Network(hidden=8).hidden == (8,)
    assert Schedule("linear", warmup=np.float32(2), cycles=np.int8(3)) == Schedule("linear", warmup=2.0, cycles=3)


X = np.random.default_rng(0).standard_normal((20, 3))


@pytest.mark.parametrize("value", [v for v in NEVER if not isinstance(v, str) or v])
@pytest.mark.parametrize("name", ["objective", "network", "training", "device", "checkpoint_seconds", "progress"])
def test_train_checks_what_it_is_given(name, value):
    one_line(lambda: train(X, **{name: value}))


@pytest.mark.parametrize("path", [3, b"x", None, "", "a\0b", [], "x" * 5000])
def test_paths_are_checked(path, tmp_path):
    vae = train(X, objective=Objective(n_latents=2), training=Training(epochs=1))
    one_line(lambda: save(vae, path))
    one_line(lambda: load(path))
    one_line(lambda: sweep(X, [Setup()], path))
    one_line(lambda: save("a model", tmp_path / "model"))
    if path is not None:
        one_line(lambda: train(X, checkpoint=path))


@pytest.mark.parametrize("value", [None, 3, "word", Setup(), [Setup(), 3], {"a": 1}])
def test_setups_are_a_list_of_setups(value, tmp_path):
    one_line(lambda: train_all(value, X))
    one_line(lambda: sweep(X, value, tmp_path))


@pytest.mark.parametrize(
    "words",
    [{"jobs": 0}, {"jobs": 1.5}, {"jobs": "2"}, {"backend": "nothing"}, {"backend": 3}, {"backend": "dask"},
     {"keep_models": "no"}, {"progress": 1}],
)  # fmt: skip
def test_how_a_sweep_runs_is_checked_before_anything_is_written(words, tmp_path):
    one_line(lambda: sweep(X, [Setup()], tmp_path / "out", **words))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "words", [{"seeds": 0}, {"seeds": 10**11}, {"seeds": "3"}, {"beta": 2.0}, {"beta": "12"}, {"knob": (1, 2)}]
)
def test_a_grid_is_of_lists(words):
    one_line(lambda: grid(Setup(), **words))
    one_line(lambda: grid("setup"))


def test_a_network_beyond_memory_and_a_device_without_numbers_are_refused():
    one_line(lambda: train(X, network=Network(hidden=10**12)))
    one_line(lambda: train(X, device="meta"))
