"""Small pictures inside a page: rows of data as grey images, without any file beside it."""

from __future__ import annotations

import base64
import math
import struct

import numpy as np

__all__ = ["image_shape", "image_uri"]

MOST_SIDE = 128


def image_shape(n_columns: int, said: tuple[int, ...] | None = None) -> tuple[int, int] | None:
    """Height and width of rows that are grey images: as said, or square; None where they are none.

    Examples
    --------
    >>> image_shape(64), image_shape(784), image_shape(13), image_shape(784, (1, 28, 28))
    ((8, 8), (28, 28), None, (28, 28))
    """
    if said is not None and len(said) >= 2 and math.prod(said) == said[-1] * said[-2]:
        return said[-2], said[-1]
    side = math.isqrt(n_columns)
    return (side, side) if side * side == n_columns and 8 <= side <= MOST_SIDE and said is None else None


def image_uri(row: np.ndarray, shape: tuple[int, int], low: float, high: float) -> str:
    """A ``data:`` address of a grey image in the BMP format, values from low (white) to high (black).

    Examples
    --------
    >>> image_uri(np.zeros(4), (2, 2), 0.0, 1.0)[:22]
    'data:image/bmp;base64,'
    """
    grey = 255 - np.clip((row.reshape(shape) - low) / max(high - low, 1e-12) * 255, 0, 255).astype(np.uint8)
    height, width = shape
    padded = np.zeros((height, -(-width // 4) * 4), dtype=np.uint8)
    padded[:, :width] = grey[::-1]  # the lowest line comes first, each padded to four bytes
    palette = b"".join(bytes((i, i, i, 0)) for i in range(256))
    start = 14 + 40 + len(palette)
    header = b"BM" + struct.pack("<IHHI", start + padded.size, 0, 0, start)
    about = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 0, padded.size, 2835, 2835, 256, 0)
    return "data:image/bmp;base64," + base64.b64encode(header + about + palette + padded.tobytes()).decode("ascii")
