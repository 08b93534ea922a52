"""A bar over the epochs of a training: ELBO, KL and the number of living latents beside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["See", "watching_epochs"]

DELAY_SECONDS = 1.0

See = Callable[[int, float, float, float], None]
"""Told after each epoch: its number, ELBO, KL, latents alive (means over the members)."""


@contextmanager
def watching_epochs(n_epochs: int, *, shown: bool = True) -> Iterator[See]:
    """A function to call after each epoch; the bar appears on a terminal once training has taken a second."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[facts]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not (shown and console.is_terminal),
    )
    task = bar.add_task("training", total=n_epochs, facts="")
    started = time.monotonic()

    def see(epoch: int, elbo: float, kl: float, n_alive: float) -> None:
        if time.monotonic() - started > DELAY_SECONDS and not bar.live.is_started:
            bar.start()
        bar.update(task, completed=epoch, facts=f"ELBO {elbo:.4g}  KL {kl:.3g}  alive {n_alive:.3g}")

    try:
        yield see
    finally:
        bar.stop()
