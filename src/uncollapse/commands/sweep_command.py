"""`uncollapse sweep`: a grid of trainings into one table and one page of figures."""

from __future__ import annotations

from typing import Annotated

import typer

from uncollapse.commands import train_sequences as sequences
from uncollapse.commands import training_options as options
from uncollapse.commands.cluster import connected
from uncollapse.commands.sweep_sequences import sweep_sequences

__all__ = ["sweep"]

GRID = "The grid: every combination of these lists"


def sweep(
    context: typer.Context,
    source: options.Source,
    out: Annotated[str, typer.Option(metavar="DIR", help="Folder for cells, table and figures.")],
    target: options.Target = None,
    given: options.Given = None,
    scale: options.Scale = 1.0,
    drop_nonfinite: options.DropNonfinite = False,
    beta: Annotated[str, typer.Option(metavar="LIST", help="0.5,1,2", rich_help_panel=GRID)] = "1",
    decoder_variance: Annotated[
        str, typer.Option(metavar="LIST", help="η²: numbers, learned, optimal.", rich_help_panel=GRID)
    ] = "1",
    encoder_variance: Annotated[
        str, typer.Option(metavar="LIST", help="σ² of every latent: numbers, learned.", rich_help_panel=GRID)
    ] = "learned",
    latents: Annotated[str, typer.Option(metavar="LIST", help="Numbers of latents.", rich_help_panel=GRID)] = "",
    seeds: Annotated[int, typer.Option(help="Trainings of each combination.", rich_help_panel=GRID)] = 1,
    likelihood: options.Likelihood = "gaussian",
    no_bias: options.NoBias = False,
    hidden: options.Hidden = "",
    activation: options.Activation = "relu",
    channels: options.Channels = "",
    image: options.Image = "",
    epochs: options.Epochs = 100,
    batch_size: options.BatchSize = 128,
    learning_rate: options.LearningRate = 1e-3,
    cooling: options.Cooling = 0,
    optimiser: options.Optimiser = "adam",
    analytic: options.Analytic = False,
    warm_start: options.WarmStart = False,
    schedule: options.Schedule = "constant",
    warm_up: options.WarmUp = 10.0,
    patience: options.Patience = None,
    clip: options.Clip = None,
    jobs: Annotated[int, typer.Option(help="Processes; -1 for one per core.")] = 1,
    backend: Annotated[
        str | None, typer.Option(metavar="loky|dask|ray", help="joblib's; dask and ray use a cluster.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Of the Dask cluster; implies --backend dask.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="Of every worker: cpu, cuda, …; a GPU if there is one.")] = None,
    keep_models: Annotated[bool, typer.Option("--keep-models", help="Write every model to DIR/models.")] = False,
    decoder: sequences.Decoder = None,
    width: sequences.Width = 64,
    encoder: sequences.Encoder = "gru",
) -> None:
    """Train a grid of VAEs and put the forecast beside them; if killed, the same command goes on."""
    typed = sequences.given_on_the_line(context)
    if decoder is not None:
        sweep_sequences(typed)
        return
    sequences.without_decoder(typed)
    side = options.training_side()
    from uncollapse import checks
    from uncollapse.errors import OutputError
    from uncollapse.files import write_text
    from uncollapse.objective import Objective
    from uncollapse.report.sweep_page import sweep_page
    from uncollapse.training.sweep import forecasts

    folder = checks.as_path(out, "--out", error=OutputError)
    base = options.base_setup(
        Objective(bias=not no_bias, likelihood=likelihood), hidden=hidden, channels=channels,  # type: ignore[arg-type]
        image=image, activation=activation, batch_size=batch_size, analytic=analytic, schedule=schedule,
        warm_up=warm_up, epochs=epochs, learning_rate=learning_rate, cooling=cooling, optimiser=optimiser,
        warm_start=warm_start, patience=patience, clip=clip,
    )  # fmt: skip
    setups = side.grid(
        base,
        beta=options.axis(beta, "--beta"),
        decoder_variance=options.axis(decoder_variance, "--decoder-variance", ("learned", "optimal")),
        encoder_variance=options.axis(encoder_variance, "--encoder-variance", ("learned",)),
        n_latents=options.whole_numbers(latents, "--latents") or (None,),
        seeds=seeds,
    )
    rows = options.opened_table(
        source, target, given, scale=scale, drop_nonfinite=drop_nonfinite, likelihood=likelihood
    )
    with connected(scheduler, needs=("torch",)):
        columns = side.sweep(
            rows, setups, folder, jobs=jobs, backend="dask" if scheduler else backend, device=device,
            keep_models=keep_models, progress=True,
        )  # fmt: skip
    lines = forecasts({str(i): setup for i, setup in enumerate(setups)}, rows)
    write_text(folder / "figures.html", sweep_page(columns, setups, list(lines.values()), source))
    lost = sum(status in ("failed", "refused") for status in columns["status"])
    print(f"{len(setups)} trainings{f', {lost} of them failed (see the table)' if lost else ''}.")
    print(f"Table: {folder / 'results.parquet'}   Figures: {folder / 'figures.html'}")
