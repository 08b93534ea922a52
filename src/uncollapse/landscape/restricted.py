"""A forecast of fewer modes: the model that sees only some of them."""

from __future__ import annotations

from dataclasses import replace

from uncollapse.forecasting.result import Forecast
from uncollapse.theory.modes import Basis

__all__ = ["restricted_to"]


def restricted_to(f: Forecast, modes: tuple[int, ...]) -> Forecast:
    """The forecast of the same objective on data that have only these modes, the others being residual energy."""
    s, kept = f.spectrum, list(modes)
    visible = replace(
        s,
        strengths=s.strengths[kept],
        strength_errors=s.strength_errors[kept],
        find_basis=lambda: Basis(s.basis.decoder[:, kept], s.basis.encoder[:, kept]),
    )
    return Forecast(visible, f.objective, f.n_latents)
