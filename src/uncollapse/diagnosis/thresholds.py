"""Every number that a diagnosis decides by, with the measurement that it came from.

The measurements are of the planted models of benchmarks/zoo, the seeds set aside for thresholds (`zoo/calibrate.py`).
"""

from __future__ import annotations

__all__ = [
    "ABSURD",
    "BAND",
    "CODES_NOISE",
    "DONE_SHARE",
    "ENERGY_SHARE",
    "FAR_LATENTS",
    "FAR_SHARE",
    "FEW",
    "FULL_BAND",
    "GAIN_SHARE",
    "LAG_SHARE",
    "LEAD",
    "LEARNED",
    "MOVED",
    "MOVES",
    "NEAR_COLLAPSE",
    "NEAR_MODE",
    "NEAR_WIDTH",
    "NOISE_MODES",
    "N_ERRORS",
    "OUT_OF_RANGE",
    "PAID_FOR_NOTHING",
    "REST_RATIO",
    "SAME",
    "SHOWN",
    "SLOW_SHARE",
    "STILL",
    "WEIGHT_RATIO",
    "WELL",
]

N_ERRORS = 2.0
"""Standard errors by which a residual strength must stand above the water level to be called above."""

BAND = 0.25
"""Share of the water level under it within which the residual test is called undecided: at seed 0 of the residual
record (docs/record.md) more training brought a latent to life in none of 37 models whose residual lay wholly under 0.75
of the level, in 1 of 46 under 0.8 and in 5 of 71 under 0.9; at seed 1, set apart, in 2 of 47 under 0.75."""

FULL_BAND = 0.10
"""The same of a model without a dead latent, which is asked only whether it wants more: a residual strength of 2,048
rows has a standard error of 3 to 4 % of itself."""

GAIN_SHARE = 0.01
"""Whether anything is behind is tried when a model costs more than the linear optimum by this share of what that
optimum gains over collapse, and by `N_ERRORS` standard errors: well-trained linear models cost up to 0.03 more."""

ENERGY_SHARE = 0.005
"""... and by this share of half the data's energy over η², which is what collapse costs: for half of the models that
are collapsed as asked, the jitter of the decoder's biases alone came to 0.001 to 0.005 of it."""

FAR_SHARE = 0.2
"""A model that no trial mends is called under-optimised only when it costs more than the linear optimum by this share
of what there is to gain: at most 0.03 for sound models, the jitter of an optimiser at a constant rate; 1.0 and more for
stuck ones."""

SLOW_SHARE = 0.02
"""Training is unfinished when a short continuation lowers the loss by this share of what there is to gain: 0.08 and
more for models stopped after 50 to 200 steps, at most 0.008 for finished ones."""

LAG_SHARE = 0.15
"""The encoder lags when refining q gains this share of what there is to gain: at most 0.04 for sound models, 2 and more
for those whose encoder had lost a layer, ..."""

LEAD = 0.7
"""... and when that is this share of what as long a training of both would gain: at most 0.44 for models stopped early,
0.94 and more for those."""

DONE_SHARE = 0.1
"""It also lags when training goes on to gain, and training the decoder alone gains less than this share of that, while
a better q gains more: under 0.01 and 0.39 to 0.65 beside encoders that were frozen early; for models stopped early 0.16
and more, but for one of seed 19 with 0.095 and 0.03."""

FAR_LATENTS = 4.0
"""Second moment of q(z), in prior variances, from which on a latent lies far outside its prior: about 1 for a trained
model on its own data."""

ABSURD = 1000.0
"""The same from which on other scales of the data are looked at even if the model reconstructs them: 67,000 for a
network of ReLUs, which reconstructs at every scale, on data 255 times too large."""

PAID_FOR_NOTHING = 1.0
"""KL in nats from which on a model that reconstructs worse than the constant mean is asked for its data. A training
that has hardly begun pays less."""

LEARNED = 0.1
"""Variance of a decoder's output over draws of the prior, as a share of the data's, under which it has hardly begun to
show any data, so that a reconstruction worse than the constant mean says nothing of them: 0.02 to 0.1 for models that
were stopped after 60 to 100 steps and reconstruct so, 0.16 and more for trained ones on permuted, negated or noisy data
(0.09 where the data were doubled, of R² above −0.1): `zoo/whose_data.py`."""

WELL = 0.5
"""Share of the variance that a model on its own data explains, or its posteriors lie within the prior."""

OUT_OF_RANGE = 0.02
"""Share of the data outside the range of a decoder's output from which on the range is the limit."""

SHOWN = 0.5
"""Share of a direction that must lie in the span of a decoder's outputs for the decoder to be able to show it."""

NEAR_COLLAPSE = 0.05
"""Share of half the data's energy over η² up to which what a collapsed model costs over the collapsed optimum is the
jitter of its biases: up to 0.02 after a usual training, 0.1 where training has hardly begun."""

NEAR_MODE = 8.0
"""Relative distance of the strongest mode from its threshold, times √n, up to which its interval is asked for: 90 % of
Gaussian samples stay within 1.64·√2 = 2.3, and of a kurtosis ten times as large within 7.3."""

NEAR_WIDTH = 0.2
"""Relative distance from the linear optimum's variance within which equal variances are those of that optimum: equal
modes in a sample differ by less, a clamp that holds them elsewhere by more."""

FEW = 0.1
"""The objective itself is to blame when its optimum keeps less than this share of the usable latents: none of the
planted ones kept any."""

CODES_NOISE = 0.5
"""Latents code noise when the water level is under this share of the noise variance: 0.08 to 0.15 for the planted ones,
2.7 and more for all others."""

NOISE_MODES = 3
"""Modes that must lie under the edge of sampling noise before their level is called the noise of the data: of one or
two, the weakest real mode would be taken for it (3 modes of standard deviations 3, 2, 1 are not 2 and noise)."""

MOVES = 1e-5
"""Variance of a posterior mean, in prior variances, under which it does not move: 0 for saturated layers, at least 2e-4
for living latents of all others, those of trainings hardly begun among them."""

MOVED = 0.02
"""Relative change of a posterior variance over a short continuation under which it is held, not on its way: 120 steps
of Adam at 1e-3 move a free log-variance by up to 0.12."""

SAME = 1e-5
"""Relative spread under which the variances of several latents are one number, which is a clamp or no learning: 4e-7
for the planted clamps, 4e-3 and more for free encoders, collapsed or not."""

STILL = 0.1
"""R² below 0 up to which a model without a living latent shows the mean of standardised columns. With no KL of a latent
above 0.01 nats there, and over 1 nat on the raw ones, it is taken to have collapsed on the former: 0.03 to 0.15 nats
for 12 fresh networks on a table, 0.03 and more for 24 that were trained on its raw columns for 20 and 200 steps."""

REST_RATIO = 1.3
"""Factor from the stated weight within which the implied one is the same: at seed 1 of the planted models 0.86 to 1.08
for 13 healthy or rightly dead ones, 0.94 to 1.31 for 9 others that had settled."""

WEIGHT_RATIO = 1.5
"""Factor by which the KL weight that a model is at rest with must differ from the stated one."""
