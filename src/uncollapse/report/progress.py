"""A progress bar over blocks of rows: shown once reading has taken a second, gone when it ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from uncollapse.data.rows import Rows

__all__ = ["watching"]

DELAY_SECONDS = 1.0


@contextmanager
def watching(rows: Rows, what: str) -> Iterator[Rows]:
    """The same rows, with a bar on standard error (rate, time left) while they are read."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = bar.add_task(f"{what} {rows.name}"[:30], total=rows.n_rows, rate="")
    started = time.monotonic()
    n_read = 0

    def see(n: int) -> None:
        nonlocal n_read
        n_read += n
        elapsed = time.monotonic() - started
        if elapsed > DELAY_SECONDS and not bar.live.is_started:
            bar.start()
        # a method may read the data several times; the bar then starts again
        done = n_read if rows.n_rows is None else (n_read - 1) % rows.n_rows + 1
        bar.update(task, completed=done, rate=f"{n_read / max(elapsed, 1e-9):,.0f} rows/s")

    try:
        yield rows.watched(see)
    finally:
        bar.stop()
