"""Make the pictures and print the measured table of docs/landscape.md. Needs Chromium."""

from __future__ import annotations

import warnings

import numpy as np
import plotly.graph_objects as go
from photograph import photograph

from uncollapse import Forecast, UncollapseWarning, forecast
from uncollapse.data.sources import open_source
from uncollapse.landscape.descent import linear_warmup
from uncollapse.landscape.escape import escape_times
from uncollapse.landscape.flow import gradient_flow
from uncollapse.landscape.pictures import flow_figure, slice_figure
from uncollapse.landscape.slices import likelihood_slice, loss_slice
from uncollapse.landscape.stationary import stationary_point
from uncollapse.showing.with_plotly import plotly_figure

RATE = 2e-3


def main() -> None:
    """Fig. 1 of Lucas et al. 2019 on the digits, the same cut of the loss, the flow with and without annealing."""
    warnings.simplefilter("ignore", UncollapseWarning)
    photograph({"ppca_slices": ppca_slices(), "loss_slices": loss_slices(), "flow": flow()})


def ppca_slices() -> go.Figure:
    """Three principal columns, two zero columns pushed along components 5 and 7, three noise levels."""
    f = forecast(open_source("digits"))
    strengths = f.spectrum.strengths
    between = float(np.sqrt(strengths[4] * strengths[6]))
    levels = (1.3 * strengths[4], between, 0.4 * strengths[6])
    slices = [likelihood_slice(f, [0, 1, 2], (4, 6), level, reach=(12.0, 12.0)) for level in levels]
    return plotly_figure(slice_figure(slices))


def loss_slices() -> go.Figure:
    """The same for the linear VAE's loss: dead latents of the point that carries modes 1–3, towards modes 5 and 7."""
    drawn, s = [], forecast(open_source("digits")).spectrum
    for level in (1.3 * s.strengths[4], np.sqrt(s.strengths[4] * s.strengths[6]), 0.4 * s.strengths[6]):
        point = stationary_point(forecast(s, decoder_variance=float(level), n_latents=5), [0, 1, 2])
        drawn.append(loss_slice(point, point.direction(3, 4), point.direction(4, 6), reach=(6.0, 6.0)))
    return plotly_figure(slice_figure(drawn))


def flow() -> go.Figure:
    """Escape of the modes of the digits, β from the start and warmed up."""
    f, n_steps = example(), 40_000
    modes = [0, 2, 4, 8, 12, 16]
    flows = {
        title: gradient_flow(f, n_steps, RATE, initial_std=0.01, beta=beta, n_points=801)
        for title, beta in (("β = 1 throughout", None), ("β from 0 to 1", linear_warmup(n_steps / 4, 1.0)))
    }
    return plotly_figure(flow_figure(flows, modes, f.modes.decoder_gain * f.modes.encoder_gain))


def example() -> Forecast:
    """The digits in [0, 1], τ = 0.04, 32 latents."""
    return forecast(open_source("digits"), scale=1 / 16, decoder_variance=0.04, n_latents=32)


def table(n_starts: int = 3, n_steps: int = 60_000) -> str:
    """Steps to the escape of some modes: foretold, and in gradient descent on all parameters from random starts."""
    f, lines = example(), []
    for inputs in ("raw", "centred"):
        foretold = escape_times(f, RATE, inputs=inputs).steps
        times = np.array(
            [descend(f, n_steps, np.random.default_rng(seed), inputs == "raw") for seed in range(n_starts)]
        )
        for k in (0, 2, 4, 8, 12, 16, 20):
            low, middle, high = np.percentile(times[:, k], [0, 50, 100], method="nearest")
            lines.append(f"| {inputs} | {k + 1} | {foretold[k]:,.0f} | {middle:,.0f} ({low:,.0f}–{high:,.0f}) |")
    return "\n".join(lines)


def descend(f: Forecast, n_steps: int, rng: np.random.Generator, raw: bool) -> np.ndarray:
    """Step from which each mode's decoder–encoder product stays above half its end, from the start of torch.nn.Linear.

    Gradients of Wang & Ziyin 2022, eq. 4, in U, W, log σ² and biases, on second moments; the decoder's bias starts at
    the mean and the encoder's at 0.
    """
    s, tau, d1 = f.spectrum, f.water_level, f.n_latents
    d, basis = s.n_features, f.spectrum.basis.decoder
    covariance, mean = basis * s.strengths @ basis.T, s.mean_input * raw
    u = rng.uniform(-1, 1, (d, d1)) / np.sqrt(d1)
    w = rng.uniform(-1, 1, (d, d1)) / np.sqrt(d)
    encoder_bias, decoder_bias, log_variance = np.zeros(d1), mean.copy(), np.zeros(d1)
    half, below = (s.strengths - tau) / s.strengths / 2, np.zeros(s.rank)
    step_size = RATE / f.decoder_variance
    for step in range(n_steps):
        if step % 20 == 0:
            product = np.einsum("dk,dj,jk->k", basis, u, w.T @ basis, optimize=True)
            below[product <= half] = step
        missed = (u @ w.T - np.eye(d)) @ covariance
        centre = mean @ w + encoder_bias
        off, variance = u @ centre + decoder_bias - mean, np.exp(log_variance)
        du = missed @ w + np.outer(off, centre) + u * variance
        pull = u.T @ off + tau * centre
        dw = missed.T @ u + tau * covariance @ w + np.outer(mean, pull)
        log_variance -= step_size * (variance * ((u**2).sum(0) + tau) - tau) / 2
        u -= step_size * du
        w -= step_size * dw
        encoder_bias -= step_size * pull
        decoder_bias -= step_size * off
    return np.where(below < n_steps - 20, below, np.inf)


if __name__ == "__main__":
    main()
    print(table())
