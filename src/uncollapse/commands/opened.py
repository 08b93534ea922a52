"""A model and its data on the command line → its probe, the tables as it takes them, and what was inferred of it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import typer

from uncollapse.commands.options import settings_from
from uncollapse.commands.training_options import whole_numbers
from uncollapse.errors import ObjectiveError, UncollapseError

if TYPE_CHECKING:
    import numpy as np

    from uncollapse.data.rows import Rows
    from uncollapse.inferring.result import Inference
    from uncollapse.objective import Objective
    from uncollapse.probes.probe import Probe

    Tables = tuple[Rows, Rows | None, Rows | None]

__all__ = ["Opened", "opened"]

FEW_ROWS = 64
"""Enough to show a model what the data look like."""


@dataclass(frozen=True, eq=False)
class Opened:
    """A model with its data.

    Attributes
    ----------
    probe : Probe
    tables : tuple of Rows or None
        Data, target and condition, as the model takes them.
    scale : float
        Multiplies the data.
    inferred : Inference
    x, given : ndarray
        A few rows.
    """

    probe: Probe
    tables: Tables
    scale: float
    inferred: Inference
    x: np.ndarray
    given: np.ndarray | None

    @property
    def objective(self) -> Objective | None:
        """The model's own, or that of the loss in its file."""
        return self.probe.objective or self.inferred.objective

    @property
    def notes(self) -> list[str]:
        """What was inferred, each with the option that says otherwise."""
        return [f"inferred {one}" for one in self.inferred.found]

    def n_latents(self) -> int:
        """Of the lowest level."""
        n: int = self.probe.encode(self.x * self.scale, self.given).level_sizes[0]
        return n

    def check_as_it_is(self) -> None:
        """Refuse a model that takes the data in another form than the file's, which the workers read.

        Raises
        ------
        UncollapseError
        """
        if self.inferred.shift or self.inferred.n_classes:
            what = "moved (its data go below 0)" if self.inferred.shift else "with labels as one-hot rows"
            raise UncollapseError(
                f"{self.probe.name}: takes the data {what}, and workers read the file as it is; write them so, or "
                f"leave --scheduler out"
            )

    def ask(self, objective: Objective | None, context: Any) -> None:
        """Ask for all that is missing, in one line with the command to type.

        Raises
        ------
        ObjectiveError
            Something is missing.
        """
        missing = [one for one in self.inferred.missing if objective is None or not one.typed.startswith("--recon")]
        if not missing:
            return
        lacks = "; and ".join(one.what for one in missing)
        typed = " ".join([_line(context), *(one.typed for one in missing)])
        raise ObjectiveError(f"{self.probe.name} does not say {lacks}. With your own values, type: {typed}")


def opened(
    model: str, source: str, target: str | None, given: str | None, *, of_class: str | None,
    arguments: list[str] | None, scale: float, scale_said: bool, spread: Any, input_shape: str | None, trust: bool,
    loss_said: bool, device: str | None = None,
) -> Opened:  # fmt: skip
    """Open a model and the tables that it is to be measured on.

    Raises
    ------
    UncollapseError
        Of the data, or of the model.
    """
    import numpy as np

    from uncollapse.data.changed import n_classes_of
    from uncollapse.data.rows import dense
    from uncollapse.data.sources import open_source

    rows, goal = open_source(source), None if target is None else open_source(target)
    condition = None if given is None else _condition(given)
    x, few_given = (
        None if t is None else np.asarray(dense(next(iter(t.blocks())))[:FEW_ROWS]) for t in (rows, condition)
    )
    assert x is not None
    n_classes = 0 if condition is None else n_classes_of(condition)
    shape = None if input_shape is None else whole_numbers(input_shape, "--input-shape")
    try:
        from uncollapse.inferring.opening import open_model, tables_for
        from uncollapse.inferring.result import Said

        said = Said(of_class, settings_of(arguments), spread, shape, scale if scale_said else None, loss_said, trust)
        found = open_model(model, rows.shaped(x), few_given, said, n_classes=n_classes)
    except ImportError as error:
        raise UncollapseError(
            f"{model}: seeing into it needs {error.name or error}; pip install 'uncollapse[torch]', and the library it "
            f"was trained with"
        ) from None
    if found.n_classes and few_given is not None:
        few_given = np.eye(found.n_classes)[few_given[:, 0].astype(np.int64)]
    if device is not None:
        from uncollapse.probes.placed import placed

        found = replace(found, probe=placed(found.probe, device))
    rows, condition = tables_for(found, rows, condition)
    return Opened(found.probe, (rows, goal, condition), found.scale, found, x + found.shift / found.scale, few_given)


def _condition(given: str) -> Rows:
    """Rows of a condition; one number a row may come as a vector of labels."""
    from uncollapse.data.rows import as_rows
    from uncollapse.data.sources import open_source
    from uncollapse.data.vectors import flat_npy

    flat = flat_npy(given)
    return open_source(given) if flat is None else as_rows(flat[:, None], given)


def settings_of(arguments: list[str] | None) -> dict[str, Any]:
    """NAME=VALUE of a class's arguments: whole numbers stay whole, and lists may be written with commas."""
    result: dict[str, Any] = {}
    for name, value in settings_from(arguments, option="--args").items():
        if isinstance(value, str) and "," in value:
            value = [_number(part) for part in value.strip("[]()").split(",") if part.strip()]
        result[name] = int(value) if isinstance(value, float) and value.is_integer() else value
    return result


def _number(text: str) -> Any:
    try:
        value = float(text)
    except ValueError:
        return text.strip()
    return int(value) if value.is_integer() else value


def _line(context: Any) -> str:
    """The command as it was typed."""
    if context is None:
        return "uncollapse diagnose …"
    return " ".join(["uncollapse", str(context.info_name), *_typed(context)])


def _typed(context: typer.Context) -> Iterator[str]:
    for parameter in context.command.params:
        where = context.get_parameter_source(str(parameter.name))
        if where is None or where.name != "COMMANDLINE":
            continue
        value = context.params[str(parameter.name)]
        option = None if parameter.param_type_name == "argument" else parameter.opts[0]
        for one in value if isinstance(value, list | tuple) else [value]:
            text = "" if one is True else shlex.quote(str(one))
            yield " ".join(part for part in (option, text) if part)
