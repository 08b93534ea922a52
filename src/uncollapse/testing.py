"""Assertions for tests of a VAE, with pytest or without."""

from __future__ import annotations

import warnings
from typing import Any

from uncollapse import checks
from uncollapse.data.rows import as_rows
from uncollapse.diagnosis.examine import diagnose
from uncollapse.diagnosis.facts import living
from uncollapse.diagnosis.opening import probe_of
from uncollapse.diagnosis.words import finding
from uncollapse.errors import DataError, UncollapseError, UncollapseWarning
from uncollapse.measure.observe import observe
from uncollapse.measure.protocol import Spread
from uncollapse.measure.result import Measurement
from uncollapse.measure.words import alive_words
from uncollapse.objective import Objective
from uncollapse.probes.restated import with_prior_of

__all__ = ["assert_alive"]


def assert_alive(
    model: Any,
    data: Any,
    target: Any = None,
    given: Any = None,
    *,
    at_least: int,
    objective: Objective | None = None,
    spread: Spread | None = None,
    input_shape: tuple[int, ...] | None = None,
    scale: float = 1.0,
    budget: float = 5.0,
) -> Measurement:
    """Fail where fewer latents of a trained VAE are alive than are due, and say why they are dead.

    One pass of the encoder where it holds; a diagnosis where it does not.

    Parameters
    ----------
    model, data, target, given, objective, spread, input_shape, scale
        As in `diagnose`. The objective is not needed, but without it the message does not say why.
    at_least : int
        Latents that are to be alive: those of 0.01 nats of mean KL or more.
    budget : float
        Seconds of the diagnosis for its bill and its trials.

    Returns
    -------
    Measurement
        Of the data.

    Raises
    ------
    AssertionError
        Fewer are alive; the message holds the verdict of the diagnosis.
    DataError, ObjectiveError
        The data do not fit the model, or it does not say how it is read.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((200, 3)) * [3.0, 2.0, 1.0]
    >>> half = (lambda x: (x / 2, np.ones_like(x) / 2), lambda z: 2 * z)
    >>> assert_alive(half, x, at_least=3, spread="std").n_alive
    3
    """
    __tracebackhide__ = True  # pytest then points at the line of the test
    at_least = checks.count(at_least, "at_least", least=1)
    how: dict[str, Any] = {"spread": spread, "input_shape": input_shape}
    probe = probe_of(model, data, as_rows(data), objective=objective or Objective(), given=given, scale=scale, **how)
    loss = objective or probe.objective
    probe = probe if loss is None else with_prior_of(probe, loss)
    measurement = observe(probe, data, target, given, scale=scale).measurement
    n_alive = measurement.n_alive if loss is None else int(living(measurement, loss).sum())
    if at_least > measurement.n_latents:
        raise DataError(f"at_least is {at_least}, and {probe.name} has {measurement.n_latents} latents")
    if n_alive >= at_least:
        return measurement
    short = f"{alive_words(n_alive, measurement.n_latents)}, and {at_least} or more are due."
    if loss is None:
        raise AssertionError(f"{short} To hear why, give objective=...")
    raise AssertionError(f"{short} {_why(probe, data, target, given, loss, scale, budget)}")


def _why(probe: Any, data: Any, target: Any, given: Any, loss: Objective, scale: float, budget: float) -> str:
    """The verdict, and the first thing to do; or why there is none."""
    try:
        with warnings.catch_warnings():  # the assertion fails, whatever else could be said of the data
            warnings.simplefilter("ignore", UncollapseWarning)
            d = diagnose(probe, data, target, given, objective=loss, scale=scale, budget=budget)
    except UncollapseError as error:
        return f"No diagnosis: {error}"
    return f"{d.verdict} {finding(d)}" + (f" Try: {d.remedies[0].change}." if d.remedies else "")
