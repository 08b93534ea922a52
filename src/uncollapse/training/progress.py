"""A bar over the epochs of a training: ELBO, KL and the number of living latents beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from uncollapse.progress import delayed_bar

__all__ = ["See", "watching_epochs"]

See = Callable[[int, float, float, float], None]
"""Told after each epoch: its number, ELBO, KL, latents alive (means over the members)."""


@contextmanager
def watching_epochs(n_epochs: int, *, shown: bool = True) -> Iterator[See]:
    """A function to call after each epoch; the bar appears on a terminal once training has taken a second."""
    with delayed_bar("training", n_epochs, shown=shown) as see:
        yield lambda epoch, elbo, kl, n_alive: see(epoch, f"ELBO {elbo:.4g}  KL {kl:.3g}  alive {n_alive:.3g}")
