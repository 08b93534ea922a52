"""Forecasts and measurements of valid input, against optimisation and formulas that share nothing with the package."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from fuzz.outcomes import Attempt
from problems import rows_with_spectrum
from uncollapse import Forecast, forecast, measure_posterior, spectrum

__all__ = ["counts_of_any_kind", "forecasts", "posteriors"]


def cheapest(strength: float, beta: float, variance: float) -> float:
    """Cost of one mode in nats: the distortion D in (0, ζ²] at the least D/2η² + (β/2) log(ζ²/D), by search."""

    def cost(log_distortion: float) -> float:
        return float(np.exp(log_distortion) / (2 * variance) + beta / 2 * (np.log(strength) - log_distortion))

    top = np.log(strength)
    best = minimize_scalar(cost, bounds=(top - 60, top), method="bounded", options={"xatol": 1e-10})
    return min(float(best.fun), cost(top))


def forecast_flaw(f: Forecast, strengths: np.ndarray, beta: float, variance: float, n_latents: int) -> str:
    """What is wrong with the forecast of these strengths, or ""."""
    paid = [cheapest(s, beta, variance) for s in strengths[:n_latents]]
    loss = sum(paid) + strengths[n_latents:].sum() / (2 * variance)
    if abs(f.loss - loss) > 1e-6 * max(1.0, abs(loss)):
        return f"loss {f.loss:.9g}, by search {loss:.9g}"
    gains = 1 - np.array(paid) / (strengths[:n_latents] / (2 * variance))
    sure = np.abs(strengths[:n_latents] / (beta * variance) - 1) > 1e-3
    alive = int((gains[sure] > 1e-9).sum())
    if not alive <= f.n_alive <= alive + int((~sure).sum()):
        return f"{f.n_alive} alive, by search {alive}"
    if f.n_alive and f.keep(f.n_alive).beta is not None:
        kept = f.keep(f.n_alive).beta
        if not (_count(f, kept * 0.999) >= f.n_alive > _count(f, kept * 1.001)):
            return f"keep({f.n_alive}) gives β {kept:.6g}, where the count does not change"
    return ""


def _count(f: Forecast, beta: float) -> int:
    return int(f.curves([beta]).n_alive[0])


@st.composite
def forecasts(draw: st.DrawFn) -> Attempt:
    """One level, widths learned: the loss, the count and the critical β."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    d = draw(st.integers(1, 5))
    strengths = np.sort(np.exp(rng.uniform(-3, 3, d)))[::-1]
    x = rows_with_spectrum(strengths, 20, d, rng)
    beta, variance = float(np.exp(rng.uniform(-3, 3))), float(np.exp(rng.uniform(-2, 2)))
    n_latents = draw(st.sampled_from([1, 2, 3, 7, 10**18]))
    prior = float(np.exp(rng.uniform(-1, 1)))
    how = {"beta": beta, "decoder_variance": variance, "n_latents": n_latents, "prior_variance": prior}
    return Attempt(
        f"forecast of strengths {strengths.tolist()} with {how}, seed {seed}",
        lambda: forecast(x, **how),
        lambda f: forecast_flaw(f, strengths, beta, variance, n_latents),
        "answer",
        draw(st.booleans()),
    )


def posterior_flaw(m: Any, mean: np.ndarray, variance: np.ndarray) -> str:
    """What is wrong with a measurement, or ""."""
    with np.errstate(all="ignore"):
        kl = 0.5 * (mean**2 + variance - 1 - np.log(variance))
    if not np.allclose(m.kl, kl.mean(0), rtol=1e-9, atol=1e-12):
        return "KL of the latents is off"
    sure = np.abs(kl.mean(0) - 0.01) > 1e-9
    if not int(((kl.mean(0) > 0.01) & sure).sum()) <= m.n_alive <= int(((kl.mean(0) > 0.01) | ~sure).sum()):
        return "the number alive is off"
    return "" if np.isclose(m.rate, kl.sum(1).mean(), rtol=1e-9, atol=1e-12) else "the rate is off"


@st.composite
def posteriors(draw: st.DrawFn) -> Attempt:
    """Means and widths of any size: the KL by its formula, or a clear error where it is infinite."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    n, k = draw(st.integers(1, 20)), draw(st.integers(1, 4))
    size = draw(st.sampled_from([0.0, 1e-200, 1e-3, 1.0, 1e3, 1e150, 1e155, 1e300]))
    spread = draw(st.sampled_from([1e-300, 1e-8, 1.0, 1e8, 1e300]))
    mean, variance = rng.standard_normal((n, k)) * size, np.exp(0.1 * rng.standard_normal((n, k))) * spread
    given = draw(st.sampled_from(["variance", "std", "log_variance"]))
    value = {"variance": variance, "std": np.sqrt(variance), "log_variance": np.log(variance)}[given]
    tame = size <= 1e3 and 1e-8 <= spread <= 1e8
    return Attempt(
        f"measure_posterior of {n} × {k} means of size {size} and {given} of variance {spread}, seed {seed}",
        lambda: measure_posterior(mean, **{given: value}),
        lambda m: posterior_flaw(m, mean, variance) if size < 1e150 else "",
        "answer" if tame else "either",
        draw(st.booleans()),
    )


LIKELIHOODS = ("bernoulli", "poisson", "negative-binomial", "categorical")


def counts_flaw(s: Any, y: np.ndarray, likelihood: str) -> str:
    """Strengths of counts without size factors, from the Pearson residuals of the text (docs/theory.md section 5)."""
    mean = y.mean(0)
    scale = {"bernoulli": mean * (1 - mean), "poisson": mean}.get(likelihood)
    if scale is None or not (scale > 0).all():
        return ""
    left = (y - mean) / np.sqrt(scale)
    exact = np.linalg.eigvalsh(left.T @ left / len(y))[::-1]
    worst = np.abs(s.strengths - exact[: s.rank]).max(initial=0.0)
    return "" if worst <= 1e-9 * exact[0] else f"strengths off by {worst / exact[0]:.2g}"


@st.composite
def counts_of_any_kind(draw: st.DrawFn) -> Attempt:
    """Tables for the likelihoods: fitting ones and unfit ones (negative, fractional, huge, empty rows and columns)."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    shape = (draw(st.integers(1, 25)), draw(st.integers(1, 5)))
    likelihood = draw(st.sampled_from(LIKELIHOODS))
    y = (rng.random(shape) < 0.4).astype(float) if likelihood == "bernoulli" else rng.poisson(3.0, shape).astype(float)
    change = draw(st.sampled_from(["none", "none", "negative", "fraction", "huge", "no column", "no rows", "nan"]))
    spot = (int(rng.integers(shape[0])), int(rng.integers(shape[1])))
    values = {"negative": -1.0, "fraction": 0.5, "huge": 1e300, "nan": np.nan}
    if change in values:
        y[spot] = values[change]
    elif change == "no column":
        y[:, spot[1]] = 0
    elif change == "no rows":
        y[: max(1, shape[0] // 2)] = 0
    how: dict[str, Any] = {"likelihood": likelihood}
    if likelihood in ("poisson", "negative-binomial"):
        how["size_factors"] = draw(st.sampled_from([None, "total", "ones"]))
        how["size_factors"] = np.ones(shape[0]) if how["size_factors"] == "ones" else how["size_factors"]
    plain = how.get("size_factors") is None
    return Attempt(
        f"{likelihood} of {y.tolist()}, {how}, seed {seed}",
        lambda: spectrum(y, **how),
        lambda s: counts_flaw(s, y, likelihood) if plain else "",
        "error" if change in ("negative", "nan") else "either",
        draw(st.booleans()),
    )
