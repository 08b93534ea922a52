"""Tables in every container, and whether their spectrum is that of long-double or rational arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from hypothesis import strategies as st

from fuzz.outcomes import Attempt
from uncollapse import forecast, moments, spectrum

__all__ = ["containers", "numbers", "odd_data", "strengths_flaw"]


def long_double_covariance(x: np.ndarray) -> np.ndarray:
    """Centred first, then multiplied, all in long double; integers as fractions, which nothing overflows."""
    if x.dtype.kind in "iu" and x.dtype.itemsize == 8:
        n, rows = len(x), [[Fraction(int(v)) for v in row] for row in x]
        mean = [sum(column) / n for column in zip(*rows, strict=True)]
        left = [[v - m for v, m in zip(row, mean, strict=True)] for row in rows]
        d = range(x.shape[1])
        return np.array([[float(sum(row[i] * row[j] for row in left) / n) for j in d] for i in d])
    wide = x.astype(np.longdouble)
    wide = wide - wide[0]
    wide = wide - wide.mean(axis=0)
    return (wide.T @ wide / len(wide)).astype(np.float64)


def strengths_flaw(s: Any, x: np.ndarray, tolerance: float) -> str:
    """What is wrong with a spectrum of the rows x, or ""."""
    covariance = long_double_covariance(x)
    size = np.abs(covariance).max()
    if size == 0:
        return "" if s.rank == 0 else "a constant table has modes"
    exact = np.linalg.eigvalsh(covariance / size)[::-1] * size
    top = float(exact[0])
    if s.rank > len(exact):
        return "more modes than columns"
    worst = float(np.abs(s.strengths - exact[: s.rank]).max(initial=0.0))
    if worst > tolerance * top:
        return f"strengths off by {worst / top:.2g} of the largest"
    missed = float(exact[s.rank]) if s.rank < len(exact) and s.complete else 0.0
    if missed > 100 * tolerance * top:
        return f"a mode of {missed / top:.2g} of the largest is missing"
    energy = float(np.trace(covariance))
    return "" if abs(s.total_energy - energy) <= 10 * tolerance * energy else "total energy is off"


def buffered(x: np.ndarray, step: int) -> Any:
    """A generator that fills one buffer again and again."""
    buffer = np.empty((step, x.shape[1]), x.dtype)
    for start in range(0, len(x), step):
        part = x[start : start + step]
        buffer[: len(part)] = part
        yield buffer[: len(part)]


class ByNumber:
    """A data set in the manner of PyTorch."""

    def __init__(self, x: np.ndarray) -> None:
        self.x = x

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> Any:
        return self.x[i], i


def dask_of(x: np.ndarray) -> Any:
    """In chunks of rows and columns."""
    import dask.array as da

    return da.from_array(x, chunks=(max(1, len(x) // 3), max(1, x.shape[1] // 2)))


CONTAINERS: dict[str, Callable[[np.ndarray], Any]] = {
    "array": lambda x: x,
    "lists": lambda x: x.tolist(),
    "list of vectors": list,
    "fortran": np.asfortranarray,
    "every second row": lambda x: np.repeat(x, 2, axis=0)[::2],
    "backwards": lambda x: x[::-1].copy()[::-1],
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
    "memoryview": lambda x: memoryview(np.ascontiguousarray(x)),
    "masked": np.ma.masked_array,
    "frame": pd.DataFrame,
    "objects": lambda x: x.astype(object),
    "csr": sp.csr_array,
    "csc": sp.csc_array,
    "coo": sp.coo_array,
    "tensor": torch.tensor,
    "one block": lambda x: iter([x]),
    "blocks": lambda x: (x[i : i + 3] for i in range(0, len(x), 3)),
    "one buffer": lambda x: buffered(x, 4),
    "loader": lambda x: torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.tensor(x)), batch_size=5),
    "data set": ByNumber,
    "dask": dask_of,
}
ONLY_FLOAT64 = ("csr", "csc", "coo", "tensor", "loader", "frame", "memoryview", "lists", "objects")
"""Containers with kinds of number of their own: tried with float64."""

REFUSED = ("objects",)
"""Arrays of Python objects are refused, whatever they hold."""

KINDS: dict[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "float64": lambda rng, shape: rng.standard_normal(shape),
    "float32": lambda rng, shape: rng.standard_normal(shape).astype(np.float32),
    "float16": lambda rng, shape: rng.standard_normal(shape).astype(np.float16),
    "long double": lambda rng, shape: rng.standard_normal(shape).astype(np.longdouble) * 1e-6 + np.longdouble(1e12),
    "bytes": lambda rng, shape: rng.integers(0, 255, shape).astype(np.uint8),
    "bools": lambda rng, shape: rng.random(shape) < 0.4,
    "int64": lambda rng, shape: rng.integers(-50, 50, shape),
    "large int64": lambda rng, shape: rng.integers(-50, 50, shape) + 2**60,
    "large uint64": lambda rng, shape: rng.integers(0, 100, shape).astype(np.uint64) + np.uint64(2**63),
    "big-endian": lambda rng, shape: rng.standard_normal(shape).astype(">f8"),
    "tiny": lambda rng, shape: rng.standard_normal(shape) * 1e-120,
    "huge": lambda rng, shape: rng.standard_normal(shape) * 1e120,
    "far": lambda rng, shape: rng.standard_normal(shape) + 1e6,
    "sparse": lambda rng, shape: rng.standard_normal(shape) * (rng.random(shape) < 0.3),
    "constant column": lambda rng, shape: np.where(np.arange(shape[1]) == 0, 7.0, rng.standard_normal(shape)),
}
TOLERANCES = {"float32": 1e-5, "float16": 1e-5}


@st.composite
def containers(draw: st.DrawFn) -> Attempt:
    """A table in a container: its spectrum, whole or by the matrix-free path."""
    kind = draw(st.sampled_from(list(KINDS)))
    names = [name for name in CONTAINERS if kind == "float64" or name not in ONLY_FLOAT64]
    container = draw(st.sampled_from(names))
    shape = (draw(st.integers(2, 30)), draw(st.integers(1, 8)))
    n_modes = draw(st.sampled_from([None, None, 2, 10**18]))
    seed = draw(st.integers(0, 2**32 - 1))
    x = KINDS[kind](np.random.default_rng(seed), shape)
    x = x * np.linspace(1, 3, shape[1]) if x.dtype == np.float64 and kind != "constant column" else x
    tolerance = TOLERANCES.get(kind, 1e-9) if n_modes is None else 1e-5
    return Attempt(
        f"spectrum of a {container} of {kind}, {shape[0]} × {shape[1]}, n_modes={n_modes}, seed {seed}",
        lambda: spectrum(CONTAINERS[container](x), n_modes=n_modes),
        partial(strengths_flaw, x=x, tolerance=tolerance),
        "error" if container in REFUSED else "answer",
        draw(st.booleans()),
    )


class Rude:
    """Nothing that it is asked for works."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise RuntimeError("no\nnumbers")

    def __iter__(self) -> Any:
        raise KeyError("no rows")

    def __repr__(self) -> str:
        raise ValueError("no name")


