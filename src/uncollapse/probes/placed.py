"""A probe on a device, by its name."""

from __future__ import annotations

from typing import Any

from uncollapse.errors import ObjectiveError, first_line
from uncollapse.measure.protocol import Probe

__all__ = ["placed"]


def placed(probe: Probe, device: str | None) -> Probe:
    """The probe, its PyTorch module moved to a device; whatever is measured then runs there.

    Parameters
    ----------
    probe : Probe
    device : str or None
        ``cpu``, ``cuda``, ``cuda:1``, ``mps``; None leaves the module where it is.

    Raises
    ------
    ObjectiveError
        No such device here, or a model that PyTorch cannot move.

    Examples
    --------
    >>> import torch
    >>> from uncollapse.probes.open import open_probe
    >>> halves = (torch.nn.Linear(3, 4), torch.nn.Linear(2, 3))
    >>> placed(open_probe(halves, spread="log_variance"), "cpu").decode([[0.0, 0.0]]).shape
    (1, 3)
    """
    if device is None:
        return probe
    module: Any = getattr(probe, "module", None)
    if not hasattr(module, "to"):
        raise ObjectiveError(
            f"device {device}: {probe.name} is no PyTorch module; its own library says where it runs; leave it out"
        )
    from uncollapse.training.placing import device_named

    place = device_named(device)
    try:
        module.to(place)
    except Exception as error:  # such as float64 on MPS
        raise ObjectiveError(f"device {device}: {probe.name} cannot be moved there: {first_line(error)}") from error
    return probe
