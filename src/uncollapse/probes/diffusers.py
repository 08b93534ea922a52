"""Probe of diffusers' autoencoders with a Gaussian posterior: images, video, audio. Read from the sources of 0.42."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from uncollapse.errors import ObjectiveError, SourceError, kind_and_line
from uncollapse.measure.protocol import RAISED
from uncollapse.probes.probe import TorchProbe, mode_notes

__all__ = ["CONFIG", "diffusers_folder", "diffusers_probe"]

CONFIG = "config.json"

POINT = "its encoder gives a point, so there is no posterior and no KL"
REFUSED = {
    "AutoencoderTiny": POINT,
    "AutoencoderDC": POINT,
    "AutoencoderRAE": POINT,
    "AutoencoderSAME": POINT,
    "AutoencoderKLCosmos": POINT,
    "VQModel": "its latents are entries of a codebook, so there is no KL of each",
    "ConsistencyDecoderVAE": "its decoder draws images by diffusion and gives no mean of them",
}
"""Why autoencoders of the library are not read."""


def diffusers_probe(model: Any, *, input_shape: tuple[int, ...] | None = None) -> TorchProbe:
    """Probe of an autoencoder; its latents are those of `encode`, before the scaling factor of latent diffusion.

    Parameters
    ----------
    model : diffusers.AutoencoderKL or any other whose `encode` gives a `latent_dist`
    input_shape : tuple of int, optional
        Of one sample: (channels, height, width), of video (channels, frames, height, width); the configuration's when
        left out, where it has one.

    Raises
    ------
    ObjectiveError
        A model without a Gaussian posterior, or a video model without its shape.

    Notes
    -----
    The library holds no loss, so the objective is not known.
    """
    kind = next((c.__name__ for c in type(model).__mro__ if c.__module__.startswith("diffusers.")), "")
    name = f"diffusers {type(model).__name__}"
    if kind in REFUSED:
        raise ObjectiveError(f"{name}: {REFUSED[kind]}")
    if not all(callable(getattr(model, part, None)) for part in ("encode", "decode")):
        raise ObjectiveError(f"{name}: is no autoencoder: it has no encode and decode")
    notes = (*mode_notes(model), "diffusers holds no training loss, so the objective must be said")
    if _takes_frames(model):
        notes += ("each image is decoded as a video of one frame",)
    return TorchProbe(
        name,
        model,
        _mean_and_log_variance,
        _output,
        input_shape=input_shape or _configured(model, name),
        notes=notes,
    )


def diffusers_folder(folder: Path, *, input_shape: tuple[int, ...] | None = None) -> TorchProbe:
    """Probe of an autoencoder as `save_pretrained` wrote it: weights as safetensors, and no code."""
    try:
        import diffusers
    except ImportError:
        raise SourceError(f"{folder}: is a model of diffusers, which is not installed: pip install diffusers") from None
    kind = _named(folder)
    if kind in REFUSED:
        raise ObjectiveError(f"{folder}: a diffusers {kind}: {REFUSED[kind]}")
    found = getattr(diffusers, kind, None)
    if not (isinstance(found, type) and issubclass(found, torch.nn.Module) and hasattr(found, "decode")):
        raise ObjectiveError(f"{folder}: a diffusers {kind}: is no autoencoder that is known")
    known: Any = found
    try:
        model = known.from_pretrained(str(folder), local_files_only=True, use_safetensors=True, low_cpu_mem_usage=False)
    except RAISED as error:  # the library raises anything
        raise SourceError(f"{folder}: diffusers cannot load it: {kind_and_line(error)}") from error
    probe = diffusers_probe(model, input_shape=input_shape)
    return replace(probe, name=f"{probe.name} of {folder}")


def _named(folder: Path) -> str:
    """The class that a configuration names; AutoencoderKL where it names none."""
    try:
        config = json.loads((folder / CONFIG).read_text())
    except (OSError, ValueError) as error:
        raise SourceError(f"{folder / CONFIG}: no configuration of diffusers ({kind_and_line(error)})") from None
    return str(config.get("_class_name", "AutoencoderKL")) if isinstance(config, dict) else "AutoencoderKL"


def _configured(model: Any, name: str) -> tuple[int, ...]:
    config = model.config
    side, channels = getattr(config, "sample_size", None), getattr(config, "in_channels", None)
    if isinstance(channels, int) and (isinstance(side, int) or (isinstance(side, tuple | list) and len(side) == 2)):
        sides = (side, side) if isinstance(side, int) else tuple(side)
        return (channels, *sides)
    raise ObjectiveError(
        f"{name}: its configuration does not say the shape of a sample: say input_shape=(channels, frames, height, "
        f"width) (--input-shape), or as it takes one"
    )


def _takes_frames(model: Any) -> bool:
    parameter = inspect.signature(model.decode).parameters.get("num_frames")
    return parameter is not None and parameter.default is inspect.Parameter.empty


def _mean_and_log_variance(model: Any, x: Tensor, given: Tensor | None) -> tuple[Tensor, Tensor]:
    name = type(model).__name__
    if given is not None:
        raise ObjectiveError(f"{name} knows no condition; leave --given out")
    encoded = model.encode(x)
    q = getattr(encoded, "latent_dist", encoded)
    mean, log_variance = getattr(q, "mean", None), getattr(q, "logvar", None)
    if not (torch.is_tensor(mean) and torch.is_tensor(log_variance)):
        raise ObjectiveError(f"diffusers {name}: {POINT}")
    return mean, log_variance


def _output(model: Any, z: Tensor, given: Tensor | None) -> Tensor:
    decoded = model.decode(z, num_frames=1) if _takes_frames(model) else model.decode(z)
    image: Tensor = getattr(decoded, "sample", decoded)
    return image
