"""`uncollapse diagnose MODEL TEXT`: a VAE of sequences; a thin call of the library."""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from uncollapse.commands.fail_on import causes_named, fail_on
from uncollapse.commands.forecast_decoder import made, tokenized
from uncollapse.commands.model_options import files
from uncollapse.commands.training_options import training_side
from uncollapse.errors import ObjectiveError, SourceError, UncollapseWarning

if TYPE_CHECKING:
    from uncollapse.data.tokens import Tokens
    from uncollapse.sequence_diagnosis.result import SequenceDiagnosis
    from uncollapse.sequences import SequenceVAE

__all__ = ["Inject", "Longest", "Sequences", "diagnose_sequences", "of_sequences", "without_sequences"]

PANEL = "Sequences"
TEXT = (".txt", ".text", ".smi", ".smiles", ".jsonl", ".ndjson")
OWN = {"sequences": "--sequences", "inject": "--inject", "longest": "--longest"}
TAKEN = ("context", "model", "source", "beta", "rows", "seed", "json_to", "html_to", "fail_on_causes", *OWN)

Sequences = Annotated[
    bool,
    typer.Option(
        "--sequences",
        help="SOURCE holds sequences of tokens; said by .txt, .smi, .jsonl, or a folder that `train --decoder` wrote. "
        "A model of yours then has encode(tokens, mask), which gives mean and log-variance, and decode(tokens, z), "
        "which gives logits.",
        rich_help_panel=PANEL,
    ),
]
Inject = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Submodule of the decoder where a latent may enter too.", rich_help_panel=PANEL),
]
Longest = Annotated[
    int | None, typer.Option(help="Tokens of a sequence that are kept. (default 128)", rich_help_panel=PANEL)
]


def of_sequences(model: str, source: str, given: dict[str, Any]) -> bool:
    """Whether what was typed is about sequences: by an option, by the text, or by what the folder holds."""
    if given.get("sequences") or Path(source).suffix in TEXT:
        return True
    path = Path(model) / "model.safetensors"
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        return str(header["__metadata__"]["format"]).startswith("uncollapse-sequences")
    except (OSError, ValueError, KeyError, TypeError, OverflowError, MemoryError):
        return False  # what opens it says what is wrong


def without_sequences(given: dict[str, Any]) -> None:
    """Refuse what only sequences have.

    Raises
    ------
    ObjectiveError
        One of these options, and no sequences.
    """
    if alone := [option for name, option in OWN.items() if name in given and name != "sequences"]:
        raise ObjectiveError(f"{alone[0]} is of sequences: a text, or --sequences")


def diagnose_sequences(given: dict[str, Any]) -> None:
    """Diagnose with the options that were typed, and print or write the answer.

    Raises
    ------
    ObjectiveError
        An option that does not go with sequences.
    """
    if odd := [name for name in given if name not in TAKEN]:
        raise ObjectiveError(f"{_option(odd[0])} does not go with sequences; leave it out")
    training_side()
    from uncollapse.files import check_writable, write_text
    from uncollapse.sequence_diagnosis.examine import N_SEQUENCES
    from uncollapse.sequence_diagnosis.examine import diagnose_sequences as diagnosed
    from uncollapse.sequence_diagnosis.result import CAUSES

    unwanted = causes_named(given.get("fail_on_causes"), CAUSES)
    json_to, source = given.get("json_to"), given["source"]
    json_file = None if json_to in (None, "-") else Path(str(json_to))
    html_to = given.get("html_to")
    check_writable(html_to, json_file, inputs=[source, *files(given["model"])])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UncollapseWarning)
        model, tokens, notes = _opened(given["model"], source, given.get("longest"))
        diagnosis = diagnosed(
            model, tokens, beta=given.get("beta"), inject=given.get("inject"), seed=given.get("seed", 0),
            n_sequences=given.get("rows", N_SEQUENCES),
        )  # fmt: skip
    notes += [str(item.message) for item in caught if issubclass(item.category, UncollapseWarning)]
    diagnosis = replace(diagnosis, notes=tuple(dict.fromkeys((*diagnosis.notes, *notes))))
    named = source.encode("utf-8", "replace").decode()
    facts = {**diagnosis.to_dict(), "source": named}
    if html_to:
        from uncollapse.report.sequence_diagnosis_page import sequence_diagnosis_page

        write_text(html_to, sequence_diagnosis_page(diagnosis, named))
    if json_to == "-":
        print(json.dumps(facts, ensure_ascii=False, allow_nan=False))
    else:
        if json_file:
            write_text(json_file, json.dumps(facts, ensure_ascii=False, allow_nan=False, indent=1) + "\n")
        _print(diagnosis)
    fail_on(diagnosis.cause, unwanted)


def _print(diagnosis: SequenceDiagnosis) -> None:
    from uncollapse.showing.terminal import standard_output

    print(diagnosis.summary(width=standard_output().width))


def _opened(model: str, source: str, longest: int | None) -> tuple[Any, Tokens, list[str]]:
    """The model, its sequences, and what is to be said of them."""
    from uncollapse.data.tokens import LONGEST, open_tokens

    is_folder = Path(model).is_dir()
    vae, tokenizer = (_loaded(model), None) if is_folder else made(model)
    tokens = open_tokens(source, longest=LONGEST if longest is None else longest)
    notes = [f"{tokens.n_cut:,} sequences were longer and are cut (--longest)"] if tokens.n_cut else []
    if tokenizer is not None:
        tokens = tokenized(tokens, tokenizer, longest)
    if is_folder:
        tokens, note = _held_out(vae, tokens)
        notes.append(note)
    return vae, tokens, notes


def _loaded(folder: str) -> SequenceVAE:
    from uncollapse.sequences import SequenceVAE, load

    loaded = load(folder)
    if not isinstance(loaded, SequenceVAE):
        raise SourceError(f"{folder}: a language model has no latents; `uncollapse forecast TEXT --decoder` is for it")
    return loaded


def _held_out(vae: SequenceVAE, tokens: Tokens) -> tuple[Tokens, str]:
    """The fifth that it was not trained on, where these are the sequences of its training."""
    from uncollapse.sequence_diagnosis.examine import LEAST_SEQUENCES
    from uncollapse.sequences.rows import split

    if len(tokens) < 5 * LEAST_SEQUENCES:
        return tokens, "all sequences are used, those of the training among them if they are here"
    there = split(tokens)[1]
    if len(there) == vae.held_out.n_sequences and int(tokens.lengths.max()) == vae.encoder.longest:
        now = vae.evaluate(there)
        if math.isclose(now.reconstruction, vae.held_out.reconstruction, rel_tol=1e-4):
            return there, "these are the sequences of its training; the fifth that was held out is used"
    return tokens, "these are not the sequences of its training, or not as they were; all are used"


def _option(name: str) -> str:
    return {
        "json_to": "--json",
        "html_to": "--html",
        "set_": "--set",
        "loss_function": "--loss",
        "fail_on_causes": "--fail-on",
    }.get(name, "--" + name.replace("_", "-"))
