"""The colours of all figures, by what they mean."""

from __future__ import annotations

from typing import Literal

__all__ = ["COLOURS", "PALETTE", "Meaning", "shade"]

Meaning = Literal["alive", "collapsed", "water", "noise", "mode", "point", "error"]

COLOURS: dict[Meaning, str] = {
    "alive": "#1b7f5c",
    "collapsed": "#b9c0c7",
    "water": "#2a6fdb",
    "noise": "#c2571a",
    "mode": "#43525f",
    "point": "#8e5bd0",
    "error": "#5d6b7a",
}

PALETTE = ("#1b7f5c", "#2a6fdb", "#c2571a", "#7b4ab5", "#b3384a", "#5b6b73")
"""For families that have no meaning of their own."""


def shade(share: float) -> str:
    """From the green of what is alive (0) to a light one (1).

    Examples
    --------
    >>> shade(0.0), shade(1.0)
    ('#1b7f5c', '#b2d6c4')
    """
    start, end = (27, 127, 92), (178, 214, 196)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(start, end, strict=True))
