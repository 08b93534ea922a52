"""What Python has open on disk: arrays of h5py and zarr, AnnData objects."""

from __future__ import annotations

from typing import Any

from uncollapse.errors import DataError, first_line, warn

__all__ = ["is_annotated", "is_on_disk", "matrix_of"]


def is_on_disk(data: Any) -> bool:
    """Whether this is an array that is read by slices: NumPy would take the whole file."""
    home = type(data).__module__.partition(".")[0]
    return home in ("h5py", "zarr", "anndata") and all(hasattr(data, part) for part in ("shape", "dtype"))


def is_annotated(data: Any) -> bool:
    """Whether this is an AnnData object."""
    return type(data).__name__ == "AnnData" and type(data).__module__.startswith("anndata")


def matrix_of(data: Any, name: str) -> Any:
    """The X of an AnnData object: an array, a sparse matrix, or what `is_on_disk` where the object is backed."""
    if data.isbacked and data.is_view:  # of which AnnData takes no further slices
        warn(f"{name}: a part of a backed AnnData object is read into memory at once")
    try:
        matrix = data.X
    except Exception as error:  # a file that is closed or gone
        raise DataError(f"{name}: the X of the AnnData object cannot be read: {first_line(error)}") from error
    if matrix is None:
        raise DataError(f"{name}: the AnnData object has no X; pass adata.layers['NAME'] or adata.obsm['NAME']")
    return matrix
