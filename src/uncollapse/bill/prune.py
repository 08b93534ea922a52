"""Latents that do not earn their KL: held constant, the loss falls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from uncollapse.bill.additions import Additions
from uncollapse.bill.sample import Sample, mean_and_error

__all__ = ["IDLE_NATS", "Earning", "earning", "pruned"]

IDLE_NATS = 1e-3
"""A latent of less KL can be pruned for nothing, and earns nothing."""

N_ERRORS = 2.0


@dataclass(frozen=True, eq=False)
class Earning:
    """What each latent of the lowest level earns: by how much the loss rises without it, nats per sample.

    Attributes
    ----------
    rises : ndarray of shape (l, n)
        On each row; NaN for a latent that there was no time to try.
    constants : ndarray of shape (l,)
        Where the decoder sees it held; taken on other rows.
    """

    rises: np.ndarray
    constants: np.ndarray

    @property
    def value(self) -> np.ndarray:
        """Mean rise, shape (l,)."""
        return self.rises.mean(axis=1)

    @property
    def error(self) -> np.ndarray:
        """Its standard error, shape (l,)."""
        error: np.ndarray = self.rises.std(axis=1) / np.sqrt(self.rises.shape[1])
        return error

    @property
    def tried(self) -> np.ndarray:
        """Bool of shape (l,)."""
        return ~np.isnan(self.rises[:, 0])

    @property
    def earns(self) -> np.ndarray:
        """Whether the loss rises without it by more than twice its error, bool of shape (l,)."""
        return self.tried & (np.nan_to_num(self.value) > N_ERRORS * np.nan_to_num(self.error))

    @property
    def n_earning(self) -> int | None:
        """How many those are; None where not all were tried."""
        return int(self.earns.sum()) if self.tried.all() else None

    def on(self, rows: slice) -> Earning:
        """The same on some of the rows."""
        return Earning(self.rises[:, rows], self.constants)


def earning(find: Sample, rest: Sample, more_time: Callable[[], bool]) -> Earning:
    """Hold one latent after another constant; those of the least KL first.

    Parameters
    ----------
    find, rest : Sample
        Rows where the constants are taken, and rows where the losses are compared.
    more_time : callable
        Whether to go on.
    """
    n = find.n_latents
    kl = find.q.kl[:, :n].mean(axis=0)
    constants = find.q.mean[:, :n].mean(axis=0)
    rises = np.full((n, len(rest)), np.nan)
    rises[kl < IDLE_NATS] = 0.0
    before = rest.losses()
    for j in np.argsort(kl):
        if kl[j] < IDLE_NATS:
            continue
        if not more_time():
            break
        rises[j] = rest.losses(held_at(find, [int(j)], constants)) - before
    return Earning(rises, constants)


def pruned(choose: Sample, of_choice: Earning) -> Additions | None:
    """Hold constant, the worst first, every latent that then still does not earn; None if there is none.

    Parameters
    ----------
    choose : Sample
    of_choice : Earning
        On its rows.
    """
    value, error = np.nan_to_num(of_choice.value), np.nan_to_num(of_choice.error)
    candidates = np.flatnonzero(value < -N_ERRORS * error)
    chosen: list[int] = []
    now = choose.losses()
    for j in candidates[np.argsort(value[candidates])]:
        after = choose.losses(held_at(choose, [*chosen, int(j)], of_choice.constants))
        if mean_and_error(now - after).above():
            chosen, now = [*chosen, int(j)], after
    return held_at(choose, chosen, of_choice.constants) if chosen else None


def held_at(sample: Sample, latents: list[int], constants: np.ndarray) -> Additions:
    """Those latents held at their constants."""
    nothing = sample.nothing()
    held = nothing.constants.copy()
    held[latents] = constants[latents]
    return replace(nothing, constants=held)
