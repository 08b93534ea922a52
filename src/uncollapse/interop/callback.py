"""Posterior collapse watched during a Lightning training. Needs the extra `lightning`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

try:
    import torch
    from lightning.pytorch import Callback, LightningModule, Trainer
    from lightning.pytorch.trainer.states import TrainerFn
    from lightning.pytorch.utilities import rank_zero_warn
    from torch import Tensor
except ImportError as error:
    raise ImportError("watching a training needs Lightning: pip install 'uncollapse[lightning]'") from error

from uncollapse import checks
from uncollapse.errors import DataError, UncollapseError, UncollapseWarning, kind_and_line
from uncollapse.forecasting.result import Forecast
from uncollapse.interop.loggers import log_latents
from uncollapse.interop.metric import PosteriorCollapse
from uncollapse.interop.watch import Watch
from uncollapse.measure.protocol import RAISED
from uncollapse.measure.result import Measurement
from uncollapse.probes.outputs import mean_and_spread

__all__ = ["WatchCollapse", "encoded"]

READ = "say how to read it with WatchCollapse(posterior=lambda module, batch: (mean, log_variance))"


def encoded(module: LightningModule, batch: Any) -> tuple[Tensor, Tensor]:
    """Mean and log-variance of q(z|x) from ``module.encode(x)``, x the batch or its first part.

    Raises
    ------
    DataError
        The module has no such method, or the batch no first part.
    """
    name = type(module).__name__
    x = batch[0] if isinstance(batch, tuple | list) and batch else batch
    encode: Any = getattr(module, "encode", None)
    if encode is None or not torch.is_tensor(x):
        lacks = f"{name} has no encode(x)" if encode is None else f"the batches of {name} are {type(batch).__name__}s"
        raise DataError(f"{lacks}; give WatchCollapse(posterior=lambda module, batch: (mean, log_variance))")
    return encode(x)


class WatchCollapse(Callback):
    """Log how collapsed the posteriors of the validation data are, beside what was forecast, and warn once of a
    collapse that was not.

    Each validation is measured whole, over all workers, by one more pass of the encoder over the first validation
    loader. Logged: the KL of each latent, the number alive, active units, the rate, and the forecast's number alive and
    water level, as ``collapse/…``; checkpoints and early stopping can monitor them.

    The warning comes when fewer latents are alive than `expected_alive`: in 2 validations in a row after a validation
    that found so many, or in `patience` in a row if none did. Validations before `warmup_epochs` do not count.

    A posterior that cannot be read stops the training in its first validation (Lightning's sanity check, usually). One
    that is unfit later on, such as a mean that is not finite, is warned of once and not measured.

    Parameters
    ----------
    forecast : Forecast, optional
        Of the training data and the loss at its full KL weight. Without it there is nothing to warn of.
    posterior : callable (module, batch) → (mean, log_variance)
        Tensors (B, …) of q(z|x); `encoded` when left out. The log of the *variance*, not of the standard deviation.
    warmup_epochs : float
        Epochs until the KL has its full weight.
    patience : int
        Validations that a training may take to bring the forecast's latents to life.
    prefix : str
        Of the logged names: letters, digits, ``_``, ``-``, ``.`` and ``/``, which every logger takes.

    Attributes
    ----------
    measurement : Measurement or None
        Of the last validation.

    Raises
    ------
    ObjectiveError
        The forecast is of several levels, of fixed encoder variances, or has no single optimum.

    Examples
    --------
    >>> from uncollapse import forecast
    >>> x = torch.randn(200, 5)
    >>> watch = WatchCollapse(forecast(x.numpy(), beta=0.5, n_latents=3), warmup_epochs=10)
    >>> trainer = Trainer(callbacks=[watch], logger=False, enable_checkpointing=False, accelerator="cpu")
    """

    def __init__(
        self,
        forecast: Forecast | None = None,
        *,
        posterior: Callable[[Any, Any], tuple[Tensor, Tensor]] = encoded,
        warmup_epochs: float = 0.0,
        patience: int = 10,
        prefix: str = "collapse",
    ) -> None:
        self.watch = Watch(forecast, warmup_epochs=warmup_epochs, patience=patience, prefix=prefix)
        self.forecast, self.prefix = forecast, prefix
        self.posterior = checks.function(posterior, "posterior")
        self._start()

    def _start(self) -> None:
        self.watch.restart()
        self._readable = False
        self.measurement: Measurement | None = None
        self._forget()

    def _forget(self) -> None:
        self._metric: PosteriorCollapse | None = None
        self._unfit = ""
        self._places: tuple[int, int] | None = None  # of mean and log-variance, if there is more

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Begin anew; a checkpoint's state is loaded after this."""
        if stage == TrainerFn.FITTING:
            self._start()

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the last validation's batches."""
        self._forget()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Measure the batch, if it is of the first loader."""
        if dataloader_idx or self._unfit:
            return
        try:
            mean, log_variance = self._read(pl_module, batch, batch_idx)
            if self._metric is None:
                self._metric = self._metric_for(tuple(mean.shape[1:]))
            self._metric.update(mean, log_variance, prior_variance=self.watch.prior_variance)
            self._readable = True
        except DataError as error:
            if not self._readable:
                raise
            self._unfit = str(error)

    def _read(self, module: LightningModule, batch: Any, batch_idx: int) -> tuple[Any, Any]:
        """Mean and log-variance of a batch; what the user's function raises is kept as the cause."""
        name = type(module).__name__

        def outputs() -> Any:
            try:
                return self.posterior(module, batch)
            except UncollapseError:
                raise
            except RAISED as error:
                raise DataError(
                    f"the posterior of {name} fails on validation batch {batch_idx + 1}: {kind_and_line(error)}"
                ) from error

        out = _several(outputs(), name)
        if len(out) > 2 and self._places is None:
            self._places = mean_and_spread(out, outputs, f"the posterior of {name}", READ)
        mean, log_variance = self._places or (0, 1)
        if len(out) <= max(mean, log_variance):
            raise DataError(f"the posterior of {name} gave {len(out)} outputs for batch {batch_idx + 1}, too few")
        return out[mean], out[log_variance]

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log, and compare with the forecast."""
        measured = self._metric is not None and not self._unfit
        # every worker or none: they add up what they measured
        if not trainer.strategy.reduce_boolean_decision(measured) or self._metric is None:
            why = self._unfit or "a worker had no posteriors to measure"
            self._warn_once("unfit", f"epoch {trainer.current_epoch} is not measured: {why}")
            return
        measurement = self._metric.to(pl_module.device).measurement()
        if trainer.sanity_checking:
            return
        self.measurement = measurement
        pl_module.log_dict(self.watch.logged(measurement), sync_dist=trainer.world_size > 1)
        if trainer.state.fn == TrainerFn.FITTING:
            complaint = self.watch.complaint(measurement, trainer.current_epoch)
            if complaint is not None:
                rank_zero_warn(complaint, category=UncollapseWarning)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show each latent of the last validation in the loggers that take more than numbers; or say that nothing was
        watched."""
        if not self._readable:
            self._warn_once("idle", "nothing was watched: no validation batches came; give the trainer some")
        if self.measurement is not None and trainer.is_global_zero:
            for logger in trainer.loggers:
                log_latents(logger, self.measurement, f"{self.prefix}/latents", trainer.global_step)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training needs so as not to warn again, or too late."""
        return self.watch.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.watch.load_state_dict(state_dict)

    @property
    def state_key(self) -> str:
        """Names its state in a checkpoint; two of them need two prefixes."""
        return self._generate_state_key(prefix=self.prefix)

    def _metric_for(self, latent_shape: tuple[int, ...]) -> PosteriorCollapse:
        metric = PosteriorCollapse(latent_shape)
        self.watch.check_latents(math.prod(latent_shape))
        return metric

    def _warn_once(self, about: str, message: str) -> None:
        if self.watch.once(about):
            rank_zero_warn(message, category=UncollapseWarning)


def _several(out: Any, name: str) -> Any:
    if isinstance(out, tuple | list) and len(out) >= 2 and all(_is_dense(part) for part in out[:2]):
        return out
    raise DataError(f"the posterior of {name} is a {type(out).__name__}, and a mean and a log-variance are due; {READ}")


def _is_dense(part: Any) -> bool:
    """Whether it is a tensor that has a shape; nested and sparse ones have none."""
    return torch.is_tensor(part) and not part.is_nested and part.layout == torch.strided
