"""`uncollapse diagnose`: a thin call of the library."""

from __future__ import annotations

import json
import warnings
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from uncollapse.bill.budget import BUDGET
from uncollapse.commands import diagnose_sequences as of_text
from uncollapse.commands import loss_options as options
from uncollapse.commands.cluster import Scheduler, connected, refuse_here, shared_tables
from uncollapse.commands.fail_on import FailOn, causes_named, fail_on
from uncollapse.commands.model_options import (
    Arguments,
    Device,
    InputShape,
    Model,
    OfClass,
    SampleRows,
    Seconds,
    SpreadOf,
    Trust,
    check_counts,
    check_scale,
    disagreement,
    files,
    is_said,
    model_settings,
    objective_of,
    with_counts,
)
from uncollapse.commands.opened import opened
from uncollapse.commands.options import as_written, levels_from, notes_of, vector
from uncollapse.commands.train_sequences import given_on_the_line
from uncollapse.errors import UncollapseError, UncollapseWarning

if TYPE_CHECKING:
    from uncollapse.commands.model_options import Tables
    from uncollapse.diagnosis.result import Diagnosis
    from uncollapse.objective import Objective
    from uncollapse.probes.probe import Probe

__all__ = ["diagnose"]


def diagnose(
    model: Model,
    source: options.Source,
    target: options.Target = None,
    given: options.Given = None,
    scale: options.Scale = 1.0,
    drop_nonfinite: options.DropNonfinite = False,
    of_class: OfClass = None,
    args: Arguments = None,
    trust: Trust = False,
    spread: SpreadOf = None,
    input_shape: InputShape = None,
    beta: options.Beta = None,
    decoder_variance: options.DecoderVariance = None,
    prior_variance: options.PriorVariance = None,
    encoder_variance: options.EncoderVariance = None,
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
    loss_function: options.LossFunction = None,
    set_: options.LossSettings = None,
    rows: SampleRows = None,
    budget: Seconds = BUDGET,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Train a copy as the first remedy says, and put what comes of it beside the promise.",
            rich_help_panel=options.OUT,
        ),
    ] = False,
    steps: Annotated[
        int | None,
        typer.Option(help="Of --verify, 128 rows each. (default 3000)", rich_help_panel=options.OUT),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(help="Of the model's training, for what is trained further here.", rich_help_panel=options.OUT),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of sampled rows, noise and new weights.", rich_help_panel=options.OUT)] = 0,
    scheduler: Scheduler = None,
    device: Device = None,
    json_to: options.Json = None,
    html_to: options.Html = None,
    fail_on_causes: FailOn = None,
    sequences: of_text.Sequences = False,
    inject: of_text.Inject = None,
    longest: of_text.Longest = None,
    context: typer.Context = None,  # type: ignore[assignment]  # Typer gives it; a call from Python has no line
) -> None:
    """Why a trained model is collapsed or not, and what to change.

    The model's own loss is used; give it (--beta, or as your code writes it) where the model does not say it.
    """
    typed = {} if context is None else given_on_the_line(context)
    if context is not None and of_text.of_sequences(model, source, typed):
        of_text.diagnose_sequences(typed)
        return
    of_text.without_sequences(typed)
    from uncollapse.diagnosis.result import CAUSES
    from uncollapse.files import check_writable

    unwanted = causes_named(fail_on_causes, CAUSES)
    json_file = None if json_to in (None, "-") else Path(str(json_to))
    read = [source, target or "", given or "", dispersion or "", size_factors or ""]
    check_writable(html_to, json_file, inputs=[*read, *files(model)])
    check_counts({"--rows": rows, "--steps": steps})
    check_scale(scale)
    written = as_written(recon, reduction, half, kl_reduction, kl_weight, kl_batch_sum, loss_function, set_)
    loss = {
        "beta": beta,
        "decoder_variance": decoder_variance,
        "likelihood": likelihood,
        "levels": levels_from(level_betas, level_variances, level_latents) or None,
    }
    own = model_settings(prior_variance, encoder_variance, no_bias)
    how = {"scale": scale, "drop_nonfinite": drop_nonfinite, "seed": seed, "learning_rate": learning_rate}
    refuse_here(scheduler, verify=verify, device=device is not None, size_factors=size_factors is not None)
    on_cluster = connected(scheduler, source, target, given, needs=("torch",))
    with warnings.catch_warnings(record=True) as caught, on_cluster:
        warnings.simplefilter("always", UncollapseWarning)
        found = opened(
            model, source, target, given, of_class=of_class, arguments=args, scale=scale, scale_said="scale" in typed,
            spread=spread, input_shape=input_shape, trust=trust, loss_said=is_said(written, loss), device=device,
        )  # fmt: skip
        probe, tables, how["scale"] = found.probe, found.tables, found.scale
        objective = objective_of(found.objective, written, loss, own, tables=tables, n_latents=found.n_latents)
        objective = objective or found.inferred.objective
        found.ask(objective, context)
        r = vector(dispersion, "estimated")
        probe, tables = with_counts(probe, tables, r, vector(size_factors, "total"))
        if scheduler is not None:
            found.check_as_it_is()
        shared = shared_tables(scheduler, *zip(tables, (source, target, given), strict=True))
        diagnosis = _diagnosed(probe, shared, objective, n_rows=rows, budget=budget, dispersion=r, **how)
        if verify:
            diagnosis = _verified(diagnosis, probe, tables, steps, **how)
    notes = [str(item.message) for item in caught if issubclass(item.category, UncollapseWarning)]
    notes = [*found.notes, *diagnosis.notes, *disagreement(found.objective, objective), *notes_of(*tables), *notes]
    diagnosis = replace(diagnosis, notes=tuple(dict.fromkeys(notes)))
    inferred = [asdict(one) for one in found.inferred.found]
    _answer(diagnosis, source.encode("utf-8", "replace").decode(), inferred, json_to, json_file, html_to)
    fail_on(diagnosis.cause, unwanted)


