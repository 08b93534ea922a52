"""The second threshold of a data set: from where on collapse is the best of all solutions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from uncollapse.data.rows import Block, Rows, dense
from uncollapse.data.sample import STREAM, RowSample
from uncollapse.showing.noun import Card, Noun, number, short
from uncollapse.showing.plain import plain
from uncollapse.spectra.global_search import FEWEST, Table, held_out_search
from uncollapse.theory.counts import inverse_dispersion

__all__ = ["GlobalThreshold", "SampledRows", "Search"]

MOST_NUMBERS, MOST_ROWS = 2**22, 50_000
"""Of the sample that is kept until the search is done: 32 MiB."""

N_ERRORS = 2.0


@dataclass(frozen=True, eq=False, repr=False)
class GlobalThreshold(Noun):
    """τ_g, in units of the strengths; a lower limit, since directions are searched for.

    Under the first threshold, the strongest mode's strength, every flexible network lives at its optimum. From τ_g on
    collapse is the best of all solutions, whatever the network. Between the two collapse is stable, and not best: a
    network that starts quietly collapses, one that comes from a lower weight may stay alive.

    Attributes
    ----------
    level : float or None
        None where it is not known; see `why_not`.
    interval : tuple of two floats, or None
        Two standard errors to either side; no lower than the first threshold.
    n_rows : int
        Of the sample; one half chose, the other half judged, and the other way round.
    gains : ndarray of shape (m, 2)
        Levels from the first threshold to τ_g, and what a code of two values already gains over collapse there, in
        units of β nats a sample.
    why_not : str
    """

    level: float | None
    interval: tuple[float, float] | None = None
    n_rows: int = 0
    gains: np.ndarray = field(default_factory=lambda: np.empty((0, 2)))
    why_not: str = ""

    def gain_at(self, level: float) -> float:
        """What a code of two values gains over collapse, in units of β nats; NaN under the first threshold, where a
        code of more values gains more, and where nothing is known.

        Parameters
        ----------
        level : float
            Water level.
        """
        if not len(self.gains) or level < self.gains[0, 0]:
            return float("nan")
        return float(np.interp(np.log(level), np.log(self.gains[:, 0]), self.gains[:, 1], right=0.0))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "global_threshold": self.level,
            "global_interval": None if self.interval is None else list(self.interval),
            "n_rows": self.n_rows,
            "gains": plain(self.gains),
            "why_not": self.why_not or None,
        }

    def card(self) -> Card:
        """The level, and how sure it is."""
        if self.level is None or self.interval is None:
            return Card(f"The second threshold is not known: {self.why_not}.")
        low, high = self.interval
        facts = (("interval", f"{number(low)} to {number(high)}"), ("rows of the sample", f"{self.n_rows:,}"))
        return Card(f"Every network collapses from water level {number(self.level)} on.", facts)

    def __repr__(self) -> str:
        return short(self, level=self.level, interval=self.interval, n_rows=self.n_rows)


class SampledRows:
    """A sample of rows, taken as the rows are walked for the first time.

    Parameters
    ----------
    rows : Rows
    sizes : ndarray of shape (n,), optional
        Size factors.
    """

    def __init__(self, rows: Rows, sizes: np.ndarray | None = None) -> None:
        self._source, self._sizes, self._done = rows, sizes, False
        self._kept: list[tuple[np.ndarray, ...]] = []

    @property
    def rows(self) -> Rows:
        """The same rows, watched."""
        return replace(self._source, blocks=self._blocks)

    def let_go(self) -> None:
        """Hold on to the data no longer, where the sample is taken."""
        if self._done:
            self._source = replace(self._source, blocks=lambda: iter(()))

    def places(self) -> np.ndarray | None:
        """Numbers of the rows that make the sample, ascending, where they are known beforehand."""
        rows = self._source
        if rows.n_rows is None or rows.n_columns is None:
            return None
        return sample_places(rows.n_rows, rows.n_columns)

    def bring(self, rows: np.ndarray | None) -> None:
        """Take the sample from whoever read the rows at `places`."""
        self._kept, self._done = [] if rows is None else [(rows,)], True

    def parts(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Rows of finite numbers in float64, and their size factors."""
        if not self._done:  # whoever asked for the rows read them by another way
            for _ in self._blocks():
                pass
        if not self._kept:
            return np.empty((0, 1)), None
        with np.errstate(all="ignore"):  # what float64 does not hold was refused by whoever read the rows
            rows, *sizes = (np.concatenate(part).astype(np.float64) for part in zip(*self._kept, strict=True))
        finite = np.isfinite(rows).all(axis=1)
        return rows[finite], sizes[0][finite] if sizes else None

    def _blocks(self) -> Iterator[Block]:
        if self._done:
            yield from self._source.blocks()
            return
        start, self._kept, sample = 0, [], _Choice(self._source.n_rows)
        for block in self._source.blocks():
            yield block
            chosen = sample.of_block(start, *block.shape)
            if chosen is not None:
                sizes = () if self._sizes is None else (self._sizes[start : start + block.shape[0]][chosen],)
                self._kept = sample.kept(self._kept, (dense(block[chosen]), *sizes))
            start += block.shape[0]
        self._done = True


