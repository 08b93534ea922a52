"""A grid of VAEs of sequences, all from one language model, with what λ of its decoder says of each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from uncollapse.checks import as_path, count, instance, positive, shown
from uncollapse.data.tokens import Tokens, as_tokens
from uncollapse.errors import ObjectiveError, OutputError, SourceError, TrainingError
from uncollapse.files import clear_leftovers, locked, made_folder, write_text
from uncollapse.injecting.measure import injection_spectrum
from uncollapse.injecting.result import InjectionSpectrum
from uncollapse.injecting.sweep_result import COLUMNS, SequenceSweep
from uncollapse.progress import announce
from uncollapse.sequences.decoders import DecoderShape
from uncollapse.sequences.language import LanguageModel, train_language_model
from uncollapse.sequences.result import SequenceVAE
from uncollapse.sequences.rows import split
from uncollapse.sequences.settings import SequenceTraining
from uncollapse.sequences.state import load, save
from uncollapse.sequences.vae import train_sequence_vae

__all__ = ["sequence_sweep"]

FORMAT = "uncollapse-sequence-sweep-1"
MOST_SEEDS = 10_000

Cell = dict[str, Any]


def sequence_sweep(
    tokens: Any,
    shape: DecoderShape | str,
    out: str | Path,
    *,
    betas: Sequence[float] = (1.0,),
    latents: Sequence[int] = (8,),
    seeds: int = 1,
    training: SequenceTraining | None = None,
    keep_models: bool = False,
    progress: bool = False,
    **how: Any,
) -> SequenceSweep:
    """Train a language model, and from it a VAE at each weight, with each number of latents; λ says which can live.

    Parameters
    ----------
    tokens : Tokens, ndarray of shape (n, T), or list of lists of int
    shape : DecoderShape or str
        Of the decoder; see `train_language_model`.
    out : path
        A folder. If a sweep of the same settings and sequences was stopped there, only what is missing is trained.
    betas : sequence of float
        Weights of the KL, each above 0.
    latents : sequence of int
        Numbers of latents.
    seeds : int
        Trainings of each combination.
    training : SequenceTraining, optional
        Of the language model and of each VAE; its seed is the first.
    keep_models : bool
        Also write each VAE to ``models/``.
    progress : bool
        Bars on the terminal.
    **how
        ``encoder, encoder_width, free_bits, free_bits_total, warm_up``; see `train_sequence_vae`.

    Returns
    -------
    SequenceSweep

    Raises
    ------
    DataError, ObjectiveError
        Sequences or settings that cannot be trained on.
    OutputError
        The folder holds another sweep, another process works on it, or it cannot be written.

    Notes
    -----
    λ is measured on the sequences that train: the objective that training minimises is theirs (docs/theory.md
    section 12). Losses are of the fifth held out.

    Examples
    --------
    >>> import tempfile
    >>> x = np.random.default_rng(0).integers(0, 4, (200, 6))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sweep = sequence_sweep(x, "window:0", folder, betas=(2.0, 4.0), training=SequenceTraining(epochs=2))
    >>> sweep.columns["n_alive"]
    [0, 0]
    """
    own, folder = as_tokens(tokens), as_path(out, "out", error=OutputError)
    base = instance(SequenceTraining() if training is None else training, "training", SequenceTraining)
    cells = _cells(betas, latents, range(base.seed, base.seed + count(seeds, "seeds", least=1, most=MOST_SEEDS)))
    made_folder(folder / "cells")
    with locked(folder / ".lock", f"{folder}: another process works on this sweep; wait for it, or stop it"):
        clear_leftovers(folder, folder / "cells")
        _check_same(folder, own, shape, base, how, cells)
        language, spectrum = _begun(folder, own, shape, base, progress=progress)
        rows = []
        for at, cell in enumerate(cells, 1):
            path = folder / "cells" / f"{_name(cell)}.json"
            if not path.is_file():
                if progress:
                    announce(f"VAE {at} of {len(cells)}: β = {cell['beta']:g}, {cell['n_latents']} latents")
                found, vae = _trained(own, language, base, cell, how, progress=progress)
                if keep_models and vae is not None:
                    save(vae, folder / "models" / _name(cell))
                write_text(path, json.dumps(found))
            rows.append(_row(json.loads(path.read_text("utf-8")), cell, language, spectrum))
    return SequenceSweep(language, spectrum, {name: [row[name] for row in rows] for name in COLUMNS})


def _cells(betas: Any, latents: Any, seeds: Iterable[int]) -> list[Cell]:
    for name, values in (("betas", betas), ("latents", latents)):
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise ObjectiveError(f"{name} must be a list of values to try, got {shown(values)}")
    weights = [positive(beta, "beta") for beta in betas]
    numbers = [count(n, "n_latents", least=1, most=2**20) for n in latents]
    names = ("beta", "n_latents", "seed")
    cells = [dict(zip(names, values, strict=True)) for values in product(weights, numbers, seeds)]
    if not cells:
        raise ObjectiveError("a sweep needs one weight and one number of latents, or more")
    return list({_name(cell): cell for cell in cells}.values())


def _name(cell: Cell) -> str:
    return hashlib.blake2b(json.dumps(cell, sort_keys=True).encode(), digest_size=8).hexdigest()


def _check_same(
    folder: Path, tokens: Tokens, shape: DecoderShape | str, base: SequenceTraining, how: dict[str, Any],
    cells: list[Cell],
) -> None:  # fmt: skip
    digest = hashlib.blake2b(digest_size=16)
    for part in (tokens.ids, tokens.lengths):
        digest.update(np.ascontiguousarray(part).tobytes())
    decoder = shape if isinstance(shape, str) else asdict(shape)
    ours = {"format": FORMAT, "sequences": digest.hexdigest(), "decoder": decoder, "training": asdict(base), "how": how,
            "cells": cells}  # fmt: skip
    path = folder / "sweep.json"
    if not path.exists():
        if any((folder / "cells").iterdir()):
            raise OutputError(f"{folder}: holds cells of a sweep that it does not describe; choose another folder")
        write_text(path, json.dumps(ours))
        return
    try:
        theirs = json.loads(path.read_text("utf-8"))
        changed = [name for name in ours if theirs.get(name) != json.loads(json.dumps(ours[name]))]
    except (ValueError, AttributeError) as error:
        raise OutputError(f"{path}: damaged ({error}); choose another folder") from None
    if changed:
        raise OutputError(f"{folder}: holds a sweep of other settings ({', '.join(changed)}); choose another folder")


def _begun(
    folder: Path, tokens: Tokens, shape: DecoderShape | str, base: SequenceTraining, *, progress: bool
) -> tuple[LanguageModel, InjectionSpectrum]:
    place = folder / "language"
    try:
        language = load(place)
    except SourceError:
        if progress:
            announce("The language model")
        language = train_language_model(tokens, shape, base, progress=progress)
        save(language, place)
    assert isinstance(language, LanguageModel)
    return language, injection_spectrum(language.decoder, split(tokens)[0])


def _trained(
    tokens: Tokens, language: LanguageModel, base: SequenceTraining, cell: Cell, how: dict[str, Any], *, progress: bool
) -> tuple[dict[str, Any], SequenceVAE | None]:
    training = {**asdict(base), "seed": cell["seed"]}
    try:
        vae = train_sequence_vae(
            tokens, start=language, beta=cell["beta"], n_latents=cell["n_latents"], progress=progress, **how, **training
        )  # fmt: skip
    except TrainingError as error:
        return {"status": "failed", "message": str(error)}, None
    e = vae.held_out
    return {
        "status": "done", "message": "", "n_epochs": base.epochs, "seconds": vae.seconds, "loss": e.loss,
        "elbo": -(e.reconstruction + e.rate), "elbo_per_token": e.elbo_per_token, "rate": e.rate, "n_alive": e.n_alive,
        "gain": language.nats - e.loss, "latent_kl": e.kl.tolist(),
    }, vae  # fmt: skip


def _row(found: dict[str, Any], cell: Cell, language: LanguageModel, spectrum: InjectionSpectrum) -> dict[str, Any]:
    """What came out, beside what λ says to second order."""
    at = replace(spectrum, n_latents=cell["n_latents"])
    n_alive, beta = at.n_alive(cell["beta"]), cell["beta"]
    forecast = {
        "forecast_n_alive": n_alive,
        "forecast_rate": at.kl(beta) if n_alive else 0.0,
        "forecast_gain": at.worth(beta) if n_alive else 0.0,
    }
    return {**dict.fromkeys(COLUMNS), **cell, **found, "cell": _name(cell), **forecast}
