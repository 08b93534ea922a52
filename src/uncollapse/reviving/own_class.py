"""A copy of a user's module, in the class of its own, whose `encode` and `decode` have the additions."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from uncollapse.bill.additions import Additions
from uncollapse.errors import DataError
from uncollapse.measure.protocol import Spread
from uncollapse.objective import Objective
from uncollapse.probes.examples import known_pair
from uncollapse.probes.outputs import mean_and_spread
from uncollapse.probes.probe import TorchProbe, log_variance_of
from uncollapse.reviving.paths import paths_like

__all__ = ["in_its_own_class"]

Again = Callable[[Tensor, Tensor], Any]


def in_its_own_class(probe: TorchProbe, additions: Additions, objective: Objective) -> Any:
    """The copy; its `forward` and other methods are the user's, and see the additions through the two.

    Parameters
    ----------
    probe : TorchProbe
        Of a module with `encode(x) → (mean, spread)` and `decode(z)`, its `spread` known.
    additions : Additions
        Without new latents.
    objective : Objective
    """
    kind: Any = type(probe.module)
    spread: Any = probe.spread
    own = copy.deepcopy(probe.module)
    name = next(f"paths{i or ''}" for i in range(100) if not hasattr(own, f"paths{i or ''}"))  # revived more than once

    def encode(self: Any, x: Tensor, *given: Tensor) -> Any:
        """As the module's own, with the additions."""
        out = kind.encode(self, x.clone(), *given)
        mean, log_variance, again = heard(out, spread, lambda: kind.encode(self, x.clone(), *given))
        return again(
            *getattr(self, name).encoded(mean, log_variance, x, lambda z: _first(kind.decode(self, z, *given)))
        )

    def decode(self: Any, z: Tensor, *given: Tensor) -> Any:
        """As the module's own, with the additions."""
        paths = getattr(self, name)
        out = kind.decode(self, paths.held(z), *given)
        mean = paths.added(_first(out), z)
        return _made_again(out, [mean, *out[1:]]) if isinstance(out, tuple | list) else mean

    own.__class__ = type(f"Revived{kind.__name__}", (kind,), {"encode": encode, "decode": decode})
    setattr(own, name, paths_like(own, additions, objective))
    return own


def heard(out: Any, spread: Spread, once_more: Callable[[], Any]) -> tuple[Tensor, Tensor, Again]:
    """Mean and log-variance of what an `encode` gave, and a function that says others in the same way.

    Raises
    ------
    DataError
        An object that cannot be made again.
    """
    if isinstance(out, torch.distributions.Distribution):
        pair = known_pair(out, "encode")
        if pair is not None:
            n = getattr(out, "reinterpreted_batch_ndims", 0)
            return *pair, lambda m, v: _normal(m, v, n)
    if not isinstance(out, tuple | list):
        raise DataError(f"encode gives {type(out).__name__}, which cannot be made again with other values; use "
                        f"revive(...).probe")  # fmt: skip
    first, second = (0, 1) if len(out) == 2 else mean_and_spread(out, once_more, "encode")

    def again(mean: Tensor, log_variance: Tensor) -> Any:
        values = list(out)
        values[first], values[second] = mean, _as_spread(log_variance, spread)
        drawn = next(i for i in range(3) if i not in (first, second)) if len(out) > 2 else None
        if drawn is not None and torch.is_tensor(out[drawn]) and out[drawn].shape == mean.shape:
            values[drawn] = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        return _made_again(out, values)

    return out[first], log_variance_of(out[second], spread, "encode"), again


def _made_again(out: Any, values: list[Any]) -> Any:
    """A tuple, list or named tuple like another one."""
    return type(out)(*values) if hasattr(out, "_fields") else type(out)(values)


def _first(out: Any) -> Tensor:
    mean: Tensor = out[0] if isinstance(out, tuple | list) else out
    return mean


def _normal(mean: Tensor, log_variance: Tensor, n_dims: int) -> Any:
    own = torch.distributions.Normal(mean, torch.exp(0.5 * log_variance))
    return torch.distributions.Independent(own, n_dims) if n_dims else own


def _as_spread(log_variance: Tensor, kind: Spread) -> Tensor:
    if kind == "log_variance":
        return log_variance
    return torch.exp(log_variance if kind == "variance" else 0.5 * log_variance)
