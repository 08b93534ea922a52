"""A progress bar on standard error: shown once the work has taken a second, gone when it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from uncollapse.data.rows import Rows

__all__ = ["delayed_bar", "watching"]

DELAY_SECONDS = 1.0


@contextmanager
def delayed_bar(what: str, total: int | None, *, shown: bool = True) -> Iterator[Callable[[int, str], None]]:
    """A function to call with how much of `total` is done and a few words beside the bar; silent off a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[facts]}", markup=False),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not (shown and console.is_terminal),
    )
    task = bar.add_task(what, total=total, facts="")
    started = time.monotonic()

    def see(done: int, facts: str) -> None:
        if time.monotonic() - started > DELAY_SECONDS and not bar.live.is_started:
            bar.start()
        bar.update(task, completed=done, facts=facts)

    try:
        yield see
    finally:
        bar.stop()


@contextmanager
def watching(rows: Rows, what: str) -> Iterator[Rows]:
    """The same rows, with a bar (rate, time left) while they are read."""
    with delayed_bar(f"{what} {rows.name}"[:30], rows.n_rows) as see:
        started = time.monotonic()
        n_read = 0

        def count(n: int) -> None:
            nonlocal n_read
            n_read += n
            # a method may read the data several times; the bar then starts again
            done = n_read if rows.n_rows is None else (n_read - 1) % rows.n_rows + 1
            see(done, f"{n_read / max(time.monotonic() - started, 1e-9):,.0f} rows/s")

        yield rows.watched(count)
