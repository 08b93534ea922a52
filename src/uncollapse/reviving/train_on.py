"""Training that goes on from a revived model, with the same loss."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from uncollapse import checks
from uncollapse.data.rows import as_rows
from uncollapse.errors import DataError, UncollapseError
from uncollapse.files import write_bytes
from uncollapse.measure.decoder import row_losses
from uncollapse.measure.observe import observe
from uncollapse.measure.result import ALIVE_NATS
from uncollapse.probes.examples import module_probe
from uncollapse.probes.retrain import BATCH, RATE, retrain
from uncollapse.reviving.folder import TRAINED
from uncollapse.reviving.module import RevivedModule, revived_module
from uncollapse.reviving.result import Revived

__all__ = ["TrainedOn", "train_on"]

MOST_ROWS = 20_000
HELD = 0.2
"""Share of the rows that the training does not see."""


@dataclass(frozen=True)
class TrainedOn:
    """What came of it, on rows that the training did not see; nats per sample.

    Attributes
    ----------
    loss_before, loss_after : float
        Of the revived model, and after the training.
    alive : int
        After it.
    n_rows : int
    epochs : int
    module : Module
    """

    loss_before: float
    loss_after: float
    alive: int
    n_rows: int
    epochs: int
    module: nn.Module = field(repr=False)

    @property
    def text(self) -> str:
        """The sentence."""
        return (
            f"After {self.epochs} more epochs: loss {self.loss_before:.5g} → {self.loss_after:.5g} on {self.n_rows:,} "
            f"rows that they did not see; {self.alive} latents alive."
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        names = ("loss_before", "loss_after", "alive", "n_rows", "epochs")
        return {name: getattr(self, name) for name in names}

    def write(self, folder: Path) -> None:
        """The weights, beside the arrays of the revived model."""
        from safetensors.torch import save

        tensors = {name: value.detach().cpu().contiguous().clone() for name, value in self.module.state_dict().items()}
        write_bytes(folder / TRAINED, save(tensors))


def train_on(
    revived: Revived,
    data: Any,
    target: Any = None,
    given: Any = None,
    *,
    epochs: int,
    scale: float = 1.0,
    drop_nonfinite: bool = False,
    learning_rate: float | None = None,
    seed: int = 0,
) -> TrainedOn:
    """Train the revived model on, by Adam on at most 20,000 rows; a fifth of them is held out.

    Parameters
    ----------
    revived : Revived
    data, target, given, scale, drop_nonfinite
        As it was made from.
    epochs : int
    learning_rate : float, optional
        1e-3 when left out.
    seed : int

    Raises
    ------
    UncollapseError
        The model cannot be trained, or nothing was revived.
    """
    if revived.additions is None or revived.probe is None:
        raise UncollapseError(f"{revived.name}: was not revived, so there is nothing to train on from")
    epochs = checks.count(epochs, "epochs", least=1, error=DataError)
    own: Any = revived.probe.probe
    module = revived_module(own, revived.additions, revived.objective)
    # the user's own class speaks as the user's module does; one of ours gives log-variances
    spread: Any = "log_variance" if isinstance(module, RevivedModule) else own.spread
    probe = replace(
        module_probe(module, spread=spread, input_shape=own.input_shape),
        objective=revived.objective, decoder_variance=revived.probe.decoder_variance, dispersion=own.dispersion,
    )  # fmt: skip
    options: dict[str, Any] = {"scale": scale, "drop_nonfinite": drop_nonfinite, "seed": seed}
    seen = observe(probe, as_rows(data), target, given, n_rows=MOST_ROWS, **options)
    n_held = max(int(HELD * len(seen.x)), 1)
    shuffled = np.random.default_rng(seed).permutation(len(seen.x))
    held, rest = shuffled[:n_held], shuffled[n_held:]
    y = seen.x[rest] if seen.y is seen.x else seen.y[rest]
    x = seen.x[rest] if seen.y is not seen.x else y
    condition = None if seen.given is None else seen.given[rest]
    n_steps = epochs * max(int(np.ceil(len(x) / BATCH)), 1)
    after = retrain(
        probe, x, y, condition, objective=revived.objective, n_steps=n_steps, learning_rate=learning_rate or RATE,
        seed=seed,
    )  # fmt: skip
    losses = []
    some_x = seen.x[held]
    for model in (probe, after):
        c = None if seen.given is None else seen.given[held]
        q = model.encode(some_x, c)
        some = replace(seen, x=some_x, y=some_x if seen.y is seen.x else seen.y[held], given=c, posterior=q)
        losses.append(float(row_losses(model, some, revived.objective, seed=seed).mean()))
    alive = int((q.kl[:, q.lowest].mean(axis=0) > ALIVE_NATS).sum())
    return TrainedOn(losses[0], losses[1], alive, n_held, epochs, after.module)
