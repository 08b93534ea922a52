"""Files of every kind that is read, whole or damaged: their rows, or one line."""

from __future__ import annotations

import gzip
import io
import shutil
import struct
import tarfile
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from fuzz.outcomes import Attempt
from uncollapse import forecast
from uncollapse.data.blocks import dense
from uncollapse.data.sources import open_source

__all__ = ["files"]

KINDS = (
    "npy", "npz", "csv", "idx", "idx.gz", "parquet", "h5ad", "zarr", "h5", "tar", "parts", "photos",
)  # fmt: skip


@cache
def table() -> np.ndarray:
    """What each file holds."""
    return np.random.default_rng(0).integers(0, 200, (12, 3)).astype(np.uint8)


@cache
def folder() -> Path:
    """Of one file of each kind, whole."""
    place, x = Path(tempfile.mkdtemp(prefix="uncollapse-fuzz-")), table()
    np.save(place / "x.npy", x.astype(float))
    np.savez(place / "x.npz", x=x.astype(float))
    np.savetxt(place / "x.csv", x, delimiter=",", header="a,b,c", comments="")
    content = bytes([0, 0, 8, 2]) + struct.pack(">2I", *x.shape) + x.tobytes()
    (place / "x-idx2-ubyte").write_bytes(content)
    (place / "x-idx2-ubyte.gz").write_bytes(gzip.compress(content))
    import anndata
    import pyarrow
    import pyarrow.parquet
    import zarr

    pyarrow.parquet.write_table(pyarrow.table({f"c{j}": x[:, j] for j in range(3)}), place / "x.parquet")
    anndata.AnnData(x.astype(np.float32)).write_h5ad(place / "x.h5ad")
    zarr.save(str(place / "x.zarr"), x)
    folders(place, x)
    import h5py

    with h5py.File(place / "x.h5", "w") as file:
        file["group/x"], file["y"] = x, x[:, 0]
    with tarfile.open(place / "x.tar", "w") as tar:
        for i, row in enumerate(x):
            content = io.BytesIO()
            np.save(content, row)
            info = tarfile.TarInfo(f"{i:02d}.npy")
            info.size = len(content.getvalue())
            tar.addfile(info, io.BytesIO(content.getvalue()))
    return place


def folders(place: Path, x: np.ndarray) -> None:
    """The same rows as images of three pixels, and as a table in three parts."""
    import pyarrow
    import pyarrow.parquet
    from PIL import Image

    for name in ("x.photos", "x.parts"):
        (place / name).mkdir()
    for i, row in enumerate(x):
        Image.fromarray(row[None]).save(place / "x.photos" / f"{i:02d}.png")
    for k, part in enumerate(np.split(x, 3)):
        table = pyarrow.table({f"c{j}": part[:, j] for j in range(3)})
        pyarrow.parquet.write_table(table, place / "x.parts" / f"{k}.parquet")


def named(kind: str) -> str:
    """The file of a kind."""
    return {"idx": "x-idx2-ubyte", "idx.gz": "x-idx2-ubyte.gz"}.get(kind, f"x.{kind}")


def read(path: Path) -> np.ndarray:
    """All its rows; what is made of none is for a forecast to say."""
    rows = open_source(str(path))
    scale = 255 if path.suffix == ".photos" else 1
    blocks = [np.round(dense(block) * scale, 4) for block in rows.blocks()]
    return np.vstack(blocks) if blocks else forecast(rows)


@st.composite
def files(draw: st.DrawFn) -> Attempt:
    """A file with some bytes changed, cut off, added or repeated; or whole."""
    kind = draw(st.sampled_from(KINDS))
    seed = draw(st.integers(0, 2**32 - 1))
    how = draw(st.sampled_from(["whole", "flip", "flip early", "cut", "add", "zeros", "empty"]))

    def call() -> Any:
        rng = np.random.default_rng(seed)
        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / named(kind)
            whole = folder() / named(kind)
            if whole.is_dir():
                shutil.copytree(whole, path)
                inside = sorted(p for p in path.rglob("*") if p.is_file())
                target = inside[int(rng.integers(len(inside)))]
            else:
                shutil.copy(whole, path)
                target = path
            target.write_bytes(damaged(target.read_bytes(), how, rng))
            return read(path)

    def flaw(rows: np.ndarray) -> str:
        return "" if how != "whole" or np.array_equal(rows, table()) else "not the rows that were written"

    return Attempt(f"{kind} file, {how}, seed {seed}", call, flaw, "answer" if how == "whole" else "either")


def damaged(content: bytes, how: str, rng: np.random.Generator) -> bytes:
    """The bytes after the damage."""
    changed = bytearray(content)
    if how.startswith("flip"):
        end = min(len(changed), 120) if how == "flip early" else len(changed)
        for at in rng.integers(0, max(end, 1), int(rng.integers(1, 6))):
            if at < len(changed):
                changed[at] ^= int(rng.integers(1, 256))
    elif how == "cut":
        del changed[int(rng.integers(0, len(changed) + 1)) :]
    elif how == "add":
        changed += rng.bytes(int(rng.integers(1, 50)))
    elif how == "zeros":
        start = int(rng.integers(0, len(changed) + 1))
        changed[start : start + 20] = bytes(len(changed[start : start + 20]))
    elif how == "empty":
        changed.clear()
    return io.BytesIO(changed).getvalue()
