"""`uncollapse reproduce`: a paper's figure or table, run again; a thin call of the library."""

from __future__ import annotations

import difflib
import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from uncollapse.errors import UncollapseError, UncollapseWarning, shown
from uncollapse.files import clear_leftovers, made_folder

__all__ = ["reproduce"]


def reproduce(
    name: Annotated[str | None, typer.Argument(help="A study; --list names them.", show_default=False)] = None,
    list_all: Annotated[bool, typer.Option("--list", help="Name every study, its source and what it shows.")] = False,
    preset: Annotated[
        Literal["quick", "standard", "full"],
        typer.Option(help="A minute on two cores; under an hour on two cores; the paper's own size."),
    ] = "quick",
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for table.csv, figure.svg, summary.json. (default results/NAME)"),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="With MNIST's files, or your images for a study of images. (default data/mnist)"
        ),
    ] = None,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch MNIST's four files into that folder first (11.6 MB).")
    ] = False,
) -> None:
    """Run a paper's figure or table again, and set the forecast beside it."""
    from uncollapse.studies import STUDIES, Request, run_study

    if list_all:
        _print_list(STUDIES)
        return
    study = _named(name, STUDIES)
    folder = made_folder(out or Path("results") / study.name, "; name another with --out")
    clear_leftovers(folder)
    if download:
        from uncollapse.data.mnist import MNIST_FOLDER, fetch_mnist

        where = data or MNIST_FOLDER
        fetched = fetch_mnist(where)
        typer.echo(f"MNIST: {len(fetched)} of 4 files fetched into {where.resolve()}", err=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UncollapseWarning)
        try:
            result = run_study(study, Request(preset, data), folder)
        except ImportError as error:
            raise UncollapseError(
                f"studies need PyTorch and Matplotlib: pip install 'uncollapse[torch,plot]' ({error})"
            ) from None
    typer.echo(f"{study.name}: {result.verdict}. {result.because}")
    for note in dict.fromkeys(str(item.message) for item in caught):
        typer.echo(f"Note: {note}.")
    typer.echo(f"{len(result.rows)} rows in {folder / 'table.csv'}; figure.svg and summary.json beside it")


def _named(name: str | None, studies: Any) -> Any:
    if name is None:
        raise UncollapseError("say which study: uncollapse reproduce NAME, or --list for their names")
    known = {study.name: study for study in studies}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UncollapseError(f"no study {shown(name)}; {hint}uncollapse reproduce --list names them all")
    return known[name]


def _print_list(studies: Any) -> None:
    from rich.table import Table
    from rich.text import Text

    from uncollapse.showing.terminal import standard_output

    table = Table(box=None, pad_edge=False)
    table.add_column("Name", no_wrap=True)
    table.add_column("Source")
    table.add_column("Shows")
    for study in studies:
        data = {"": "", "mnist": " (MNIST)", "images": " (your images)"}[study.needs_data]
        table.add_row(*(Text(part) for part in (study.name, study.source, study.shows + data)))
    standard_output().print(table)
