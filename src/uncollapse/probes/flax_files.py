"""Weights of a Flax model in a file (msgpack) or a folder (Orbax), and the model that they belong to → its probe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from uncollapse import checks
from uncollapse.errors import ObjectiveError, SourceError, kind_and_line
from uncollapse.measure.protocol import RAISED, Spread
from uncollapse.probes.flax import TRAINED, flax_probe

__all__ = ["ORBAX", "flax_weights", "is_orbax"]

ORBAX = ("_METADATA", "_CHECKPOINT_METADATA", "manifest.ocdbt")
"""Files that show a folder to be a checkpoint of Orbax."""

ITEMS = ("default", "state", "params", "model", "train_state")
"""What checkpoints call the part that holds the weights."""

NOT_WEIGHTS = ("opt_state", "step", "tx", "apply_fn", "rng", "key")
"""What a `TrainState` holds beside variables."""


def flax_weights(
    path: str | Path,
    make: Callable[[], Any] | None,
    *,
    spread: Spread | None = None,
    input_shape: tuple[int, ...] | None = None,
    rows: np.ndarray | None = None,
    outputs: tuple[int, int] | None = None,
) -> Any:
    """Probe of a Flax model with the weights of a file or folder. Nothing in them is run.

    Parameters
    ----------
    path : path
        Of `flax.serialization` (msgpack), or a folder of Orbax: a checkpoint, or the folder of a manager, whose last
        step is read.
    make : callable of no arguments
        Gives the Linen or NNX module.
    spread, input_shape, rows, outputs
        As in `open_probe`.

    Raises
    ------
    SourceError
        Not there, damaged, of another model, or without `make`.
    """
    path = Path(path)
    if make is None:
        raise SourceError(f"{path}: holds weights and no model; say FILE:FUNCTION that makes the module of Flax")
    try:
        from flax import linen, nnx
    except ImportError:
        raise SourceError(f"{path}: are weights of Flax, which is not installed: pip install flax") from None
    tree = _orbax(path) if path.is_dir() else _msgpack(path)
    try:
        module = make()
    except RAISED as error:  # a user's function raises anything
        raise SourceError(f"{path}: the function that makes its model failed: {kind_and_line(error)}") from error
    how: dict[str, Any] = {"spread": spread, "input_shape": input_shape, "rows": rows, "outputs": outputs}
    if isinstance(module, nnx.Module):
        return flax_probe(_filled(module, tree, path), **how)
    if not isinstance(module, linen.Module):
        raise ObjectiveError(f"{path}: the function that makes its model gave {checks.shown(module)}; a module of Flax "
                             f"is due")  # fmt: skip
    inner = _part(tree, lambda part: TRAINED in part)
    variables = {name: values for name, values in inner.items() if name not in NOT_WEIGHTS}
    if TRAINED in variables and TRAINED in variables[TRAINED]:
        variables = variables[TRAINED]
    return flax_probe((module, variables), **how)


def is_orbax(folder: Path) -> bool:
    """Whether a folder is a checkpoint of Orbax, or holds such by their step."""
    return any((part / name).is_file() for part in _places(folder) for name in ORBAX)


def _places(folder: Path) -> list[Path]:
    """The folder and, where it holds steps, the last of them; with the parts in it."""
    steps = sorted((int(p.name), p) for p in folder.iterdir() if p.is_dir() and p.name.isdecimal())
    step = steps[-1][1] if steps else folder
    return [step / item for item in ITEMS] + [step]


def _orbax(folder: Path) -> Mapping[str, Any]:
    try:
        import orbax.checkpoint as ocp
    except ImportError:
        raise SourceError(
            f"{folder}: is written by Orbax, which is not installed: pip install orbax-checkpoint"
        ) from None
    place = next((p for p in _places(folder) if any((p / name).is_file() for name in ORBAX)), folder)
    try:
        with ocp.StandardCheckpointer() as checkpointer:
            tree = checkpointer.restore(place.resolve())
    except RAISED as error:  # the library raises anything
        raise SourceError(f"{folder}: Orbax cannot read it: {kind_and_line(error)}") from error
    return _mapping(tree, folder)


def _msgpack(path: Path) -> Mapping[str, Any]:
    from flax import serialization

    try:
        content = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from None
    try:
        tree = serialization.msgpack_restore(content)
    except RAISED as error:  # whatever damaged bytes do to it
        raise SourceError(f"{path}: is no file of flax.serialization, or damaged: {kind_and_line(error)}") from error
    return _mapping(tree, path)


def _mapping(tree: Any, path: Path) -> Mapping[str, Any]:
    if not isinstance(tree, Mapping) or not tree:
        raise SourceError(f"{path}: holds {checks.shown(tree)}; a tree of weights is due")
    return tree


def _part(tree: Mapping[str, Any], fits: Callable[[Mapping[str, Any]], bool]) -> Mapping[str, Any]:
    """The tree, or the part of it that holds the weights."""
    inner = [tree[name] for name in ITEMS if name in tree and isinstance(tree[name], Mapping)]
    return next((part for part in (tree, *inner) if fits(part)), tree)


def _filled(module: Any, tree: Mapping[str, Any], path: Path) -> Any:
    """An NNX module with the weights, all of them and of its shapes."""
    import jax
    from flax import nnx

    state = nnx.state(module, (nnx.Param, nnx.BatchStat))
    own = nnx.to_pure_dict(state)
    wanted, structure = jax.tree_util.tree_flatten_with_path(own)
    first = _name(wanted[0][0])
    part = _part(tree, lambda part: first in _named(part))
    found = _named(part)
    names = [_name(place) for place, _ in wanted]
    missing = [name for name in names if name not in found]
    if missing:
        raise SourceError(f"{path}: holds no weights {missing[0]}"
                          f"{f' and {len(missing) - 1} more' if len(missing) > 1 else ''} of {type(module).__name__}; "
                          f"is it of this model?")  # fmt: skip
    for name, (_, leaf) in zip(names, wanted, strict=True):
        if np.shape(found[name]) != np.shape(leaf):
            raise SourceError(f"{path}: {name} has shape {np.shape(found[name])}, and {type(module).__name__} has "
                              f"{np.shape(leaf)} there")  # fmt: skip
    nnx.replace_by_pure_dict(state, jax.tree.unflatten(structure, [found[name] for name in names]))
    nnx.update(module, state)
    return module


def _name(place: Any) -> str:
    import jax

    return str(jax.tree_util.keystr(place, simple=True, separator="/"))


def _named(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Arrays by their place; Orbax writes those of NNX each as the "value" of its variable."""
    import jax

    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {_name(place).removesuffix("/value"): leaf for place, leaf in leaves}
