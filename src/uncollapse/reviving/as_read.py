"""How a model was read when it was revived, as plain values, and the same model read so again."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from uncollapse.errors import SourceError, first_line
from uncollapse.measure.protocol import Spread
from uncollapse.probes.open import open_probe

__all__ = ["how_read", "read_again"]


def how_read(probe: Any) -> dict[str, Any]:
    """What `read_again` needs, of a PyTorch module: its spread, the shape of a sample, and how its parts were found.

    Examples
    --------
    >>> from torch import nn
    >>> how_read(open_probe((nn.Linear(2, 1), nn.Linear(1, 2)), spread="std"))
    {'spread': 'std', 'input_shape': None, 'halves': None}
    """
    module = getattr(probe, "module", None)
    if module is None:
        return {}
    from uncollapse.inferring.halves import Halves

    shape = getattr(probe, "input_shape", None)
    return {
        "spread": getattr(probe, "spread", None),
        "input_shape": None if shape is None else list(shape),
        "halves": asdict(module.reading) if isinstance(module, Halves) else None,
    }


def read_again(
    module: Any, how: dict[str, Any], *, spread: Spread | None = None, input_shape: tuple[int, ...] | None = None
) -> Any:
    """Probe of a module as it was read; what is said here comes first.

    Parameters
    ----------
    module : object
        The user's own.
    how : dict
        Of `how_read`; empty of a folder that does not have it.
    spread, input_shape
        As in `open_probe`.

    Raises
    ------
    SourceError
        What was written cannot be understood.
    """
    from torch import nn

    from uncollapse.inferring.halves import Halves, Reading

    shape = how.get("input_shape")
    input_shape = input_shape or (None if shape is None else tuple(shape))
    if how.get("halves") is None or not isinstance(module, nn.Module) or isinstance(module, Halves):
        return open_probe(module, spread=spread or how.get("spread"), input_shape=input_shape)
    try:
        reading = Reading(**{name: _with_tuples(value) for name, value in how["halves"].items()})
    except (TypeError, AttributeError) as error:
        raise SourceError(f"a damaged revived model: how it was read: {first_line(error)}") from None
    return open_probe(Halves(module, reading), spread="log_variance", input_shape=input_shape)


def _with_tuples(value: Any) -> Any:
    """JSON knows lists only."""
    return tuple(_with_tuples(part) for part in value) if isinstance(value, list) else value
