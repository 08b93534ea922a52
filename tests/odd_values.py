"""Values that callers pass by mistake, for tests that whatever comes in ends in a right answer or one clear line."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import torch

__all__ = ["HALF", "NEVER_NUMBERS", "TWO", "label"]

NEVER_NUMBERS: list[Any] = [
    "0.5",
    "",
    b"1",
    float("nan"),
    float("inf"),
    pd.NA,
    pd.NaT,
    1j,
    True,
    np.bool_(True),
    np.datetime64("2020-01-01"),
    np.timedelta64(3, "s"),
    10**400,
    {"a": 1},
    {1.0},
    object(),
    lambda: 1.0,
    np.ones((2, 2)),
    torch.ones(2, 2),
    torch.ones(1, device="meta"),
    np.array(["a"]),
    Decimal("NaN"),
]
"""Nothing here is a number that a setting could mean, and none of it is None, which many settings allow."""

HALF: list[Any] = [
    0.5,
    Fraction(1, 2),
    Decimal("0.5"),
    np.float32(0.5),
    np.longdouble(0.5),
    np.array(0.5),
    torch.tensor(0.5),
]
"""One half, in every way that has an obvious meaning."""

TWO: list[Any] = [
    2,
    2.0,
    Fraction(2),
    Decimal(2),
    np.int64(2),
    np.uint8(2),
    np.float64(2),
    np.array(2),
    torch.tensor(2),
]
"""Two, in every way that has an obvious meaning."""


def label(value: object) -> str:
    """A name for a parametrised test, the same in every process: without the address of an object."""
    return re.sub(r" at 0x[0-9a-f]+|0x[0-9a-f]{8,}", "", repr(value))[:60]
