"""Which of the things that an encoder returns are the mean and the spread, where it returns more than two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from uncollapse.errors import ObjectiveError

__all__ = ["check_outputs", "mean_and_spread"]

NAMED = "name them in open_probe(..., outputs=(1, 2)) for (z, mean, spread), or (0, 1) for (mean, spread, z)"


def check_outputs(outputs: Any) -> tuple[int, int] | None:
    """Positions of mean and spread, from 0, as the user names them; None where it is left open."""
    if outputs is None:
        return None
    if (
        isinstance(outputs, tuple | list)
        and len(outputs) == 2
        and all(isinstance(i, int | np.integer) and not isinstance(i, bool) and i >= 0 for i in outputs)
        and outputs[0] != outputs[1]
    ):
        return int(outputs[0]), int(outputs[1])
    raise ObjectiveError(
        "outputs must be the positions of mean and spread in what the encoder gives, from 0: outputs=(1, 2) for "
        "(z, mean, log-variance)"
    )


def mean_and_spread(
    first: Sequence[Any], again: Callable[[], Sequence[Any]], where: str, how: str = NAMED
) -> tuple[int, int]:
    """Positions of the mean and the spread among what an encoder gives, told apart by what they do.

    Of three of one shape one is a draw of z: it differs when the same rows are encoded again, or it is the mean itself
    where the model does not draw in evaluation mode. What has another shape than the first is no draw of z.

    Parameters
    ----------
    first : sequence of arrays or tensors
        What the encoder gave.
    again : callable
        Gives the same once more, of the same rows.
    where, how : str
        For messages; how the user names them.

    Raises
    ------
    ObjectiveError
        They cannot be told apart; the line says how to name them.

    Examples
    --------
    >>> mean, log_variance = np.eye(2), np.zeros((2, 2))
    >>> mean_and_spread((mean + 0.3, mean, log_variance), lambda: (mean - 0.1, mean, log_variance), "the encoder")
    (1, 2)
    """
    parts = [_array(part) for part in first[:3]]
    if len(parts) < 3 or any(part is None for part in parts[:2]):
        return 0, 1
    if parts[2] is None or parts[2].shape != parts[0].shape:
        return 0, 1
    twice = [_array(part) for part in again()[:3]]
    drawn = [not _same(one, other) for one, other in zip(parts, twice, strict=True)]
    says = bool(np.any(parts[0]))  # of an encoder that says nothing, mean and log-variance may both be 0
    if drawn == [True, False, False] or (says and _same(parts[0], parts[1])):
        return 1, 2
    if drawn == [False, False, True] or (says and _same(parts[0], parts[2])):
        return 0, 1
    raise ObjectiveError(
        f"{where} gives {len(first)} outputs, and which are the mean and the spread cannot be known; {how}"
    )


def _array(part: Any) -> Any:
    try:
        part = part.detach().cpu() if hasattr(part, "detach") else part
        array = np.asarray(part.float() if str(getattr(part, "dtype", "")) == "torch.bfloat16" else part)
    except Exception:  # whatever it is, it is no draw of z
        return None
    return array if array.dtype.kind in "fiu" and array.ndim > 1 else None


def _same(one: Any, other: Any) -> bool:
    if one is None or other is None or one.shape != other.shape:
        return False
    return bool(np.allclose(one, other, rtol=1e-5, atol=1e-7, equal_nan=True))
