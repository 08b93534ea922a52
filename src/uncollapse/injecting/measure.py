"""A trained decoder and its samples → the weights under which a latent that enters at a place lives."""

from __future__ import annotations

from typing import Any

import numpy as np

from uncollapse import checks
from uncollapse.data.tokens import Tokens
from uncollapse.errors import DataError, ObjectiveError
from uncollapse.injecting.decoder import InjectedDecoder, Scores, open_decoder, samples_of
from uncollapse.injecting.path import Path, path_of
from uncollapse.injecting.result import N_ERRORS, InjectionSpectrum
from uncollapse.theory.information_matrix import (
    HeldOut,
    InformationSpectrum,
    information_spectrum,
    strengths_along,
    well_known,
)
from uncollapse.theory.residual import predicted_out_of_fold
from uncollapse.training.placing import device_named

__all__ = ["injection_spectrum"]

N_SEQUENCES, N_DRAWS, N_DIRECTIONS = 20_000, 8, 6
"""The relative error of λ is about √(2/n), 1 % here, and a direction is found among k others whose eigenvalues noise
spreads by √(k/n); in time, nine backward passes over so many."""

N_FOLDS = 4
"""Directions are chosen on three quarters and judged on the last, in turn."""

PATH_DRAWS, PATH_PART, PATH_ROWS = 4, 16, 250
"""Of z for each sample, when a path is judged; its size is chosen on a sixteenth of the samples, at most 250."""

PATH_SHARES = (1.0, 0.5, 0.25, 0.1, 0.03)
"""Of λ − β, for which a path is made: decoders bend, so that the path of the whole is often too large a step."""

MOST_WIDTH = 2048
"""Numbers of a vector: its matrices then take 32 MB each."""


def injection_spectrum(
    decoder: Any,
    data: Any,
    *,
    inject: str | None = None,
    beta: float = 1.0,
    n_latents: int | None = None,
    features: Any = None,
    n_sequences: int = N_SEQUENCES,
    n_draws: int = N_DRAWS,
    n_directions: int = N_DIRECTIONS,
    seed: int = 0,
    device: str | None = None,
) -> InjectionSpectrum:
    """At which weight a latent lives that enters a trained decoder through an added vector.

    Parameters
    ----------
    decoder : Module
        Trained *without* latents (a language model, a PixelCNN, …), or with all of them dead. Called with a batch of
        tokens (n, T) it gives logits (n, T, V), of the same or of the next token; called with any batch, a
        `torch.distributions.Distribution` of the steps given their past. Or it has log_prob(x, v) → (n,), with `width`
        the length of v; then only A is known. It is put in evaluation mode.
    data : Tokens, ndarray of int of shape (n, T), or ndarray of float of any shape
        Samples that the decoder was not trained on, if there are such; see `uncollapse.data.tokens`.
    inject : str, optional
        Name of the submodule to whose output the vector is added; ``NAME@state`` for the first state of a GRU or LSTM;
        ``prefix`` for a token of its own (Hugging Face's models). Left out: a submodule called ``inject``, else the
        token embedding.
    beta : float
        Weight of the KL.
    n_latents : int, optional
    features : ndarray of shape (n, p), optional
        What an encoder sees of each sample: then also how much of the scores it can tell, by ridge regression.
    n_sequences : int
        At most so many are used, drawn at random.
    n_draws : int
        Of every step from the decoder, for its Fisher information.
    n_directions : int
        Of which the strength is taken on samples that did not choose them.
    seed : int
    device : str, optional
        To which the decoder is moved first: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; where it is when left out.

    Returns
    -------
    InjectionSpectrum

    Raises
    ------
    DataError
        A decoder that is none, sees what is to come, or does not notice the vector; fewer samples than twice the
        directions.

    Notes
    -----
    Source: docs/theory.md section 12.

    Examples
    --------
    >>> import torch
    >>> class Mean(torch.nn.Module):  # a Gaussian decoder without a past
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.inject = torch.nn.Identity()
    ...     def forward(self, x):
    ...         return torch.distributions.Normal(self.inject(torch.zeros_like(x)), 1.0)
    >>> x = np.random.default_rng(0).standard_normal((4000, 2)) * [2.0, 1.0]
    >>> found = injection_spectrum(Mean(), x)
    >>> abs(found.held_out - [4.0, 1.0]).max() < 5 * found.errors.max()  # the strengths over η²
    np.True_
    """
    beta = checks.positive(beta, "beta")
    n_draws = checks.count(n_draws, "n_draws", least=1)
    n_directions = checks.count(n_directions, "n_directions", least=1)
    n_latents = None if n_latents is None else checks.count(n_latents, "n_latents", least=1)
    if device is not None and hasattr(decoder, "to"):
        decoder.to(device_named(device))
    rows = _chosen(data, checks.count(n_sequences, "n_sequences", least=2), seed)
    some = data[rows] if isinstance(data, Tokens) else np.asarray(data)[rows]
    x, mask = samples_of(some)
    opened = open_decoder(decoder, x, mask, inject)
    if opened.place.width > MOST_WIDTH:
        raise ObjectiveError(
            f"{opened.place.name}: gives {opened.place.width:,} numbers, more than {MOST_WIDTH:,}; name another"
        )
    m = min(n_directions, opened.place.width)
    if len(x) < 2 * max(m, 4):
        raise DataError(f"{len(x)} samples are too few: {m} directions chosen on one half need {2 * max(m, 4)} or more")
    found = opened.scores(x, mask, n_draws=n_draws, seed=seed)
    whole = _spectrum(found, slice(None))
    m = min(m, whole.rank)
    folds = [np.arange(len(x)) % N_FOLDS == fold for fold in range(N_FOLDS)]
    paths = [_spectrum(found, ~fold).directions for fold in folds]
    m = min(m, *(path.shape[1] for path in paths))
    both = list(zip(folds, [path[:, :m] for path in paths], strict=True))
    curved = _mean([_along(opened, found, x, mask, fold, path) for fold, path in both])
    fisher = curved if opened.as_a_whole else _mean([_over_fisher(found, fold, path) for fold, path in both])
    held, known = well_known(curved, fisher)
    worth = _worth(opened, found, x, mask, both, held, beta, n_latents)
    told = None
    if features is not None:
        seen = np.asarray(features)[rows]
        told = np.mean([_told(found, seen, fold, path) for fold, path in both], axis=0)
    n_tokens = int(mask.sum()) if mask is not None else x.size
    return InjectionSpectrum(
        decoder=opened.name,
        place=opened.place.name,
        width=opened.place.width,
        beta=beta,
        n_latents=n_latents,
        strengths=whole.strengths,
        directions=whole.directions,
        held_out=held.strengths,
        errors=held.errors,
        by_curvature=known,
        fisher=fisher.strengths,
        fisher_errors=fisher.errors,
        told=told,
        measured_worth=worth[0],
        measured_error=worth[1],
        offset_gain=_offset_gain(found, whole),
        nats=float(-found.log_prob.mean()),
        n_samples=len(x),
        n_steps=n_tokens,
        notes=opened.notes,
    )


