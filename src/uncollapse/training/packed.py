"""Rows to train on that are kept small, as bytes, and made into numbers batch by batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from uncollapse.errors import ObjectiveError
from uncollapse.training.config import Setup

__all__ = ["Packed"]

LOOKED_AT = 256


@dataclass(frozen=True, eq=False)
class Packed:
    """Rows of a table that would not fit into memory as float32: `train_all` takes them in place of data.

    Attributes
    ----------
    store : Tensor of shape (n, k)
        Of any type: bytes take a quarter of the memory.
    unpack : callable
        ``(rows of the store, generator) → (x, y)``, shapes (B, d0) and (B, d2), on the device of the rows. What it
        draws comes from the generator, so that each member's noise is its own.
    columns : tuple of int
        d0 and d2.
    name : str
    dtype : torch dtype
        The precision of the training.

    Examples
    --------
    >>> bytes_ = torch.tensor([[0, 255], [255, 0], [0, 0]], dtype=torch.uint8)
    >>> rows = Packed(bytes_, lambda part, generator: (part / 255, part / 255), (2, 2))
    >>> rows.take(torch.tensor([[1]]), [torch.Generator()])[0]
    tensor([[[1., 0.]]])
    """

    store: Tensor
    unpack: Callable[[Tensor, torch.Generator], tuple[Tensor, Tensor]]
    columns: tuple[int, int]
    name: str = "the data"
    dtype: torch.dtype = torch.float32

    @property
    def widths(self) -> tuple[int, int, int]:
        """Columns of x, y and the condition, of which there is none."""
        return *self.columns, 0

    @property
    def n_rows(self) -> int:
        """Rows."""
        return len(self.store)

    @property
    def device(self) -> torch.device:
        """Where the rows are."""
        return self.store.device

    def take(self, chosen: Tensor | None, generators: list[torch.Generator]) -> tuple[Tensor, Tensor, None]:
        """x and y (M, B, ·) of the rows that each member chose, shape (M, B); of all without a choice."""
        parts = [
            self.unpack(self.store if chosen is None else self.store.index_select(0, chosen[member]), generator)
            for member, generator in enumerate(generators)
        ]
        x, y = (torch.stack(part).to(self.dtype) for part in zip(*parts, strict=True))
        return x, y, None

    def largest(self) -> float:
        """Largest size of a number in x, of the first rows."""
        x, _ = self.unpack(self.store[:LOOKED_AT], torch.Generator(self.device))
        return float(x.abs().max())

    def to(self, device: torch.device, dtype: torch.dtype) -> Packed:
        """The same rows elsewhere."""
        return replace(self, store=self.store.to(device), dtype=dtype)

    def check(self, setup: Setup) -> None:
        """Refuse what needs all numbers at once.

        Raises
        ------
        ObjectiveError
            Another likelihood than a Gaussian, the analytic estimator, a warm start, or log(1 + x).
        """
        t = setup.training
        if setup.objective.likelihood != "gaussian" or t.estimator == "analytic" or t.warm_start:
            raise ObjectiveError(
                f"{self.name}: rows unpacked batch by batch train a Gaussian decoder by samples from random weights; "
                f"give the numbers themselves for another likelihood, the analytic estimator or a warm start"
            )
        if setup.network.log_input:
            raise ObjectiveError(f"{self.name}: log_input needs the numbers themselves; let unpack take the logarithm")
