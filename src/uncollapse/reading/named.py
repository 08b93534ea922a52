"""``FILE:FUNCTION`` → the function."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from pathlib import Path
from typing import Any

from uncollapse.errors import SourceError, UncollapseError, kind_and_line

__all__ = ["function_named", "maker_named"]


def function_named(text: str) -> Any:
    """A function, or a class's method, of a file or an importable module. Its code is run, as an import does.

    Parameters
    ----------
    text : str
        ``my_vae.py:loss``, ``my_vae:VAE.loss_function``. Of a class, one is made without arguments if that is possible,
        and the method is bound to it.

    Raises
    ------
    SourceError
        No such file or name, or its code fails.
    """
    owner, found, name = _found(text)
    is_static = inspect.isclass(owner) and isinstance(vars(owner).get(name.rpartition(".")[2]), staticmethod)
    if inspect.isclass(owner) and inspect.isfunction(found) and not is_static:
        found = getattr(_made(owner), found.__name__)
    if inspect.isclass(found):
        found = _made(found)
    if not callable(found) and not hasattr(found, "training_step"):
        raise SourceError(f"{text}: {name!r} is no function")
    return found


def maker_named(text: str) -> Any:
    """A function or a class that makes a model, called without arguments; the errors of `function_named`."""
    _, found, name = _found(text)
    if not callable(found):
        raise SourceError(f"{text}: {name!r} is no function or class that makes a model")
    return found


def _found(text: str) -> tuple[Any, Any, str]:
    """What the name means, what it belongs to, and the name."""
    place, colon, name = text.partition(":")
    if not colon or not place or not name:
        raise SourceError(f"{text}: say FILE:FUNCTION, such as my_vae.py:loss_function")
    found: Any = _module(place, text)
    owner: Any = None
    for part in name.split("."):
        owner, found = found, getattr(found, part, None)
        if found is None:
            raise SourceError(f"{text}: {place} has no {name!r}")
    return owner, found, name


def _module(place: str, text: str) -> Any:
    path = Path(place)
    is_file = path.suffix == ".py"
    if is_file and not path.is_file():
        raise SourceError(f"{text}: no such file: {place}")
    here = str(path.parent if is_file else Path.cwd())
    sys.path.insert(0, here)
    try:
        if not is_file:
            return importlib.import_module(place)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(path.stem, module)  # dataclasses and pickles of the file look there
        spec.loader.exec_module(module)
        return module
    except UncollapseError:
        raise
    except Exception as error:  # a user's file raises anything
        raise SourceError(f"{text}: {place} cannot be imported: {kind_and_line(error)}") from error
    finally:
        sys.path.remove(here)


def _made(owner: Any) -> Any:
    """An object of the class, without its initialisation where that asks for arguments."""
    try:
        return owner()
    except Exception:  # whatever it asks for
        try:
            bare = object.__new__(owner)
            if hasattr(owner, "register_buffer"):  # a module of PyTorch finds its attributes in these
                bare.__dict__.update(_parameters={}, _buffers={}, _modules={}, training=True)
            return bare
        except TypeError as error:
            raise SourceError(f"{owner.__name__}: cannot be made without arguments: {kind_and_line(error)}") from error
