"""Posterior collapse watched during a training by Keras 3, whatever its backend. Needs Keras."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from uncollapse import checks
from uncollapse.errors import DataError, warn
from uncollapse.forecasting.result import Forecast
from uncollapse.interop.watch import Watch, measured, opened
from uncollapse.measure.protocol import Spread, check_spread
from uncollapse.measure.result import Measurement
from uncollapse.probes.callables import CallableProbe

if TYPE_CHECKING:
    from keras.callbacks import Callback
else:
    try:
        from keras.callbacks import Callback
    except ImportError:  # said when one is made, so that the module itself can be read
        Callback = object

__all__ = ["WatchCollapse"]


class WatchCollapse(Callback):  # type: ignore[misc]
    """Measure the VAE at the end of each epoch, log it beside the forecast, and warn once of a collapse that was not
    forecast, as the Lightning callback of this name does.

    The values go into the epoch's logs, so into the history, and into what `EarlyStopping`, `ModelCheckpoint`,
    `CSVLogger` and `TensorBoard` see that stand behind it in the list of callbacks.

    Parameters
    ----------
    encoder : keras.Model or callable, x → (mean, log-variance)
        Rows as the data give them; of (mean, log-variance, z) the draw is told apart by itself.
    data : array, Rows or anything else that `diagnose` takes
        What is measured, each time in one pass; usually the validation data. Images keep their shape.
    forecast : Forecast, optional
        Of the training data and the loss at its full KL weight. Without it there is nothing to warn of.
    spread : {"log_variance", "variance", "std"}
        What the encoder gives beside the mean.
    input_shape : tuple of int, optional
        Of one sample, if the encoder does not take rows; that of the data when left out.
    warmup_epochs : float
        Epochs until the KL has its full weight.
    patience : int
        Epochs that a training may take to bring the forecast's latents to life.
    prefix : str
        Of the logged names.

    Attributes
    ----------
    measurement : Measurement or None
        Of the last epoch.

    Raises
    ------
    ImportError
        Keras is not installed, or not the backend that it is told to use.
    ObjectiveError
        The forecast is of several levels, of fixed encoder variances, or has no single optimum.
    DataError
        In the first epoch: the data do not fit the encoder. Later on it is warned of once, and the training goes on.
    """

    def __init__(
        self,
        encoder: Callable[..., Any],
        data: Any,
        forecast: Forecast | None = None,
        *,
        spread: Spread = "log_variance",
        input_shape: tuple[int, ...] | None = None,
        warmup_epochs: float = 0.0,
        patience: int = 10,
        prefix: str = "collapse",
    ) -> None:
        if Callback is object:
            raise ImportError(
                "watching a Keras training needs Keras and its backend: pip install keras, and KERAS_BACKEND=torch or "
                "jax if it is not TensorFlow"
            )
        super().__init__()
        self.watch = Watch(forecast, warmup_epochs=warmup_epochs, patience=patience, prefix=prefix)
        checks.function(encoder, "encoder")
        self.data = data
        shape = getattr(data, "shape", ())
        shape = input_shape or (tuple(shape[1:]) if len(shape) > 2 else None)
        self._probe = CallableProbe(encoder, _none, check_spread(spread), name="the encoder", input_shape=shape)
        self.measurement: Measurement | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Begin anew."""
        self.watch.restart()
        self.measurement = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Measure, log, and compare with the forecast."""
        try:
            probe = opened(self._probe, self.data, self.watch)
            measurement = measured(probe, self.data, self.watch)
        except DataError as error:
            if self.measurement is None:
                raise
            if self.watch.once("unfit"):
                warn(f"epoch {epoch} is not measured: {error}")
            return
        self.measurement = measurement
        if logs is not None:
            logs.update(self.watch.logged(measurement))
        complaint = self.watch.complaint(measurement, epoch)
        if complaint is not None:
            warn(complaint)


def _none(z: Any) -> Any:
    raise DataError("a callback asks nothing of the decoder")
