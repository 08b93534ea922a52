"""The figures of a bill: what each better model gains, and what each latent pays and earns."""

from __future__ import annotations

import numpy as np

from uncollapse.bill.line import Bill
from uncollapse.showing.figure import Axis, Bars, Figure, Line, Mark, Panel, Points

__all__ = ["bill_figure", "earning_figure"]

MOST_BARS = 60
APPLIED = ("path", "prune", "upper", "offset", "variance", "revived")
"""Lines that change the model itself without training it."""

CALLED = {"both": "train on", "decoder": "its decoder", "q": "better q", "revived": "all at once", "variance": "η²"}
"""Short words under the bars, where the line's own name is not one."""


def bill_figure(bill: Bill) -> Figure:
    """A bar for each line, the largest gain first, with two standard errors."""
    lines = bill.lines
    place = np.arange(1, len(lines) + 1)
    errors = [2 * line.error for line in lines]
    bars = Bars(
        place,
        [line.gain for line in lines],
        ["alive" if line.name in APPLIED else "mode" for line in lines],
        below=errors,
        above=errors,
        hover="{text}: {y:.4g} nats",
        texts=[line.better_model for line in lines],
    )
    labels = tuple(CALLED.get(line.name, line.name) for line in lines)
    x = Axis("the better model", limits=(0.4, len(lines) + 0.6), labels=labels)
    return Figure((Panel((bars,), x, Axis("gain, nats per sample", from_zero=True)),))


def earning_figure(bill: Bill, kl: np.ndarray, weight: float) -> Figure:
    """What each latent pays, β·KL, against what the reconstruction would lose without it; on the line they are equal.

    Parameters
    ----------
    bill : Bill
        With its `earning`.
    kl : ndarray of shape (l,)
        Of the lowest level.
    weight : float
        β of that level.
    """
    earning = bill.earning
    if earning is None:
        return Figure((Panel((), Axis("KL paid, nats"), Axis("nats earned")),))
    some = np.flatnonzero(earning.tried)[:MOST_BARS]
    paid = weight * kl[some]
    earned = earning.value[some] + paid
    good = earning.earns[some]
    top = float(max(paid.max(initial=0.0), earned.max(initial=0.0))) or 1.0
    marks: list[Mark] = [Line([0.0, top], [0.0, top], "water", "what it pays")]
    for chosen, colour, name in ((good, "alive", "earns"), (~good, "collapsed", "does not")):
        if chosen.any():
            errors = 2 * earning.error[some][chosen]
            hover = "pays {x:.4g}, earns {y:.4g} nats"
            marks.append(Points(paid[chosen], earned[chosen], colour, name, errors=errors, hover=hover))
    return Figure((Panel(tuple(marks), Axis("β·KL paid, nats"), Axis("nats earned")),), legend="above")
