"""`uncollapse train TEXT --decoder …`: one VAE of sequences, and what it came to, in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from uncollapse.errors import ObjectiveError, OutputError, UncollapseError, shown

__all__ = [
    "LATENTS",
    "Decoder",
    "Encoder",
    "Width",
    "WordDropout",
    "given_on_the_line",
    "refuse_others",
    "sequences_side",
    "settings_of",
    "train_sequences",
    "without_decoder",
]

PANEL = "Sequences"
EPOCHS = 20
"""Where nobody says: a text of 30,000 short lines then takes two minutes."""

LATENTS = 8
OWN = ("width", "encoder", "word_dropout")
SHARED = (
    "source", "out", "decoder", "latents", "beta", "epochs", "batch_size", "learning_rate", "seed", "schedule",
    "warm_up", "free_bits", "clip",
)  # fmt: skip

Decoder = Annotated[
    str | None,
    typer.Option(
        metavar="gru|transformer|window:K",
        help="SOURCE holds sequences (.txt, .smi, .jsonl, .npy); their decoder sees all tokens before each, or K. "
        "Then 20 epochs at a rate of 0.003, 8 latents, where nothing else is said.",
        rich_help_panel=PANEL,
    ),
]
Width = Annotated[int, typer.Option(help="Of its hidden layers.", rich_help_panel=PANEL)]
Encoder = Annotated[
    str,
    typer.Option(
        metavar="gru|positions|counts", help="Sees order, tokens in their places, or counts.", rich_help_panel=PANEL
    ),
]
WordDropout = Annotated[
    float, typer.Option(help="Share of the tokens that the decoder does not see.", rich_help_panel=PANEL)
]


def given_on_the_line(context: typer.Context) -> dict[str, Any]:
    """The parameters that were typed, by their names."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    # by its name: the class of a source is Click's own, which Typer may carry inside
    return {
        name: context.params[name] for name, source in sources.items() if getattr(source, "name", "") == "COMMANDLINE"
    }


def without_decoder(given: dict[str, Any]) -> None:
    """Refuse what only sequences have.

    Raises
    ------
    ObjectiveError
        One of these options without --decoder.
    """
    if alone := [_option(name) for name in OWN if name in given]:
        raise ObjectiveError(
            f"{alone[0]} is of sequences; name their decoder too: --decoder gru, transformer or window:K"
        )


def train_sequences(given: dict[str, Any]) -> None:
    """Train on sequences with the options that were typed, write the folder, print what it came to.

    Raises
    ------
    ObjectiveError
        An option that does not go with --decoder.
    """
    refuse_others(given, (*SHARED, *OWN))
    sequences = sequences_side()
    from uncollapse.checks import as_path
    from uncollapse.data.tokens import open_tokens
    from uncollapse.files import locked, made_folder

    given = dict(given)
    source, decoder, width = given.pop("source"), given.pop("decoder"), given.pop("width", 64)
    folder = made_folder(as_path(given.pop("out"), "--out", error=OutputError))
    tokens = open_tokens(source)
    shape = sequences.shape_named(decoder, tokens.n_vocabulary, width=width)
    settings = {"n_latents": given.pop("latents", LATENTS), **settings_of(given)}
    with locked(folder / ".lock", f"{folder}: another process trains into this folder; wait for it, or stop it"):
        vae = sequences.train_sequence_vae(tokens, shape, progress=True, **settings)
        sequences.save(vae, folder)
    _print(vae, tokens, str(folder))


def refuse_others(given: dict[str, Any], kept: Sequence[str]) -> None:
    """Refuse an option that has no meaning for sequences.

    Raises
    ------
    ObjectiveError
        One that was typed is none of those kept, the first three of which need no naming.
    """
    if odd := [_option(name) for name in given if name not in kept]:
        known = ", ".join(_option(name) for name in kept[3:])
        raise ObjectiveError(f"{odd[0]} does not go with --decoder; leave it out. What goes with it: {known}")


def sequences_side() -> Any:
    """`uncollapse.sequences`, or one line that says how to get it."""
    try:
        from uncollapse import sequences
    except ImportError as error:
        raise UncollapseError(str(error)) from None
    return sequences


def settings_of(given: dict[str, Any]) -> dict[str, Any]:
    """What is left of the options as arguments of `train_sequence_vae`."""
    kind, epochs = given.pop("schedule", "constant"), given.pop("epochs", EPOCHS)
    warm_up = given.pop("warm_up", None)
    if kind not in ("constant", "linear"):
        raise ObjectiveError(f"--schedule goes with --decoder as constant or linear, got {shown(kind)}")
    if warm_up is not None and kind == "constant":
        raise ObjectiveError("--warm-up goes with --schedule linear")
    if kind == "linear":
        from uncollapse.checks import positive

        share = positive(10.0 if warm_up is None else warm_up, "--warm-up") / max(epochs, 1)
        if share > 1:
            raise ObjectiveError(f"--warm-up {share * epochs:g} is longer than the {epochs} epochs; give fewer")
        given["warm_up"] = share
    return {"epochs": epochs, **given}


def _print(vae: Any, tokens: Any, folder: str) -> None:
    e, n = vae.held_out, vae.n_latents
    if tokens.n_cut:
        print(f"{tokens.n_cut:,} of {len(tokens):,} sequences were cut to {tokens.lengths.max():,} tokens.")
    print(f"{e.n_alive} of {n} latents live after {vae.setup.training.epochs} epochs, on the fifth held out.")
    print(f"  loss {e.loss:.5g}   reconstruction {e.reconstruction:.5g}   KL {e.rate:.4g} nats per sequence")
    print(f"  ELBO {e.elbo_per_token:.4g} nats per token   ({vae.seconds:.0f} s)")
    for line in vae.card().lines:
        print(f"  {line}")
    print(f"Model and result: {folder}")


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
