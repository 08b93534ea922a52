"""`uncollapse forecast`: a thin call of the library."""

from __future__ import annotations

import json
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from uncollapse.commands import loss_options as options
from uncollapse.commands.cluster import Scheduler, connected, refuse_here, shared_tables
from uncollapse.commands.model_options import Device, InputShape, SpreadOf
from uncollapse.commands.options import as_written, levels_from, notes_of, number, objective_from, vector
from uncollapse.commands.train_sequences import given_on_the_line
from uncollapse.commands.training_options import training_side, whole_numbers
from uncollapse.errors import ObjectiveError, UncollapseWarning

__all__ = ["forecast"]

DECODER = "A decoder that sees a part of what it decodes"


def forecast(
    source: options.Source,
    target: options.Target = None,
    given: options.Given = None,
    scale: options.Scale = 1.0,
    nonlinear: Annotated[
        bool,
        typer.Option(
            "--nonlinear",
            help="Also how many latents a nonlinear network may need, estimated without training. With --target or "
            "--given: what it could use, by cross-validated regression.",
            rich_help_panel=options.DATA,
        ),
    ] = False,
    drop_nonfinite: options.DropNonfinite = False,
    modes: Annotated[
        int | None,
        typer.Option(help="Find only so many leading modes (very wide data).", rich_help_panel=options.DATA),
    ] = None,
    beta: options.Beta = None,
    decoder_variance: options.DecoderVariance = None,
    prior_variance: options.PriorVariance = None,
    encoder_variance: options.EncoderVariance = None,
    latents: Annotated[
        int | None, typer.Option(help="Number of latents. (default: one per mode)", rich_help_panel=options.LOSS)
    ] = None,
    level_betas: options.LevelBetas = None,
    level_variances: options.LevelVariances = None,
    level_latents: options.LevelLatents = None,
    no_bias: options.NoBias = False,
    likelihood: options.Likelihood = None,
    dispersion: options.Dispersion = None,
    size_factors: options.SizeFactors = None,
    recon: options.Recon = None,
    reduction: options.Reduction = None,
    half: options.Half = False,
    kl_reduction: options.KLReduction = None,
    kl_weight: options.KLWeight = None,
    kl_batch_sum: options.KLBatchSum = None,
    free_bits: options.FreeBits = None,
    free_bits_total: options.FreeBitsTotal = None,
    loss_function: options.LossFunction = None,
    set_: options.LossSettings = None,
    decoder: Annotated[
        str | None,
        typer.Option(
            metavar="FILE:FUNCTION|gru|transformer|window:K",
            help="A decoder that sees a part of what it decodes (text, pixels), trained without latents: when does a "
            "latent live that is added to it? Its file is run; gru, transformer and window:K are trained here.",
            rich_help_panel=DECODER,
        ),
    ] = None,
    inject: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Where it is added: a submodule's output, NAME@state, or prefix. (default: the token embedding)",
            rich_help_panel=DECODER,
        ),
    ] = None,
    longest: Annotated[
        int | None, typer.Option(help="Tokens of a sequence that are kept. (default 128)", rich_help_panel=DECODER)
    ] = None,
    pilot: Annotated[
        bool,
        typer.Option(
            "--pilot",
            help="Also train networks like yours to their end over a grid of water levels: a minute or two.",
            rich_help_panel=options.OUT,
        ),
    ] = False,
    network: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Hidden widths of the pilot's encoder: 256,128. (default 128)",
            rich_help_panel=options.OUT,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="FILE:FUNCTION",
            help="A function or class of yours that gives your network, for the pilot in place of --network.",
            rich_help_panel=options.OUT,
        ),
    ] = None,
    spread: SpreadOf = None,
    input_shape: InputShape = None,
    epochs: Annotated[
        int | None,
        typer.Option(help="Of your training: what the pilot would show after so many.", rich_help_panel=options.OUT),
    ] = None,
    sweep: Annotated[
        bool,
        typer.Option(
            "--sweep",
            help="Also which weight and how many latents to take, for three aims, with what each costs.",
            rich_help_panel=options.OUT,
        ),
    ] = False,
    kl_budget: Annotated[
        float | None, typer.Option(help="Nats of KL that --sweep may spend for a picture.", rich_help_panel=options.OUT)
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            help="Also the steps of gradient descent that each mode needs to come alive.", rich_help_panel=options.OUT
        ),
    ] = None,
    bootstrap: Annotated[
        int, typer.Option(help="Bootstrap samples for the intervals; 0 for none.", rich_help_panel=options.OUT)
    ] = 100,
    scheduler: Scheduler = None,
    device: Device = None,
    json_to: options.Json = None,
    html_to: options.Html = None,
    context: typer.Context = None,  # type: ignore[assignment]  # Typer gives it; a call from Python has no line
) -> None:
    """Which latents will live on these data, at which β each dies, and what to change.

    Give the loss as β and decoder variance, or as your code writes it (--recon, --reduction, --kl-weight, …).
    """
    if decoder is not None:
        from uncollapse.commands.forecast_decoder import forecast_decoder, refuse_others

        refuse_others({} if context is None else given_on_the_line(context))
        forecast_decoder(
            source, decoder, inject=inject, longest=longest, scale=scale, input_shape=input_shape, beta=beta,
            latents=latents, device=device, json_to=json_to, html_to=html_to,
        )  # fmt: skip
        return
    from uncollapse.files import check_writable, write_text
    from uncollapse.forecasting.intervals import MOST_SAMPLES
    from uncollapse.forecasting.predict import forecast as forecast_

    if bootstrap and not 2 <= bootstrap <= MOST_SAMPLES:
        raise ObjectiveError(f"--bootstrap must be 0, for no intervals, or 2 to {MOST_SAMPLES:,}, got {bootstrap}")

    json_file = None if json_to in (None, "-") else Path(str(json_to))
    read = [source, target or "", given or "", dispersion or "", size_factors or ""]
    check_writable(html_to, json_file, inputs=read)
    written = as_written(recon, reduction, half, kl_reduction, kl_weight, kl_batch_sum, loss_function, set_)
    piloted = pilot or network is not None or epochs is not None or model is not None
    if device is not None and not piloted:
        raise ObjectiveError("--device is for what is trained or run: --pilot, --model, --decoder; leave it out")
    counted, by_file = likelihood not in (None, "gaussian"), size_factors not in (None, "total")
    refuse_here(
        scheduler, nonlinear=nonlinear, modes=modes is not None, pilot=piloted, given=given is not None and counted,
        size_factors=by_file or (size_factors is not None and likelihood == "negative-binomial"),
    )  # fmt: skip
    with warnings.catch_warnings(record=True) as caught, connected(scheduler, source, target, given):
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
            likelihood=likelihood,
        )
        counts = {"dispersion": vector(dispersion, "estimated"), "size_factors": vector(size_factors, "total")}
        data, *others = shared_tables(scheduler, (rows, source), (goal, target), (condition, given))
        with _watching(data, "reading") as watched:
            result = forecast_(
                watched,
                others[0],
                given=others[1],
                objective=objective,
                scale=scale,
                n_modes=modes,
                drop_nonfinite=drop_nonfinite,
                **counts,
            )
        intervals = None
        of_condition = result.spectrum.condition
        if bootstrap and (of_condition is None or of_condition.intercept is None):
            from uncollapse.forecasting.intervals import bootstrap as bootstrap_

            with _watching(data, "resampling") as watched:
                intervals = bootstrap_(
                    watched, result, others[0], given=others[1], n_samples=bootstrap, drop_nonfinite=drop_nonfinite
                )
        extras = _extras(
            result,
            (rows, goal, condition),
            nonlinear=nonlinear,
            learning_rate=learning_rate,
            pilot=piloted,
            device=device,
            epochs=epochs,
            model=(model, spread, input_shape),
            sweep=sweep or kl_budget is not None,
            kl_budget=kl_budget,
            free=(free_bits, free_bits_total),
            network=network,
            counts=counts,
            scale=scale,
            drop_nonfinite=drop_nonfinite,
        )
    said = [str(item.message) for item in caught if issubclass(item.category, UncollapseWarning)]
    notes = list(dict.fromkeys([*notes_of(rows, goal, condition), *said]))
    source = source.encode("utf-8", "replace").decode()  # a file name need not be text
    facts = {**result.to_dict(), "source": source, "intervals": intervals and intervals.to_dict(), "warnings": notes}
    facts |= extras.to_dict()
    if json_to == "-":
        print(json.dumps(facts, ensure_ascii=False, allow_nan=False))
    elif json_file:
        write_text(json_file, json.dumps(facts, ensure_ascii=False, allow_nan=False, indent=1) + "\n")
    if html_to:
        from uncollapse.report.page import page

        write_text(html_to, page(result, intervals, source, notes, extras))
    if json_to != "-":
        _print(result, intervals, source, notes, extras)


