"""How many latents can a network use, told from the rows alone? Estimates that train no network.

Each takes rows and a water level τ and gives strengths, which `number` counts. On Gaussian data all are the linear
count (random features now and then one more). `nonlinear_strengths_record.py` compares them with networks trained to
their end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from uncollapse.spectra.sequential import held_out_predictions, leading_scores, sequential_strengths
from uncollapse.theory.earning import seen_to_earn

__all__ = ["CANDIDATES", "LATENTS", "Strengths", "number"]

LATENTS = 20
Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Strengths:
    """Strengths that an estimate sees: one spectrum, or one for each part of the data with its share."""

    spectra: tuple[Array, ...]
    shares: Array
    n_rows: int

    def kl(self, level: float) -> float:
        """Nats of a linear model with these strengths."""
        return self._mean(lambda s: 0.5 * float(np.log(np.maximum(s[:LATENTS] / level, 1)).sum()))

    def number(self, level: float, *, earning: bool) -> float:
        """The mean number that counts, over the parts."""
        return self._mean(lambda s: number(s, level, self.n_rows, earning=earning))

    def _mean(self, of: Callable[[Array], float]) -> float:
        return float(sum(share * of(s) for share, s in zip(self.shares, self.spectra, strict=True)))


def number(strengths: Array, level: float, n_rows: int, *, earning: bool) -> int:
    """How many strengths are above the level; with `earning`, how many such latents would be seen to earn."""
    counted = seen_to_earn(strengths, level, n_rows) if earning else strengths > level
    return min(int(counted.sum()), LATENTS)


def linear(x: Array, level: float) -> Strengths:
    """0: eigenvalues of the covariance."""
    y = leading_scores(x, level)
    return _one(np.linalg.eigvalsh(y.T @ y / len(y)), y)


# 1: what is left of the data once the components kept are known


def in_order(x: Array, level: float) -> Strengths:
    """1a: principal components one after the other, each less what those kept predict of it by kernel ridge."""
    y = leading_scores(x, level)
    left, kept, found = y, [], []
    for j in range(y.shape[1]):
        found.append(float((left[:, j] ** 2).mean()))
        if found[-1] > level:
            kept.append(j)
            if len(kept) == LATENTS:
                break
            left = y - held_out_predictions(y[:, kept], y)
    return _one(found, y)


def residual(x: Array, level: float) -> Strengths:
    """1b: the direction in which most is left, then again after what its score and those before predict of the rows.

    It is what `uncollapse forecast --nonlinear` shows.
    """
    return Strengths((sequential_strengths(x, level, LATENTS),), np.ones(1), len(x))


def bent_residual(x: Array, level: float) -> Strengths:
    """1c: the encoder bends as well, a score is of what is left."""
    return _residual(x, level, bent=True)


def noisy_residual(x: Array, level: float) -> Strengths:
    """1d: scores with the noise of a latent at its optimum, τ."""
    return _residual(x, level, noise=1.0)


def _residual(x: Array, level: float, *, bent: bool = False, noise: float = 0.0) -> Strengths:
    y = leading_scores(x, level)
    rng = np.random.default_rng(0)
    left, codes, found = y, np.zeros((len(y), 0)), []
    while len(found) < min(LATENTS, y.shape[1]):
        values, vectors = np.linalg.eigh(left.T @ left / len(y))
        found.append(float(values[-1]))
        if found[-1] <= level:
            break
        code = (left if bent else y) @ vectors[:, -1]
        codes = np.column_stack([codes, code + np.sqrt(noise * level) * rng.standard_normal(len(y))])
        left = y - held_out_predictions(codes, y)
    return _one(found, y)


# 2: how many directions are open at a point that is seen through noise of variance τ


def jacobian(x: Array, level: float) -> Strengths:
    """2: eigenvalues of Cov(x|y)/τ, y = x + √τ ε, by weights over the other rows; λ = ζ²/(ζ² + τ) gives ζ²."""
    y = leading_scores(x, level)
    seen = y + np.sqrt(level) * np.random.default_rng(0).standard_normal(y.shape)
    far = _distances(seen, y)
    np.fill_diagonal(far, np.inf)
    weights = np.exp(-(far - far.min(axis=1, keepdims=True)) / (2 * level))
    weights /= weights.sum(axis=1, keepdims=True)
    spectra = []
    for w in weights[::4]:
        near = w > 1e-6 * w.max()
        centred = (y[near] - w @ y) * np.sqrt(w[near])[:, None]
        ratio = np.clip(np.linalg.eigvalsh(centred.T @ centred) / level, 0, 0.999)
        spectra.append(level * ratio / (1 - ratio))
    return Strengths(tuple(spectra), np.full(len(spectra), 1 / len(spectra)), len(y))


# 3: a mixture of local Gaussian models


SIZES = (1, 8, 32)


def centres(x: Array, level: float) -> Strengths:
    """3a: eigenvalues of the covariance of the mixture's centres; of the data, where one Gaussian does as well."""
    y, (share, mean, cov) = _mixture(x, level)
    about = mean - share @ mean
    return _one(np.linalg.eigvalsh((about.T * share) @ about if len(share) > 1 else cov[0]), y)


def local(x: Array, level: float) -> Strengths:
    """3b: eigenvalues within the parts."""
    y, (share, _, cov) = _mixture(x, level)
    return Strengths(tuple(np.linalg.eigvalsh(cov)), share, len(y))


Mixture = tuple[Array, Array, Array]


