"""Whether a plant took: causes that training alone decides are proved by more training, apart from any diagnosis."""

from __future__ import annotations

from typing import Any

import numpy as np
from plants import RATE, STEPS, Planted

from uncollapse.measure.decoder import measure_decoder
from uncollapse.measure.observe import observe
from uncollapse.probes.probe import TorchProbe
from uncollapse.probes.retrain import retrain, start_anew

__all__ = ["PROVED", "took"]

PROVED = ("optimisation", "rightly-dead", "slow")
"""The other causes hold by construction: a weight, a reduction, a wrapped encoder, a lost layer, too few latents."""


def took(cause: str, p: Planted, seed: int) -> tuple[bool, str]:
    """Whether the plant is what it should be, and the numbers that say so.

    Stuck: as much plain training again wakes no latent, new weights with a KL warm-up do. Rightly dead: some latent is
    dead, and neither a warm restart nor new weights give more alive and a lower held-out loss. Slow: plain training
    lowers it by two errors.
    """
    alive, losses = _held_out(p, p.probe)
    plain = _held_out(p, _trained(p, p.probe, seed, 0.0)) if cause != "rightly-dead" else None
    if cause == "slow":
        assert plain is not None
        gain, error = _gain(losses, plain[1])
        return gain > 2 * error, f"on: {gain:.3g} ± {error:.2g} nats, {alive} → {plain[0]} alive"
    anew = _held_out(p, _trained(p, start_anew(p.probe, seed), seed, 0.5))
    if cause == "optimisation":
        assert plain is not None
        return plain[0] <= alive < anew[0], f"on: {alive} → {plain[0]} alive; anew: {anew[0]}"
    restart = _held_out(p, _trained(p, p.probe, seed, 0.5))
    better = [n > alive and _gain(losses, after)[0] > 2 * _gain(losses, after)[1] for n, after in (anew, restart)]
    n = int(p.objective.n_latents or 0)
    return alive < n and not any(better), f"restart: {alive} → {restart[0]} of {n} alive; anew: {anew[0]}"


def _trained(p: Planted, start: TorchProbe, seed: int, warm_up: float) -> TorchProbe:
    settings: dict[str, Any] = {"n_steps": STEPS, "learning_rate": RATE, "warm_up": warm_up, "seed": seed + 1}
    return retrain(start, p.data.x, p.data.x, p.data.given, objective=p.objective, **settings)


def _held_out(p: Planted, probe: TorchProbe) -> tuple[int, np.ndarray]:
    seen = observe(probe, p.data.held_out)
    return seen.measurement.n_alive, measure_decoder(probe, seen, p.objective).losses


def _gain(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    gains = before - after
    return float(gains.mean()), float(gains.std() / np.sqrt(len(gains)))
