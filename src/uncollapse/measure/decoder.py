"""What the decoder makes of the posteriors, on a sample of rows: error, bounds on log p, and what it leaves of y."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from uncollapse import checks
from uncollapse.errors import DataError, UncollapseError, kind_and_line
from uncollapse.measure.covariates import covariates_of
from uncollapse.measure.observe import Observation
from uncollapse.measure.posterior import MOST, Posterior
from uncollapse.measure.protocol import RAISED, Probe, check_probe
from uncollapse.objective import Objective
from uncollapse.showing.noun import Card, Noun
from uncollapse.showing.plain import plain
from uncollapse.theory.counts import inverse_dispersion
from uncollapse.theory.loglikelihood import fisher_information, in_totals, misfit, negative_log_likelihood, score
from uncollapse.theory.posterior import importance_bound, log_ratio, sampled_mutual_information, tuned_elbo
from uncollapse.theory.residual import ResidualSpectrum, predicted_out_of_fold, residual_spectrum

__all__ = [
    "DecodedDraws",
    "DecoderMeasurement",
    "decoded_draws",
    "dispersion_of",
    "measure_decoder",
    "residual_water_level",
]

DRAWS = 4
"""Draws of z per row. The residual test takes the noise of the draws off, so more rows serve it better."""

MOST_DRAWS = 1000
"""Every draw of every row is kept."""

SHRINKAGE = 0.1
"""Share of the largest Fisher information that is added to that of every column of a likelihood other than Gaussian. In
a larger metric strengths come out lower, so one above β still proves what it proved. Without it, columns that are on in
one row of thousands rule the whitening, and the strongest direction is noise."""

LEAST_INFORMATION = 1e-30
"""Least Fisher information that the scores of a column are scaled by, so that their squares stay finite where the
decoder calls the data all but impossible."""


@dataclass(frozen=True, eq=False, repr=False)
class DecoderMeasurement(Noun):
    """A model with its decoder, on a sample of rows; nats per sample.

    Attributes
    ----------
    n_rows, n_draws : int
    misfit : float
        E‖y − ŷ‖², over rows and draws of z.
    rate : float
        KL of all latents on these rows.
    losses : ndarray of shape (n,)
        Per row: −log p(y|z) with every constant plus the weighted KL, averaged over the draws.
    elbo, elbo_error : float
        The evidence lower bound itself (KL at weight 1), and its standard error.
    importance_bound : float or None
        The importance-weighted bound of `n_draws` draws; None where the prior's density is not known.
    decoder_variance : float
        η² that all this was computed with.
    tuned_decoder_variance, tuned_elbo : float or None
        For a Gaussian decoder: η² at its best for the misfit, and the bound with it; None where it makes no error.
    mutual_information : float
        Mutual information I(x; z) with the latents that the decoder sees, by sampling: a lower bound, at most log n.
    residual : ResidualSpectrum
        What the reconstruction misses, against the water level (β for a decoder other than Gaussian).
    """

    n_rows: int
    n_draws: int
    misfit: float
    rate: float
    losses: np.ndarray = field(repr=False)
    elbo: float
    elbo_error: float
    importance_bound: float | None
    decoder_variance: float
    tuned_decoder_variance: float | None
    tuned_elbo: float | None
    mutual_information: float
    residual: ResidualSpectrum

    @property
    def loss(self) -> float:
        """Mean of `losses`."""
        return float(self.losses.mean())

    @property
    def mutual_information_cap(self) -> float:
        """log n, above which `mutual_information` cannot rise."""
        return float(np.log(self.n_rows))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; what is not known is None."""
        names = (
            "n_rows", "n_draws", "misfit", "rate", "loss", "elbo", "elbo_error", "importance_bound",
            "decoder_variance", "tuned_decoder_variance", "tuned_elbo", "mutual_information",
        )  # fmt: skip
        r = self.residual
        residual = {"strengths": plain(r.held_out), "errors": plain(r.errors), "n_rows": r.n_rows}
        return {name: plain(getattr(self, name)) for name in names} | {"residual": residual}

    def card(self) -> Card:
        """The headline and the facts: what `summary` and notebooks show."""
        from uncollapse.measure.words import decoder_card

        return decoder_card(self)


def measure_decoder(
    probe: Probe, observation: Observation, objective: Objective, *, n_draws: int = DRAWS, seed: int = 0
) -> DecoderMeasurement:
    """Decode draws of z for the sample of an observation.

    Parameters
    ----------
    probe : Probe
    observation : Observation
    objective : Objective
        Its likelihood, β and decoder variance; a learned one is the probe's own, or the best for the misfit if the
        probe does not know it.
    n_draws : int
        2 or more.
    seed : int
        Of the draws.

    Raises
    ------
    DataError
        The decoder's output does not fit the target.
    """
    drawn = decoded_draws(probe, observation, objective, n_draws, seed)
    y, q = np.asarray(observation.y, dtype=np.float64), observation.posterior
    with np.errstate(under="ignore"):
        return _measured(y, q, drawn, observation, objective)


