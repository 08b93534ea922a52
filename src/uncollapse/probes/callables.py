"""Probe of two functions on NumPy arrays, whatever framework is behind them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from uncollapse.errors import DataError
from uncollapse.measure.posterior import Posterior, posterior
from uncollapse.measure.protocol import Spread, TrainedFor, first_line, prior_variance_of
from uncollapse.objective import Objective

__all__ = ["CallableProbe"]


@dataclass(frozen=True, eq=False)
class CallableProbe:
    """A model as two functions; see `Probe`. It can be measured, and neither refined nor trained further.

    Attributes
    ----------
    encoder : callable, x (n, d) or (n, *input_shape) → (mean, spread), both (n, …)
        Or x, given → the same, when there is a condition.
    decoder : callable, z as the encoder gave it → E[y|z] (n, …)
        Or z, given → the same.
    spread : {"log_variance", "variance", "std"}
        What the encoder gives beside the mean.
    objective, decoder_variance, trained_for, notes
        As in `Probe`.
    input_shape, latent_shape : tuple of int, optional
        Of one sample and its latents; rows when left out, and as the first call shows.

    Examples
    --------
    >>> half = CallableProbe(lambda x: (x / 2, np.ones_like(x)), lambda z: 2 * z, spread="std")
    >>> half.encode(np.eye(2)).kl
    array([[0.125, 0.   ],
           [0.   , 0.125]])
    """

    encoder: Callable[..., Any]
    decoder: Callable[..., Any]
    spread: Spread = "log_variance"
    name: str = "the model"
    objective: Objective | None = None
    decoder_variance: float | None = None
    input_shape: tuple[int, ...] | None = None
    latent_shape: tuple[int, ...] | None = None
    trained_for: TrainedFor | None = None
    notes: tuple[str, ...] = ()
    _seen: dict[str, tuple[int, ...]] = field(default_factory=dict, repr=False)

    def encode(self, x: np.ndarray, given: np.ndarray | None = None) -> Posterior:
        """q(z|x)."""
        if self.input_shape is not None:
            x = _reshaped(x, self.input_shape, self.name)
        out = _called(self.encoder, x, given, f"{self.name}: the encoder")
        if not isinstance(out, tuple | list) or len(out) < 2:
            got = f"{type(out).__name__} of shape {np.shape(out)}" if not isinstance(out, tuple | list) else (
                f"{type(out).__name__} of {len(out)}")  # fmt: skip
            raise DataError(f"{self.name}: the encoder gave {got}; a pair of a mean and a {self.spread} is due")
        q = posterior(out[0], **{self.spread: out[1]}, prior_variance=prior_variance_of(self), where=self.name)
        if len(q.mean) != len(x):
            raise DataError(f"{self.name}: the encoder gave {len(q.mean)} means for {len(x)} rows")
        shape = tuple(np.shape(out[0])[1:])
        self._seen["latent"] = shape
        return replace(q, latent_shape=shape)

    def decode(self, z: np.ndarray, given: np.ndarray | None = None) -> np.ndarray:
        """E[y|z]."""
        shape = self.latent_shape or self._seen.get("latent", z.shape[1:])
        out = _called(self.decoder, _reshaped(z, shape, self.name), given, f"{self.name}: the decoder")
        if hasattr(out, "detach"):
            out = out.detach().cpu()
        mean = np.asarray(out)
        if mean.dtype.kind not in "fiu" or mean.ndim < 1 or len(mean) != len(z):
            raise DataError(f"{self.name}: the decoder gave {type(out).__name__} of shape {mean.shape} for {len(z)} "
                            f"rows of latents; the mean of each row's target is due")  # fmt: skip
        return mean.astype(np.float64).reshape(len(z), -1)


def _reshaped(rows: np.ndarray, shape: tuple[int, ...], where: str) -> np.ndarray:
    if int(np.prod(shape)) != int(np.prod(rows.shape[1:])):
        raise DataError(f"{where}: samples of shape {tuple(shape)} are due, and the rows have {rows.shape[1:]} numbers")
    return rows.reshape(len(rows), *shape)


def _called(function: Callable[..., Any], rows: np.ndarray, given: np.ndarray | None, where: str) -> Any:
    try:
        return function(rows) if given is None else function(rows, given)
    except Exception as error:  # a user's function raises anything
        raise DataError(f"{where} fails on an input of shape {rows.shape}: {first_line(error)}") from error
