"""Posterior collapse as a torchmetrics metric. Needs the extra `lightning`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

import numpy as np

try:
    import torch
    from torch import Tensor
    from torchmetrics import Metric
except ImportError as error:
    raise ImportError("the metric needs PyTorch and torchmetrics: pip install 'uncollapse[lightning]'") from error

from uncollapse import checks
from uncollapse.errors import DataError
from uncollapse.measure.posterior import posterior
from uncollapse.measure.result import Measurement
from uncollapse.measure.sums import PosteriorSums, posterior_sums

__all__ = ["PosteriorCollapse"]

MOST_LATENTS = 2**28
"""Latents whose sums, some 70 numbers each, would still fit in the memory of a large machine."""


class PosteriorCollapse(Metric):
    """How collapsed the posteriors are that came so far, over all batches and all workers.

    Its states are the sums of `PosteriorSums`, so batches, workers and `merge_state` add up exactly. They stay in
    float64 whatever precision the model is turned to, and on the CPU where the device has no float64 (Apple's MPS).
    Every update takes the batch to the CPU.

    Parameters
    ----------
    latent_shape : int or tuple of int
        Of one sample's latents: 16, or (4, 8, 8) for spatial ones.
    level_sizes : tuple of int
        Latents of each level of a hierarchy, from the data upwards.
    **settings
        Of every torchmetrics metric: ``sync_on_compute``, ``process_group``, ….

    Raises
    ------
    DataError
        Of `update`, when a batch has no posterior of these latents; of `compute`, when no rows came.

    Examples
    --------
    >>> metric = PosteriorCollapse(2)
    >>> metric.update(torch.tensor([[3.0, 0.0], [-3.0, 0.0]]), torch.tensor([[-2.0, 0.0], [-2.0, 0.0]]))
    >>> values = metric.compute()
    >>> values["n_alive"], values["kl"]
    (tensor(1), tensor([5.0677, 0.0000]))
    >>> metric.measurement().level_kl
    (array([5.06766764, 0.        ]),)
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    def __init__(self, latent_shape: int | tuple[int, ...], level_sizes: tuple[int, ...] = (), **settings: Any) -> None:
        super().__init__(**settings)
        shape = checks.counts(latent_shape, "latent_shape", least=1, error=DataError)
        if math.prod(shape) > MOST_LATENTS:
            raise DataError(f"latent_shape has {math.prod(shape):.3g} latents; {MOST_LATENTS:,} are the most")
        no_rows = np.empty((0, *shape))
        empty = posterior_sums(posterior(no_rows, variance=no_rows, level_sizes=level_sizes, where="the metric"))
        self.latent_shape, self.level_sizes = empty.latent_shape, empty.level_sizes
        for state, value in _states(empty):
            self.add_state(state, value, dist_reduce_fx="sum")

    def update(
        self, mean: Tensor, log_variance: Tensor, prior_mean: Tensor | float = 0.0, prior_variance: Tensor | float = 1.0
    ) -> None:
        """Add the posteriors q(z|x) of a batch.

        Parameters
        ----------
        mean, log_variance : Tensors of shape (B, *latent_shape)
            Of any floating type.
        prior_mean, prior_variance : float or Tensor
            Standard normal when left out; one per row for a conditional prior.
        """
        q = posterior(
            mean,
            log_variance=log_variance,
            prior_mean=prior_mean,
            prior_variance=prior_variance,
            level_sizes=self.level_sizes if _latents(mean) == self.latent_shape else (),
        )
        if q.latent_shape != self.latent_shape:
            raise DataError(
                f"the metric was made for latents of shape {self.latent_shape} and the encoder gave means of shape "
                f"{(len(q.mean), *q.latent_shape)}; say PosteriorCollapse({q.latent_shape})"
            )
        for state, value in _states(posterior_sums(q)):
            before = getattr(self, state)
            setattr(self, state, before + value.to(before.device))

    def compute(self) -> dict[str, Tensor]:
        """What the batches say, each as `Measurement` names it: three of shape (l,), the rest scalars; nan where it has
        None."""
        measurement = Measurement(self._sums())
        counts = {name: torch.tensor(getattr(measurement, name)) for name in ("n_samples", "n_alive", "n_active")}
        names = ("rate", "mutual_information_at_most", "kl", "mean_variance", "variance")
        plain = {name: getattr(measurement, name) for name in names}
        values = {
            name: torch.tensor(torch.nan if value is None else value, dtype=torch.get_default_dtype())
            for name, value in plain.items()
        }
        return {name: value.to(self.device) for name, value in (counts | values).items()}

    def measurement(self) -> Measurement:
        """The same with all that `Measurement` holds, in float64; call it on every worker, like `compute`."""
        with self.sync_context(dist_sync_fn=self.dist_sync_fn, should_sync=self.sync_on_compute):
            return Measurement(self._sums())

    def plot(self, val: Any = None, ax: Any = None) -> tuple[Any, Any]:
        """Draw the KL of each latent and the collapse curve with Matplotlib.

        Parameters
        ----------
        val : Measurement, optional
            What `measurement` gave; what the metric holds now when left out.
        ax : sequence of two Matplotlib Axes, optional
            New ones when left out.

        Returns
        -------
        figure, axes
            As every torchmetrics metric does.
        """
        measurement = self.measurement() if val is None else checks.instance(val, "val", Measurement, error=DataError)
        axes = measurement.plot(ax)
        return axes[0].figure, axes

    def _sums(self) -> PosteriorSums:
        values = {name: getattr(self, f"sum_{name}").cpu().numpy() for name in SUMS}
        values["n_samples"] = int(values["n_samples"])
        return PosteriorSums(**values, level_sizes=self.level_sizes, latent_shape=self.latent_shape)

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any, **kwargs: Any) -> Any:
        def moved(state: Tensor) -> Tensor:
            device = fn(torch.empty(0, device=state.device)).device
            return state if device.type == "mps" else state.to(device)

        return super()._apply(moved, *args, **kwargs)  # a model in half precision must not halve the sums


OTHERS = ("level_sizes", "latent_shape", "beyond", "row_square")
SUMS = tuple(item.name for item in fields(PosteriorSums) if item.name not in OTHERS)


def _states(sums: PosteriorSums) -> Iterator[tuple[str, Tensor]]:
    for name in SUMS:
        yield f"sum_{name}", torch.as_tensor(getattr(sums, name))


def _latents(mean: Any) -> tuple[int, ...]:
    """The shape of one row's latents; () of what has none, which `posterior` refuses."""
    try:
        return tuple(mean.shape[1:])
    except Exception:  # a nested tensor has no shape
        return ()
