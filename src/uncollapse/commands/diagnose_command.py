"""`uncollapse diagnose`: a thin call of the library."""

from __future__ import annotations

import json
import math
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from uncollapse.commands import loss_options as options
from uncollapse.commands.options import as_written, levels_from, number, objective_from
from uncollapse.commands.training_options import whole_numbers
from uncollapse.errors import DataError, UncollapseError, UncollapseWarning

if TYPE_CHECKING:
    from uncollapse.data.rows import Rows
    from uncollapse.diagnosis.result import Diagnosis
    from uncollapse.objective import Objective
    from uncollapse.probes.probe import Probe

    Tables = tuple[Rows, Rows | None, Rows | None]

__all__ = ["diagnose"]

MODEL = "The model"

FEW_ROWS = 64
"""Enough to show a model what the data look like."""


def diagnose(
    model: Annotated[
        str,
        typer.Argument(
            help="A folder that `uncollapse train` wrote, a model that pythae saved, or MODULE:FUNCTION, a function of "
            "yours that returns a model.",
            show_default=False,
        ),
    ],
    source: options.Source,
    target: options.Target = None,
    given: options.Given = None,
    scale: options.Scale = 1.0,
    drop_nonfinite: options.DropNonfinite = False,
    trust: Annotated[
        bool,
        typer.Option(
            "--trust",
            help="Run code that comes with the model, as unpickling does: only for a model of your own.",
            rich_help_panel=MODEL,
        ),
    ] = False,
    spread: Annotated[
        str | None,
        typer.Option(
            metavar="log_variance|variance|std",
            help="What the encoder gives beside the mean, if the model does not say.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    input_shape: Annotated[
        str | None,
        typer.Option(
            metavar="LIST", help="Shape of a sample, if the model takes no rows: 1,28,28.", rich_help_panel=MODEL
        ),
    ] = None,
    beta: options.Beta = None,
    decoder_variance: options.DecoderVariance = None,
    prior_variance: options.PriorVariance = None,
    encoder_variance: options.EncoderVariance = None,
    level_betas: options.LevelBetas = None,
    level_variances: options.LevelVariances = None,
    level_latents: options.LevelLatents = None,
    no_bias: options.NoBias = False,
    likelihood: options.Likelihood = None,
    recon: options.Recon = None,
    reduction: options.Reduction = None,
    half: options.Half = False,
    kl_reduction: options.KLReduction = None,
    kl_weight: options.KLWeight = None,
    kl_batch_sum: options.KLBatchSum = None,
    rows: Annotated[
        int | None,
        typer.Option(
            help="Rows that the decoder and the residual are asked on. (default 2048)", rich_help_panel=options.OUT
        ),
    ] = None,
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
    json_to: options.Json = None,
    html_to: options.Html = None,
) -> None:
    """Why a trained model is collapsed or not, and what to change.

    The model's own loss is used; give it (--beta, or as your code writes it) where the model does not say it.
    """
    from uncollapse.files import check_writable

    json_file = None if json_to in (None, "-") else Path(str(json_to))
    check_writable(html_to, json_file, inputs=[source, target or "", given or "", *_files(model)])
    _check_counts({"--rows": rows, "--steps": steps})
    if not (math.isfinite(scale) and scale != 0):
        raise DataError(f"--scale must be a finite number other than 0, got {scale:g}")
    written = as_written(recon, reduction, half, kl_reduction, kl_weight, kl_batch_sum)
    loss = {
        "beta": beta,
        "decoder_variance": decoder_variance,
        "likelihood": likelihood,
        "levels": levels_from(level_betas, level_variances, level_latents) or None,
    }
    model_of = {
        "prior_variance": prior_variance,
        "encoder_variance": number(encoder_variance, "--encoder-variance"),
        "bias": False if no_bias else None,
    }
    how = {"scale": scale, "drop_nonfinite": drop_nonfinite, "seed": seed, "learning_rate": learning_rate}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UncollapseWarning)
        tables = _opened(source, target, given)
        probe, latents = _opened_model(model, tables, scale, trust=trust, spread=spread, input_shape=input_shape)
        n_features = (tables[1] or tables[0]).n_columns
        objective = _objective(probe.objective, written, loss, model_of, n_features=n_features, n_latents=latents)
        diagnosis = _diagnosed(probe, tables, objective, n_rows=rows, **how)
        if verify:
            diagnosis = _verified(diagnosis, probe, tables, steps, **how)
    notes = [str(item.message) for item in caught if issubclass(item.category, UncollapseWarning)]
    notes = [*diagnosis.notes, *_disagreement(probe.objective, objective), *notes]
    diagnosis = replace(diagnosis, notes=tuple(dict.fromkeys(notes)))
    _answer(diagnosis, source.encode("utf-8", "replace").decode(), json_to, json_file, html_to)


