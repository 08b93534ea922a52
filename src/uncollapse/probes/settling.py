"""Which outputs of an encoder are mean and spread and what the spread is: said, seen in its draws, or named.

Frameworks other than PyTorch have no `reparameterize` to ask; their layers and outputs have names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from uncollapse.errors import DataError
from uncollapse.measure.protocol import Spread, SpreadUnknown
from uncollapse.probes.named import Kind, kind_of_any, kind_of_name, places_of_names
from uncollapse.probes.outputs import mean_and_spread
from uncollapse.probes.probe import log_variance_of

__all__ = ["FIRST_ROWS", "Settled", "Settling"]

FIRST_ROWS = 16
"""Rows that show how an encoder is read."""

REPEATS = 32
"""Draws of z for each row: the logarithm of their variance is then known to 0.25."""

CLOSE = 0.25
"""Mean square of log (variance of the draws / variance of a kind) up to which that kind fits: four times its noise."""

FURTHER = 2.0
"""How many times as far the next kind must be."""

IN_WORDS: dict[Kind, str] = {
    "log_variance": "the log-variance",
    "variance": "the variance",
    "std": "the standard deviation",
    "log_std": "the logarithm of the standard deviation",
}


@dataclass(frozen=True)
class Settled:
    """Positions of mean and spread, or None where one output holds both, halves of it; and what the spread is."""

    places: tuple[int, int] | None
    kind: Kind
    notes: tuple[str, ...]

    def mean_and_log_variance(self, parts: Sequence[Tensor], where: str) -> tuple[Tensor, Tensor]:
        """Of what the encoder gave, differentiable."""
        mean, spread = self._picked(parts, where)
        return mean, 2 * spread if self.kind == "log_std" else log_variance_of(spread, self.kind, where)

    def _picked(self, parts: Sequence[Tensor], where: str) -> tuple[Tensor, Tensor]:
        if self.places is None:
            half = parts[0].shape[-1] // 2
            return parts[0][..., :half], parts[0][..., half:]
        if len(parts) <= max(self.places):
            raise DataError(f"{where} gave {len(parts)} outputs, and {self.places} are to be mean and spread")
        return parts[self.places[0]], parts[self.places[1]]


@dataclass
class Settling:
    """What is known of an encoder before it ran; `settled` is what its first outputs show.

    Attributes
    ----------
    where : str
        The encoder, in messages.
    spread, outputs
        As the user says them in `open_probe`.
    hints : sequence of str
        Names of the encoder's layers or weights.
    n_latents : int, optional
        That the decoder takes, where it is known.
    """

    where: str
    spread: Spread | None = None
    outputs: tuple[int, int] | None = None
    hints: Sequence[str] = ()
    n_latents: int | None = None
    _settled: Settled | None = field(default=None, repr=False)

    def __deepcopy__(self, memo: Any) -> Settling:
        return self  # copies of a model are read as it was

    @property
    def notes(self) -> tuple[str, ...]:
        """How the encoder was read, as far as it ran."""
        return () if self._settled is None else self._settled.notes

    def settled(self, run: Callable[[], tuple[Sequence[Tensor], Sequence[str] | None]]) -> Settled:
        """How what the encoder gives is read; found once.

        Parameters
        ----------
        run : callable
            Gives the outputs of a few rows, always the same, and the names of the outputs where there are some.

        Raises
        ------
        ObjectiveError
            Mean and spread cannot be told apart.
        SpreadUnknown
            Nothing says what the spread is.
        DataError
            One output, which does not hold both.
        """
        if self._settled is None:
            parts, names = run()
            self._settled = self._found(parts, names, lambda: run()[0])
        return self._settled

    def _found(self, parts: Sequence[Any], names: Sequence[str] | None, again: Callable[[], Sequence[Any]]) -> Settled:
        notes: list[str] = []
        if len(parts) < 2:
            self._check_halves(parts)
            places = None
            notes.append("the encoder's one output is read as two halves: the mean, then the spread")
        elif self.outputs is not None:
            places = self.outputs
        elif names is not None and (named := places_of_names(names)) is not None:
            places = named
            if places != (0, 1):
                notes.append(
                    f"mean and spread are the outputs {names[places[0]]} and {names[places[1]]}: by their names"
                )
        else:
            places = (0, 1) if len(parts) == 2 else mean_and_spread(parts, again, self.where)
        kind, note = self._kind(parts, places, names, again)
        return Settled(places, kind, (*notes, *note))

    def _check_halves(self, parts: Sequence[Any]) -> None:
        width = parts[0].shape[-1] if len(parts) and len(getattr(parts[0], "shape", ())) > 1 else 0
        if not width or self.n_latents is None or width != 2 * self.n_latents:
            takes = "" if self.n_latents is None else f", and the decoder takes {self.n_latents} latents"
            raise DataError(f"{self.where} gave one output{f' of {width} numbers' if width else ''}{takes}; a mean and "
                            f"a spread of each latent are due")  # fmt: skip

    def _kind(
        self, parts: Sequence[Any], places: tuple[int, int] | None, names: Sequence[str] | None,
        again: Callable[[], Sequence[Any]],
    ) -> tuple[Kind, tuple[str, ...]]:  # fmt: skip
        if self.spread is not None:
            return self.spread, ()
        if places is not None and (kind := _of_draws(parts, places, again)) is not None:
            return kind, (f"the encoder's spread is read as {IN_WORDS[kind]}: so its own draws of z have it",)
        name = names[places[1]] if names is not None and places is not None else None
        if name is not None and (kind := kind_of_name(name)) is not None:
            return kind, (f"the encoder's spread is read as {IN_WORDS[kind]}: its name is {name}{_if_not(kind)}",)
        if (kind := kind_of_any(self.hints)) is not None:
            by = next(hint for hint in self.hints if kind_of_name(hint) == kind)
            return kind, (f"the encoder's spread is read as {IN_WORDS[kind]}: it has {by}{_if_not(kind)}",)
        raise SpreadUnknown(
            f"{self.where} gives a mean and something that may be a log-variance, a variance or a standard deviation; "
            f"say spread='log_variance', 'variance' or 'std' (--spread)"
        )


def _if_not(kind: Kind) -> str:
    return "; if it is log σ², say spread='log_variance'" if kind == "log_std" else ""


def _of_draws(parts: Sequence[Any], places: tuple[int, int], again: Callable[[], Sequence[Any]]) -> Kind | None:
    """The kind of spread that the encoder's own z is drawn with; None where it gives no draw, or two kinds fit."""
    drawn = next((i for i in range(min(len(parts), 3)) if i not in places), None)
    if drawn is None or len(parts) <= max(places) or tuple(parts[drawn].shape) != tuple(parts[places[0]].shape):
        return None
    mean, spread, z = (_array(parts[i]) for i in (*places, drawn))
    if np.array_equal(z, _array(again()[drawn])):
        return None
    draws = [_array(again()[drawn]) for _ in range(REPEATS)]
    with np.errstate(all="ignore"):
        seen = np.log(np.mean([(draw - mean) ** 2 for draw in draws], axis=0))
        logarithms: dict[Kind, np.ndarray] = {
            "log_variance": spread, "variance": np.log(spread), "std": 2 * np.log(spread), "log_std": 2 * spread,
        }  # fmt: skip
        apart = sorted((float(np.mean((seen - log) ** 2)), kind) for kind, log in logarithms.items()
                       if np.isfinite(log).all())  # fmt: skip
    fits = bool(apart) and apart[0][0] < CLOSE and (len(apart) < 2 or apart[1][0] > FURTHER * apart[0][0])
    return apart[0][1] if fits else None


def _array(part: Any) -> np.ndarray:
    return np.asarray(part.detach().cpu() if hasattr(part, "detach") else part, dtype=np.float64)
