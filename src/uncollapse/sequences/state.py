"""Models of sequences in a folder: `model.safetensors`, tensors with everything else as JSON in its header.

One file, written aside and renamed, is either the old model or the new one. `result.json` beside it is for people.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from uncollapse.checks import as_path, instance
from uncollapse.errors import OutputError, SourceError, UncollapseError
from uncollapse.files import made_folder, write_bytes, write_text
from uncollapse.sequences.decoders import DecoderShape, decoder_of
from uncollapse.sequences.encoders import encoder_of
from uncollapse.sequences.language import LanguageModel
from uncollapse.sequences.result import SequenceEvaluation, SequenceVAE
from uncollapse.sequences.settings import SequenceSetup, SequenceTraining
from uncollapse.training.state import read_state, state_bytes

__all__ = ["load", "save"]

FORMAT = "uncollapse-sequences-1"
MODEL = "model.safetensors"
RESULT = "result.json"
HISTORY = "history."


def save(model: LanguageModel | SequenceVAE, folder: str | Path) -> None:
    """Write a model to a folder, which is made if it is not there; `load` gives it back.

    Raises
    ------
    OutputError
        It cannot be written; what was there before stays.
    """
    instance(model, "what is saved", (LanguageModel, SequenceVAE))
    place = made_folder(as_path(folder, "folder", error=OutputError))
    facts = {"noun": type(model).__name__, **model.to_dict()}
    del facts["history"]  # among the tensors, to the last bit
    values = {HISTORY + name: torch.from_numpy(column) for name, column in model.history.items()}
    for part, module in _modules(model).items():
        values |= {f"{part}.{name}": value for name, value in module.state_dict().items()}
    if isinstance(model, SequenceVAE):
        values["kl"] = torch.from_numpy(model.held_out.kl)
    write_bytes(place / MODEL, state_bytes(values, facts, FORMAT))
    text = json.dumps({**model.to_dict(), "noun": facts["noun"]}, ensure_ascii=False, allow_nan=False, indent=1)
    write_text(place / RESULT, text + "\n")


def load(folder: str | Path) -> LanguageModel | SequenceVAE:
    """Read what `save` wrote.

    Raises
    ------
    SourceError
        Missing, damaged, or not such a folder.
    """
    path = as_path(folder, "folder", error=SourceError) / MODEL
    values, facts = read_state(path, FORMAT)
    try:
        made = _language_model(values, facts) if facts["noun"] == "LanguageModel" else _vae(values, facts)
        for part, module in _modules(made).items():
            module.load_state_dict(_under(f"{part}.", values))
            module.requires_grad_(False)
    except (KeyError, TypeError, RuntimeError, UncollapseError) as error:
        raise SourceError(f"{path}: not a model of this version: {str(error).splitlines()[0]}") from None
    return made


def _modules(model: LanguageModel | SequenceVAE) -> dict[str, nn.Module]:
    if isinstance(model, LanguageModel):
        return {"decoder": model.decoder}
    return {"encoder": model.encoder, "to_v": model.to_v, "decoder": model.decoder}


def _language_model(values: dict[str, Tensor], facts: dict[str, Any]) -> LanguageModel:
    return LanguageModel(
        decoder_of(DecoderShape(**facts["decoder"])),
        SequenceTraining(**facts["training"]),
        _history(values),
        facts["nats"],
        facts["nats_per_token"],
        facts["n_sequences"],
        _vocabulary(facts),
        facts["seconds"],
    )


def _vae(values: dict[str, Tensor], facts: dict[str, Any]) -> SequenceVAE:
    setup = SequenceSetup.from_dict(facts["setup"])
    shape = setup.decoder
    encoder = encoder_of(
        setup.encoder, n_vocabulary=shape.n_vocabulary, longest=facts["longest"], n_latents=setup.n_latents,
        width=setup.encoder_width or shape.width,
    )  # fmt: skip
    held_out = SequenceEvaluation.from_dict({**facts["held_out"], "kl": values["kl"].numpy()})
    to_v = nn.Linear(setup.n_latents, shape.width, bias=False)
    return SequenceVAE(
        setup, encoder, to_v, decoder_of(shape), _history(values), held_out, _vocabulary(facts), facts["seconds"]
    )


def _history(values: dict[str, Tensor]) -> dict[str, Any]:
    return {name: value.numpy() for name, value in _under(HISTORY, values).items()}


def _vocabulary(facts: dict[str, Any]) -> tuple[str, ...] | None:
    return None if facts["vocabulary"] is None else tuple(facts["vocabulary"])


def _under(prefix: str, values: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}
