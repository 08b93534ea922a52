"""Probe of diffusers' AutoencoderKL. Read from the sources of 0.42."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from uncollapse.errors import ObjectiveError, SourceError, kind_and_line
from uncollapse.measure.protocol import RAISED
from uncollapse.probes.probe import TorchProbe, mode_notes

__all__ = ["CONFIG", "diffusers_folder", "diffusers_probe"]

CONFIG = "config.json"
CLASS = "AutoencoderKL"


def diffusers_probe(model: Any, *, input_shape: tuple[int, ...] | None = None) -> TorchProbe:
    """Probe of an AutoencoderKL; its latents are those of `encode`, before the scaling factor of latent diffusion.

    Parameters
    ----------
    model : diffusers.AutoencoderKL
    input_shape : tuple of int (channels, height, width), optional
        Of one image; the configuration's when left out.

    Raises
    ------
    ObjectiveError
        Another autoencoder of the library.

    Notes
    -----
    The library holds no loss, so the objective is not known.
    """
    kinds = [c.__name__ for c in type(model).__mro__ if c.__module__.startswith("diffusers.")]
    if CLASS not in kinds:
        raise ObjectiveError(f"diffusers {type(model).__name__}: known is {CLASS}; give another model as two functions")
    side = model.config.sample_size
    sides = (side, side) if isinstance(side, int) else tuple(side)
    return TorchProbe(
        f"diffusers {CLASS}",
        model,
        _mean_and_log_variance,
        _output,
        input_shape=input_shape or (model.config.in_channels, *sides),
        notes=(*mode_notes(model), "diffusers holds no training loss, so the objective must be said"),
    )


def diffusers_folder(folder: Path, *, input_shape: tuple[int, ...] | None = None) -> TorchProbe:
    """Probe of an AutoencoderKL as `save_pretrained` wrote it: weights as safetensors, and no code."""
    try:
        from diffusers import AutoencoderKL
    except ImportError:
        raise SourceError(f"{folder}: is a model of diffusers, which is not installed: pip install diffusers") from None
    try:
        model = AutoencoderKL.from_pretrained(
            str(folder), local_files_only=True, use_safetensors=True, low_cpu_mem_usage=False
        )
    except RAISED as error:  # the library raises anything
        raise SourceError(f"{folder}: diffusers cannot load it: {kind_and_line(error)}") from error
    probe = diffusers_probe(model, input_shape=input_shape)
    return replace(probe, name=f"{probe.name} of {folder}")


def _mean_and_log_variance(model: Any, x: Tensor, given: Tensor | None) -> tuple[Tensor, Tensor]:
    if given is not None:
        raise ObjectiveError(f"{CLASS} knows no condition; leave --given out")
    q = model.encode(x).latent_dist
    return q.mean, q.logvar


def _output(model: Any, z: Tensor, given: Tensor | None) -> Tensor:
    image: Tensor = model.decode(z).sample
    return image
