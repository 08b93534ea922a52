"""What every result can do: show itself on one line, as text, in a notebook, and as a figure."""

from __future__ import annotations

import html
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from uncollapse import checks

if TYPE_CHECKING:
    from uncollapse.showing.figure import Figure

__all__ = ["LEAST_WIDTH", "MOST_ROWS", "WIDTH", "Card", "Drawn", "Noun", "Settings", "number", "short", "width_of"]

WIDTH, LEAST_WIDTH = 80, 40
MOST_LETTERS, MOST_OF_ONE = 160, 60
MOST_ROWS, MOST_LISTED = 12, 8


@dataclass(frozen=True)
class Card:
    """What a result says of itself.

    Attributes
    ----------
    headline : str
        The answer, in a sentence.
    facts : tuple of pairs of str
        Names and values.
    lines : tuple of str
        What to do, or to know; a sentence each.
    headings, rows : tuples of str
        A small table; none without headings.
    """

    headline: str
    facts: tuple[tuple[str, str], ...] = ()
    lines: tuple[str, ...] = ()
    headings: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


class Noun:
    """A result or a setting; each says its own `card`."""

    __slots__ = ()

    def card(self) -> Card:
        """The headline, the facts, the advice: what `summary` and notebooks show."""
        raise NotImplementedError

    def summary(self, width: int = WIDTH) -> str:
        """The result as text for a terminal, no line longer than `width`.

        Parameters
        ----------
        width : int
            Letters, 40 or more.
        """
        from uncollapse.showing.terminal import card_text

        return card_text(self.card(), width_of(width))

    def _repr_html_(self) -> str:
        return card_html(type(self).__name__, self.card())

    def __repr__(self) -> str:
        return short(self)

    def __str__(self) -> str:
        return self.summary()


class Drawn(Noun):
    """A result with a picture."""

    __slots__ = ()

    def figure(self) -> Figure:
        """The picture as data; Plotly and Matplotlib draw it (`showing.figure`)."""
        raise NotImplementedError

    def plot(self, ax: Any = None) -> Any:
        """Draw the picture with Matplotlib.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw, a sequence of them for a picture of several panels; a new figure when left out.

        Returns
        -------
        Axes, or ndarray of Axes
            What was given, or the new ones.

        Raises
        ------
        UncollapseError
            Matplotlib is not installed, or `ax` is not what it draws on.
        """
        from uncollapse.showing.with_matplotlib import draw

        return draw(self.figure(), ax)


class Settings(Noun):
    """Settings, whose one line names what differs from the defaults."""

    __slots__ = ()

    def card(self) -> Card:
        """Each setting with its value."""
        values = ((item.name, getattr(self, item.name)) for item in fields(self))  # type: ignore[arg-type]
        return Card(type(self).__name__, tuple((name, _brief(value)) for name, value in values))

    def __repr__(self) -> str:
        given = {}
        for item in fields(self):  # type: ignore[arg-type]
            value = getattr(self, item.name)
            default = item.default if item.default_factory is MISSING else item.default_factory()
            if value != default:
                given[item.name] = value
        return _line(type(self).__name__, given, exact=True)

    def __str__(self) -> str:
        return repr(self)


def width_of(width: int) -> int:
    """A width for `summary`, checked."""
    return checks.count(width, "width", least=LEAST_WIDTH)


def number(value: float | None) -> str:
    """A number in a fact: four digits, "–" where there is none.

    Examples
    --------
    >>> number(1234.567), number(0.25), number(float("inf")), number(None)
    ('1,235', '0.25', '∞', '–')
    """
    if value is None or np.isnan(value):
        return "–"
    if np.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.4g}"


def short(noun: Any, **values: Any) -> str:
    """A noun on one line: the values given, or its fields, arrays by their shape alone."""
    own = {item.name: getattr(noun, item.name) for item in fields(noun) if item.repr}
    return _line(type(noun).__name__, values or own)


def _line(name: str, values: dict[str, Any], *, exact: bool = False) -> str:
    inside = ", ".join(f"{key}={_brief(value, exact=exact)}" for key, value in values.items())
    if len(inside) > MOST_LETTERS:
        inside = inside[: MOST_LETTERS - 1] + "…"
    return f"{name}({inside})"


def _brief(value: Any, *, exact: bool = False) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        text = repr(value) if exact else f"{value:.6g}"
    elif value is None or isinstance(value, bool | int):
        text = repr(value)
    elif isinstance(value, str):
        text = repr("".join(letter if letter.isprintable() else "�" for letter in value))
    elif isinstance(getattr(value, "shape", None), tuple):
        return f"<{'×'.join(map(str, value.shape)) or 'scalar'}>"
    elif isinstance(value, list | tuple):
        parts = [_brief(item, exact=exact) for item in value[:MOST_LISTED]]
        text = "(" + ", ".join(parts) + ("," if len(parts) == 1 else "") + ")"
        return text if len(value) <= MOST_LISTED and len(text) <= MOST_OF_ONE else f"<{len(value)}>"
    elif isinstance(value, Settings):
        return repr(value)
    else:
        return f"<{type(value).__name__}>"
    return text if len(text) <= MOST_OF_ONE else text[: MOST_OF_ONE - 1] + "…"


def card_html(name: str, card: Card) -> str:
    """A card as a piece of HTML, every text escaped, with no script and nothing from outside."""
    say = html.escape
    parts = [f'<div class="uncollapse"><p><small>{say(name)}</small><br><strong>{say(card.headline)}</strong></p>']
    if card.lines:
        parts.append("<ul>" + "".join(f"<li>{say(line)}</li>" for line in card.lines) + "</ul>")
    if card.facts:
        rows = (f"<tr><th>{say(key)}</th><td>{say(value)}</td></tr>" for key, value in card.facts)
        parts.append("<table>" + "".join(rows) + "</table>")
    if card.headings:
        head = "".join(f"<th>{say(heading)}</th>" for heading in card.headings)
        body = ("<tr>" + "".join(f"<td>{say(cell)}</td>" for cell in row) + "</tr>" for row in card.rows)
        parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>")
    return "".join(parts) + "</div>"
