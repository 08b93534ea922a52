"""What revive gives: the better model, its loss before and after, and how it was judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from uncollapse.bill.additions import Additions
from uncollapse.bill.line import Bill, Line
from uncollapse.bill.terminal import HEADINGS, bill_rows
from uncollapse.bill.wrapped import WrappedProbe
from uncollapse.objective import Objective
from uncollapse.showing.figure import Figure
from uncollapse.showing.noun import Card, Drawn, short
from uncollapse.showing.plain import plain, stamp

__all__ = ["Revived"]


@dataclass(frozen=True, eq=False, repr=False)
class Revived(Drawn):
    """A model and the better one that was built from it; losses in nats per sample on rows that did not help.

    Attributes
    ----------
    name : str
        Of the model.
    objective : Objective
        That both are judged by.
    bill : Bill
    additions : Additions or None
        None where nothing was to be gained: the model stays as it is.
    loss_before, loss_after : float
    gain, gain_error : float
        Their difference, and its standard error.
    n_rows : int
    kl_before, kl_after : ndarrays of shape (l,), (l + new,)
        Of each latent of the lowest level.
    alive_before, alive_after : int
    probe : WrappedProbe or None
        The better model, to be measured or diagnosed.
    digest : str
        Of the model's weights; "" where it has none that can be read.
    missed, water_level : float
        Strength of the strongest direction that the model's reconstruction misses, and what it would have to exceed for
        a latent to be worth its KL; nan where that is not known.
    how_read : dict
        How the model's module was read, for `load_revived`; empty where it has none.
    seen : tuple or None
        Eight rows, their reconstructions before and after, and the shape of a sample, for the page.
    """

    name: str
    objective: Objective
    bill: Bill
    additions: Additions | None
    loss_before: float
    loss_after: float
    gain: float
    gain_error: float
    n_rows: int
    kl_before: np.ndarray
    kl_after: np.ndarray
    alive_before: int
    alive_after: int
    probe: WrappedProbe | None = field(default=None, repr=False)
    digest: str = ""
    missed: float = float("nan")
    water_level: float = float("nan")
    how_read: dict[str, Any] = field(default_factory=dict, repr=False)
    seen: tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, ...] | None] | None = field(default=None, repr=False)

    @property
    def better(self) -> bool:
        """Whether there was anything to gain."""
        return self.additions is not None

    @property
    def line(self) -> Line | None:
        """The bill's own line of the whole."""
        return self.bill.line("revived")

    def write(self, folder: str | Path) -> Path:
        """Write arrays and facts into a folder, made if it is not there; `load_revived` gives the model back.

        Raises
        ------
        OutputError
            There is nothing to write, or it cannot be written.
        """
        from uncollapse.reviving.folder import write_folder

        return write_folder(self, folder)

    @property
    def headline(self) -> str:
        """The answer, in a sentence or two."""
        if not self.better:
            by = "what was tried" if self.bill.untried else "what can be added to this model"
            return f"There is nothing to gain by {by}; it stays as it is."
        return (
            f"Loss {self.loss_before:.5g} → {self.loss_after:.5g} nats per sample ({self.gain:.4g} ± "
            f"{self.gain_error:.2g} better, on {self.n_rows:,} rows that did not help to find it); latents alive "
            f"{self.alive_before} → {self.alive_after}."
        )

    @property
    def why_not(self) -> str:
        """Why nothing was added and what to do, in a line; empty of a better model."""
        if self.better:
            return ""
        if self.missed < self.water_level:
            return (
                f"At this loss no latent is worth its KL: the strongest direction that the reconstruction misses, "
                f"{self.missed:.4g}, lies under the water level {self.water_level:.4g}. What to change in the loss: "
                f"uncollapse diagnose …"
            )
        left = f"Not tried: {'; '.join(self.bill.untried)} (--budget). " if self.bill.untried else ""
        return f"{left}What else may be behind: uncollapse diagnose …"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        names = (
            "loss_before", "loss_after", "gain", "gain_error", "n_rows", "kl_before", "kl_after", "alive_before",
            "alive_after", "digest",
        )  # fmt: skip
        return {
            **stamp("revived"),
            "model": self.name,
            "better": self.better,
            "why_not": self.why_not or None,
            "how_read": self.how_read,
            **{name: plain(getattr(self, name)) for name in names},
            "bill": self.bill.listed(),
        }

    def figure(self) -> Figure:
        """The picture as data, for `plot` and for pages."""
        from uncollapse.reviving.pictures import kl_figure

        return kl_figure(self)

    def card(self) -> Card:
        """The answer, what was added, and the bill."""
        rows = tuple(bill_rows(self.bill))
        lines = (self.why_not,) if self.additions is None else (self.additions.text,)
        return Card(self.headline, lines=lines, headings=HEADINGS if rows else (), rows=rows)

    def __repr__(self) -> str:
        return short(self, name=self.name, better=self.better, gain=round(self.gain, 4),
                     alive=(self.alive_before, self.alive_after))  # fmt: skip
