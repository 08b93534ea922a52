"""Why an objective has no minimum, or too many; in words that say what it means for the model."""

from __future__ import annotations

import math

from uncollapse.forecasting.hierarchy import Hierarchy
from uncollapse.forecasting.problem import Solution
from uncollapse.objective import Objective
from uncollapse.spectra.result import Spectrum
from uncollapse.theory.critical import RESIDUAL_ROUNDING

__all__ = ["explained_by", "flat", "ill_posed"]


def ill_posed(spectrum: Spectrum, objective: Objective, solution: Solution, n_usable: int) -> str:
    """Why the loss has no lower bound, or an empty string.

    Source: Wang & Ziyin 2022, App. D, case 1 with the residual energy counted (docs/errata.md, 3); docs/hierarchy.md.
    """
    o = objective
    if isinstance(solution, Hierarchy):
        return _falling(solution)
    if o.decoder_variance != "learned":
        return ""
    if spectrum.total_energy == 0:
        return "the target is constant, so a learned decoder variance goes to 0 and the loss to −∞"
    if o.encoder_variance == "learned" and o.beta * n_usable < spectrum.n_targets and explained_by(spectrum, n_usable):
        if math.isclose(o.beta * n_usable, spectrum.n_targets):
            return ""
        return (
            f"{n_usable} latent{'' if n_usable == 1 else 's'} can explain the target entirely and β = {o.beta:g} is "
            f"below {spectrum.n_targets / n_usable:.4g}, so the learned decoder variance goes to 0 and the loss to −∞: "
            f"the decoder becomes deterministic"
        )
    return ""


def flat(spectrum: Spectrum, objective: Objective, solution: Solution, n_usable: int) -> str:
    """Why a continuum of optima has the same loss, or an empty string.

    Source: Wang & Ziyin 2022, App. D, case 2; docs/hierarchy.md.
    """
    o, s = objective, spectrum
    if isinstance(solution, Hierarchy):
        pair = solution.chain.flat
        if pair is None or solution.chain.falling:
            return ""
        return (
            f"levels {pair[0] + 1} and {pair[1] + 1} weigh the same and both learn their variance, so level "
            f"{pair[1] + 1} may be used or not at exactly the same loss; the numbers are those of the optimum that "
            f"leaves it unused"
        )
    learned = o.decoder_variance == "learned" and o.encoder_variance == "learned"
    if learned and n_usable and math.isclose(o.beta * n_usable, s.n_targets) and explained_by(s, n_usable):
        top = float(s.strengths[n_usable - 1]) / o.beta
        return f"every decoder variance up to {top:.4g} gives the same loss: β times the latents equals the outputs"
    return ""


def explained_by(spectrum: Spectrum, n_modes: int) -> bool:
    """Whether so many modes leave nothing of the target."""
    left = spectrum.total_energy - float(spectrum.strengths[:n_modes].sum())
    return left <= RESIDUAL_ROUNDING * spectrum.total_energy


def _falling(solution: Hierarchy) -> str:
    pair = solution.chain.falling
    if pair is None:
        return ""
    low, high = pair[0] + 1, pair[1] + 1
    betas = solution.chain.betas
    return (
        f"level {high} weighs less (β = {betas[pair[1]]:g}) than level {low} (β = {betas[pair[0]]:g}) and both learn "
        f"their variance, so the loss falls without end as the latents of level {low} grow; give level {high} at least "
        f"the weight of level {low}, or fix one of the two variances"
    )
