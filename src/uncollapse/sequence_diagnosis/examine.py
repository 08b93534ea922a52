"""A trained VAE of sequences and its sequences → why its latents live or not."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from uncollapse import checks
from uncollapse.data.tokens import Tokens
from uncollapse.errors import DataError
from uncollapse.injecting.measure import injection_spectrum
from uncollapse.injecting.result import InjectionSpectrum
from uncollapse.measure.result import ALIVE_NATS
from uncollapse.sequence_diagnosis.causes import cause_of
from uncollapse.sequence_diagnosis.latents import carried
from uncollapse.sequence_diagnosis.masked import adapted
from uncollapse.sequence_diagnosis.opened import OpenedVAE, OwnVAE, opened_vae
from uncollapse.sequence_diagnosis.remedies import Context, Known, remedies_of
from uncollapse.sequence_diagnosis.result import N_ERRORS, SequenceDiagnosis

__all__ = ["N_SEQUENCES", "diagnose_sequences"]

N_SEQUENCES, N_DRAWS, N_DIRECTIONS = 4000, 4, 4
"""The relative error of λ is about √(2/n), 2 % here."""

LEAST_SEQUENCES = 16
ROWS_PER_FEATURE = 32
"""A regression of scores on features is done on an eighth of the sequences: this leaves it four for each."""


def diagnose_sequences(
    model: Any,
    data: Any,
    *,
    beta: float | None = None,
    inject: str | None = None,
    wanted_nats: float = 1.0,
    n_sequences: int = N_SEQUENCES,
    seed: int = 0,
) -> SequenceDiagnosis:
    """Why the latents of a trained VAE of sequences live or not, and what to change.

    Parameters
    ----------
    model : SequenceVAE, or Module
        A module of your own has ``encode(tokens, mask) → mean, log_variance``, each (n, L), and ``decode(tokens, z) →
        logits`` (n, T, V) of each token, or of the next, given the true ones before it; the prior is N(0, 1). Its
        ``features(tokens, mask)`` (n, p), if it has one, is what the head of the encoder sees.
    data : Tokens, ndarray of shape (n, T), or list of lists of int
        Sequences that it was not trained on, if there are such.
    beta : float, optional
        Weight of the KL; the model's own when left out, else 1.
    inject : str, optional
        Submodule of the decoder where λ is measured too: see `injection_spectrum`. Without it, a model of your own is
        measured along its own path from z.
    wanted_nats : float
        KL that free bits are to hold, nats a sequence.
    n_sequences : int
        At most so many are used, drawn at random.
    seed : int

    Returns
    -------
    SequenceDiagnosis

    Raises
    ------
    DataError
        Not such a model, one that fails on the sequences, a decoder that does not notice z, fewer than 16 sequences.

    Notes
    -----
    Source: docs/theory.md section 12. λ is of the decoder with every latent at the mean of its prior: where latents
    live, it says what the decoder lacks without them.

    Examples
    --------
    >>> from uncollapse.sequences import train_sequence_vae
    >>> x = np.random.default_rng(0).integers(0, 4, (400, 6))  # nothing to tell
    >>> vae = train_sequence_vae(x, "window:0", beta=4.0, n_latents=2, epochs=3)
    >>> diagnose_sequences(vae, x).cause
    'objective'
    """
    wanted = checks.positive(wanted_nats, "wanted_nats")
    most = checks.count(n_sequences, "n_sequences", least=LEAST_SEQUENCES)
    vae, tokens = opened_vae(model, data)
    tokens = _chosen(tokens, most, seed)
    weight, notes = _weight(vae, beta)
    found = carried(vae, tokens, weight, seed=seed)
    features = _reduced(found.features)
    rest = vae.at_rest()
    how = {"beta": weight, "n_latents": len(found.kl), "features": features, "seed": seed}
    places = [vae.place] if inject is None else [vae.place, vae.inside(inject)]
    measured = [_spectrum(rest, tokens, place, **how) for place in places]
    spectrum, *others = sorted(measured, key=lambda one: -one.critical_beta)
    told = float("nan") if spectrum.told is None else float(spectrum.told.max())
    n_earning = int(((found.kl > ALIVE_NATS) & (found.earned > N_ERRORS * found.errors)).sum())
    cause, confidence = cause_of(
        weight, n_earning, float(found.kl.sum()), spectrum, told, known_features=found.known_features
    )
    context = None
    if cause in ("objective", "decoder-explains"):
        context, more = _context(vae, tokens, weight, len(found.kl), seed)
        notes += more
    if inject is None and not isinstance(vae, OwnVAE):
        notes.append("measured along the decoder's own path from z; --inject NAME tells what it lacks elsewhere")
    if (found.kl > ALIVE_NATS).any():
        notes.append("with latents alive, λ is of the decoder with all of them at 0: what it lacks without them")
    return SequenceDiagnosis(
        name=vae.name,
        beta=weight,
        cause=cause,
        confidence=confidence,
        reconstruction=found.reconstruction,
        kl=found.kl,
        earned=found.earned,
        earned_errors=found.errors,
        spectrum=spectrum,
        other=others[0] if others else None,
        known_features=found.known_features,
        remedies=remedies_of(cause, Known(weight, spectrum, told, context, vae.setup, wanted)),
        notes=tuple(dict.fromkeys((*notes, *vae.notes))),
    )


def _chosen(tokens: Tokens, most: int, seed: int) -> Tokens:
    if len(tokens) < LEAST_SEQUENCES:
        raise DataError(f"{tokens.name}: {len(tokens)} sequences are too few; give {LEAST_SEQUENCES} or more")
    return tokens[np.sort(np.random.default_rng([seed, 41]).permutation(len(tokens))[:most])]


def _weight(vae: OpenedVAE, beta: float | None) -> tuple[float, list[str]]:
    if beta is not None:
        return checks.positive(beta, "beta"), []
    if vae.beta is not None:
        return vae.beta, []
    return 1.0, ["the model does not say the weight of its KL; 1 is assumed (--beta)"]


def _spectrum(rest: nn.Module, tokens: Tokens, place: str, **how: Any) -> InjectionSpectrum:
    try:
        return injection_spectrum(
            rest, tokens, inject=place, n_sequences=len(tokens), n_draws=N_DRAWS, n_directions=N_DIRECTIONS, **how
        )
    except DataError as error:
        if place == "z" and ("does not reach" in str(error) or "changes nothing" in str(error)):
            raise DataError(
                f"{type(rest).__name__}: decode(tokens, z) gives the same for every z, so no latent can live; let z "
                "into the decoder"
            ) from None
        raise


def _reduced(features: np.ndarray) -> np.ndarray:
    """Their leading principal components, as many as the sequences can bear."""
    scale = features.std(axis=0)
    kept = scale > 1e-9 * max(float(scale.max(initial=0.0)), 1e-30)
    z = (features[:, kept] - features[:, kept].mean(axis=0)) / scale[kept]
    if not z.shape[1]:
        return np.zeros((len(features), 1))
    most = max(2, len(z) // ROWS_PER_FEATURE)
    _, vectors = np.linalg.eigh(z.T @ z)
    reduced: np.ndarray = z @ vectors[:, ::-1][:, :most]
    return reduced


def _context(
    vae: OpenedVAE, tokens: Tokens, beta: float, n_latents: int, seed: int
) -> tuple[Context | None, list[str]]:
    """λ of a copy of the decoder that learned, on half of the sequences, to do with half of what it saw."""
    if not isinstance(vae, OwnVAE):
        return None, ["what word dropout or a shorter window would give cannot be measured on a decoder of your own"]
    now = vae.setup.word_dropout
    if now == 1 or vae.setup.decoder.name == "window:0" or len(tokens) < 4 * LEAST_SEQUENCES:
        return None, []
    share = (1 + now) / 2
    half = len(tokens) // 2
    order = np.random.default_rng([seed, 43]).permutation(len(tokens))
    weaker = adapted(vae.vae.decoder, tokens[np.sort(order[:half])], share, seed=seed)
    kept = tokens[np.sort(order[half:])]
    found = _spectrum(weaker, kept, vae.place, beta=beta, n_latents=n_latents, seed=seed)
    return Context(now, share, found), []