def _answer(
    diagnosis: Diagnosis, source: str, inferred: list[dict[str, str]], json_to: str | None, json_file: Path | None,
    html_to: Path | None,
) -> None:  # fmt: skip
    from uncollapse.files import write_text

    facts = {**diagnosis.to_dict(), "source": source, "inferred": inferred}
    if json_to == "-":
        print(json.dumps(facts, ensure_ascii=False, allow_nan=False))
    elif json_file:
        write_text(json_file, json.dumps(facts, ensure_ascii=False, allow_nan=False, indent=1) + "\n")
    if html_to:
        from uncollapse.report.diagnosis_page import diagnosis_page

        write_text(html_to, diagnosis_page(diagnosis, source))
    if json_to != "-":
        from uncollapse.diagnosis.terminal import render_diagnosis
        from uncollapse.showing.terminal import standard_output

        render_diagnosis(diagnosis, source, standard_output())


def _diagnosed(probe: Probe, tables: list[Any], objective: Objective | None, **how: Any) -> Diagnosis:
    from uncollapse.data.rows import Rows
    from uncollapse.diagnosis.examine import diagnose as diagnose_
    from uncollapse.progress import watching

    rows, goal, condition = tables
    with watching(rows, "measuring") if isinstance(rows, Rows) else nullcontext(rows) as watched:
        return diagnose_(probe, watched, goal, condition, objective=objective, **how)


def _verified(diagnosis: Diagnosis, probe: Probe, tables: Tables, steps: int | None, **how: Any) -> Diagnosis:
    """With the first remedy tried; where that cannot be, a note says why."""
    from uncollapse.diagnosis.trial import STEPS, verify
    from uncollapse.progress import delayed_bar

    n_steps = steps or STEPS
    plans = [remedy.plan for remedy in diagnosis.remedies if remedy.plan is not None]
    if not plans:
        return replace(
            diagnosis, notes=(*diagnosis.notes, "nothing to verify: no remedy is one that a training can apply")
        )
    try:
        with delayed_bar("trying the remedy", round(n_steps * plans[0].longer)) as show:
            return verify(diagnosis, probe, *tables, n_steps=n_steps, on_step=lambda done: show(done, "steps"), **how)
    except UncollapseError as error:
        return replace(diagnosis, notes=(*diagnosis.notes, f"not verified: {error}"))
