"""`uncollapse revive`: a thin call of the library."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from uncollapse.bill.budget import BUDGET
from uncollapse.commands import loss_options as options
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
)
from uncollapse.commands.opened import opened
from uncollapse.commands.options import as_written, notes_of
from uncollapse.commands.train_sequences import given_on_the_line
from uncollapse.errors import OutputError, UncollapseWarning

if TYPE_CHECKING:
    from uncollapse.reviving.result import Revived

__all__ = ["revive"]


def revive(
    model: Model,
    source: options.Source,
    out: Annotated[
        Path,
        typer.Option(metavar="FOLDER", help="Where the better model goes; what it holds is replaced."),
    ],
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
    no_bias: options.NoBias = False,
    likelihood: options.Likelihood = None,
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
    train: Annotated[
        int,
        typer.Option(metavar="EPOCHS", help="Train on from the better model, with the same loss.", min=0),
    ] = 0,
    learning_rate: Annotated[float | None, typer.Option(help="Of --train. (default 0.001)")] = None,
    seed: Annotated[int, typer.Option(help="Of sampled rows and noise.", rich_help_panel=options.OUT)] = 0,
    device: Device = None,
    json_to: options.Json = None,
    context: typer.Context = None,  # type: ignore[assignment]  # Typer gives it; a call from Python has no line
) -> None:
    """A better model from a trained one: dead latents get a path, idle ones are taken out; no training needed.

    The folder holds arrays and a report, and no code; `uncollapse.load_revived(module, FOLDER)` gives the model back.
    """
    from uncollapse.files import check_writable

    json_file = None if json_to in (None, "-") else Path(str(json_to))
    if not out.name:
        raise OutputError("--out needs the name of a folder")
    check_writable(json_file, inputs=[source, target or "", given or "", *files(model)])
    check_counts({"--rows": rows})
    check_scale(scale)
    written = as_written(recon, reduction, half, kl_reduction, kl_weight, kl_batch_sum, loss_function, set_)
    loss = {"beta": beta, "decoder_variance": decoder_variance, "likelihood": likelihood, "levels": None}
    own = model_settings(prior_variance, encoder_variance, no_bias)
    how: dict[str, Any] = {"scale": scale, "drop_nonfinite": drop_nonfinite, "seed": seed}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UncollapseWarning)
        found = opened(
            model, source, target, given, of_class=of_class, arguments=args, scale=scale,
            scale_said=context is not None and "scale" in given_on_the_line(context), spread=spread,
            input_shape=input_shape, trust=trust, loss_said=is_said(written, loss), device=device,
        )  # fmt: skip
        probe, tables, how["scale"] = found.probe, found.tables, found.scale
        objective = objective_of(found.objective, written, loss, own, tables=tables, n_latents=found.n_latents)
        objective = objective or found.inferred.objective
        found.ask(objective, context)
        from uncollapse.reviving.build import revive as revive_

        better = revive_(probe, *tables, objective=objective, n_rows=rows, budget=budget, **how)
        trained = None
        if better.better:
            trained = _written(better, out, model, source, tables, train, learning_rate, how)
    notes = [str(item.message) for item in caught if issubclass(item.category, UncollapseWarning)]
    notes = [*found.notes, *disagreement(found.objective, objective), *notes_of(*tables), *notes]
    _answer(better, out, trained, list(dict.fromkeys(notes)), json_to, json_file)


def _written(
    better: Revived, out: Path, model: str, source: str, tables: Any, epochs: int, rate: float | None,
    how: dict[str, Any],
) -> Any:  # fmt: skip
    """The folder, and what came of training on, if that was asked for."""
    from uncollapse.files import write_text
    from uncollapse.report.revive_page import revive_page
    from uncollapse.reviving.folder import write_folder
    from uncollapse.reviving.train_on import train_on

    trained = train_on(better, *tables, epochs=epochs, learning_rate=rate, **how) if epochs else None
    more = {"opened": model, "source": source, "trained": None if trained is None else trained.to_dict()}
    write_folder(better, out, **more)
    (out / "trained.safetensors").unlink(missing_ok=True)
    if trained is not None:
        trained.write(out)
    write_text(out / "report.html", revive_page(better, source, trained))
    return trained


def _answer(
    better: Revived, out: Path, trained: Any, notes: list[str], json_to: str | None, json_file: Path | None
) -> None:
    from uncollapse.files import write_text

    facts = {**better.to_dict(), "folder": str(out) if better.better else None, "notes": notes}
    if trained is not None:
        facts["trained"] = trained.to_dict()
    if json_to == "-":
        print(json.dumps(facts, ensure_ascii=False, allow_nan=False))
        return
    if json_file:
        write_text(json_file, json.dumps(facts, ensure_ascii=False, allow_nan=False, indent=1) + "\n")
    from rich.text import Text

    from uncollapse.bill.terminal import bill_table
    from uncollapse.showing.terminal import standard_output

    console = standard_output()
    console.print(Text(better.headline, style="bold"))
    if better.why_not:
        console.print(Text(better.why_not))
    if better.additions is not None:
        console.print(Text(better.additions.text))
    if trained is not None:
        console.print(Text(trained.text))
    if better.better:
        console.print(Text(f"Written: {out} (report.html; in Python, uncollapse.load_revived(module, {str(out)!r}))."))
    for note in notes:
        console.print(Text(f"Note: {note.removesuffix('.')}."), style="dim")
    if better.bill.lines:
        console.print(bill_table(better.bill))