def _extras(
    result: Any,
    tables: tuple[Any, Any, Any],
    *,
    nonlinear: bool,
    learning_rate: float | None,
    pilot: bool,
    device: str | None,
    epochs: int | None,
    model: tuple[str | None, Any, str | None],
    sweep: bool,
    kl_budget: float | None,
    free: tuple[float | None, float | None],
    network: str | None,
    counts: dict[str, Any],
    scale: float,
    drop_nonfinite: bool,
) -> Any:
    """What was asked for beside the forecast; `tables` are data, target and condition."""
    from uncollapse.report.extras import Extras

    other = left = times = small = None
    if nonlinear and tables[1] is None and tables[2] is None:
        from uncollapse.forecasting.sequential import sequential

        left = sequential(tables[0], result, drop_nonfinite=drop_nonfinite)
    elif nonlinear:
        other = _nonlinear(result, *tables, counts, scale=scale, drop_nonfinite=drop_nonfinite)
    if learning_rate is not None:
        if tables[1] is not None:
            raise ObjectiveError(
                "--learning-rate is for a model that decodes its input; for whitened inputs and a target call "
                'escape_times(f, rate, inputs="whitened")'
            )
        from uncollapse.landscape.escape import escape_times

        times = escape_times(result, learning_rate)
    if pilot:
        how = {"epochs": epochs, "device": device, "drop_nonfinite": drop_nonfinite}
        small = _pilot(result, tables, network=network, model=model, **how)
    settings: Any = ()
    if sweep:
        from uncollapse.forecasting.recommend import recommend

        settings = recommend(result, kl_budget)
    floor = None
    if free != (None, None):
        floor = result.free_bits(free[0] or 0.0, in_all=free[1] or 0.0)
    return Extras(other, times, small, settings, floor, left)


