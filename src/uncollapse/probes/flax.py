"""Probe of a Flax VAE, NNX or Linen, differentiable. Read from 0.12.

Dropout is off, batch norm goes by its running averages, and what draws gets another key in every call: in JAX all
that a function knows are its arguments, so the user's model and keys stay as they are.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from uncollapse import checks
from uncollapse.errors import ObjectiveError
from uncollapse.measure.protocol import Spread
from uncollapse.probes.inputs import check_condition
from uncollapse.probes.settling import Settling
from uncollapse.probes.through_jax import JaxModule, arrays_of
from uncollapse.probes.translated import opened

__all__ = ["flax_probe", "is_flax"]

STILL = {"deterministic": True, "train": False, "training": False, "is_training": False}
"""Arguments of an `encode` or `decode` that say whether it trains."""

KEYS = ("rng", "key", "z_rng", "rngs", "prng_key", "rng_key")
"""Arguments that are a key to draw with."""

TRAINED = "params"


def is_flax(model: Any) -> bool:
    """Whether it is a module of Flax, or a pair of a Linen module and its variables."""
    part = model[0] if isinstance(model, tuple | list) and len(model) == 2 else model
    return any(kind.__module__.split(".")[0] == "flax" for kind in type(part).__mro__)


def flax_probe(
    model: Any,
    *,
    spread: Spread | None = None,
    input_shape: tuple[int, ...] | None = None,
    rows: np.ndarray | None = None,
    outputs: tuple[int, int] | None = None,
) -> Any:
    """Probe of a Flax VAE.

    Parameters
    ----------
    model : nnx.Module, pair of nnx modules, bound linen.Module, or pair (linen.Module, variables)
        With methods `encode` and `decode`, or sub-modules `encoder` and `decoder`. Where a method `generate(z)` stands
        beside a sub-module `decoder`, as in Flax's own example, it decodes. Variables are what `init` gives, its
        "params", or a `TrainState`.
    spread, input_shape, rows, outputs
        As in `open_probe`. What the spread is is read from the encoder's draws of z, or from names of its outputs and
        weights.

    Returns
    -------
    TorchProbe

    Raises
    ------
    ObjectiveError
        No encoder and decoder, or a Linen module without its variables.
    """
    from flax import linen, nnx

    pair = model if isinstance(model, tuple | list) else None
    if pair is not None and isinstance(pair[0], linen.Module):
        name, module = _linen(pair[0], pair[1], spread, outputs)
    elif isinstance(model, linen.Module):
        if model.scope is None:
            raise ObjectiveError(
                f"Flax {type(model).__name__}: a Linen module has no weights of its own; give the pair (module, params)"
            )
        free, variables = model.unbind()
        name, module = _linen(free, variables, spread, outputs)
    elif pair is not None or isinstance(model, nnx.Module):
        name, module = _nnx(model, spread, outputs)
    else:
        raise ObjectiveError(f"{type(model).__name__}: is no module of Flax; give one, or the pair (module, params)")
    return opened(name, module, input_shape=input_shape, rows=rows)


def _nnx(model: Any, spread: Spread | None, outputs: tuple[int, int] | None) -> tuple[str, JaxModule]:
    from flax import nnx

    pair = tuple(model) if isinstance(model, tuple | list) else None
    name = "Flax encoder and decoder" if pair else f"Flax {type(model).__name__}"
    whole = nnx.List(pair) if pair else model
    graph, params, rest = nnx.split(whole, nnx.Param, ...)
    of_params, weights = _by_path(params)
    leaves_of_rest, of_rest = _frozen(rest)
    sides = (_first, _second) if pair else _sides(model, name)

    def run_of(side: Callable[[Any], Any]) -> Any:
        def run(values: Mapping[str, Any], fixed: Any, seed: Any, x: Any, *given: Any) -> Any:
            import jax

            moved = [_other_key(leaf, seed) for leaf in fixed]
            own = nnx.merge(graph, of_params(values), jax.tree.unflatten(of_rest, moved))
            for part in own if pair else (own,):
                part.eval()
            return _called(side(own), jax.random.key(seed), x, given, name)

        return run

    encoder, decoder = (run_of(side) for side in sides)
    settling = Settling(f"{name}: the encoder", spread, outputs, _words(weights, "0" if pair else "encoder"))
    return name, JaxModule(encoder, decoder, weights, leaves_of_rest, settling)


def _linen(
    module: Any, variables: Any, spread: Spread | None, outputs: tuple[int, int] | None
) -> tuple[str, JaxModule]:
    import jax

    name = f"Flax {type(module).__name__}"
    collections = _collections(variables, name)
    of_params, weights = _by_path(collections.pop(TRAINED))
    bound = module.bind({TRAINED: of_params(weights), **collections})
    sides = _sides(bound, name)

    def run_of(side: Callable[[Any], Any]) -> Any:
        def run(values: Mapping[str, Any], fixed: Any, seed: Any, x: Any, *given: Any) -> Any:
            key = jax.random.key(seed)
            return module.apply(
                {TRAINED: of_params(values), **fixed},
                method=lambda own: _called(side(own), key, x, given, name),
                rngs={TRAINED: key, "default": key},  # streams of other names fall back to the first
            )

        return run

    encoder, decoder = (run_of(side) for side in sides)
    settling = Settling(f"{name}: the encoder", spread, outputs, _words(weights, "encoder"))
    return name, JaxModule(encoder, decoder, weights, collections, settling)


def _sides(model: Any, name: str) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Functions of a model that give its encoder and its decoder."""
    encode = next((part for part in ("encode", "encoder") if callable(getattr(model, part, None))), None)
    decoders = [part for part in ("decode", "generate", "decoder") if callable(getattr(model, part, None))]
    decode = next((part for part in decoders if part != "generate" or _takes_one(model.generate)), None)
    if encode is None or decode is None:
        raise ObjectiveError(
            f"{name}: has no {'encode or encoder' if encode is None else 'decode or decoder'}; give it methods "
            f"encode(x) → mean, spread and decode(z) → mean of x"
        )
    return (lambda own: getattr(own, encode)), (lambda own: getattr(own, decode))


