"""Encoders and decoders that do what they should not: a diagnosis, or one line that says which of them and where."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from fuzz.outcomes import Attempt
from uncollapse import Objective, diagnose, open_probe, revive

__all__ = ["odd_models"]


def raising(error: BaseException) -> Callable[..., Any]:
    """A function that fails in its own way."""

    def fail(*_: Any) -> Any:
        raise error

    return fail


def rows() -> np.ndarray:
    """Data of two strong modes."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((40, 3)) * [2.0, 1.0, 0.3]


def in_place(x: Any) -> Any:
    """Changes what it is given."""
    x /= 255.0
    return x[:, :2], 0 * x[:, :2]


ENCODERS: dict[str, Callable[..., Any]] = {
    "plain": lambda x: (x[:, :2] / 2, 0 * x[:, :2] - 1),
    "in place": in_place,
    "raises": raising(RuntimeError("out of\nluck")),
    "raises a key": raising(KeyError("mean")),
    "exits": lambda x: sys.exit(3),
    "interrupted reading": raising(StopIteration()),
    "None": lambda x: None,
    "one array": lambda x: x[:, :2],
    "three arrays": lambda x: (x[:, :2], x[:, :2], 0 * x[:, :2]),
    "a string": lambda x: "mean",
    "strings": lambda x: ("a", "b"),
    "wrong rows": lambda x: (x[:1, :2], 0 * x[:1, :2]),
    "wrong widths": lambda x: (x[:, :2], 0 * x),
    "one dimension": lambda x: (x[:, 0], 0 * x[:, 0]),
    "complex": lambda x: (x[:, :2] * 1j, 0 * x[:, :2]),
    "integers": lambda x: (x[:, :2].astype(int), 0 * x[:, :2].astype(int)),
    "float16": lambda x: (x[:, :2].astype(np.float16), 0 * x[:, :2].astype(np.float16)),
    "lists": lambda x: (x[:, :2].tolist(), (0 * x[:, :2]).tolist()),
    "nan": lambda x: (x[:, :2] * np.nan, 0 * x[:, :2]),
    "infinite": lambda x: (x[:, :2], 0 * x[:, :2] + np.inf),
    "huge": lambda x: (x[:, :2] * 1e160, 0 * x[:, :2]),
    "objects": lambda x: (x[:, :2].astype(object), 0 * x[:, :2].astype(object)),
    "random": lambda x: (x[:, :2] + np.random.default_rng().standard_normal((len(x), 2)), 0 * x[:, :2]),
    "a dict": lambda x: {"mean": x[:, :2]},
    "a generator": lambda x: (part for part in (x[:, :2], 0 * x[:, :2])),
    "no latents": lambda x: (x[:, :0], x[:, :0]),
    "two arguments": lambda x, c: (x[:, :2], 0 * x[:, :2]),
}
DECODERS: dict[str, Callable[..., Any]] = {
    "plain": lambda z: z @ np.eye(2, 3),
    "raises": raising(ValueError("no\nreconstruction")),
    "exits": lambda z: sys.exit(0),
    "None": lambda z: None,
    "wrong width": lambda z: z,
    "wrong rows": lambda z: np.zeros((1, 3)),
    "complex": lambda z: z @ np.eye(2, 3) + 1j,
    "nan": lambda z: z @ np.eye(2, 3) * np.nan,
    "strings": lambda z: [["a"] * 3] * len(z),
    "a tuple": lambda z: (z @ np.eye(2, 3), z),
    "integers": lambda z: (z @ np.eye(2, 3)).astype(int),
    "float16": lambda z: (z @ np.eye(2, 3)).astype(np.float16),
    "in place": lambda z: np.multiply(z, 0, out=z) @ np.eye(2, 3),
    "huge": lambda z: z @ np.eye(2, 3) * 1e200,
    "constant": lambda z: np.zeros((len(z), 3)),
    "read-only": lambda z: np.broadcast_to(np.zeros(3), (len(z), 3)),
}
FINE = ("plain", "in place", "float16", "lists")


@st.composite
def odd_models(draw: st.DrawFn) -> Attempt:
    """A pair of functions, one odd at the most, and a diagnosis of it."""
    encoder, decoder = draw(
        st.one_of(
            st.tuples(st.sampled_from(list(ENCODERS)), st.just("plain")),
            st.tuples(st.just("plain"), st.sampled_from(list(DECODERS))),
        )
    )
    spread = draw(st.sampled_from(["log_variance", "variance", "std"]))
    fine = encoder in FINE and decoder in ("plain", "float16", "read-only") and spread == "log_variance"
    x = rows()
    kept = x.copy()

    reviving = draw(st.booleans())

    def call() -> Any:
        probe = open_probe((ENCODERS[encoder], DECODERS[decoder]), spread=spread)
        objective = Objective(beta=0.1, n_latents=2)
        return revive(probe, x, objective=objective) if reviving else diagnose(probe, x, objective=objective)

    def flaw(diagnosis: Any) -> str:
        if not np.array_equal(x, kept):
            return "the caller's data were changed"
        if reviving:
            return "" if diagnosis.loss_after <= diagnosis.loss_before else "worse than it was"
        return "" if diagnosis.cause and "\n" not in diagnosis.verdict else "no verdict of one line"

    what = "revive" if reviving else "diagnose"
    text = f"{what}(encoder {encoder}, decoder {decoder}, spread {spread})"
    return Attempt(text, call, flaw, "answer" if fine else "either")
