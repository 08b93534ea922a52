"""Many deep VAEs at once: grids of setups, trained, and trained further from where they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import torch
from sets import Data

from uncollapse import Objective
from uncollapse.training import Network, Schedule, Setup, Trained, Training, train_all
from uncollapse.training.data import table
from uncollapse.training.ensemble import stackable
from uncollapse.training.fit import prepared
from uncollapse.training.loop import Run
from uncollapse.training.stack import Stack

__all__ = ["LATENTS", "NETWORKS", "anew", "go_on", "grid", "started"]

NETWORKS = {
    "tanh": Network(hidden=(32,), activation="tanh"),
    "silu": Network(hidden=(64,), activation="silu"),
    "2 relu": Network(hidden=(64, 64)),
}
LATENTS = {"curved": 10, "lowrank": 12, "digits": 20, "mnist14": 20, "binary": 10, "counts": 8}
RATE, STACK, ROWS = 2e-3, 8, 2048


def grid(
    data: Data, levels: Sequence[float], lengths: Sequence[tuple[int, bool]], seed: int, nets: Sequence[str] = ()
) -> list[Setup]:
    """Networks × water levels (shares of the strongest mode) × training lengths (epochs, warm-up or not)."""
    top = float(data.strengths()[0])
    chosen = [NETWORKS[name] for name in nets or NETWORKS]
    setups = []
    for i, (network, level, (epochs, warm)) in enumerate(product(chosen, levels, lengths)):
        likelihood: Any = data.likelihood
        loss = Objective(beta=level * top, n_latents=LATENTS[data.name], likelihood=likelihood)
        setups.append(Setup(loss, network, _how(epochs, warm, seed * 10000 + i)))
    return setups


def started(setups: Sequence[Setup], data: Data) -> list[Trained]:
    """Each setup trained."""
    return train_all(setups, data.x[:ROWS], device="cpu", stack=STACK)


def anew(models: Sequence[Trained], data: Data, least: int) -> list[Trained]:
    """Each trained again from new weights with a KL warm-up, for as long as before and at least so many epochs."""
    return started([_again(m, least, warm=True) for m in models], data)


def go_on(models: Sequence[Trained], data: Data, least: int, *, warm: bool) -> list[Trained]:
    """Each trained on from where it is, the KL weight kept, or taken back to 0 and raised over the first half."""
    rows = table(data.x[:ROWS], likelihood=data.likelihood)
    setups = [_again(m, least, warm=warm) for m in models]
    results: dict[int, Trained] = {}
    for group in stackable(setups, rows.widths):
        for at in range(0, len(group), STACK):
            part = group[at : at + STACK]
            placed, a = prepared(setups[part[0]], rows, "cpu")
            stack = Stack([setups[i] for i in part], a, placed, [None] * len(part))
            with torch.no_grad():
                for name, value in stack.parameters.items():
                    value.copy_(torch.stack([models[i].parameters[name] for i in part]))
            Run(stack, part, results.__setitem__).go()
    return [results[i] for i in range(len(models))]


def _how(epochs: int, warm: bool, seed: int) -> Training:
    schedule = Schedule("linear", warmup=epochs / 2) if warm else Schedule()
    return Training(epochs=epochs, learning_rate=RATE, seed=seed, schedule=schedule)


def _again(model: Trained, least: int, *, warm: bool) -> Setup:
    t = model.setup.training
    return replace(model.setup, training=_how(max(t.epochs, least), warm, t.seed + 5000))
