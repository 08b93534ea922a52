"""A straight way out of a stationary point."""

from __future__ import annotations

from dataclasses import dataclass

from uncollapse.showing.noun import Card, Noun
from uncollapse.showing.plain import Record

__all__ = ["Direction"]


@dataclass(frozen=True, eq=False, repr=False)
class Direction(Record, Noun):
    """A straight way out of a stationary point (or up from it): one latent moves towards one mode.

    Attributes
    ----------
    latent, mode : int
    from_mode : int or None
        What the latent carries at the point; None when it is dead.
    curvature : float
        Second derivative of the loss along the direction, nats per squared unit; negative for an escape.
    decoder, encoder : float
        The unit direction: U[:, latent] moves along the mode's F by `decoder`, W[:, latent] along the unit vector of
        the mode's E by `encoder`.
    distance : float
        Step along it at which the loss is lowest; 0 when the curvature is not negative.
    drop : float
        Nats gained there, all else left as it is.
    """

    latent: int
    mode: int
    from_mode: int | None
    curvature: float
    decoder: float
    encoder: float
    distance: float
    drop: float

    def card(self) -> Card:
        """The headline and the facts: what `summary` and notebooks show."""
        from uncollapse.landscape.words import direction_card

        return direction_card(self)