def _mixture(x: Array, level: float) -> tuple[Array, Mixture]:
    """As many parts as raise the likelihood of held-out rows under noise τ by more than two standard errors."""
    y = leading_scores(x, level, 40)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(y))
    fit, rest = order[: 2 * len(y) // 3], order[2 * len(y) // 3 :]
    seen = y[rest] + np.sqrt(level) * rng.standard_normal((len(rest), y.shape[1]))
    chosen, best = 1, None
    for size in SIZES:
        found = logsumexp(_densities(seen, _fitted(y[fit], size), level), axis=1)
        if best is None or (found - best).mean() > 2 * (found - best).std() / np.sqrt(len(rest)):
            chosen, best = size, found
    return y, _fitted(y, chosen)


def _fitted(y: Array, size: int) -> Mixture:
    """Forty steps of EM from k-means; covariances drawn towards their mean by as many rows as there are columns."""
    from sklearn.cluster import KMeans

    n, d = y.shape
    belongs = np.eye(size)[KMeans(size, n_init=2, random_state=0).fit_predict(y)] if size > 1 else np.ones((n, 1))
    for _ in range(40 if size > 1 else 1):
        rows = belongs.sum(axis=0) + 1e-9
        mean = belongs.T @ y / rows[:, None]
        sums = np.array([((y - m).T * b) @ (y - m) for m, b in zip(mean, belongs.T, strict=True)])
        cov = (sums + d * sums.sum(axis=0) / n) / (rows + d)[:, None, None]
        density = _densities(y, (rows / n, mean, cov), 0.0)
        belongs = np.exp(density - logsumexp(density, axis=1, keepdims=True))
    return rows / n, mean, cov


def _densities(y: Array, mixture: Mixture, noise: float) -> Array:
    out = []
    for share, mean, cov in zip(*mixture, strict=True):
        root = np.linalg.cholesky(cov + (noise + 1e-9) * np.eye(len(cov)))
        far = (np.linalg.solve(root, (y - mean).T) ** 2).sum(axis=0)
        out.append(np.log(share) - far / 2 - np.log(np.diag(root)).sum() - len(cov) / 2 * np.log(2 * np.pi))
    return np.array(out).T


# 4: an autoencoder of random features


def random_features(x: Array, level: float, *, pool: int = 30, width: int = 120) -> Strengths:
    """4: codes chosen one by one from linear and random ReLU components, decoded by ridge on random ReLU features.

    A code's strength is by how much it lowers the squared error on held-out rows. The one is chosen that lowers it most
    with the noise of a latent of that strength: a bent code without noise can tell two things at once.
    """
    y = leading_scores(x, level)
    rng = np.random.default_rng(0)
    size = np.sqrt((y**2).mean(axis=0).sum())
    bent = np.maximum(y @ rng.standard_normal((y.shape[1], 400)) + size * rng.standard_normal(400), 0)
    bent = bent - bent.mean(axis=0)
    bent -= y @ np.linalg.lstsq(y, bent, rcond=None)[0]
    bent = bent @ np.linalg.eigh(bent.T @ bent)[1][:, ::-1][:, :pool]
    parts = np.column_stack([y[:, :pool], bent])
    parts = np.clip(parts / parts.std(axis=0), -5, 5)
    noise, order = rng.standard_normal(parts.shape), rng.permutation(len(y))
    fit, rest = order[: 2 * len(y) // 3], order[2 * len(y) // 3 :]
    maps = rng.standard_normal((LATENTS + 1, width)), 1.5 * rng.standard_normal(width)

    def error(codes: Array) -> float:
        k = codes.shape[1]
        features = np.column_stack([codes, np.maximum(codes @ maps[0][:k] / np.sqrt(k) + maps[1], 0)])
        return _ridge_error(features[fit], y[fit], features[rest], y[rest])

    now = float(((y[rest] - y[fit].mean(axis=0)) ** 2).sum(axis=1).mean())
    codes, free, found = np.zeros((len(y), 0)), list(range(parts.shape[1])), []
    while free and len(found) < LATENTS:
        gains = {j: now - error(np.column_stack([codes, parts[:, j]])) for j in free}
        found.append(max(gains.values()))
        if found[-1] <= level:
            break
        noisy = {j: parts[:, j] + np.sqrt(level / gain) * noise[:, j] for j, gain in gains.items() if gain > level}
        errors = {j: error(np.column_stack([codes, code])) for j, code in noisy.items()}
        best = min(errors, key=lambda j: errors[j])
        found[-1], now = gains[best], errors[best]
        free.remove(best)
        codes = np.column_stack([codes, noisy[best]])
    return _one(found, y)


def _ridge_error(a: Array, y: Array, b: Array, z: Array) -> float:
    """Least squared error on rows (b, z) of ridge on rows (a, y), over four penalties."""
    mean, scale = a.mean(axis=0), a.std(axis=0) + 1e-9
    a, b = (a - mean) / scale, (b - mean) / scale
    values, vectors = np.linalg.eigh(a.T @ a / len(a))
    weights, turned = vectors.T @ (a.T @ (y - y.mean(axis=0))) / len(a), b @ vectors
    left = (z - y.mean(axis=0) - turned @ (weights / (values + p)[:, None]) for p in 10.0 ** np.arange(-4, 0))
    return float(min((one**2).sum(axis=1).mean() for one in left))


# shared


def _distances(a: Array, b: Array) -> Array:
    return np.maximum((a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T, 0)


def _one(strengths: Array | list[float], y: Array) -> Strengths:
    return Strengths((np.sort(np.asarray(strengths))[::-1],), np.ones(1), len(y))


CANDIDATES: dict[str, Callable[[Array, float], Strengths]] = {
    "linear": linear,
    "components in order": in_order,
    "what is left": residual,
    "what is left, bent codes": bent_residual,
    "what is left, noisy scores": noisy_residual,
    "denoiser": jacobian,
    "centres of a mixture": centres,
    "parts of a mixture": local,
    "random features": random_features,
}
