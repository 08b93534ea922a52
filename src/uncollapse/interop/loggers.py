"""The latents of a measurement in the loggers of Lightning that take more than numbers."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from uncollapse.measure.result import Measurement

__all__ = ["log_latents"]

COLUMNS = ("latent", "kl", "kl_std", "mean_variance", "alive")


def log_latents(logger: Any, measurement: Measurement, name: str, step: int) -> None:
    """A table of all latents, or their figure, as far as a logger of Lightning takes either.

    Weights & Biases gets a table, MLflow a table as an artifact of the run, TensorBoard the figure of `Measurement`
    (where Matplotlib is installed). A logger of numbers alone gets nothing more.

    Parameters
    ----------
    logger : lightning.pytorch.loggers.Logger
    measurement : Measurement
    name : str
        Of the table or figure.
    step : int
        Of the training.
    """
    if callable(getattr(logger, "log_table", None)):
        logger.log_table(key=name, columns=[*COLUMNS], data=[*map(list, zip(*_columns(measurement), strict=True))],
                         step=step)  # fmt: skip
        return
    client: Any = getattr(logger, "experiment", None)
    if callable(getattr(client, "log_table", None)) and hasattr(logger, "run_id"):
        data = dict(zip(COLUMNS, _columns(measurement), strict=True))
        client.log_table(logger.run_id, data, f"{name}.json")
    elif callable(getattr(client, "add_figure", None)) and find_spec("matplotlib"):
        client.add_figure(name, _figure(measurement), global_step=step)


def _columns(m: Measurement) -> tuple[list[Any], ...]:
    return (
        [*range(1, m.n_latents + 1)], m.kl.tolist(), m.kl_std.tolist(), m.mean_variance.tolist(), m.alive.tolist(),
    )  # fmt: skip


def _figure(measurement: Measurement) -> Any:
    """Drawn without pyplot, which would keep the figure and may want a screen."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    measurement.plot(figure.subplots(1, 2))
    return figure
