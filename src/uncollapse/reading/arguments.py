"""Names of arguments → what they mean; and a call of any loss with made-up numbers in their places."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from uncollapse.errors import ObjectiveError, kind_and_line
from uncollapse.reading.parameters import Parameters
from uncollapse.reading.roles import LEARNED, SPREADS, TOTALS, plain_name, role_of, roles_of, unknown_arguments

__all__ = ["Caller", "Point"]


@dataclass(frozen=True, eq=False)
class Point:
    """Made-up numbers.

    Attributes
    ----------
    recon, x : ndarrays of shape (B, …)
    mean, log_variance : ndarrays of shape (B, K)
        Of the posterior.
    step : float
    """

    recon: np.ndarray
    x: np.ndarray
    mean: np.ndarray
    log_variance: np.ndarray
    step: float = 10**9

    def moved(self, **parts: Any) -> Point:
        """The same with other parts."""
        return replace(self, **parts)


class Caller:
    """A loss as a function of a `Point`.

    Parameters
    ----------
    function : callable
    settings : dict
        Further arguments by name.
    total : str, optional
        The key or place of the total, where the loss gives several values.
    classes : bool
        Whether x is handed over as class numbers.
    """

    def __init__(
        self, function: Callable[..., Any], settings: dict[str, Any], total: str | None, *, classes: bool = False
    ):
        self.function, self.settings, self.total, self.classes = function, settings, total, classes
        self.name = getattr(function, "__qualname__", type(function).__name__)
        self.notes: list[str] = []
        self.roles = roles_of(function, settings, self.name)
        self.parameters = Parameters(getattr(function, "__self__", function), self.roles)
        self.uses_torch = _uses_torch(function)

    @property
    def takes_z(self) -> bool:
        """Whether it asks for a sample of z."""
        return "z" in self.roles.values()

    @property
    def spread(self) -> str:
        """What it asks for beside the mean."""
        kinds = [role for role in self.roles.values() if role in SPREADS]
        return kinds[0] if kinds else "log variance"

    def settle_arguments(self, learned: tuple[str, ...], *, unread: bool) -> None:
        """Say what was taken for learned; an argument that was not is the posterior's, or one that nobody told.

        Parameters
        ----------
        learned : tuple of str
            Those that are.
        unread : bool
            Whether the misfit is none that is known, so that nothing is told of its arguments.

        Raises
        ------
        ObjectiveError
            An argument that nobody told.
        """
        for name in self.parameters.arguments:
            if name in learned:
                self.note(f"{name} is taken for learned; if it is fixed, say it (--set {name}=VALUE)")
            elif (role := role_of(name)) in SPREADS:
                self.roles[name] = str(role)
            elif not unread:
                raise unknown_arguments(self.name, [name], list(self.roles))

    def __call__(self, point: Point, seed: int = 0) -> float:
        """The loss there; where it takes z, over a pair of draws whose mean is 0 and whose variance is 1."""
        if not self.takes_z:
            return self._called(point, None, seed)
        std = np.exp(point.log_variance / 2)
        return float(np.mean([self._called(point, point.mean + sign * std, seed) for sign in (1.0, -1.0)]))

    def _called(self, point: Point, z: np.ndarray | None, seed: int) -> float:
        given = {name: self._array(value) for name, value in self._values(point, z).items()}
        settings = {name: self._setting(name, value) for name, value in self.settings.items()}
        with _seeded(seed), warnings.catch_warnings(), self.parameters.in_place(point.x.shape[1:]):
            warnings.simplefilter("ignore")  # of sizes that no user gave
            try:
                if list(self.roles) == ["*"]:
                    out = self.function(*given.values(), **settings)
                else:
                    out = self.function(**given, **settings)
            except KeyError as error:
                raise ObjectiveError(
                    f"{self.name}: its code asks for {error}, which nobody told; say it (--set NAME=VALUE)"
                ) from error
            except Exception as error:  # a user's loss raises anything
                raise ObjectiveError(f"{self.name}: fails on made-up numbers: {kind_and_line(error)}") from error
        return self._number(out)

    def _values(self, p: Point, z: np.ndarray | None) -> dict[str, Any]:
        std = np.exp(p.log_variance / 2)
        of = {
            "recon": p.recon, "x": p.x.argmax(axis=-1) if self.classes else p.x, "mean": p.mean,
            "log variance": p.log_variance, "log std": p.log_variance / 2, "std": std, "variance": std**2,
            "posterior": (p.mean, std), "z": p.mean if z is None else z, "step": p.step,
        }  # fmt: skip
        if list(self.roles) == ["*"]:
            return {role: of[role] for role in ("recon", "x", "mean", "log variance")}
        learned = self.parameters.given(p.x.shape)
        return {name: learned[name] if name in learned else of[role] for name, role in self.roles.items()}

    def _setting(self, name: str, value: Any) -> Any:
        """A number in the place of a parameter becomes a tensor, as the parameter would be."""
        stands_for_parameter = role_of(name) in (*LEARNED, *SPREADS) and isinstance(value, float | int)
        return sys.modules["torch"].tensor(float(value)) if self.uses_torch and stands_for_parameter else value

    def _array(self, value: Any) -> Any:
        if isinstance(value, float | int):
            return int(value) if value == int(value) else value
        if not self.uses_torch:
            return tuple(v.copy() for v in value) if isinstance(value, tuple) else value.copy()
        torch = sys.modules["torch"]
        if isinstance(value, tuple):
            return torch.distributions.Normal(*(torch.tensor(v) for v in value))
        return torch.tensor(value)

    def _number(self, out: Any) -> float:
        value = self._picked(out)
        if hasattr(value, "detach"):
            value = value.detach().cpu()
        try:
            array = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ObjectiveError(f"{self.name}: gives {type(out).__name__}; a number is due") from error
        if array.ndim == 1 and array.size > 1:
            self.note("gives one number a row; their mean is taken for the loss")
            return float(array.mean())
        if array.size != 1:
            raise ObjectiveError(f"{self.name}: gives an array of shape {array.shape}; one number is due")
        return float(array.reshape(()))

    def _picked(self, out: Any) -> Any:
        """The total among several values."""
        named = out._asdict() if hasattr(out, "_asdict") else out
        if isinstance(named, dict):
            keys = {plain_name(str(key)): key for key in named}
            wanted = [plain_name(self.total)] if self.total else TOTALS
            found = next((keys[name] for name in wanted if name in keys), None)
            if found is None:
                names = ", ".join(map(str, named))
                raise ObjectiveError(f"{self.name}: gives {names}; which is the total? Say it (--total NAME)")
            return named[found]
        if isinstance(out, tuple | list):
            place = int(self.total) if self.total and self.total.lstrip("-").isdigit() else _total_place(out)
            if place is None or not -len(out) <= place < len(out):
                raise ObjectiveError(
                    f"{self.name}: gives {len(out)} values; which is the total? Say its place from 0 (--total 0)"
                )
            return out[place]
        return out

    def note(self, text: str) -> None:
        """Keep what is to be said beside the reading, once."""
        if text not in self.notes:
            self.notes.append(text)


def _total_place(values: Any) -> int | None:
    """The value that is the sum of others, or the first where only one is a number."""
    try:
        numbers = [float(np.asarray(v.detach().cpu() if hasattr(v, "detach") else v)) for v in values]
    except (TypeError, ValueError):
        return 0 if len(values) else None
    for i, value in enumerate(numbers):
        others = sum(numbers) - value
        if len(numbers) > 2 and abs(value) > 0 and abs(value - others) <= 1e-6 * abs(value):
            return i
    return 0


def _uses_torch(function: Callable[..., Any]) -> bool:
    """Whether the code that it comes from has loaded PyTorch for itself."""
    if "torch" not in sys.modules or sys.modules["torch"] is None:
        return False
    plain = inspect.unwrap(getattr(function, "__func__", function))
    if not hasattr(plain, "__globals__"):
        plain = getattr(type(function), "forward", type(function).__call__)
    values = [*getattr(plain, "__globals__", {}).values()]
    names = [getattr(v, "__name__", "") or "" for v in values if inspect.ismodule(v)]
    modules = [getattr(v, "__module__", "") or "" for v in values if not inspect.ismodule(v)]
    return any(str(name).partition(".")[0] == "torch" for name in [*names, *modules])


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """The generators of NumPy and PyTorch at a seed inside, and as they were after."""
    state = np.random.get_state()  # noqa: NPY002  (the user's loss may draw from it)
    np.random.seed(seed)  # noqa: NPY002
    torch = sys.modules.get("torch")
    kept = torch.random.get_rng_state() if torch is not None else None
    if torch is not None:
        torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
        if torch is not None:
            torch.random.set_rng_state(kept)
