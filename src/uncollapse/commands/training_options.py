"""Options that `train` and `sweep` share, and what they make of them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from uncollapse.commands.loss_options import DropNonfinite, Given, Scale, Target
from uncollapse.commands.options import notes_of
from uncollapse.errors import ObjectiveError, UncollapseError, shown

__all__ = [
    "Activation",
    "Analytic",
    "BatchSize",
    "Channels",
    "Clip",
    "Cooling",
    "DropNonfinite",
    "Epochs",
    "Given",
    "Hidden",
    "Image",
    "LearningRate",
    "Likelihood",
    "NoBias",
    "Optimiser",
    "Patience",
    "Scale",
    "Schedule",
    "Source",
    "Target",
    "WarmStart",
    "WarmUp",
    "axis",
    "base_setup",
    "opened_table",
    "training_side",
    "whole_numbers",
]

NETWORK, TRAINING = "The network", "The training"

Source = Annotated[
    str,
    typer.Argument(help="As in `uncollapse forecast`: digits, iris, …, a file or a folder.", show_default=False),
]
Likelihood = Annotated[
    str, typer.Option(metavar="gaussian|bernoulli|poisson|negative-binomial|categorical", help="Of the decoder.")
]
NoBias = Annotated[bool, typer.Option("--no-bias", help="No biases.", rich_help_panel=NETWORK)]
Hidden = Annotated[
    str,
    typer.Option(metavar="LIST", help="Hidden widths of the encoder, 512,256; none: linear.", rich_help_panel=NETWORK),
]
Activation = Annotated[str, typer.Option(metavar="relu|tanh|silu", rich_help_panel=NETWORK)]
Channels = Annotated[
    str, typer.Option(metavar="LIST", help="Channels of convolutions of stride 2: 32,64.", rich_help_panel=NETWORK)
]
Image = Annotated[
    str, typer.Option(metavar="C,H,W", help="Shape of a sample, with --channels.", rich_help_panel=NETWORK)
]
Epochs = Annotated[int, typer.Option(rich_help_panel=TRAINING)]
BatchSize = Annotated[int, typer.Option(help="0 for all samples.", rich_help_panel=TRAINING)]
LearningRate = Annotated[float, typer.Option(rich_help_panel=TRAINING)]
Cooling = Annotated[
    int, typer.Option(help="Epochs at the end in which the learning rate falls to 0.", rich_help_panel=TRAINING)
]
Optimiser = Annotated[str, typer.Option(metavar="adam|sgd", rich_help_panel=TRAINING)]
Analytic = Annotated[
    bool, typer.Option("--analytic", help="Exact loss of linear networks, no samples.", rich_help_panel=TRAINING)
]
WarmStart = Annotated[
    bool, typer.Option("--warm-start", help="Start a linear network at the optimum.", rich_help_panel=TRAINING)
]
Schedule = Annotated[
    str,
    typer.Option(metavar="constant|linear|cyclical|tanh", help="Of the KL weight.", rich_help_panel=TRAINING),
]
WarmUp = Annotated[float, typer.Option(help="Epochs of the schedule.", rich_help_panel=TRAINING)]
Patience = Annotated[int | None, typer.Option(help="Stop after so many epochs on a plateau.", rich_help_panel=TRAINING)]
Clip = Annotated[float | None, typer.Option(help="Largest norm of the gradient.", rich_help_panel=TRAINING)]


def training_side() -> Any:
    """`uncollapse.training`, or one line that says how to get it."""
    try:
        import uncollapse.training as side
    except ImportError as error:
        raise UncollapseError(str(error)) from None
    return side


def opened_table(
    source: str, target: str | None, given: str | None, *, scale: float, drop_nonfinite: bool, likelihood: str
) -> Any:
    """The sources as one table in memory."""
    from uncollapse.data.sources import open_source
    from uncollapse.progress import announce, watching
    from uncollapse.training.data import table

    data = open_source(source)
    others = [None if name is None else open_source(name) for name in (target, given)]
    for note in notes_of(data, *others):
        announce(note)
    with watching(data, "reading") as rows:
        return table(rows, *others, likelihood=likelihood, scale=scale, drop_nonfinite=drop_nonfinite)


def base_setup(objective: Any, *, hidden: str, channels: str, image: str, activation: str, batch_size: int,
               analytic: bool, schedule: str, warm_up: float, **training: Any) -> Any:  # fmt: skip
    """The setup that the options describe."""
    side = training_side()
    network = side.Network(
        hidden=whole_numbers(hidden, "--hidden"),
        activation=activation,
        channels=whole_numbers(channels, "--channels"),
        image=whole_numbers(image, "--image") or None,
    )
    how = side.Training(
        batch_size=batch_size or None,
        estimator="analytic" if analytic else "sampled",
        schedule=side.Schedule(schedule, warm_up),
        **training,
    )
    return side.Setup(objective, network, how)


def axis(text: str, option: str, words: tuple[str, ...] = ()) -> list[Any]:
    """A comma-separated list of numbers, or of some `words`."""
    try:
        return [part if part in words else float(part) for part in text.split(",")]
    except ValueError:
        also = f" or {' or '.join(words)}" if words else ""
        raise ObjectiveError(f"{option}: expected numbers{also}, separated by commas, got {shown(text)}") from None


def whole_numbers(text: str, option: str) -> tuple[int, ...]:
    """A comma-separated list of whole numbers; nothing for an empty one."""
    try:
        return tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise ObjectiveError(f"{option}: expected whole numbers separated by commas, got {shown(text)}") from None
