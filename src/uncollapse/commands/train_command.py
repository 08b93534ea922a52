"""`uncollapse train`: one VAE, its checkpoint, history and result in a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from uncollapse.commands import train_sequences as sequences
from uncollapse.commands import training_options as options
from uncollapse.commands.options import levels_from, number

__all__ = ["train"]


def train(
    context: typer.Context,
    source: options.Source,
    out: Annotated[str, typer.Option(metavar="DIR", help="Folder for checkpoint, history and result.")],
    target: options.Target = None,
    given: options.Given = None,
    scale: options.Scale = 1.0,
    drop_nonfinite: options.DropNonfinite = False,
    beta: Annotated[float, typer.Option(help="Weight of the KL term.")] = 1.0,
    decoder_variance: Annotated[str, typer.Option(metavar="FLOAT|learned|optimal", help="η².")] = "1",
    prior_variance: Annotated[float, typer.Option(help="Of each latent.")] = 1.0,
    encoder_variance: Annotated[
        str, typer.Option(metavar="learned|LIST", help="σ² of q(z|x), or one per latent.")
    ] = "learned",
    latents: Annotated[int | None, typer.Option(help="Number of latents.")] = None,
    level_betas: Annotated[
        str | None, typer.Option(metavar="LIST", help="Hierarchical VAE: KL weight of each level from the data up.")
    ] = None,
    level_variances: Annotated[str | None, typer.Option(metavar="LIST", help="Encoder variance of each level.")] = None,
    level_latents: Annotated[str | None, typer.Option(metavar="LIST", help="Latents of each level.")] = None,
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
    momentum: Annotated[float, typer.Option(help="Of sgd.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of weights, batches and noise.")] = 0,
    analytic: options.Analytic = False,
    warm_start: options.WarmStart = False,
    schedule: options.Schedule = "constant",
    warm_up: options.WarmUp = 10.0,
    free_bits: Annotated[float, typer.Option(help="Nats of KL per latent that cost nothing.")] = 0.0,
    patience: options.Patience = None,
    clip: options.Clip = None,
    mixed_precision: Annotated[bool, typer.Option("--mixed-precision", help="Multiply in bfloat16.")] = False,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, …; a GPU if there is one.")] = None,
    decoder: sequences.Decoder = None,
    width: sequences.Width = 64,
    encoder: sequences.Encoder = "gru",
    word_dropout: sequences.WordDropout = 0.0,
) -> None:
    """Train a VAE; the same command goes on where it was stopped, and --epochs may be raised."""
    typed = sequences.given_on_the_line(context)
    if decoder is not None:
        sequences.train_sequences(typed)
        return
    sequences.without_decoder(typed)
    side = options.training_side()
    from uncollapse import checks
    from uncollapse.errors import OutputError
    from uncollapse.files import locked, made_folder
    from uncollapse.objective import Objective

    rule, variance = "parameter", "learned" if decoder_variance == "optimal" else decoder_variance
    if decoder_variance == "optimal":
        rule = "optimal"
    objective = Objective(
        beta=beta,
        decoder_variance=number(variance, "--decoder-variance"),
        prior_variance=prior_variance,
        encoder_variance=number(encoder_variance, "--encoder-variance"),
        n_latents=latents,
        bias=not no_bias,
        likelihood=likelihood,  # type: ignore[arg-type]  # checked by the objective
        levels=levels_from(level_betas, level_variances, level_latents),
    )
    setup = options.base_setup(
        objective, hidden=hidden, channels=channels, image=image, activation=activation, batch_size=batch_size,
        analytic=analytic, schedule=schedule, warm_up=warm_up, epochs=epochs, learning_rate=learning_rate,
        cooling=cooling, optimiser=optimiser, momentum=momentum, seed=seed, warm_start=warm_start, free_bits=free_bits,
        patience=patience, clip=clip, mixed_precision=mixed_precision, decoder_variance_rule=rule,
    )  # fmt: skip
    folder = made_folder(checks.as_path(out, "--out", error=OutputError))
    rows = options.opened_table(
        source, target, given, scale=scale, drop_nonfinite=drop_nonfinite, likelihood=likelihood
    )
    with locked(folder / ".lock", f"{folder}: another process trains into this folder; wait for it, or stop it"):
        vae = side.train(
            rows,
            objective=setup.objective,
            network=setup.network,
            training=setup.training,
            device=device,
            checkpoint=folder / "checkpoint.safetensors",
            progress=True,
        )
        _report(folder, source, vae, vae.evaluate(rows), _forecast(vae, rows))


def _forecast(vae: Any, rows: Any) -> Any:
    from uncollapse.training.sweep import forecasts

    return forecasts({"it": vae.setup}, rows)["it"]


def _report(folder: Path, source: str, vae: Any, result: Any, forecast: Any) -> None:
    from uncollapse.files import write_text
    from uncollapse.showing.plain import stamp
    from uncollapse.training.cells import result_of
    from uncollapse.training.result import forecast_loss
    from uncollapse.training.table import write_parquet

    facts = {**stamp("training"), "source": source, "setup": vae.setup.to_dict(), **result_of(vae, result)}
    if forecast is not None:
        facts["forecast"] = {"n_alive": forecast.n_alive, "loss": _finite(forecast_loss(forecast)),
                             "rate": _finite(forecast.rate), "status": forecast.status}  # fmt: skip
    write_text(folder / "result.json", json.dumps(facts, ensure_ascii=False, allow_nan=False, indent=1) + "\n")
    write_parquet(folder / "history.parquet", {name: list(values) for name, values in vae.history.items()})
    n = len(result.kl)
    ended = "stopped on a plateau" if vae.status == "plateau" else "trained"
    print(f"{result.n_alive} of {n} latents live after {vae.n_epochs} epochs ({ended}).")
    print(f"  loss {result.loss:.5g}   ELBO {result.elbo:.5g}   KL {result.rate:.4g} nats per sample")
    if forecast is not None:
        exact = "exact" if forecast.exact and vae.setup.network.linear else "of the linear model"
        print(f"  forecast, {exact}: {forecast.n_alive} alive, loss {forecast_loss(forecast):.5g}, "
              f"KL {forecast.rate:.4g}")  # fmt: skip
    print(f"Checkpoint, history and result: {folder}")


def _finite(value: float) -> float | None:
    import math

    return value if math.isfinite(value) else None
