"""Where a training runs: a device by its name."""

from __future__ import annotations

from typing import Any

import torch

from uncollapse.errors import ObjectiveError, first_line, shown

__all__ = ["device_named", "devices_here"]


def device_named(name: str | torch.device | None) -> torch.device:
    """The device of that name; a GPU if there is one, else the CPU, where no name is given.

    Raises
    ------
    ObjectiveError
        No such device is here, or it holds no numbers (``meta``).

    Examples
    --------
    >>> device_named("cpu")
    device(type='cpu')
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not isinstance(name, str | torch.device):
        raise ObjectiveError(f"device must be a word such as cpu or cuda, got {shown(name)}")
    there = ", ".join(devices_here())
    try:
        place: Any = torch.device(name)
        torch.zeros(1, device=place).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        known = str(name).partition(":")[0] in ("cpu", "cuda", "mps", "xpu")
        why = "no such device here" if known else f"cannot be used here: {first_line(error)}"
        raise ObjectiveError(f"device {name}: {why}; PyTorch sees {there}") from None
    return place


def devices_here() -> list[str]:
    """Names of what PyTorch sees."""
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count())), *mps]
