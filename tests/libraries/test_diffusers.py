"""diffusers: autoencoders of images, video and audio, built small."""

from __future__ import annotations

import numpy as np
import pytest

from uncollapse import DataError, Objective, ObjectiveError, diagnose
from uncollapse.probes import open_probe

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.libraries, pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")]


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


def made(diffusers, kind):
    torch.manual_seed(0)
    return getattr(diffusers, kind)(**SMALL[kind]).eval()


SMALL = {
    "AsymmetricAutoencoderKL": {
        "down_block_out_channels": (8, 8), "up_block_out_channels": (8, 8), "norm_num_groups": 4, "latent_channels": 2,
        "down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2, "sample_size": 8,
    },
    "AutoencoderKLTemporalDecoder": {
        "block_out_channels": (32, 32), "down_block_types": ("DownEncoderBlock2D",) * 2, "latent_channels": 2,
        "sample_size": 8,
    },
    "AutoencoderKLCogVideoX": {
        "block_out_channels": (8, 8, 8, 8), "norm_num_groups": 4, "latent_channels": 2, "layers_per_block": 1,
        "down_block_types": ("CogVideoXDownBlock3D",) * 4, "up_block_types": ("CogVideoXUpBlock3D",) * 4,
    },
    "AutoencoderKLWan": {"base_dim": 4, "z_dim": 2, "num_res_blocks": 1, "latents_mean": [0, 0], "latents_std": [1, 1]},
    "AutoencoderOobleck": {
        "encoder_hidden_size": 8, "downsampling_ratios": [2, 4], "channel_multiples": [1, 2], "decoder_channels": 8,
        "decoder_input_channels": 4, "audio_channels": 2,
    },
    "AutoencoderTiny": {"encoder_block_out_channels": (8, 8), "decoder_block_out_channels": (8, 8),
                        "num_encoder_blocks": (1, 1), "num_decoder_blocks": (1, 1)},
    "VQModel": {"block_out_channels": (8,), "norm_num_groups": 4, "num_vq_embeddings": 4},
}  # fmt: skip
SHAPES = {
    "AsymmetricAutoencoderKL": (3, 8, 8),
    "AutoencoderKLTemporalDecoder": (3, 8, 8),
    "AutoencoderKLCogVideoX": (3, 5, 16, 16),
    "AutoencoderKLWan": (3, 5, 16, 16),
    "AutoencoderOobleck": (2, 64),
}


@pytest.mark.parametrize("kind", SHAPES)
def test_autoencoders_of_images_video_and_audio_are_read(diffusers, rng, kind):
    model, shape = made(diffusers, kind), SHAPES[kind]
    x = 0.5 * rng.standard_normal((2, *shape))
    probe = open_probe(model, input_shape=shape)
    q = probe.encode(x.reshape(2, -1))
    with torch.no_grad():
        own = model.encode(torch.tensor(x).float()).latent_dist
        more = {"num_frames": 1} if kind == "AutoencoderKLTemporalDecoder" else {}
        out = model.decode(own.mean, **more).sample
    assert q.latent_shape == tuple(own.mean.shape[1:])
    assert np.allclose(q.mean, own.mean.flatten(1), atol=1e-4)
    assert np.allclose(np.log(q.variance), own.logvar.flatten(1), atol=1e-4)
    assert np.allclose(probe.decode(q.mean), out.flatten(1), atol=1e-4)


@pytest.mark.filterwarnings("ignore:8 ")
def test_a_video_model_asks_for_the_shape_that_its_data_say(diffusers, rng):
    model = made(diffusers, "AutoencoderKLWan")
    with pytest.raises(
        ObjectiveError, match=r"AutoencoderKLWan: .*say input_shape=\(channels, frames, height, width\)"
    ):
        open_probe(model)
    videos = rng.standard_normal((8, 3, 1, 16, 16)).astype("float32")
    d = diagnose(model, videos, objective=Objective(), budget=0.1)
    assert d.measurement.sums.latent_shape == (2, 1, 2, 2)


@pytest.mark.parametrize(("kind", "reason"), [("AutoencoderTiny", "gives a point"), ("VQModel", "codebook")])
def test_another_autoencoder_is_refused_with_its_reason_also_as_a_folder(diffusers, tmp_path, kind, reason):
    model = made(diffusers, kind)
    with pytest.raises(ObjectiveError, match=f"{kind}: .*{reason}"):
        open_probe(model)
    model.save_pretrained(tmp_path)
    with pytest.raises(ObjectiveError, match=f"a diffusers {kind}: .*{reason}"):
        open_probe(tmp_path)


def test_a_folder_of_video_is_opened_and_one_of_another_model_is_refused(diffusers, tmp_path, rng):
    made(diffusers, "AutoencoderKLWan").save_pretrained(tmp_path / "wan")
    probe = open_probe(tmp_path / "wan", input_shape=(3, 1, 16, 16))
    assert probe.encode(rng.standard_normal((2, 768))).latent_shape == (2, 1, 2, 2)
    (tmp_path / "config.json").write_text('{"_class_name": "UNet2DModel"}')
    with pytest.raises(ObjectiveError, match="a diffusers UNet2DModel: is no autoencoder"):
        open_probe(tmp_path)
