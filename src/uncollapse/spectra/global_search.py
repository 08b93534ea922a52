"""Rows → the second threshold: from where on collapse is the best of all solutions, by a search on halves of the rows.

Constants are found on one half and judged on the other. Each step is that of an EM for a new atom beside the collapsed
one, of cost O(n·d): its weights are those of the rows that it explains better, its mean theirs. No step lowers the
level (docs/theory.md, section 11).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from uncollapse.theory.zero_rate import (
    level_of,
    log_mean_exp,
    log_ratios,
    ratio_terms,
    within_range,
)

__all__ = ["FEWEST", "N_STARTS", "Found", "Table", "held_out_search"]

FEWEST = 200
"""Rows that two halves need."""

N_MODES, N_FAR = 4, 8
N_STARTS = 2 * N_MODES + N_FAR
"""Leading modes, up and down, and rows far out."""

TILTS = (0.5, 1.0, 2.0, 3.0, 5.0)
"""Standard deviations that the rows are tilted by at a start; the best is kept."""

N_STEPS, ENOUGH = 40, 1e-3
"""Steps at most, and the relative rise of the best level under which it is not worth another."""

MOST_SHARE, N_ERRORS = 0.1, 2.0
"""Of all weight, the most that one row may have at a constant; and the standard errors that are taken off a level
before constants are compared, so that a few rows far out do not win by memorising."""

N_CURVE, N_EM = 6, 10
"""Levels between the two thresholds at which a code of two values is fitted, and steps of EM of each."""


@dataclass(frozen=True, eq=False)
class Table:
    """Rows with what their collapsed model needs.

    Attributes
    ----------
    rows : ndarray of shape (n, d)
    sizes : ndarray of shape (n, 1) or float
    likelihood : str
    dispersion : ndarray of shape (d,) or float
    """

    rows: np.ndarray
    sizes: np.ndarray | float
    likelihood: str
    dispersion: np.ndarray | float

    def part(self, chosen: np.ndarray) -> Table:
        """Some of its rows."""
        sizes = self.sizes if isinstance(self.sizes, float) else self.sizes[chosen]
        return replace(self, rows=self.rows[chosen], sizes=sizes)


@dataclass(frozen=True, eq=False)
class Found:
    """What a search found, on rows that did not help.

    Attributes
    ----------
    level, error : float
        The second threshold, and its standard error.
    gains : ndarray of shape (m, 2)
        Levels from the first threshold to the second, and what a code of two values gains over collapse there, in
        units of the level; on rows that did not choose it.
    """

    level: float
    error: float
    gains: np.ndarray


class _Half:
    """Half of the rows, about their own collapsed model."""

    def __init__(self, table: Table) -> None:
        self.table = table
        total = table.sizes if isinstance(table.sizes, float) else float(table.sizes.mean())
        self.mean = table.rows.mean(axis=0) / total
        self.centred = (table.rows - table.sizes * self.mean).astype(np.float32)  # products are most of the work

    def atoms(self, weights: np.ndarray) -> np.ndarray:
        """The constant that explains weighted rows best, (k, d), by weights (n, k) that sum to 1."""
        sizes = self.table.sizes if isinstance(self.table.sizes, float) else (self.table.sizes.T @ weights).T
        means = self.mean + (weights.T.astype(np.float32) @ self.centred) / sizes
        return within_range(self.table.likelihood, means, self.mean)

    def ratios(self, atoms: np.ndarray, about: np.ndarray | None = None) -> np.ndarray:
        """ℓ of each row, (n, k); of constants found about another mean, shifted with it."""
        terms = ratio_terms(self.table.likelihood, atoms, self.mean if about is None else about, self.table.dispersion)
        return log_ratios(self.centred, self.table.sizes, terms)


def held_out_search(table: Table, first: float, seed: int = 0) -> Found:
    """Search on each half, judge on the other; the mean of both.

    Parameters
    ----------
    table : Table
        Of 200 rows or more; columns that never change are left out.
    first : float
        The first threshold, τ_c: the level at which starts are tilted.
    seed : int
        Of the halves.
    """
    order = np.random.default_rng([seed, len(table.rows)]).permutation(len(table.rows))
    halves = [_Half(table.part(np.sort(part))) for part in np.array_split(order, 2)]
    pairs = [(chosen, judge, _search(chosen, first)) for chosen, judge in (halves, halves[::-1])]
    judged = [_level_and_error(judge.ratios(atom, chosen.mean)) for chosen, judge, atom in pairs]
    level = float(np.mean([value[0] for value, _ in judged]))
    error = float(np.hypot(*(error[0] for _, error in judged))) / 2
    levels = np.geomspace(first, max(level, first), N_CURVE)
    gains = np.mean([_two_values(chosen, judge, atom, levels) for chosen, judge, atom in pairs], axis=0)
    return Found(level, error, np.column_stack([levels, gains]))


def _search(half: _Half, first: float) -> np.ndarray:
    """The best constant, (1, d)."""
    atoms, levels = _starts(half, first)
    best = levels.max(initial=0.0)
    for _ in range(N_STEPS):
        weights = log_mean_exp(half.ratios(atoms), np.maximum(levels, first))[1]
        new = half.atoms(weights)
        new_levels = _surely(half.ratios(new), levels)
        risen = new_levels > levels
        atoms, levels = np.where(risen[:, None], new, atoms), np.where(risen, new_levels, levels)
        if levels.max() <= best * (1 + ENOUGH):
            break
        best = levels.max()
        kept = levels > best / 2  # starts that are left far behind
        atoms, levels = atoms[kept], levels[kept]
    return atoms[[int(levels.argmax())]]


def _surely(ratios: np.ndarray, at_least: np.ndarray | float = 0.0) -> np.ndarray:
    """Levels less twice their errors; 0 of constants that one row decides."""
    level, error = _level_and_error(ratios, at_least)
    most = log_mean_exp(ratios, np.where(level > 0, level, 1.0))[1].max(axis=0)
    return np.where(most <= MOST_SHARE, np.maximum(level - N_ERRORS * error, 0.0), 0.0)


def _level_and_error(ratios: np.ndarray, at_least: np.ndarray | float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Level of each constant and its standard error, (k,): that of log E exp(bℓ) over its slope in b = 1/τ."""
    level = level_of(ratios, at_least)
    weights = log_mean_exp(ratios, np.where(level > 0, level, 1.0))[1]
    slope = np.einsum("nk,nk->k", weights, ratios)
    n = len(ratios)
    error = weights.std(axis=0) * np.sqrt(n) * level**2
    return level, np.where(level > 0, error / np.where(slope > 0, slope, 1.0), 0.0)


