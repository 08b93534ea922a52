"""A model of counts whose decoder says the mean at a size factor of one, with the rows' sizes beside the condition."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np

from uncollapse import checks
from uncollapse.data.rows import Rows, as_rows, dense
from uncollapse.errors import DataError, ObjectiveError
from uncollapse.measure.covariates import Covariates
from uncollapse.measure.posterior import Posterior

__all__ = ["SizedProbe", "with_dispersion", "with_sizes"]


@dataclass(frozen=True, eq=False)
class SizedProbe:
    """A probe whose condition has one more column, the last: the row's size factor, which its decoder multiplies by."""

    probe: Any
    dispersion: Any = None

    def __getattr__(self, name: str) -> Any:
        if name in ("probe", "module") or name.startswith("__"):  # as it cannot be trained with the sizes from here
            raise AttributeError(name)
        return getattr(self.probe, name)

    def encode(self, x: np.ndarray, given: np.ndarray | None = None) -> Posterior:
        """The probe's."""
        q: Posterior = self.probe.encode(x, _without_sizes(given)[0])
        return q

    def decode(self, z: np.ndarray, given: np.ndarray | None = None) -> np.ndarray:
        """The probe's, times the sizes."""
        rest, sizes = _without_sizes(given)
        mean: np.ndarray = np.asarray(self.probe.decode(z, rest), dtype=np.float64).reshape(len(z), -1)
        return mean * sizes

    def covariates(self, given: np.ndarray) -> Covariates:
        """The last column as size factors."""
        rest, sizes = _without_sizes(given)
        return Covariates(rest, np.asarray(sizes[:, 0], dtype=np.float64))


def with_sizes(probe: Any, size_factors: Any, rows: Rows, given: Any = None) -> tuple[Any, np.ndarray]:
    """The probe of counts in proportion to size factors, and its condition with them as the last column.

    Parameters
    ----------
    probe : Probe
        Its decoder gives the mean at a size factor of one.
    size_factors : array_like of shape (n,), or "total"
        The row totals over their mean.
    rows : Rows
        The data, walked for the totals.
    given : array_like of shape (n, c) or Rows, optional

    Raises
    ------
    DataError
        Not one positive number per row.
    ObjectiveError
        A probe that has size factors of its own.

    Examples
    --------
    >>> from uncollapse.probes import CallableProbe
    >>> flat = CallableProbe(lambda x: (0 * x, 0 * x), lambda z: 0 * z + 1)
    >>> probe, given = with_sizes(flat, "total", as_rows(np.array([[1.0, 1.0], [3.0, 3.0]])))
    >>> probe.decode(np.zeros((2, 2)), given)
    array([[0.5, 0.5],
           [1.5, 1.5]])
    """
    if getattr(probe, "covariates", None) is not None:
        raise ObjectiveError(f"{probe.name}: takes its size factors from its own condition; leave them out")
    sizes = _sizes(size_factors, rows)
    n_rows = rows.n_rows or len(sizes)
    if len(sizes) != n_rows:
        raise DataError(f"{len(sizes)} size factors for {n_rows} rows of {rows.name}; give one per row")
    condition = [] if given is None else [_whole(as_rows(given, "the condition"))]
    if condition and len(condition[0]) != len(sizes):
        raise DataError(f"{len(sizes)} size factors for {len(condition[0])} rows of the condition; give one per row")
    beside = np.hstack([*condition, sizes[:, None]])
    if not hasattr(probe, "module"):
        return SizedProbe(probe, getattr(probe, "dispersion", None)), beside
    return _of_module(probe), beside


def with_dispersion(probe: Any, dispersion: Any) -> Any:
    """The probe with r of its negative binomial decoder, shape (d,) or one number; itself where it is estimated."""
    if dispersion is None or isinstance(dispersion, str):
        return probe
    r = checks.array(np.atleast_1d(np.asarray(dispersion)), "dispersion", shape=(None,), error=DataError, infinite=True)
    if not (r > 0).all():
        raise DataError(f"dispersion must be positive, got {r.min():g}")
    values = r if len(r) > 1 else r[0]
    if is_dataclass(probe) and "dispersion" in {item.name for item in fields(probe)}:
        return replace(probe, dispersion=values)  # type: ignore[type-var]
    return _Dispersed(probe, values)


@dataclass(frozen=True, eq=False)
class _Dispersed:
    """A probe, and r of its decoder."""

    probe: Any
    dispersion: Any

    def __getattr__(self, name: str) -> Any:
        if name == "probe" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.probe, name)


def _of_module(probe: Any) -> Any:
    """Differentiable, so that it can be refined and trained on."""

    def encode(module: Any, x: Any, given: Any) -> Any:
        return probe.mean_and_log_variance(module, x, _without_sizes(given)[0])

    def decode(module: Any, z: Any, given: Any) -> Any:
        rest, sizes = _without_sizes(given)
        out = probe.output(module, z, rest)
        return out * sizes.reshape(len(out), *[1] * (out.ndim - 1))

    functions: dict[str, Any] = {"mean_and_log_variance": encode, "output": decode}
    return replace(probe, **functions, covariates=SizedProbe(probe).covariates, spread=None)


def _without_sizes(given: Any) -> tuple[Any, Any]:
    """The condition itself, or None, and the sizes (n, 1)."""
    if given is None:
        raise DataError("the size factors are missing: they are the last column of the condition")
    return (given[:, :-1] if given.shape[1] > 1 else None), given[:, -1:]


def _sizes(size_factors: Any, rows: Rows) -> np.ndarray:
    if isinstance(size_factors, str):
        if size_factors != "total":
            raise DataError(f'size_factors must be one positive number per row, or "total", got {size_factors!r}')
        totals = np.concatenate([np.asarray(dense(block).sum(axis=1), dtype=np.float64) for block in rows.blocks()])
        if not (totals > 0).all():
            raise DataError(f"{rows.name}: row {int((totals <= 0).argmax())} (counted from 0) holds no counts, so its "
                            f"size factor, the row total, is 0; leave such rows out")  # fmt: skip
        return totals / totals.mean()
    sizes = checks.array(np.asarray(size_factors).reshape(-1), "size_factors", shape=(None,), error=DataError)
    if not (sizes > 0).all():
        raise DataError(f"size_factors must be one positive number per row, got {sizes.min():g} at index "
                        f"{int(sizes.argmin())}")  # fmt: skip
    return sizes


def _whole(rows: Rows) -> np.ndarray:
    return np.concatenate([np.asarray(dense(block), dtype=np.float64) for block in rows.blocks()])
