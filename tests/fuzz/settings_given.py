"""Every public function with one odd setting: taken where it has an obvious meaning, else refused in one line."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st

import uncollapse as u
from fuzz.outcomes import Attempt
from odd_values import HALF, NEVER_NUMBERS, TWO
from uncollapse.forecasting.intervals import bootstrap
from uncollapse.forecasting.recommend import recommend
from uncollapse.forecasting.sequential import sequential
from uncollapse.spectra.nonlinear import nonlinear_residual, nonlinear_spectrum
from uncollapse.training import Network, Training

__all__ = ["odd_settings", "plain_settings"]

WORDS = ["median", "", None, 3, True, b"sum", ["sum"], object()]
FLAGS = ["False", "no", 0, 1, 1.0, None, 16, [True], object()]
OBJECTS = ["x", 1, None, {}, object, np.ones(3), (1, 2)]
COUNTS_TOO = [2.5, -1, np.nan, "2", [2], -(10**30)]


@cache
def table() -> np.ndarray:
    """Rows that every function below can read."""
    return np.random.default_rng(0).standard_normal((40, 4)) * [3.0, 2.0, 1.0, 0.3]


@cache
def made() -> u.Forecast:
    """A forecast of them."""
    return u.forecast(table(), beta=0.5, n_latents=3)


def plain_loss(recon: np.ndarray, x: np.ndarray, mu: np.ndarray, logvar: np.ndarray) -> float:
    """A loss on arrays."""
    return float(((recon - x) ** 2).sum() + 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum())


def point() -> Any:
    """A stationary point of it."""
    return u.stationary_point(made(), (0, 1))


NUMBERS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "Objective": (u.Objective, ("beta", "decoder_variance", "prior_variance", "encoder_variance")),
    "Level": (u.Level, ("beta", "variance")),
    "LossConvention": (u.LossConvention, ("kl_weight",)),
    "forecast": (lambda **k: u.forecast(table(), **k), ("beta", "decoder_variance", "prior_variance", "scale")),
    "spectrum": (lambda **k: u.spectrum(table(), **k), ("scale",)),
    "escape_times": (lambda **k: u.escape_times(made(), **k), ("learning_rate",)),
    "linear_warmup": (lambda **k: u.linear_warmup(**{"n_steps": 10, "beta": 1.0, **k}), ("n_steps", "beta")),
    "gradient_flow": (
        lambda **k: u.gradient_flow(made(), **{"n_steps": 20, "learning_rate": 0.01, "n_points": 3, **k}),
        ("n_steps", "learning_rate"),
    ),
    "likelihood_slice": (
        lambda **k: u.likelihood_slice(made(), [0], (1, 2), **{"noise_variance": 1.0, "n_grid": 3, **k}),
        ("noise_variance",),
    ),
    "LinearVAE": (lambda **k: u.LinearVAE(2, **k).fit(table()), ("beta", "decoder_variance", "prior_variance")),
    "Training": (Training, ("learning_rate", "clip", "free_bits", "momentum")),
    "recommend": (lambda **k: recommend(made(), **k), ("kl_budget",)),
    "measure_posterior": (
        lambda **k: u.measure_posterior(np.zeros((4, 2)), std=np.ones((4, 2)), **k), ("prior_variance",)
    ),
}  # fmt: skip
COUNTS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "Objective": (u.Objective, ("n_latents",)),
    "Level": (u.Level, ("n_latents",)),
    "LossConvention": (
        lambda **k: u.LossConvention(**{"reduction": "mean", "n_features": 8, **k}),
        ("n_features", "n_latents", "batch_size"),
    ),
    "forecast": (lambda **k: u.forecast(table(), **k), ("n_latents", "n_modes")),
    "spectrum": (lambda **k: u.spectrum(table(), **k), ("n_modes", "ddof")),
    "keep": (lambda **k: made().keep(**k), ("n_alive",)),
    "certify": (lambda **k: u.certify(made(), **{"n_starts": 1, **k}), ("n_starts", "seed")),
    "bootstrap": (lambda **k: bootstrap(table(), made(), **{"n_samples": 3, **k}), ("n_samples", "seed")),
    "stationary_points": (lambda **k: u.stationary_points(made(), **k), ("limit",)),
    "loss_slice": (lambda **k: u.loss_slice(point(), **{"n_grid": 3, **k}), ("n_grid",)),
    "gradient_flow": (lambda **k: u.gradient_flow(made(), 20, 0.01, **{"n_points": 3, **k}), ("n_points",)),
    "LinearVAE": (lambda **k: u.LinearVAE(**k).fit(table()), ("n_components", "ddof")),
    "nonlinear_spectrum": (
        lambda **k: nonlinear_spectrum(table(), table()[:, :2], **{"folds": 2, **k}), ("folds", "n_components", "seed")
    ),
    "nonlinear_residual": (
        lambda **k: nonlinear_residual(table(), table()[:, :2], **{"folds": 2, **k}), ("folds", "n_components", "seed")
    ),
    "sequential": (lambda **k: sequential(table(), made(), **k), ("n_rows", "seed")),
    "Training": (Training, ("epochs", "batch_size", "seed")),
    "read_loss": (
        lambda **k: u.read_loss(plain_loss, **{"features": 6, "latents": 2, **k}), ("features", "latents", "batch_size")
    ),
    "Network": (Network, ("hidden",)),
}  # fmt: skip
SWITCHES: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "Objective": (u.Objective, ("bias",)),
    "LossConvention": (u.LossConvention, ("half", "kl_half")),
    "spectrum": (lambda **k: u.spectrum(table(), **k), ("bias", "drop_nonfinite", "paired")),
    "moments": (lambda **k: u.moments(table(), **k), ("drop_nonfinite", "paired")),
    "forecast": (lambda **k: u.forecast(table(), **k), ("bias", "drop_nonfinite")),
    "origin_hessian": (lambda **k: u.origin_hessian(made(), **k), ("whitened",)),
}
NAMES: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "Objective": (u.Objective, ("likelihood",)),
    "LossConvention": (u.LossConvention, ("recon", "reduction", "kl_reduction", "batch", "kl_batch")),
    "spectrum": (lambda **k: u.spectrum(table(), **k), ("likelihood",)),
    "forecast": (lambda **k: u.forecast(table(), **k), ("likelihood",)),
    "escape_times": (lambda **k: u.escape_times(made(), 0.01, **k), ("inputs", "width_parameter")),
    "Training": (Training, ("estimator", "optimiser")),
    "Network": (Network, ("activation",)),
}
PARTS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "forecast": (lambda **k: u.forecast(table(), **k), ("objective", "levels")),
    "certify": (u.certify, ("forecast",)),
    "stationary_points": (u.stationary_points, ("forecast",)),
    "origin_hessian": (u.origin_hessian, ("forecast",)),
    "escape_times": (lambda **k: u.escape_times(**{"learning_rate": 0.1, **k}), ("forecast",)),
    "loss_slice": (u.loss_slice, ("point",)),
    "Objective": (u.Objective, ("levels", "loss")),
    "Training": (Training, ("schedule",)),
    "curves": (lambda **k: made().curves(**k), ("betas",)),
    "open_probe": (u.open_probe, ("model",)),
    "read_loss": (lambda **k: u.read_loss(**{"features": 6, "latents": 2, **k}), ("function",)),
    "from_reading": (u.Objective.from_reading, ("reading",)),
}
MAY_BE_LEFT_OUT = {
    ("n_latents", None), ("n_modes", None), ("n_components", None), ("n_features", None), ("batch_size", None),
    ("clip", None), ("kl_budget", None), ("objective", None), ("loss", None), ("schedule", None), ("hidden", None),
}  # fmt: skip


def flat(value: Any) -> Any:
    """A result as plain values that compare."""
    if hasattr(value, "to_dict"):
        return json.dumps(value.to_dict(), allow_nan=False, sort_keys=True)
    if isinstance(value, tuple | list):
        return [flat(v) for v in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: flat(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value if isinstance(value, int | float | str | bool | None) else type(value).__name__


@st.composite
def odd_settings(draw: st.DrawFn) -> Attempt:
    """One odd value in one place."""
    doors, values = draw(
        st.sampled_from([
            (NUMBERS, NEVER_NUMBERS), (COUNTS, NEVER_NUMBERS + COUNTS_TOO), (SWITCHES, FLAGS), (NAMES, WORDS),
            (PARTS, OBJECTS),
        ])
    )  # fmt: skip
    name = draw(st.sampled_from(list(doors)))
    call, parameters = doors[name]
    parameter = draw(st.sampled_from(list(parameters)))
    value = draw(st.sampled_from(values))
    unclear = (
        value is None
        or isinstance(value, dict | set)
        or (doors is COUNTS and (isinstance(value, int) or np.ndim(value) > 0 if not _odd(value) else False))
        or (doors is PARTS and (parameter in ("betas", "levels")))
        or (name == "Network" and parameter == "hidden")
        or (name == "measure_posterior")
    )
    return Attempt(
        f"{name}({parameter}={_shown(value)})",
        lambda: call(**{parameter: value}),
        expected="either" if unclear else "error",
        strict=draw(st.booleans()),
    )


@st.composite
def plain_settings(draw: st.DrawFn) -> Attempt:
    """A half or a two of any kind: the answer is that of the plain number."""
    doors, values, plain = draw(st.sampled_from([(NUMBERS, HALF, 0.5), (COUNTS, TWO, 2)]))
    name = draw(st.sampled_from([name for name in doors if name not in ("certify", "measure_posterior")]))
    call, parameters = doors[name]
    parameter = draw(st.sampled_from(list(parameters)))
    value = draw(st.sampled_from(values))

    def given() -> Any:
        wanted = _answer(name, parameter, plain, call)
        try:
            answer = call(**{parameter: value})
        except u.UncollapseError as error:
            if wanted is None:
                raise
            return f"refused: {error}"
        return "" if wanted is None or flat(answer) == wanted else f"not what {plain} gives"

    return Attempt(f"{name}({parameter}={_shown(value)})", given, str)


_ANSWERS: dict[tuple[str, str], Any] = {}


def _answer(name: str, parameter: str, plain: Any, call: Callable[..., Any]) -> Any:
    """What the plain number gives, or None where even that is refused."""
    if (name, parameter) not in _ANSWERS:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                _ANSWERS[name, parameter] = flat(call(**{parameter: plain}))
        except u.UncollapseError:
            _ANSWERS[name, parameter] = None
    return _ANSWERS[name, parameter]


def _odd(value: Any) -> bool:
    return isinstance(value, bool | np.bool_ | float | str | bytes)


def _shown(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"[:80].replace("\n", " ")
