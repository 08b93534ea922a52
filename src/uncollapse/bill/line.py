"""The bill: better models, each with its gain in nats on rows that did not help to find it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from uncollapse.bill.additions import Additions
from uncollapse.bill.prune import Earning
from uncollapse.showing.figure import Figure
from uncollapse.showing.noun import Card, Drawn, short
from uncollapse.showing.plain import plain

__all__ = ["LINES", "Bill", "Line", "LineName"]

LineName = Literal[
    "collapsed", "linear", "offset", "path", "prune", "upper", "variance", "q", "decoder", "both", "revived"
]

LINES: dict[LineName, str] = {
    "collapsed": "the collapsed model: every latent dead, the decoder constant",
    "linear": "the best linear VAE at this loss",
    "offset": "this model with its decoder's output calibrated",
    "path": "this model plus a linear path",
    "prune": "this model without latents that do not earn",
    "upper": "this model with level 1 alone, its prior a fixed Gaussian",
    "variance": "this model with another decoder variance",
    "q": "this decoder with a better q",
    "decoder": "this model after some steps of its decoder",
    "both": "this model after some steps of training",
    "revived": "all that can be applied at once",
}
"""Names of lines, and the better model of each."""


@dataclass(frozen=True)
class Line:
    """One better model.

    Attributes
    ----------
    name : str
        One of `LINES`.
    gain, error : float
        Fall of the loss, nats per sample, and its standard error.
    n_rows : int
        Rows that it was measured on; they did not help to find the model.
    better_model : str
        In words.
    predicted : float or None
        The gain by a closed form, where there is one.
    """

    name: LineName
    gain: float
    error: float
    n_rows: int
    better_model: str
    predicted: float | None = None

    @property
    def counts(self) -> bool:
        """Whether the gain stands above twice its error."""
        return self.gain > 2 * self.error

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "line": self.name,
            "gain": plain(self.gain),
            "error": plain(self.error),
            "rows": self.n_rows,
            "better_model": self.better_model,
            "predicted": plain(self.predicted),
        }


@dataclass(frozen=True, eq=False, repr=False)
class Bill(Drawn):
    """All lines of a model. They overlap, so they do not add up.

    Attributes
    ----------
    lines : tuple of Line
        The largest gain first; those within their error are left out.
    tried : tuple of Line
        All, those too that gain nothing.
    untried : tuple of str
        What there was no time for, or no way.
    earning : Earning or None
        Of each latent of the lowest level.
    additions : Additions or None
        What makes the better model of the line "revived".
    models : dict of pairs of Additions
        By the name of a line: its better model, and the one that it was compared with.
    """

    lines: tuple[Line, ...]
    tried: tuple[Line, ...]
    untried: tuple[str, ...]
    earning: Earning | None
    additions: Additions | None
    models: dict[LineName, tuple[Additions, Additions]] = field(default_factory=dict)

    def line(self, name: LineName) -> Line | None:
        """The line of that name among all tried."""
        return next((line for line in self.tried if line.name == name), None)

    def with_lines(self, more: Sequence[Line]) -> Bill:
        """The same with further lines."""
        tried = (*self.tried, *more)
        return replace(self, tried=tried, lines=ordered(tried))

    def joined(self, trials: Bill) -> Bill:
        """The same with the lines of trials, and what those lack."""
        return replace(self.with_lines(trials.tried), untried=(*self.untried, *trials.untried))

    @property
    def n_earning(self) -> int | None:
        """Latents whose loss rises without them; None where that is not known."""
        return None if self.earning is None else self.earning.n_earning

    def listed(self) -> list[dict[str, Any]]:
        """The lines, ready for JSON."""
        return [line.to_dict() for line in self.lines]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {"lines": self.listed(), "not_tried": list(self.untried), "n_earning": self.n_earning}

    def figure(self) -> Figure:
        """The picture as data, for `plot` and for pages."""
        from uncollapse.bill.pictures import bill_figure

        return bill_figure(self)

    def card(self) -> Card:
        """The largest gain, and a row for each line."""
        from uncollapse.bill.terminal import HEADINGS, bill_rows

        rows = tuple(bill_rows(self))
        if not self.lines:
            return Card("No better model was found.", lines=self.untried)
        best = self.lines[0]
        headline = f"{best.better_model[0].upper()}{best.better_model[1:]} is better by {best.gain:.4g} nats."
        return Card(headline, lines=self.untried, headings=HEADINGS, rows=rows)

    def __repr__(self) -> str:
        best = self.lines[0] if self.lines else None
        return short(self, n_lines=len(self.lines), best=None if best is None else best.name,
                     gain=None if best is None else round(best.gain, 4))  # fmt: skip


def ordered(tried: Sequence[Line]) -> tuple[Line, ...]:
    """Lines that count, the largest gain first."""
    return tuple(sorted((line for line in tried if line.counts and np.isfinite(line.gain)), key=lambda a: -a.gain))
