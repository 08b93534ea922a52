"""A model in JAX as a PyTorch module: the weights are PyTorch's, what is computed and differentiated is JAX's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from uncollapse.errors import UncollapseError
from uncollapse.probes.settling import Settling
from uncollapse.probes.translated import Translated

__all__ = ["JaxModule", "arrays_of"]

FEWEST = 128
"""Blocks have a power of two of rows, from this on, so that JAX compiles for a few shapes."""

Run = Callable[..., tuple[Sequence[Any], "Sequence[str] | None"]]
"""(weights, fixed, seed, x, *given) → what the encoder or decoder gives, and the names of it."""


class JaxModule(Translated):
    """An encoder and a decoder in JAX.

    Parameters
    ----------
    encoder, decoder : callable (weights, fixed, seed, x, *given) → arrays (B, …), their names or None
        Pure functions; `seed`, an integer, is another one in every call.
    weights : mapping of str to array
        What is trained.
    fixed : object
        A tree of arrays: what else the functions need, running averages among them. They are not trained.
    settling : Settling
    fresh : callable (seed) → mapping of str to array, optional
        New weights.
    """

    def __init__(
        self,
        encoder: Run,
        decoder: Run,
        weights: Mapping[str, Any],
        fixed: Any,
        settling: Settling,
        fresh: Callable[[int], Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__(settling)
        names = list(weights)
        dtypes = {name: weights[name].dtype for name in names}
        self.weights = nn.ParameterList([nn.Parameter(_tensor(weights[name])) for name in names])
        self._names, self._fresh = names, fresh
        self._encoder = _Jitted(encoder, dtypes, fixed)
        self._decoder = _Jitted(decoder, dtypes, fixed)

    def encoded(self, x: Tensor, *given: Tensor) -> tuple[Sequence[Tensor], Sequence[str] | None]:
        """All that the encoder gives, and the names of it."""
        return self._encoder(self.weights, x, *given), self._encoder.names

    def decode(self, z: Tensor, *given: Tensor) -> Tensor:
        """The mean of x."""
        return self._decoder(self.weights, z, *given)[0]

    def reset_parameters(self) -> None:
        """New weights, from PyTorch's generator.

        Raises
        ------
        UncollapseError
            The model does not say how its weights start.
        """
        if self._fresh is None:
            raise UncollapseError(f"{self._settling.where} does not say how its weights start, so it cannot be started "
                                  f"anew")  # fmt: skip
        new = self._fresh(int(torch.randint(2**31 - 1, ())))
        with torch.no_grad():
            for name, weight in zip(self._names, self.weights, strict=True):
                weight.copy_(_tensor(new[name]))


class _Jitted:
    """A function of weights and rows, compiled, and its gradients; copies of a module share it."""

    def __init__(self, run: Run, dtypes: dict[str, Any], fixed: Any) -> None:
        import jax
        import jax.numpy as jnp

        self.names: Sequence[str] | None = None
        self._shapes: dict[int, list[tuple[Any, Any]]] = {}  # of the outputs, by the rows of a block
        self._n_calls, self._dtypes, self._fixed = 0, list(dtypes.values()), fixed

        def outputs(leaves: Any, fixed: Any, seed: Any, rows: Any) -> tuple[Any, ...]:
            parts, self.names = run(dict(zip(dtypes, leaves, strict=True)), fixed, seed, *rows)
            arrays = (part if hasattr(part, "dtype") else jnp.zeros(()) for part in parts)
            return tuple(a if jnp.issubdtype(a.dtype, jnp.inexact) else a.astype(jnp.float32) for a in arrays)

        def gradients(leaves: Any, fixed: Any, seed: Any, rows: Any, of_outputs: Any) -> Any:
            _, back = jax.vjp(lambda w, r: outputs(w, fixed, seed, r), leaves, rows)
            return back(of_outputs)

        self._outputs, self._gradients = jax.jit(outputs), jax.jit(gradients)

    def __deepcopy__(self, memo: Any) -> _Jitted:
        return self

    def __call__(self, weights: Any, *rows: Tensor) -> tuple[Tensor, ...]:
        self._n_calls += 1
        result: tuple[Tensor, ...] = _Through.apply(  # type: ignore[no-untyped-call]
            self, self._n_calls, len(rows), *rows, *weights
        )
        return result

    def forward(self, seed: int, rows: Sequence[Tensor], weights: Sequence[Tensor]) -> tuple[Tensor, ...]:
        n, size = len(rows[0]), _block(len(rows[0]))
        outputs = self._outputs(self._leaves(weights), self._fixed, seed, _padded(rows, size))
        self._shapes[size] = [(out.shape, out.dtype) for out in outputs]
        return tuple(_tensor(out[:n] if out.ndim and len(out) == size else out).to(rows[0].device) for out in outputs)

    def backward(
        self, seed: int, rows: Sequence[Tensor], weights: Sequence[Tensor], gradients: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        n, size = len(rows[0]), _block(len(rows[0]))
        leaves, padded = self._leaves(weights), _padded(rows, size)
        whole = []
        for (shape, dtype), gradient in zip(self._shapes[size], gradients, strict=True):
            values = np.zeros(shape, dtype=dtype)
            (values[:n] if values.ndim and len(values) == size else values)[...] = gradient.cpu().numpy()
            whole.append(values)
        of_leaves, of_rows = self._gradients(leaves, self._fixed, seed, padded, tuple(whole))
        pairs = [(g[:n], r) for g, r in zip(of_rows, rows, strict=True)] + list(zip(of_leaves, weights, strict=True))
        return tuple(_tensor(gradient).to(like) for gradient, like in pairs)

    def _leaves(self, weights: Sequence[Tensor]) -> list[Any]:
        import jax.numpy as jnp

        return [jnp.asarray(w.detach().cpu().numpy(), dtype=d) for w, d in zip(weights, self._dtypes, strict=True)]


class _Through(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, call: _Jitted, seed: int, n_rows: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.call, ctx.seed, ctx.n_rows = call, seed, n_rows
        ctx.save_for_backward(*tensors)
        return call.forward(seed, tensors[:n_rows], tensors[n_rows:])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        tensors = ctx.saved_tensors
        rows, weights = tensors[: ctx.n_rows], tensors[ctx.n_rows :]
        return None, None, None, *ctx.call.backward(ctx.seed, rows, weights, gradients)


def arrays_of(out: Any) -> tuple[list[Any], list[str] | None]:
    """What an encoder gives as a list, with names where it has some: a dictionary, a named tuple, a dataclass."""
    if isinstance(out, Mapping):
        return list(out.values()), [str(key) for key in out]
    if hasattr(out, "_fields"):
        return list(out), list(out._fields)
    if hasattr(out, "__dataclass_fields__"):
        names = list(out.__dataclass_fields__)
        return [getattr(out, name) for name in names], names
    return (list(out), None) if isinstance(out, tuple | list) else ([out], None)


def _block(n: int) -> int:
    return max(FEWEST, 1 << (max(n, 1) - 1).bit_length())


def _padded(rows: Sequence[Tensor], size: int) -> tuple[np.ndarray, ...]:
    """Rows up to the size of a block: the first one again, for which the model is sure to be finite."""
    arrays = [part.detach().cpu().numpy() for part in rows]
    return tuple(np.concatenate([a, np.repeat(a[:1], size - len(a), axis=0)]) if len(a) else a for a in arrays)


def _tensor(values: Any) -> Tensor:
    """In PyTorch; of half precision in single, which holds it all."""
    array = np.asarray(values)
    if array.dtype.kind == "V" or array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    return torch.from_numpy(np.array(array))
