"""A study: one figure or table of a paper, run again, with the forecast beside it."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from uncollapse.data.mnist import MNIST_FOLDER
from uncollapse.data.sources import open_source
from uncollapse.errors import SourceError, UncollapseError
from uncollapse.files import write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ON_MADE_IMAGES", "Preset", "Request", "Result", "Study", "Verdict", "judged", "run_study"]

Preset = Literal["quick", "standard", "full"]
Verdict = Literal[
    "reproduced",
    "reproduced in part",
    "not reproduced",
    "run on made images; CelebA itself is not to be had here",
]
ON_MADE_IMAGES: Verdict = "run on made images; CelebA itself is not to be had here"
"""What the paper's numbers cannot be held against."""

MNIST_FILE = "train-images-idx3-ubyte.gz"


@dataclass(frozen=True)
class Request:
    """How a study is run.

    Attributes
    ----------
    preset : {"quick", "standard", "full"}
        A minute on two cores; under an hour on two cores; the paper's own size.
    data : Path or None
        Folder with the MNIST files, or with the images that the study wants (words after ``::`` say how they are read).
    """

    preset: Preset = "quick"
    data: Path | None = None

    def pick(self, quick: Any, standard: Any, full: Any) -> Any:
        """The value for this preset."""
        return {"quick": quick, "standard": standard, "full": full}[self.preset]

    def mnist(self, n: int | None = None) -> np.ndarray:
        """The first `n` MNIST training images over 255, float32, shape (n, 784)."""
        folder = self.data or MNIST_FOLDER
        try:
            rows = open_source(str(folder / MNIST_FILE))
        except SourceError:
            raise SourceError(
                f"{folder}: no {MNIST_FILE} there; name MNIST's folder with --data, or fetch it with --download"
            ) from None
        blocks, have = [], 0
        for block in rows.blocks():
            blocks.append(np.asarray(block, dtype=np.float32))
            have += len(block)
            if n is not None and have >= n:
                break
        return np.concatenate(blocks)[:n] / np.float32(255)


@dataclass(frozen=True, eq=False)
class Result:
    """What a study found.

    Attributes
    ----------
    rows : list of dicts
        The table; columns called ``paper``, ``ours`` and ``theory`` (None where there is no such number) after those
        that name the case.
    figure : matplotlib Figure
    settings : dict
        Everything that was chosen, JSON-ready; what the paper does not say is marked as chosen here.
    verdict : {"reproduced", "reproduced in part", "not reproduced"} or ON_MADE_IMAGES
    because : str
        The verdict's reason in one or two sentences, with numbers.
    """

    rows: list[dict[str, Any]]
    figure: Figure
    settings: dict[str, Any]
    verdict: Verdict
    because: str


@dataclass(frozen=True)
class Study:
    """One figure or table.

    Attributes
    ----------
    name : str
        What `uncollapse reproduce` calls it: ``wang-fig-2``.
    source : str
        Paper and place.
    shows : str
        What it should show, in one sentence.
    run : callable
        ``Request → Result``.
    needs_data : str
        Data that the user must have: ``""``, ``"mnist"`` or ``"images"``.
    """

    name: str
    source: str
    shows: str
    run: Callable[[Request], Result] = field(repr=False)
    needs_data: str = ""


def judged(claims: dict[str, bool], because: str) -> tuple[Verdict, str]:
    """All claims hold, some, or none: the verdict, and `because` with those that do not."""
    failed = [name for name, holds in claims.items() if not holds]
    words = because + (f" Not seen: {'; '.join(failed)}." if failed else "")
    if not failed:
        return "reproduced", words
    return ("not reproduced" if len(failed) == len(claims) else "reproduced in part"), words


def run_study(study: Study, request: Request, out: Path) -> Result:
    """Run a study and write ``table.csv``, ``figure.svg`` and ``summary.json`` into a folder.

    Raises
    ------
    ImportError
        PyTorch or Matplotlib is missing.
    UncollapseError
        The preset is unknown, or the data are missing.
    """
    if request.preset not in get_args(Preset):
        raise UncollapseError(f"preset is one of {', '.join(get_args(Preset))}, got {request.preset!r}")
    import_module("matplotlib")  # a missing one is told before the training, not after it
    start = time.monotonic()
    result = study.run(request)
    seconds = time.monotonic() - start
    out.mkdir(parents=True, exist_ok=True)
    columns = list(dict.fromkeys(name for row in result.rows for name in row))
    lines = [
        ",".join(map(_cell, columns)),
        *(",".join(_cell(row.get(name)) for name in columns) for row in result.rows),
    ]
    write_text(out / "table.csv", "\n".join(lines) + "\n")
    summary = {
        "study": study.name,
        "source": study.source,
        "shows": study.shows,
        "preset": request.preset,
        "verdict": result.verdict,
        "because": result.because,
        "settings": result.settings,
        "seconds": round(seconds, 1),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
    }
    write_text(out / "summary.json", json.dumps(summary, ensure_ascii=False, indent=1, default=str) + "\n")
    _write_figure(result.figure, out / "figure.svg")
    return result


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float | np.floating):
        return f"{float(value):.6g}"
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n') else text


def _write_figure(figure: Figure, path: Path) -> None:
    import io

    import matplotlib

    # the same figure gives the same bytes, so that a rerun shows what changed
    with matplotlib.rc_context({"svg.hashsalt": "uncollapse", "svg.fonttype": "none"}):
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    write_text(path, buffer.getvalue())
