"""Models of pythae whose prior is not N(0, I): VAMP's mixture, and flows, which are taken for a prior of their base."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from uncollapse.measure.prior import LogPrior
from uncollapse.probes.probe import evaluating

__all__ = ["OWN_PRIOR", "flow_of", "log_prior_of"]

OWN_PRIOR = ("VAMP", "VAE_IAF", "VAE_LinNF")


def flow_of(model: Any, kind: str) -> Callable[[Tensor], tuple[Tensor, Tensor]] | None:
    """The flow f of a model's latents, z → f(z) and log |det ∂f/∂z| of each row; None where there is none."""
    if kind == "VAE_IAF":

        def inverse(z: Tensor) -> tuple[Tensor, Tensor]:
            moved = model.iaf_flow.inverse(z)
            return moved.out, moved.log_abs_det_jac

        return inverse
    if kind == "VAE_LinNF":

        def through(z: Tensor) -> tuple[Tensor, Tensor]:
            volume = z.new_zeros(len(z))
            for layer in model.net:
                moved = layer(z)
                z, volume = moved.out, volume + moved.log_abs_det_jac
            return z, volume

        return through
    return None


def log_prior_of(model: Any, kind: str) -> LogPrior | None:
    """log p of the latents that the encoder gives; None of a model with N(0, I).

    A posterior N(m, s²) sent through a flow f, with N(0, I) after it, has the same bound as that Gaussian itself with
    the prior N(f(z); 0, I) |det ∂f/∂z| and the decoder after f (Rezende & Mohamed 2015, eq. 15, in another order).
    """
    if kind not in OWN_PRIOR:
        return None
    flow = flow_of(model, kind)

    def log_prior(z: np.ndarray) -> np.ndarray:
        like = next(model.parameters())
        with torch.no_grad(), evaluating(model):
            latents = torch.as_tensor(z).to(like.device, like.dtype)
            if flow is None:
                unscaled = model._log_p_z(latents)
            else:
                moved, volume = flow(latents)
                unscaled = volume - 0.5 * moved.square().sum(dim=1)
        values: np.ndarray = unscaled.double().cpu().numpy()
        return values - z.shape[1] / 2 * np.log(2 * np.pi)

    return log_prior