def failing(error: type[Exception]) -> Any:
    """Gives one block, then its own error."""
    yield np.ones((3, 2))
    raise error("lost\nthe rest")


ODD_DATA: dict[str, Callable[[], Any]] = {
    "a string": lambda: "data.npy", "bytes": lambda: b"data", "None": lambda: None, "a number": lambda: 3.0,
    "pd.NA": lambda: pd.NA, "a dict": lambda: {"a": [1, 2]}, "a set": lambda: {1, 2}, "an object": object,
    "a class": lambda: int, "a rude object": Rude, "an empty list": list, "empty lists": lambda: [[], []],
    "ragged": lambda: [[1, 2], [3]], "words": lambda: [["a", "b"]], "one dimension": lambda: np.zeros(5),
    "no rows": lambda: np.zeros((0, 3)), "no columns": lambda: np.zeros((3, 0)),
    "complex": lambda: np.ones((3, 2)) * 1j, "dates": lambda: np.zeros((3, 2), "M8[D]"),
    "records": lambda: np.array([(1, 2.0)], dtype=[("a", int), ("b", float)]),
    "a sparse vector": lambda: sp.coo_array(np.arange(3)), "a sparse cube": lambda: sp.coo_array(np.ones((2, 2, 2))),
    "a sparse tensor": lambda: torch.ones(3, 2).to_sparse(), "a meta tensor": lambda: torch.empty(3, 2, device="meta"),
    "a generator that fails": lambda: failing(OSError), "one that fails to index": lambda: failing(IndexError),
    "an empty generator": lambda: iter(()), "blocks of two widths": lambda: iter([np.ones((2, 2)), np.ones((2, 3))]),
    "images in a list": lambda: [np.ones((4, 4))] * 3, "nan": lambda: np.full((3, 2), np.nan),
    "inf": lambda: np.array([[1.0, np.inf], [0.0, 1.0]]), "one row": lambda: np.ones((1, 3)),
    "a function": lambda: print, "a data set of text": lambda: ByNumber(np.array(["a"])),
    "a data set of numbers": lambda: ByNumber(np.zeros(3)), "an empty data set": lambda: ByNumber(np.zeros((0, 2))),
}  # fmt: skip


@st.composite
def odd_data(draw: st.DrawFn) -> Attempt:
    """What is no table, given to whatever takes one, as data, target or condition."""
    name = draw(st.sampled_from(list(ODD_DATA)))
    where = draw(st.sampled_from(["data", "target", "given"]))
    verb = draw(st.sampled_from([moments, spectrum, forecast]))
    good = np.random.default_rng(0).standard_normal((3, 2))

    def call() -> Any:
        odd = ODD_DATA[name]()
        if where == "data":
            return verb(odd)
        if where == "target":
            return verb(good, odd)
        return spectrum(good, given=odd)

    allowed = (where != "data" and name == "None") or (verb is moments and name == "one row")
    return Attempt(f"{verb.__name__} with {name} as {where}", call, expected="either" if allowed else "error")


@st.composite
def numbers(draw: st.DrawFn) -> Attempt:
    """A small table of any floats at all: the exact strengths, or a clear error where squares do not exist."""
    n, d = draw(st.integers(2, 6)), draw(st.integers(1, 3))
    finite = st.floats(allow_nan=False, allow_infinity=False, width=64)
    rows = draw(st.lists(st.lists(finite, min_size=d, max_size=d), min_size=n, max_size=n))
    x = np.array(rows)
    with np.errstate(over="ignore"):
        spread = np.abs(x - x[0]).max()
    squares = spread == 0 or 1e-140 < spread < 1e140
    tame = squares and (np.abs(x).max() < 1e150)
    return Attempt(
        f"spectrum of {rows}",
        lambda: spectrum(x),
        lambda s: strengths_flaw(s, x, 1e-9) if tame else "",
        strict=draw(st.booleans()),
    )
