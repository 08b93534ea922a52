"""A sweep of VAEs of sequences: what each came to, beside what λ of their language model says."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from typing import Any

from uncollapse.injecting.result import InjectionSpectrum
from uncollapse.sequences.language import LanguageModel
from uncollapse.showing.figure import Figure
from uncollapse.showing.noun import Card, Drawn, short
from uncollapse.showing.plain import plain, stamp

__all__ = ["COLUMNS", "SequenceSweep"]

COLUMNS = (
    "cell", "beta", "n_latents", "seed", "status", "message", "n_epochs", "seconds", "loss", "elbo", "elbo_per_token",
    "rate", "n_alive", "gain", "latent_kl", "forecast_n_alive", "forecast_rate", "forecast_gain",
)  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class SequenceSweep(Drawn):
    """VAEs of sequences, each trained from one language model.

    Attributes
    ----------
    language : LanguageModel
        The decoder that each begins as.
    spectrum : InjectionSpectrum
        λ of that decoder, on the sequences that train.
    columns : dict of lists
        An entry for each VAE, on sequences held out, nats a sequence; None where its training failed. ``cell, beta,
        n_latents, seed, status, message, n_epochs, seconds, loss, elbo, elbo_per_token, rate`` (KL of all latents),
        ``n_alive, gain`` (the language model's nats less the loss), ``latent_kl``, and what λ says to second order:
        ``forecast_n_alive, forecast_rate, forecast_gain``.
    """

    language: LanguageModel = field(repr=False)
    spectrum: InjectionSpectrum = field(repr=False)
    columns: dict[str, list[Any]] = field(repr=False)

    def __len__(self) -> int:
        return len(self.columns["cell"])

    @property
    def headline(self) -> str:
        """λ, and how many of the VAEs came out as it says."""
        return self.card().headline

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        language = {"decoder": self.language.shape.name, "nats": self.language.nats,
                    "nats_per_token": self.language.nats_per_token}  # fmt: skip
        cells = [dict(zip(self.columns, values, strict=True)) for values in zip(*self.columns.values(), strict=True)]
        return {
            **stamp("sequence-sweep"), "headline": self.headline, "language": plain(language),
            "spectrum": self.spectrum.to_dict(), "cells": plain(cells),
        }  # fmt: skip

    def to_csv(self) -> str:
        """A line for each VAE; the KL of its latents parted by blanks."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        for values in zip(*self.columns.values(), strict=True):
            writer.writerow([" ".join(map(str, value)) if isinstance(value, list) else value for value in values])
        return text.getvalue()

    def card(self) -> Card:
        """λ, what was counted, and a line for each VAE."""
        from uncollapse.injecting.sweep_words import card

        return card(self)

    def figure(self) -> Figure:
        """Latents alive, KL and gain against β, with what λ says as lines."""
        from uncollapse.injecting.sweep_pictures import sweep_figure

        return sweep_figure(self)

    def __repr__(self) -> str:
        return short(
            self, decoder=self.language.shape.name, critical_beta=self.spectrum.critical_beta, n_trainings=len(self)
        )
