"""Pixels of 0 to 255 or of 0 to 1, probabilities or logits: the better reconstruction tells."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from uncollapse.inferring.halves import Halves
from uncollapse.inferring.result import Inferred

__all__ = ["Scaled", "range_of"]

BETTER = 0.8
"""Another range is taken where its error is less than so much of that of the data as they are."""


@dataclass(frozen=True, eq=False)
class Scaled:
    """How the model takes the data.

    Attributes
    ----------
    halves : Halves
    scale, shift : float
    found : tuple of Inferred
    """

    halves: Halves
    scale: float = 1.0
    shift: float = 0.0
    found: tuple[Inferred, ...] = ()


def range_of(halves: Halves, x: Tensor, given: Tensor | None, *, said: float | None = None) -> Scaled:
    """The range of the data under which the model reconstructs them best, and whether it gives logits.

    The error is compared with the data's own variance in that range, so that ranges can be compared; a model whose
    latents are dead gives the mean, in its own range.

    Parameters
    ----------
    halves : Halves
    x : Tensor of shape (B, …)
        In its own range.
    given : Tensor, optional
    said : float, optional
        The scale that the user says.
    """
    options = _ranges(x) if said is None else [(said, 0.0)]
    tried = {}
    for scale, shift in options:
        for sigmoid in (False, True):
            read = halves if not sigmoid else Halves(halves.model, replace(halves.reading, sigmoid=True))
            error = _error(read, x * scale + shift, given, of_logits=sigmoid)
            if error is not None:
                tried[scale, shift, sigmoid] = error
    if not tried:
        return Scaled(halves, *options[0])
    own = (*options[0], False)
    best = min(tried, key=lambda key: tried[key])
    if own in tried and tried[best] > BETTER * tried[own]:
        best = own
    scale, shift, sigmoid = best
    found = _said(best, own, tried)
    return Scaled(Halves(halves.model, replace(halves.reading, sigmoid=sigmoid)), scale, shift, found)


def _ranges(x: Tensor) -> list[tuple[float, float]]:
    least, most = float(x.min()), float(x.max())
    if least < 0 or most <= 0:
        return [(1.0, 0.0)]
    if most <= 1:
        return [(1.0, 0.0), (2.0, -1.0)]
    if most <= 255 and bool((x == x.round()).all()):
        return [(1.0, 0.0), (1 / 255, 0.0), (2 / 255, -1.0)]
    return [(1.0, 0.0)]


@torch.no_grad()
def _error(halves: Halves, x: Tensor, given: Tensor | None, *, of_logits: bool) -> float | None:
    """Squared error of the reconstruction over the variance of the data; None where logits make no sense."""
    if of_logits and not (float(x.min()) >= 0 and float(x.max()) <= 1):
        return None
    mean, _ = halves.encode(x, given)
    out = halves.decode(mean, given).flatten(1)
    flat = x.flatten(1)
    spread = (flat - flat.mean(dim=0)).square().mean().clamp_min(1e-12)
    error = (out - flat).square().mean() / spread
    return float(error) if bool(torch.isfinite(error)) else None


def _said(
    best: tuple[float, float, bool], own: tuple[float, float, bool], tried: dict[tuple[float, float, bool], float]
) -> tuple[Inferred, ...]:
    scale, shift, sigmoid = best
    found = []
    how = f"the reconstruction's error is then {tried[best]:.2g} of the data's variance"
    beside = f", else {tried[own]:.2g}" if own in tried and own != best else ""
    if (scale, shift) != own[:2]:
        value = f"data × {scale:.4g}" + (f" − {-shift:g}" if shift else "")
        found.append(Inferred("range of the data", value, how + beside, "--scale"))
    if sigmoid:
        found.append(Inferred("what the decoder gives", "logits", how + beside, "a decode of your own"))
    return tuple(found)
