"""Models of scvi-tools, by what can be said of them."""

from __future__ import annotations

from typing import Any

__all__ = ["MEASURED", "kind_of"]

OWN_FACTOR = "a region's mean holds a factor of its cell that another network reads from the same data"
MEASURED = {
    "TOTALVI": "genes and proteins have a likelihood each, and a forecast knows one",
    "PEAKVI": OWN_FACTOR,
    "MULTIVI": f"genes and regions have a likelihood each, and a forecast knows one; {OWN_FACTOR}",
}
"""Models with a Gaussian posterior and the prior N(0, I), and why no cause can be named."""


def kind_of(model: Any) -> str:
    """The class of scvi-tools that a model is of."""
    return next((c.__name__ for c in type(model).__mro__ if c.__module__.startswith("scvi.")), type(model).__name__)
