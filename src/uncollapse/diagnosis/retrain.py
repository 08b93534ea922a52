"""Train a probed model further, or anew, on any objective: what tells slow from stuck, and proves a remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from uncollapse.errors import UncollapseError
from uncollapse.objective import Objective
from uncollapse.probes.loss import kl_of, reconstruction
from uncollapse.probes.probe import TorchProbe

__all__ = ["BATCH", "retrain", "start_anew"]

BATCH, RATE = 128, 1e-3


def retrain(
    probe: TorchProbe,
    x: Any,
    y: Any,
    given: Any = None,
    *,
    objective: Objective,
    n_steps: int,
    learning_rate: float = RATE,
    warm_up: float = 0.0,
    decoder_only: bool = False,
    seed: int = 0,
    see: Callable[[int], None] | None = None,
) -> TorchProbe:
    """A copy of the model, trained by Adam on rows in memory.

    Parameters
    ----------
    probe : TorchProbe
        Left as it is.
    x, y : ndarrays of shape (n, d0), (n, d2)
    given : ndarray of shape (n, c), optional
    objective : Objective
        One level of latents.
    n_steps : int
        Of 128 rows each.
    learning_rate : float
    warm_up : float
        Share of the steps over which the KL weight rises linearly from 0.
    decoder_only : bool
        Leave q as it is.
    seed : int
        Of batches and noise.
    see : callable, optional
        Called with the number of steps done.

    Returns
    -------
    TorchProbe

    Raises
    ------
    UncollapseError
        The loss left the finite numbers.
    """
    own = probe.copy()
    like = next(own.module.parameters())
    x_rows, condition_rows = own.tensor(x), own.tensor(given)
    y_rows = x_rows if y is x else own.tensor(y)
    r = None if own.dispersion is None else own.tensor(own.dispersion)
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam([p for p in own.module.parameters() if p.requires_grad], lr=learning_rate)
    modes = [(part, part.training) for part in own.module.modules()]
    own.module.train()
    for step in range(n_steps):
        chosen = torch.randint(len(x), (min(BATCH, len(x)),), generator=generator).to(like.device)
        batch, condition = x_rows[chosen], None if given is None else condition_rows[chosen]
        mean, log_variance = own.posterior(batch, condition)
        if decoder_only:
            mean, log_variance = mean.detach(), log_variance.detach()
        noise = torch.randn(mean.shape, generator=generator).to(mean)
        kl = kl_of(mean, log_variance, objective.prior_variance).flatten(1).sum(1).mean()
        weight = min(1.0, (step + 1) / (warm_up * n_steps)) if warm_up else 1.0
        out = own.mean_of_target((mean + torch.exp(0.5 * log_variance) * noise).flatten(1), condition)
        loss = reconstruction(objective, y_rows[chosen], out, r) + weight * objective.beta * kl
        if not torch.isfinite(loss):
            raise UncollapseError(f"{probe.name}: the loss is not finite at step {step + 1} of training it further")
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if see is not None:
            see(step + 1)
    for part, mode in modes:
        part.training = mode
    return own


def start_anew(probe: TorchProbe, seed: int = 0) -> TorchProbe:
    """The same architecture with new weights: every part that can reset itself does.

    Raises
    ------
    UncollapseError
        Parameters that no part's `reset_parameters` reaches.
    """
    own = probe.copy()
    state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    reached: set[int] = set()
    for part in own.module.modules():
        reset = getattr(part, "reset_parameters", None)
        if callable(reset):
            reset()
            reached |= {id(p) for p in part.parameters()}
    torch.random.set_rng_state(state)
    missed = [name for name, p in own.module.named_parameters() if id(p) not in reached]
    if missed:
        raise UncollapseError(
            f"{probe.name}: cannot be started anew: {len(missed)} parameter(s) know no fresh value, the first "
            f"{missed[0]}; give reset_parameters() to the module that owns it"
        )
    return own
