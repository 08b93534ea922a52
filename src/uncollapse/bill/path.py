"""The path of a dead latent: a linear way from what the reconstruction misses through one latent back to the output.

A Gaussian decoder's path is closed form (`theory.path`); for the others that is where a bounded search starts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from uncollapse.bill.additions import Additions
from uncollapse.bill.newton import fitted_path
from uncollapse.bill.sample import MOST_NEW, Sample, mean_and_error
from uncollapse.measure.decoder import LEAST_INFORMATION, SHRINKAGE
from uncollapse.theory.loglikelihood import fisher_information, score
from uncollapse.theory.path import LinearPath, linear_path
from uncollapse.theory.residual import leading_directions, ridge

__all__ = ["Paths", "gaussian_path", "paths_for", "taking_over", "water_of"]

N_ERRORS = 2.0

FAR = 5.0
"""Standard deviations within which a feature is kept where the decoder is not Gaussian: exponentials are steep."""

START, RATIO, LEAST_RATIO, MOST_RATIO = 2.0, 1.7, 1.02, 100.0
"""λ/τ of the paths that are tried where no closed form holds: from the first, by steps of the second."""

MOST_MISSES = 2
"""Directions without a gain after which no weaker one is tried."""


@dataclass(frozen=True, eq=False)
class Paths:
    """Paths that lower the loss on the rows that chose them.

    Attributes
    ----------
    additions : Additions
        Upon what they were built.
    predicted : float or None
        Gain by the closed form, nats; None where it does not hold.
    strengths : ndarray of shape (k,)
        λ of each, on rows that did not choose its direction.
    n_places : int
        Latents that share one direction: the places of a channel of spatial latents.
    """

    additions: Additions
    predicted: float | None
    strengths: np.ndarray
    n_places: int = 1


def paths_for(
    find: Sample, choose: Sample, slots: list[int], base: Additions, more_time: Callable[[], bool] = lambda: True
) -> Paths | None:
    """One path for each slot, in orthogonal directions, as long as they pay; None if none does.

    Parameters
    ----------
    find, choose : Sample
        Rows where directions are found, and rows where their strengths are taken.
    slots : list of int
        Dead latents to take over; -1 for a new one.
    base : Additions
        What is added already.
    more_time : callable
        Whether to go on to the next direction, where each takes a search.
    """
    slots = slots[: max(min(MOST_NEW, find.y.shape[1], len(find) // 4), 0)]
    if not slots:
        return None
    features, directions = _features(find, len(slots), base)
    if find.objective.likelihood == "gaussian":
        return _closed_form(find, choose, slots, base, features, directions)
    return _searched(find, choose, slots, base, features, more_time)


def _features(find: Sample, k: int, base: Additions) -> tuple[Additions, np.ndarray]:
    """Features of the k leading directions, mean 0 and variance 1 on these rows, as additions without effect; and the
    directions themselves, (d, k), of length 1."""
    likelihood, r = find.objective.likelihood, find.dispersion
    information = np.mean([fisher_information(likelihood, mean, r) for mean in find.draws], axis=0)
    if likelihood != "gaussian":
        information = information + SHRINKAGE * information.max()
    scale = 1 / np.sqrt(np.maximum(information, LEAST_INFORMATION))
    scores = [score(likelihood, find.y, mean, r) * scale for mean in find.draws]
    half = len(scores) // 2
    one, other = (np.mean(part, axis=0) for part in (scores[:half], scores[half:]))
    if find.target_is_input:
        directions = leading_directions(one, other, k)[1]
        read, through = find.read(base), (scale[:, None] * directions).T
    else:
        through, directions = _predictors(find.x, (one + other) / 2, k)
        read = np.asarray(find.x, dtype=np.float64)
    u = read @ through.T
    spread = np.where((own := u.std(axis=0)) > 0, own, 1.0)
    through, u = through / spread[:, None], u / spread
    centre = u.mean(axis=0)
    k = len(through)
    limit = np.full(k, np.inf)
    if likelihood != "gaussian":
        limit = np.minimum(np.abs(u - centre).max(axis=0), FAR)
    nothing = np.zeros(k)
    added = replace(
        find.nothing(),
        features=through, centre=centre, limit=limit, amplitude=nothing, variance=np.ones(k),
        directions=np.zeros((k, find.y.shape[1])), slots=np.full(k, -1),
    )  # fmt: skip
    return added, directions


def _predictors(x: np.ndarray, residual: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a linear map from x to the k strongest directions of the residual that it predicts, by ridge; and those
    directions."""
    weights = ridge(x, residual)
    _, _, right = np.linalg.svd((x - x.mean(axis=0)) @ weights, full_matrices=False)
    directions = right[:k].T
    return (weights @ directions).T, directions