def _starts(half: _Half, first: float) -> tuple[np.ndarray, np.ndarray]:
    """Means of the rows tilted along leading modes and towards rows far out, each by the best of several lengths."""
    spread = half.centred.std(axis=0)
    unit = half.centred / np.where(spread > 0, spread, 1.0)
    if half.table.likelihood == "gaussian":
        unit = half.centred
    directions = np.concatenate([_leading(unit, N_MODES), unit[_far(unit)]])
    along = unit @ directions.T
    along = along / np.maximum(along.std(axis=0), np.finfo(float).tiny)
    signs = np.r_[np.ones(len(directions)), -np.ones(min(N_MODES, len(directions)))]
    along = np.concatenate([along, along[:, : len(signs) - len(directions)]], axis=1) * signs
    best_atoms, best = np.empty((0, unit.shape[1])), np.zeros(0)
    for tilt in TILTS:
        weights = log_mean_exp(along, np.full(along.shape[1], 1 / tilt))[1]
        atoms = half.atoms(weights)
        levels = _surely(half.ratios(atoms))
        if not len(best):
            best_atoms, best = atoms, levels
            continue
        better = levels > best
        best_atoms, best = np.where(better[:, None], atoms, best_atoms), np.where(better, levels, best)
    return best_atoms, best


def _leading(unit: np.ndarray, k: int) -> np.ndarray:
    """About the k strongest directions, (k, d), by a few steps of subspace iteration; only starts hang on them."""
    k = min(k, *unit.shape)
    block = np.random.default_rng(0).standard_normal((unit.shape[1], k))
    for _ in range(4):
        block = np.linalg.qr(unit.T @ (unit @ block))[0]
    _, vectors = np.linalg.eigh(block.T @ (unit.T @ (unit @ block)))
    directions: np.ndarray = (block @ vectors[:, ::-1]).T
    return directions


def _far(unit: np.ndarray) -> np.ndarray:
    """Rows far out that are far from each other as well."""
    lengths = np.einsum("nd,nd->n", unit, unit)
    candidates = np.argsort(-lengths)[: 8 * N_FAR]
    chosen = [int(candidates[0])]
    for i in candidates[1:]:
        cosines = unit[chosen] @ unit[i] / np.sqrt(np.maximum(lengths[chosen] * lengths[i], np.finfo(float).tiny))
        if (cosines < 0.7).all():
            chosen.append(int(i))
        if len(chosen) == N_FAR:
            break
    return np.array(chosen)


def _two_values(half: _Half, judge: _Half, atom: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Gain of a code of two values at each level, in its units: two constants fitted by EM, from the collapsed one and
    the best other."""
    gains = []
    start = np.concatenate([within_range(half.table.likelihood, half.mean[None], half.mean), atom])
    atoms, shares = start, np.array([0.9, 0.1])
    for level in levels[::-1]:
        for _ in range(N_EM):
            log_joint = half.ratios(atoms) / level + np.log(shares)
            weights = np.exp(log_joint - np.logaddexp.reduce(log_joint, axis=1, keepdims=True))
            mass = np.maximum(weights.sum(axis=0), np.finfo(float).tiny)
            atoms, shares = half.atoms(weights / mass), np.maximum(mass / mass.sum(), np.finfo(float).tiny)
        out = np.logaddexp.reduce(judge.ratios(atoms, half.mean) / level + np.log(shares), axis=1)
        gains.append(max(float(out.mean()), 0.0))
    return np.array(gains[::-1])
