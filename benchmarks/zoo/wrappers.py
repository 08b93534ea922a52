"""Encoders that go wrong in the ways that real ones do, as modules around ours: any module can be probed."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uncollapse.probes.probe import TorchProbe

__all__ = ["ENCODERS", "Wrapped", "wrapped"]

Spoil = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Wrapped(nn.Module):
    """A model whose encoder's output goes through one more function."""

    def __init__(self, inner: nn.Module, spoil: Spoil) -> None:
        super().__init__()
        self.inner, self.spoil = inner, spoil

    def mean_and_log_variance(self, x: Tensor, given: Tensor | None) -> tuple[Tensor, Tensor]:
        """Of q(z|x), spoiled."""
        return self.spoil(*self.inner.mean_and_log_variance(x, given))  # type: ignore[operator]

    def mean_of_target(self, z: Tensor, given: Tensor | None) -> Tensor:
        """E[y|z]."""
        return self.inner.mean_of_target(z, given)  # type: ignore[operator, no-any-return]


def wrapped(probe: TorchProbe, kind: str) -> TorchProbe:
    """The model with one of `ENCODERS`."""
    return TorchProbe(
        f"{probe.name}, {kind}",
        Wrapped(probe.module, ENCODERS[kind]),
        lambda own, x, given: own.mean_and_log_variance(x, given),  # type: ignore[operator]
        lambda own, z, given: own.mean_of_target(z, given),  # type: ignore[operator]
        objective=probe.objective,
        latent_shape=probe.latent_shape,
    )


def _softplus(mean: Tensor, log_variance: Tensor) -> tuple[Tensor, Tensor]:
    """log σ² > 0: the posterior is never narrower than the prior."""
    return mean, F.softplus(log_variance)


def _clamped(mean: Tensor, log_variance: Tensor) -> tuple[Tensor, Tensor]:
    """A floor for log σ² that all latents sit on, in place of a far lower one."""
    return mean, log_variance.clamp(-0.5, -0.5 + 1e-6)


def _saturated(mean: Tensor, log_variance: Tensor) -> tuple[Tensor, Tensor]:
    """Half of the means come from a layer that is driven to its end, as after a step far too large."""
    half = mean.shape[1] // 2
    return torch.cat([mean[:, :half], 1.5 * torch.tanh(mean[:, half:] + 20.0)], 1), log_variance


ENCODERS: dict[str, Spoil] = {"softplus": _softplus, "clamped": _clamped, "saturated": _saturated}
