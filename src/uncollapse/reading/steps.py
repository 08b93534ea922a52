"""The training step of a module → a loss of reconstruction, x, mean and log-variance."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from uncollapse.errors import ObjectiveError

__all__ = ["loss_of_step"]

SILENT = ("log", "log_dict", "print")


def loss_of_step(module: Any) -> Callable[..., Any]:
    """The step with made-up numbers in place of what the module's `encode` and `decode` give.

    Parameters
    ----------
    module : LightningModule, or any other object with `encode`, `decode` and `training_step(batch, index)`
        Left as it was after each call.

    Raises
    ------
    ObjectiveError
        It has no `encode` or `decode` that the step could be read through.
    """
    missing = [name for name in ("encode", "decode") if not callable(getattr(module, name, None))]
    if missing:
        raise ObjectiveError(
            f"{type(module).__name__}: has a training step and no {' and no '.join(missing)}, through which it could "
            f"be read; give the loss function itself"
        )

    def step(recon: Any, x: Any, mean: Any, logvar: Any) -> Any:
        with _in_place_of(module, recon, mean, logvar):
            try:
                return module.training_step(x, 0)
            except (TypeError, ValueError):  # many loaders give pairs
                return module.training_step((x, x.new_zeros(len(x)) if hasattr(x, "new_zeros") else None), 0)

    step.__qualname__ = f"{type(module).__name__}.training_step"
    return step


@contextmanager
def _in_place_of(module: Any, recon: Any, mean: Any, logvar: Any) -> Iterator[None]:
    own = vars(module)
    before = {name: own[name] for name in ("encode", "decode", *SILENT) if name in own}
    own.update(encode=lambda *_: (mean, logvar), decode=lambda *_: recon)
    own.update({name: lambda *_, **__: None for name in SILENT if hasattr(module, name)})
    try:
        yield
    finally:
        for name in ("encode", "decode", *SILENT):
            own.pop(name, None)
        own.update(before)
