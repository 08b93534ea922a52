"""Train a probed model further, or anew, on any objective: to see if training is slow or stuck, and to try a remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from uncollapse.errors import UncollapseError
from uncollapse.objective import Objective
from uncollapse.probes.objective import kl_of, reconstruction
from uncollapse.probes.probe import TorchProbe, evaluating
from uncollapse.training.config import Training
from uncollapse.training.optimise import Optimiser
from uncollapse.training.schedules import rate_factor

__all__ = ["BATCH", "own_randomness", "retrain", "start_anew"]

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
    cooling: float = 0.0,
    decoder_only: bool = False,
    seed: int = 0,
    on_step: Callable[[int], None] | None = None,
    more_time: Callable[[], bool] = lambda: True,
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
    cooling : float
        Share of the steps at the end over which the learning rate falls linearly to 0.
    decoder_only : bool
        Leave q as it is.
    seed : int
        Of batches and noise.
    on_step : callable, optional
        Called with the number of steps done.
    more_time : callable
        Whether to take another step; the copy is as good as it has become.

    Returns
    -------
    TorchProbe

    Raises
    ------
    UncollapseError
        The loss left the finite numbers, or does not depend on the copy's parameters.
    """
    own = probe.copy()
    trained = [p for p in own.module.parameters() if p.requires_grad]
    if not trained:
        raise UncollapseError(f"{probe.name}: has no parameters that can be trained (requires_grad)")
    _check_reached(own, trained, own.tensor(x[:2]), own.tensor(None if given is None else given[:2]))
    x_rows, condition_rows = own.tensor(x), own.tensor(given)
    y_rows = x_rows if y is x else own.tensor(y)
    r = None if own.dispersion is None else own.tensor(own.dispersion)
    generator = torch.Generator().manual_seed(seed)
    optimiser = Optimiser({str(i): p for i, p in enumerate(trained)}, [learning_rate], Training())

    def loss_at(step: int) -> Tensor:
        chosen = torch.randint(len(x), (min(BATCH, len(x)),), generator=generator).to(x_rows.device)
        batch, condition = x_rows[chosen], None if given is None else condition_rows[chosen]
        mean, log_variance = own.posterior(batch, condition)
        if decoder_only:
            mean, log_variance = mean.detach(), log_variance.detach()
        noise = torch.randn(mean.shape, generator=generator).to(mean)
        kl = kl_of(mean, log_variance, objective.prior_variance).flatten(1).sum(1).mean()
        weight = min(1.0, (step + 1) / (warm_up * n_steps)) if warm_up else 1.0
        out = own.mean_of_target((mean + torch.exp(0.5 * log_variance) * noise).flatten(1), condition)
        return reconstruction(objective, y_rows[chosen], out, r) + weight * objective.beta * kl

    modes = [(part, part.training) for part in own.module.modules()]
    own.module.train()
    with own_randomness(own.module, seed):
        for step in range(n_steps):
            if not more_time():
                break
            loss = loss_at(step)
            if not torch.isfinite(loss):
                raise UncollapseError(f"{probe.name}: the loss is not finite at step {step + 1} of training it further")
            # of the copy's parameters alone: whatever else the loss depends on keeps its gradients
            gradients = torch.autograd.grad(loss, trained, allow_unused=True, materialize_grads=True)
            with torch.no_grad():
                optimiser.step(gradients, rate_factor(n_steps, cooling * n_steps, step))
            if on_step is not None:
                on_step(step + 1)
    for part, mode in modes:
        part.training = mode
    return own


def _check_reached(own: TorchProbe, trained: list[nn.Parameter], x: Tensor, given: Tensor | None) -> None:
    """Refuse a model whose functions do not go through the copy: a closure would train the user's own model."""
    with torch.enable_grad(), evaluating(own.module):
        mean, log_variance = own.posterior(x, given)
        decoded = own.mean_of_target(mean.detach().flatten(1).clone(), given)
    parts = {"encoder": mean.sum() + log_variance.sum(), "decoder": decoded.sum()}
    unreached = [name for name, output in parts.items() if not _depends(output, trained)]
    frozen = len(trained) < len(list(own.module.parameters()))
    if len(unreached) == 2 or (unreached and not frozen):
        raise UncollapseError(
            f"{own.name}: no gradient passes from the {' and the '.join(unreached)} to the parameters of a copy "
            f"(torch.no_grad, a detach, or functions that hold on to the original), so it cannot be trained here"
        )


def _depends(output: Tensor, parameters: list[nn.Parameter]) -> bool:
    if not output.requires_grad:
        return False
    return any(g is not None for g in torch.autograd.grad(output, parameters, allow_unused=True))


@contextmanager
def own_randomness(module: nn.Module, seed: int) -> Iterator[None]:
    """Dropout and new weights drawn from a seed inside; the user's own generators go on as if nothing had been."""
    devices = sorted({p.device.index for p in module.parameters() if p.device.type == "cuda"})
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(seed)
        for device in devices:
            torch.cuda.default_generators[device].manual_seed(seed)
        yield


def start_anew(probe: TorchProbe, seed: int = 0) -> TorchProbe:
    """The same architecture with new weights: every part that can reset itself does.

    Raises
    ------
    UncollapseError
        Parameters that no part's `reset_parameters` reaches.
    """
    own = probe.copy()
    reached: set[int] = set()
    with own_randomness(own.module, seed):
        for part in own.module.modules():
            reset = getattr(part, "reset_parameters", None)
            if callable(reset):
                reset()
                reached |= {id(p) for p in part.parameters()}
    missed = [name for name, p in own.module.named_parameters() if id(p) not in reached and name not in own.kept]
    if missed:
        raise UncollapseError(
            f"{probe.name}: cannot be started anew: {len(missed)} parameter(s) know no fresh value, the first "
            f"{missed[0]}; give reset_parameters() to the module that owns it"
        )
    return own
