"""Which λ of a spectrum counts, and what follows from it at a weight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uncollapse.injecting.result import N_ERRORS, InjectionSpectrum
from uncollapse.theory.path import linear_path

__all__ = ["Threshold", "threshold_of"]


@dataclass(frozen=True, eq=False)
class Threshold:
    """λ of the leading directions, each over the curvature where that is known well enough.

    Attributes
    ----------
    values, errors : ndarrays of shape (m,)
        In the order that other sequences gave them, so that the first is no largest of several noisy ones.
    by_curvature : bool
        Whether the first is over the curvature; else over the decoder's own Fisher information, which is the same
        where the decoder is calibrated.
    n_latents : int or None
    explains : bool
        Whether the decoder leaves a latent nothing to say at β = 1.
    """

    values: np.ndarray
    errors: np.ndarray
    by_curvature: bool
    n_latents: int | None
    explains: bool

    @property
    def critical(self) -> float:
        """β under which a latent lives."""
        return float(self.values[0])

    @property
    def interval(self) -> tuple[float, float]:
        """Of it, two standard errors to each side."""
        away = N_ERRORS * float(self.errors[0])
        return max(self.critical - away, 0.0), self.critical + away

    def n_alive(self, beta: float) -> int:
        """Directions that stand above β by two errors; an estimate of the number that can live."""
        n = int((self.values - N_ERRORS * self.errors > beta).sum())
        return n if self.n_latents is None else min(n, self.n_latents)

    def nats(self, beta: float) -> float:
        """KL that those that can live carry, a sequence, to second order."""
        return self._of_best(linear_path(np.maximum(self.values, 0.0), beta, beta).kl, beta)

    def worth(self, beta: float) -> float:
        """By how much they lower the loss, nats a sequence, to second order."""
        return self._of_best(linear_path(np.maximum(self.values, 0.0), beta, beta).gain, beta)

    def _of_best(self, nats: np.ndarray, beta: float) -> float:
        return float(np.sort(nats)[::-1][: max(self.n_alive(beta), 1)].sum())


def threshold_of(spectrum: InjectionSpectrum) -> Threshold:
    """λ that counts, of each direction."""
    s = spectrum
    return Threshold(s.held_out, s.errors, bool(s.by_curvature[0]), s.n_latents, s.explains_all)
