"""What Python has open on disk: arrays of h5py and zarr, AnnData objects."""

from __future__ import annotations

from typing import Any

from uncollapse.errors import DataError, first_line

__all__ = ["is_annotated", "is_on_disk", "matrix_of"]


def is_on_disk(data: Any) -> bool:
    """Whether this is an array that is read by slices: NumPy would take the whole file."""
    home = type(data).__module__.partition(".")[0]
    known = home in ("h5py", "zarr", "anndata") or isinstance(data, _View)
    return known and all(hasattr(data, part) for part in ("shape", "dtype"))


def is_annotated(data: Any) -> bool:
    """Whether this is an AnnData object."""
    return type(data).__name__ == "AnnData" and type(data).__module__.startswith("anndata")


def matrix_of(data: Any, name: str) -> Any:
    """The X of an AnnData object: an array, a sparse matrix, or what `is_on_disk` where the object is backed."""
    try:
        matrix = _View(data) if data.isbacked and data.is_view else data.X
    except Exception as error:  # a file that is closed or gone
        raise DataError(f"{name}: the X of the AnnData object cannot be read: {first_line(error)}") from error
    if matrix is None:
        raise DataError(f"{name}: the AnnData object has no X; pass adata.layers['NAME'] or adata.obsm['NAME']")
    return matrix


class _View:
    """Some rows or columns of a backed object, of which AnnData's own X would read all at once."""

    def __init__(self, data: Any) -> None:
        self._data, self.shape, self.dtype = data, data.shape, data[:1].X.dtype

    def __getitem__(self, rows: slice) -> Any:
        return self._data[rows].X
