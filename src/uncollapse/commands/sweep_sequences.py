"""`uncollapse sweep TEXT --decoder …`: VAEs of sequences at many weights, from one language model, in a folder."""

from __future__ import annotations

import json
from typing import Any

from uncollapse.commands import training_options as options
from uncollapse.commands.train_sequences import LATENTS, refuse_others, sequences_side, settings_of
from uncollapse.errors import OutputError

__all__ = ["sweep_sequences"]

KEPT = (
    "source", "out", "decoder", "beta", "latents", "seeds", "epochs", "batch_size", "learning_rate", "schedule",
    "warm_up", "clip", "width", "encoder", "keep_models",
)  # fmt: skip


def sweep_sequences(given: dict[str, Any]) -> None:
    """Train the grid with the options that were typed, write the folder, print the table.

    Raises
    ------
    ObjectiveError
        An option that does not go with --decoder, or a list that is none.
    """
    refuse_others(given, KEPT)
    sequences = sequences_side()
    from uncollapse.checks import as_path
    from uncollapse.data.tokens import open_tokens
    from uncollapse.files import write_text
    from uncollapse.injecting.sweep import sequence_sweep
    from uncollapse.report.sequence_sweep_page import sequence_sweep_page
    from uncollapse.showing.terminal import standard_output

    given = dict(given)
    source, decoder, width = given.pop("source"), given.pop("decoder"), given.pop("width", 64)
    folder = as_path(given.pop("out"), "--out", error=OutputError)
    betas = options.axis(given.pop("beta", "1"), "--beta")
    latents = options.whole_numbers(given.pop("latents", "") or str(LATENTS), "--latents")
    seeds, keep_models = given.pop("seeds", 1), given.pop("keep_models", False)
    settings = settings_of(given)
    of_training = {name: settings.pop(name) for name in ("epochs", "batch_size", "learning_rate", "clip")
                   if name in settings}  # fmt: skip
    tokens = open_tokens(source)
    shape = sequences.shape_named(decoder, tokens.n_vocabulary, width=width)
    sweep = sequence_sweep(
        tokens, shape, folder, betas=betas, latents=latents, seeds=seeds, keep_models=keep_models, progress=True,
        training=sequences.SequenceTraining(**of_training), **settings,
    )  # fmt: skip
    facts = {**sweep.to_dict(), "source": source.encode("utf-8", "replace").decode()}
    write_text(folder / "results.csv", sweep.to_csv())
    write_text(folder / "result.json", json.dumps(facts, ensure_ascii=False, allow_nan=False, indent=1) + "\n")
    write_text(folder / "figures.html", sequence_sweep_page(sweep, source))
    print(sweep.summary(width=standard_output().width))
    print(f"Table: {folder / 'results.csv'}, {folder / 'result.json'}   Figures: {folder / 'figures.html'}")
