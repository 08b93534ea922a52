"""A copy of a library's model, in the class of the library, whose encoder and decoder have the additions."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from uncollapse.bill.additions import Additions
from uncollapse.objective import Objective
from uncollapse.probes.probe import TorchProbe
from uncollapse.reviving.paths import Paths, paths_like

__all__ = ["in_the_librarys_class"]


def in_the_librarys_class(probe: TorchProbe, additions: Additions, objective: Objective) -> nn.Module | None:
    """Of a model of pythae (VAE and its kin) or diffusers (AutoencoderKL): trainers, samplers and pipelines of the
    library take it as they took the model. None of any other.

    Parameters
    ----------
    probe : TorchProbe
    additions : Additions
        Without new latents.
    objective : Objective

    Notes
    -----
    Read from the sources of pythae 0.1.2 and diffusers 0.42.
    """
    libraries = {kind.__module__.partition(".")[0] for kind in type(probe.module).__mro__}
    if not libraries & {"pythae", "diffusers"}:
        return None
    own: Any = copy.deepcopy(probe.module)
    paths = paths_like(own, additions, objective)
    return _of_pythae(own, paths) if "pythae" in libraries else _of_diffusers(own, paths)


class _Encoder(nn.Module):
    """pythae's encoder: x → embedding and log_covariance."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, paths: Paths) -> None:
        super().__init__()
        self.encoder, self.decoder, self.paths = encoder, decoder, paths

    def forward(self, x: Tensor) -> Any:
        """As the encoder's own, with the additions."""
        out = self.encoder(x)
        out["embedding"], out["log_covariance"] = self.paths.encoded(
            out["embedding"], out["log_covariance"], x, lambda z: self.decoder(z)["reconstruction"]
        )
        return out


class _Decoder(nn.Module):
    """pythae's decoder: z → reconstruction."""

    def __init__(self, decoder: nn.Module, paths: Paths) -> None:
        super().__init__()
        self.decoder, self.paths = decoder, paths

    def forward(self, z: Tensor, *more: Any) -> Any:
        """As the decoder's own, with the additions."""
        out = self.decoder(self.paths.held(z), *more)
        out["reconstruction"] = self.paths.added(out["reconstruction"], z)
        return out


def _of_pythae(own: Any, paths: Paths) -> nn.Module:
    own.encoder, own.decoder = _Encoder(own.encoder, own.decoder, paths), _Decoder(own.decoder, paths)
    module: nn.Module = own
    return module


def _of_diffusers(own: Any, paths: Paths) -> nn.Module:
    kind: Any = type(own)

    def decode(self: Any, z: Tensor, return_dict: bool = True, generator: Any = None) -> Any:
        """As the model's own, with the additions."""
        out = kind.decode(self, paths_of(self).held(z))
        out.sample = paths_of(self).added(out.sample, z)
        return out if return_dict else (out.sample,)

    def encode(self: Any, x: Tensor, return_dict: bool = True) -> Any:
        """As the model's own, with the additions."""
        out = kind.encode(self, x)
        q = out.latent_dist
        mean, log_variance = paths_of(self).encoded(q.mean, q.logvar, x, lambda z: kind.decode(self, z).sample)
        out.latent_dist = type(q)(torch.cat([mean, log_variance], 1), deterministic=q.deterministic)
        return out if return_dict else (out.latent_dist,)

    name = next(f"paths{i or ''}" for i in range(100) if not hasattr(own, f"paths{i or ''}"))  # revived more than once

    def paths_of(model: Any) -> Paths:
        its: Paths = getattr(model, name)
        return its

    own.__class__ = type(f"Revived{kind.__name__}", (kind,), {"encode": encode, "decode": decode})
    setattr(own, name, paths)
    module: nn.Module = own
    return module