def _measured(
    y: np.ndarray, q: Posterior, drawn: DecodedDraws, observation: Observation, objective: Objective
) -> DecoderMeasurement:
    seen_by_encoder = None if observation.y is observation.x else observation.x
    kl = q.row_kl
    bounds = -drawn.costs.mean(axis=0) - kl
    # a decoder that makes no error at all has no best variance above 0
    tuned = drawn.misfit / y.shape[1] if objective.likelihood == "gaussian" and drawn.misfit > 0 else None
    return DecoderMeasurement(
        n_rows=len(y),
        n_draws=len(drawn.z),
        misfit=drawn.misfit,
        rate=float(kl.mean()),
        losses=_losses(drawn, q, objective),
        elbo=float(bounds.mean()),
        elbo_error=float(bounds.std() / np.sqrt(len(y))),
        importance_bound=_importance(q, drawn.z, drawn.costs),
        decoder_variance=drawn.variance,
        tuned_decoder_variance=tuned,
        tuned_elbo=None if tuned is None else tuned_elbo(drawn.misfit, y.shape[1], float(kl.mean())),
        mutual_information=sampled_mutual_information(
            *(part[:, q.lowest] for part in (q.mean, q.variance, drawn.z[0]))
        ),
        residual=residual_spectrum(_residuals(objective.likelihood, y, drawn, seen_by_encoder)),
    )


def row_losses(
    probe: Probe, observation: Observation, objective: Objective, *, n_draws: int = DRAWS, seed: int = 0
) -> np.ndarray:
    """`losses` of `measure_decoder` alone, at a fraction of the cost; the same arguments and errors."""
    drawn = decoded_draws(probe, observation, objective, n_draws, seed)
    return _losses(drawn, observation.posterior, objective)


@dataclass(frozen=True, eq=False)
class DecodedDraws:
    """Draws of z, each of shape (n, l); the decoder's means of them, (n, d); and −log p(y|z) of each row, (K, n)."""

    z: list[np.ndarray]
    means: list[np.ndarray]
    costs: np.ndarray
    misfit: float
    variance: float
    dispersion: np.ndarray | float


def decoded_draws(probe: Probe, o: Observation, objective: Objective, n_draws: int, seed: int) -> DecodedDraws:
    """Draws of z for the sample of an observation, decoded; arguments and errors as in `measure_decoder`."""
    check_probe(probe)
    checks.instance(o, "observation", Observation, error=DataError)
    checks.instance(objective, "objective", Objective)
    n_draws = checks.count(n_draws, "n_draws", least=2, most=MOST_DRAWS, error=DataError)
    seed = checks.count(seed, "seed", error=DataError)
    y, q, likelihood = np.asarray(o.y, dtype=np.float64), o.posterior, objective.likelihood
    # a stream of its own: data simulated from the same seed would be correlated with the noise of z
    rng = np.random.default_rng([seed, n_draws])
    draws = [q.draw(rng) for _ in range(n_draws)]
    means = [_decode(probe, z[:, q.lowest], o, likelihood) for z in draws]
    with np.errstate(all="ignore"):  # what is too large is refused
        missed = float(np.mean([misfit(y, mean) for mean in means]))
        variance, r = _variance(probe, objective, missed / y.shape[1]), dispersion_of(probe, objective, y, o.given)
        costs = [
            negative_log_likelihood(likelihood, y, mean, decoder_variance=variance, dispersion=r) for mean in means
        ]
    if variance == 0:
        raise DataError(
            f"{probe.name}: the decoder makes no error at all, so the learned decoder variance is 0 and the loss "
            f"has no lower bound; give a decoder variance"
        )
    if not np.isfinite(costs).all() or not missed <= MOST:
        raise DataError(
            f"{probe.name}: the decoder's output is up to {max(float(np.abs(mean).max()) for mean in means):.4g}, too "
            f"far from the data to be measured"
        )
    return DecodedDraws(draws, means, np.array(costs), missed, variance, r)


def _losses(drawn: DecodedDraws, q: Posterior, objective: Objective) -> np.ndarray:
    with np.errstate(under="ignore"):
        return drawn.costs.mean(axis=0) + paid_kl(q, objective)


def dispersion_of(
    probe: Probe, objective: Objective, y: np.ndarray, given: np.ndarray | None = None
) -> np.ndarray | float:
    """r of a negative binomial decoder: the probe's own, else by moments of each column, as a forecast estimates it;
    infinite for any other likelihood."""
    if objective.likelihood != "negative-binomial":
        return np.inf
    own = getattr(probe, "dispersion", None)
    if own is not None:
        return np.asarray(own)
    sizes = covariates_of(probe, given).sizes
    mean, s = y.mean(axis=0), np.ones(len(y)) if sizes is None else sizes
    left = ((y - np.multiply.outer(s, mean / s.mean())) ** 2).mean(axis=0)
    return inverse_dispersion(mean, left, float(s.mean()), float((s**2).mean()))


