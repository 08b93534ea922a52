"""Weights and a class, or a module → a probe, the loss, the range of the data, and what is still to be said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from uncollapse.errors import SourceError, UncollapseError
from uncollapse.inferring.construct import construct, source_named
from uncollapse.inferring.find import Sample, find_halves
from uncollapse.inferring.guarded import guarded
from uncollapse.inferring.halves import Halves
from uncollapse.inferring.loss import FoundLoss, loss_in
from uncollapse.inferring.result import Inference, Inferred, Missing, Said
from uncollapse.inferring.scale import Scaled, range_of
from uncollapse.inferring.settings import with_settings
from uncollapse.inferring.shapes import in_words, layouts
from uncollapse.inferring.source import Source
from uncollapse.inferring.spread import read_as, with_spread
from uncollapse.inferring.weights import read_weights
from uncollapse.probes.examples import module_probe
from uncollapse.probes.probe import TorchProbe

__all__ = ["infer"]

ROWS = 33
"""Samples that a module is tried with; no usual size of a layer, so that a batch is not taken for one."""


def infer(
    model: str | Path | nn.Module,
    rows: np.ndarray,
    given: np.ndarray | None = None,
    said: Said | None = None,
    *,
    n_classes: int = 0,
) -> Inference:
    """Read a trained model as far as its files and its behaviour say it.

    Parameters
    ----------
    model : str or Path or Module
        A file of weights, whose class is `said.model`; or a module.
    rows : ndarray of shape (n, …)
        A few rows of the data, in their own range; images say the shape of a sample.
    given : ndarray of shape (n, c), optional
        Their condition.
    said : Said, optional
        What the user says.
    n_classes : int
        Of a condition of one column that holds labels; 0 where it does not.

    Returns
    -------
    Inference
        Its `missing` lists what could not be known.

    Raises
    ------
    SourceError
        The weights do not fit the class, or cannot be read safely.
    ObjectiveError
        Nothing that encodes and decodes was seen.

    Examples
    --------
    >>> _ = torch.manual_seed(0)
    >>> class Plain(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.encoder, self.decoder = nn.Linear(5, 4), nn.Linear(2, 5)
    ...     def forward(self, x):
    ...         mu, logvar = self.encoder(x).chunk(2, 1)
    ...         return self.decoder(mu + torch.randn_like(mu) * (logvar / 2).exp()), mu, logvar
    >>> found = infer(Plain(), np.random.default_rng(0).standard_normal((40, 5)))
    >>> [one.what for one in found.missing], found.probe.spread
    (['what its loss weighs'], 'log_variance')
    """
    said = said or Said()
    sample = np.nan_to_num(np.asarray(rows[:ROWS], dtype=np.float64), posinf=0.0, neginf=0.0)
    source, module, found = _built(model, sample, given, n_classes, said)
    seen = _seen(module, sample, given, n_classes, said)
    halves, condition, x, one_hot = seen.halves, seen.given, seen.x, seen.n_classes
    found += _of_reading(halves, seen.why, said, one_hot)
    of_spread = with_spread(halves, x, condition, said, source)
    halves = of_spread.halves
    objective, kind, of_loss, no_loss = _with_loss(source, halves, said, x, condition)
    known = halves.reading.spread != ""
    scaled = range_of(halves, x, condition, kind=kind, said=said.scale) if known else Scaled(halves)
    probe = _probe(scaled.halves)
    return Inference(
        replace(probe, notes=(*probe.notes, *of_spread.notes)), objective, scaled.scale, scaled.shift, one_hot,
        (*found, *of_spread.found, *scaled.found, *of_loss), (*of_spread.missing, *no_loss),
    )  # fmt: skip


def _built(
    model: Any, sample: np.ndarray, given: np.ndarray | None, n_classes: int, said: Said
) -> tuple[Source | None, nn.Module, list[Inferred]]:
    if isinstance(model, nn.Module):
        return None, model, []
    weights = read_weights(Path(model), trust=said.trust)
    if said.model is None:
        if isinstance(weights.whole, nn.Module):
            return None, weights.whole.eval(), []
        raise SourceError(f"{model}: holds weights and no model; say the class they belong to (--model my_vae.py:VAE)")
    source, name = source_named(said.model)

    def works(module: nn.Module) -> bool:
        try:
            with_settings(module, source)
            _seen(module, sample, given, n_classes, said)
        except UncollapseError:
            return False
        return True

    module, found = construct(source, name, weights, said, said.input_shape or tuple(sample.shape[1:]), works)
    of_forward = with_settings(module, source)
    return source, module, [*found, *of_forward]


@dataclass(frozen=True, eq=False)
class _Seen:
    """How a module is read, with a few samples in its shape and type, and their condition; `n_classes` if one-hot."""

    halves: Halves
    why: str
    x: Tensor
    given: Tensor | None = None
    n_classes: int = 0


def _seen(module: nn.Module, sample: np.ndarray, given: np.ndarray | None, n_classes: int, said: Said) -> _Seen:
    dtype = next((p for p in module.parameters() if p.is_floating_point()), torch.empty(0)).dtype
    x = torch.as_tensor(sample.reshape(len(sample), -1)).to(dtype)
    options = layouts(module, x.shape[1], tuple(sample.shape[1:]) if sample.ndim > 2 else None, said.input_shape)

    def found(condition: Tensor | None, n_classes: int = 0) -> _Seen:
        halves, why = find_halves(module, Sample(x, condition, options))
        return _Seen(halves, why, x.reshape(len(x), *halves.reading.input_shape), condition, n_classes)

    if given is None:
        return found(None)
    own = torch.as_tensor(np.asarray(given[: len(x)], dtype=np.float64)).to(dtype)
    if n_classes:
        try:
            return found(torch.nn.functional.one_hot(own[:, 0].long(), n_classes).to(dtype), n_classes)
        except ValueError:  # it takes the column as a number
            pass
    return found(own)


def _of_reading(halves: Halves, why: str, said: Said, n_classes: int) -> list[Inferred]:
    r = halves.reading
    found = [] if said.input_shape else [Inferred("input shape", in_words(r.input_shape), why, "--input-shape")]
    if r.encoder != "encode" or r.decoder != "decode":
        heads = f" and {' and '.join(r.heads)}" if r.heads else ""
        decoder = f"{r.door} inside {r.decoder}" if r.door else r.decoder
        why = "called, they give a mean, a spread and a sample again"
        found.append(Inferred("encoder and decoder", f"{r.encoder}{heads}; {decoder}", why, "a function of yours"))
    if n_classes:
        takes = "labels" if "labels" in (r.encoder_given, r.decoder_given) else "one-hot rows"
        found.append(Inferred("condition", f"labels of {n_classes} classes, as {takes}", "whole numbers from 0",
                              "--given with rows of your own"))  # fmt: skip
    return found


def _with_loss(
    source: Source | None, halves: Halves, said: Said, x: Tensor, given: Tensor | None
) -> tuple[Any, str, list[Inferred], list[Missing]]:
    if said.loss:
        return None, "", [], []
    halves = halves if halves.reading.spread else read_as(halves, "log_variance")  # where any will do, it is read
    try:
        with guarded(type(halves.model).__name__, hint="say the loss yourself"):
            loss = loss_in(source, halves, x, given)
    except SourceError as error:
        loss = FoundLoss(why=str(error))
    if loss.objective is None:
        return None, "", [], [Missing(f"what its loss weighs ({loss.why})" if source else "what its loss weighs",
                                  "--recon mse --reduction sum --kl-weight 1")]  # fmt: skip
    assert loss.found is not None
    return loss.objective, loss.kind, [loss.found], []


def _probe(halves: Halves) -> TorchProbe:
    """Of the module itself where it is read as it stands, so that what is trained further is of the user's class."""
    r, model = halves.reading, halves.model
    as_it_is = not (r.link or r.channels_last)
    plain = as_it_is and (r.encoder, r.decoder, r.parts, r.heads) == ("encode", "decode", ((0,), (1,)), None)
    same = r.encoder_given == r.decoder_given != "labels"
    shape = r.input_shape if len(r.input_shape) > 1 else None
    kinds = ("log_variance", "variance", "std")
    if plain and same and r.out in ((), (0,)) and r.spread in (*kinds, "known", ""):
        known: Any = r.spread if r.spread in kinds else None
        return module_probe(model, spread=known, input_shape=shape)
    probe = module_probe(halves, spread="log_variance", input_shape=shape)
    return replace(probe, name=type(model).__name__)
