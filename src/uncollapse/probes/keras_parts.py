"""Encoder and decoder of a Keras model: methods, sub-models, layers, or the two halves of one graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from uncollapse.errors import ObjectiveError, UncollapseError
from uncollapse.probes.inputs import check_condition
from uncollapse.probes.named import kind_of_name, names_mean
from uncollapse.probes.through_jax import arrays_of

__all__ = ["Side", "as_numpy", "fresh_values", "sides_of"]


@dataclass(frozen=True)
class Side:
    """An encoder or a decoder.

    Attributes
    ----------
    what : str
        Which of the two, of which model.
    call : callable
        A layer, or a method of the model.
    layers : list of keras.layers.Layer
        Those whose weights it may use.
    notes : tuple of str
    """

    what: str
    call: Callable[..., Any]
    layers: list[Any]
    notes: tuple[str, ...] = ()

    def __call__(self, x: Any, *given: Any, training: bool) -> tuple[list[Any], list[str] | None]:
        """What it gives, and the names of that where Keras has them."""
        import keras

        inputs = _inputs(self.call)
        if isinstance(self.call, keras.layers.Layer):
            if inputs is not None and len(inputs) != 1 + len(given):
                raise ObjectiveError(
                    f"{self.what} has {len(inputs)} inputs; known are one, or two with a condition (given, --given)"
                )
            if inputs is None:
                check_condition(self.call.call, bool(given), self.what)
            whole = [x, *given] if inputs is not None and given else x
            out = self.call(whole, training=training) if whole is not x or not given else self.call(x, *given)
        else:
            check_condition(self.call, bool(given), self.what)
            out = self.call(x, *given)
        parts, names = arrays_of(out)
        own = getattr(self.call, "output_names", None) if names is None and inputs is not None else names
        return parts, own if own is not None and len(own) == len(parts) else None

    def sample_shape(self) -> tuple[int | None, ...] | None:
        """Of one sample that goes in, as far as Keras knows it."""
        inputs = _inputs(self.call)
        return None if inputs is None else tuple(inputs[0].shape[1:])

    def width(self) -> int | None:
        """Numbers of one sample that goes in."""
        shape = self.sample_shape()
        return None if shape is None or None in shape else math.prod(int(side or 0) for side in shape)

    def hints(self) -> list[str]:
        """Names of the layers that it is made of."""
        owner = getattr(self.call, "__self__", None)
        roots = [getattr(owner, "encoder", owner)] if owner is not None else [self.call]
        return [name for root in roots for layer in _inside(root) for name in (layer.name, *_held(layer))]


def sides_of(model: Any) -> tuple[Side, Side]:
    """Encoder and decoder.

    Raises
    ------
    ObjectiveError
        The model has no two such parts.
    """
    import keras

    if isinstance(model, tuple | list):
        return _layers(model[0], model[1], "the pair")
    name = f"Keras {type(model).__name__}"
    encode, decode = (getattr(model, method, None) for method in ("encode", "decode"))
    if callable(encode) and callable(decode):
        return Side(f"{name}: encode", encode, [model]), Side(f"{name}: decode", decode, [model])
    named = {layer.name: layer for layer in getattr(model, "layers", ())}
    parts = [getattr(model, part, None) or named.get(part) for part in ("encoder", "decoder")]
    if all(isinstance(part, keras.layers.Layer) for part in parts):
        return _layers(parts[0], parts[1], name)
    halves = _halves(model) if _inputs(model) is not None else None
    if halves is None:
        raise ObjectiveError(
            f"{name}: has no encoder and decoder that are known: neither methods encode and decode, nor sub-models of "
            f"these names, nor layers z_mean and z_log_var; give the pair (encoder, decoder)"
        )
    return halves


def _layers(encoder: Any, decoder: Any, name: str) -> tuple[Side, Side]:
    return Side(f"{name}: the encoder", encoder, [encoder]), Side(f"{name}: the decoder", decoder, [decoder])


def _halves(model: Any) -> tuple[Side, Side] | None:
    """Of one graph in which layers are named as mean and spread, and one layer draws z of the two."""
    import keras

    spreads = [layer for layer in model.layers if kind_of_name(layer.name) is not None]
    means = [layer for layer in model.layers if names_mean(layer.name)]
    if len(spreads) != 1 or len(means) != 1:
        return None
    of_both = {id(means[0].output), id(spreads[0].output)}
    draws = [layer for layer in model.layers
             if of_both <= {id(t) for t in keras.tree.flatten(layer.input)}
             and getattr(layer.output, "shape", None) == means[0].output.shape]  # fmt: skip
    if len(draws) != 1:
        return None
    encoder = keras.Model(model.inputs, [means[0].output, spreads[0].output])
    decoder = keras.Model(draws[0].output, model.outputs[0])
    note = (f"the graph is cut at the layer {draws[0].name}: encoder before it, decoder behind it",)
    return Side("the encoder", encoder, [encoder], note), Side("the decoder", decoder, [decoder])


def _inputs(layer: Any) -> list[Any] | None:
    """The symbolic inputs of a graph; None of a layer whose code says what it does."""
    try:
        inputs = layer.inputs
    except Exception:  # a model that was not called yet has none, and each version says so in another way
        return None
    return list(inputs) if isinstance(inputs, tuple | list) and inputs else None


def _inside(root: Any) -> Iterator[Any]:
    return iter(root._flatten_layers(include_self=True, recursive=True))


def _held(layer: Any) -> list[str]:
    """What the layer calls those that it holds: self.log_var = Dense(2)."""
    import keras

    held = {**vars(layer), **vars(layer).get("_modules", {})}  # on PyTorch it is a module
    return [name for name, value in held.items() if isinstance(value, keras.layers.Layer)]


def fresh_values(layers: Sequence[Any], variables: Sequence[Any], seed: int) -> list[np.ndarray]:
    """New values of variables, as their layers' own initialisers draw them.

    Raises
    ------
    UncollapseError
        A variable whose layer says no initialiser.
    """
    rng = np.random.default_rng(seed)
    owners = {id(v): layer for root in layers for layer in _inside(root) for v in _own(layer)}
    values = []
    for variable in variables:
        name = variable.name.replace("recurrent_kernel", "recurrent")
        initialiser = getattr(owners.get(id(variable)), f"{name}_initializer", None)
        if initialiser is None:
            raise UncollapseError(f"{variable.path}: its layer says no {name}_initializer, so the model cannot be "
                                  f"started anew")  # fmt: skip
        config = initialiser.get_config()
        if "seed" in config:  # one that was drawn before gives the same values again
            config["seed"] = int(rng.integers(2**31 - 1))
        drawn = type(initialiser).from_config(config)(tuple(variable.shape), dtype=variable.dtype)
        values.append(as_numpy(drawn))
    return values


def as_numpy(tensor: Any) -> np.ndarray:
    """A tensor of Keras's back end as an array; of PyTorch without its own conversion, which warns."""
    from keras import ops

    array: np.ndarray = tensor.detach().cpu().numpy() if hasattr(tensor, "detach") else ops.convert_to_numpy(tensor)
    return array


def _own(layer: Any) -> list[Any]:
    return [*layer._trainable_variables, *layer._non_trainable_variables]
