"""What stands beside the mean, and which of the two comes first: draws of z tell, else the code or the loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from uncollapse.errors import ObjectiveError, SourceError
from uncollapse.inferring.draws import spread_by_names, spreads_by_draws
from uncollapse.inferring.guarded import guarded
from uncollapse.inferring.halves import SPREADS, Halves, Reading
from uncollapse.inferring.loss import loss_in
from uncollapse.inferring.result import Inferred, Missing, Said
from uncollapse.inferring.source import Source
from uncollapse.probes.examples import spread_of

__all__ = ["ReadSpread", "read_as", "with_spread"]

ASKED = Missing("what its encoder gives beside the mean", "--spread log_variance|variance|std")


@dataclass(frozen=True, eq=False)
class ReadSpread:
    """A module whose mean and spread are told apart.

    Attributes
    ----------
    halves : Halves
        Its reading's `spread` is empty where that is not known.
    found : tuple of Inferred
    missing : tuple of Missing
    notes : tuple of str
        Where the spread that the user says is not that of the module's draws.
    """

    halves: Halves
    found: tuple[Inferred, ...] = ()
    missing: tuple[Missing, ...] = ()
    notes: tuple[str, ...] = ()


def with_spread(halves: Halves, x: Tensor, given: Tensor | None, said: Said, source: Source | None) -> ReadSpread:
    """Tell the spread of a module, and whether it comes before the mean.

    Parameters
    ----------
    halves : Halves
        Of a spread that is not known but for distributions.
    x : Tensor of shape (B, …)
        A few samples as in the data.
    given : Tensor, optional
        Their condition.
    said : Said
    source : Source, optional
        The module's file, whose loss may tell the spread.

    Raises
    ------
    ObjectiveError
        The module's draws of z are those of no reading, and the user says none.
    """
    if halves.reading.spread == "known":
        return ReadSpread(halves)
    before = halves.reading
    halves, drawn = _drawn(halves, x, given)
    order = () if halves.reading in (before, replace(before, paired=True)) else (_order(before),)
    if said.spread is not None:
        doubts = (
            _doubts(said.spread, drawn) if drawn is not None else _doubts_of_loss(said.spread, source, halves, x, given)
        )
        return ReadSpread(read_as(halves, said.spread), order, notes=doubts)
    if drawn == []:
        raise ObjectiveError(
            f"{type(halves.model).__name__}: its own draws of z are none of a Gaussian with the mean and the spread "
            f"that its encoder gives, in either order: does z go through a flow? Such a model is outside "
            f"(docs/models.md). Or are the mean and the spread other outputs than the two that were taken? Then give a "
            f"function that returns a module with encode(x) → mean, spread and decode(z) → mean of x, "
            f"FILE:FUNCTION in place of the weights; if it is a Gaussian of these two, mean first, say its spread "
            f"(--spread)"
        )
    kind, reason = _told(halves, drawn or [], x, given)
    if kind is None:
        kind, reason = _by_loss(source, halves, x, given)
    if kind is None:
        return ReadSpread(halves, order, (ASKED,))
    assert kind in SPREADS
    return ReadSpread(read_as(halves, kind), (*order, Inferred("spread", kind.replace("_", "-"), reason, "--spread")))


def read_as(halves: Halves, kind: str) -> Halves:
    """The same with what its encoder gives beside the mean taken for one of `SPREADS`."""
    return Halves(halves.model, replace(halves.reading, spread=kind))


def _order(before: Reading) -> Inferred:
    what = f"{before.encoder} gives the spread first, then the mean"
    return Inferred("order", what, "the model's own draws of z have that mean and that spread", "a function of yours")


def _doubts(said: str, drawn: list[str]) -> tuple[str, ...]:
    if said in drawn:
        return ()
    theirs = f"they say {' or '.join(drawn)}" if drawn else "and no other reading of the two outputs fits them"
    return (f"--spread {said} is not what the model's own draws of z have ({theirs}): is it right?",)


def _doubts_of_loss(
    said: str, source: Source | None, halves: Halves, x: Tensor, given: Tensor | None
) -> tuple[str, ...]:
    """The same where no draw is seen."""
    kind, why = _by_loss(source, halves, x, given)
    if kind in (None, said):
        return ()
    return (f"--spread {said} is not what the model's loss has (that says {kind}: {why}): is it right?",)


def _drawn(halves: Halves, x: Tensor, given: Tensor | None) -> tuple[Halves, list[str] | None]:
    """Spreads that the module's draws of z allow, and how mean and spread lie in what it gives; None without draws."""
    kinds = spreads_by_draws(halves, x, given)
    if kinds:
        return halves, kinds
    for reading in _others(halves.reading, drawn=kinds is not None):
        other = Halves(halves.model, reading)
        if of_other := spreads_by_draws(other, x, given):
            return other, of_other
    return halves, kinds


def _others(r: Reading, *, drawn: bool) -> Iterator[Reading]:
    """Of one tensor for both, each mean beside its spread; where draws are seen, the spread before the mean."""
    in_one = r.parts is None and r.heads is None
    if in_one:
        yield replace(r, paired=True)
    if not drawn:
        return
    yield _turned(r)
    if in_one:
        yield _turned(replace(r, paired=True))


def _turned(r: Reading) -> Reading:
    """The same with the spread where the mean is."""
    if r.heads is not None:
        return replace(r, heads=(r.heads[1], r.heads[0]))
    if r.parts is not None:
        return replace(r, parts=(r.parts[1], r.parts[0]))
    return replace(r, spread_first=True)


def _told(halves: Halves, drawn: list[str], x: Tensor, given: Tensor | None) -> tuple[str | None, str]:
    """The spread, and what told it: draws, and where they allow several, the code."""
    if len(drawn) == 1:
        return drawn[0], "the model's own draws of z have that spread"
    with torch.no_grad():
        spread = halves.mean_and_spread(x, given)[1]
    negative = "log_variance" if bool((spread < 0).any()) else None
    told = (
        (spread_of(halves.model), "so its reparameterize takes it"),
        (spread_by_names(halves.model, halves.reading), "the code calls it so"),
        (negative, "some are negative; a log of the standard deviation is rarer"),
        (drawn[0] if drawn else None, f"the model's own draws of z allow {' and '.join(drawn)}, here the same"),
    )
    return next(((kind, why) for kind, why in told if kind is not None and (not drawn or kind in drawn)), (None, ""))


def _by_loss(source: Source | None, halves: Halves, x: Tensor, given: Tensor | None) -> tuple[str | None, str]:
    """The one spread under which the loss has a KL of Gaussians; none where the loss is of made-up numbers alone."""
    fits: list[str] = []
    try:
        with guarded(type(halves.model).__name__, hint="say the spread yourself"):
            for kind in SPREADS:
                if loss_in(source, read_as(halves, kind), x, given).objective is not None:
                    fits.append(kind)
    except SourceError:  # it is asked for
        return None, ""
    return (fits[0], "only so is the KL in its loss that of Gaussians") if len(fits) == 1 else (None, "")
