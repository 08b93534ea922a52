"""What a module does with its spread, from the draws of z that it makes itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn

from uncollapse.inferring.halves import FORWARD, SPREADS, Halves, Reading, as_given, called, sampling
from uncollapse.inferring.source import source_of
from uncollapse.reading.roles import role_of

__all__ = ["door_of", "spread_by_names", "spreads_by_draws"]

DRAWS = 1024
"""A standard deviation is then known to about 2 %; over several latents to less."""

CLOSE = 0.08
"""In log σ: readings differ by far more, but for a spread near a fixed point of one of them."""

FAR = 4.0
"""Standard errors between the mean of the draws and what is taken for the mean."""

LARGER = (-1.0, 3.0, -3.0, 10.0)
BETWEEN = (3.0, 10.0, 30.0, 100.0)
MOST_SPREAD = 8.0
"""A sample beyond which exponentials differ by more than numbers hold."""

ROUNDED = 1e3
"""Roundings of z under which a standard deviation is not seen: that of a latent far out, with a narrow posterior."""

HEADS = {"logvar": "log_variance", "log_var": "log_variance", "logstd": "log_std", "log_std": "log_std",
         "logsigma": "log_std", "log_sigma": "log_std"}  # fmt: skip
NAMED = {"log variance": "log_variance", "log std": "log_std", "std": "std", "variance": "variance"}


def spreads_by_draws(halves: Halves, x: Tensor, given: Tensor | None) -> list[str] | None:
    """Readings of the spread under which the module's own draws of z have the standard deviation that they have.

    Parameters
    ----------
    halves : Halves
        Its reading's `spread` does not count.
    x : Tensor of shape (B, …)
        Samples; that of the largest spread, where the readings differ most, is drawn for many times. Where all latents
        are dead no sample has one, so that much larger ones are tried as well.
    given : Tensor of shape (B, c), optional

    Returns
    -------
    list of str, or None
        Of `SPREADS`; empty where none explains the draws; None where the module draws no z that is seen.
    """
    answers: list[list[str]] = []
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        for mode in (sampling(halves.model), nullcontext()):  # some draw only while training, some drop units there
            with mode:
                torch.manual_seed(0)
                kinds = _of_samples(halves, x, given)
            if kinds:
                return kinds
            answers += [] if kinds is None else [kinds]
    return answers[0] if answers else None


def _of_samples(halves: Halves, x: Tensor, given: Tensor | None) -> list[str] | None:
    """The sample at which readings differ most decides; the next may narrow what it allows."""
    kinds: list[str] | None = None
    for row, of_row in _telling(halves, x, given):
        found = _explaining(halves, row, of_row)
        if found is None:
            continue
        kinds = found if kinds is None else [kind for kind in kinds if kind in found] or kinds
        if len(kinds) < 2:
            break
    return kinds


def _explaining(halves: Halves, row: Tensor, of_row: Tensor | None) -> list[str] | None:
    """The readings under which draws of z for one sample have the deviation that they have; None if none is seen."""
    try:
        many = row.expand(DRAWS, *row.shape[1:])
        of_given = None if of_row is None else of_row.expand(DRAWS, -1)
        mean, spread = halves.mean_and_spread(many, of_given)
        z = _drawn(halves, many, of_given)
    except Exception:  # whatever a user's module does with these rows, it does not say the spread
        return None
    if z is None or z[0].numel() != mean[0].numel():
        return None
    rounding = torch.finfo(z.dtype).eps
    z = z.flatten(1).double()
    std, size = z.std(dim=0), z.abs().amax(dim=0)
    least = (ROUNDED * rounding * size).clamp_min(1e-12)
    away = (z.mean(dim=0) - mean[:1].flatten(1).double()[0]).abs() / std.clamp_min(least)
    if not bool((std > least.clamp_min(1e-6)).any()):
        return None
    if float(away.median()) > FAR / DRAWS**0.5:
        return []
    close = []
    for kind, log_variance in SPREADS.items():
        expected = (log_variance(spread[:1].flatten(1).double())[0] / 2).exp()
        off = (std.clamp_min(least).log() - expected.clamp_min(least).log()).abs()
        if bool(torch.isfinite(off).all()) and float(off.median()) < CLOSE and float(off.max()) < 3 * CLOSE:
            close.append(kind)
    return close


def _telling(halves: Halves, x: Tensor, given: Tensor | None) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Samples at which readings differ: of the largest spread that does not overflow, then of the least.

    Bytes are far from what a model of their 255ths knows, so that samples of size 1, and of sizes between, are tried.
    """
    unit = 1 / float(x.abs().max().clamp_min(1e-12))
    sizes = (1.0, *LARGER, unit, *(unit * by for by in BETWEEN if unit * by < 1))
    rows = torch.cat([by * x for by in sizes])
    conditions = None if given is None else given.repeat(len(sizes), 1)
    try:
        size = halves.mean_and_spread(rows, conditions)[1].flatten(1).abs()
    except Exception:  # as above
        return
    fits = torch.isfinite(size).all(dim=1) & (size.amax(dim=1) < MOST_SPREAD)
    size = size.mean(dim=1)
    for at in (torch.where(fits, size, -1.0).argmax(), torch.where(fits, size, torch.inf).argmin()):
        yield rows[at][None], None if conditions is None else conditions[at][None]


