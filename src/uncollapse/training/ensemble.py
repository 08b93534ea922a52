"""Train a list of setups: those that share an architecture as one program where that is measured to be faster."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from uncollapse.checks import count, flag, function, instance, shown
from uncollapse.errors import DataError, ObjectiveError, warn
from uncollapse.progress import watching_epochs
from uncollapse.training.architecture import Architecture, architecture
from uncollapse.training.config import Setup, Training
from uncollapse.training.data import Table, table
from uncollapse.training.fit import prepared, smaller_batch, warm_starts
from uncollapse.training.likelihoods import check_fits
from uncollapse.training.loop import Run
from uncollapse.training.packed import Packed
from uncollapse.training.result import Trained
from uncollapse.training.stack import Stack

__all__ = ["Fastest", "best_size", "checked_setups", "fastest", "stackable", "train_all"]

SIZES = (1, 8, 32, 128)
"""Stack sizes that are tried, besides all members at once up to the largest of these. 100 members of 5-8-5 are fastest
all at once, 19 times as fast as one by one (benchmarks/bench_training.py)."""

LONG_STEP_SECONDS = 3e-3
"""Above this a step of one member on the CPU is arithmetic, which stacking does not make less of: the fixed cost of a
step is 0.6 ms. 784-256-16 with batches of 128 takes 4.4 ms on one core, and trying larger stacks took longer than the
epochs that it would have to save them in."""

TRIAL_STEPS, TRIAL_SECONDS = 6, 0.5
GAIN = 0.97
"""A larger stack is taken when it needs less than this share of the time of a smaller one."""


def train_all(
    setups: Sequence[Setup],
    data: Any,
    target: Any = None,
    given: Any = None,
    *,
    device: str | None = None,
    stack: int | None = None,
    on_finish: Callable[[int, Trained], None] | None = None,
    progress: bool = False,
) -> list[Trained]:
    """Train every setup on the same data; each result is that of its own `train`, up to rounding.

    Parameters
    ----------
    setups : sequence of Setup
        Those that share an architecture and a way of training may differ in β, fixed variances, learning rate, seed,
        epochs (without cooling) and patience, and are trained side by side; the others in turn.
    data, target, given, device, progress
        As in `train`; or, as the data, `Packed` rows: bytes, say, that are made into numbers batch by batch.
    stack : int, optional
        Members trained side by side; measured when left out.
    on_finish : callable, optional
        Told the index and the result of each member as it stops.

    Returns
    -------
    list of Trained
        In the order of `setups`. A member whose loss is lost has status ``failed``, its message, and the last good
        state; the others train on.

    Examples
    --------
    >>> import numpy as np
    >>> from uncollapse import Objective
    >>> x = np.random.default_rng(0).standard_normal((200, 3)) * [3.0, 1.0, 0.1]
    >>> fast = Training(estimator="analytic", learning_rate=0.05, epochs=10)
    >>> setups = [Setup(Objective(beta=beta, n_latents=3), training=fast) for beta in (0.5, 4.0)]
    >>> [vae.evaluate(x).n_alive for vae in train_all(setups, x)]
    [2, 1]
    """
    setups = checked_setups(setups)
    stack = None if stack is None else count(stack, "stack", least=1)
    if on_finish is not None:
        function(on_finish, "on_finish")
    flag(progress, "progress")
    if not setups:
        return []
    rows = _rows(setups, data, target, given)
    results: dict[int, Trained] = {}

    def stop(index: int, result: Trained) -> None:
        results[index] = result
        if on_finish is not None:
            on_finish(index, result)

    for group in stackable(setups, rows.widths):
        members = [setups[i] for i in group]
        placed, a = prepared(members[0], rows, device)
        starts = warm_starts(members, placed)
        size = stack or best_size(members, a, placed)
        at = 0
        while at < len(group):
            part = slice(at, at + size)
            try:
                _side_by_side(Stack(members[part], a, placed, starts[part]), group[part], stop, progress)
                at += size
            except torch.OutOfMemoryError:
                size = min(size, len(group) - at)
                if size > 1:  # members do not depend on each other
                    warn(f"the device's memory does not hold {size} networks at once; they go on by {size // 2}")
                    size //= 2
                else:
                    members[at:] = [smaller_batch(member, placed.n_rows) for member in members[at:]]
    return [results[i] for i in range(len(setups))]


def _side_by_side(stack: Stack, indices: list[int], stop: Callable[[int, Trained], None], progress: bool) -> None:
    with watching_epochs(max(setup.training.epochs for setup in stack.setups), shown=progress) as on_epoch:
        Run(stack, indices, stop).go(on_epoch)


def _rows(setups: list[Setup], data: Any, target: Any, given: Any) -> Table | Packed:
    if isinstance(data, Packed):
        if target is not None or given is not None:
            raise DataError(f"{data.name}: what unpack gives is all that is trained on; give no target, no condition")
        for setup in setups:
            data.check(setup)
        return data
    rows = table(data, target, given)
    for likelihood in {setup.objective.likelihood for setup in setups}:
        check_fits(likelihood, rows.y, rows.name)
    return rows


def checked_setups(setups: Any) -> list[Setup]:
    """The setups as a list, each of them one."""
    if isinstance(setups, Setup) or not isinstance(setups, Iterable):
        raise ObjectiveError(f"setups must be a list of Setup, got {shown(setups)}")
    return [instance(setup, "each of setups", Setup) for setup in setups]


def stackable(setups: Sequence[Setup], widths: tuple[int, int, int]) -> list[list[int]]:
    """Indices of setups that can be trained as one stack, neighbours of one learning rate next to each other."""

    def shared(index: int) -> tuple[Architecture, Training, bool]:
        setup = setups[index]
        t, plain = setup.training, Training()
        same = replace(
            t,
            seed=0,
            learning_rate=plain.learning_rate,
            epochs=t.epochs if t.cooling else 1,  # rates that fall must fall together
            patience=None,
            min_delta=0.0,
            initial_decoder_variance=1.0,
            free_bits=float(t.free_bits > 0),
            warm_start=False,
        )
        return architecture(setup, *widths), same, t.free_bits > 0

    result: dict[Any, list[int]] = {}
    for index in range(len(setups)):
        result.setdefault(shared(index), []).append(index)
    return [sorted(group, key=lambda i: setups[i].training.learning_rate) for group in result.values()]


class Fastest(NamedTuple):
    """Members per stack that train fastest, and the seconds of a step of one member then."""

    size: int
    seconds: float


def fastest(setups: list[Setup], a: Architecture, rows: Table | Packed) -> Fastest:
    """From the time of some steps of each size."""
    largest = min(len(setups), SIZES[-1])
    best = Fastest(1, float("inf"))
    for size in [*(size for size in SIZES if size < largest), largest]:
        try:
            seconds = _seconds_per_member_step(setups[:size], a, rows)
        except torch.OutOfMemoryError:  # of the smallest, the training itself says what to do
            break
        if size == 1 and seconds > LONG_STEP_SECONDS and rows.device.type != "cuda":
            return Fastest(1, seconds)
        if seconds < GAIN * best.seconds:
            best = Fastest(size, seconds)
    return best


def best_size(setups: list[Setup], a: Architecture, rows: Table | Packed) -> int:
    """Members per stack that train fastest; a single one needs no trial."""
    return 1 if len(setups) == 1 else fastest(setups, a, rows).size


def _seconds_per_member_step(setups: list[Setup], a: Architecture, rows: Table | Packed) -> float:
    """Of a stack that is thrown away afterwards; the least of several steps, which other programs disturb least."""
    cold: list[Any] = [None] * len(setups)
    stack = Stack(setups, a, rows, cold)
    started, times = time.perf_counter(), []
    steps = itertools.chain.from_iterable(stack.steps(epoch) for epoch in itertools.count())
    for step in range(2 + TRIAL_STEPS):
        before = time.perf_counter()
        next(steps)
        if rows.device.type == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        if step >= 2:
            times.append(now - before)
        if len(times) > 1 and now - started > TRIAL_SECONDS:
            break
    return min(times) / len(setups)
