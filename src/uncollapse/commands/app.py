"""The subcommands as one application of Typer."""

from __future__ import annotations

from typing import Annotated

import typer

from uncollapse import __version__
from uncollapse.commands.diagnose_command import diagnose
from uncollapse.commands.forecast_command import forecast
from uncollapse.commands.loss_command import loss
from uncollapse.commands.reproduce_command import reproduce
from uncollapse.commands.revive_command import revive
from uncollapse.commands.sweep_command import sweep
from uncollapse.commands.train_command import train

__all__ = ["EXAMPLES", "app"]

EXAMPLES = {
    "": (
        "uncollapse forecast data.npy --beta 4 --latents 16",
        "uncollapse diagnose vae digits --scale 0.0625",
    ),
    "forecast": (
        "uncollapse forecast digits --latents 32 --decoder-variance 10",
        "uncollapse forecast data.npy --recon mse --reduction mean --kl-weight 1",
        "uncollapse forecast data.npy --latents 16 --html report.html",
    ),
    "diagnose": (
        "uncollapse diagnose vae digits --scale 0.0625 --verify",
        "uncollapse diagnose my_model:build digits --recon mse --kl-weight 1",
    ),
    "revive": (
        "uncollapse revive vae digits --scale 0.0625 --out better",
        "uncollapse revive my_model:build data.npy --beta 4 --out better",
    ),
    "loss": (
        "uncollapse loss my_vae.py:loss --features 784 --latents 16",
        "uncollapse loss my_vae.py:VAE.loss_function digits --latents 8 --set M_N=1",
    ),
    "train": (
        "uncollapse train digits --scale 0.0625 --latents 8 --hidden 64 --out vae",
        "uncollapse train iris --latents 2 --epochs 5 --out small",
    ),
    "sweep": (
        "uncollapse sweep digits --latents 8 --beta 0.5,1,2 --seeds 3 --out many",
        "uncollapse sweep iris --latents 1,2 --epochs 2 --out few",
    ),
    "reproduce": ("uncollapse reproduce --list", "uncollapse reproduce wang-fig-1"),
}
"""What each help text ends in: commands that can be typed as they stand, in 80 columns."""


def _examples(name: str) -> str:
    return "\n\n".join(["Examples:", *EXAMPLES[name]])


app = typer.Typer(
    name="uncollapse",
    epilog=_examples(""),
    help="Posterior collapse of VAEs: forecast it from data and loss, train, diagnose a model that died.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Posterior collapse of VAEs: forecast it from data and loss, train, diagnose a model that died."""


for _command in (forecast, loss, diagnose, revive, train, sweep, reproduce):
    app.command(epilog=_examples(_command.__name__))(_command)
