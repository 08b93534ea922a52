"""A progress bar on standard error: shown once the work has taken a second, gone when it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from uncollapse.data.rows import Rows

__all__ = ["OnEpoch", "announce", "delayed_bar", "watching", "watching_epochs"]

OnEpoch = Callable[[int, float, float, float], None]
"""Called after each epoch: its number, ELBO, KL, latents alive (means over the members)."""

DELAY_SECONDS = 1.0


def announce(what: object) -> None:
    """One line on standard error, before work that takes long."""
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True).print(Text(f"{what}.", style="dim"))


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
        TextColumn("{task.fields[extras]}", markup=False),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not (shown and console.is_terminal),
    )
    task = bar.add_task(what, total=total, extras="")
    started = time.monotonic()

    def on_step(done: int, extras: str) -> None:
        if time.monotonic() - started > DELAY_SECONDS and not bar.live.is_started:
            bar.start()
        bar.update(task, completed=done, extras=extras)

    try:
        yield on_step
    finally:
        bar.stop()


@contextmanager
def watching(rows: Rows, what: str) -> Iterator[Rows]:
    """The same rows, with a bar (rate, time left) while they are read."""
    with delayed_bar(f"{what} {rows.name}"[:30], rows.n_rows) as on_step:
        started = time.monotonic()
        n_read = 0

        def count(n: int) -> None:
            nonlocal n_read
            n_read += n
            # a method may read the data several times; the bar then starts again
            done = n_read if rows.n_rows is None else (n_read - 1) % rows.n_rows + 1
            on_step(done, f"{n_read / max(time.monotonic() - started, 1e-9):,.0f} rows/s")

        yield rows.watched(count)


@contextmanager
def watching_epochs(n_epochs: int, *, shown: bool = True) -> Iterator[OnEpoch]:
    """A function to call after each epoch; the bar appears on a terminal once training has taken a second."""
    with delayed_bar("training", n_epochs, shown=shown) as on_step:
        yield lambda epoch, elbo, kl, n_alive: on_step(epoch, f"ELBO {elbo:.4g}  KL {kl:.3g}  alive {n_alive:.3g}")
