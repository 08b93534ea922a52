"""Check a forecast against numerical optimisation of the full matrix objective, which knows nothing of modes.

Needs PyTorch (the extra ``torch``), for gradients by automatic differentiation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from uncollapse import checks
from uncollapse.errors import ObjectiveError, UncollapseError
from uncollapse.forecasting.result import Forecast
from uncollapse.showing.noun import Card, Noun
from uncollapse.showing.plain import Record

if TYPE_CHECKING:
    import torch

__all__ = ["Certificate", "certify"]

ALLOWANCE = 1e-7
"""Relative amount by which rounding may let an optimiser seem to beat the optimum: in float64 the two agree to about
1e-13 on the tests' instances; the rest is margin for many modes."""

MOST_STARTS, MOST_WEIGHTS = 10_000, 10**7


@dataclass(frozen=True, repr=False)
class Certificate(Record, Noun):
    """The closed form beside the best loss that optimisation reached.

    Attributes
    ----------
    closed_form, best_loss : float
        Loss, nats per sample; with a learned decoder variance (d2/2) log η² is part of it.
    gap : float
        (best_loss − closed_form)/(1 + |closed_form|). Negative beyond rounding: the closed form is wrong. Positive:
        the optimiser stopped short, which proves nothing.
    n_starts : int
    """

    closed_form: float
    best_loss: float
    n_starts: int

    @property
    def gap(self) -> float:
        """Relative distance of the best loss reached above the closed form."""
        return (self.best_loss - self.closed_form) / (1 + abs(self.closed_form))

    @property
    def holds(self) -> bool:
        """Whether no start beat the closed form by more than 1e-7."""
        return self.gap >= -ALLOWANCE

    @property
    def attained(self) -> bool:
        """Whether some start came within 1e-5 of it."""
        return self.holds and self.gap <= 1e-5

    def card(self) -> Card:
        """The headline and the facts: what `summary` and notebooks show."""
        from uncollapse.forecasting.cards import certificate_card

        return certificate_card(self)


