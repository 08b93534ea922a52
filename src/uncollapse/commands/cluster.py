"""`--scheduler ADDRESS`: the Dask cluster that a command works on, and whether its workers can do the work."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from uncollapse.errors import UncollapseError, first_line

__all__ = ["Scheduler", "check_workers", "connected", "refuse_here", "shared_tables"]

READERS = {".parquet": "pyarrow", ".zarr": "zarr", ".h5": "h5py", ".hdf5": "h5py", ".h5ad": "anndata"}

SECONDS = 10
"""For a scheduler to answer, and for its first worker to come."""

Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Of a Dask cluster, tcp://HOST:8786: its workers read the data, from a path that all of them see.",
        rich_help_panel="The data",
    ),
]


@contextmanager
def connected(scheduler: str | None, *sources: str | None, needs: tuple[str, ...] = ()) -> Iterator[Any]:
    """The client of a cluster inside, which Dask then works on; nothing without an address.

    Parameters
    ----------
    scheduler : str or None
    *sources : str or None
        What the workers read.
    needs : tuple of str
        Packages that they must have beside ours, NumPy, and those that read the sources.

    Raises
    ------
    UncollapseError
        Nobody answers, there is no worker, or one lacks a package or has another version of it.
    """
    if scheduler is None:
        yield None
        return
    try:
        from dask.distributed import Client
    except ImportError:
        raise UncollapseError("--scheduler needs Dask; pip install 'uncollapse[dask]'") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # versions are compared below, in one line
            client = Client(scheduler, timeout=SECONDS)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, TimeoutError) as error:
        why = first_line(error)
        raise UncollapseError(f"--scheduler {scheduler}: no Dask scheduler answers there ({why})") from None
    try:
        readers = [name for name in map(_reader, sources) if name is not None]
        check_workers(client, scheduler, ("uncollapse", "numpy", "dask", "distributed", *needs, *readers))
        yield client
    finally:
        client.close()  # type: ignore[no-untyped-call]


def check_workers(client: Any, scheduler: str, needs: Sequence[str], seconds: float = SECONDS) -> None:
    """Refuse a cluster without workers, or on which a package is missing or is another version."""
    try:
        client.wait_for_workers(1, timeout=seconds)
    except TimeoutError:
        raise UncollapseError(f"--scheduler {scheduler}: no worker is connected to it; start some") from None
    look = _look(tuple(needs))  # a function within a function: sent as it is, not by our package's name
    here, there = look(), {"scheduler": client.run_on_scheduler(look), **client.run(look)}
    for place, found in there.items():
        where = "the scheduler" if place == "scheduler" else f"worker {place}"
        lacking = [name for name in needs if found[name] is None]
        if lacking:
            raise UncollapseError(
                f"--scheduler {scheduler}: {where} lacks {', '.join(lacking)}; install it there, as it is here"
            )
        other = [f"{name} {found[name]} there, {here[name]} here" for name in here if found[name] != here[name]]
        if other:
            raise UncollapseError(f"--scheduler {scheduler}: {where} has other versions: {'; '.join(other)}")


def _look(needs: tuple[str, ...]) -> Any:
    def versions() -> dict[str, str | None]:
        import importlib
        import sys

        found: dict[str, str | None] = {"Python": f"{sys.version_info[0]}.{sys.version_info[1]}"}
        for name in needs:
            try:
                found[name] = str(getattr(importlib.import_module(name), "__version__", ""))
            except ImportError:
                found[name] = None
        return found

    return versions


def _reader(source: str | None) -> str | None:
    """The package that reads a source."""
    name = "" if source is None else source.partition("::")[0]
    return next((package for ending, package in READERS.items() if name.rstrip("/").endswith(ending)), None)


def shared_tables(scheduler: str | None, *tables: tuple[Any, str | None]) -> list[Any]:
    """Tables as they are, each with its source; on a cluster as arrays whose blocks the workers read.

    Raises
    ------
    UncollapseError
        A source that cannot be read by parts, or has too many columns for sums of their squares.
    """
    if scheduler is None:
        return [rows for rows, _ in tables]
    from uncollapse.data.shared import shared_array
    from uncollapse.spectra.decompose import MANY_FEATURES

    arrays = [None if source is None else shared_array(source) for _, source in tables]
    for (_, source), array in zip(tables, arrays, strict=True):
        if array is not None and array.shape[1] >= MANY_FEATURES:
            raise UncollapseError(
                f"{source}: {array.shape[1]:,} columns; from {MANY_FEATURES:,} on the data go through one machine "
                f"several times; leave --scheduler out"
            )
    return arrays


def refuse_here(scheduler: str | None, **asked: bool) -> None:
    """Refuse what is done on this machine, row by row, where a cluster was asked for.

    Parameters
    ----------
    scheduler : str or None
    **asked
        Options by name, underscores for dashes, and whether they were given.

    Raises
    ------
    UncollapseError
        One of them was.
    """
    given = [f"--{name.replace('_', '-')}" for name, is_given in asked.items() if is_given]
    if scheduler is not None and given:
        raise UncollapseError(
            f"{', '.join(given)}: works on this machine's own copy of the rows, not on a cluster; leave it out, or "
            f"leave --scheduler out"
        )
