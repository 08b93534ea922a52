"""A diagnosis as labelled arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uncollapse.forecasting.labels import forecast_arrays, forecast_facts, forecast_places
from uncollapse.measure.labels import measurement_arrays, measurement_facts, measurement_places
from uncollapse.showing.labelled import Labelled, from_one

if TYPE_CHECKING:
    from uncollapse.diagnosis.result import Diagnosis

__all__ = ["diagnosis_arrays", "diagnosis_facts", "diagnosis_places"]


def diagnosis_arrays(d: Diagnosis) -> dict[str, Labelled]:
    """The measurement's, the forecast's (as ``forecast_…``), what the decoder left, and the loss of each row."""
    r, square = d.decoder.residual, "squared units of the target" if d.forecast.exact else "units of β"
    return {
        **measurement_arrays(d.measurement),
        "alive": Labelled(("latent",), d.alive, "whether the latent is alive"),
        **{f"forecast_{name}": one for name, one in forecast_arrays(d.forecast, directions=False).items()},
        "residual_strength": Labelled(("residual",), r.held_out, "strength that the reconstruction misses", square),
        "residual_error": Labelled(("residual",), r.errors, "standard error of that strength", square),
        "row_loss": Labelled(("row",), d.decoder.losses, "loss of each row of the sample", "nats"),
    }


def diagnosis_places(d: Diagnosis) -> dict[str, Labelled]:
    """Coordinates of `diagnosis_arrays`."""
    return {
        **measurement_places(d.measurement),
        **forecast_places(d.forecast, directions=False),
        "residual": from_one(len(d.decoder.residual.held_out), "residual", "direction of the residual, from 1"),
    }


def diagnosis_facts(d: Diagnosis) -> dict[str, Any]:
    """The cause, the verdict, and single numbers; the forecast's as ``forecast_…``."""
    decoder = ("misfit", "elbo", "elbo_error", "importance_bound", "tuned_decoder_variance", "mutual_information")
    return {
        "model": d.name,
        "cause": d.cause,
        "confidence": d.confidence,
        "verdict": d.verdict,
        **measurement_facts(d.measurement),
        "n_alive": d.n_alive,
        "residual_water_level": d.residual_water_level,
        "linear_gap": d.linear_gap,
        "linear_gap_error": d.linear_gap_error,
        **{name: getattr(d.decoder, name) for name in decoder},
        **{f"forecast_{name}": value for name, value in forecast_facts(d.forecast).items()},
    }
