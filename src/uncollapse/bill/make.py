"""A trained model on a sample of rows → its bill, the cheap lines first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from uncollapse.bill.additions import Additions
from uncollapse.bill.budget import Budget
from uncollapse.bill.line import LINES, Bill, Line, LineName, ordered
from uncollapse.bill.newton import fitted_offset
from uncollapse.bill.path import Paths, paths_for
from uncollapse.bill.places import grid_of, shared_paths
from uncollapse.bill.prune import earning, pruned
from uncollapse.bill.sample import Gain, Sample, mean_and_error
from uncollapse.bill.upper import without_upper_levels

__all__ = ["bill_of"]

N_TUNINGS = 8
"""Times at most that a learned η² and the paths under it are fitted in turn; it settles in three or four."""

N_NEW = 4
"""Latents that are added to a model without a dead one."""


def bill_of(
    sample: Sample, *, baselines: dict[LineName, np.ndarray] | None = None, budget: Budget | None = None
) -> Bill:
    """Everything that needs no training.

    Parameters
    ----------
    sample : Sample
    baselines : dict of ndarray of shape (n,), optional
        Losses of other models on the sample's rows, by the name of their line: "collapsed", "linear".
    budget : Budget, optional
        Of ten seconds when left out.

    Returns
    -------
    Bill
    """
    budget = budget or Budget()
    find, choose, judge = sample.parts
    nothing = sample.nothing()
    tried, untried, models = [], [], {}

    def compared(name: LineName, better: Additions, over: Additions, words: str | None = None, **more: Any) -> Gain:
        gain = judge.gain(better, over)
        tried.append(_line(name, gain, words, **more))
        models[name] = (better, over)
        return gain

    judged, before = slice(len(find) + len(choose), len(sample)), judge.losses()
    for name, losses in (baselines or {}).items():
        tried.append(_line(name, mean_and_error(before - losses[judged])))
    own_prior = find.q.beyond is not None
    earned = earning(find, sample.part(slice(len(find), len(sample))), lambda: budget.left(0.4) and not own_prior)
    if own_prior:
        untried.append("latents held constant: what one alone costs is known of N(0, I) only, and the prior is another")
    elif not earned.tried.all():
        untried.append(f"{int((~earned.tried).sum())} latents held constant, one after another: no time was left")
    upper = without_upper_levels(find, choose, judge)
    if upper is not None:
        tried.append(_line("upper", upper, None))
    out = None if own_prior else pruned(choose, earned.on(slice(0, len(choose))))
    if out is not None:
        compared("prune", out, nothing, _prune_words(int(out.pruned.sum())))
    base = _offset(find, choose) or nothing
    if not base.empty:
        compared("offset", base, nothing)
    variance = _variance(find, base)
    if variance is not None:
        words = f"this model with decoder variance {variance.decoder_variance:.4g}"
        compared("variance", variance, base, words)
        base = variance if choose.gain(variance, base).above() else base
    paths = _paths(find, choose, base, budget) if budget.left(0.6) else None
    if paths is not None:
        compared("path", paths.additions, base, _path_words(paths), predicted=paths.predicted)
    elif not budget.left(0.6):
        untried.append("linear paths for dead latents: no time was left")
    whole = _whole(find, choose, base, paths, out)
    if whole is not None and not compared("revived", whole, nothing).above():
        whole = None
    return Bill(ordered(tried), tuple(tried), tuple(untried), earned, whole, models)


def _line(name: LineName, gain: Gain, words: str | None = None, *, predicted: float | None = None) -> Line:
    return Line(name, gain.value, gain.error, gain.n_rows, words or LINES[name], predicted)


def _offset(find: Sample, choose: Sample) -> Additions | None:
    """The decoder's output calibrated, if that pays on the second rows."""
    nothing = find.nothing()
    offset = replace(nothing, offset=fitted_offset(find, nothing))
    return offset if choose.gain(offset).above() else None


def _paths(find: Sample, choose: Sample, base: Additions, budget: Budget) -> Paths | None:
    """Paths for dead latents, or for a few new ones where none is dead, if they pay on the second rows."""
    own_prior = find.q.beyond is not None  # there a dead latent cannot be taken over, and a new one has its own N(0, 1)
    one_level, grid = len(find.q.level_sizes) == 1 and not own_prior, None if own_prior else grid_of(find)
    dead = [int(j) for j in np.flatnonzero(find.dead)] if one_level else []
    slots = dead or [-1] * N_NEW
    paths = paths_for(find, choose, slots, base, lambda: budget.left(0.8))
    for _ in range(N_TUNINGS):  # a learned η² falls with what the paths explain, and the water with it
        tuned = None if paths is None else _variance(find, paths.additions)
        if paths is None or tuned is None or tuned.decoder_variance is None:
            break
        before, at = paths.additions.decoder_variance, replace(base, decoder_variance=tuned.decoder_variance)
        paths = paths_for(find, choose, slots, at, lambda: budget.left(0.8)) or paths
        if before is not None and abs(tuned.decoder_variance / before - 1) < 0.01:
            break
    shared = None if grid is None else shared_paths(find, choose, grid, base)
    candidates = [each for each in (paths, shared) if each is not None]
    if not candidates:
        return None
    best = min(candidates, key=lambda each: float(choose.losses(each.additions).mean()))
    return best if choose.gain(best.additions, base).above() else None


def _prune_words(n: int) -> str:
    many = f"{n} latents that do not earn their KL" if n > 1 else "a latent that does not earn its KL"
    return f"this model without {many}"


def _path_words(paths: Paths) -> str:
    n, new = len(paths.strengths), int((paths.additions.slots < 0).sum())
    if paths.n_places > 1:
        each = f"{n} dead channels, one filter each" if n > 1 else "a dead channel, one filter"
        return f"this model plus linear paths for {each} at its {paths.n_places} places"
    if new:
        return f"this model plus {n} new latent{'s' * (n > 1)} on {'a ' * (n == 1)}linear path{'s' * (n > 1)}"
    return f"this model plus {'a ' * (n == 1)}linear path{'s' * (n > 1)} for {n} dead latent{'s' * (n > 1)}"


def _variance(find: Sample, base: Additions) -> Additions | None:
    """η² at its best for the misfit, where it is learned and the model says its own."""
    o = find.objective
    if o.likelihood != "gaussian" or o.decoder_variance != "learned" or find.probe.decoder_variance is None:
        return None
    best = find.best_variance(base)
    return replace(base, decoder_variance=best) if best > 0 else None


def _whole(
    find: Sample, choose: Sample, base: Additions, paths: Paths | None, out: Additions | None
) -> Additions | None:
    """All lines that can be applied, as far as they are better together on the second rows."""
    with_paths = base if paths is None else paths.additions
    candidates = [base, with_paths]
    if out is not None:
        candidates += [base.joined(out), with_paths.joined(out)]
    candidates += [tuned for each in candidates if (tuned := _variance(find, each)) is not None]
    candidates = [each for each in candidates if not each.empty]
    if not candidates:
        return None
    return min(candidates, key=lambda each: float(choose.losses(each).mean()))