def residual_water_level(objective: Objective, decoder: DecoderMeasurement) -> float:
    """What residual strengths are held against: τ = βη² with the η² that the model has; β for another likelihood.

    Where encoder variances are given, τσ²/η_enc² of the narrowest latent, which a mode wakes first.

    Source: docs/theory.md, sections 5 (Residual water-level test) and 1 (Global minimum, Σ fixed).
    """
    level = objective.beta * (decoder.decoder_variance if objective.likelihood == "gaussian" else 1.0)
    widths = objective.encoder_variance
    prior = objective.prior_variance
    each = [prior if w == "learned" else float(w) for w in (widths if isinstance(widths, tuple) else (widths,))]
    return level * min(each) / prior


def kl_weights(objective: Objective, level_sizes: tuple[int, ...]) -> np.ndarray:
    """β of each latent, the levels one after another, shape (l,)."""
    betas = [objective.beta * level.beta for level in objective.levels] or [objective.beta] * len(level_sizes)
    if len(betas) != len(level_sizes):
        raise DataError(f"the model has {len(level_sizes)} levels of latents and the objective {len(betas)}")
    return np.repeat(betas, level_sizes)


def paid_kl(q: Posterior, objective: Objective) -> np.ndarray:
    """Weighted KL of each row, shape (n,)."""
    weights = kl_weights(objective, q.level_sizes)
    whole: np.ndarray = q.kl @ weights
    return whole if q.beyond is None else whole + weights[0] * q.beyond


def _decode(probe: Probe, z: np.ndarray, o: Observation, likelihood: str) -> np.ndarray:
    try:
        out = probe.decode(z.copy(), None if o.given is None else o.given.copy())
        given = np.asarray(out)
    except UncollapseError:
        raise
    except RAISED as error:  # a user's model raises anything
        raise DataError(
            f"{probe.name}: latents of shape {z.shape} do not go through its decoder: {kind_and_line(error)}"
        ) from error
    if given.dtype.kind not in "fiu" or given.ndim < 1 or len(given) != len(z):
        got = f"{type(out).__name__} of {given.dtype} and shape {given.shape}"
        raise DataError(
            f"{probe.name}: the decoder gives {got} for {len(z)} rows of latents; real numbers are due, the mean of "
            f"each row's target"
        )
    mean = given.astype(np.float64).reshape(len(given), -1)
    if mean.shape != o.y.shape:
        raise DataError(
            f"{probe.name}: the decoder gives {mean.shape[1]} numbers a row and the data have {o.y.shape[1]}; "
            f"are these the data it was trained on?"
        )
    if not np.isfinite(mean).all():
        n_bad = int((~np.isfinite(mean)).any(axis=1).sum())
        raise DataError(f"{probe.name}: the decoder's output is not finite for {n_bad} of {len(mean)} samples")
    if likelihood == "bernoulli" and (mean.min() < 0 or mean.max() > 1):
        raise DataError(
            f"{probe.name}: the decoder's output runs from {mean.min():.4g} to {mean.max():.4g}, no probabilities; is "
            f"it logits, or is the loss a squared error (--recon mse)?"
        )
    if likelihood in ("poisson", "negative-binomial") and mean.min() < 0:
        raise DataError(f"{probe.name}: the decoder's output goes down to {mean.min():.4g}, no mean of counts")
    if likelihood == "categorical" and (mean.min() < 0 or not (mean.sum(axis=1) > 0).all()):
        raise DataError(
            f"{probe.name}: the decoder's output goes down to {mean.min():.4g}, no probabilities of categories; is it "
            f"logits? Give their softmax"
        )
    return in_totals(likelihood, np.asarray(o.y, dtype=np.float64), mean)


def _variance(probe: Probe, objective: Objective, tuned: float) -> float:
    if objective.decoder_variance != "learned":
        return float(objective.decoder_variance)
    return tuned if probe.decoder_variance is None else float(probe.decoder_variance)


def _importance(q: Posterior, draws: list[np.ndarray], costs: np.ndarray) -> float | None:
    if not q.knows_prior:
        return None
    ratios = [log_ratio(z, q.mean, q.variance, q.prior_variance, q.prior_mean) for z in draws]
    return importance_bound(-costs - np.array(ratios))


def _residuals(likelihood: str, y: np.ndarray, drawn: DecodedDraws, x: np.ndarray | None) -> Iterable[np.ndarray]:
    """What is left of y in each draw; of a target that is not the input, paired with what x tells of it (linearly), so
    that the noise in y, which no encoder sees, does not count."""
    r = drawn.dispersion
    scale = np.mean([fisher_information(likelihood, mean, r) for mean in drawn.means], axis=0)
    if likelihood != "gaussian":
        scale = scale + SHRINKAGE * scale.max()
    root = np.where(scale > 0, 1 / np.sqrt(np.where(scale > 0, np.maximum(scale, LEAST_INFORMATION), 1.0)), 0.0)
    left = (score(likelihood, y, mean, r) * root for mean in drawn.means)
    if x is None:
        return left
    whole = np.mean(list(left), axis=0)
    return whole, predicted_out_of_fold(np.asarray(x, dtype=np.float64), whole)
