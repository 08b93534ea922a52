"""Spectrum × Objective → Forecast: the verb."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from uncollapse import checks
from uncollapse.data.annotated import are_counts, cells_of
from uncollapse.data.opened import is_annotated
from uncollapse.errors import ObjectiveError, warn
from uncollapse.forecasting.result import Forecast
from uncollapse.forecasting.solution import strongest_latents
from uncollapse.objective import Objective
from uncollapse.spectra.decompose import spectrum as spectrum_of
from uncollapse.spectra.result import Spectrum

__all__ = ["forecast"]


def forecast(
    data: Any,
    target: Any = None,
    *,
    given: Any = None,
    objective: Objective | None = None,
    scale: float = 1.0,
    n_modes: int | None = None,
    drop_nonfinite: bool = False,
    dispersion: Any = None,
    size_factors: Any = None,
    layer: Any = None,
    **settings: Any,
) -> Forecast:
    """Which latents of a VAE will live on these data, before any training.

    Parameters
    ----------
    data : Spectrum, Moments, array, or anything else that `spectrum` takes
    target : same kinds, optional
        What the decoder predicts; the data themselves when left out.
    given : same kinds, optional
        The condition of a conditional VAE, seen by encoder and decoder.
    objective : Objective, optional
        See `Objective` and `Objective.from_loss`. Or give its fields directly:
    **settings
        Fields of `Objective`: ``beta=4.0, decoder_variance="learned", n_latents=16``, ….
    scale, n_modes, drop_nonfinite, dispersion, size_factors
        As in `spectrum`.
    layer : str, optional
        Of an AnnData; its X when left out.

    Returns
    -------
    Forecast

    Raises
    ------
    DataError, ObjectiveError
        One line that says what was given and what to do.

    Examples
    --------
    >>> import numpy as np
    >>> from uncollapse import forecast
    >>> x = np.random.default_rng(0).standard_normal((500, 3)) * [3.0, 1.0, 0.1]
    >>> f = forecast(x, beta=0.5, n_latents=3)
    >>> f.n_alive, f.n_worth_having
    (2, 2)
    """
    checked = _objective(objective, settings)
    if layer is not None or is_annotated(data):
        data = _cells(data, layer, checked)
    if isinstance(data, Spectrum):
        late = (target, given, n_modes, dispersion, size_factors)
        is_plain = checks.number(scale, "scale") == 1.0 and not checks.flag(drop_nonfinite, "drop_nonfinite")
        if not is_plain or any(option is not None for option in late):
            raise ObjectiveError("a spectrum is taken already; give target, given, scale and the like to spectrum()")
        _check_match(data, checked)
        spectrum = data
    else:
        spectrum = spectrum_of(
            data,
            target,
            given=given,
            n_modes=n_modes,
            bias=checked.bias,
            scale=scale,
            likelihood=checked.likelihood,
            drop_nonfinite=drop_nonfinite,
            dispersion=dispersion,
            size_factors=size_factors,
        )
    return _for_latents(spectrum, checked)


def _cells(adata: Any, layer: Any, objective: Objective) -> Any:
    matrix = cells_of(adata, layer)
    if objective.likelihood == "gaussian" and are_counts(matrix):
        name = "X" if layer is None else f"layer {layer!r}"
        warn(
            f"{name} holds whole numbers, counts as it seems, and the likelihood is Gaussian; of raw counts take "
            f"likelihood='negative-binomial', size_factors='total'"
        )
    return matrix


def _objective(objective: Objective | None, settings: dict[str, Any]) -> Objective:
    if objective is not None:
        checks.instance(objective, "objective", Objective)
        if settings:
            raise ObjectiveError(f"give an objective or its fields, not both (got also {', '.join(settings)})")
        return objective
    unknown = sorted(set(settings) - {item.name for item in fields(Objective)})
    if unknown:
        raise ObjectiveError(f"not a field of an objective: {', '.join(map(repr, unknown))}")
    return Objective(**settings)


def _check_match(spectrum: Spectrum, objective: Objective) -> None:
    if spectrum.centred != objective.bias:
        raise ObjectiveError(
            f"the spectrum was taken with bias={spectrum.centred} and the objective has bias={objective.bias}; "
            f"take it with spectrum(..., bias={objective.bias})"
        )
    if spectrum.likelihood != objective.likelihood:
        raise ObjectiveError(
            f"the spectrum is for a {spectrum.likelihood} decoder and the objective for a {objective.likelihood} one; "
            f'take it with spectrum(..., likelihood="{objective.likelihood}")'
        )


def _for_latents(spectrum: Spectrum, objective: Objective) -> Forecast:
    """The forecast, for as many latents as the modes known can tell of."""
    wanted, rank = objective.n_latents, spectrum.rank
    if spectrum.complete or (wanted is not None and wanted <= rank):
        if wanted is not None and wanted > rank:
            warn(f"{wanted} latents for {rank} modes: {wanted - rank} of them can never live, whatever the weight")
        return Forecast(spectrum, objective, wanted or max(rank, 1))
    warn(
        f"only the {rank} strongest modes were computed, so {rank} latents are assumed; ask for more with n_modes "
        f"(--modes) if they all live"
    )
    if isinstance(objective.encoder_variance, tuple):
        objective = objective.cut_to(strongest_latents(spectrum, objective))
    elif objective.levels:
        objective = objective.cut_to(range(rank))
    return Forecast(spectrum, objective, rank)
