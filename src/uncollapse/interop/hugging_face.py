"""Posterior collapse watched during a training by Hugging Face's Trainer. Needs transformers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from uncollapse import checks
from uncollapse.errors import DataError, warn
from uncollapse.forecasting.result import Forecast
from uncollapse.interop.watch import Watch, measured, opened
from uncollapse.measure.protocol import Spread
from uncollapse.measure.result import Measurement

if TYPE_CHECKING:
    from transformers import TrainerCallback
else:
    try:
        from transformers import TrainerCallback
    except ImportError:  # said when one is made, so that the module itself can be read
        TrainerCallback = object

__all__ = ["WatchCollapse"]


class WatchCollapse(TrainerCallback):  # type: ignore[misc]
    """Measure the VAE at each evaluation of a Trainer, log it beside the forecast, and warn once of a collapse that was
    not forecast, as the Lightning callback of this name does.

    The values go into the metrics that `Trainer.evaluate` returns, so that ``metric_for_best_model`` can name them,
    and into the log history. For Weights & Biases, MLflow and TensorBoard, hand over the trainer's own `log`, once
    there is a trainer: ``watch.log = trainer.log``.

    A training that goes on from a checkpoint takes up the evaluations in its log history.

    Parameters
    ----------
    data : array, Rows, DataLoader or anything else that `diagnose` takes
        What is measured, each time in one pass; usually the data of the evaluation.
    forecast : Forecast, optional
        Of the training data and the loss at its full KL weight. Without it there is nothing to warn of.
    spread, input_shape
        How the model is read, as in `open_probe`: it has ``encode`` and ``decode``.
    warmup_epochs : float
        Epochs until the KL has its full weight.
    patience : int
        Evaluations that a training may take to bring the forecast's latents to life.
    prefix : str
        Of the values. The Trainer finds those that begin with ``eval_``.

    Attributes
    ----------
    measurement : Measurement or None
        Of the last evaluation.
    log : callable or None
        Gets the values of each evaluation.

    Raises
    ------
    ImportError
        transformers is not installed.
    ObjectiveError
        The forecast is of several levels, of fixed encoder variances, or has no single optimum; or, in the first
        evaluation, the model cannot be read.
    DataError
        In the first evaluation: the data do not fit the model. Later on it is warned of once, and the training goes on.
    """

    def __init__(
        self,
        data: Any,
        forecast: Forecast | None = None,
        *,
        spread: Spread | None = None,
        input_shape: tuple[int, ...] | None = None,
        warmup_epochs: float = 0.0,
        patience: int = 10,
        prefix: str = "eval_collapse",
    ) -> None:
        if TrainerCallback is object:
            raise ImportError("watching a Trainer needs transformers: pip install 'transformers[torch]'")
        self.watch = Watch(forecast, warmup_epochs=warmup_epochs, patience=patience, prefix=prefix)
        self.data, self.spread, self.input_shape = data, spread, input_shape
        self.log: Callable[[dict[str, float]], Any] | None = None
        self.measurement: Measurement | None = None
        self._training = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin anew, or where the log history ends."""
        self.watch.restart()
        self.measurement, self._training = None, True
        for entry in state.log_history:
            n_alive, epoch = entry.get(f"{self.watch.prefix}/n_alive"), entry.get("epoch")
            if n_alive is not None and epoch is not None:
                self.watch.recall(int(n_alive), _index(epoch))

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
        """Measure, log, and compare with the forecast."""
        model: Any = kwargs.get("model")
        try:
            probe = opened(model, self.data, self.watch, spread=self.spread, input_shape=self.input_shape)
            measurement = measured(probe, self.data, self.watch)
        except DataError as error:
            if self.measurement is None:
                raise
            if self.watch.once("unfit") and state.is_world_process_zero:
                warn(f"step {state.global_step} is not measured: {error}")
            return
        self.measurement = measurement
        values = self.watch.logged(measurement)
        if metrics is not None:
            metrics.update(values)
        if self.log is not None:
            checks.function(self.log, "log")(dict(values))
        else:
            state.log_history.append({**values, "epoch": state.epoch, "step": state.global_step})
        if self._training and state.epoch is not None:
            complaint = self.watch.complaint(measurement, _index(state.epoch))
            if complaint is not None and state.is_world_process_zero:
                warn(complaint)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Say so if nothing was watched."""
        self._training = False
        if self.measurement is None and self.watch.once("idle") and state.is_world_process_zero:
            warn("nothing was watched: no evaluation came; give the Trainer an eval_strategy")


def _index(epoch: float) -> int:
    """Of the epoch that is running, from 0; a whole number is the end of one."""
    return max(math.ceil(epoch) - 1, 0)
