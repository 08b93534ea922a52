"""A prior that is no Gaussian of each latent: a mixture, a flow. Its KL is sampled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from uncollapse.errors import DataError, UncollapseError, kind_and_line
from uncollapse.measure.posterior import Posterior
from uncollapse.measure.protocol import RAISED
from uncollapse.theory.posterior import prior_excess

__all__ = ["DRAWS", "LogPrior", "with_sampled_kl"]

LogPrior = Callable[[np.ndarray], Any]
"""log p(z) in nats of latents (n, l), with every constant; shape (n,)."""

DRAWS = 16
"""Of z for each row. What is sampled is only how far the prior is from N(0, I); the KL from that is known exactly."""


def with_sampled_kl(q: Posterior, log_prior: LogPrior, where: str) -> Posterior:
    """The posterior with the rest of its KL, of all latents together, by sampling.

    Parameters
    ----------
    q : Posterior
        Its `kl` from N(0, I).
    log_prior : callable, z (n, l) → log p(z) (n,)
    where : str
        For messages.

    Raises
    ------
    DataError
        A prior that fails, or gives anything but a finite number for each draw.

    Examples
    --------
    >>> from uncollapse.measure.posterior import posterior
    >>> q = posterior(np.ones((3, 2)), variance=np.ones((3, 2)))
    >>> moved = with_sampled_kl(q, lambda z: -((z - 1) ** 2).sum(1) / 2 - np.log(2 * np.pi), "here")
    >>> bool((abs(moved.row_kl) < 1.5).all())  # 0 but for sampling: it is the prior itself
    True
    """
    if not len(q.mean):
        return replace(q, beyond=np.empty(0))
    # the same rows get the same draws, so that an encoder is seen to be steady
    rng = np.random.default_rng(np.frombuffer(q.mean[0].tobytes(), dtype=np.uint32))
    found = []
    for _ in range(DRAWS):
        z = q.draw(rng)
        try:
            log_density = np.asarray(log_prior(z), dtype=np.float64)
        except UncollapseError:
            raise
        except RAISED as error:  # a user's prior raises anything
            raise DataError(
                f"{where}: the prior fails on latents of shape {z.shape}: {kind_and_line(error)}"
            ) from error
        if log_density.shape != (len(z),):
            raise DataError(f"{where}: the prior gave an array of shape {log_density.shape} for {len(z)} rows of "
                            f"latents; one log density each is due")  # fmt: skip
        if not np.isfinite(log_density).all():
            n_bad = int((~np.isfinite(log_density)).sum())
            raise DataError(f"{where}: the prior's log density is not finite for {n_bad} of {len(z)} draws of z")
        found.append(prior_excess(z, log_density))
    return replace(q, beyond=np.mean(found, axis=0))
