"""A Keras model on PyTorch as a PyTorch module, whose weights are Keras's own until it is copied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from uncollapse.probes.keras_parts import Side, fresh_values
from uncollapse.probes.settling import Settling
from uncollapse.probes.translated import Translated

__all__ = ["KerasModule"]


class KerasModule(Translated):
    """Encoder and decoder of Keras, run with the values that this module has of their variables.

    Parameters
    ----------
    encoder, decoder : Side
    trained, fixed : list of keras.Variable
        Parameters and buffers of this module.
    run : callable
        Runs a side with values of the variables.
    settling : Settling
    """

    def __init__(
        self,
        encoder: Side,
        decoder: Side,
        trained: list[Any],
        fixed: list[Any],
        run: Callable[..., Any],
        settling: Settling,
    ) -> None:
        super().__init__(settling)
        self._graph = _Graph(encoder, decoder, trained, fixed, run)
        self.weights = nn.ParameterList([v.value for v in trained])
        for i, v in enumerate(fixed):  # whole numbers are seeds, which are no part of what the model is
            self.register_buffer(f"fixed_{i}", v.value.detach(), persistent=v.value.is_floating_point())

    def encoded(self, x: Tensor, *given: Tensor) -> tuple[Sequence[Tensor], Sequence[str] | None]:
        """All that the encoder gives, and the names of it."""
        return self._ran(self._graph.encoder, x, given)

    def decode(self, z: Tensor, *given: Tensor) -> Tensor:
        """The mean of x."""
        parts: Sequence[Tensor] = self._ran(self._graph.decoder, z, given)[0]
        return parts[0]

    def _ran(self, side: Side, x: Tensor, given: Sequence[Tensor]) -> Any:
        graph = self._graph
        names = [f"fixed_{i}" for i in range(len(graph.fixed))]
        mapping = [*zip(graph.trained, self.weights, strict=True),
                   *((v, getattr(self, name)) for v, name in zip(graph.fixed, names, strict=True))]  # fmt: skip
        parts, of_outputs, after = graph.run(side, mapping, self.training, x, given)
        for v, name in zip(graph.fixed, names, strict=True):
            if self.training or not getattr(self, name).is_floating_point():
                setattr(self, name, after(v).detach())
        return parts, of_outputs

    def reset_parameters(self) -> None:
        """New weights and running averages, from PyTorch's generator; seeds stay."""
        graph = self._graph
        averages = [(v, getattr(self, f"fixed_{i}")) for i, v in enumerate(graph.fixed)]
        averages = [(v, own) for v, own in averages if own.is_floating_point()]
        layers = [*graph.encoder.layers, *graph.decoder.layers]
        new = fresh_values(layers, [*graph.trained, *(v for v, _ in averages)], int(torch.randint(2**31 - 1, ())))
        with torch.no_grad():
            for own, value in zip([*self.weights, *(own for _, own in averages)], new, strict=True):
                own.copy_(torch.as_tensor(value))


class _Graph:
    """What Keras computes, shared by all copies of a module."""

    def __init__(
        self, encoder: Side, decoder: Side, trained: list[Any], fixed: list[Any], run: Callable[..., Any]
    ) -> None:
        self.encoder, self.decoder, self.trained, self.fixed, self.run = encoder, decoder, trained, fixed, run

    def __deepcopy__(self, memo: Any) -> _Graph:
        return self
