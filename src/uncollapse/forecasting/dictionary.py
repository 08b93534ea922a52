"""A forecast as plain values: the JSON that the command writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from uncollapse.forecasting.levels import MOST_LISTED, LevelForecast
from uncollapse.showing.plain import finite, stamp

if TYPE_CHECKING:
    from uncollapse.forecasting.result import Forecast

__all__ = ["facts", "level_facts"]


def facts(f: Forecast) -> dict[str, Any]:
    """Plain values, JSON-ready; numbers that are not finite become None."""
    s, o, second = f.spectrum, f.objective, f.global_threshold.to_dict()
    facts = {
        **stamp("forecast"),
        "n_samples": s.n_samples,
        "n_features": s.n_features,
        "n_targets": s.n_targets,
        "total_energy": s.total_energy,
        "residual_energy": s.residual_energy,
        "likelihood": s.likelihood,
        "exact": f.exact,
        "objective": {
            "beta": o.beta,
            "decoder_variance": f.decoder_variance,
            "decoder_variance_learned": o.decoder_variance == "learned",
            "prior_variance": o.prior_variance,
            "encoder_variance": o.encoder_variance,
            "n_latents": f.n_latents,
            "levels": [{"beta": one.beta, "variance": one.variance, "n_latents": one.n_latents} for one in o.levels],
            "bias": o.bias,
            "loss": o.loss.to_dict() if o.loss else None,
        },
        "water_level": f.water_level,
        "status": f.status,
        "ill_posed": f.ill_posed or None,
        "flat": f.flat or None,
        "n_alive": f.n_alive,
        "n_worth_having": f.n_worth_having,
        "critical_beta": f.critical_beta,
        **{name: second[name] for name in ("global_threshold", "global_interval")},
        "zone": f.zone,
        "rate": f.rate,
        "distortion": f.distortion,
        "loss": f.loss,
        "elbo": f.elbo,
        "noise_edge": s.noise.edge,
        "n_above_noise": int(s.above_noise.sum()),
        "modes_complete": s.complete,
        "modes": _mode_rows(f),
    }
    if f.spectrum.condition:
        facts["condition"] = _condition(f)
    if f.objective.levels:
        facts["levels"] = [level_facts(level) for level in f.levels]
    plain: dict[str, Any] = finite(facts)
    return plain


def _mode_rows(f: Forecast) -> list[dict[str, Any]]:
    s, m = f.spectrum, f.modes
    columns = {
        "strength": s.strengths,
        "debiased_strength": s.debiased_strengths,
        "strength_error": s.strength_errors,
        "critical_beta": f.critical_betas,
        "alive": m.alive,
        "kl": m.kl,
        "distortion": m.distortion,
        "encoder_std": m.encoder_std,
        "decoder_gain": m.decoder_gain,
        "encoder_gain": m.encoder_gain,
        "above_noise": s.above_noise,
    }
    if s.condition:
        columns["explained_by_condition"] = s.condition.explained
    values = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [{"index": i, **dict(zip(columns, row, strict=True))} for i, row in enumerate(values, start=1)]


def _condition(f: Forecast) -> dict[str, Any]:
    condition, alone = f.spectrum.condition, f.without_condition
    assert condition is not None
    assert alone is not None
    return {
        "n_columns": condition.n_columns,
        "rank": condition.rank,
        "energy_without": condition.energy,
        "explained": 1 - f.spectrum.total_energy / condition.energy if condition.energy else 0.0,
        "n_alive_without": alone.n_alive,
        "critical_beta_without": alone.critical_beta,
    }


def level_facts(level: LevelForecast) -> dict[str, Any]:
    """One level, and each of its latents."""
    return {
        "level": level.level,
        "beta": level.beta,
        "variance": level.variance,
        "n_latents": level.n_latents,
        "n_alive": level.n_alive,
        "modes": _latent_rows(level),
    }


def _latent_rows(level: LevelForecast) -> list[dict[str, Any]]:
    """A row for each latent; where they are too many to list, one for all those alike, with their number."""
    chains = level.chains
    columns = {
        "alive": chains.alive,
        "carries_data": level.carries_data_on,
        "variance_of_latent": chains.variance,
        "encoder_variance": chains.encoder_variance,
        "kl": chains.kl,
    }
    if level.n_latents > MOST_LISTED:
        columns["n_latents"] = level.sizes
    else:
        columns = {name: np.repeat(values, level.sizes) for name, values in columns.items()}
    rows = zip(*(values.tolist() for values in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]
