"""How each cause is planted: data, network, seed → a trained model, seen through a probe.

Water levels are shares of the strongest mode's strength, so that one plant suits every set.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from sets import Data
from wrappers import wrapped

from uncollapse import Objective
from uncollapse.objective import Level
from uncollapse.probes.own import own_probe
from uncollapse.probes.probe import TorchProbe
from uncollapse.probes.retrain import retrain
from uncollapse.training import Network, Schedule, Training, train

__all__ = [
    "Planted",
    "asked",
    "behind",
    "cut_short",
    "dead_units",
    "idle_upper_level",
    "limited",
    "misfed",
    "parted",
    "settled",
    "spoiled",
    "untold",
    "written",
]

RATE, STEPS = 2e-3, 1500


@dataclass(frozen=True, eq=False)
class Planted:
    """A model with its data, and the objective in its user's words."""

    probe: TorchProbe
    data: Data
    objective: Objective


def settled(
    data: Data,
    seed: int,
    *,
    network: Network,
    latents: int,
    level: float,
    steps: int = STEPS,
    as_variance: bool = False,
    warm: bool = True,
    rate: float = RATE,
) -> Planted:
    """Trained to its end, with a KL warm-up over the first half."""
    objective = asked(data, latents, level, as_variance=as_variance)
    return _trained(data, seed, objective, network, steps, warm=warm, rate=rate)


def asked(data: Data, latents: int, level: float, *, as_variance: bool = False) -> Objective:
    """The objective whose water lies at this share of the strongest mode, set through β or through η²."""
    tau = level * float(data.strengths()[0])
    likelihood: Any = data.likelihood
    if as_variance:
        return Objective(decoder_variance=tau, n_latents=latents)
    return Objective(beta=tau, n_latents=latents, likelihood=likelihood)


def written(data: Data, seed: int, *, network: Network, latents: int, steps: int = STEPS // 2, **loss: Any) -> Planted:
    """Trained with a loss as it stands in code."""
    objective = Objective.from_loss(n_features=data.x.shape[1], n_latents=latents, **loss)
    return _trained(data, seed, objective, network, steps, warm=False)


def cut_short(data: Data, seed: int, *, network: Network, latents: int, level: float, steps: int) -> Planted:
    """Stopped after a few steps."""
    epochs_of = -(-len(data.x) // 128)
    rate = RATE / 2
    return _trained(data, seed, asked(data, latents, level), network, max(steps, epochs_of), warm=False, rate=rate)


def dead_units(data: Data, seed: int, *, network: Network, latents: int, level: float, where: str) -> Planted:
    """Stuck: an early step far too large has put every ReLU of one hidden layer out of reach; then trained for long."""
    start = _trained(data, seed, asked(data, latents, level), network, 30, warm=False)
    with torch.no_grad():
        start.probe.module.values[f"{where}/0/bias"].sub_(100.0)  # type: ignore[index, operator, union-attr]
    return _go_on(start, seed, STEPS)


def spoiled(data: Data, seed: int, *, network: Network, latents: int, level: float, kind: str) -> Planted:
    """Trained with an encoder whose output is stuck."""
    start = _trained(data, seed, asked(data, latents, level), network, 1, warm=False)
    return _go_on(replace(start, probe=wrapped(start.probe, kind)), seed, STEPS)


def limited(data: Data, seed: int, *, network: Network, latents: int, level: float, kind: str) -> Planted:
    """Trained with a decoder whose output is held back by what follows it."""
    return spoiled(data, seed, network=network, latents=latents, level=level, kind=kind)


def misfed(data: Data, seed: int, *, network: Network, latents: int, level: float, factor: float) -> Planted:
    """Well trained, then shown its data at another scale."""
    planted = settled(data, seed, network=network, latents=latents, level=level)
    scaled = replace(data, x=data.x * np.float32(factor), held_out=data.held_out * np.float32(factor))
    return replace(planted, data=scaled)


def untold(
    data: Data, seed: int, *, network: Network, latents: int, level: float, free_bits: float = 0.0, weight: float = 1.0
) -> Planted:
    """Trained with free bits, or with a fraction of the KL weight that is stated, and nobody says so."""
    stated = asked(data, latents, level)
    own = replace(stated, beta=stated.beta * weight)
    planted = _trained(data, seed, own, network, STEPS, warm=False, free_bits=free_bits)
    silent = replace(planted.probe, trained_for=None, objective=stated)
    return Planted(silent, data, stated)


def parted(data: Data, seed: int, *, network: Network, latents: int, level: float) -> Planted:
    """Well trained, then the encoder's head lost: a checkpoint in which one layer was not found."""
    planted = settled(data, seed, network=network, latents=latents, level=level)
    weight = planted.probe.module.values["encoder0/head/weight"]  # type: ignore[index, union-attr]
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        weight.uniform_(-1, 1, generator=generator).div_(len(weight) ** 0.5)  # type: ignore[operator, union-attr]
    return planted


def behind(data: Data, seed: int, *, network: Network, latents: int, level: float, steps: int) -> Planted:
    """The encoder frozen after a few steps, while the decoder trained on."""
    start = _trained(data, seed, asked(data, latents, level), network, steps, warm=False, rate=RATE)
    values = start.probe.module.values
    encoder = [values[name] for name in values if name.startswith("encoder")]  # type: ignore[index, union-attr]
    for p in encoder:
        p.requires_grad_(False)
    after = _go_on(start, seed, STEPS)
    after.probe.module.requires_grad_(True)
    return after


def idle_upper_level(
    data: Data, seed: int, *, network: Network, latents: tuple[int, int], level: float, beta: float
) -> Planted:
    """Two levels; the upper one's weight is no lower than the lower one's."""
    tau = level * float(data.strengths()[0])
    levels = (Level(1.0, n_latents=latents[0]), Level(beta, n_latents=latents[1]))
    objective = Objective(beta=1.0, decoder_variance=tau, levels=levels, n_latents=latents[0])
    return _trained(data, seed, objective, network, STEPS, warm=False)


def _trained(
    data: Data,
    seed: int,
    objective: Objective,
    network: Network,
    steps: int,
    *,
    warm: bool,
    rate: float = RATE,
    free_bits: float = 0.0,
) -> Planted:
    epochs = max(1, round(steps / -(-len(data.x) // 128)))
    schedule = Schedule("linear", warmup=epochs / 2) if warm else Schedule()
    how = Training(epochs=epochs, learning_rate=rate, seed=seed, schedule=schedule, free_bits=free_bits)
    trained = train(data.x, given=data.given, objective=objective, network=network, training=how, device="cpu")
    return Planted(own_probe(trained), data, objective)


def _go_on(planted: Planted, seed: int, steps: int, warm_up: float = 0.0) -> Planted:
    after = retrain(
        planted.probe,
        planted.data.x,
        planted.data.x,
        planted.data.given,
        objective=planted.objective,
        n_steps=steps,
        learning_rate=RATE,
        warm_up=warm_up,
        seed=seed,
    )
    return replace(planted, probe=after)