def _closed_form(
    find: Sample, choose: Sample, slots: list[int], base: Additions, features: Additions, directions: np.ndarray
) -> Paths | None:
    """Amplitudes and widths of theory.path, at the strengths that the second rows show."""
    u = features_on(choose, features, base)
    missed = np.mean([choose.y - mean for mean in choose.draws], axis=0) - base.offset
    products = u * (missed @ directions)
    covariance, error = products.mean(axis=0), products.std(axis=0) / np.sqrt(len(products))
    surely = np.maximum(covariance - N_ERRORS * error, 0.0) ** 2
    kept = np.flatnonzero(surely > water_of(find, base))[: len(slots)]
    if not len(kept):
        return None
    strengths = covariance[kept] ** 2
    path = gaussian_path(find, base, strengths)
    added = replace(
        features,
        features=features.features[kept], centre=features.centre[kept], limit=features.limit[kept],
        amplitude=path.amplitude, variance=path.variance,
        directions=(directions[:, kept] * path.slope).T, slots=np.array(slots[: len(kept)]),
    )  # fmt: skip
    return Paths(base.joined(taking_over(added, find)), float(path.gain.sum()), strengths)


def water_of(find: Sample, base: Additions) -> float:
    """What a strength must stand above for a path to live, beside a Gaussian decoder."""
    level, width = find.weight * _variance(find, base), _width(find)
    return level * (1.0 if width is None else width / float(find.objective.prior_variance))


def gaussian_path(find: Sample, base: Additions, strengths: np.ndarray) -> LinearPath:
    """The closed form at the sample's own loss."""
    level, prior = find.weight * _variance(find, base), float(find.objective.prior_variance)
    return linear_path(strengths, level, find.weight, prior_variance=prior, encoder_variance=_width(find))


def _variance(find: Sample, base: Additions) -> float:
    return find.variance if base.decoder_variance is None else base.decoder_variance


def _width(find: Sample) -> float | None:
    """σ² of a path's latent where encoder variances are given: the narrowest, which a mode wakes first."""
    widths = find.objective.encoder_variance
    if widths == "learned":
        return None
    return min(float(w) for w in (widths if isinstance(widths, tuple) else (widths,)) if w != "learned")


def _searched(
    find: Sample, choose: Sample, slots: list[int], base: Additions, features: Additions, more_time: Callable[[], bool]
) -> Paths | None:
    """Direction after direction: slopes and offsets by Newton's steps on the first rows, the level on the second."""
    if find.objective.encoder_variance != "learned":
        return None
    now, before, taken = base, choose.losses(base), list(slots)
    strengths: list[float] = []
    for i in range(len(features.centre)):
        if not taken or not more_time():
            break
        ratio, tried, losses = _best_level(find, choose, features, i, now, taken[0])
        if mean_and_error(before - losses).above(N_ERRORS):
            now, before = tried, losses
            strengths.append(ratio * find.weight)
            taken.pop(0)
        elif i - len(strengths) >= MOST_MISSES:
            break
    return Paths(now, None, np.array(strengths)) if strengths else None


def _best_level(
    find: Sample, choose: Sample, features: Additions, i: int, base: Additions, slot: int
) -> tuple[float, Additions, np.ndarray]:
    """The level λ/τ of one path at which the loss on the second rows is least, uphill from 2; its path and losses."""

    def at(ratio: float) -> tuple[float, Additions, np.ndarray]:
        added = _one_path(find, features, i, ratio, base, slot)
        return ratio, added, choose.losses(added)

    best = at(START)
    for factor in (RATIO, 1 / RATIO):
        here = best
        while LEAST_RATIO < here[0] * factor < MOST_RATIO:
            here = at(here[0] * factor)
            if here[2].mean() >= best[2].mean():
                break
            best = here
        if best[0] != START:
            break
    return best


def _one_path(find: Sample, features: Additions, i: int, ratio: float, base: Additions, slot: int) -> Additions:
    """The path of feature i at a level of λ/τ = ratio, its slopes fitted."""
    prior = float(find.objective.prior_variance)
    one = slice(i, i + 1)
    added = replace(
        features,
        features=features.features[one], centre=features.centre[one], limit=features.limit[one],
        amplitude=np.array([np.sqrt(prior * (1 - 1 / ratio))]), variance=np.array([prior / ratio]),
        directions=features.directions[one], slots=np.array([slot]),
    )  # fmt: skip
    offset, slope = fitted_path(find, base, added)
    return base.joined(taking_over(replace(added, offset=offset, directions=slope[None]), find))


def features_on(sample: Sample, features: Additions, base: Additions) -> np.ndarray:
    """u(x) of every feature on a sample's rows, (n, k), reading the model as `base` leaves it."""
    read = sample.read(base) if features.reads_residual else np.asarray(sample.x, dtype=np.float64)
    return np.clip(read @ features.features.T - features.centre, -features.limit, features.limit)


def taking_over(added: Additions, find: Sample) -> Additions:
    """The decoder no longer sees the dead latents that paths take over, but their mean."""
    constants = added.constants.copy()
    taken = added.slots[added.slots >= 0]
    constants[taken] = find.q.mean[:, taken].mean(axis=0)
    return replace(added, constants=constants)
