"""A module whose halves give made-up numbers for the time being, so that a loss which calls them is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from operator import attrgetter
from typing import Any

import torch
from torch import nn

from uncollapse.errors import UncollapseError
from uncollapse.inferring.filled import UNREAD, Made, Template, template_of
from uncollapse.inferring.find import DECODERS
from uncollapse.inferring.halves import FORWARD, Halves

__all__ = ["Doubles"]

SILENT = ("log", "log_dict", "print")


class Doubles:
    """Stand-ins for what a module calls, as one loss may need them.

    Parameters
    ----------
    halves : Halves
    x : Tensor of shape (B, …)
        A few samples as in the data.
    given : Tensor, optional
    inner : bool
        Whether `decode` runs and only the network in it is replaced: it may give logits beside the reconstruction.
    """

    def __init__(self, halves: Halves, x: torch.Tensor, given: torch.Tensor | None, *, inner: bool) -> None:
        r = halves.reading
        self.halves, self.inner = halves, inner
        in_one = r.heads is not None or (r.parts is None and r.spread != "known")
        names = {FORWARD, *([] if in_one else [r.encoder]), *([] if inner else [r.decoder])}
        self.templates: dict[str, Template] = {}
        for name in names:
            try:
                self.templates[name] = template_of(halves, name, x, given)
            except (UncollapseError, RuntimeError, TypeError, ValueError):  # what cannot be called is not replaced
                continue

    @contextmanager
    def in_place(self, made: Made, *, but: str = "") -> Iterator[nn.Module]:
        """The module with its halves replaced inside, all but one of them."""
        r, model = self.halves.reading, self.halves.model
        raw = made.log_variance if r.spread == "known" else UNREAD[r.spread](made.log_variance)
        answers: dict[str, Any] = {name: one.filled(made) for name, one in self.templates.items()}
        if r.heads is not None:
            answers |= {r.encoder: made.x.new_zeros(len(made.x), 1), r.heads[0]: made.mean, r.heads[1]: raw}
        elif r.parts is None and r.spread != "known":
            both = [raw, made.mean] if r.spread_first else [made.mean, raw]
            answers[r.encoder] = torch.stack(both, 2).flatten(1) if r.paired else torch.cat(both, 1)
        if self.inner:
            answers |= {name: made.recon for name in DECODERS if isinstance(getattr(model, name, None), nn.Module)}
        answers.pop(but, None)
        with ExitStack() as stack:
            for name, answer in answers.items():
                stack.enter_context(_answering(model, name, answer))
            for name in SILENT:
                if hasattr(model, name):
                    stack.enter_context(_answering(model, name, None))
            yield model


@contextmanager
def _answering(model: nn.Module, name: str, answer: Any) -> Iterator[None]:
    """A method or a part of the module that always gives the same."""
    part = model if name == FORWARD else attrgetter(name)(model)
    is_module = isinstance(part, nn.Module)
    owner = vars(part if is_module else model)
    key = FORWARD if is_module else name
    before = {key: owner[key]} if key in owner else {}
    owner[key] = lambda *_, **__: answer
    try:
        yield
    finally:
        owner.pop(key, None)
        owner.update(before)
