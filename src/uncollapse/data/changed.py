"""The same rows in another form: moved and scaled, or labels as one-hot rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from uncollapse.data.blocks import Block, Rows, dense
from uncollapse.errors import DataError

__all__ = ["MOST_CLASSES", "affine", "n_classes_of", "one_hot"]

MOST_CLASSES = 1000


def affine(rows: Rows, scale: float, shift: float) -> Rows:
    """``scale · rows + shift``, block by block.

    Examples
    --------
    >>> from uncollapse.data.rows import as_rows
    >>> next(affine(as_rows([[0.0, 255.0]]), 2 / 255, -1.0).blocks())
    array([[-1.,  1.]])
    """

    def blocks() -> Iterator[Block]:
        return (dense(block) * scale + shift for block in rows.blocks())

    return replace(rows, blocks=blocks)


def n_classes_of(rows: Rows) -> int:
    """Number of classes of a single column of labels 0, 1, …; 0 of anything else. It is walked once.

    Examples
    --------
    >>> from uncollapse.data.rows import as_rows
    >>> n_classes_of(as_rows([[0], [2], [1]])), n_classes_of(as_rows([[0.5], [2.0]]))
    (3, 0)
    """
    if rows.n_columns not in (1, None) or not rows.repeatable:
        return 0
    most = -1
    for block in rows.blocks():
        labels = dense(block)
        if (
            labels.shape[1] != 1
            or not np.isfinite(labels).all()
            or (labels != np.round(labels)).any()
            or (labels < 0).any()
        ):
            return 0
        most = max(most, int(labels.max(initial=-1)))
        if most >= MOST_CLASSES:
            return 0
    return most + 1


def one_hot(rows: Rows, n_classes: int) -> Rows:
    """A column of labels as rows with a 1 in the label's place.

    Examples
    --------
    >>> from uncollapse.data.rows import as_rows
    >>> next(one_hot(as_rows([[1], [0]]), 3).blocks())
    array([[0., 1., 0.],
           [1., 0., 0.]])
    """

    def blocks() -> Iterator[Block]:
        for block in rows.blocks():
            labels = dense(block)[:, 0].astype(np.int64)
            if labels.size and not 0 <= labels.min() <= labels.max() < n_classes:
                raise DataError(f"{rows.name}: label {labels.max()} where {n_classes} classes are known")
            yield np.eye(n_classes)[labels]

    return replace(rows, n_columns=n_classes, sample_shape=(), blocks=blocks)
