"""`uncollapse forecast`: a thin call of the library."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from uncollapse.commands.options import levels_from, number, objective_from, vector
from uncollapse.commands.training_options import training_side, whole_numbers
from uncollapse.errors import ObjectiveError, UncollapseWarning

__all__ = ["forecast"]

DATA, LOSS, OUT = "The data", "The loss, as theory or as code writes it", "The answer"


def forecast(
    source: Annotated[
        str,
        typer.Argument(
            help="digits, iris, wine, breast-cancer, diabetes, or a file: .npy, .npz, .csv, .parquet, idx (.gz), "
            ".h5ad, .zarr. One array of several: FILE::NAME.",
            show_default=False,
        ),
    ],
    target: Annotated[
        str | None, typer.Option(help="What the decoder predicts, if not the data.", rich_help_panel=DATA)
    ] = None,
    given: Annotated[
        str | None,
        typer.Option(help="Condition of a conditional VAE, seen by encoder and decoder.", rich_help_panel=DATA),
    ] = None,
    scale: Annotated[
        float, typer.Option(help="Multiply the data by this, as your loader does.", rich_help_panel=DATA)
    ] = 1.0,
    nonlinear: Annotated[
        bool,
        typer.Option(
            "--nonlinear",
            help="Also what a nonlinear network could use, by cross-validated regression; with --target or --given.",
            rich_help_panel=DATA,
        ),
    ] = False,
    drop_nonfinite: Annotated[
        bool, typer.Option("--drop-nonfinite", help="Leave out rows with NaN or infinite values.", rich_help_panel=DATA)
    ] = False,
    modes: Annotated[
        int | None, typer.Option(help="Find only so many leading modes (very wide data).", rich_help_panel=DATA)
    ] = None,
    beta: Annotated[float | None, typer.Option(help="Weight of the KL term. (default 1)", rich_help_panel=LOSS)] = None,
    decoder_variance: Annotated[
        str | None, typer.Option(metavar="FLOAT|learned", help="η². (default 1)", rich_help_panel=LOSS)
    ] = None,
    prior_variance: Annotated[float, typer.Option(help="Of each latent.", rich_help_panel=LOSS)] = 1.0,
    encoder_variance: Annotated[
        str,
        typer.Option(
            metavar="learned|FLOAT",
            help="σ² of q(z|x); also a list, one per latent: 0.1,0.5,learned.",
            rich_help_panel=LOSS,
        ),
    ] = "learned",
    latents: Annotated[
        int | None, typer.Option(help="Number of latents. (default: one per mode)", rich_help_panel=LOSS)
    ] = None,
    level_betas: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Hierarchical VAE: KL weight of each level from the data up: 1,2.",
            rich_help_panel=LOSS,
        ),
    ] = None,
    level_variances: Annotated[
        str | None,
        typer.Option(
            metavar="LIST", help="Encoder variance of each level: 0.25,learned. (default learned)", rich_help_panel=LOSS
        ),
    ] = None,
    level_latents: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="Latents of each level: 16,8. (default --latents)", rich_help_panel=LOSS),
    ] = None,
    no_bias: Annotated[
        bool, typer.Option("--no-bias", help="Encoder and decoder have no biases.", rich_help_panel=LOSS)
    ] = False,
    likelihood: Annotated[
        str | None,
        typer.Option(
            metavar="gaussian|bernoulli|poisson|negative-binomial|categorical",
            help="Of the decoder; the last three for counts. (default gaussian)",
            rich_help_panel=LOSS,
        ),
    ] = None,
    dispersion: Annotated[
        str | None,
        typer.Option(
            metavar="FLOAT|SOURCE|estimated",
            help="r of a negative binomial, variance μ + μ²/r; one per column from a file. (default estimated)",
            rich_help_panel=LOSS,
        ),
    ] = None,
    size_factors: Annotated[
        str | None,
        typer.Option(
            metavar="total|SOURCE",
            help="What the decoder's mean is multiplied by in each row: its total, or numbers from a file.",
            rich_help_panel=LOSS,
        ),
    ] = None,
    recon: Annotated[
        str | None, typer.Option(metavar="mse|bce", help="Reconstruction term in code.", rich_help_panel=LOSS)
    ] = None,
    reduction: Annotated[
        str | None,
        typer.Option(
            metavar="sum|mean", help="Of the reconstruction, over features. (default sum)", rich_help_panel=LOSS
        ),
    ] = None,
    half: Annotated[
        bool, typer.Option("--half", help="The squared error carries a factor ½.", rich_help_panel=LOSS)
    ] = False,
    kl_reduction: Annotated[
        str | None,
        typer.Option(metavar="sum|mean", help="Of the KL, over latents. (default sum)", rich_help_panel=LOSS),
    ] = None,
    kl_weight: Annotated[
        float | None, typer.Option(help="What multiplies the KL. (default 1)", rich_help_panel=LOSS)
    ] = None,
    kl_batch_sum: Annotated[
        int | None,
        typer.Option(
            metavar="BATCH",
            help="The KL is summed over batches of this size, the reconstruction averaged.",
            rich_help_panel=LOSS,
        ),
    ] = None,
    pilot: Annotated[
        bool,
        typer.Option(
            "--pilot",
            help="Also train small networks over a grid of water levels, about a minute.",
            rich_help_panel=OUT,
        ),
    ] = False,
    network: Annotated[
        str | None,
        typer.Option(
            metavar="LIST", help="Hidden widths of the pilot's encoder: 256,128. (default 128)", rich_help_panel=OUT
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            help="Also the steps of gradient descent that each mode needs to come alive.", rich_help_panel=OUT
        ),
    ] = None,
    bootstrap: Annotated[
        int, typer.Option(help="Bootstrap samples for the intervals; 0 for none.", rich_help_panel=OUT)
    ] = 100,
    json_to: Annotated[
        str | None,
        typer.Option(
            "--json", metavar="FILE|-", help="Write everything as JSON; - prints it alone.", rich_help_panel=OUT
        ),
    ] = None,
    html_to: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write the report as one page.", rich_help_panel=OUT)
    ] = None,
) -> None:
    """Which latents will live on these data, at which β each dies, and what to change.

    Give the loss as β and decoder variance, or as your code writes it (--recon, --reduction, --kl-weight, …).
    """
    from uncollapse.forecast import forecast as forecast_
    from uncollapse.report.output import check_writable, write_text

    json_file = None if json_to in (None, "-") else Path(str(json_to))
    read = [source, target or "", given or "", dispersion or "", size_factors or ""]
    check_writable(html_to, json_file, inputs=read)
    written = {
        "recon": recon,
        "reduction": reduction,
        "kl_reduction": kl_reduction,
        "kl_weight": kl_weight,
        "half": half or None,
        "kl_batch_sum": kl_batch_sum,
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UncollapseWarning)
        rows, goal = _opened(source), _opened(target) if target is not None else None
        condition = _opened(given) if given is not None else None
        objective = objective_from(
            written,
            n_features=(goal or rows).n_columns,
            beta=beta,
            decoder_variance=decoder_variance,
            prior_variance=prior_variance,
            encoder_variance=number(encoder_variance, "--encoder-variance"),
            n_latents=latents,
            bias=not no_bias,
            levels=levels_from(level_betas, level_variances, level_latents),
            **({} if likelihood is None else {"likelihood": likelihood}),
        )
        counts = {"dispersion": vector(dispersion, "estimated"), "size_factors": vector(size_factors, "total")}
        with _watching(rows, "reading") as watched:
            result = forecast_(
                watched,
                goal,
                given=condition,
                objective=objective,
                scale=scale,
                n_modes=modes,
                drop_nonfinite=drop_nonfinite,
                **counts,
            )
        intervals = None
        if bootstrap:
            from uncollapse.bootstrap import bootstrap as bootstrap_

            with _watching(rows, "resampling") as watched:
                intervals = bootstrap_(
                    watched, result, goal, given=condition, n_samples=bootstrap, drop_nonfinite=drop_nonfinite
                )
        beyond = _beyond(
            result,
            (rows, goal, condition),
            nonlinear=nonlinear,
            learning_rate=learning_rate,
            pilot=pilot or network is not None,
            network=network,
            counts=counts,
            scale=scale,
            drop_nonfinite=drop_nonfinite,
        )
    notes = list(dict.fromkeys(str(item.message) for item in caught if issubclass(item.category, UncollapseWarning)))
    source = source.encode("utf-8", "replace").decode()  # a file name need not be text
    facts = {"source": source, **result.to_dict(), "intervals": intervals and intervals.to_dict(), "warnings": notes}
    facts |= beyond.to_dict()
    if json_to == "-":
        print(json.dumps(facts, ensure_ascii=False, allow_nan=False))
    elif json_file:
        write_text(json_file, json.dumps(facts, ensure_ascii=False, allow_nan=False, indent=1) + "\n")
    if html_to:
        from uncollapse.report.page import page

        write_text(html_to, page(result, intervals, source, notes, beyond))
    if json_to != "-":
        _print(result, intervals, source, notes, beyond)


def _beyond(
    result: Any,
    tables: tuple[Any, Any, Any],
    *,
    nonlinear: bool,
    learning_rate: float | None,
    pilot: bool,
    network: str | None,
    counts: dict[str, Any],
    scale: float,
    drop_nonfinite: bool,
) -> Any:
    """What was asked for beside the forecast; `tables` are data, target and condition."""
    from uncollapse.report.beyond import Beyond

    other = times = small = None
    if nonlinear:
        other = _nonlinear(result, *tables, counts, scale=scale, drop_nonfinite=drop_nonfinite)
    if learning_rate is not None:
        if tables[1] is not None:
            raise ObjectiveError(
                "--learning-rate is for a model that decodes its input; for whitened inputs and a target call "
                'escape_times(f, rate, inputs="whitened")'
            )
        from uncollapse.dynamics import escape_times

        times = escape_times(result, learning_rate)
    if pilot:
        side = training_side()
        from uncollapse.training.pilot import pilot as pilot_

        rows, goal, condition = tables
        shape = None if network is None else side.Network(hidden=whole_numbers(network, "--network"))
        small = pilot_(rows, result, goal, condition, network=shape, drop_nonfinite=drop_nonfinite, progress=True)
    return Beyond(other, times, small)


def _nonlinear(result: Any, rows: Any, goal: Any, condition: Any, counts: dict[str, Any], **shared: Any) -> Any:
    from uncollapse.forecast import forecast as forecast_
    from uncollapse.nonlinear import nonlinear_residual, nonlinear_spectrum

    if not result.objective.bias:
        raise ObjectiveError("--nonlinear fits means, so it goes with biases; leave out --no-bias")
    if condition is not None:
        found = nonlinear_residual(condition, rows, **shared)
    elif goal is not None:
        found = nonlinear_spectrum(rows, goal, likelihood=result.spectrum.likelihood, **counts, **shared)
    else:
        raise ObjectiveError("--nonlinear compares regressions, so it needs a --target or a --given")
    return forecast_(found, objective=result.objective)


def _print(result: Any, intervals: Any, source: str, notes: list[str], beyond: Any) -> None:
    from rich.console import Console
    from rich.text import Text

    from uncollapse.report.terminal import render

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 80)
    render(result, intervals, source, console, beyond)
    for note in notes:
        console.print(Text(f"Note: {note}.", style="dim"))


def _opened(source: str) -> Any:
    from uncollapse.data.sources import open_source

    return open_source(source)


def _watching(rows: Any, what: str) -> Any:
    from uncollapse.report.progress import watching

    return watching(rows, what)
