"""A trained model → its Measurement alone: how collapsed it is, without a forecast and without a cause."""

from __future__ import annotations

from typing import Any

from uncollapse.errors import ObjectiveError
from uncollapse.measure.arrays import measure_posterior
from uncollapse.measure.observe import observe
from uncollapse.measure.result import Measurement
from uncollapse.probes.open import open_probe
from uncollapse.probes.own_rows import holds_cells, with_own_rows
from uncollapse.probes.scvi_kinds import MEASURED, kind_of

__all__ = ["measure_model"]


def measure_model(model: Any, data: Any = None, given: Any = None, *, scale: float = 1.0, **how: Any) -> Measurement:
    """Measure how collapsed a trained model is; its loss need not be known.

    Parameters
    ----------
    model : object
        Anything that `open_probe` takes; of scvi-tools also TOTALVI, PEAKVI and MULTIVI.
    data, given : array, Rows, file or anything else that `forecast` takes
        The data and the condition. Of a model of scvi-tools, its own cells when left out, or an AnnData.
    scale : float
        Multiplies the data, as the loader of the training did.
    **how
        `spread`, `input_shape`, `outputs`, `prior` and `trust` of `open_probe`.

    Returns
    -------
    Measurement

    Raises
    ------
    DataError, ObjectiveError
        As `open_probe`; data that do not go through the model's encoder.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((200, 2))
    >>> measure_model((lambda x: (x * [0.9, 0.0], 0 * x + [0.2, 1.0]), lambda z: z), x, spread="variance").n_alive
    1
    """
    if holds_cells(model) and kind_of(model) in MEASURED:
        if given is not None or how or scale != 1:
            raise ObjectiveError(f"scvi-tools {kind_of(model)}: is measured on its cells alone; give no more than them")
        mean, variance = model.get_latent_representation(data, return_dist=True)
        return measure_posterior(mean, variance=variance)
    data, given = with_own_rows(model, data, given)
    return observe(open_probe(model, **how), data, given=given, scale=scale).measurement