def certify(forecast: Forecast, *, n_starts: int = 3, seed: int = 0) -> Certificate:
    """Re-optimise the full matrix objective from random starts and compare with the closed form.

    All weights and all learned variances are free; directions are hidden by random rotations, so nothing tells the
    optimiser (L-BFGS) about modes. Second moments of data of this spectrum stand for the data.

    Parameters
    ----------
    forecast : Forecast
        Of any linear model with a Gaussian decoder: targets, conditions, levels, fixed, learned and partly learned
        variances. Seconds for tens of modes; the cost grows with modes² × latents.
    n_starts : int
    seed : int

    Returns
    -------
    Certificate

    Raises
    ------
    ObjectiveError
        The objective has no minimum, the likelihood has no closed form, or there are more than 10^7 weights.

    Examples
    --------
    >>> import numpy as np
    >>> from uncollapse import certify, forecast
    >>> x = np.random.default_rng(0).standard_normal((100, 3)) * [3.0, 1.0, 0.1]
    >>> certify(forecast(x, beta=0.5, n_latents=2)).attained
    True
    """
    f = checks.instance(forecast, "forecast", Forecast)
    n_starts, seed = checks.count(n_starts, "n_starts", least=1, most=MOST_STARTS), checks.count(seed, "seed")
    if not f.exact:
        raise ObjectiveError(f"no closed form of the loss is known for a {f.spectrum.likelihood} decoder to certify")
    if f.ill_posed:
        raise ObjectiveError(f"there is no minimum to certify: {f.ill_posed}")
    _refuse_too_large(f)
    try:
        import torch
    except ModuleNotFoundError:
        raise UncollapseError("certify needs PyTorch: pip install 'uncollapse[torch]'") from None
    from scipy.optimize import minimize

    rng = np.random.default_rng(seed)
    model = _matrix_model(f, rng)

    def value_and_gradient(flat: np.ndarray) -> tuple[float, np.ndarray]:
        parameters = torch.tensor(flat, requires_grad=True)
        loss = _loss(model, parameters)
        loss.backward()  # type: ignore[no-untyped-call]
        gradient: Any = parameters.grad
        return float(loss.detach()), gradient.numpy()

    options: Any = {"maxiter": 5000, "maxfun": 20000, "ftol": 1e-15, "gtol": 1e-9, "maxcor": 30}
    starts = 0.5 * rng.standard_normal((n_starts, model.n_parameters))
    runs = [minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", options=options) for start in starts]
    learned = f.objective.decoder_variance == "learned"
    closed = f.loss + (f.spectrum.n_targets / 2 * math.log(f.decoder_variance) if learned else 0.0)
    return Certificate(closed, float(min(run.fun for run in runs)), n_starts)


def _refuse_too_large(f: Forecast) -> None:
    sizes = _sizes(f)
    below = (max(f.spectrum.rank, 1), *sizes)
    weights = 2 * sum(a * b for a, b in pairwise(below))
    if weights > MOST_WEIGHTS:
        raise ObjectiveError(
            f"certify would optimise {weights:.2g} weights, and more than {MOST_WEIGHTS:.0e} take hours; use fewer "
            f"latents or fewer modes"
        )


def _sizes(f: Forecast) -> tuple[int, ...]:
    """Latents of each level."""
    return tuple(level.n_latents or f.n_latents for level in f.objective.levels) or (f.n_latents,)


@dataclass(frozen=True, eq=False)
class _MatrixModel:
    """The objective on whitened input: E[y x̃ᵀ] = Z, with each level's size, KL weight and widths (NaN if learned)."""

    cross: torch.Tensor  # (d2, d0)
    total_energy: float
    n_targets: int
    sizes: tuple[int, ...]
    betas: tuple[float, ...]
    variances: tuple[torch.Tensor, ...]
    prior_variance: float
    decoder_variance: float | None

    @property
    def n_parameters(self) -> int:
        """Entries of every U and W, a logarithm for every width, and one for the decoder variance."""
        below = (len(self.cross), *self.sizes)
        first = self.cross.shape[1] * self.sizes[0] + len(self.cross) * self.sizes[0]
        upper = sum(2 * a * b for a, b in pairwise(below[1:]))
        return first + upper + sum(self.sizes) + 1


def _matrix_model(f: Forecast, rng: np.random.Generator) -> _MatrixModel:
    import torch

    s, o, m = f.spectrum, f.objective, max(f.spectrum.rank, 1)
    turns = [np.linalg.qr(rng.standard_normal((m, m)))[0] for _ in range(2)]
    zeta = np.sqrt(np.pad(s.strengths, (0, m - s.rank)))
    widths: Any = [o.encoder_variance] if not o.levels else [level.variance for level in o.levels]
    sizes = _sizes(f)
    given = [np.broadcast_to(np.array(width, dtype=object), size) for width, size in zip(widths, sizes, strict=True)]
    fixed = [
        torch.tensor([math.nan if v == "learned" else float(v) for v in row], dtype=torch.float64) for row in given
    ]
    return _MatrixModel(
        cross=torch.tensor(turns[0] * zeta @ turns[1]),
        total_energy=s.total_energy,
        n_targets=s.n_targets,
        sizes=sizes,
        betas=tuple(o.beta * level.beta for level in o.levels) or (o.beta,),
        variances=tuple(fixed),
        prior_variance=o.prior_variance,
        decoder_variance=None if o.decoder_variance == "learned" else float(o.decoder_variance),
    )


def _loss(model: _MatrixModel, parameters: torch.Tensor) -> torch.Tensor:
    """The objective in nats per sample, with E[zzᵀ] carried from level to level (docs/theory.md sections 1 and 4)."""
    import torch

    at = 0

    def take(*shape: int) -> torch.Tensor:
        nonlocal at
        at += math.prod(shape)
        return parameters[at - math.prod(shape) : at].reshape(shape)

    log_s = take(1)[0]
    s = torch.exp(log_s) if model.decoder_variance is None else parameters.new_tensor(model.decoder_variance)
    moment = torch.eye(model.cross.shape[1], dtype=parameters.dtype)  # E[x̃x̃ᵀ], then E[z_l z_lᵀ]
    cross, energy = model.cross, parameters.new_tensor(model.total_energy)
    loss = model.n_targets / 2 * log_s if model.decoder_variance is None else parameters.new_zeros(())
    weight, variance = 1.0, torch.ones(0)
    for level, size in enumerate(model.sizes):
        u, w = take(len(cross), size), take(size, len(moment))
        free = torch.exp(take(size))
        next_variance = torch.where(torch.isnan(model.variances[level]), free, model.variances[level])
        seen = w @ moment @ w.T + torch.diag(next_variance)  # (size, size)
        missed = (energy - 2 * (u * (cross @ w.T)).sum() + (u @ seen * u).sum()) / (2 * s)
        if level > 0:  # KL(q(z_l|z_{l−1}) ‖ p(z_l|z_{l+1})), whose cross term is `missed`
            missed = missed - 0.5 * (torch.log(variance / s) + 1).sum()
        loss = loss + weight * missed
        moment, cross, energy, variance = seen, seen, torch.trace(seen), next_variance
        weight = model.betas[level]
    ratio = variance / model.prior_variance
    return loss + weight * 0.5 * (torch.trace(moment) / model.prior_variance - (1 + torch.log(ratio)).sum())
