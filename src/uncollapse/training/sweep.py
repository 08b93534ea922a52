"""Sweeps: many setups on the same data, in parallel, into a folder from which a killed sweep goes on."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from uncollapse.checks import as_path, count, flag, instance, shown
from uncollapse.errors import ObjectiveError, OutputError, UncollapseError, UncollapseWarning
from uncollapse.files import clear_leftovers, locked, made_folder, write_bytes, write_text
from uncollapse.forecasting.predict import forecast
from uncollapse.forecasting.result import Forecast
from uncollapse.progress import watching_epochs
from uncollapse.spectra.decompose import spectrum
from uncollapse.training.cells import cell_id, check_backend, n_workers, record, run_cells
from uncollapse.training.config import Setup
from uncollapse.training.data import Table, table
from uncollapse.training.ensemble import checked_setups, stackable
from uncollapse.training.likelihoods import check_fits
from uncollapse.training.placing import device_named
from uncollapse.training.result import forecast_loss
from uncollapse.training.table import check_parquet, write_parquet

__all__ = ["forecasts", "grid", "sweep"]

FORMAT = "uncollapse-sweep-1"
MOST_CELLS_AT_ONCE = 64
"""Cells given to a worker together: enough to stack, few enough that little is lost with the worker."""

MOST_SEEDS = 1_000_000
"""Of one combination; a longer list would fill the memory before the first training begins."""

Columns = dict[str, list[Any]]


def grid(base: Setup, *, seeds: int | Sequence[int] = 1, **axes: Sequence[Any]) -> list[Setup]:
    """Every combination of some settings.

    Parameters
    ----------
    base : Setup
        All other settings.
    seeds : int or sequence of int
        So many, counted from the base's own, or these.
    **axes
        Fields of `Objective`, `Network` or `Training` with the values to try; ``decoder_variance`` may hold
        ``"optimal"`` besides ``"learned"``.

    Examples
    --------
    >>> len(grid(Setup(), beta=(0.5, 1, 2), n_latents=(2, 4), seeds=5))
    30
    """
    first = instance(base, "base", Setup).training.seed
    if isinstance(seeds, Sequence | np.ndarray) and not isinstance(seeds, str):
        named: Sequence[Any] = list(seeds)
    else:
        named = range(first, first + count(seeds, "seeds", least=1, most=MOST_SEEDS))
    setups = [base]
    for name, values in [*axes.items(), ("seed", named)]:
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise ObjectiveError(f"{name} must be a list of values to try, got {shown(values)}")
        listed = list(values)
        setups = [_with(setup, name, value) for setup in setups for value in listed]
    return setups


def _with(setup: Setup, name: str, value: Any) -> Setup:
    if name == "decoder_variance" and isinstance(value, str) and value in ("optimal", "learned"):
        rule: Any = "optimal" if value == "optimal" else "parameter"
        setup, value = replace(setup, training=replace(setup.training, decoder_variance_rule=rule)), "learned"
    for part in ("objective", "network", "training"):
        if name in {item.name for item in fields(getattr(setup, part))}:
            return replace(setup, **{part: replace(getattr(setup, part), **{name: value})})
    raise UncollapseError(f"not a setting of an objective, a network or a training: {name}")


def sweep(
    data: Any,
    setups: Sequence[Setup],
    out: str | Path,
    *,
    target: Any = None,
    given: Any = None,
    jobs: int = 1,
    backend: str | None = None,
    device: str | None = None,
    keep_models: bool = False,
    progress: bool = False,
) -> Columns:
    """Train every setup and write one table of results, with the forecast of each beside it.

    Parameters
    ----------
    data, target, given
        As in `train`.
    setups : sequence of Setup
        The cells; see `grid`.
    out : path
        A folder. If an interrupted sweep of the same setups and data is there, its finished cells are kept and only
        the others are trained.
    jobs : int
        Processes; −1 for one per core. Of a cluster, all of it is used unless a number other than 1 is given.
    backend : str, optional
        Of joblib: ``loky`` (this machine) when left out; ``dask`` or ``ray`` spread the cells over the cluster of the
        client that is connected. Left out inside ``with joblib.parallel_config("dask"):``, that one.
    device : str, optional
        As in `train`; of every worker.
    keep_models : bool
        Also write each model to ``models/``.
    progress : bool
        Show a bar on the terminal.

    Returns
    -------
    dict of list
        Columns of ``results.parquet``, one entry a cell, in the order of `setups`.

    Raises
    ------
    OutputError
        The folder belongs to another sweep (the message says what differs), another process works on it, or it
        cannot be written.
    """
    check_parquet()
    setups = checked_setups(setups)
    folder = as_path(out, "out", error=OutputError)
    if count(jobs, "jobs", least=-4096) == 0:
        raise ObjectiveError("jobs must be a number of processes, or -1 for one per core, got 0")
    jobs, keep_models = int(jobs), flag(keep_models, "keep_models")
    flag(progress, "progress")
    check_backend(backend)
    if device is not None and backend not in ("dask", "ray"):
        device_named(device)
    if not setups:
        raise ObjectiveError("a sweep needs one setup or more")
    rows = table(data, target, given)
    for likelihood in {setup.objective.likelihood for setup in setups}:
        check_fits(likelihood, rows.y, rows.name)
    cells = {cell_id(setup): setup for setup in setups}
    made_folder(folder / "cells")
    with locked(folder / ".lock", f"{folder}: another process works on this sweep; wait for it, or stop it"):
        clear_leftovers(folder, folder / "cells", folder / "models")
        _check_same(folder, cells, rows)
        done = _finished(folder)
        missing = [(name, setup) for name, setup in cells.items() if name not in done]
        units = _units([setup for _, setup in missing], rows, n_workers(jobs, backend))
        work = [[missing[i] for i in unit] for unit in units]
        with watching_epochs(len(cells), shown=progress) as on_epoch:
            n_done = len(cells) - len(missing)
            for name, result, model in run_cells(work, rows, jobs, backend, keep_models, device):
                if model is not None:
                    (folder / "models").mkdir(exist_ok=True)
                    write_bytes(folder / "models" / f"{name}.safetensors", model)
                write_text(folder / "cells" / f"{name}.json", json.dumps(result))
                n_done += 1
                on_epoch(
                    n_done, *(math.nan if result[key] is None else result[key] for key in ("elbo", "rate", "n_alive"))
                )
        columns = _columns(cells, _finished(folder), forecasts(cells, rows))
        write_parquet(folder / "results.parquet", columns)
    return columns


def _check_same(folder: Path, cells: dict[str, Setup], rows: Table) -> None:
    path = folder / "sweep.json"
    ours = {"format": FORMAT, "data": rows.fingerprint(), "cells": {n: s.to_dict() for n, s in cells.items()}}
    if not path.exists():
        if any((folder / "cells").iterdir()):
            raise OutputError(f"{folder}: holds cells of a sweep that it does not describe; choose another folder")
        write_text(path, json.dumps(ours))
        return
    try:
        theirs = json.loads(path.read_text())
        setups = {name: Setup.from_dict(values) for name, values in theirs["cells"].items()}
    except (ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{path}: damaged ({error}); choose another folder") from None
    if set(setups) != set(cells):
        changed = "; ".join(_changes(list(setups.values()), list(cells.values())))
        raise OutputError(f"{folder}: holds a sweep of other settings ({changed}); choose another folder")
    if theirs["data"] != rows.fingerprint():
        raise OutputError(f"{folder}: holds a sweep of other data; choose another folder")


def _changes(theirs: list[Setup], ours: list[Setup]) -> Iterator[str]:
    """Each setting whose values differ, as ``name: theirs → ours``."""
    for part in ("objective", "network", "training"):
        for item in fields(getattr(ours[0], part)):
            old, new = ({repr(getattr(getattr(s, part), item.name)) for s in some} for some in (theirs, ours))
            if old != new:
                yield f"{item.name}: {', '.join(sorted(old))} → {', '.join(sorted(new))}"


def _finished(folder: Path) -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in (folder / "cells").glob("*.json")}


def _units(setups: list[Setup], rows: Table, n_workers: int) -> Iterator[list[int]]:
    """Cells that one worker takes together: of one architecture, in some units per worker."""
    for group in stackable(setups, rows.widths):
        size = min(MOST_CELLS_AT_ONCE, -(-len(group) // (2 * n_workers)) if n_workers > 1 else len(group))
        for start in range(0, len(group), size):
            yield group[start : start + size]


def forecasts(cells: dict[str, Setup], rows: Table) -> dict[str, Forecast | None]:
    """The closed form of each cell where there is one; the data are decomposed once for each kind of model."""
    spectra: dict[Any, Any] = {}
    parts = [None if part is None else part.numpy() for part in (None if rows.y is rows.x else rows.y, rows.given)]
    result: dict[str, Forecast | None] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UncollapseWarning)
        for name, setup in cells.items():
            o = setup.objective
            try:
                if (o.bias, o.likelihood) not in spectra:
                    spectra[o.bias, o.likelihood] = spectrum(
                        rows.x.numpy(), parts[0], given=parts[1], bias=o.bias, likelihood=o.likelihood
                    )
                n = o.n_latents or min(rows.widths[:2])
                result[name] = forecast(spectra[o.bias, o.likelihood], objective=replace(o, n_latents=n))
            except UncollapseError:
                result[name] = None
    return result


def _columns(cells: dict[str, Setup], results: dict[str, Any], forecasts: dict[str, Forecast | None]) -> Columns:
    result = []
    for name, setup in cells.items():
        f = forecasts[name]
        line = {
            "forecast_n_alive": None if f is None else f.n_alive,
            "forecast_rate": None if f is None else f.rate,
            "forecast_loss": None if f is None else forecast_loss(f),
            "forecast_status": None if f is None else f.status,
        }
        result.append({"cell": name, **record(setup), **results[name], **line})
    return {name: [row[name] for row in result] for name in result[0]} if result else {}
