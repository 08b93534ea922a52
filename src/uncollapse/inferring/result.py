"""What was inferred of a model, why, and which option says otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from uncollapse import checks
from uncollapse.measure.protocol import Probe, Spread, check_spread
from uncollapse.objective import Objective
from uncollapse.showing.noun import Card, Noun

__all__ = ["Inference", "Inferred", "Missing", "Said"]


@dataclass(frozen=True)
class Inferred:
    """One thing that was read from files and behaviour, not said by the user.

    Attributes
    ----------
    what : str
        "class arguments", "input shape", …
    value : str
    reason : str
        What it was read from.
    option : str
        What overrides it on the command line.

    Examples
    --------
    >>> print(Inferred("input shape", "1 × 28 × 28", "the first layer is a convolution", "--input-shape"))
    input shape: 1 × 28 × 28 (the first layer is a convolution; --input-shape)
    """

    what: str
    value: str
    reason: str
    option: str

    def __str__(self) -> str:
        return f"{self.what}: {self.value} ({self.reason}; {self.option})"


@dataclass(frozen=True)
class Missing:
    """One thing that could not be inferred.

    Attributes
    ----------
    what : str
        As a clause: "what the loss weighs".
    typed : str
        What to add to the command, with a value as an example.
    """

    what: str
    typed: str


@dataclass(frozen=True)
class Said:
    """What the user says of a model; all of it may be left out.

    Attributes
    ----------
    model : str
        ``FILE:CLASS``, or a file with one class that fits.
    arguments : dict
        Of the class.
    spread : {"log_variance", "variance", "std"}, optional
    input_shape : tuple of int, optional
    scale : float, optional
    loss : bool
        Whether the loss is said, so that none is looked for.
    trust : bool
    """

    model: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    spread: Spread | None = None
    input_shape: tuple[int, ...] | None = None
    scale: float | None = None
    loss: bool = False
    trust: bool = False

    def __post_init__(self) -> None:
        if self.spread is not None:
            check_spread(self.spread)
        if self.input_shape is not None:
            object.__setattr__(self, "input_shape", checks.counts(self.input_shape, "input_shape", least=1))


@dataclass(frozen=True, eq=False, repr=False)
class Inference(Noun):
    """A trained model, ready to be measured.

    Attributes
    ----------
    probe : Probe
    objective : Objective or None
        Read from the loss in the model's file; None where the user says it, or the probe knows it.
    scale, shift : float
        The model was trained on ``scale · data + shift``.
    n_classes : int
        Of a condition that is a column of labels, which is then one-hot; 0 otherwise.
    found : tuple of Inferred
    missing : tuple of Missing
        What must be said before the model can be diagnosed.
    """

    probe: Probe
    objective: Objective | None = None
    scale: float = 1.0
    shift: float = 0.0
    n_classes: int = 0
    found: tuple[Inferred, ...] = ()
    missing: tuple[Missing, ...] = ()

    def card(self) -> Card:
        """What was inferred, a line each, and what must still be said."""
        lines = tuple(f"To be said: {one.what} ({one.typed})" for one in self.missing)
        headline = f"{self.probe.name}: {len(self.found)} things were inferred" + (", and not all." if lines else ".")
        return Card(headline, (), (*map(str, self.found), *lines))
