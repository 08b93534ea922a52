"""Ticks of a logarithmic axis that can be read: 1, 10, 100 rather than 2, 5, 2, 5."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from uncollapse.showing.figure import Axis, Panel

__all__ = ["label", "limits_of", "log_ticks", "whole_ticks"]

MOST_TICKS = 8
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
STEPS = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), tuple(float(k) for k in range(1, 10)))
"""Multiples of a power of ten that get a tick, coarse to fine: the first that gives three ticks is taken."""


def log_ticks(low: float, high: float) -> list[float]:
    """Round values from `low` to `high`: powers of ten where there are three, closer ones only where there are not.

    Examples
    --------
    >>> log_ticks(0.5, 2000)
    [1.0, 10.0, 100.0, 1000.0]
    >>> log_ticks(0.8, 12)
    [1.0, 3.0, 10.0]
    >>> len(log_ticks(1e-30, 1e30)) <= 8
    True
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for multiples in STEPS:
        ticks = _within((m * 10.0**k for k in range(first, last + 1) for m in multiples), low, high)
        if len(ticks) >= 3:
            break
    else:
        ticks = _within(np.linspace(low, high, 3), low, high)
        ticks = sorted({float(f"{tick:.3g}") for tick in ticks})
    return ticks[:: math.ceil(len(ticks) / MOST_TICKS)]


def whole_ticks(low: float, high: float) -> list[float]:
    """Round whole numbers from `low` to `high`, at most eleven.

    Examples
    --------
    >>> whole_ticks(0.5, 3.5), whole_ticks(0.5, 64.5)
    ([1.0, 2.0, 3.0], [10.0, 20.0, 30.0, 40.0, 50.0, 60.0])
    """
    step = next(m * 10**k for k in range(300) for m in (1, 2, 5) if (high - low) / (m * 10**k) <= 10)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [float(i * step) for i in range(first, last + 1)]


def _within(values: Iterable[float], low: float, high: float) -> list[float]:
    return [float(value) for value in values if low <= value * (1 + 1e-12) and value <= high * (1 + 1e-12)]


def label(value: float) -> str:
    """A tick's value as text.

    Examples
    --------
    >>> label(0.01), label(1000.0), label(1e-7), label(2e9)
    ('0.01', '1,000', '10⁻⁷', '2·10⁹')
    """
    if 1e-3 <= value < 1e6:
        return f"{value:,.6g}" if value >= 1 else f"{value:.4g}"
    mantissa, exponent = f"{value:.3g}".split("e") if "e" in f"{value:.3g}" else (f"{value:e}".split("e"))
    power = "10" + str(int(exponent)).translate(SUPERSCRIPTS)
    return power if float(mantissa) == 1 else f"{float(mantissa):g}·{power}"


def limits_of(panel: Panel, *, of_x: bool) -> tuple[float, float]:
    """What a logarithmic or whole axis shows: its own limits, or a little more than its marks need."""
    axis: Axis = panel.x if of_x else panel.y
    if axis.limits is not None:
        return axis.limits
    parts = [np.asarray(mark.x if of_x else mark.y, dtype=float) for mark in panel.marks]
    values = np.concatenate([part.ravel() for part in parts]) if parts else np.ones(1)
    if axis.whole:
        values = np.append(values[np.isfinite(values)], 0.0 if axis.from_zero else [])
        return (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    values = values[np.isfinite(values) & (values > 0)]
    if not len(values):
        return 0.1, 10.0
    low, high = float(values.min()), float(values.max())
    room = max((high / low) ** 0.04, 1.05 if of_x else 1.3)
    return low / room, high * room
