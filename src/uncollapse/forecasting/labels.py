"""A forecast as labelled arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from uncollapse.showing.labelled import Labelled, from_one

if TYPE_CHECKING:
    from uncollapse.forecasting.result import Forecast

__all__ = ["forecast_arrays", "forecast_facts", "forecast_places"]


def forecast_arrays(f: Forecast, directions: bool) -> dict[str, Labelled]:
    """What each mode is and does at the optimum; with `directions`, where it points among the features."""
    s, m, mode = f.spectrum, f.modes, ("mode",)
    square = "squared units of the target" if f.exact else "units of β"
    arrays = {
        "strength": Labelled(mode, s.strengths, "strength ζ²", square),
        "debiased_strength": Labelled(mode, s.debiased_strengths, "strength without sampling noise", square),
        "strength_error": Labelled(mode, s.strength_errors, "bound on the numerical error of the strength", square),
        "critical_level": Labelled(mode, f.critical_levels, "water level at which the mode dies", square),
        "alive": Labelled(mode, m.alive, "whether the mode keeps a latent alive"),
        "above_noise": Labelled(mode, s.above_noise, "whether the mode stands above sampling noise"),
        "kl": Labelled(mode, m.kl, "KL at the optimum", "nats"),
        "distortion": Labelled(mode, m.distortion, "energy that the reconstruction misses", square),
        "encoder_std": Labelled(mode, m.encoder_std, "standard deviation of q(z|x)"),
    }
    if s.condition:
        arrays["explained_by_condition"] = Labelled(mode, s.condition.explained, "share that the condition explains")
    if directions:
        about = "unit direction of the mode in the target"
        arrays["direction"] = Labelled(("mode", "feature"), s.basis.decoder.T, about)
        if not s.target_is_input:
            about = "direction of the mode in the input"
            arrays["input_direction"] = Labelled(("mode", "input_feature"), s.basis.encoder.T, about)
    return arrays


def forecast_places(f: Forecast, directions: bool) -> dict[str, Labelled]:
    """Coordinates of `forecast_arrays`; the critical β is one of the mode."""
    s = f.spectrum
    places = {
        "mode": from_one(s.rank, "mode", "mode, from 1"),
        "critical_beta": Labelled(("mode",), np.asarray(f.critical_betas), "β at which the mode dies"),
    }
    if directions:
        places["feature"] = from_one(s.n_targets, "feature", "feature (pixel, gene, column), from 1")
        if not s.target_is_input:
            places["input_feature"] = from_one(s.n_features, "input_feature", "feature of the input, from 1")
    return places


def forecast_facts(f: Forecast) -> dict[str, Any]:
    """Single numbers; those that are not known are left out."""
    names = (
        "status", "n_latents", "n_alive", "water_level", "decoder_variance", "rate", "distortion", "loss", "elbo",
        "exact",
    )  # fmt: skip
    values = {name: getattr(f, name) for name in names}
    known = {name: v for name, v in values.items() if not isinstance(v, float) or np.isfinite(v)}
    return {**known, "beta": f.objective.beta, "likelihood": f.spectrum.likelihood, "n_samples": f.spectrum.n_samples}
