"""Whether a collapse is a matter of how the loss is reduced: the same weight, another sum or mean, and latents live."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from uncollapse.forecasting.result import Forecast
from uncollapse.loss import LossConvention

__all__ = ["Reduced", "reduction_behind"]


@dataclass(frozen=True)
class Reduced:
    """A reduction that explains a water level.

    Attributes
    ----------
    factor : float
        What it multiplies the water level by.
    n_alive : int
        Latents that would live without it.
    change : str
        What undoes it.
    text : str
        The sentence.
    """

    factor: float
    n_alive: int
    change: str
    text: str


def reduction_behind(forecast: Forecast) -> Reduced | None:
    """The reduction without which the optimum would not be collapsed; None if there is none.

    Of a loss given as written, each mean against a sum is undone in turn. Else a water level of exactly D or D/2, D the
    number of features, is what a mean over them makes of 1.

    Examples
    --------
    >>> import numpy as np
    >>> from uncollapse import Objective, forecast
    >>> x = np.random.default_rng(0).standard_normal((500, 20)) * np.geomspace(3, 0.1, 20)
    >>> mean = Objective.from_loss("mse", reduction="mean", n_features=20, n_latents=4)
    >>> reduction_behind(forecast(x, objective=mean)).factor
    20.0
    """
    f, loss = forecast, forecast.objective.loss
    if f.objective.decoder_variance == "learned" or f.objective.levels or f.spectrum.rank == 0:
        return None
    for other, change, what in _undone(loss):
        factor = f.objective.water_level / other.water_level
        alive = _alive(f, f.objective.beta / factor)
        if factor > 1 and alive > max(2 * f.n_alive, 0):
            text = f"{what} multiplies the water level by {factor:.4g}; without it {alive} latents would live."
            return Reduced(factor, alive, change, text)
    return _of_the_number(f)


def _undone(loss: LossConvention | None) -> list[tuple[LossConvention, str, str]]:
    undone: list[tuple[LossConvention, str, str]] = []
    if loss is None:
        return undone
    if loss.reduction == "mean":
        what = f"The mean of the reconstruction over {loss.n_features} features, beside a KL that is summed,"
        undone.append((replace(loss, reduction="sum"), "sum the reconstruction over features", what))
    if loss.kl_batch == "sum" and loss.batch == "mean":
        what = f"The KL summed over batches of {loss.batch_size}, beside a reconstruction that is averaged,"
        undone.append((replace(loss, kl_batch="mean"), "average the KL over the batch", what))
    if len(undone) == 2:
        both = replace(loss, reduction="sum", kl_batch="mean")
        undone.append((both, "sum the reconstruction over features and average the KL over the batch", "Both together"))
    return undone


def _of_the_number(f: Forecast) -> Reduced | None:
    for factor, what in ((f.spectrum.n_targets, "D"), (f.spectrum.n_targets / 2, "D/2")):
        alive = _alive(f, f.objective.beta / factor)
        if factor > 2 and math.isclose(f.objective.water_level, factor, rel_tol=1e-6) and alive > 2 * f.n_alive:
            text = (
                f"The water level is {what} = {factor:g}, the number of features: what a reconstruction averaged over "
                f"them makes of a weight of 1; at 1, {alive} latents would live."
            )
            return Reduced(float(factor), alive, "sum the reconstruction over features", text)
    return None


def _alive(f: Forecast, beta: float) -> int:
    return replace(f, objective=replace(f.objective, beta=beta, loss=None)).n_alive
