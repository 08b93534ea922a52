"""Objectives and losses: water levels of losses as people write them, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from seeds import SEED
from uncollapse import LossConvention, Objective, ObjectiveError, UncollapseWarning, forecast

REDUCTIONS = st.sampled_from(["sum", "mean"])


def written_loss(c: LossConvention, x, x_hat, mu, log_var) -> torch.Tensor:
    """The loss as a training script computes it on one batch."""
    if c.recon == "bce":
        recon = torch.nn.functional.binary_cross_entropy(x_hat, x, reduction="none")
    else:
        recon = (x_hat - x) ** 2 * (0.5 if c.half else 1.0)
    recon = getattr(getattr(recon, c.reduction)(dim=1), c.batch)()
    kl = -(0.5 if c.kl_half else 1.0) * (1 + log_var - mu**2 - log_var.exp())
    kl = getattr(getattr(kl, c.kl_reduction)(dim=1), c.kl_batch)()
    return recon + c.kl_weight * kl


@seed(SEED)
@settings(max_examples=60, deadline=None, database=None)
@given(
    recon=st.sampled_from(["mse", "bce"]),
    reduction=REDUCTIONS,
    half=st.booleans(),
    kl_reduction=REDUCTIONS,
    kl_half=st.booleans(),
    batch=REDUCTIONS,
    kl_batch=REDUCTIONS,
    weight=st.floats(1e-3, 1e3),
    data_seed=st.integers(0, 2**32 - 1),
)
def test_any_written_loss_is_proportional_to_its_objective(
    recon, reduction, half, kl_reduction, kl_half, batch, kl_batch, weight, data_seed
):
    """Two points of parameter space fix the ratio of the gradients' parts: only then is the water level right."""
    torch.manual_seed(data_seed % 2**31)
    size, d, k = 6, 5, 3
    c = LossConvention(
        recon, reduction, half and recon == "mse", weight, kl_reduction, kl_half, batch, kl_batch, size, d, k
    )
    x = torch.rand(size, d, dtype=torch.float64)
    losses, canonical = [], []
    for _ in range(3):
        x_hat = torch.rand(size, d, dtype=torch.float64) * 0.8 + 0.1
        mu, log_var = torch.randn(2, size, k, dtype=torch.float64)
        losses.append(written_loss(c, x, x_hat, mu, log_var))
        kl = 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(1).mean()
        if recon == "bce":
            rec = torch.nn.functional.binary_cross_entropy(x_hat, x, reduction="none").sum(1).mean()
        else:
            rec = ((x_hat - x) ** 2).sum(1).mean() / 2
        canonical.append(rec + c.water_level * kl)
    ratios = np.array([float(a / b) for a, b in zip(losses, canonical, strict=True)])
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-9)


@pytest.mark.parametrize(
    ("written", "level"),
    [
        ({"reduction": "mean", "n_features": 784}, 392.0),  # F.mse_loss default, KL summed
        ({"half": True}, 1.0),  # pythae 0.1.2
        ({}, 0.5),  # pythae ≤ 0.1.1
        ({"reduction": "mean", "kl_weight": 0.00025, "n_features": 3 * 64 * 64}, 1.536),  # PyTorch-VAE
        ({"kl_weight": 1e-6}, 5e-7),  # latent diffusion, pixel part
        (
            {"reduction": "mean", "kl_batch": "sum", "batch_size": 128, "n_features": 784},
            128 * 392.0,
        ),  # sigma-VAE's mse_vae
        ({"recon": "bce"}, 1.0),  # pytorch/examples
    ],
)
def test_losses_of_known_libraries(written, level):
    assert Objective.from_loss(**written).water_level == pytest.approx(level)


