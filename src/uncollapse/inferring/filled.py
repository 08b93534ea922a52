"""What a module returns, with made-up numbers in the places of its reconstruction, its mean and its spread."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent, Laplace, Normal

from uncollapse.inferring.find import reconstruction_in
from uncollapse.inferring.halves import FORWARD, SPREADS, Halves, as_given, called, sampling
from uncollapse.inferring.trees import Path, mapped, tensors_in

__all__ = ["UNREAD", "Made", "Template", "template_of"]

UNREAD: dict[str, Callable[[Tensor], Tensor]] = {
    "log_variance": lambda v: v,
    "variance": torch.exp,
    "std": lambda v: (v / 2).exp(),
    "log_std": lambda v: v / 2,
    "std before softplus": lambda v: (v / 2).exp().expm1().log(),
}
"""A log-variance as each reading of the spread has it: `SPREADS` the other way round."""


@dataclass(frozen=True, eq=False)
class Made:
    """Made-up numbers.

    Attributes
    ----------
    recon, x : Tensor of shape (B, …)
    mean, log_variance : Tensor of shape (B, K)
    z : Tensor of shape (B, K), optional
    """

    recon: Tensor
    x: Tensor
    mean: Tensor
    log_variance: Tensor
    z: Tensor | None = None

    @property
    def sample(self) -> Tensor:
        """z, or the mean."""
        return self.mean if self.z is None else self.z


@dataclass(frozen=True, eq=False)
class Template:
    """An output with what each of its tensors is.

    Attributes
    ----------
    out : object
    roles : dict of path → str
        "recon", "logits" and "probabilities" (of the reconstruction), "mean", "x", "z", one of `SPREADS`; nothing of
        the others.
    """

    out: Any
    roles: dict[Path, str]

    def filled(self, made: Made) -> Any:
        """The output of a module that gave these numbers."""
        return mapped(self.out, lambda path, part: self._filled(self.roles.get(path, ""), part, made))

    def others(self) -> list[Tensor]:
        """Tensors that are none of the VAE's: a classifier's, say."""
        return [part for path, part in tensors_in(self.out) if path not in self.roles]

    def _filled(self, role: str, part: Any, made: Made) -> Any:
        if isinstance(part, Independent):
            return Independent(self._filled(role, part.base_dist, made), part.reinterpreted_batch_ndims)
        if isinstance(part, Distribution):
            return _distribution(role, part, made)
        if role in UNREAD:
            return UNREAD[role](made.log_variance)
        of = {"recon": lambda: made.recon, "x": lambda: made.x, "mean": lambda: made.mean, "z": lambda: made.sample,
              "logits": lambda: made.recon.logit(), "probabilities": lambda: made.recon.sigmoid()}  # fmt: skip
        if role in of:
            return of[role]()
        return part.new_zeros(len(made.x), *part.shape[1:]) if part.ndim else part


def _distribution(role: str, part: Distribution, made: Made) -> Distribution:
    """Of x where it is that of the reconstruction, with the spread that it has; else the posterior, or the prior."""
    if role == "mean":
        return Normal(made.mean, (made.log_variance / 2).exp())
    if role == "recon" and isinstance(part, Bernoulli):
        return Bernoulli(probs=made.recon, validate_args=False)
    if role == "recon" and isinstance(part, Normal | Laplace):
        return type(part)(made.recon, part.scale.flatten()[0].to(made.recon))
    return Normal(torch.zeros_like(made.mean), torch.ones_like(made.mean))


def template_of(halves: Halves, name: str, x: Tensor, given: Tensor | None) -> Template:
    """What a method or part of the module gives for samples or, of its decoder, for their means; told by values.

    Parameters
    ----------
    halves : Halves
    name : str
        The reading's encoder or decoder, or "forward".
    x : Tensor of shape (B, …)
        As in the data.
    given : Tensor, optional
    """
    first: Template | None = None
    for mode in (sampling(halves.model), nullcontext()):  # some draw only while training, some drop units there
        with torch.no_grad(), torch.random.fork_rng(devices=[]), mode:
            torch.manual_seed(1)
            made = _made(halves, name, x, given)
        if "mean" in made.roles.values():
            return made
        first = first or made
    assert first is not None
    return first


def _made(halves: Halves, name: str, x: Tensor, given: Tensor | None) -> Template:
    r = halves.reading
    mean, raw = halves.mean_and_spread(x, given)
    is_decoder = name == r.decoder != FORWARD
    shown = mean if is_decoder else r.presented(x)
    form = r.decoder_given if is_decoder else r.encoder_given
    out = called(halves.model, name, shown, as_given(given, form or r.decoder_given))
    log_variance = raw if r.spread == "known" else SPREADS[r.spread](raw)
    return Template(out, _roles(out, r.presented(x), mean, log_variance))


def _roles(out: Any, x: Tensor, mean: Tensor, log_variance: Tensor) -> dict[Path, str]:
    parts = dict(tensors_in(out))
    roles: dict[Path, str] = {}
    recon = reconstruction_in(out, x)
    for path, part in parts.items():
        if path == recon:
            roles[path] = "recon"
        elif recon is not None and _same(part, parts[recon].sigmoid()):
            roles[path] = "probabilities"
        elif recon is not None and _same(part.sigmoid(), parts[recon]):
            roles[path] = "logits"
        elif _same(part, x):
            roles[path] = "x"
        elif _same(part, mean):
            roles[path] = "mean"
        elif (kind := next((k for k, as_ in UNREAD.items() if _same(part, as_(log_variance))), None)) is not None:
            roles[path] = kind
        elif part.shape == mean.shape and "mean" in roles.values():
            roles[path] = "z"
    drawn = [path for path, part in parts.items() if path not in roles and part.shape == mean.shape]
    return roles | dict.fromkeys(drawn, "z")


def _same(one: Tensor, other: Tensor) -> bool:
    if one.ndim == 0 or len(one) != len(other) or one.numel() != other.numel() or not one.is_floating_point():
        return False
    return torch.allclose(one.flatten(1), other.flatten(1), rtol=1e-4, atol=1e-6)
