"""A forecast of fewer modes: the model that sees only some of them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from uncollapse.forecasting.result import Forecast
from uncollapse.spectra.result import Spectrum
from uncollapse.theory.modes import Basis

__all__ = ["restricted_to"]


def restricted_to(f: Forecast, modes: tuple[int, ...]) -> Forecast:
    """The forecast of the same objective on data that have only these modes, the others being residual energy."""
    s, kept = f.spectrum, list(modes)
    visible = replace(
        s,
        strengths=s.strengths[kept],
        strength_errors=s.strength_errors[kept],
        find_basis=partial(_basis, s, kept),
    )
    return Forecast(visible, f.objective, f.n_latents)


def _basis(s: Spectrum, kept: list[int]) -> Basis:
    return Basis(s.basis.decoder[:, kept], s.basis.encoder[:, kept])
