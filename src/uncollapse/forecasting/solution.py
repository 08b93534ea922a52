"""Which closed form answers an objective: one level, widths partly learned, or a hierarchy. No formula lives here."""

from __future__ import annotations

import math

import numpy as np

from uncollapse.errors import ObjectiveError
from uncollapse.forecasting.hierarchy import Hierarchy
from uncollapse.forecasting.one_level import OneLevel
from uncollapse.forecasting.partly_learned import PartlyLearned
from uncollapse.forecasting.problem import Problem, Solution, quiet
from uncollapse.objective import Objective
from uncollapse.spectra.result import Spectrum
from uncollapse.theory import optimum
from uncollapse.theory.chain import Chain

__all__ = ["latents_of", "one_level", "relative_widths", "solution", "strongest_latents", "widths_taken"]


@quiet
def solution(spectrum: Spectrum, objective: Objective, n_latents: int) -> Solution:
    """The closed form that fits the objective."""
    o, s = objective, spectrum
    given = None if o.decoder_variance == "learned" else float(o.decoder_variance)
    n_usable = min(n_latents, s.rank)
    problem = Problem(s.strengths, s.total_energy, s.n_targets, given, math.sqrt(o.prior_variance), n_usable)
    if o.levels:
        return Hierarchy(problem, _chain(o, n_latents))
    if o.encoder_variance == "learned":
        return OneLevel(problem, None, 0.0)
    widths = relative_widths(o)
    if not isinstance(o.encoder_variance, tuple):
        return OneLevel(problem, np.full(s.rank, widths[0]), n_latents * float(optimum.fixed_width_kl(widths[0])))
    fixed = np.sort(widths[~np.isnan(widths)])
    if len(fixed) < n_latents:
        return PartlyLearned(problem, fixed, n_latents - len(fixed), o.beta)
    paired = np.pad(fixed, (0, max(s.rank - n_latents, 0)), mode="edge")[: s.rank]
    return OneLevel(problem, paired, float(optimum.fixed_width_kl(fixed).sum()))


def relative_widths(objective: Objective) -> np.ndarray:
    """σ/η_enc, NaN where it is learned: of each latent where they were given so, of all alike otherwise."""
    given = objective.encoder_variance
    each = given if isinstance(given, tuple) else (given,)
    variances = np.array([math.nan if width == "learned" else width for width in each], dtype=float)
    result: np.ndarray = np.sqrt(variances / objective.prior_variance)
    return result


def strongest_latents(spectrum: Spectrum, objective: Objective) -> list[int]:
    """Of latents with widths of their own, those that the modes of a spectrum take at the optimum, in order."""
    if not spectrum.rank:
        return [0]
    own = relative_widths(objective)
    return sorted(latents_of(widths_taken(solution(spectrum, objective, len(own))), own))


def widths_taken(closed_form: Solution) -> np.ndarray:
    """Relative width of the latent that each mode takes, NaN where it is learned; widths given per latent only."""
    assert isinstance(closed_form, OneLevel | PartlyLearned)
    assert closed_form.rho is not None
    return closed_form.rho


def latents_of(taken: np.ndarray, own: np.ndarray) -> list[int]:
    """The latent of each mode: the first free one that has the relative width that the mode takes (NaN: learned).

    Examples
    --------
    >>> latents_of(np.array([np.nan, 0.5]), np.array([0.5, 0.5, np.nan]))
    [2, 0]
    """
    free: dict[float, list[int]] = {}
    for latent, width in reversed(list(enumerate(_hashable(own)))):
        free.setdefault(width, []).append(latent)
    return [free[width].pop() for width in _hashable(taken)]


def _hashable(widths: np.ndarray) -> list[float]:
    return np.where(np.isnan(widths), -1.0, widths).tolist()  # NaN does not equal itself


def one_level(closed_form: Solution) -> OneLevel:
    """The solution, if it is that of one level with encoder widths all learned or all fixed; else a refusal."""
    if not isinstance(closed_form, OneLevel):
        is_hierarchy = isinstance(closed_form, Hierarchy)
        kind = "levels" if is_hierarchy else "encoder variances partly fixed and partly learned"
        raise ObjectiveError(f"landscape and dynamics are covered for one level of latents alike, not for {kind}")
    return closed_form


def _chain(o: Objective, n_latents: int) -> Chain:
    assert o.decoder_variance != "learned"  # refused by the objective
    return Chain(
        betas=tuple(level.beta for level in o.levels),
        variances=tuple(None if level.variance == "learned" else level.variance for level in o.levels),
        n_latents=tuple(level.n_latents or n_latents for level in o.levels),
        decoder_variance=o.decoder_variance,
        prior_variance=o.prior_variance,
    )
