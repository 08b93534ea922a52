"""Every number that a diagnosis decides by, with the measurement that it came from.

The measurements are of the planted models of benchmarks/zoo, the seeds set aside for thresholds (`zoo/calibrate.py`).
"""

from __future__ import annotations

__all__ = [
    "BAND",
    "CODES_NOISE",
    "DONE_SHARE",
    "ENERGY_SHARE",
    "FAR_SHARE",
    "FEW",
    "GAIN_SHARE",
    "LAG_SHARE",
    "LEAD",
    "MOVES",
    "N_ERRORS",
    "SAME",
    "SLOW_SHARE",
]

N_ERRORS = 2.0
"""Standard errors by which a residual strength must stand above the water level to be called above."""

BAND = 0.10
"""Share of the water level around it within which the residual test is called undecided."""

GAIN_SHARE = 0.01
"""A model is under-optimised when it costs more than the linear optimum by this share of what that optimum gains over
collapse, and by `N_ERRORS` standard errors."""

ENERGY_SHARE = 0.005
"""... and by this share of half the data's energy over η², which is what collapse costs: the jitter of a trained
decoder's biases alone came to 0.4 % of it."""

FAR_SHARE = 0.2
"""A model that no trial mends is called under-optimised only when it costs more than the linear optimum by this share
of what there is to gain: less is the jitter of an optimiser at a constant rate."""

SLOW_SHARE = 0.02
"""Training is unfinished when a short continuation lowers the loss by this share of what the linear optimum gains."""

LAG_SHARE = 0.25
"""The encoder lags when refining q gains this share of what the linear optimum gains over collapse."""

LEAD = 0.7
"""... and when that is this share of what as long a training of both would gain, ..."""

DONE_SHARE = 0.1
"""It also lags when training goes on to gain, and training the decoder alone gains less than this share of that."""

FEW = 0.1
"""The objective itself is to blame when its optimum keeps less than this share of the usable latents."""

CODES_NOISE = 0.5
"""Latents code noise when the water level is under this share of the noise variance."""

MOVES = 1e-4
"""Variance of a posterior mean, in prior variances, under which it does not move."""

SAME = 1e-5
"""Relative spread under which the variances of several latents are one number: a clamp, or no learning."""
