"""Errata 1–5: the printed formula fails, the corrected one holds."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
import torch

from problems import Problem, full_loss, minimum, rows_with_spectrum
from uncollapse import forecast, spectrum

pytestmark = pytest.mark.filterwarnings("ignore::uncollapse.UncollapseWarning")


def loss_at(problem: Problem, decoder, encoder, encoder_std) -> float:
    zeros = [np.zeros(problem.n_latents), np.zeros(problem.x.shape[1])]
    parts = [decoder, encoder, *zeros, np.log(encoder_std), [0.0]]
    return float(full_loss(problem, torch.tensor(np.concatenate([np.ravel(part) for part in parts]))))


def test_erratum_1_an_arbitrary_rotation_of_the_latents_is_not_optimal(rng):
    """Wang & Ziyin, Theorem 2: P is a signed permutation once Σ* has unequal entries."""
    x = rows_with_spectrum(np.array([9.0, 4.0]), 40, 3, rng)
    problem = Problem(x, None, 2, 1.0, 1.0, 1.0, "learned", True)
    f = forecast(x, **problem.settings)
    w = f.weights
    turn = np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])
    swap = np.array([[0.0, -1.0], [1.0, 0.0]])
    assert loss_at(problem, w.decoder, w.encoder, w.encoder_std) == pytest.approx(f.loss)
    assert loss_at(problem, w.decoder @ turn, w.encoder @ turn, w.encoder_std) > f.loss + 0.01
    swapped = loss_at(problem, w.decoder @ swap, w.encoder @ swap, w.encoder_std[::-1].copy())
    assert swapped == pytest.approx(f.loss)


def test_erratum_1_a_latent_without_a_mode_keeps_the_prior_width(rng):
    """Wang & Ziyin, Theorem 2: σ_i = η_enc for i > d*, not 0, where the loss would be infinite."""
    x = rows_with_spectrum(np.array([9.0]), 40, 3, rng)
    problem = Problem(x, None, 2, 1.0, 1.0, 2.25, "learned", True)
    w = forecast(x, **problem.settings).weights
    assert w.encoder_std[1] == pytest.approx(1.5)
    narrow = loss_at(problem, w.decoder, w.encoder, np.array([w.encoder_std[0], 1e-6]))
    assert narrow > loss_at(problem, w.decoder, w.encoder, w.encoder_std) + 1


def test_erratum_2_the_largest_strength_goes_with_the_smallest_width(rng):
    """Wang & Ziyin, Corollary 1 pairs in the given order: ζ = 3, 2, 1, σ = 1.5, 1, .5, c = 1 gives 6.75, not 10.5."""
    zeta, sigma = np.array([3.0, 2.0, 1.0]), np.array([1.5, 1.0, 0.5])

    def uv_part(order: np.ndarray) -> float:
        return float((zeta**2 - np.maximum(zeta - sigma[order], 0) ** 2).sum())

    assert uv_part(np.arange(3)) == 10.5
    assert uv_part(np.arange(3)[::-1]) == 6.75
    x = rows_with_spectrum(zeta**2, 60, 4, rng)
    problem = Problem(x, None, 3, 1.0, 1.0, 1.0, tuple(sigma**2), True)
    f = forecast(x, **problem.settings)
    widths = 0.5 * (sigma**2 - 1 - np.log(sigma**2)).sum()
    assert f.loss == pytest.approx(6.75 / 2 + widths)
    assert minimum(problem, rng) == pytest.approx(f.loss, rel=1e-6)


def test_erratum_3_the_residual_energy_counts_in_the_learned_decoder_variance(rng):
    """Wang & Ziyin, eq. 72 and App. D take E‖y‖² for ‖Z‖², true only when y is a linear function of x."""
    x = rng.standard_normal((200, 3))
    y = x @ rng.standard_normal((3, 4)) + rng.standard_normal((200, 4))
    problem = Problem(x, y, 1, 1.0, "learned", 1.0, "learned", True)
    f = forecast(x, y, **problem.settings)
    printed = f.spectrum.strengths[f.n_alive :].sum() / (4 - f.n_alive)
    corrected = (f.spectrum.total_energy - f.spectrum.strengths[: f.n_alive].sum()) / (4 - f.n_alive)
    assert f.decoder_variance == pytest.approx(corrected)
    assert printed < 0.8 * corrected

    def loss(s: float) -> float:
        fixed = forecast(f.spectrum, n_latents=1, decoder_variance=s)
        return fixed.loss + 2 * np.log(s)

    assert loss(corrected) < loss(printed) - 1e-3
    assert minimum(problem, rng) == pytest.approx(loss(corrected), rel=1e-6)


@pytest.mark.parametrize(("strongest", "is_minimum"), [(0.9, True), (1.1, False)])
def test_erratum_4_the_origin_is_stable_iff_the_strongest_mode_is_under_water(rng, strongest, is_minimum):
    """Wang & Ziyin, eq. 118: the sentence after it has the sign reversed."""
    x = rows_with_spectrum(np.array([strongest, 0.5]), 40, 2, rng)
    problem = Problem(x, None, 1, 1.0, 1.0, 1.0, 1.0, False)

    def loss(uw: torch.Tensor) -> torch.Tensor:
        return full_loss(problem, torch.cat([uw, torch.zeros(5, dtype=torch.float64)]))

    hessian = torch.autograd.functional.hessian(loss, torch.zeros(4, dtype=torch.float64))
    smallest = float(torch.linalg.eigvalsh(hessian)[0])
    assert (smallest >= 0) is is_minimum
    assert (strongest >= 1.0) is not is_minimum  # the printed condition, ζ² ≥ σ²βη²/η_e², says the opposite
    assert (forecast(x, **problem.settings).status == "complete") is is_minimum


def test_erratum_5_the_numbers_printed_for_mnist_are_squares(mnist_dir):
    """Wang & Ziyin, sec. 5 call 5.12, 3.74, … the ζ_i; they are the ζ_i²."""
    content = gzip.decompress((mnist_dir / "train-images-idx3-ubyte.gz").read_bytes())
    x = np.frombuffer(content, np.uint8, offset=16).reshape(60000, 784)
    s = spectrum(x, scale=1 / 255)
    np.testing.assert_allclose(s.strengths[:5], [5.11678773, 3.74132848, 3.25265424, 2.84157334, 2.56707496], atol=5e-9)
    assert s.total_energy == pytest.approx(52.725, abs=5e-4)
    assert abs(np.sqrt(s.strengths[0]) - 5.12) > 2
