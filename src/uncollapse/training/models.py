"""Encoder, decoder and the priors between levels, as functions of stacked parameters.

What comes out of them is in full precision, whatever the products inside were rounded to.

Every tensor has a first axis M, the members trained side by side; a single model is a stack of one. B is the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from uncollapse.training.architecture import KERNEL, PADDING, STRIDE, Architecture, conv_sizes
from uncollapse.training.config import Setup

__all__ = ["Coefficients", "Parameters", "coefficients", "decode", "posterior", "prior_mean"]

Parameters = dict[str, Tensor]


@dataclass(frozen=True)
class Coefficients:
    """Numbers of the objective that may differ between members of one stack.

    Attributes
    ----------
    kl_weights : Tensor of shape (M, L)
        β times the level's own, per latent.
    decoder_variance, prior_variance : Tensor of shape (M,)
    log_variance : Tensor of shape (M, L)
        log σ² where it is fixed, 0 elsewhere.
    free_bits : Tensor of shape (M,)
    """

    kl_weights: Tensor
    decoder_variance: Tensor
    prior_variance: Tensor
    log_variance: Tensor
    free_bits: Tensor

    def of(self, members: Any) -> Coefficients:
        """The coefficients of some members."""
        return Coefficients(*(value[members] for value in vars(self).values()))


def coefficients(setups: list[Setup], a: Architecture, device: torch.device, dtype: torch.dtype) -> Coefficients:
    """One row per setup."""

    def tensor(rows: list[Any]) -> Tensor:
        return torch.tensor(rows, dtype=torch.float64).to(device, dtype)

    weights, log_variances = [], []
    for setup in setups:
        o = setup.objective
        betas = [o.beta * level.beta for level in o.levels] or [o.beta]
        variances: list[Any] = [level.variance for level in o.levels] or [o.encoder_variance]
        weights.append([beta for beta, n in zip(betas, a.latents, strict=True) for _ in range(n)])
        each = [v if isinstance(v, tuple) else (v,) * n for v, n in zip(variances, a.latents, strict=True)]
        log_variances.append([1.0 if v == "learned" else float(v) for row in each for v in row])
    given = [setup.objective.decoder_variance for setup in setups]
    return Coefficients(
        tensor(weights),
        tensor([1.0 if value == "learned" else value for value in given]),
        tensor([setup.objective.prior_variance for setup in setups]),
        tensor(log_variances).log(),
        tensor([setup.training.free_bits for setup in setups]),
    )


def posterior(a: Architecture, p: Parameters, k: Coefficients, level: int, below: Tensor, given: Tensor | None) -> Any:
    """q(z_l | what lies below): its mean (M, B, l) and log-variance (M, B, l), or (M, 1, l) when it is global."""
    name, columns = f"encoder{level}", a.levels[level]
    if level == 0 and a.log_input:
        below = torch.log1p(below)
    if level == 0 and a.network.channels:
        below = _convolved(a, p, below)
    if level == 0 and given is not None:
        below = torch.cat([below, given], -1)
    n_hidden = len(a.network.hidden if level == 0 else a.network.level_hidden)
    head = _dense(a, p, name, below, n_hidden, "head").to(k.log_variance.dtype)  # (M, B, l) or (M, B, 2l)
    fixed = k.log_variance[:, None, columns]  # (M, 1, l)
    if a.data_dependent(level):
        mean, log_variance = head.chunk(2, -1)
    elif any(a.learned[level]):
        mean, log_variance = head, p[f"{name}.log_variance"]
    else:
        return head, fixed
    if not all(a.learned[level]):
        is_learned = torch.tensor(a.learned[level], device=head.device)
        log_variance = torch.where(is_learned, log_variance, fixed)
    return mean, log_variance


def decode(a: Architecture, p: Parameters, k: Coefficients, z: Tensor, given: Tensor | None) -> Tensor:
    """z_1 (M, B, l) and condition → mean, logits or log-rates of y, (M, B, d)."""
    if given is not None:
        z = torch.cat([z, given], -1)
    out = _dense(a, p, "decoder", z, len(a.network.decoder_widths), "out")
    if a.network.channels:
        out = _deconvolved(a, p, _activate(a, out))
    return out.to(k.log_variance.dtype)


def prior_mean(a: Architecture, p: Parameters, k: Coefficients, level: int, z: Tensor) -> Tensor:
    """Mean of p(z_{l-1} | z_l), (M, B, l below)."""
    return _dense(a, p, f"prior{level}", z, len(a.network.level_hidden), "out").to(k.log_variance.dtype)


def _dense(a: Architecture, p: Parameters, name: str, x: Tensor, n_hidden: int, last: str) -> Tensor:
    for i in range(n_hidden):
        x = _activate(a, _affine(p, f"{name}.{i}", x))
    return _affine(p, f"{name}.{last}", x)


def _affine(p: Parameters, name: str, x: Tensor) -> Tensor:
    weight, bias = p[f"{name}.weight"], p.get(f"{name}.bias")  # (M, in, out), (M, 1, out)
    if len(weight) == 1:  # squeezed, which is free in both directions: one product of matrices is faster than bmm
        x, weight = x.squeeze(0), weight.squeeze(0)
        return (x @ weight if bias is None else torch.addmm(bias.squeeze(0), x, weight)).unsqueeze(0)
    return torch.bmm(x, weight) if bias is None else torch.baddbmm(bias, x, weight)


def _activate(a: Architecture, x: Tensor) -> Tensor:
    if a.network.activation == "relu":
        return torch.relu_(x)
    return torch.tanh_(x) if a.network.activation == "tanh" else F.silu(x)


def _convolved(a: Architecture, p: Parameters, x: Tensor) -> Tensor:
    """Images (M, B, C·H·W) through the convolutions; members are groups of channels: (B, M·C, H, W)."""
    sizes = conv_sizes(a.network)
    n_members, n_batch = x.shape[:2]
    x = x.reshape(n_members, n_batch, *sizes[0]).transpose(0, 1).flatten(1, 2)
    for i in range(len(a.network.channels)):
        weight, bias = _grouped(p, f"encoder0.conv{i}")
        x = _activate(a, F.conv2d(x, weight, bias, stride=STRIDE, padding=PADDING, groups=n_members))
    return x.reshape(n_batch, n_members, -1).transpose(0, 1).reshape(n_members, n_batch, -1)


def _deconvolved(a: Architecture, p: Parameters, h: Tensor) -> Tensor:
    sizes = conv_sizes(a.network)
    n_members, n_batch = h.shape[:2]
    h = h.reshape(n_members, n_batch, *sizes[-1]).transpose(0, 1).flatten(1, 2)
    for i in reversed(range(len(a.network.channels))):
        weight, bias = _grouped(p, f"decoder.conv{i}")
        smallest = [STRIDE * (side - 1) - 2 * PADDING + KERNEL for side in sizes[i + 1][1:]]
        missing = [side - least for side, least in zip(sizes[i][1:], smallest, strict=True)]
        h = F.conv_transpose2d(
            h, weight, bias, stride=STRIDE, padding=PADDING, output_padding=missing, groups=n_members
        )
        h = _activate(a, h) if i else h
    return h.reshape(n_batch, n_members, -1).transpose(0, 1).reshape(n_members, n_batch, -1)


def _grouped(p: Parameters, name: str) -> tuple[Tensor, Tensor | None]:
    bias = p.get(f"{name}.bias")
    return p[f"{name}.weight"].flatten(0, 1), None if bias is None else bias.flatten()
