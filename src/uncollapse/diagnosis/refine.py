"""Whether the encoder lags: q refined by gradient on a few rows, the decoder as it is.

He, Spokoyny, Neubig & Berg-Kirkpatrick 2019 show collapse through a lagging encoder; Cremer, Li & Duvenaud 2018 name
the gap that a better q closes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from uncollapse.diagnosis.data_fit import r_squared
from uncollapse.measure.observe import Observation
from uncollapse.objective import Objective
from uncollapse.probes.objective import costs, given_variance, kl_of
from uncollapse.probes.probe import TorchProbe, evaluating
from uncollapse.training.config import Training
from uncollapse.training.optimise import Optimiser

__all__ = ["Refined", "refine"]

ROWS, STEPS, RATE, DRAWS = 256, 100, 0.05, 4


@dataclass(frozen=True, eq=False)
class Refined:
    """What a better q gains; nats per sample.

    Attributes
    ----------
    gain, gain_error : float
        Fall of the objective, and its standard error over rows.
    kl_before, kl_after : ndarray of shape (l,)
        Per latent, on these rows.
    n_rows : int
    r_squared : float
        Share of the variance that the decoder explains from the better means.
    n_steps : int
        Of gradient; fewer than it wants where there was no more time.
    """

    gain: float
    gain_error: float
    kl_before: np.ndarray
    kl_after: np.ndarray
    n_rows: int = 0
    r_squared: float = 0.0
    n_steps: int = STEPS


def refine(
    probe: TorchProbe,
    observation: Observation,
    objective: Objective,
    *,
    seed: int = 0,
    more_time: Callable[[], bool] = lambda: True,
) -> Refined | None:
    """Optimise mean and log-variance of q for some rows, from where the encoder puts them.

    Parameters
    ----------
    probe : TorchProbe
    observation : Observation
        Whose sampled rows are used, at most 256.
    objective : Objective
        One level of latents.
    seed : int
        Of the noise; the gain is taken on draws that the refining does not see.
    more_time : callable
        Whether to take another step.
    """
    if observation.y is not observation.x:
        return None  # a q made for one row's y would code the noise in it, which no encoder sees
    rows = slice(0, ROWS)
    q = observation.posterior[rows]
    y = probe.tensor(observation.y[rows])
    given = None if observation.given is None else probe.tensor(observation.given[rows])
    mean = probe.tensor(q.mean).clone().requires_grad_()
    log_variance = probe.tensor(np.log(q.variance)).clone().requires_grad_()
    generator = torch.Generator().manual_seed(seed)
    noise = [torch.randn(mean.shape, generator=generator).to(mean) for _ in range(DRAWS)]
    r = None if probe.dispersion is None else probe.tensor(probe.dispersion)

    def losses(variance: float, draws: list[torch.Tensor]) -> torch.Tensor:
        kl = kl_of(mean, log_variance, objective.prior_variance).sum(1)
        outputs = [probe.mean_of_target(mean + torch.exp(0.5 * log_variance) * eps, given) for eps in draws]
        misfits = torch.stack([costs(objective, y, out, variance, r) for out in outputs]).mean(0)
        return misfits + objective.beta * kl

    optimiser = Optimiser({"mean": mean, "log variance": log_variance}, [RATE], Training())
    with evaluating(probe.module):
        with torch.no_grad():
            learned = float((probe.mean_of_target(mean, given) - y).square().mean())
            variance = given_variance(objective, learned)
            before = losses(variance, noise).double().cpu().numpy()
        done = 0
        while done < STEPS and more_time():
            done += 1
            fresh = torch.randn(mean.shape, generator=generator).to(mean)
            total = losses(variance, [fresh]).sum()
            gradients = torch.autograd.grad(total, [mean, log_variance])
            with torch.no_grad():  # at a constant rate q ends in a jitter
                optimiser.step(gradients, max(1 - (done - 1) / STEPS, 0.01))
        with torch.no_grad():
            after = losses(variance, noise).double().cpu().numpy()
            kl_after = kl_of(mean, log_variance, objective.prior_variance).mean(0).double().cpu().numpy()
            shown = probe.mean_of_target(mean, given).double().cpu().numpy()
    gains = before - after
    return Refined(
        gain=float(gains.mean()),
        gain_error=float(gains.std() / np.sqrt(len(gains))),
        kl_before=q.kl.mean(axis=0),
        kl_after=kl_after,
        n_rows=len(gains),
        n_steps=done,
        r_squared=r_squared(np.asarray(observation.y[rows], dtype=np.float64), shown),
    )
