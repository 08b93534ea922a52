"""Which model a folder belongs to: a digest of its weights."""

from __future__ import annotations

import hashlib
from typing import Any

__all__ = ["digest_of", "module_digest"]


def digest_of(probe: Any) -> str:
    """Of the weights behind a probe; "" where it has none."""
    module = getattr(probe, "module", None)
    return "" if module is None else module_digest(module)


def module_digest(module: Any) -> str:
    """SHA-256 of names, shapes and values of a PyTorch module's state, whatever device it is on."""
    total = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        if not hasattr(value, "detach"):
            continue
        array = value.detach().cpu().double().numpy() if value.is_floating_point() else value.detach().cpu().numpy()
        total.update(f"{name} {tuple(array.shape)}".encode())
        total.update(array.tobytes())
    return total.hexdigest()
