"""diffusers: AutoencoderKL."""

from __future__ import annotations

import numpy as np
import pytest

from uncollapse import DataError, ObjectiveError
from uncollapse.probes import open_probe

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.libraries


@pytest.fixture(scope="module")
def diffusers():
    import diffusers

    return diffusers


@pytest.fixture
def vae(diffusers):
    torch.manual_seed(0)
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 8), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=2, norm_num_groups=4, sample_size=8, layers_per_block=1,
    ).eval()  # fmt: skip


def test_kl_of_spatial_latents_is_the_librarys(vae, rng):
    x = rng.standard_normal((5, 3 * 8 * 8))
    probe = open_probe(vae)
    q = probe.encode(x)
    assert q.latent_shape == (2, 4, 4)
    assert q.n_latents == 32
    with torch.no_grad():
        q_own = vae.encode(torch.tensor(x).float().reshape(5, 3, 8, 8)).latent_dist
        out = vae.decode(q_own.mean).sample
    assert np.allclose(q.kl.sum(1), q_own.kl(), rtol=1e-4)
    assert np.allclose(probe.decode(q.mean), out.flatten(1), atol=1e-5)


def test_a_saved_folder_gives_the_same_and_decodes_before_it_encodes(vae, tmp_path, rng):
    vae.save_pretrained(tmp_path)
    z = rng.standard_normal((3, 2 * 4 * 4))
    probe = open_probe(tmp_path)
    probe.encode(np.zeros((1, 3 * 8 * 8)))
    with torch.no_grad():
        expected = vae.decode(torch.tensor(z).float().reshape(3, 2, 4, 4)).sample.flatten(1)
    assert np.allclose(probe.decode(z), expected, atol=1e-5)
    assert probe.objective is None
    assert any("objective" in note for note in probe.notes)


def test_images_of_another_size_need_their_shape(vae, rng):
    x = rng.standard_normal((2, 3 * 16 * 16))
    with pytest.raises(DataError, match="shape .3, 8, 8., 192 numbers each, and the data have 768 columns"):
        open_probe(vae).encode(x)
    assert open_probe(vae, input_shape=(3, 16, 16)).encode(x).latent_shape == (2, 8, 8)


def test_another_autoencoder_is_refused(diffusers):
    with pytest.raises(ObjectiveError, match="VQModel: known is AutoencoderKL"):
        open_probe(diffusers.VQModel(block_out_channels=(8,), norm_num_groups=4, num_vq_embeddings=4))
