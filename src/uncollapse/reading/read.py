"""A loss in code → what it weighs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from uncollapse import checks
from uncollapse.errors import ObjectiveError
from uncollapse.reading.arguments import Caller
from uncollapse.reading.divergence import read_kl
from uncollapse.reading.learned import with_learned
from uncollapse.reading.misfit import MisfitReading, read_misfit
from uncollapse.reading.parameters import FORMS, Form
from uncollapse.reading.points import Domain, Size, at_prior, of_classes, with_posterior
from uncollapse.reading.result import LossReading
from uncollapse.reading.steps import loss_of_step

__all__ = ["read_loss"]


def read_loss(
    function: Any,
    features: int | Sequence[int],
    latents: int,
    *,
    batch_size: int = 128,
    total: str | None = None,
    settings: dict[str, Any] | None = None,
) -> LossReading:
    """Read a loss by its values at made-up points: what it weighs, and what is wrong with it.

    Parameters
    ----------
    function : callable, or object
        Of reconstruction, x, mean and spread, by the names that people give them; a module's bound method; or a module
        with `encode`, `decode` and `training_step`. It is called about a hundred times on small batches.
    features : int or sequence of int
        Numbers of a sample, or its shape, such as (1, 28, 28).
    latents : int
    batch_size : int
        Of the training; it counts only where one term is summed over the batch and the other averaged.
    total : str, optional
        Name or place of the total, where the loss gives several values.
    settings : dict, optional
        Arguments that no name tells, such as ``{"kld_weight": 0.00025}``.

    Returns
    -------
    LossReading

    Raises
    ------
    ObjectiveError
        Arguments that nobody told, several values without a total, or a loss that fails on made-up numbers.

    Notes
    -----
    Source: docs/theory.md section 8. Weights are differences between values, so constants do not count.

    Examples
    --------
    >>> def loss(recon, x, mu, logvar):
    ...     kl = -0.5 * (1 + logvar - mu**2 - np.exp(logvar)).sum(axis=1).mean()
    ...     return ((recon - x) ** 2).mean() + kl
    >>> reading = read_loss(loss, features=64, latents=8)
    >>> reading.headline
    '1·mean squared error over 64 features + 1·KL: water level 32.'
    """
    shape = tuple(checks.counts(features, "features", least=1)) if isinstance(features, Sequence) else (
        checks.size(features, "features"),)  # fmt: skip
    size = Size(shape, checks.size(latents, "latents"))
    batch_size = checks.size(batch_size, "batch_size")
    is_step = callable(getattr(function, "training_step", None))
    owner = function if is_step else getattr(function, "__self__", function)
    if is_step:
        function = loss_of_step(function)
    if not callable(function):
        raise ObjectiveError(
            f"a loss must be a function or a module with a training step, got {checks.shown(function)}"
        )
    call = Caller(function, dict(settings or {}), total)
    call.uses_torch |= is_step
    call.parameters.owner = owner
    size, misfit = _with_arguments(call, size, isinstance(features, Sequence))
    kl = read_kl(call, size, misfit.domain)
    random, additive = _manners(call, size, misfit.domain)
    return LossReading(
        call.name, misfit, kl, size.shape, size.n_latents, size.n_rows, batch_size, random, additive, tuple(call.notes)
    )


def _with_arguments(call: Caller, size: Size, is_shape: bool) -> tuple[Size, MisfitReading]:
    """The misfit; an argument that is learned is given as one number, or where that does not fit, as one a column."""
    failure: ObjectiveError | None = None
    answers: list[tuple[tuple[bool, bool], Form, Size, MisfitReading]] = []
    for form in FORMS if call.parameters.arguments else FORMS[:1]:
        call.parameters.form = form
        try:
            found, misfit = _levelled(call, size, is_shape)
        except ObjectiveError as error:
            failure = failure or error
            continue
        log_once = misfit.learned is not None and misfit.learned.log_once
        answers.append(((misfit.kind is None, log_once), form, found, misfit))
        if answers[-1][0] == (False, False):
            break
    if not answers:
        assert failure is not None
        raise failure
    _, call.parameters.form, found, misfit = min(answers, key=lambda answer: answer[0])
    call.settle_arguments(() if misfit.learned is None else misfit.learned.names, unread=misfit.kind is None)
    return found, misfit


def _levelled(call: Caller, size: Size, is_shape: bool) -> tuple[Size, MisfitReading]:
    """The misfit, at the mean of each parameter where single features differ; and what of it is learned."""
    call.parameters.levelled = False
    size, misfit = _first_that_answers(call, size, is_shape)
    if misfit.kind is None and np.isnan(misfit.weight):  # no value at the prior, as a wrong spread may have none
        size, misfit = _first_that_answers(call, size.of(log_variance=0.7), is_shape)
    if (misfit.kind is None or not misfit.even) and any(one.count > 1 for one in call.parameters.all):
        call.parameters.levelled = True
        level = read_misfit(call, size)
        if level.kind is None or not level.even:
            call.parameters.levelled = False
        else:
            misfit = level
            call.note("read with the mean of each small parameter in all its places")
    return size, with_learned(call, size, misfit)


def _first_that_answers(call: Caller, size: Size, is_shape: bool) -> tuple[Size, MisfitReading]:
    """The misfit of rows; where the loss does not take rows, of images of as many numbers."""
    failure: ObjectiveError | None = None
    answered: tuple[Size, MisfitReading] | None = None
    for shape in [size.shape] if is_shape else _shapes_of(size.shape[0]):
        call.parameters.shape = shape
        try:
            misfit = read_misfit(call, size.of(shape=shape))
        except ObjectiveError as error:
            failure = failure or error
            continue
        if misfit.kind is not None or is_shape:
            if shape != size.shape:
                call.notes.append(f"read with samples of shape {' × '.join(map(str, shape))}")
            return size.of(shape=shape), misfit
        answered = answered or (size.of(shape=shape), misfit)
    if answered is None:
        assert failure is not None
        raise failure
    return answered


def _shapes_of(n: int) -> list[tuple[int, ...]]:
    """A row of n numbers, and images of as many."""
    shapes: list[tuple[int, ...]] = [(n,)]
    for channels in (1, 3):
        side = math.isqrt(n // channels)
        if side > 1 and channels * side * side == n:
            shapes += [(channels, side, side), (side, side, channels)]
    return shapes


def _manners(call: Caller, size: Size, domain: Domain) -> tuple[bool, bool]:
    """Whether it is random, and whether its terms are added."""
    call.classes = of_classes(domain)
    one, other = (at_prior(size, domain, seed) for seed in (0, 1))
    moved = with_posterior(one, 0)
    both = moved.moved(recon=other.recon, x=other.x)
    values = [call(p) for p in (one, other, moved, both)]
    random = call(both, seed=1) != values[3]
    apart = (values[3] - values[0]) - (values[1] - values[0]) - (values[2] - values[0])
    span = float(np.abs(np.diff(values)).max())
    return bool(random), bool(abs(apart) <= 1e-3 * max(span, 1e-12))
