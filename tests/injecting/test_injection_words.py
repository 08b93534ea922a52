"""The sentences about a latent that is added to a decoder."""

from __future__ import annotations

import numpy as np
import pytest

from uncollapse.injecting.result import InjectionSpectrum


def spectrum(worth, error, n=1, beta=1.0):
    """n directions far above β = 1, the rest far below."""
    at = np.append(np.full(n, 2.5), np.full(4 - n, 0.2))
    errors = np.full(4, 0.1)
    return InjectionSpectrum(
        decoder="it", place="inject", width=4, beta=beta, n_latents=None, strengths=at, directions=np.eye(4),
        held_out=at, errors=errors, by_curvature=np.ones(4, bool), fisher=at, fisher_errors=errors, told=None,
        measured_worth=worth, measured_error=error, offset_gain=0.0, nats=20.0, n_samples=100, n_steps=2000,
    )  # fmt: skip


@pytest.mark.parametrize("worth", [-0.3, 0.0, 0.015])
def test_a_gain_within_its_error_is_no_gain_and_no_latent_is_called_stuck(worth):
    s = spectrum(worth, 0.01)
    assert "so one can live at β = 1. No gain beyond its error was measured: " in s.headline
    text = " ".join(s.card().lines)
    assert "need not be stuck" in text
    assert "is stuck" not in text


@pytest.mark.parametrize(
    ("n", "says"), [(1, "one can live at β = 1, and gains"), (2, "up to 2 can live at β = 1, and gain")]
)
def test_a_gain_beyond_its_error_is_said_of_as_many_as_can_live(n, says):
    s = spectrum(0.3, 0.01, n=n)
    assert f"so {says} at least 0.3 ± 0.01 of 20 nats a sample." in s.headline
    assert "a dead latent here is stuck" in " ".join(s.card().lines)
