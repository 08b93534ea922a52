"""Models of libraries, dead and brought to life: in the library's own class where that is possible."""

from __future__ import annotations

import numpy as np
import pytest

from uncollapse import Objective, load_revived, revive
from uncollapse.probes import open_probe

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.libraries


def zeroed(*layers):
    with torch.no_grad():
        for layer in layers:
            layer.weight.zero_()
            layer.bias.zero_()


def images(rng, n=900, sides=(3, 8, 8)):
    """Every 2 × 2 patch of all channels up or down together."""
    c, h, w = sides
    up = rng.standard_normal((n, 1, h // 2, w // 2))
    return (np.kron(up, np.ones((1, c, 2, 2))) + 0.1 * rng.standard_normal((n, c, h, w))).reshape(n, -1)


@pytest.mark.parametrize("kind", ["VAE", "BetaVAE"])
def test_a_pythae_model_stays_one_and_trains_on(rng, tmp_path, kind):
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, AutoModel, BetaVAE, BetaVAEConfig, VAEConfig  # noqa: F401

    torch.manual_seed(0)
    config = {"VAE": VAEConfig, "BetaVAE": BetaVAEConfig}[kind](input_dim=(6,), latent_dim=2)
    model = {"VAE": VAE, "BetaVAE": BetaVAE}[kind](config)
    zeroed(model.encoder.embedding, model.encoder.log_var)
    x = (3 * rng.standard_normal((900, 2)) @ rng.standard_normal((2, 6))).astype("float32")
    better = revive(model, x, objective=Objective(n_latents=2))
    assert (better.alive_before, better.alive_after) == (0, 2)
    better.write(tmp_path)
    own = load_revived(model, tmp_path)
    assert type(own) is type(model)
    q = open_probe(own).encode(x[:50])
    np.testing.assert_allclose(q.mean, better.probe.encode(x[:50]).mean, atol=1e-3)
    np.testing.assert_allclose(open_probe(own).decode(q.mean), better.probe.decode(q.mean), atol=1e-3)
    data = BaseDataset(data=torch.tensor(x[:128]), labels=torch.zeros(128))
    loss = own(data[:128] if isinstance(data[:1], dict) else {"data": torch.tensor(x[:128])}).loss
    loss.backward()
    paths = next(part for part in own.modules() if type(part).__name__ == "Paths")
    assert paths.directions.grad.abs().sum() > 0
    again = revive(own, x, objective=Objective(n_latents=2))
    assert again.loss_after <= better.loss_after + 3 * better.gain_error


def test_an_autoencoder_of_diffusers_stays_one(rng, tmp_path):
    import diffusers

    torch.manual_seed(0)
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=2, norm_num_groups=4, sample_size=8, layers_per_block=1,
    ).eval()  # fmt: skip
    zeroed(vae.quant_conv)
    x = images(rng)
    better = revive(vae, x, objective=Objective(n_latents=32), budget=60)
    line = better.bill.line("path")
    assert "one filter" in line.better_model
    assert better.gain > 0.9 * line.predicted > 10
    better.write(tmp_path)
    own = load_revived(vae, tmp_path)
    assert isinstance(own, diffusers.AutoencoderKL)
    pixels = torch.tensor(x[:20]).float().reshape(20, 3, 8, 8)
    with torch.no_grad():
        q = own.encode(pixels).latent_dist
        shown = own.decode(q.mode()).sample
        through = own(pixels).sample
    expected = better.probe.encode(x[:20])
    np.testing.assert_allclose(q.mean.flatten(1), expected.mean, atol=1e-3)
    np.testing.assert_allclose(shown.flatten(1), better.probe.decode(expected.mean), atol=1e-2)
    np.testing.assert_allclose(through, shown, atol=1e-4)
    assert np.square(shown.flatten(1).numpy() - x[:20]).mean() < 0.5 * np.square(x[:20]).mean()
    assert revive(own, x, objective=Objective(n_latents=32), budget=60).gain < 0.2 * better.gain


def test_a_model_of_scvi_gets_a_module_with_its_latent_representation(rng, tmp_path):
    import anndata
    import scvi

    z = rng.standard_normal((800, 2)) @ rng.standard_normal((2, 8))
    counts = rng.poisson(np.exp(0.7 * z + 1)).astype("float32")
    cells = anndata.AnnData(counts)
    scvi.settings.verbosity = 40
    scvi.model.SCVI.setup_anndata(cells)
    torch.manual_seed(0)
    model = scvi.model.SCVI(cells, n_latent=3)
    model.is_trained_ = True
    module = model.module
    zeroed(module.z_encoder.mean_encoder, module.z_encoder.var_encoder)
    from uncollapse.probes.scvi import scvi_rows

    x, given = scvi_rows(model)
    better = revive(model, x, given=given, objective=Objective(likelihood="negative-binomial", n_latents=3))
    assert better.better
    better.write(tmp_path)
    own = load_revived(model, tmp_path)
    own.eval()
    mean, _ = own.encode(torch.tensor(x[:40]).float(), torch.tensor(given[:40]).float())
    expected = better.probe.encode(x[:40], given[:40])
    np.testing.assert_allclose(mean.detach()[:, : expected.mean.shape[1]], expected.mean, atol=1e-2)
