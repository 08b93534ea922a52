"""`uncollapse forecast SOURCE --decoder …`: when a latent lives that enters any decoder; a thin call of the library."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from uncollapse.commands.training_options import training_side, whole_numbers
from uncollapse.errors import DataError, ObjectiveError, SourceError, UncollapseWarning, kind_and_line

__all__ = ["forecast_decoder", "made", "refuse_others", "tokenized"]

OWN = ("gru", "transformer", "window")
"""Decoders that are trained here, on the sequences themselves, where no file is named."""

EPOCHS = 20

GOES_WITH = ("source", "decoder", "inject", "longest", "scale", "input_shape", "beta", "latents", "device",
             "json_to", "html_to")  # fmt: skip

SEQUENCES = (".txt", ".text", ".smi", ".smiles", ".jsonl", ".ndjson", ".npy")


def forecast_decoder(
    source: str,
    decoder: str,
    *,
    inject: str | None,
    longest: int | None,
    scale: float,
    input_shape: str | None,
    beta: float | None,
    latents: int | None,
    device: str | None = None,
    json_to: str | None,
    html_to: Path | None,
) -> None:
    """Measure a decoder that was trained without latents, and say at which weight one would live."""
    training_side()
    from uncollapse.files import check_writable, write_text
    from uncollapse.injecting.measure import injection_spectrum

    json_file = None if json_to in (None, "-") else Path(str(json_to))
    check_writable(html_to, json_file, inputs=[source, decoder.partition(":")[0]])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UncollapseWarning)
        if decoder.partition(":")[0] in OWN:
            model, data = _trained(source, decoder, longest)
        else:
            model, tokenizer = made(decoder)
            data = _opened(source, tokenizer, longest=longest, scale=scale, input_shape=input_shape)
        result = injection_spectrum(model, data, inject=inject, beta=1.0 if beta is None else beta, n_latents=latents,
                                    device=device)  # fmt: skip
    notes = list(dict.fromkeys(str(item.message) for item in caught if issubclass(item.category, UncollapseWarning)))
    notes += [f"{data.n_cut:,} sequences were longer and are cut (--longest)"] if getattr(data, "n_cut", 0) else []
    facts = {**result.to_dict(), "source": source, "warnings": notes}
    if json_to == "-":
        print(json.dumps(facts, ensure_ascii=False, allow_nan=False))
        return
    if json_file:
        write_text(json_file, json.dumps(facts, ensure_ascii=False, allow_nan=False, indent=1) + "\n")
    if html_to:
        from uncollapse.report.injection_page import injection_page

        write_text(html_to, injection_page(result, source, notes))
    print("\n".join([result.summary(), *(f"Note: {note}." for note in notes)]))


def refuse_others(typed: dict[str, Any]) -> None:
    """Refuse what `--decoder` has no use for.

    Parameters
    ----------
    typed : dict
        Options that were typed, by name.

    Raises
    ------
    ObjectiveError
        One of them is none of `GOES_WITH`.
    """
    odd = [f"--{name.replace('_', '-').strip('-')}" for name in typed if name not in GOES_WITH]
    if odd:
        raise ObjectiveError(f"{', '.join(odd)}: with --decoder the loss is the decoder's own; leave it out")


def _trained(source: str, decoder: str, longest: int | None) -> tuple[Any, Any]:
    """A language model of ours, trained on four fifths of the sequences, and the last fifth, held out."""
    from uncollapse.data.tokens import LONGEST, open_tokens
    from uncollapse.sequences import SequenceTraining, train_language_model
    from uncollapse.sequences.rows import split

    tokens = open_tokens(source, longest=LONGEST if longest is None else longest)
    language = train_language_model(tokens, decoder, SequenceTraining(epochs=EPOCHS), progress=True)
    return language.decoder, split(tokens)[1]


def made(text: str) -> tuple[Any, Any]:
    """The model, and what turns a line into its tokens where the function gives that as well."""
    from uncollapse.reading.named import maker_named

    try:
        made = maker_named(text)()
    except SourceError:
        raise
    except Exception as error:  # a user's function raises anything
        raise SourceError(f"{text}: the function failed: {kind_and_line(error)}") from error
    return (made[0], made[1]) if isinstance(made, tuple) and len(made) == 2 else (made, None)


def _opened(source: str, tokenizer: Any, *, longest: int | None, scale: float, input_shape: str | None) -> Any:
    """Sequences of tokens, or numbers in the shape of a sample."""
    from uncollapse.data.tokens import LONGEST, open_tokens

    path = Path(source)
    if path.suffix in SEQUENCES and not _of_numbers(path):
        tokens = open_tokens(source, longest=LONGEST if longest is None else longest)
        return tokens if tokenizer is None else tokenized(tokens, tokenizer, longest)
    import numpy as np

    from uncollapse.data.rows import dense
    from uncollapse.data.sources import open_source

    rows = np.concatenate([dense(block) for block in open_source(source).blocks()]) * scale
    if input_shape is None:
        return rows
    try:
        return rows.reshape(len(rows), *whole_numbers(input_shape, "--input-shape"))
    except ValueError:
        raise DataError(f"--input-shape {input_shape}: the data have {rows.shape[1]} numbers a sample") from None


def _of_numbers(path: Path) -> bool:
    """Whether an array holds numbers and no tokens."""
    if path.suffix != ".npy" or not path.is_file():
        return False
    import numpy as np

    try:
        return np.load(path, mmap_mode="r", allow_pickle=False).dtype.kind == "f"
    except (ValueError, OSError, EOFError):
        return False  # `open_tokens` says what is wrong


def tokenized(tokens: Any, tokenizer: Any, longest: int | None) -> Any:
    """The lines of a text in the tokens of a user's own tokenizer."""
    from uncollapse.data.tokens import as_tokens

    lines = [tokens.text(row) for row in range(len(tokens))]
    try:
        ids = [getattr(one, "input_ids", one) for one in map(tokenizer, lines)]
    except Exception as error:  # a user's tokenizer raises anything
        raise SourceError(f"{tokens.name}: the tokenizer failed: {kind_and_line(error)}") from error
    return as_tokens([list(one) for one in ids], name=tokens.name, longest=longest)
