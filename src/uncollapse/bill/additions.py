"""What is added to a trained model to make a better one: latents held constant, an offset, linear paths."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from uncollapse.errors import DataError
from uncollapse.showing.noun import Card, Noun, short

__all__ = ["Additions", "nothing_added"]


@dataclass(frozen=True, eq=False, repr=False)
class Additions(Noun):
    """Arrays, and no code. l latents of the lowest level, d targets, k paths.

    A path reads a feature u(x) = clip(F·t(x) − centre, ±limit), with t the score of the reconstruction at the
    posterior's mean, or x itself where the target is not the input. Its latent has the posterior N(a·u, s²) and adds
    direction·z to the decoder's output, in natural parameters.

    Attributes
    ----------
    constants : ndarray of shape (l,)
        Where the decoder sees a latent held constant; NaN where the latent stays as it is.
    offset : ndarray of shape (d,)
        Added to the decoder's output, in natural parameters.
    features : ndarray of shape (k, d) or (k, d0)
        F.
    centre, limit, amplitude, variance : ndarrays of shape (k,)
        Of the features, and of the latents' posteriors: a and s².
    directions : ndarray of shape (k, d)
    slots : ndarray of int, shape (k,)
        The dead latent that a path takes over; -1 for a new one.
    decoder_variance : float or None
        η², where it is learned.
    reads_residual : bool
        Whether t is the score; else x.
    dispersion : ndarray of shape (d,) or None
        r of a negative binomial, for the score.
    """

    constants: np.ndarray
    offset: np.ndarray
    features: np.ndarray
    centre: np.ndarray
    limit: np.ndarray
    amplitude: np.ndarray
    variance: np.ndarray
    directions: np.ndarray
    slots: np.ndarray
    decoder_variance: float | None = None
    reads_residual: bool = True
    dispersion: np.ndarray | None = None

    @property
    def n_latents(self) -> int:
        """Of the lowest level, the new ones among them."""
        return len(self.constants) + self.n_new

    @property
    def n_new(self) -> int:
        """Paths that take over no latent of the model."""
        return int((self.slots < 0).sum())

    @property
    def n_paths(self) -> int:
        """Of all paths."""
        return len(self.slots)

    @property
    def held(self) -> np.ndarray:
        """Latents that the decoder no longer sees, bool of shape (l,)."""
        return np.isfinite(self.constants)

    @property
    def pruned(self) -> np.ndarray:
        """Those of them that no path has taken over."""
        result = self.held.copy()
        result[self.slots[self.slots >= 0]] = False
        return result

    @property
    def empty(self) -> bool:
        """Whether the model stays what it is."""
        return not (self.held.any() or self.offset.any() or self.n_paths or self.decoder_variance is not None)

    def joined(self, other: Additions) -> Additions:
        """Both at once: latents that either holds constant, the other's paths after one's own.

        Raises
        ------
        DataError
            Both take over one latent, or their paths read different things.
        """
        taken = [slot for slot in (*self.slots, *other.slots) if slot >= 0]
        if len(set(taken)) < len(taken):
            raise DataError("two paths take over one latent")
        if self.n_paths and other.n_paths and self.reads_residual != other.reads_residual:
            raise DataError("paths that read the residual cannot be joined with paths that read the data")
        main, second = (self, other) if self.n_paths else (other, self)
        stacked: dict[str, Any] = {
            name: np.concatenate([getattr(main, name), getattr(second, name)])
            for name in ("centre", "limit", "amplitude", "variance", "directions", "slots")
        }
        features = np.concatenate([main.features, second.features]) if second.n_paths else main.features
        variance = other.decoder_variance if other.decoder_variance is not None else self.decoder_variance
        return replace(
            main,
            **stacked,
            features=features,
            constants=np.where(np.isfinite(main.constants), main.constants, second.constants),
            offset=main.offset + second.offset,
            decoder_variance=variance,
            dispersion=main.dispersion if main.dispersion is not None else second.dispersion,
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it as named arrays, for a file."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: np.asarray(value) for name, value in values.items() if value is not None}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Additions:
        """From `arrays`.

        Raises
        ------
        DataError
            Arrays that are missing, or whose shapes contradict.
        """
        named: dict[str, Any] = {item.name: arrays.get(item.name) for item in fields(cls)}
        missing = [name for name in list(named)[:9] if named[name] is None]
        if missing:
            raise DataError(f"additions without {', '.join(missing)}")
        named["slots"] = named["slots"].astype(np.int64)
        named["reads_residual"] = bool(arrays.get("reads_residual", True))
        variance = named["decoder_variance"]
        named["decoder_variance"] = None if variance is None else float(variance)
        result = cls(**named)
        k, d = len(result.slots), len(result.offset)
        flat = all(np.shape(getattr(result, n)) == (k,) for n in ("centre", "limit", "amplitude", "variance", "slots"))
        if not flat or result.directions.shape != (k, d) or result.features.ndim != 2 or len(result.features) != k:
            raise DataError("additions whose arrays contradict each other in shape")
        if (result.slots >= len(result.constants)).any():
            raise DataError("additions whose paths take over latents that the model does not have")
        return result

    @property
    def text(self) -> str:
        """What was added, in a sentence."""
        parts = []
        if self.n_paths:
            new = f" ({self.n_new} of them new latents)" if self.n_new else ""
            parts.append(f"{self.n_paths} linear path{'s' * (self.n_paths > 1)}{new}")
        if n := int(self.pruned.sum()):
            parts.append(f"{n} latent{'s' * (n > 1)} held constant")
        if self.offset.any():
            parts.append("an offset of the decoder's output")
        if self.decoder_variance is not None:
            parts.append(f"decoder variance {self.decoder_variance:.4g}")
        return f"Added: {', '.join(parts) or 'nothing'}."

    def card(self) -> Card:
        """What was added."""
        facts = (
            ("linear paths", f"{self.n_paths}, {self.n_new} of them new latents"),
            ("latents held constant", str(int(self.pruned.sum()))),
            ("offset of the decoder's output", "yes" if self.offset.any() else "no"),
            ("decoder variance", "as it was" if self.decoder_variance is None else f"{self.decoder_variance:.4g}"),
        )
        return Card("What is added to the model.", facts)

    def __repr__(self) -> str:
        return short(self, n_paths=self.n_paths, n_pruned=int(self.pruned.sum()), offset=bool(self.offset.any()))


def nothing_added(n_latents: int, n_targets: int, n_read: int, *, reads_residual: bool = True) -> Additions:
    """The model as it is.

    Parameters
    ----------
    n_latents, n_targets : int
        l and d.
    n_read : int
        Columns that a path reads: d of the residual, d0 of the data.
    reads_residual : bool

    Examples
    --------
    >>> nothing_added(2, 3, 3).empty
    True
    """
    none = np.empty(0)
    return Additions(
        constants=np.full(n_latents, np.nan),
        offset=np.zeros(n_targets),
        features=np.empty((0, n_read)),
        centre=none, limit=none, amplitude=none, variance=none,
        directions=np.empty((0, n_targets)),
        slots=np.empty(0, dtype=np.int64),
        reads_residual=reads_residual,
    )  # fmt: skip
