"""Trained model + data → a better model, if there is one."""

from __future__ import annotations

from typing import Any

from uncollapse import checks
from uncollapse.bill.additions import Additions
from uncollapse.bill.budget import BUDGET, Budget
from uncollapse.bill.make import bill_of
from uncollapse.bill.sample import FEWEST, Sample, make_sample
from uncollapse.bill.wrapped import WrappedProbe, added_mean, paths_of
from uncollapse.data.rows import as_rows
from uncollapse.diagnosis.opening import loss_of, probe_of
from uncollapse.errors import DataError
from uncollapse.measure.decoder import measure_decoder, residual_water_level
from uncollapse.measure.observe import observe
from uncollapse.measure.protocol import Spread
from uncollapse.measure.result import ALIVE_NATS
from uncollapse.objective import Objective
from uncollapse.probes.own_rows import with_own_rows
from uncollapse.probes.restated import with_prior_of
from uncollapse.reviving.as_read import how_read
from uncollapse.reviving.digest import digest_of
from uncollapse.reviving.result import Revived

__all__ = ["revive"]

N_SHOWN = 8
"""Rows whose reconstructions a page shows."""


def revive(
    model: Any,
    data: Any = None,
    target: Any = None,
    given: Any = None,
    *,
    objective: Objective | None = None,
    spread: Spread | None = None,
    input_shape: tuple[int, ...] | None = None,
    scale: float = 1.0,
    drop_nonfinite: bool = False,
    n_rows: int | None = None,
    seed: int = 0,
    budget: float = BUDGET,
) -> Revived:
    """Build a better model from a trained one, without training: paths for dead latents, idle latents taken out.

    Parameters
    ----------
    model, data, target, given, objective, spread, input_shape, scale, drop_nonfinite
        As in `diagnose`.
    n_rows : int, optional
        Rows that it is built and judged on, a third each for finding, choosing and judging; see `observe`.
    seed : int
        Of those rows and of the draws of z.
    budget : float
        Seconds; the cheap lines come first.

    Returns
    -------
    Revived
        Never worse than the model on the rows that judge: what gains no more than twice its error is not applied.

    Raises
    ------
    DataError, ObjectiveError
        As in `diagnose`; fewer than 24 rows.

    Examples
    --------
    >>> import numpy as np
    >>> from uncollapse import Objective
    >>> x = np.random.default_rng(0).standard_normal((600, 3)) * [3.0, 2.0, 0.1]
    >>> dead = (lambda x: (0 * x, np.ones_like(x)), lambda z: 0 * z)
    >>> better = revive(dead, x, spread="std", objective=Objective())
    >>> better.alive_before, better.alive_after
    (0, 2)
    """
    clock = Budget(checks.number(budget, "budget", error=DataError))
    if n_rows is not None and checks.count(n_rows, "n_rows", least=2, error=DataError) < FEWEST:
        raise DataError(f"a model is revived on {FEWEST} rows or more, and n_rows (--rows) asks for {n_rows}")
    data, given = with_own_rows(model, data, given)
    rows = as_rows(data)
    probe: Any = probe_of(model, data, rows, objective=objective, spread=spread, input_shape=input_shape,
                          given=given, scale=scale)  # fmt: skip
    objective = loss_of(probe, objective)
    probe = with_prior_of(probe, objective)
    seen = observe(probe, rows, target, given, scale=scale, drop_nonfinite=drop_nonfinite, n_rows=n_rows, seed=seed)
    decoder = measure_decoder(probe, seen, objective, n_draws=2, seed=seed)
    sample = make_sample(probe, seen, objective, decoder.decoder_variance, seed=seed)
    bill = bill_of(sample, budget=clock)
    judge, added = sample.parts[2], bill.additions
    before = judge.losses()
    after = before if added is None else judge.losses(added)
    line = bill.line("revived")
    kl = [q.kl[:, : q.level_sizes[0]].mean(axis=0)
          for q in (judge.q, judge.q if added is None else judge.posterior(added))]  # fmt: skip
    return Revived(
        name=probe.name,
        objective=objective,
        bill=bill,
        additions=added,
        loss_before=float(before.mean()),
        loss_after=float(after.mean()),
        gain=float((before - after).mean()),
        gain_error=0.0 if line is None or added is None else line.error,
        n_rows=len(judge),
        kl_before=kl[0],
        kl_after=kl[1],
        alive_before=int((kl[0] > ALIVE_NATS).sum()),
        alive_after=int((kl[1] > ALIVE_NATS).sum()),
        probe=None if added is None else WrappedProbe(probe, added, objective),
        digest=digest_of(probe),
        missed=float(decoder.residual.strengths[0]),
        water_level=residual_water_level(objective, decoder),
        how_read=how_read(probe),
        seen=None if added is None else _shown(judge, added),
    )


def _shown(judge: Sample, added: Additions) -> tuple[Any, Any, Any, Any]:
    """A few rows with their reconstructions, at the posteriors' means."""
    some = judge.part(slice(0, N_SHOWN))
    z = some.posterior(added).mean[:, : added.n_latents]
    after = added_mean(some.objective.likelihood, some.decoded_with(added, z, some.decoded_mean), added,
                       paths_of(added, z))  # fmt: skip
    return some.y, some.decoded_mean, after, getattr(some.probe, "input_shape", None)
