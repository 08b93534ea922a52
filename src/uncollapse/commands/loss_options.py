"""The data and the loss on the command line: options that `forecast` and `diagnose` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "DATA",
    "LOSS",
    "OUT",
    "Beta",
    "DecoderVariance",
    "Dispersion",
    "DropNonfinite",
    "EncoderVariance",
    "Given",
    "Half",
    "Html",
    "Json",
    "KLBatchSum",
    "KLReduction",
    "KLWeight",
    "LevelBetas",
    "LevelLatents",
    "LevelVariances",
    "Likelihood",
    "LossFunction",
    "LossSettings",
    "NoBias",
    "PriorVariance",
    "Recon",
    "Reduction",
    "Scale",
    "SizeFactors",
    "Source",
    "Target",
]

DATA, LOSS, OUT = "The data", "The loss, as theory or as code writes it", "The answer"

Source = Annotated[
    str,
    typer.Argument(
        help="digits, iris, wine, breast-cancer, diabetes, or a file: .npy, .npz, .csv, .parquet, idx (.gz), "
        ".h5, .h5ad, .zarr, .tar; one array of several: FILE::NAME. Or a folder of .parquet parts or of images: "
        "photos::64x64,grey.",
        show_default=False,
    ),
]
Target = Annotated[str | None, typer.Option(help="What the decoder predicts, if not the data.", rich_help_panel=DATA)]
Given = Annotated[
    str | None,
    typer.Option(help="Condition of a conditional VAE, seen by encoder and decoder.", rich_help_panel=DATA),
]
Scale = Annotated[float, typer.Option(help="Multiply the data by this, as your loader does.", rich_help_panel=DATA)]
DropNonfinite = Annotated[
    bool, typer.Option("--drop-nonfinite", help="Leave out rows with NaN or infinite values.", rich_help_panel=DATA)
]

Dispersion = Annotated[
    str | None,
    typer.Option(
        metavar="FLOAT|SOURCE|estimated",
        help="r of a negative binomial, variance μ + μ²/r; one per column from a file. (default estimated)",
        rich_help_panel=LOSS,
    ),
]
SizeFactors = Annotated[
    str | None,
    typer.Option(
        metavar="total|SOURCE",
        help="What the decoder's mean is multiplied by in each row: its total, or numbers from a file.",
        rich_help_panel=LOSS,
    ),
]
Beta = Annotated[float | None, typer.Option(help="Weight of the KL term. (default 1)", rich_help_panel=LOSS)]
DecoderVariance = Annotated[
    str | None, typer.Option(metavar="FLOAT|learned", help="η². (default 1)", rich_help_panel=LOSS)
]
PriorVariance = Annotated[float | None, typer.Option(help="Of each latent. (default 1)", rich_help_panel=LOSS)]
EncoderVariance = Annotated[
    str | None,
    typer.Option(
        metavar="learned|FLOAT",
        help="σ² of q(z|x); also a list, one per latent: 0.1,0.5,learned. (default learned)",
        rich_help_panel=LOSS,
    ),
]
LevelBetas = Annotated[
    str | None,
    typer.Option(
        metavar="LIST", help="Hierarchical VAE: KL weight of each level from the data up: 1,2.", rich_help_panel=LOSS
    ),
]
LevelVariances = Annotated[
    str | None,
    typer.Option(
        metavar="LIST", help="Encoder variance of each level: 0.25,learned. (default learned)", rich_help_panel=LOSS
    ),
]
LevelLatents = Annotated[
    str | None,
    typer.Option(metavar="LIST", help="Latents of each level: 16,8. (default --latents)", rich_help_panel=LOSS),
]
NoBias = Annotated[bool, typer.Option("--no-bias", help="Encoder and decoder have no biases.", rich_help_panel=LOSS)]
Likelihood = Annotated[
    str | None,
    typer.Option(
        metavar="gaussian|bernoulli|poisson|negative-binomial|categorical",
        help="Of the decoder; the last three for counts. (default gaussian)",
        rich_help_panel=LOSS,
    ),
]
Recon = Annotated[
    str | None, typer.Option(metavar="mse|bce", help="Reconstruction term in code.", rich_help_panel=LOSS)
]
Reduction = Annotated[
    str | None,
    typer.Option(metavar="sum|mean", help="Of the reconstruction, over features. (default sum)", rich_help_panel=LOSS),
]
Half = Annotated[bool, typer.Option("--half", help="The squared error carries a factor ½.", rich_help_panel=LOSS)]
KLReduction = Annotated[
    str | None,
    typer.Option(metavar="sum|mean", help="Of the KL, over latents. (default sum)", rich_help_panel=LOSS),
]
KLWeight = Annotated[float | None, typer.Option(help="What multiplies the KL. (default 1)", rich_help_panel=LOSS)]
KLBatchSum = Annotated[
    int | None,
    typer.Option(
        metavar="BATCH",
        help="The KL is summed over batches of this size, the reconstruction averaged.",
        rich_help_panel=LOSS,
    ),
]
LossFunction = Annotated[
    str | None,
    typer.Option(
        "--loss",
        metavar="FILE:FUNCTION",
        help="Your loss function, read by its values, in place of the options above; its file is run.",
        rich_help_panel=LOSS,
    ),
]
LossSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="An argument of the loss that no name tells.", rich_help_panel=LOSS
    ),
]
FreeBits = Annotated[
    float | None,
    typer.Option(
        metavar="NATS", help="KL that costs nothing in each latent: what the floor does.", rich_help_panel=LOSS
    ),
]
FreeBitsTotal = Annotated[
    float | None,
    typer.Option(
        metavar="NATS", help="KL that costs nothing in all latents together; also a target KL.", rich_help_panel=LOSS
    ),
]
Json = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE|-", help="Write everything as JSON; - prints it alone.", rich_help_panel=OUT),
]
Html = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Write the report as one page.", rich_help_panel=OUT)
]
