"""A model of another framework as a PyTorch module, so that all that differentiates and trains can be done with it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor, nn

from uncollapse.errors import UncollapseError
from uncollapse.probes.inputs import check_rows
from uncollapse.probes.probe import TorchProbe
from uncollapse.probes.settling import FIRST_ROWS, Settling

__all__ = ["Translated", "opened"]


class Translated(nn.Module):
    """``encode(x) → (mean, log-variance)``, ``decode(z) → mean of x``; the weights are parameters of this module.

    What inherits says `encoded`, all that the encoder gives and its names, and `decode`.
    """

    def __init__(self, settling: Settling) -> None:
        super().__init__()
        self._settling = settling

    def encoded(self, x: Tensor, *given: Tensor) -> tuple[Sequence[Tensor], Sequence[str] | None]:
        """All that the encoder gives, and the names of it."""
        raise NotImplementedError

    def decode(self, z: Tensor, *given: Tensor) -> Tensor:
        """The mean of x."""
        raise NotImplementedError

    def encode(self, x: Tensor, *given: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x)."""
        parts, _ = self.encoded(x, *given)
        few = [part[:FIRST_ROWS] for part in (x, *given)]
        settled = self._settling.settled(lambda: self.encoded(*few))
        return settled.mean_and_log_variance(parts, self._settling.where)


def opened(
    name: str,
    module: Translated,
    *,
    input_shape: tuple[int, ...] | None,
    latent_shape: tuple[int, ...] | None = None,
    rows: np.ndarray | None = None,
    notes: tuple[str, ...] = (),
) -> TorchProbe:
    """The probe; where rows are there, or their shape is known, with notes of how the encoder is read."""
    probe = TorchProbe(
        name, module, _mean_and_log_variance, _output, input_shape=input_shape, latent_shape=latent_shape,
        copies=False, spread="log_variance",
    )  # fmt: skip
    if rows is None and input_shape is not None:
        rows = np.random.default_rng(0).standard_normal((FIRST_ROWS, int(np.prod(input_shape))))
    if rows is not None:
        with contextlib.suppress(UncollapseError):  # said when it is measured, with the data and condition of then
            probe.encode(check_rows(rows, "rows", name)[:FIRST_ROWS])
    return replace(probe, notes=(*notes, *module._settling.notes))


def _mean_and_log_variance(module: Any, x: Tensor, given: Tensor | None) -> Any:
    return module.encode(x) if given is None else module.encode(x, given)


def _output(module: Any, z: Tensor, given: Tensor | None) -> Any:
    return module.decode(z) if given is None else module.decode(z, given)