def _pilot(
    result: Any, tables: tuple[Any, Any, Any], *, network: str | None, model: tuple[Any, Any, Any], **shared: Any
) -> Any:
    side = training_side()
    from uncollapse.piloting.pilot import pilot
    from uncollapse.progress import announce
    from uncollapse.reading.named import maker_named

    named, spread, input_shape = model
    rows, goal, condition = tables
    shape = None if network is None else side.Network(hidden=whole_numbers(network, "--network"))
    own = None if named is None else maker_named(named)
    sample = None if input_shape is None else whole_numbers(input_shape, "--input-shape")
    how: Any = {"network": shape, "model": own, "spread": spread, "input_shape": sample}
    return pilot(rows, result, goal, condition, progress=True, on_estimate=announce, **how, **shared)


def _nonlinear(result: Any, rows: Any, goal: Any, condition: Any, counts: dict[str, Any], **shared: Any) -> Any:
    from uncollapse.forecasting.predict import forecast as forecast_
    from uncollapse.spectra.nonlinear import nonlinear_residual, nonlinear_spectrum

    if not result.objective.bias:
        raise ObjectiveError("--nonlinear fits means, so it goes with biases; leave out --no-bias")
    if condition is not None:
        spectrum = nonlinear_residual(condition, rows, **shared)
    else:
        spectrum = nonlinear_spectrum(rows, goal, likelihood=result.spectrum.likelihood, **counts, **shared)
    return forecast_(spectrum, objective=result.objective)


def _print(result: Any, intervals: Any, source: str, notes: list[str], extras: Any) -> None:
    from rich.text import Text

    from uncollapse.forecasting.terminal import render
    from uncollapse.showing.terminal import plain_table, standard_output

    console = standard_output()
    tables = []
    if extras.settings:
        from uncollapse.forecasting.recommend import HEADINGS as OF_SETTINGS
        from uncollapse.forecasting.recommend import recommended_rows

        tables.append(plain_table(OF_SETTINGS, recommended_rows(extras.settings)))
    if extras.free is not None:
        from uncollapse.forecasting.free import FREE_HEADINGS

        tables.append(plain_table(FREE_HEADINGS, extras.free.rows()))
    if extras.pilot is not None:
        from uncollapse.piloting.words import HEADINGS, pilot_rows

        tables.append(plain_table(HEADINGS, pilot_rows(extras.pilot)))
    render(result, intervals, source, console, sentences=extras.sentences(result), tables=tables)
    for note in notes:
        console.print(Text(f"Note: {note}.", style="dim"))


def _opened(source: str) -> Any:
    from uncollapse.data.sources import open_source

    return open_source(source)


def _watching(data: Any, what: str) -> Any:
    """With a bar, where rows are read here."""
    from uncollapse.data.rows import Rows
    from uncollapse.progress import watching

    return watching(data, what) if isinstance(data, Rows) else nullcontext(data)