def _answer(
    diagnosis: Diagnosis, source: str, json_to: str | None, json_file: Path | None, html_to: Path | None
) -> None:
    from uncollapse.files import write_text

    facts = {**diagnosis.to_dict(), "source": source}
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


def _opened(source: str, target: str | None, given: str | None) -> Tables:
    from uncollapse.data.sources import open_source

    rows, goal, condition = (None if name is None else open_source(name) for name in (source, target, given))
    assert rows is not None
    return rows, goal, condition


def _opened_model(
    model: str, tables: Tables, scale: float, *, trust: bool, spread: Any, input_shape: str | None
) -> tuple[Probe, Callable[[], int]]:
    """The model's probe, and a function that tells its number of latents."""
    from uncollapse.data.rows import dense

    rows, _, condition = (None if t is None else dense(next(iter(t.blocks())))[:FEW_ROWS] for t in tables)
    x = np.asarray(rows) * scale
    shape = None if input_shape is None else whole_numbers(input_shape, "--input-shape")
    try:
        from uncollapse.probes import open_probe

        probe = open_probe(model, trust=trust, spread=spread, input_shape=shape, rows=x)
    except ImportError as error:
        raise UncollapseError(
            f"{model}: seeing into it needs {error.name or error}; pip install 'uncollapse[torch]', and the library it "
            f"was trained with"
        ) from None
    return probe, lambda: probe.encode(x, condition).level_sizes[0]


def _objective(
    own: Objective | None,
    written: dict[str, Any],
    loss: dict[str, Any],
    model: dict[str, Any],
    *,
    n_features: Any,
    n_latents: Callable[[], int],
) -> Objective | None:
    """The objective that the options describe; None where they leave it to the model.

    A loss that is given is given whole, as in `forecast`; what belongs to the model stays the model's own.
    """
    model = {name: value for name, value in model.items() if value is not None}
    if not written and all(value is None for value in loss.values()):
        return replace(own, **model) if own is not None and model else None
    if own is not None:
        kept = {name: getattr(own, name) for name in ("prior_variance", "encoder_variance", "bias")}
        model = kept | model
        loss = loss | {"levels": loss["levels"] or own.levels or None}
        if not written and loss["likelihood"] is None:
            loss = loss | {"likelihood": own.likelihood}
    needed = n_latents() if written.get("kl_reduction") == "mean" else None
    objective: Objective = objective_from(written, n_features=n_features, n_latents=needed, **loss, **model)
    return objective


def _disagreement(own: Objective | None, objective: Objective | None) -> Iterator[str]:
    if own is None or objective is None:
        return
    learned = objective.decoder_variance == "learned"
    same = own.likelihood == objective.likelihood and learned == (own.decoder_variance == "learned")
    if same and math.isclose(*((o.beta if learned else o.water_level) for o in (own, objective)), rel_tol=1e-6):
        return
    yield f"the loss given ({_in_words(objective)}) is not the model's own ({_in_words(own)}); the given one is used"


def _in_words(o: Objective) -> str:
    if o.likelihood != "gaussian":
        return f"{o.likelihood}, β = {o.beta:.4g}"
    variance = o.decoder_variance if isinstance(o.decoder_variance, str) else f"{o.decoder_variance:.4g}"
    return f"β = {o.beta:.4g}, decoder variance {variance}"


def _diagnosed(probe: Probe, tables: Tables, objective: Objective | None, **how: Any) -> Diagnosis:
    from uncollapse.diagnosis.examine import diagnose as diagnose_
    from uncollapse.progress import watching

    rows, goal, condition = tables
    with watching(rows, "measuring") as watched:
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


def _check_counts(counts: dict[str, int | None]) -> None:
    for option, count in counts.items():
        if count is not None and count < 2:
            raise DataError(f"{option} must be 2 or more, got {count}")


def _files(model: str) -> list[str]:
    """The model, what lies in it if it is a folder, its source if it is code: none of it may be written over."""
    path = Path(model)
    name, colon, _ = model.partition(":")
    parts = name.split(".")
    try:
        if path.is_dir():
            return [model, *map(str, path.iterdir())]
        if not colon or path.exists() or not all(parts):
            return [model]
    except OSError:  # too long a name, a folder that may not be read: what opens the model says so
        return []
    return [model] + [
        str(Path(folder, *parts[:n]).with_suffix(".py") if whole else Path(folder, *parts[:n], "__init__.py"))
        for folder in (".", *sys.path) for n in range(1, len(parts) + 1) for whole in (True, False)
    ]  # fmt: skip
