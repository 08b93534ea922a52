"""How a module encodes and decodes, by calling what it has."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise, product
from typing import Any

import torch
from torch import Tensor, nn

from uncollapse.errors import ObjectiveError, UncollapseError, kind_and_line
from uncollapse.inferring.draws import door_of
from uncollapse.inferring.halves import FORWARD, Halves, Reading, as_given, called
from uncollapse.inferring.shapes import Layout, given_forms, in_words
from uncollapse.inferring.trees import Path, at, tensors_in
from uncollapse.inferring.unfit import unfit_layer
from uncollapse.measure.protocol import RAISED
from uncollapse.probes.examples import known_pair
from uncollapse.probes.outputs import mean_and_spread
from uncollapse.reading.roles import SPREADS, role_of

__all__ = ["Sample", "find_halves", "reconstruction_in"]

ENCODERS = ("encode", "encoder", "enc", "encode_x", "encoding", "inference", "infer", "recognition",
            "inference_network", "encoder_net", "net_encoder", "Encoder", "q", "Q")  # fmt: skip
DECODERS = ("decode", "decoder", "dec", "decode_z", "decoding", "generate", "generator", "decoder_net", "net_decoder",
            "Decoder", "p", "P")  # fmt: skip


class OutsideError(ObjectiveError):
    """A model of a kind that is not read at all."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A few samples as a module is tried with them.

    Attributes
    ----------
    x : Tensor of shape (B, d)
    given : Tensor of shape (B, c) or None
    layouts : list of Layout
        To try.
    """

    x: Tensor
    given: Tensor | None
    layouts: list[Layout]


def find_halves(model: nn.Module, sample: Sample) -> tuple[Halves, str]:
    """The first way of encoding that gives a mean and a spread, with one of decoding that gives the sample's size.

    Parameters
    ----------
    model : Module
        In evaluation mode.
    sample : Sample

    Returns
    -------
    Halves
        With a spread that is yet to be known, but for distributions.
    str
        Why the sample has the shape that it has.

    Raises
    ------
    ObjectiveError
        Nothing fits: what was tried, and how it failed.
    """
    failures: dict[str, str] = {}
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        for names, layout, form in product((ENCODERS, (FORWARD,)), sample.layouts, given_forms(sample.given)):
            x = sample.x.reshape(len(sample.x), *layout.shape)
            blank = Reading(spread="", encoder_given=form, input_shape=layout.shape, channels_last=layout.channels_last)
            shown = blank.presented(x)
            for name in names:
                if not callable(getattr(model, name, None)):
                    continue
                try:
                    out = called(model, name, shown, as_given(sample.given, form))
                    for reading in _encodings(model, replace(blank, encoder=name), out, shown, sample.given):
                        halves = _with_decoder(model, reading, x, sample.given, failures)
                        if halves is not None:
                            return halves, layout.why
                except OutsideError:  # its own parts may still look like a model that is read
                    raise
                except UncollapseError as error:
                    failures.setdefault(name, str(error))
                except RAISED as error:  # a user's module raises anything
                    failures.setdefault(name, f"{name} fails on {in_words(layout.shape)}: {kind_and_line(error)}")
    raise _unread(model, sample, failures)


def _encodings(model: nn.Module, blank: Reading, out: Any, x: Tensor, given: Tensor | None) -> Iterator[Reading]:
    """Ways to see a mean and a spread in what came out."""
    name, given = blank.encoder, as_given(given, blank.encoder_given)
    if known_pair(out, name) is not None:
        yield replace(blank, parts=None, spread="known")
        return
    if isinstance(out, torch.distributions.Distribution) and name != FORWARD:
        raise OutsideError(
            f"{name} gives a {type(out).__name__}: only a diagonal Gaussian q(z|x) has a KL of each latent, so this "
            f"model is outside (docs/models.md)"
        )
    if isinstance(out, Mapping):
        keys = {role_of(str(key)): key for key in out if torch.is_tensor(out[key])}
        spread = next((keys[role] for role in SPREADS if role in keys), None)
        if "mean" in keys and spread is not None:
            yield replace(blank, parts=((keys["mean"],), (spread,)))
            return
    if torch.is_tensor(out):
        if name != FORWARD:
            yield from (replace(blank, heads=heads, parts=None) for heads in _heads(model, name, out))
            if out.ndim > 1 and out.shape[1] % 2 == 0:
                yield replace(blank, parts=None)
        return
    places = [i for i, part in tensors_in(out) if _may_be_latent(part, x, as_reconstruction=name == FORWARD)]
    for first in places:
        group = [i for i in places if at(out, i).shape == at(out, first).shape]
        if len(group) > 1:
            once_more = called(model, name, x, given) if len(group) > 2 else None
            again = [at(once_more, i) for i in group] if len(group) > 2 else []
            one, other = mean_and_spread([at(out, i) for i in group], lambda: again, name)  # noqa: B023  (called at once)
            yield replace(blank, parts=(group[one], group[other]))
            return
    if name != FORWARD:
        _refuse_full_covariance(name, out, x)


def _refuse_full_covariance(name: str, out: Any, x: Tensor) -> None:
    """Of a mean with a matrix, or with as many numbers as a triangle has."""
    parts = [part for _, part in tensors_in(out) if part.ndim in (2, 3) and len(part) == len(x)]
    for mean, other in product(parts, parts):
        k = mean.shape[-1]
        beside = tuple(other.shape[1:])
        if mean.ndim == 2 and k > 1 and beside in ((k, k), (k * (k + 1) // 2,)):
            raise OutsideError(
                f"{name} gives a mean of {k} numbers and {' × '.join(map(str, beside))} beside it: a full covariance; "
                f"only a diagonal q(z|x) has a KL of each latent, so this model is outside (docs/models.md)"
            )


def _may_be_latent(part: Tensor, x: Tensor, *, as_reconstruction: bool) -> bool:
    """A row a sample, and not x again or its reconstruction."""
    if part.ndim < 2 or len(part) != len(x) or not part.is_floating_point():
        return False
    return not (as_reconstruction and part[0].numel() == x[0].numel())


def _heads(model: nn.Module, encoder: str, hidden: Tensor) -> Iterator[tuple[str, str]]:
    """Two layers outside the encoder that take what it gives and give the same size: mean and spread."""
    fitting: list[tuple[str, int]] = []
    for name, part in model.named_modules():
        if name.partition(".")[0] == encoder or not isinstance(part, nn.Linear | nn.Conv2d | nn.Conv1d):
            continue
        try:
            fitting.append((name, part(hidden)[0].numel()))
        except RuntimeError:  # it takes another size
            continue
    for (one, size), (other, same) in pairwise(fitting):
        if size == same:
            words = [any(w in name.lower() for w in ("var", "log", "sig", "std")) for name in (one, other)]
            yield (other, one) if words == [True, False] else (one, other)


def _with_decoder(
    model: nn.Module, reading: Reading, x: Tensor, given: Tensor | None, failures: dict[str, str]
) -> Halves | None:
    """The same with a way to decode; None where nothing gives as many numbers as a sample has."""
    try:
        mean, spread = Halves(model, reading).mean_and_spread(x, given)
    except Exception as error:  # whatever comes of heads that do not belong there
        failures.setdefault(reading.encoder, kind_and_line(error))
        return None
    if mean.shape != spread.shape:
        return None
    for name, form in product(DECODERS, given_forms(given)):
        if not callable(getattr(model, name, None)):
            continue
        try:
            out = called(model, name, mean, as_given(given, form))
        except RAISED as error:  # a user's module raises anything
            failures.setdefault(
                name, f"{name} fails on latents of shape {tuple(mean.shape[1:])}: {kind_and_line(error)}"
            )
            continue
        if (place := reconstruction_in(out, x)) is not None:
            return Halves(model, replace(reading, decoder=name, decoder_given=form, out=place))
        failures.setdefault(name, f"{name} gives {_sizes(out)} for a sample of {x[0].numel()} numbers")
    return _through_forward(model, reading, x, given, mean)


def _through_forward(
    model: nn.Module, reading: Reading, x: Tensor, given: Tensor | None, mean: Tensor
) -> Halves | None:
    """Decoding by a call of the whole with z put in the place of its own, where the whole shows no decoder."""
    shown = reading.presented(x)
    for form in given_forms(given):
        try:
            out = called(model, FORWARD, shown, as_given(given, form))
            place, door = reconstruction_in(out, x), door_of(model, shown, as_given(given, form), mean)
        except Exception:  # it takes the condition in another form
            continue
        if place is None or door is None:
            continue
        halves = Halves(model, replace(reading, decoder=FORWARD, door=door[0], columns=door[1], out=place,
                                       decoder_given=form))  # fmt: skip
        if _sees_x(halves, x, given, mean):
            raise ObjectiveError(
                f"{type(model).__name__}: its decoder sees x itself (a skip connection), so it has no decode(z) alone; "
                f"see docs/sequences.md, 'Where the vector enters'"
            )
        return halves
    return None


def _sees_x(halves: Halves, x: Tensor, given: Tensor | None, mean: Tensor) -> bool:
    """Whether another x beside the same z gives another reconstruction."""
    one, other = (halves.decode(mean, given, x=beside) for beside in (x, torch.zeros_like(x)))
    return not torch.allclose(one, other, rtol=1e-4, atol=1e-5)


def reconstruction_in(out: Any, x: Tensor) -> Path | None:
    """Where that is which has as many numbers as a sample; x itself, handed back, is none."""
    for place, part in tensors_in(out):
        same_size = part.ndim and len(part) == len(x) and part[0].numel() == x[0].numel()
        if same_size and part.is_floating_point() and not torch.equal(part.flatten(1), x.flatten(1)):
            return place
    return None


def _sizes(out: Any) -> str:
    sizes = [str(math.prod(part.shape[1:])) for _, part in tensors_in(out)]
    return f"{' and '.join(sizes)} numbers" if sizes else type(out).__name__


def _unread(model: nn.Module, sample: Sample, failures: dict[str, str]) -> ObjectiveError:
    tried = ", ".join(name for name in (*ENCODERS, FORWARD, *DECODERS) if callable(getattr(model, name, None)))
    why = next(
        (failures[n] for n in (*ENCODERS, FORWARD, *DECODERS) if n in failures), "none gives a mean and a spread"
    )
    if unfit := unfit_layer(model, ENCODERS, sample.x, sample.given, sample.layouts):
        return ObjectiveError(f"{type(model).__name__}: {unfit}")
    more = [] if sample.given is not None else _asked_for(model)
    needs = f"; it takes {' and '.join(more)} as well: if that is a condition, give it (--given)" if more else ""
    return ObjectiveError(
        f"{type(model).__name__}: no way to encode and decode was seen: tried {tried or 'nothing'} on "
        f"{' and '.join(in_words(one.shape) for one in sample.layouts[:3])}; {why}{needs}. Give a function that "
        f"returns a module with encode(x) → mean, spread and decode(z) → mean of x, FILE:FUNCTION in place of the "
        f"weights"
    )


def _asked_for(model: nn.Module) -> list[str]:
    """Names of what a module must be given beside x or z."""
    names: list[str] = []
    for method in ("encode", "decode", FORWARD):
        function = getattr(model, method, None)
        if callable(function) and not isinstance(function, nn.Module):
            parameters = list(inspect.signature(function).parameters.values())[1:]
            names += [
                p.name
                for p in parameters
                if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
            ]
    return list(dict.fromkeys(names))
