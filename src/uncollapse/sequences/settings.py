"""What is trained on sequences and how."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from uncollapse.checks import count, instance, non_negative, one_of, positive
from uncollapse.errors import ObjectiveError
from uncollapse.sequences.decoders import DecoderShape
from uncollapse.sequences.encoders import ENCODERS
from uncollapse.showing.noun import Settings

__all__ = ["COOLED", "SequenceSetup", "SequenceTraining"]

COOLED = 0.5
"""Share of the epochs, at the end, over which the learning rate falls to 0: the noise of Adam's steps goes with it, and
so does the KL that it keeps up in latents that carry nothing."""

MOST = 2**31
MOST_RATE = 1e30
"""Above it a step of Adam is no number of PyTorch's any more."""


@dataclass(frozen=True, repr=False)
class SequenceTraining(Settings):
    """How the loss is minimised: Adam, whose rate falls linearly to 0 over the second half.

    Attributes
    ----------
    epochs : int
    batch_size : int
    learning_rate : float
    clip : float, optional
        Largest norm of the gradient.
    seed : int
        Of the initial weights, the batches and the noise. Which fifth of the sequences is held out does not depend on
        it, so that a VAE may start from a language model without having seen its own test.

    Examples
    --------
    >>> SequenceTraining(epochs=5).batch_size
    128
    """

    epochs: int = 30
    batch_size: int = 128
    learning_rate: float = 3e-3
    clip: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        plain: dict[str, Any] = {
            "epochs": count(self.epochs, "epochs", least=1, most=MOST),
            "batch_size": count(self.batch_size, "batch_size", least=1, most=MOST),
            "learning_rate": positive(self.learning_rate, "learning_rate"),
            "clip": None if self.clip is None else positive(self.clip, "clip"),
            "seed": count(self.seed, "seed", most=2**63 - 1),
        }
        if plain["learning_rate"] > MOST_RATE:
            raise ObjectiveError(f"learning_rate must be at most {MOST_RATE:g}, got {plain['learning_rate']:g}")
        for name, value in plain.items():
            object.__setattr__(self, name, value)

    @property
    def cooling(self) -> float:
        """Epochs over which the learning rate falls."""
        return COOLED * self.epochs


@dataclass(frozen=True, repr=False)
class SequenceSetup(Settings):
    """One VAE of sequences: decoder, encoder, objective and training.

    Attributes
    ----------
    decoder : DecoderShape
    n_latents : int
    beta : float
        Weight of the KL term.
    encoder : {"gru", "positions", "counts"}
        A GRU from either end; an MLP that sees every token in its place; an MLP that sees only how often each occurs.
    encoder_width : int, optional
        The decoder's when left out.
    free_bits : float
        Nats per latent: below so much mean KL a latent's KL is not pushed down.
    free_bits_total : float
        The same of the sum over the latents; one of the two.
    word_dropout : float
        Share of the tokens before each that the decoder does not see in training. A share of 1 takes its context away
        for good, in measurements too.
    warm_up : float
        Share of the steps over which β rises linearly from 0: "from below".
    training : SequenceTraining

    Raises
    ------
    ObjectiveError
        An unknown encoder, a share outside of [0, 1], both kinds of free bits.
    """

    decoder: DecoderShape
    n_latents: int = 8
    beta: float = 1.0
    encoder: str = "gru"
    encoder_width: int | None = None
    free_bits: float = 0.0
    free_bits_total: float = 0.0
    word_dropout: float = 0.0
    warm_up: float = 0.0
    training: SequenceTraining = field(default_factory=SequenceTraining)

    def __post_init__(self) -> None:
        instance(self.decoder, "decoder", DecoderShape)
        instance(self.training, "training", SequenceTraining)
        one_of(self.encoder, "encoder", ENCODERS)
        plain: dict[str, Any] = {
            "n_latents": count(self.n_latents, "n_latents", least=1, most=2**20),
            "beta": positive(self.beta, "beta"),
            "free_bits": non_negative(self.free_bits, "free_bits"),
            "free_bits_total": non_negative(self.free_bits_total, "free_bits_total"),
        }
        if self.encoder_width is not None:
            plain["encoder_width"] = count(self.encoder_width, "encoder_width", least=1, most=2**20)
        for name in ("word_dropout", "warm_up"):
            plain[name] = non_negative(getattr(self, name), name, wanted="a share from 0 to 1")
            if plain[name] > 1:
                raise ObjectiveError(f"{name} must be a share from 0 to 1, got {plain[name]:g}")
        if plain["free_bits"] and plain["free_bits_total"]:
            raise ObjectiveError("free bits are per latent (free_bits) or of all together (free_bits_total), not both")
        for name, value in plain.items():
            object.__setattr__(self, name, value)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, JSON-ready."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SequenceSetup:
        """What `to_dict` gave, or JSON made of it."""
        parts = {"decoder": DecoderShape(**values["decoder"]), "training": SequenceTraining(**values["training"])}
        return cls(**{**values, **parts})
