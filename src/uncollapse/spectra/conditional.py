"""Moments of [x | y] → the Spectrum of what the condition x leaves of y."""

from __future__ import annotations

import math
from functools import partial
from operator import attrgetter

import numpy as np

from uncollapse.errors import warn
from uncollapse.spectra.one_pass import Moments, overflow_error
from uncollapse.spectra.result import Condition, Options, Spectrum
from uncollapse.theory.conditional import Residual, residual_modes
from uncollapse.theory.modes import autoencoder_strengths

__all__ = ["conditional_spectrum"]

MUCH_FREEDOM = 0.1
"""From this share of the rows on, the regression on the condition pulls the strengths down by more than sampling noise
of a strong mode would hide (a tenth), so it is said."""


def conditional_spectrum(raw: Moments, options: Options) -> Spectrum:
    """Spectrum of the residual y − Bx; `raw` holds the joint moments of condition (input) and data (target)."""
    n, split, d = raw.n_samples, raw.n_inputs, len(raw.mean)
    options.check_rows(n)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused below
        joint = raw.scaled(options.scale)
        matrix = joint.second_moment(centred=options.bias, ddof=options.ddof)
    if not np.isfinite(matrix).all():
        raise overflow_error("the data or the condition")
    x, y = slice(0, split), slice(split, d)
    tolerance = 4 * joint.precision * np.sqrt(d)
    result = residual_modes(matrix[x, x], matrix[y, x], matrix[y, y], tolerance)
    energy = float(np.trace(matrix[y, y]))
    _check_condition(raw, result, energy, options)
    strengths, total = result.strengths, float(result.strengths.sum())
    return Spectrum(
        strengths=strengths,
        total_energy=total,
        residual_energy=0.0,
        n_samples=n,
        n_features=d - split,
        n_targets=d - split,
        centred=options.bias,
        likelihood="gaussian",
        n_constant=int((np.diagonal(raw.scatter)[y] == 0).sum()),
        input_rank=len(strengths),
        complete=True,
        strength_errors=np.full(len(strengths), tolerance * energy),
        target_is_input=True,
        collapsed_loss=math.nan,
        input_scale=np.full(d - split, options.scale),
        target_scale=np.full(d - split, options.scale),
        mean_input=joint.mean[y],
        mean_target=joint.mean[y],
        find_basis=partial(attrgetter("basis"), result),
        condition=Condition(
            n_columns=split,
            rank=result.rank,
            energy=energy,
            explained=np.clip(1 - strengths / result.energies, 0.0, 1.0),
            strengths_without=autoencoder_strengths(matrix[y, y], tolerance),
            regression=result.regression,
            mean=joint.mean[x],
        ),
    )


def _check_condition(raw: Moments, result: Residual, energy: float, options: Options) -> None:
    n, columns, rank = raw.n_samples, raw.n_inputs, result.rank
    if rank >= n - options.bias:
        warn(
            f"the condition has {columns} columns, {rank} of them independent on {n} rows: it explains any data "
            f"exactly, so nothing can be said of the latents; give more rows or fewer columns"
        )
        return
    if energy > 0 and not len(result.strengths):
        warn("the condition explains the data entirely: nothing is left for a latent to code, and every one collapses")
    varying = columns - int((np.diagonal(raw.scatter)[: raw.n_inputs] == 0).sum())
    if rank == 0:
        warn("the condition never changes, so it explains nothing: this is an ordinary VAE")
    elif rank < varying:
        warn(f"the condition's {varying} varying columns span only {rank} directions; redundant ones are left out")
    if rank > MUCH_FREEDOM * n:
        warn(
            f"the regression on the condition takes {rank} of {n} degrees of freedom, so the strengths are low by a "
            f"factor of about {1 - rank / n:.2f}; debiased_strengths undo it (with --json, "
            f"debiased_strength of each mode)"
        )
