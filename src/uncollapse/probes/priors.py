"""A user's own prior → log p(z) of NumPy arrays, and the probe that has it."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from uncollapse.errors import ObjectiveError, shown
from uncollapse.measure.prior import LogPrior

__all__ = ["log_prior_of", "with_prior"]


def with_prior(probe: Any, prior: Any) -> Any:
    """The probe with a prior of its own.

    Raises
    ------
    ObjectiveError
        Neither a distribution nor a function; a probe of a user's own, which gives its KL itself.

    Examples
    --------
    >>> from uncollapse.probes import CallableProbe
    >>> half = CallableProbe(lambda x: (x / 2, np.ones_like(x)), lambda z: 2 * z, spread="std")
    >>> standard = with_prior(half, lambda z: -(z**2).sum(1) / 2 - np.log(2 * np.pi))
    >>> abs(standard.encode(np.eye(2)).row_kl - 0.125).max() < 1e-12
    np.True_
    """
    if not is_dataclass(probe) or "log_prior" not in {item.name for item in fields(probe)}:
        raise ObjectiveError(
            f"{getattr(probe, 'name', 'the probe')}: gives its KL itself, so no prior can be given to it"
        )
    return replace(probe, log_prior=log_prior_of(prior))  # type: ignore[type-var]


def log_prior_of(prior: Any) -> LogPrior:
    """log p(z) of arrays (n, l), of a torch distribution over z or over each of its entries, or of a function."""
    if not hasattr(prior, "log_prob"):
        if not callable(prior):
            raise ObjectiveError(f"prior must be a torch distribution or a function z → log p(z), got {shown(prior)}")
        function: LogPrior = prior
        return function

    def log_prior(z: np.ndarray) -> np.ndarray:
        import torch

        with torch.no_grad():
            density = prior.log_prob(torch.as_tensor(z, dtype=torch.get_default_dtype()))
        values: np.ndarray = density.double().cpu().numpy()
        return values.reshape(len(z), -1).sum(axis=1)  # of independent latents, one density each

    return log_prior
