"""What is wrong with a loss, or easily missed, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from uncollapse.reading.fits import same
from uncollapse.reading.forms import NEGATIVE_BINOMIALS

if TYPE_CHECKING:
    from uncollapse.reading.result import LossReading

__all__ = ["remarks", "several_variances"]


def remarks(r: LossReading) -> Iterator[str]:
    """Each a sentence, the gravest first."""
    learned = r.misfit.learned
    for fault in (*(learned.faults if learned else ()), *r.kl.faults):
        yield f"{fault[0].upper()}{fault[1:]}{'' if fault.endswith('?') else '.'}"
    yield from _of_learned(r)
    yield from _of_sizes(r)
    yield from _of_weight(r)
    yield from _of_floors(r)
    if not r.additive:
        yield "Reconstruction and KL are not added: what one weighs hangs on the other."
    if r.random:
        yield "It gives another value each time (dropout, or a draw of z inside); it was read at one seed."


def several_variances(r: LossReading) -> str:
    """Why several decoder variances have no one water level; empty where there is one."""
    if r.misfit.kind != "learned variances" or r.misfit.learned is None:
        return ""
    if r.misfit.learned.per == "column":
        return (
            f"each column has a learned variance of its own; forecast x / x.std(axis=0) at decoder variance 1 and "
            f"β = {r.ratio:.4g}"
        )
    each = "group of columns" if r.misfit.learned.per == "group" else "number of each row"
    return f"no theory is known for a learned variance of each {each}; learn one for all features"


def _of_learned(r: LossReading) -> Iterator[str]:
    learned = r.misfit.learned
    if learned is None or learned.faults:
        return
    name = learned.names[0]
    if r.misfit.kind in NEGATIVE_BINOMIALS:
        each = {
            "all": "one for all",
            "column": "one for each column, read at their mean",
            "group": "one for each group of columns",
        }
        yield (
            f"Its dispersion is learned ({name}, {each.get(learned.per, 'one for each number of each row')}): "
            f"give the forecast the r of the trained model, or let it estimate r."
        )
        return
    if learned.per == "column":
        yield (
            f"Each column's variance is learned ({name}): complete collapse starts at the largest eigenvalue of the "
            f"correlation matrix, in units of β. See a trained model with "
            f"`uncollapse.probes.columns.per_column` (docs/models.md)."
        )
    elif learned.per == "all":
        yield f"Its variance is learned ({name}), one for all features."
    if learned.log_once:
        yield "The log of the variance is not added up as the squared error is; β is that of the loss as it stands."


def _of_sizes(r: LossReading) -> Iterator[str]:
    if r.kl.weight:
        yield from _of_kl_sizes(r)
    if "mean" in r.misfit.axes and not r.averaged:
        kinds = ", ".join(f"{side}: {axis}" for side, axis in zip(r.shape, r.misfit.axes, strict=True))
        yield f"The reconstruction is averaged over some axes of a sample and summed over others ({kinds})."


def _of_kl_sizes(r: LossReading) -> Iterator[str]:
    pair = (r.misfit.batch, r.kl.batch)
    if pair == ("mean", "sum"):
        yield (
            f"The KL is summed over the batch and the reconstruction averaged: at a batch of {r.batch_size} the KL "
            f"weighs {r.batch_size} times as much, and more in larger batches."
        )
    if pair == ("sum", "mean"):
        yield (
            f"The reconstruction is summed over the batch and the KL averaged: at a batch of {r.batch_size} the KL "
            f"weighs {r.batch_size} times less, and less in larger batches."
        )
    if r.averaged and r.kl.latents == "sum" and not r.kl.over_features and not r.learns_variance:
        yield (
            f"The reconstruction is averaged over {r.n_features:,} features and the KL is not: that puts the water "
            f"{r.n_features:,} times as high as with sums."
        )
    if r.kl.latents == "mean":
        yield f"The KL is averaged over {r.n_latents} latents: its weight falls as they become more."
    if r.kl.over_features:
        yield "The KL is divided by the number of features as well."


def _of_weight(r: LossReading) -> Iterator[str]:
    if not r.outside and same(r.kl_factor, 2.0) and r.kl.latents == "sum":
        yield "The KL has weight 2: is its ½ missing?"
    if r.kl.by_step:
        shown = ", ".join(f"{share:.3g} at {step:,}" for step, share in r.kl.by_step[:-1])
        yield f"The weight of the KL grows with the step: {shown} of what it is in the end, which is read here."


def _of_floors(r: LossReading) -> Iterator[str]:
    each = "a latent" if r.kl.a_latent else "in all"
    if r.kl.free_nats is not None:
        level = f"{r.kl.free_nats:.3g} nats {each}"
        yield f"Free nats: a KL under {level} costs nothing, so it rests there; above, the weight is as said."
    if r.kl.ceiling is not None:
        yield f"The KL is cut off above {r.kl.ceiling:.3g} nats {each}: there it costs no more, and its gradient is 0."
    if r.kl.capacity is not None:
        yield f"The KL is held at a capacity of {r.kl.capacity:.3g} nats: under it the loss asks for more."