def _drawn(halves: Halves, x: Tensor, given: Tensor | None) -> Tensor | None:
    """The z that the module hands to its decoder when it is called as a whole."""
    r, model = halves.reading, halves.model
    seen: list[Tensor] = []
    if r.decoder == FORWARD:
        with _watched(attrgetter(r.door)(model), seen):
            called(model, FORWARD, r.presented(x), as_given(given, r.encoder_given or r.decoder_given))
        z = seen[0] if seen else None
        return z if z is None or r.columns is None else z.flatten(1)[:, list(r.columns)]
    decoder = attrgetter(r.decoder)(model)
    watch = _watched(decoder, seen) if isinstance(decoder, nn.Module) else _replaced(model, r.decoder, decoder, seen)
    with watch:
        called(model, FORWARD, r.presented(x), as_given(given, r.encoder_given or r.decoder_given))
    return seen[0] if seen else None


@contextmanager
def _watched(part: nn.Module, seen: list[Tensor]) -> Iterator[None]:
    handle = part.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _replaced(model: nn.Module, name: str, function: Any, seen: list[Tensor]) -> Iterator[None]:
    """A method that remembers what it is given."""

    def watched(z: Tensor, *rest: Any, **named: Any) -> Any:
        seen.append(z.detach())
        return function(z, *rest, **named)

    own = vars(model)
    own[name] = watched
    try:
        yield
    finally:
        own.pop(name, None)


def door_of(model: nn.Module, x: Tensor, given: Tensor | None, mean: Tensor) -> tuple[str, tuple[int, ...]] | None:
    """The first layer whose input holds z, and the columns of it that are z.

    Told by drawing twice: what differs behind the encoder comes from the draw. Where nothing is drawn, z is the mean.

    Parameters
    ----------
    model : Module
    x, given : Tensor
        As the module takes them.
    mean : Tensor of shape (B, …)
        Of the posterior.
    """
    n_latents = mean[0].numel()
    with torch.no_grad(), torch.random.fork_rng(devices=[]), sampling(model):
        runs = []
        for seed in (0, 1):
            torch.manual_seed(seed)
            runs.append(_inputs(model, x, given))
    drawn = any(name in runs[1] and not torch.equal(first, runs[1][name]) for name, first in runs[0].items()
                if first.shape == runs[1].get(name, first).shape)  # fmt: skip
    for name, first in runs[0].items():
        other = runs[1].get(name)
        if other is None or first.shape != other.shape or len(first) != len(x):
            continue
        flat, again = first.flatten(1), other.flatten(1)
        if drawn:
            columns = [int(i) for i in (flat != again).any(dim=0).nonzero().flatten()]
        else:
            at = [i for i in (0, flat.shape[1] - n_latents) if i >= 0]
            same = next((i for i in at if torch.allclose(flat[:, i : i + n_latents], mean.flatten(1))), None)
            columns = [] if same is None else list(range(same, same + n_latents))
        if len(columns) == n_latents and columns == list(range(columns[0], columns[0] + n_latents)):
            return name, tuple(columns)
        if drawn and columns:
            return None  # what is drawn has another size than the mean
    return None


def _inputs(model: nn.Module, x: Tensor, given: Tensor | None) -> dict[str, Tensor]:
    """The first tensor that each layer is given, in the order of calls; a layer before those inside it."""
    seen: dict[str, Tensor] = {}
    handles = []
    for name, part in model.named_modules():
        if name:

            def hook(_: Any, inputs: Any, name: str = name) -> None:
                if inputs and torch.is_tensor(inputs[0]) and inputs[0].is_floating_point():
                    seen.setdefault(name, inputs[0].detach().clone())

            handles.append(part.register_forward_pre_hook(hook))
    try:
        called(model, FORWARD, x, given)
    finally:
        for handle in handles:
            handle.remove()
    return seen


def spread_by_names(model: nn.Module, reading: Reading) -> str | None:
    """What the code calls the spread: a head `fc_logvar`, or `return mu, logvar`."""
    if reading.heads is not None:
        name = reading.heads[1].rpartition(".")[2].lower()
        kind = next((k for part, k in HEADS.items() if part in name), None)
        if kind is not None:
            return kind
    function = getattr(type(model), reading.encoder, None)
    tree = source_of(function) if function is not None else None
    kinds: list[str] = []
    for node in [] if tree is None else ast.walk(tree):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            roles = [role_of(_name_of(part)) for part in node.value.elts]
            if "mean" in roles:
                kinds += [NAMED[role] for role in roles if role in NAMED]
    return kinds[0] if len(set(kinds)) == 1 else None


def _name_of(node: ast.expr) -> str:
    """Of a variable, an attribute, or the layer that is called."""
    while isinstance(node, ast.Call):
        node = node.func
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
