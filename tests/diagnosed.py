"""Models with known answers, as probes: linear VAEs at their optimum, whole or with latents put to death."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from problems import rows_with_spectrum
from uncollapse import Forecast, Objective, forecast
from uncollapse.diagnosis.examine import diagnose
from uncollapse.diagnosis.result import CAUSES, Cause, Diagnosis, Evidence, Remedy, Trial
from uncollapse.probes.callables import CallableProbe

__all__ = ["NASTY", "diagnosed", "linear_model", "of_every_cause", "two_modes"]

NASTY = "<script>alert(1)</script>\"'&[bold]\x1b[31m\udc80.npy"


def two_modes(rng: np.random.Generator) -> np.ndarray:
    """Rows of strengths 4, 2, 0.5 and 0.1 in five dimensions."""
    return rows_with_spectrum(np.array([4.0, 2.0, 0.5, 0.1]), 400, 5, rng, mean=1.0)


def linear_model(f: Forecast, *, dead: tuple[int, ...] = (), name: str = "a linear VAE") -> CallableProbe:
    """The optimum of a forecast as a model; latents in `dead` carry nothing, though they may be worth having."""
    w = f.weights
    alive = ~np.isin(np.arange(f.n_latents), dead)
    std = np.where(alive, w.encoder_std, np.sqrt(f.objective.prior_variance))

    def encoder(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = np.where(alive, x @ w.encoder + w.encoder_bias, 0.0)
        return mean, np.broadcast_to(std, mean.shape)

    def decoder(z: np.ndarray) -> np.ndarray:
        return np.where(alive, z, 0.0) @ w.decoder.T + w.decoder_bias

    return CallableProbe(encoder, decoder, spread="std", name=name, objective=f.objective)


def diagnosed(
    rng: np.random.Generator, *, dead: tuple[int, ...] = (), name: str = "m", **settings: object
) -> Diagnosis:
    """A linear VAE of four latents on rows of `two_modes`."""
    x = two_modes(rng)
    objective = Objective(**{"n_latents": 4, **settings})
    return diagnose(linear_model(forecast(x, objective=objective), dead=dead, name=name), x)


def of_every_cause(d: Diagnosis) -> dict[Cause, Diagnosis]:
    """The same numbers under each cause, with evidence and trials that lack what they may lack."""
    evidence = (*d.evidence, Evidence("odd", float("nan"), None, "Nothing to hold it against."))
    remedies = (*d.remedies[:1], Remedy("other data", None, "Because."), Remedy("β 2 → 1", 1, "Half."))
    trials = (Trial(remedies[-1], 0, 1, float("inf"), 2.5, 0.1), Trial(remedies[-2], 1, 1, 2.0, 1.0, 3.0))
    full = replace(d, evidence=evidence, remedies=remedies, trials=trials)
    return {cause: replace(full, cause=cause, verdict=f"{about}.") for cause, about in CAUSES.items()}
