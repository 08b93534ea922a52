"""Encoders that go wrong in the ways that real ones do, as modules around ours: any module can be probed."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uncollapse.probes.probe import TorchProbe

__all__ = ["DECODERS", "ENCODERS", "Wrapped", "wrapped"]

Spoil = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Wrapped(nn.Module):
    """A model whose encoder's or decoder's output goes through one more function."""

    def __init__(self, inner: nn.Module, kind: str) -> None:
        super().__init__()
        self.inner, self.kind = inner, kind

    def mean_and_log_variance(self, x: Tensor, given: Tensor | None) -> tuple[Tensor, Tensor]:
        """Of q(z|x), spoiled."""
        moments = self.inner.mean_and_log_variance(x, given)  # type: ignore[operator]
        return ENCODERS[self.kind](*moments) if self.kind in ENCODERS else moments

    def mean_of_target(self, z: Tensor, given: Tensor | None) -> Tensor:
        """E[y|z]."""
        mean: Tensor = self.inner.mean_of_target(z, given)  # type: ignore[operator]
        return DECODERS[self.kind](mean) if self.kind in DECODERS else mean


def wrapped(probe: TorchProbe, kind: str) -> TorchProbe:
    """The model with one of `ENCODERS` or `DECODERS`."""
    return TorchProbe(
        f"{probe.name}, {kind}",
        Wrapped(probe.module, kind),
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


def _coarse(mean: Tensor) -> Tensor:
    """Ten numbers, each shown by all columns of its part."""
    n_columns = mean.shape[1]
    parts = F.adaptive_avg_pool1d(mean[:, None], 10)
    return F.interpolate(parts, size=n_columns)[:, 0]


def _squashed(mean: Tensor) -> Tensor:
    """A sigmoid at the end."""
    return torch.sigmoid(mean)


DECODERS: dict[str, Callable[[Tensor], Tensor]] = {"coarse": _coarse, "squashed": _squashed}