def _chosen(data: Any, most: int, seed: int) -> np.ndarray:
    n = len(data) if hasattr(data, "__len__") else 0
    if not n:
        raise DataError("there is no sample")
    return np.sort(np.random.default_rng([seed, 31]).permutation(n)[:most])


def _spectrum(found: Scores, rows: Any) -> InformationSpectrum:
    s = found.scores[rows]
    return information_spectrum(np.cov(s, rowvar=False).reshape(s.shape[1], -1), found.information(rows))


def _worth(
    opened: InjectedDecoder, found: Scores, x: np.ndarray, mask: np.ndarray | None,
    folds: list[tuple[np.ndarray, np.ndarray]], held: HeldOut, beta: float, n_latents: int | None,
) -> tuple[float, float]:  # fmt: skip
    """What latents along the directions above β gain, each fold with what the others chose; and its standard error."""
    above = np.flatnonzero(held.strengths - N_ERRORS * held.errors > beta)[:n_latents]
    if not len(above):
        return 0.0, 0.0
    gains = np.empty(len(x))
    for fold, path in folds:
        paths = [
            path_of(found.scores[~fold], path[:, above], held.strengths[above], beta, share) for share in PATH_SHARES
        ]
        some = np.flatnonzero(~fold)[: min(PATH_ROWS, max(len(x) // PATH_PART, 4))]
        tried = [_gain(opened, found, x, mask, some, one).mean() for one in paths]
        gains[fold] = _gain(opened, found, x, mask, np.flatnonzero(fold), paths[int(np.argmax(tried))])
    return float(gains.mean()), float(gains.std() / np.sqrt(len(gains)))


def _gain(
    opened: InjectedDecoder, found: Scores, x: np.ndarray, mask: np.ndarray | None, rows: np.ndarray, path: Path
) -> np.ndarray:
    kept = None if mask is None else mask[rows]
    return opened.gain(x[rows], kept, path, found.scores[rows], n_draws=PATH_DRAWS, seed=0)


def _over_fisher(found: Scores, fold: np.ndarray, path: np.ndarray) -> HeldOut:
    return strengths_along(found.scores[fold] @ path, ((found.draws[fold] @ path) ** 2).mean(axis=1))


def _along(
    opened: InjectedDecoder, found: Scores, x: np.ndarray, mask: np.ndarray | None, fold: np.ndarray, path: np.ndarray
) -> HeldOut:
    curvature = opened.curvature(x[fold], None if mask is None else mask[fold], path)
    return strengths_along(found.scores[fold] @ path, curvature)


def _told(found: Scores, features: np.ndarray, fold: np.ndarray, path: np.ndarray) -> np.ndarray:
    """The part that features tell: the covariance of the scores with their prediction, each half by the other."""
    scores = found.scores[fold] @ path
    scores = scores - scores.mean(axis=0)
    predicted = predicted_out_of_fold(np.asarray(features[fold], dtype=np.float64), scores)
    told: np.ndarray = (predicted * scores).mean(axis=0) / np.diag(path.T @ found.information(fold) @ path)
    return told


def _mean(parts: list[HeldOut]) -> HeldOut:
    strengths = np.mean([part.strengths for part in parts], axis=0)
    return HeldOut(strengths, np.sqrt(np.mean([part.errors**2 for part in parts], axis=0) / len(parts)))


def _offset_gain(found: Scores, whole: InformationSpectrum) -> float:
    """What a constant vector, the same for all samples, would gain: nats a sample, noise taken off."""
    n = len(found.scores)
    along = found.scores @ whole.directions
    noise = along.var(axis=0) / n
    return float(np.maximum(along.mean(axis=0) ** 2 - noise, 0.0).sum() / 2)
