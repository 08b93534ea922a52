"""Pixels of 0 to 255 or of 0 to 1, probabilities or logits: the better reconstruction tells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import torch
from torch import Tensor

from uncollapse.inferring.filled import template_of
from uncollapse.inferring.halves import FORWARD, Halves
from uncollapse.inferring.result import Inferred
from uncollapse.inferring.trees import at

__all__ = ["Scaled", "range_of"]

Way = tuple[float, float, str]
"""Scale, shift and link."""

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


def range_of(halves: Halves, x: Tensor, given: Tensor | None, *, kind: str = "", said: float | None = None) -> Scaled:
    """The range of the data under which the model reconstructs them best, and whether it gives logits.

    The error is compared with the data's own variance in that range, so that ranges can be compared; a model whose
    latents are dead gives the mean, in its own range.

    Parameters
    ----------
    halves : Halves
    x : Tensor of shape (B, …)
        In its own range.
    given : Tensor, optional
    kind : str
        Of the reconstruction term, where the loss is known; it says which outputs make sense.
    said : float, optional
        The scale that the user says.
    """
    options = _ranges(x, kind) if said is None else [(said, 0.0)]
    links = _links(halves, x, given, kind)
    tried = {}
    for (scale, shift), link in product(options, links):
        read = Halves(halves.model, replace(halves.reading, link=link))
        error = _error(read, x * scale + shift, given, of_logits=link == "sigmoid")
        if error is not None:
            tried[scale, shift, link] = error
    own = (*options[0], links[0])
    best = min(tried, key=lambda key: tried[key], default=own)
    if own in tried and tried[best] > BETTER * tried[own]:
        best = own
    scale, shift, link = best
    found = _said(best, own, tried, kind)
    return Scaled(Halves(halves.model, replace(halves.reading, link=link)), scale, shift, found)


def _links(halves: Halves, x: Tensor, given: Tensor | None, kind: str) -> list[str]:
    """Ways to make a mean of what the decoder gives: with the loss known one, else none or that of logits."""
    with torch.no_grad():
        out = halves.decode(halves.mean_and_spread(x, given)[0], given)
    if kind.startswith("bernoulli"):
        return ["sigmoid" if bool((out < 0).any() or (out > 1).any()) else ""]
    if kind.startswith("categorical"):
        return ["" if bool((out >= 0).all() and (out.sum(-1) - 1).abs().max() < 1e-3) else "softmax"]
    if kind.endswith("log-rates") or kind.endswith("log-means"):
        return ["exp" if bool((out < 0).any()) else ""]
    outside = bool((out < 0).any() or (out > 1).any())
    return ["", "sigmoid"] if kind in ("", "squared") and outside and _ends_in_unit(halves, x, given) else [""]


def _ends_in_unit(halves: Halves, x: Tensor, given: Tensor | None) -> bool:
    """Whether what the module gives as a whole may have gone through a sigmoid; where nothing is seen, it may."""
    try:
        whole = template_of(halves, FORWARD, x, given)
        seen = [at(whole.out, path) for path, role in whole.roles.items() if role in ("recon", "probabilities")]
    except Exception:  # a user's module raises anything
        return True
    return not seen or any(bool((part >= 0).all() and (part <= 1).all()) for part in seen)


def _ranges(x: Tensor, kind: str) -> list[tuple[float, float]]:
    least, most = float(x.min()), float(x.max())
    if kind.startswith("bernoulli") and least >= 0 and 1 < most <= 255:
        return [(1 / 255, 0.0)]  # no other range has a cross-entropy
    if kind and not kind.startswith(("squared", "learned", "optimal")):
        return [(1.0, 0.0)]
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


def _said(best: Way, own: Way, tried: dict[Way, float], kind: str) -> tuple[Inferred, ...]:
    scale, shift, link = best
    found = []
    how = f"the reconstruction's error is then {tried[best]:.2g} of the data's variance" if best in tried else ""
    beside = f", else {tried[own]:.2g}" if own in tried and own != best else ""
    if (scale, shift) != (1.0, 0.0):
        value = f"data × {scale:.4g}" + (f" − {-shift:g}" if shift else "")
        why = how + beside if best != own or not kind else "its loss takes numbers from 0 to 1"
        found.append(Inferred("range of the data", value, why, "--scale"))
    if link:
        gives = {"sigmoid": "logits", "softmax": "logits of classes", "exp": "logarithms"}[link]
        why = f"its loss takes them ({kind})" if kind and kind != "squared" else how + beside
        found.append(Inferred("what the decoder gives", gives, why, "a decode of your own"))
    return tuple(found)
