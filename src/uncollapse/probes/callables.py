"""Probe of two functions on NumPy arrays, whatever framework is behind them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from uncollapse import checks
from uncollapse.errors import DataError, UncollapseError, kind_and_line
from uncollapse.measure.posterior import Posterior, posterior
from uncollapse.measure.prior import LogPrior, with_sampled_kl
from uncollapse.measure.protocol import RAISED, Spread, TrainedFor, check_spread, prior_variance_of
from uncollapse.objective import Objective
from uncollapse.probes.inputs import check_condition, check_rows, in_shape
from uncollapse.probes.outputs import check_outputs, mean_and_spread

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
    outputs : tuple of two int, optional
        Positions of mean and spread in what the encoder gives, from 0, if it gives more than the two.
    log_prior : callable, z (n, l) → log p(z) (n,), optional
        Of a prior that is no Gaussian of each latent; the KL is then sampled.

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
    outputs: tuple[int, int] | None = None
    log_prior: LogPrior | None = None
    _seen: dict[str, tuple[int, ...]] = field(default_factory=dict, repr=False)
    guards_rows: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for function, called in ((self.encoder, "encoder"), (self.decoder, "decoder")):
            checks.function(function, called)
        check_spread(self.spread)
        check_outputs(self.outputs)
        if self.objective is not None:
            checks.instance(self.objective, "objective", Objective)
        if self.decoder_variance is not None:
            checks.positive(self.decoder_variance, "decoder_variance")
        for name in ("input_shape", "latent_shape"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, checks.counts(getattr(self, name), name, least=1))

    def encode(self, x: np.ndarray, given: np.ndarray | None = None) -> Posterior:
        """q(z|x)."""
        x = check_rows(x, "data", self.name)
        given = None if given is None else check_rows(given, "condition", self.name)
        if self.input_shape is not None:
            x = in_shape(x, self.input_shape, self.name)
        mean, spread = self._encoded(x, given)
        q = posterior(mean, **{self.spread: spread}, prior_variance=prior_variance_of(self), where=self.name)
        if len(q.mean) != len(x):
            raise DataError(f"{self.name}: the encoder gave {len(q.mean)} means for {len(x)} rows")
        self._seen["latent"] = q.latent_shape
        return q if self.log_prior is None else with_sampled_kl(q, self.log_prior, self.name)

    def _encoded(self, x: np.ndarray, given: np.ndarray | None) -> tuple[Any, Any]:
        """What the encoder gives for mean and spread."""
        where = f"{self.name}: the encoder"

        def called(n_rows: int) -> Any:
            out = _called(self.encoder, x[:n_rows], None if given is None else given[:n_rows], where)
            if not isinstance(out, tuple | list) or len(out) < 2:
                got = f"{type(out).__name__} of {len(out)}" if isinstance(out, tuple | list) else checks.shown(out)
                raise DataError(f"{where} gave {got}; a pair of a mean and a {self.spread} is due")
            return out

        out = called(len(x))
        places: Any = check_outputs(self.outputs) or self._seen.get("outputs")
        if places is None:
            places = (0, 1) if len(out) == 2 else mean_and_spread(out, lambda: called(len(x)), where)
            self._seen["outputs"] = places
        if len(out) <= max(places):
            raise DataError(f"{where} gave {len(out)} outputs, and outputs={places} asks for more")
        return out[places[0]], out[places[1]]

    def decode(self, z: np.ndarray, given: np.ndarray | None = None) -> np.ndarray:
        """E[y|z]."""
        z = check_rows(z, "latents", self.name)
        given = None if given is None else check_rows(given, "condition", self.name)
        shape = self.latent_shape or self._seen.get("latent", z.shape[1:])
        out = _called(self.decoder, in_shape(z, shape, self.name), given, f"{self.name}: the decoder")
        try:
            mean = np.asarray(out.detach().cpu() if hasattr(out, "detach") else out)
        except Exception:  # a sparse, nested or meta tensor has no array
            mean = np.empty(0, dtype=object)
        if mean.dtype.kind not in "fiu" or mean.ndim < 1 or len(mean) != len(z):
            kind = "complex " if mean.dtype.kind == "c" else ""
            raise DataError(f"{self.name}: the decoder gave {kind}{type(out).__name__} of shape {mean.shape} for "
                            f"{len(z)} rows of latents; the mean of each row's target is due")  # fmt: skip
        return mean.astype(np.float64).reshape(len(z), math.prod(mean.shape[1:]))


def _called(function: Callable[..., Any], rows: np.ndarray, given: np.ndarray | None, where: str) -> Any:
    """What a user's function gives for a copy of the rows, which it may change in place."""
    check_condition(function, given is not None, where)
    try:
        return function(rows.copy()) if given is None else function(rows.copy(), given.copy())
    except UncollapseError:
        raise
    except RAISED as error:  # a user's function raises anything
        raise DataError(f"{where} fails on an input of shape {rows.shape}: {kind_and_line(error)}") from error