def _first(pair: Any) -> Any:
    return pair[0]


def _second(pair: Any) -> Any:
    return pair[1]


def _takes_one(method: Callable[..., Any]) -> bool:
    return len([p for p in _parameters(method) if p.name not in (*STILL, *KEYS)]) == 1


def _called(method: Any, key: Any, x: Any, given: tuple[Any, ...], name: str) -> tuple[list[Any], list[str] | None]:
    """What an encoder or decoder gives, as in evaluation, with a key where it asks for one."""
    function = method if inspect.ismethod(method) else type(method).__call__
    own = _parameters(method)
    extra: dict[str, Any] = {p.name: STILL[p.name] for p in own if p.name in STILL}
    extra |= {p.name: key for p in own if p.name in KEYS}
    rest = inspect.Signature([p for p in own if p.name not in extra])
    check_condition(_Signed(rest), bool(given), f"{name}: {getattr(function, '__name__', 'the network')}")
    return arrays_of(method(x, *given, **extra))


class _Signed:
    """Something with a signature, to be checked."""

    def __init__(self, signature: inspect.Signature) -> None:
        self.__signature__ = signature

    def __call__(self) -> None: ...


def _parameters(method: Any) -> list[inspect.Parameter]:
    return list(inspect.signature(method).parameters.values())


def _collections(variables: Any, name: str) -> dict[str, Any]:
    """Variables by their collection, "params" among them, of what a user has: all, the params, or a `TrainState`."""
    if hasattr(variables, "params") and not isinstance(variables, Mapping):
        more = {"batch_stats": variables.batch_stats} if getattr(variables, "batch_stats", None) else {}
        inner = variables.params
        variables = inner if isinstance(inner, Mapping) and TRAINED in inner else {TRAINED: inner, **more}
    if not isinstance(variables, Mapping) or not variables:
        raise ObjectiveError(
            f"{name}: its params must be a dictionary, as init gives it, got {checks.shown(variables)}"
        )
    return dict(variables) if TRAINED in variables else {TRAINED: variables}


def _by_path(tree: Any) -> tuple[Callable[[Mapping[str, Any]], Any], dict[str, Any]]:
    """A tree's arrays by their names, and a function that makes the tree of such arrays."""
    import jax
    import jax.numpy as jnp

    leaves, structure = jax.tree_util.tree_flatten_with_path(tree)
    named = {jax.tree_util.keystr(path, simple=True, separator="/"): jnp.array(leaf) for path, leaf in leaves}
    return (lambda values: jax.tree.unflatten(structure, list(values.values()))), named


def _frozen(tree: Any) -> tuple[list[Any], Any]:
    import jax
    import jax.numpy as jnp

    leaves, structure = jax.tree.flatten(tree)
    return [jnp.array(leaf) for leaf in leaves], structure


def _other_key(leaf: Any, seed: Any) -> Any:
    import jax

    is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.fold_in(leaf, seed) if is_key and not leaf.shape else leaf


def _words(weights: Mapping[str, Any], encoder: str) -> list[str]:
    """Names of the modules that hold the encoder's weights; of all, where none is called so."""
    paths = [path.split("/") for path in weights]
    inside = [path for path in paths if path[0] == encoder] or paths
    return list(dict.fromkeys(word for path in inside for word in path))