def test_advice_comes_in_the_users_own_words(rng):
    x = rng.standard_normal((100, 20)) * np.geomspace(3, 0.1, 20)
    loss = {"reduction": "mean", "n_features": 20, "n_latents": 4}
    f = forecast(x, objective=Objective.from_loss("mse", **loss))
    assert f.status == "complete"
    weight = f.keep(3).kl_weight
    below = Objective.from_loss("mse", kl_weight=weight * 0.999, **loss)
    above = Objective.from_loss("mse", kl_weight=weight * 1.001, **loss)
    assert (forecast(x, objective=below).n_alive, forecast(x, objective=above).n_alive) == (3, 2)
    assert LossConvention(reduction="mean", n_features=784).advice(1.0) == "set kl_weight to 0.00255"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"beta": 0}, "beta must be a positive number, got 0"),
        ({"beta": float("nan")}, "beta"),
        ({"decoder_variance": -1.0}, 'decoder_variance must be a positive number or "learned"'),
        ({"decoder_variance": "fixed"}, "decoder_variance"),
        ({"prior_variance": 0.0}, "prior_variance"),
        ({"encoder_variance": (0.5, -1.0)}, "encoder_variance"),
        ({"encoder_variance": (0.5, 1.0), "n_latents": 3}, "2 values for 3 latents"),
        ({"n_latents": 0}, "n_latents must be a whole number"),
        ({"n_latents": 2.5}, "n_latents"),
        ({"beta": True}, "beta"),
        ({"likelihood": "bernoulli", "decoder_variance": 0.1}, "no variance of its own"),
        ({"gamma": 1.0}, "not a field of an objective: 'gamma'"),
    ],
)
def test_unfit_objectives_are_refused_in_one_line(fields, message):
    with pytest.raises(ObjectiveError, match=message) as caught:
        forecast(np.eye(3), **fields)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"recon": "mae"}, "recon must be one of mse, bce, got 'mae'"),
        ({"reduction": "none"}, "reduction must be one of sum, mean"),
        ({"reduction": "mean"}, "needs n_features"),
        ({"kl_reduction": "mean"}, "needs n_latents"),
        ({"kl_batch": "sum"}, "needs batch_size"),
        ({"kl_weight": 0.0}, "kl_weight must be"),
        ({"recon": "bce", "half": True}, "half belongs to"),
        ({"kl_batch": "sum", "batch_size": 0}, "batch_size must be a whole number from 1 on, got 0"),
        ({"weight": 1.0}, "not a setting of a loss"),
    ],
)
def test_unfit_losses_are_refused(written, message):
    with pytest.raises(ObjectiveError, match=message):
        Objective.from_loss(**written)


@pytest.mark.filterwarnings("ignore::uncollapse.UncollapseWarning")
def test_an_objective_must_match_its_spectrum(rng):
    from uncollapse import spectrum

    s = spectrum(rng.standard_normal((20, 3)))
    with pytest.raises(ObjectiveError, match="bias=False"):
        forecast(s, bias=False)
    with pytest.raises(ObjectiveError, match="bernoulli"):
        forecast(s, objective=Objective.from_loss("bce"))
    with pytest.raises(ObjectiveError, match="not both"):
        forecast(s, objective=Objective(), beta=2.0)
    with pytest.raises(ObjectiveError, match="cannot keep 4"):
        forecast(s).keep(4)
    with pytest.raises(ObjectiveError, match="depends on the data"):
        _ = Objective(decoder_variance="learned").water_level
    with pytest.raises(ObjectiveError, match="positive numbers"):
        forecast(s).curves([-1.0])
    with pytest.raises(ObjectiveError, match="no optimal weights exist"):
        _ = forecast(s, decoder_variance="learned").weights
    binary = (rng.random((50, 3)) < 0.5).astype(float)
    with pytest.raises(ObjectiveError, match="no closed-form weights"):
        _ = forecast(binary, likelihood="bernoulli").weights


def test_more_latents_than_modes_are_warned_about(rng):
    with pytest.warns(UncollapseWarning, match="7 of them can never live"):
        f = forecast(rng.standard_normal((50, 3)), n_latents=10, beta=0.01)
    assert (f.n_alive, f.status, f.n_latents) == (3, "alive", 10)
    assert f.weights.encoder_std.shape == (10,)


def test_only_leading_modes_known_is_said(rng):
    with pytest.warns(UncollapseWarning, match="only the 3 strongest modes"):
        f = forecast(rng.standard_normal((50, 10)), n_modes=3)
    assert f.n_latents == 3
    assert not f.to_dict()["modes_complete"]


def test_the_start_of_bernoulli_collapse_is_exact(rng):
    """Full objective of a linear VAE with sigmoid outputs near the collapsed point: stable iff β ≥ critical β."""
    x = torch.tensor((rng.standard_normal((400, 2)) @ rng.standard_normal((2, 6)) + 0.3 > 0).astype(float))
    f = forecast(x.numpy(), objective=Objective.from_loss("bce"))
    p = x.mean(0)
    bias = torch.log(p / (1 - p))
    nodes, node_weights = np.polynomial.hermite_e.hermegauss(30)
    nodes, node_weights = torch.tensor(nodes), torch.tensor(node_weights / node_weights.sum())

    def loss(parameters: torch.Tensor, beta: float) -> torch.Tensor:
        u, w, width = parameters[:6], parameters[6:12], torch.exp(parameters[12])
        mean = (x - p) @ w
        z = mean[:, None] + width * nodes
        logits = z[..., None] * u + bias
        cross = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, x[:, None].expand_as(logits), reduction="none"
        )
        kl = 0.5 * ((mean**2).mean() + width**2 - 1 - 2 * torch.log(width))
        return (cross.sum(-1) @ node_weights).mean() + beta * kl

    origin = torch.zeros(13, dtype=torch.float64)
    assert float(loss(origin, 1.0)) == pytest.approx(f.spectrum.collapsed_loss)
    for factor, stable in ((1.02, True), (0.98, False)):
        hessian = torch.autograd.functional.hessian(lambda q, b=factor * f.critical_beta: loss(q, b), origin)
        assert (float(torch.linalg.eigvalsh(hessian)[0]) > -1e-9) is stable
