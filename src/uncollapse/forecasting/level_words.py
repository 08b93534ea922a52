"""Hierarchies and conditions in words: what each level does and why, and what the condition takes from the latents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uncollapse.forecasting.levels import LevelForecast
    from uncollapse.forecasting.result import Forecast

__all__ = ["LEVEL_HEADINGS", "about_condition", "about_levels", "level_rows", "levels_verdict"]

LEVEL_HEADINGS = ("level", "β", "variance", "latents", "alive", "KL, nats")


def levels_verdict(f: Forecast) -> str:
    """How many latents live on each level, in one sentence."""
    counts = [f"level {level.level}: {_count(level)}" for level in f.levels]
    text = "; ".join(counts) + "."
    if f.flat:
        return f"The optimum is not unique: {f.flat}. {text[0].upper()}{text[1:]}"
    if f.n_alive == 0:
        return f"Complete collapse: no latent of level 1 carries anything of the data. {text[0].upper()}{text[1:]}"
    return text[0].upper() + text[1:]


def _count(level: LevelForecast) -> str:
    n, total = level.n_alive, level.n_latents
    if n == total:
        return f"all {total} latents live" if total > 1 else "its latent lives"
    return f"{n or 'none'} of {total} latents {'live' if n > 1 else 'lives'}"


def about_levels(f: Forecast) -> Iterator[str]:
    """Why levels are dead or idle, one sentence each."""
    for below, level in zip(f.levels, f.levels[1:], strict=False):
        if level.n_alive == 0 and not f.flat:
            yield _why_dead(f, below, level)
        idle = level.n_idle
        if idle:
            yield (
                f"{idle} living latent{'' if idle == 1 else 's'} of level {level.level} "
                f"{'codes' if idle == 1 else 'code'} the encoder noise of level {level.level - 1}, where no mode "
                f"lives: {'it carries' if idle == 1 else 'they carry'} nothing of the data."
            )


def _why_dead(f: Forecast, below: LevelForecast, level: LevelForecast) -> str:
    name = f"Level {level.level}"
    if level.variance == below.variance == "learned":
        return (
            f"{name} cannot help: its weight (β = {level.beta:g}) exceeds that of level {below.level} "
            f"(β = {below.beta:g}) and both learn their variance, so it collapses whatever the data."
        )
    most = max(below.chains.variance[: len(level.sizes)], default=0.0)
    needed = level.beta / below.beta * f.decoder_variance
    if level.variance == "learned":
        return (
            f"{name} is collapsed: the latents of level {below.level} vary by {most:.4g} at most, and it lives only "
            f"above β{level.level}η²/β{below.level} = {needed:.4g}."
        )
    return f"{name} is collapsed: its fixed variance ({level.variance:g}) hides the latents of level {below.level}."


def level_rows(f: Forecast) -> list[list[str]]:
    """A line for each level, under `LEVEL_HEADINGS`."""
    return [
        [
            str(level.level),
            f"{level.beta:g}",
            level.variance if level.variance == "learned" else f"{level.variance:g}",
            str(level.n_latents),
            str(level.n_alive),
            f"{level.rate:.4g}",
        ]
        for level in f.levels
    ]


def about_condition(f: Forecast) -> str:
    """What the condition explains, and what that costs in living latents."""
    condition, alone = f.spectrum.condition, f.without_condition
    if condition is None or alone is None or not condition.energy:
        return ""
    share = 1 - f.spectrum.total_energy / condition.energy if condition.energy else 0.0
    fewer = alone.n_alive - f.n_alive
    cost = "costs no living latent"
    if fewer > 0:
        cost = f"costs {fewer} living latent{'' if fewer == 1 else 's'}: without it {alone.n_alive} would live"
    return f"The condition explains {share:.1%} of the data's energy, which {cost}."
