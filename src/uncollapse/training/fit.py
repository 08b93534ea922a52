"""Train one VAE, with or without a checkpoint to go on from."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch

from uncollapse.checks import as_path, flag, non_negative
from uncollapse.errors import DataError, OutputError, TrainingError, warn
from uncollapse.files import check_writable, locked
from uncollapse.forecasting.predict import forecast
from uncollapse.forecasting.weights import Weights
from uncollapse.objective import Objective
from uncollapse.progress import watching_epochs
from uncollapse.training.architecture import Architecture, architecture
from uncollapse.training.config import Network, Setup, Training, differences
from uncollapse.training.data import Table, table
from uncollapse.training.loop import COLUMNS, Member, Run
from uncollapse.training.packed import Packed
from uncollapse.training.placing import device_named
from uncollapse.training.result import Trained
from uncollapse.training.stack import Stack
from uncollapse.training.state import HISTORY, LATENT_KL, read_state, save

__all__ = ["prepared", "smaller_batch", "train", "warm_starts"]

R = TypeVar("R", bound=Table | Packed)

CHECKPOINT_SECONDS = 10.0
"""Least time between two checkpoints: writing one of 100 MB takes about a tenth of a second."""


def train(
    data: Any,
    target: Any = None,
    given: Any = None,
    *,
    objective: Objective | None = None,
    network: Network | None = None,
    training: Training | None = None,
    device: str | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    progress: bool = False,
) -> Trained:
    """Train a VAE.

    Parameters
    ----------
    data, target, given : array, Rows or anything else that `uncollapse.forecast` takes
        What the encoder sees; what the decoder predicts, the data themselves when left out; and for a conditional VAE
        the condition that both see.
    objective, network, training : Objective, Network, Training
        What is minimised, by what, and how; their defaults when left out.
    device : str, optional
        ``cpu``, ``cuda``, ``cuda:1``, ``mps``; a GPU if there is one when left out. Where its memory does not hold a
        batch, training begins again with half of it, and a warning says so.
    checkpoint : path, optional
        Written while training and at its end. If it is there already, training goes on from it, on the same machine
        bit for bit as if it had never stopped; all settings but the number of epochs must be the same. Where the
        learning rate falls at the end (`Training.cooling`), epochs and cooling may differ only before it does.
    checkpoint_seconds : float
        Least time between two.
    progress : bool
        Show a bar on the terminal.

    Returns
    -------
    Trained

    Raises
    ------
    DataError, ObjectiveError
        Unfit data or settings.
    TrainingError
        The loss left the finite numbers (its `trained` is the last good state, which the checkpoint holds too), or the
        checkpoint is of another training.
    OutputError
        The checkpoint cannot be written, or another process trains into it.

    Examples
    --------
    >>> from uncollapse.training import Training, train
    >>> x = np.random.default_rng(0).standard_normal((200, 3)) * [3.0, 1.0, 0.1]
    >>> analytic = Training(estimator="analytic", learning_rate=0.05, epochs=10)
    >>> vae = train(x, objective=Objective(beta=0.5, n_latents=3), training=analytic)
    >>> vae.evaluate(x).n_alive
    2
    """
    setup = Setup(
        Objective() if objective is None else objective,
        Network() if network is None else network,
        Training() if training is None else training,
    )
    path = None if checkpoint is None else as_path(checkpoint, "checkpoint", error=OutputError)
    checkpoint_seconds = non_negative(checkpoint_seconds, "checkpoint_seconds")
    progress = flag(progress, "progress")
    check_writable(path)
    with nullcontext() if path is None else _own(path):
        rows = table(data, target, given, likelihood=setup.objective.likelihood)
        while True:
            try:
                return _train(setup, rows, device, path, checkpoint_seconds, progress=progress)
            except torch.OutOfMemoryError:
                setup = smaller_batch(setup, rows.n_rows, path)


def smaller_batch(setup: Setup, n_rows: int, checkpoint: Path | None = None) -> Setup:
    """The same with half the batch, for a device whose memory did not hold it.

    Raises
    ------
    TrainingError
        There are no batches to halve, or a checkpoint is of the larger ones.
    """
    size = min(setup.training.batch_size or n_rows, n_rows)
    half = -(-size // 2)
    if setup.training.estimator == "analytic" or size == 1:
        raise TrainingError("the device's memory does not hold this network; use a smaller one, or device cpu")
    if checkpoint is not None and checkpoint.exists():
        raise TrainingError(
            f"{checkpoint}: the device's memory does not hold batches of {size} rows, which this checkpoint is of; "
            f"train anew with {half} (--batch-size {half})"
        )
    warn(f"the device's memory does not hold batches of {size} rows; training begins again with {half}")
    return replace(setup, training=replace(setup.training, batch_size=half))


def _own(path: Path) -> Any:
    """The checkpoint for this process alone."""
    return locked(path.with_name(f".{path.name}.lock"), f"{path}: another process trains into it; wait, or stop it")


def _train(
    setup: Setup, rows: Table, device: str | None, path: Path | None, checkpoint_seconds: float, *, progress: bool
) -> Trained:
    rows, a = prepared(setup, rows, device)
    stopped: list[Trained] = []
    run = Run(Stack([setup], a, rows, warm_starts([setup], rows)), [0], lambda _, result: stopped.append(result))
    member, fingerprint = run.members[0], rows.fingerprint() if path else ""
    if path is not None and path.exists() and (failed := _resume(run, path, fingerprint)):
        raise TrainingError(f"{path}: this training failed before: {failed}; train anew with other settings")
    saved_at, last = time.monotonic(), Snapshot(run) if path is not None and run.members else None

    def keep(now: Run) -> None:
        nonlocal saved_at, last
        if path is None:
            return
        last = Snapshot(now)
        if time.monotonic() - saved_at >= checkpoint_seconds:
            last.write(path, fingerprint)
            saved_at = time.monotonic()

    try:
        with watching_epochs(setup.training.epochs, shown=progress) as on_epoch:
            run.go(on_epoch, keep)
    except BaseException:  # an interrupt, or anything else from outside: the epochs that are done are kept
        if path is not None and last is not None and last.epoch:
            last.write(path, fingerprint)
        raise
    result = stopped[0]
    if path is not None:
        _write(path, result, run, member, fingerprint)
    if result.status == "failed":
        where = f"; the last good state is in {path}" if path else ""
        error = TrainingError(result.message + where)
        error.trained = result  # type: ignore[attr-defined]
        raise error
    return result


def prepared(setup: Setup, rows: R, device: str | None) -> tuple[R, Architecture]:
    """The rows on the device, in the precision of the training, and the architecture that fits them."""
    a = architecture(setup, *rows.widths)
    if isinstance(rows, Table) and a.log_input and float(rows.x.min()) <= -1:
        raise DataError(f"{rows.name}: the encoder sees log(1 + x) and x goes down to {float(rows.x.min()):g}; set "
                        f"Network(log_input=False)")  # fmt: skip
    double = setup.training.double or setup.training.estimator == "analytic"
    return cast(R, rows.to(device_named(device), torch.float64 if double else torch.float32)), a


def warm_starts(setups: list[Setup], rows: Table | Packed) -> list[Weights | None]:
    """The closed-form optimum for each setup that asks for it; the data are read once."""
    if isinstance(rows, Packed):
        return [None] * len(setups)
    result: list[Weights | None] = []
    parts = [rows.x.cpu().numpy(), None if rows.y is rows.x else rows.y.cpu().numpy()]
    condition: dict[str, Any] = {} if rows.given is None else {"given": rows.given.cpu().numpy()}
    for setup in setups:
        if not setup.training.warm_start:
            result.append(None)
            continue
        n = setup.objective.n_latents or min(rows.widths[:2])
        result.append(forecast(*parts, **condition, objective=replace(setup.objective, n_latents=n)).weights)
    return result


class Snapshot:
    """A run between two epochs: what a checkpoint needs, whatever the run does next."""

    def __init__(self, run: Run) -> None:
        self.member, self.epoch = run.members[0], run.epoch
        self.setup, self.architecture = run.stack.setups[0], run.stack.architecture
        self.names = list(run.stack.parameters)
        self.best, self.since = self.member.best, self.member.since
        self.tensors = {name: value.detach().clone() for name, value in run.stack.tensors().items()}

    def write(self, path: Path, fingerprint: str) -> None:
        """The checkpoint, as if training had stopped here."""
        parameters = {name: self.tensors[name][0].cpu().clone() for name in self.names}
        result = self.member.result(self.setup, self.architecture, parameters, "finished", "", self.epoch)
        state = {f"state.{name}": value for name, value in self.tensors.items()}
        best = self.best if np.isfinite(self.best) else None
        save(result, path, state, epoch=self.epoch, fingerprint=fingerprint, best=best, since=self.since)


def _write(path: Path, result: Trained, run: Run, member: Member, fingerprint: str) -> None:
    state = {f"state.{name}": value for name, value in run.stack.tensors().items()}
    best = member.best if np.isfinite(member.best) else None
    save(result, path, state, epoch=run.epoch, fingerprint=fingerprint, best=best, since=member.since)


def _resume(run: Run, path: Path, fingerprint: str) -> str | None:
    """Put the run where the checkpoint left it; the message of a training that failed."""
    tensors, facts = read_state(path)
    theirs, ours = Setup.from_dict(facts["setup"]), run.stack.setups[0]
    if changed := differences(ours, theirs, _changeable(ours.training, theirs.training, facts["epoch"])):
        raise TrainingError(f"{path}: is a checkpoint of other settings ({'; '.join(changed)}); give it another name")
    if facts["fingerprint"] != fingerprint:
        raise TrainingError(f"{path}: is a checkpoint of a training on other data; give it another name")
    if facts["status"] == "failed":
        return str(facts["message"])
    run.stack.restore({n.removeprefix("state."): v for n, v in tensors.items() if n.startswith("state.")})
    member, run.epoch = run.members[0], facts["epoch"]
    columns = np.stack([tensors[HISTORY + name].numpy() for name in COLUMNS], 1)
    member.rows, member.latent_kl = columns.tolist(), list(tensors[LATENT_KL].numpy())
    member.seconds = facts["seconds"]
    member.best = np.inf if facts["best"] is None else facts["best"]
    member.since = facts["since"]
    return None


def _changeable(ours: Training, theirs: Training, epoch: int) -> tuple[str, ...]:
    """Settings in which a training may differ from its checkpoint after `epoch` epochs and have had the same steps."""
    if not (ours.cooling or theirs.cooling):
        return ("epochs",)
    begun = epoch > min(ours.epochs_at_full_rate, theirs.epochs_at_full_rate)
    return () if begun else ("epochs", "cooling")
