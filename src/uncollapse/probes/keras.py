"""Probe of a Keras 3 model, whatever back end it runs on: of PyTorch and JAX differentiable. Read from 3.15.

The weights are given to Keras in a `StatelessScope`: the user's own model stays as it is, and a copy of the weights
needs no copy of the model, which Keras could make only of one that it can write down.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from uncollapse.errors import ObjectiveError
from uncollapse.measure.protocol import Spread
from uncollapse.probes.callables import CallableProbe
from uncollapse.probes.inputs import own_shape
from uncollapse.probes.keras_parts import Side, as_numpy, fresh_values, sides_of
from uncollapse.probes.settling import FIRST_ROWS, Settling

__all__ = ["keras_probe"]

SEEDS = "seed_generator_state"


def keras_probe(
    model: Any,
    *,
    spread: Spread | None = None,
    input_shape: tuple[int, ...] | None = None,
    rows: np.ndarray | None = None,
    outputs: tuple[int, int] | None = None,
) -> Any:
    """Probe of a Keras VAE.

    Parameters
    ----------
    model : keras.Model or pair of keras layers or models
        With `encode` and `decode`; with sub-models or layers `encoder` and `decoder`, as in keras.io's example; or the
        two of them.
    spread, input_shape, rows, outputs
        As in `open_probe`. What the spread is is read from the draws of z that the encoder gives beside it, or from
        the names of its outputs and layers.

    Returns
    -------
    TorchProbe
        A `CallableProbe`, which can be measured and not trained, on back ends other than PyTorch and JAX.

    Raises
    ------
    ObjectiveError
        No encoder and decoder, or one without weights yet.
    DataError
        Data of another shape than the model's.
    """
    import keras

    encoder, decoder = sides_of(model)
    name = f"Keras {type(model).__name__}" if not isinstance(model, tuple | list) else "Keras encoder and decoder"
    weights = _Weights.of([encoder, decoder], name)
    settling = Settling(f"{name}: the encoder", spread, outputs, encoder.hints(), decoder.width())
    shape = own_shape(encoder.sample_shape(), input_shape, name)
    notes = encoder.notes + decoder.notes
    backend = keras.config.backend()
    if backend not in ("torch", "jax"):
        return _measured(name, encoder, decoder, settling, shape, notes, backend)
    from uncollapse.probes.translated import opened

    make = _in_torch if backend == "torch" else _in_jax
    module = make(encoder, decoder, weights, settling)
    return opened(
        name,
        module,
        input_shape=shape,
        latent_shape=own_shape(decoder.sample_shape(), None, name),
        rows=rows,
        notes=notes,
    )


@dataclass(frozen=True)
class _Weights:
    """Keras variables: those that are trained, and the others (running averages, seeds)."""

    trained: list[Any]
    fixed: list[Any]

    @classmethod
    def of(cls, sides: Sequence[Side], name: str) -> _Weights:
        found = {id(v): v for side in sides for layer in side.layers for v in layer.variables}
        if not any("float" in v.dtype for v in found.values()):  # seeds are there before the weights
            raise ObjectiveError(f"{name}: has no weights yet; call it once on data, or load its weights")
        trainable = {id(v) for side in sides for layer in side.layers for v in layer.trainable_variables}
        return cls([v for i, v in found.items() if i in trainable], [v for i, v in found.items() if i not in trainable])


def _run(side: Side, mapping: list[tuple[Any, Any]], training: bool, x: Any, given: Sequence[Any]) -> Any:
    """What a side gives with these values of the variables, its names, and a function that tells their values after."""
    import keras

    with keras.StatelessScope(state_mapping=mapping) as scope:
        parts, names = side(x, *given, training=training)
    return parts, names, scope.get_current_value


def _in_torch(encoder: Side, decoder: Side, weights: _Weights, settling: Settling) -> Any:
    from uncollapse.probes.keras_torch import KerasModule

    return KerasModule(encoder, decoder, weights.trained, weights.fixed, _run, settling)


def _in_jax(encoder: Side, decoder: Side, weights: _Weights, settling: Settling) -> Any:
    from uncollapse.probes.through_jax import JaxModule

    names = [f"{i}/{v.path}" for i, v in enumerate(weights.trained)]

    def of(side: Side) -> Callable[..., Any]:
        def run(values: dict[str, Any], fixed: list[Any], seed: Any, x: Any, *given: Any) -> Any:
            drawn = [f + seed.astype(f.dtype) if v.path.endswith(SEEDS) else f
                     for v, f in zip(weights.fixed, fixed, strict=True)]  # fmt: skip
            mapping = [*zip(weights.trained, values.values(), strict=True), *zip(weights.fixed, drawn, strict=True)]
            return _run(side, mapping, False, x, given)[:2]

        return run

    def fresh(seed: int) -> dict[str, Any]:
        new = fresh_values([*encoder.layers, *decoder.layers], weights.trained, seed)
        return dict(zip(names, new, strict=True))

    values = {name: v.value for name, v in zip(names, weights.trained, strict=True)}
    return JaxModule(of(encoder), of(decoder), values, [v.value for v in weights.fixed], settling, fresh)


def _measured(
    name: str, encoder: Side, decoder: Side, settling: Settling, shape: tuple[int, ...] | None,
    notes: tuple[str, ...], backend: str,
) -> CallableProbe:  # fmt: skip
    """Of a back end whose gradients are not to be had here."""
    import torch

    def encode(x: np.ndarray, *given: np.ndarray) -> Any:
        def run(*rows: np.ndarray) -> tuple[list[torch.Tensor], Any]:
            parts, names = encoder(*(part.astype("float32") for part in rows), training=False)
            return [torch.tensor(as_numpy(part)) for part in parts], names

        few = [part[:FIRST_ROWS] for part in (x, *given)]
        settled = settling.settled(lambda: run(*few))
        return settled.mean_and_log_variance(run(x, *given)[0], settling.where)

    def decode(z: np.ndarray, *given: np.ndarray) -> Any:
        return as_numpy(decoder(z.astype("float32"), *given, training=False)[0][0])

    return CallableProbe(
        encode, decode, "log_variance", name=name, input_shape=shape,
        latent_shape=own_shape(decoder.sample_shape(), None, name),
        notes=(*notes, f"Keras runs on {backend}, whose gradients are not used here: what trains the model is left "
                       f"out; KERAS_BACKEND=torch or jax has them"),
    )  # fmt: skip
