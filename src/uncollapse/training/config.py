"""What is trained and how: network, optimisation, and both with an objective as one setup."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from uncollapse.checks import count, counts, flag, instance, non_negative, one_of, positive
from uncollapse.errors import ObjectiveError
from uncollapse.objective import Level, Objective
from uncollapse.showing.noun import Settings
from uncollapse.training.schedules import Schedule

__all__ = ["Activation", "Network", "Setup", "Training", "differences"]

Activation = Literal["relu", "tanh", "silu"]
MOST = 2**53
"""Above this no whole number is safe as a float, and none is meant."""

DECODER_VARIANCE_RULES = ("parameter", "optimal")


@dataclass(frozen=True, repr=False)
class Network(Settings):
    """Encoder and decoder. Without hidden layers both are linear.

    Attributes
    ----------
    hidden : tuple of int
        Widths of the encoder's hidden layers, from the data to the latents.
    decoder_hidden : tuple of int, optional
        Of the decoder, from the latents to the data; the encoder's reversed when left out.
    activation : {"relu", "tanh", "silu"}
    encoder_variance : {"data", "global"}, optional
        A learned σ² of q(z|x): a function of x, or one number per latent. Global for a linear encoder when left out.
    image : tuple (channels, height, width), optional
        Shape of a sample, for convolutions.
    channels : tuple of int
        Of convolutions 4 × 4 with stride 2 before the hidden layers (mirrored after the decoder's).
    level_hidden : tuple of int
        Hidden layers of the networks between the levels of a hierarchy, both directions.
    log_input : bool, optional
        The encoder sees log(1 + x); for count likelihoods when left out, as large counts would otherwise put the
        log-variances of a fresh network beyond any number.

    Examples
    --------
    >>> Network(hidden=(512, 256)).decoder_widths
    (256, 512)
    """

    hidden: tuple[int, ...] = ()
    decoder_hidden: tuple[int, ...] | None = None
    activation: Activation = "relu"
    encoder_variance: Literal["data", "global"] | None = None
    image: tuple[int, int, int] | None = None
    channels: tuple[int, ...] = ()
    level_hidden: tuple[int, ...] = ()
    log_input: bool | None = None

    def __post_init__(self) -> None:
        one_of(self.activation, "activation", get_args(Activation))
        for name in ("hidden", "decoder_hidden", "channels", "level_hidden", "image"):
            optional = name in ("decoder_hidden", "image")
            if not (optional and getattr(self, name) is None):
                widths = counts(getattr(self, name), name, least=1)
                object.__setattr__(self, name, tuple(count(n, f"each of {name}", most=MOST) for n in widths))
        if self.encoder_variance is not None:
            one_of(self.encoder_variance, "encoder_variance of a network", ("data", "global"))
        if self.log_input is not None:
            object.__setattr__(self, "log_input", flag(self.log_input, "log_input"))
        if bool(self.channels) != (self.image is not None):
            raise ObjectiveError("a convolutional network needs both channels and image=(channels, height, width)")
        if self.image is not None and len(self.image) != 3:
            raise ObjectiveError(f"image is (channels, height, width), got {self.image}")
        if self.image is not None and min(self.image[1:]) < 2 ** len(self.channels):
            raise ObjectiveError(
                f"{len(self.channels)} convolutions of stride 2 leave nothing of an image {self.image}"
            )

    @property
    def linear(self) -> bool:
        """Whether encoder means and decoder, at every level, are linear."""
        return not (self.hidden or self.decoder_widths or self.channels or self.level_hidden)

    @property
    def decoder_widths(self) -> tuple[int, ...]:
        """Hidden widths of the decoder."""
        return self.hidden[::-1] if self.decoder_hidden is None else self.decoder_hidden

    @property
    def spread(self) -> str:
        """`data` or `global`: what a learned σ² depends on."""
        return self.encoder_variance or ("data" if self.hidden or self.channels else "global")


@dataclass(frozen=True, repr=False)
class Training(Settings):
    """How the loss is minimised.

    Attributes
    ----------
    epochs : int
    batch_size : int, optional
        All samples when None.
    learning_rate : float
    cooling : int
        Epochs at the end over which the learning rate falls linearly to 0: what is left of the noise of the steps then
        goes too.
    optimiser : {"adam", "sgd"}
    momentum : float
        Of ``sgd``.
    seed : int
        Of the initial weights, the batches and the noise.
    estimator : {"sampled", "analytic"}
        ``analytic``: the exact expectation, for linear networks, from the second moments of the data alone.
    steps_per_epoch : int
        Of the analytic estimator, which has no batches.
    schedule : Schedule
        Of the KL weight.
    free_bits : float
        Nats: below so much mean KL a latent's KL is not pushed down. History and results report the objective itself.
    decoder_variance_rule : {"parameter", "optimal"}
        A learned decoder variance is a parameter, or at every step the optimum for the batch, E‖y − ŷ‖²/d.
    initial_decoder_variance : float
        Where a learned one starts.
    clip : float, optional
        Largest norm of the gradient.
    patience : int, optional
        Stop after so many epochs in which the loss did not fall by `min_delta` of itself; counted once the schedule
        has ended. Not with `cooling`, which must know the last epoch beforehand.
    min_delta : float
    warm_start : bool
        Start from the closed-form optimum (linear networks).
    mixed_precision : bool
        Multiply matrices in bfloat16.
    double : bool
        float64 rather than float32.

    Examples
    --------
    >>> Training(epochs=5, learning_rate=1e-2).optimiser
    'adam'
    """

    epochs: int = 100
    batch_size: int | None = 128
    learning_rate: float = 1e-3
    cooling: int = 0
    optimiser: Literal["adam", "sgd"] = "adam"
    momentum: float = 0.0
    seed: int = 0
    estimator: Literal["sampled", "analytic"] = "sampled"
    steps_per_epoch: int = 100
    schedule: Schedule = field(default_factory=Schedule)
    free_bits: float = 0.0
    decoder_variance_rule: Literal["parameter", "optimal"] = "parameter"
    initial_decoder_variance: float = 1.0
    clip: float | None = None
    patience: int | None = None
    min_delta: float = 1e-4
    warm_start: bool = False
    mixed_precision: bool = False
    double: bool = False

    def __post_init__(self) -> None:
        plain: dict[str, Any] = {}
        for name in ("epochs", "steps_per_epoch", "batch_size", "patience"):
            if name in ("epochs", "steps_per_epoch") or getattr(self, name) is not None:
                plain[name] = count(getattr(self, name), name, least=1, most=MOST)
        for name in ("learning_rate", "initial_decoder_variance"):
            plain[name] = positive(getattr(self, name), name)
        plain["clip"] = None if self.clip is None else positive(self.clip, "clip")
        for name in ("free_bits", "min_delta", "momentum"):
            plain[name] = non_negative(getattr(self, name), name)
        for name in ("warm_start", "mixed_precision", "double"):
            plain[name] = flag(getattr(self, name), name)
        plain["seed"] = count(self.seed, "seed", most=2**63 - 1)
        plain["cooling"] = count(self.cooling, "cooling", most=plain["epochs"], why="epochs, at most all of them")
        for name, known in _CHOICES.items():
            one_of(getattr(self, name), name, known)
        instance(self.schedule, "schedule", Schedule)
        for name, value in plain.items():
            object.__setattr__(self, name, value)
        if self.cooling and self.patience is not None:
            raise ObjectiveError(
                f"cooling over the last {self.cooling} of {self.epochs} epochs leaves no room for patience, which "
                "would stop before; give one of them"
            )

    @property
    def epochs_at_full_rate(self) -> int:
        """Epochs before the learning rate begins to fall."""
        return self.epochs - self.cooling


_CHOICES = {
    "optimiser": ("adam", "sgd"),
    "estimator": ("sampled", "analytic"),
    "decoder_variance_rule": DECODER_VARIANCE_RULES,
}


@dataclass(frozen=True, repr=False)
class Setup(Settings):
    """One training: objective, network and optimisation.

    Examples
    --------
    >>> setup = Setup(Objective(beta=2.0, n_latents=4), Network(hidden=(16,)), Training(epochs=3))
    >>> Setup.from_dict(setup.to_dict()) == setup
    True
    """

    objective: Objective = field(default_factory=Objective)
    network: Network = field(default_factory=Network)
    training: Training = field(default_factory=Training)

    def __post_init__(self) -> None:
        o = instance(self.objective, "objective", Objective)
        n, t = instance(self.network, "network", Network), instance(self.training, "training", Training)
        if t.estimator == "analytic":
            if not n.linear or n.spread == "data" or o.likelihood != "gaussian":
                raise ObjectiveError(
                    "the analytic loss is that of linear networks, a global or fixed encoder variance and a Gaussian "
                    'decoder; use estimator="sampled"'
                )
            if t.free_bits:
                raise ObjectiveError("free bits go with the sampled estimator")
        if n.log_input and t.estimator == "analytic":
            raise ObjectiveError("the analytic loss knows no log_input; take the logarithm of the data first")
        if t.warm_start and (n.log_input or not n.linear or n.spread == "data" or o.likelihood != "gaussian"):
            raise ObjectiveError("a warm start needs linear networks, a global encoder variance and a Gaussian decoder")
        if n.level_hidden and len(o.levels) < 2:
            raise ObjectiveError("level_hidden is for a hierarchy: give the objective two levels or more")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, JSON-ready."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Setup:
        """What `to_dict` gave, or JSON made of it."""
        o, t = dict(values["objective"]), dict(values["training"])
        o["levels"] = tuple(Level(**level) for level in o["levels"])
        o.pop("loss", None)  # how the user wrote the objective; training needs only what it means
        if isinstance(o["encoder_variance"], list):
            o["encoder_variance"] = tuple(o["encoder_variance"])
        t["schedule"] = Schedule(**t["schedule"])
        return cls(Objective(**o), Network(**values["network"]), Training(**t))


def differences(ours: Setup, theirs: Setup, ignoring: tuple[str, ...] = ("epochs",)) -> list[str]:
    """Settings that differ, each as ``name: theirs → ours``."""
    changed = []
    for part in ("objective", "network", "training"):
        a, b = getattr(ours, part), getattr(theirs, part)
        for item in fields(a):
            if item.name in (*ignoring, "loss"):
                continue
            new, old = getattr(a, item.name), getattr(b, item.name)
            if new != old:
                changed.append(f"{item.name}: {old!r} → {new!r}")
    return changed
