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
from uncollapse.diagnosis.thresholds import N_ERRORS, SLOW_SHARE
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
    """What is behind, encoder or training? The steps that a trial had before its time ran out are a line of the bill. A
    gain that they prove is proved, and a gain that they do not make is not tried."""
    trials = _Trials(probe, seen, objective, learning_rate or RATE, seed)
    before, after = trials.judged(probe), trials.judged(*trials.trained(CONTINUED_STEPS, clock.part(0.5)))
    gain = mean_and_error(before.losses - after.losses)
    lines = [_line("both", gain, f"this model after {after.steps} more steps of training")]
    refined = refine(probe, seen, objective, seed=seed, more_time=clock.part(0.5).left)
    if refined is not None:
        if not np.isfinite(refined.gain):
            raise UncollapseError(f"{probe.name}: the loss is not finite while q is refined")
        lines.append(_line("q", Gain(refined.gain, refined.gain_error, refined.n_rows), LINES["q"]))
    of_decoder: float | None = 0.0
    if gain.above(N_ERRORS):  # which part is behind matters only if training goes on to gain
        alone = trials.judged(*trials.trained(after.steps, clock.part(0.8), decoder_only=True))
        of_alone = mean_and_error(before.losses - alone.losses)
        of_decoder = of_alone.value if alone.steps == after.steps else None
        lines.append(_line("decoder", of_alone, f"this model after {alone.steps} more steps of its decoder alone"))
    q_cut, cut = refined is not None and refined.n_steps < STEPS, after.steps < CONTINUED_STEPS
    continued = Continued(
        gain=gain.value,
        gain_error=gain.error,
        alive_before=int(living(before.measurement, objective).sum()),
        alive_after=int(living(after.measurement, objective).sum()),
        n_steps=after.steps,
        decoder_gain=of_decoder,
        encoder_odd=replace(facts, measurement=after.measurement).encoder_odd,
        encoder_moved=float(np.abs(after.measurement.variance / before.measurement.variance - 1).max()),
        cut_short=cut or q_cut or of_decoder is None,
    )
    proved = not cut or facts.counts(gain.value, gain.error, SLOW_SHARE)
    facts = replace(
        facts, bill=facts.bill.with_lines(lines), refined=None if q_cut else refined,
        continued=continued if proved else None,
    )  # fmt: skip
    if continued.cut_short:
        facts = untried(facts, "all that a better q and further training gain: the time ran out in the middle")
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

    def __init__(self, probe: TorchProbe, seen: Observation, objective: Objective, rate: float, seed: int) -> None:
        n = len(seen.x)
        order = np.random.default_rng([seed, n]).permutation(n)  # rows may come sorted by class
        n_held = min(HELD_OUT, n // 4)
        self._held, self._part = (np.sort(rows) for rows in (order[:n_held], order[n_held:]))
        self._probe, self._seen, self._objective = probe, seen, objective
        self._rate, self._seed = rate, seed

    def trained(self, n_steps: int, clock: Budget, *, decoder_only: bool = False) -> tuple[TorchProbe, int]:
        """A copy after some more steps, and how many those were."""
        x, y, given = self._rows(self._part)
        steps = [0]
        after = retrain(
            self._probe, x, y, given, objective=self._objective, decoder_only=decoder_only, n_steps=n_steps,
            learning_rate=self._rate, seed=self._seed, more_time=clock.left, on_step=steps.append,
        )  # fmt: skip
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
