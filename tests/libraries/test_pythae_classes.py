"""pythae: every class of the library is read rightly, or refused with its reason."""

from __future__ import annotations

import math

import numpy as np
import pytest

from uncollapse import ObjectiveError, diagnose, open_probe
from uncollapse.measure.observe import observe

torch = pytest.importorskip("torch")
models = pytest.importorskip("pythae.models")
pytestmark = pytest.mark.libraries

OPTIONS = {"VAE_LinNF": {"flows": ["Planar", "Radial", "Planar"]}, "VAMP": {"number_components": 5}}
NAMED = {"Adversarial_AE", "INFOVAE_MMD", "RAE_GP", "RAE_L2", "VAE_IAF", "VAE_LinNF", "WAE_MMD"}
REFUSED = {
    "AE": "no VAE", "RAE_L2": "no VAE", "RAE_GP": "no VAE", "WAE_MMD": "no VAE", "VQVAE": "codebook",
    "SVAE": "sphere", "PoincareVAE": "hyperbolic", "HVAE": "Hamiltonian", "RHVAE": "Hamiltonian",
}  # fmt: skip
BASES = {"AutoModel", "BaseAE"}
CLASSES = [name for name in models.__all__ if not name.endswith("Config") and name not in BASES]
OWN_PRIOR = ["VAMP", "VAE_IAF", "VAE_LinNF"]


def built(kind, d=6, latents=2, recon="mse"):
    torch.manual_seed(0)
    config = getattr(models, f"{kind}_Config" if kind in NAMED else f"{kind}Config")
    shape, own = ((1, 176, 176), {}) if kind == "MSSSIM_VAE" else ((d,), {"reconstruction_loss": recon})
    own = {} if kind in ("AE", "RAE_L2", "RAE_GP", "WAE_MMD", "VQVAE", "MSSSIM_VAE") else own
    return getattr(models, kind)(config(input_dim=shape, latent_dim=latents, **own, **OPTIONS.get(kind, {})))


@pytest.mark.parametrize("kind", CLASSES)
def test_every_class_is_read_or_refused_with_its_reason(rng, kind):
    model = built(kind)
    if kind in REFUSED:
        with pytest.raises(ObjectiveError, match=f"pythae {kind}: .*{REFUSED[kind]}") as caught:
            open_probe(model)
        assert "\n" not in str(caught.value)
        return
    probe = open_probe(model)
    x = rng.uniform(size=(20, math.prod(model.model_config.input_dim))).astype("float32")
    q = probe.encode(x)
    with torch.no_grad():
        encoded = model.eval().encoder(torch.tensor(x).reshape(-1, *model.model_config.input_dim))
    assert np.allclose(q.mean, encoded.embedding, atol=1e-5)
    assert np.allclose(np.log(q.variance), encoded.log_covariance, atol=1e-5)
    assert probe.decode(q.mean).shape == x.shape
    if kind in ("VAE", "BetaVAE", *OWN_PRIOR):
        assert probe.objective.water_level == pytest.approx(model.model_config.beta if kind == "BetaVAE" else 1.0)
    else:
        assert probe.objective is None
        assert any("minimises more than reconstruction" in note for note in probe.notes)


def moved(model):
    """With weights far enough from the start that neither flow nor mixture is near N(0, I)."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "net" in name or "iaf" in name or "pseudo" in name:
                step = 0.05 if "iaf" in name else 0.3
                weight.add_(step * torch.randn(weight.shape, generator=torch.Generator().manual_seed(len(name))))
    return model.eval()


@pytest.mark.parametrize("recon", ["mse", "bce"])
@pytest.mark.parametrize("kind", OWN_PRIOR)
def test_a_sampled_kl_is_the_librarys_own_and_its_error_holds(rng, kind, recon):
    """On the same rows: the mean of many of the library's own single draws."""
    model = moved(built(kind, latents=3, recon=recon))
    x = rng.uniform(size=(400, 6)).astype("float32")
    m = observe(open_probe(model), x).measurement
    with torch.no_grad():
        own = [float(model({"data": torch.tensor(x)}).reg_loss) for _ in range(400)]
    error = np.std(own) / np.sqrt(len(own))
    sampling = m.rate_error / np.sqrt(16)  # 16 draws a row; its own error is over rows, which are the same here
    assert m.sampled
    assert abs(m.rate - np.mean(own)) < 5 * np.hypot(error, sampling) + 1e-4
    assert abs(m.rate - m.sums.kl.sum() / 400) > 0.05  # N(0, I) would have given another


@pytest.mark.parametrize("kind", OWN_PRIOR)
def test_what_is_decoded_is_what_the_library_decodes(rng, kind):
    model = moved(built(kind, latents=3))
    x = rng.uniform(size=(50, 6)).astype("float32")
    probe = open_probe(model)
    q = probe.encode(x)
    with torch.no_grad():
        z = torch.tensor(q.mean).float()
        z = model.iaf_flow.inverse(z).out if kind == "VAE_IAF" else z
        for layer in model.net if kind == "VAE_LinNF" else ():
            z = layer(z).out
        assert np.allclose(probe.decode(q.mean), model.decoder(z).reconstruction, atol=1e-5)


@pytest.mark.parametrize("kind", OWN_PRIOR)
def test_trained_models_with_a_prior_of_their_own_are_diagnosed_with_what_holds(rng, kind):
    logits = 4 * rng.standard_normal((2000, 2)) @ rng.standard_normal((2, 24))
    x = (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype("float32")
    model = built(kind, d=24, latents=4, recon="bce")
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(600):
        rows = torch.tensor(x[rng.integers(2000, size=128)])
        loss = model.train()({"data": rows}).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()
    d = diagnose(model, x)
    assert 2 <= d.measurement.n_alive <= 4
    assert d.confidence == "low"
    assert d.measurement.rate_error > 0
    assert any("the prior is not N(0, I)" in note for note in d.notes)
    assert {line.name for line in d.bill.tried}.isdisjoint({"prune", "linear", "q", "both"})
    assert any("held constant" in what for what in d.bill.untried)
    assert d.decoder.rate == pytest.approx(d.measurement.rate, rel=0.2)
