"""What the gallery shows, for make_gallery.py."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EXHIBITS", "Exhibit"]


@dataclass(frozen=True)
class Exhibit:
    """A report, and how it comes about.

    Attributes
    ----------
    name : str
        Of its picture.
    title, sentence : str
        What has happened, in one sentence.
    commands : tuple of str
        As typed, in order; those before the last may train what it is asked about.
    page : str
        The page that one of them writes.
    """

    name: str
    title: str
    sentence: str
    commands: tuple[str, ...]
    page: str

    @property
    def alt(self) -> str:
        """Of its picture."""
        return f"Top of the report: {self.title[0].lower()}{self.title[1:]}"


DIGITS = "digits --scale 0.0625"


def _trained(name: str, title: str, sentence: str, how: str, asked: str = "", latents: int = 8) -> Exhibit:
    """A model of ours on the digits, and its diagnosis."""
    train = f"uncollapse train {DIGITS} --latents {latents} --hidden 64 {how} --out {name}"
    return Exhibit(name, title, sentence, (train, _diagnose(name, asked or DIGITS, name)), f"{name}.html")


def _diagnose(model: str, asked: str, name: str) -> str:
    return f"uncollapse diagnose {model} {asked} --html {name}.html"


EXHIBITS = (
    Exhibit(
        "convention",
        "The loss is a mean",
        "`mse_loss` averages over pixels and the KL is summed, so the KL weighs 64 times what its author thought.",
        (_diagnose("weights.pth", "x.npy --model my_vae.py --verify", "convention"),),
        "convention.html",
    ),
    _trained(
        "objective",
        "The weight is too large",
        "At β = 1, the default of almost every library, these data are too weak for any latent.",
        "--epochs 30",
    ),
    _trained(
        "slow",
        "Training was too short",
        "The loss is right and still falling: the model only needs more steps.",
        "--beta 0.0859 --epochs 12",
    ),
    Exhibit(
        "encoder-stuck",
        "The encoder's variance is held up",
        "A softplus on the log-variance keeps every posterior as wide as the prior.",
        (_diagnose("softplus.pth", "x.npy --model softplus_vae.py --spread log_variance", "encoder-stuck"),),
        "encoder-stuck.html",
    ),
    _trained(
        "other-data",
        "The scale was forgotten",
        "The loader divided pixels by 16 in training; the diagnosis was given the raw data.",
        "--beta 0.0859 --epochs 30",
        "digits",
    ),
    _trained(
        "other-loss",
        "Another loss than was said",
        "The author believes in β = 1, and the coefficient in the code was 0.02.",
        "--beta 0.02 --epochs 60",
        f"{DIGITS} --beta 1",
    ),
    _trained(
        "healthy",
        "Nothing is wrong",
        "Latents live, and what the reconstruction misses is worth no further one.",
        "--beta 0.3 --epochs 100",
        latents=4,
    ),
    Exhibit(
        "revive",
        "A model brought back",
        "Training was stopped after eight epochs; `revive` adds what the reconstruction misses and trains 20 more.",
        (
            f"uncollapse train {DIGITS} --latents 8 --hidden 64 --decoder-variance 0.02 --epochs 8 --out early",
            f"uncollapse revive early {DIGITS} --out better --train 20",
        ),
        "better/report.html",
    ),
    Exhibit(
        "forecast",
        "Before any training",
        "The data and the loss say which latents will live; on the page a slider moves β.",
        (f"uncollapse forecast {DIGITS} --latents 24 --decoder-variance 0.05 --html forecast.html",),
        "forecast.html",
    ),
    Exhibit(
        "text",
        "A text VAE",
        "What a decoder that sees two letters leaves for a latent to say, and a VAE trained above that weight; "
        "a diagnosis of text has no page.",
        (
            "uncollapse forecast names.txt --decoder window:2 --html text.html",
            "uncollapse train names.txt --decoder window:2 --width 32 --latents 4 --beta 2 --epochs 3 --out names",
            "uncollapse diagnose names names.txt",
        ),
        "text.html",
    ),
    Exhibit(
        "cells",
        "Counts of cells",
        "A table of cells and genes, as scVI models it: negative binomial counts, and a library size for each cell.",
        (
            "uncollapse forecast cells.npy --likelihood negative-binomial --size-factors total --latents 20 "
            "--html cells.html",
        ),
        "cells.html",
    ),
    Exhibit(
        "images",
        "A folder of pictures, and blurred reconstructions",
        "Discs of any place, size and colour, and two latents to say it: all are alive and too few.",
        (
            "uncollapse train photos::16,colour --latents 2 --hidden 64 --decoder-variance 0.01 --epochs 99 --out disc",
            _diagnose("disc", "photos::16,colour", "images"),
        ),
        "images.html",
    ),
)
"""Twelve."""