def _most_rows(d: int) -> int:
    return min(MOST_ROWS, MOST_NUMBERS // max(d, 1))


def sample_places(n_rows: int, d: int) -> np.ndarray | None:
    """Numbers of the rows of a sample, ascending; None where it would be too small."""
    most = _most_rows(d)
    if most < FEWEST:
        return None
    rng = np.random.default_rng([n_rows, STREAM])
    return np.sort(rng.choice(n_rows, min(most, n_rows), replace=False))


class _Choice:
    """Which rows to keep: chosen beforehand where their number is known, so that each is copied once."""

    def __init__(self, n_rows: int | None) -> None:
        self._n_rows, self._places = n_rows, np.empty(0, dtype=int)
        self._stream: RowSample | None = None

    def of_block(self, start: int, n: int, d: int) -> np.ndarray | None:
        """Rows of a block; None where a sample would be too small."""
        most = _most_rows(d)
        if most < FEWEST:
            return None
        if self._n_rows is None:
            self._stream = self._stream or RowSample(most, seed=0)
            return self._stream.choose(n)
        if start == 0:
            chosen = sample_places(self._n_rows, d)
            assert chosen is not None
            self._places = chosen
        first, last = np.searchsorted(self._places, [start, start + n])
        return self._places[first:last] - start

    def kept(self, before: list[tuple[np.ndarray, ...]], new: tuple[np.ndarray, ...]) -> list[tuple[np.ndarray, ...]]:
        """What is kept with the rows of another block."""
        if self._stream is None:
            return [*before, new]
        self._stream.keep(*new)
        return [tuple(self._stream.parts)]


class Search:
    """The search, done when it is first asked for, and once; then the sample is let go.

    Parameters
    ----------
    sampled : SampledRows
    likelihood : str
    scale : float
        Multiplies the rows.
    total : bool
        Whether sizes are the row totals.
    dispersion : ndarray, float or "estimated"
        Of a negative binomial.
    first : float
        The first threshold.
    """

    def __init__(self, sampled: SampledRows, likelihood: str, scale: float, total: bool, dispersion: Any,
                 first: float) -> None:  # fmt: skip
        self._sampled: SampledRows | None = sampled
        self._sample: tuple[np.ndarray, np.ndarray | None] | None = None
        self._settings = (likelihood, scale, total, dispersion, first)
        self._found: GlobalThreshold | None = None
        sampled.let_go()

    def __call__(self) -> GlobalThreshold:
        """The second threshold."""
        if self._found is None:
            self._found = self._searched(*self._taken())
            self._sample = self._sampled = None
        return self._found

    def __getstate__(self) -> dict[str, Any]:
        sample = None if self._found is not None else self._taken()
        return {"_sampled": None, "_sample": sample, "_settings": self._settings, "_found": self._found}

    def __deepcopy__(self, memo: dict[int, Any]) -> Search:
        return self  # its sample never changes, and its answer is found once

    def _taken(self) -> tuple[np.ndarray, np.ndarray | None]:
        if self._sample is None:
            assert self._sampled is not None
            self._sample, self._sampled = self._sampled.parts(), None
        return self._sample

    def _searched(self, rows: np.ndarray, sizes: np.ndarray | None) -> GlobalThreshold:
        likelihood, scale, total, dispersion, first = self._settings
        if len(rows) < FEWEST:
            return GlobalThreshold(None, why_not=f"it needs {FEWEST} rows or more, for two halves")
        rows = rows * scale
        if total:
            sizes = rows.sum(axis=1)
            rows, sizes = rows[sizes > 0], sizes[sizes > 0]
            sizes = sizes / sizes.mean()
        varying = np.ptp(rows, axis=0) > 0
        rows = rows[:, varying]
        if not rows.shape[1] or not first > 0:
            return GlobalThreshold(None, why_not="no mode of the sample has any strength")
        r: Any = np.inf
        if likelihood == "negative-binomial":
            r = np.broadcast_to(dispersion, varying.shape)[varying] if not isinstance(dispersion, str) else (
                inverse_dispersion(rows.mean(axis=0), rows.var(axis=0)))  # fmt: skip
        table = Table(rows, 1.0 if sizes is None else sizes[:, None], likelihood, r)
        with np.errstate(all="ignore"):  # of values near the ends of float64 nothing is known, and it is said
            found = held_out_search(table, first)
        if not np.isfinite([found.level, found.error]).all():
            return GlobalThreshold(None, why_not="the data are too large or too small for it")
        low, high = (max(first, found.level + side * N_ERRORS * found.error) for side in (-1, 1))
        return GlobalThreshold(max(first, found.level), (low, high), len(rows), found.gains)
