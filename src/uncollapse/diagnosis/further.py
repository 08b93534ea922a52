"""What a better q and further training of a copy gain: facts → the same facts with those trials, and their lines."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from uncollapse.bill.budget import Budget
from uncollapse.bill.line import LINES, Line, LineName
from uncollapse.bill.sample import Gain, mean_and_error
from uncollapse.diagnosis.facts import Continued, Facts, living
from uncollapse.diagnosis.reach import reach
from uncollapse.diagnosis.refine import STEPS, refine
from uncollapse.diagnosis.thresholds import N_ERRORS
from uncollapse.errors import UncollapseError
from uncollapse.measure.decoder import row_losses
from uncollapse.measure.observe import Observation
from uncollapse.measure.result import Measurement
from uncollapse.measure.sums import posterior_sums
from uncollapse.objective import Objective
from uncollapse.probes.probe import TorchProbe
from uncollapse.probes.retrain import RATE, retrain

__all__ = ["untried", "with_trials"]

CONTINUED_STEPS = 120
HELD_OUT = 512


def with_trials(
    facts: Facts,
    probe: TorchProbe,
    seen: Observation,
    objective: Objective,
    learning_rate: float | None,
    seed: int,
    clock: Budget,
) -> Facts:
    """What is behind, encoder or training? A trial that the clock cuts short still is a line of the bill, for the steps
    that it had; no cause is judged by it."""
    refined = refine(probe, seen, objective, seed=seed, more_time=clock.left)
    if refined is not None and not np.isfinite(refined.gain):
        raise UncollapseError(f"{probe.name}: the loss is not finite while q is refined")
    trials = _Trials(probe, seen, objective, learning_rate or RATE, seed, clock)
    before, after = trials.judged(probe), trials.judged(*trials.trained())
    gain = mean_and_error(before.losses - after.losses)
    lines = [_line("both", gain, f"this model after {after.steps} more steps of training")]
    of_decoder = None
    if gain.above(N_ERRORS):  # which part is behind matters only if training goes on to gain
        alone = trials.judged(*trials.trained(decoder_only=True))
        of_decoder = mean_and_error(before.losses - alone.losses)
        lines.append(_line("decoder", of_decoder, f"this model after {alone.steps} more steps of its decoder alone"))
    if refined is not None:
        lines.append(_line("q", Gain(refined.gain, refined.gain_error, refined.n_rows), LINES["q"]))
    facts = replace(facts, bill=facts.bill.with_lines([line for line in lines if line is not None]))
    if trials.cut_short or (refined is not None and refined.n_steps < STEPS):
        return untried(facts, "all that a better q and further training gain: the time ran out in the middle")
    continued = Continued(
        gain=gain.value,
        gain_error=gain.error,
        alive_before=int(living(before.measurement, objective).sum()),
        alive_after=int(living(after.measurement, objective).sum()),
        n_steps=CONTINUED_STEPS,
        decoder_gain=0.0 if of_decoder is None else of_decoder.value,
        encoder_odd=replace(facts, measurement=after.measurement).encoder_odd,
        encoder_moved=float(np.abs(after.measurement.variance / before.measurement.variance - 1).max()),
    )
    facts = replace(facts, refined=refined, continued=continued)
    if not clock.left():
        return untried(facts, "what its decoder can show at all: no time was left")
    with suppress(UncollapseError):  # parts that cannot start anew say nothing of what such a decoder can show
        shown = reach(probe, np.asarray(seen.y), facts.decoder.residual.directions[:, 0], seen.given, seed)
        return replace(facts, reach=shown)
    return facts


def untried(facts: Facts, what: str) -> Facts:
    """The same, and what its bill lacks."""
    return replace(facts, bill=replace(facts.bill, untried=(*facts.bill.untried, what)))


def _line(name: LineName, gain: Gain, words: str) -> Line:
    return Line(name, gain.value, gain.error, gain.n_rows, words)


@dataclass(frozen=True, eq=False)
class _Judged:
    """A model on held-out rows, after so many steps."""

    losses: np.ndarray
    measurement: Measurement
    steps: int


class _Trials:
    """Copies of a model, trained on three quarters of the rows or more, and judged on the others."""

    def __init__(
        self, probe: TorchProbe, seen: Observation, objective: Objective, rate: float, seed: int, clock: Budget
    ) -> None:
        n = len(seen.x)
        order = np.random.default_rng([seed, n]).permutation(n)  # rows may come sorted by class
        n_held = min(HELD_OUT, n // 4)
        self._held, self._part = (np.sort(rows) for rows in (order[:n_held], order[n_held:]))
        self._probe, self._seen, self._objective = probe, seen, objective
        self._rate, self._seed, self._clock = rate, seed, clock
        self.cut_short = False

    def trained(self, *, decoder_only: bool = False) -> tuple[TorchProbe, int]:
        """A copy after some more steps, and how many those were."""
        x, y, given = self._rows(self._part)
        steps = [0]
        after = retrain(
            self._probe, x, y, given, objective=self._objective, decoder_only=decoder_only, n_steps=CONTINUED_STEPS,
            learning_rate=self._rate, seed=self._seed, more_time=self._clock.left, on_step=steps.append,
        )  # fmt: skip
        self.cut_short |= steps[-1] < CONTINUED_STEPS
        return after, steps[-1]

    def judged(self, model: TorchProbe, steps: int = 0) -> _Judged:
        """Losses and posteriors on the rows that no copy sees."""
        x, y, given = self._rows(self._held)
        q = model.encode(x, given)
        again = replace(self._seen, x=x, y=y, given=given, posterior=q)
        losses = row_losses(model, again, self._objective, seed=self._seed)
        return _Judged(losses, Measurement(posterior_sums(q)), steps)

    def _rows(self, rows: np.ndarray) -> tuple[Any, Any, Any]:
        s = self._seen
        x = s.x[rows]
        return x, x if s.y is s.x else s.y[rows], None if s.given is None else s.given[rows]
