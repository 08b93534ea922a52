"""pythae: what the probe says against the library's own loss."""

from __future__ import annotations

import json

import numpy as np
import pytest

from uncollapse import ObjectiveError
from uncollapse.errors import SourceError
from uncollapse.probes import open_probe

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.libraries


@pytest.fixture(scope="module")
def pythae():
    import pythae.models
    import pythae.pipelines
    import pythae.trainers

    return pythae


def data(rng, n=64, d=6):
    return rng.uniform(size=(n, d)).astype("float32")


def built(pythae, kind="BetaVAE", recon="mse", beta=3.0, d=6):
    torch.manual_seed(0)
    options = {"input_dim": (d,), "latent_dim": 3, "reconstruction_loss": recon}
    if kind == "BetaVAE":
        options["beta"] = beta
    return getattr(pythae.models, kind)(getattr(pythae.models, f"{kind}Config")(**options))


@pytest.mark.parametrize("recon", ["mse", "bce"])
@pytest.mark.parametrize(("kind", "beta"), [("VAE", 1.0), ("BetaVAE", 3.0)])
def test_the_objective_is_the_loss_that_the_library_minimises(pythae, rng, kind, beta, recon):
    x = data(rng)
    model = built(pythae, kind, recon, beta)
    probe = open_probe(model)
    assert probe.objective.loss.half == (recon == "mse")
    assert probe.objective.water_level == pytest.approx(beta, rel=1e-6)
    q = probe.encode(x)
    z = q.draw(rng)
    decoded = probe.decode(z)
    own = model.loss_function(*(torch.tensor(part).float() for part in (decoded, x, q.mean, np.log(q.variance), z)))
    misfit = ((x - decoded) ** 2).sum(1) / 2 if recon == "mse" else -(
        x * np.log(decoded) + (1 - x) * np.log(1 - decoded)).sum(1)  # fmt: skip
    assert float(own[2]) == pytest.approx(q.kl.sum(1).mean(), rel=1e-5)
    assert float(own[0]) == pytest.approx(misfit.mean() + beta * q.kl.sum(1).mean(), rel=1e-5)


def test_the_probe_gives_what_the_whole_model_gives(pythae, rng):
    x = data(rng, n=2000)
    model = built(pythae)
    probe = open_probe(model)
    with torch.no_grad():
        out = model({"data": torch.tensor(x)})
    assert float(out.reg_loss) == pytest.approx(probe.encode(x).kl.sum(1).mean(), rel=1e-4)
    z = out.z.numpy()
    assert np.allclose(probe.decode(z), out.recon_x.numpy(), atol=1e-6)


def test_a_trained_folder_says_how_it_was_trained(pythae, rng, tmp_path):
    x = data(rng, n=128)
    model = built(pythae)
    config = pythae.trainers.BaseTrainerConfig(
        output_dir=str(tmp_path), num_epochs=2, learning_rate=3e-3, per_device_train_batch_size=32, no_cuda=True
    )
    pythae.pipelines.TrainingPipeline(training_config=config, model=model)(x)
    (training,) = tmp_path.iterdir()
    probe = open_probe(training)
    assert probe.trained_for.epochs == 2
    assert probe.trained_for.learning_rate == 3e-3
    assert probe.trained_for.batch_size == 32
    assert np.allclose(probe.encode(x).kl, open_probe(model).encode(x).kl, atol=1e-5)
    assert any("0.1.1" in note for note in probe.notes)


def test_a_folder_with_pickled_networks_is_refused_unless_trusted(pythae, rng, tmp_path):
    x = data(rng)
    reference = built(pythae)
    model = pythae.models.BetaVAE(reference.model_config, encoder=reference.encoder, decoder=reference.decoder)
    model.save(str(tmp_path / "model"))
    with pytest.raises(SourceError, match="encoder.pkl and decoder.pkl.*--trust"):
        open_probe(tmp_path / "model")
    probe = open_probe(tmp_path / "model", trust=True)
    assert np.allclose(probe.encode(x).kl, open_probe(reference).encode(x).kl, atol=1e-6)


def test_weights_that_hold_code_are_not_loaded(pythae, tmp_path):
    built(pythae).save(str(tmp_path))
    ran = tmp_path / "ran"
    torch.save({"model_state_dict": Touches(str(ran))}, tmp_path / "model.pt")
    with pytest.raises(SourceError, match="holds more than weights"):
        open_probe(tmp_path)
    assert not ran.exists()


def test_a_pickle_beside_a_configuration_that_denies_it_is_not_loaded(pythae, tmp_path):
    built(pythae).save(str(tmp_path))
    (tmp_path / "encoder.pkl").write_bytes(b"")
    with pytest.raises(SourceError, match="encoder.pkl"):
        open_probe(tmp_path)


class Touches:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("damage", ["{", "[]", "{}"])
def test_a_damaged_configuration_is_said_in_one_line(tmp_path, damage):
    (tmp_path / "model_config.json").write_text(damage)
    with pytest.raises(SourceError, match="no configuration of pythae") as error:
        open_probe(tmp_path)
    assert "\n" not in str(error.value)


def test_a_saved_model_without_a_gaussian_posterior_is_refused_before_anything_is_loaded(tmp_path):
    (tmp_path / "model_config.json").write_text(json.dumps({"name": "SVAEConfig"}))
    with pytest.raises(ObjectiveError, match="a pythae SVAE: its posterior lies on a sphere"):
        open_probe(tmp_path)


def test_a_model_of_another_loss_is_measured_and_its_objective_asked_for(pythae, rng):
    model = pythae.models.FactorVAE(pythae.models.FactorVAEConfig(input_dim=(6,), latent_dim=3))
    probe = open_probe(model)
    assert probe.objective is None
    assert any("say the objective" in note for note in probe.notes)
    assert probe.encode(data(rng)).kl.shape == (64, 3)


def test_a_subclass_with_a_loss_of_its_own_is_not_taken_for_its_parent(pythae):
    class Mine(pythae.models.VAE):
        def loss_function(self, recon_x, x, mu, log_var, z):
            return super().loss_function(recon_x, x, 2 * mu, log_var, z)

    assert open_probe(Mine(pythae.models.VAEConfig(input_dim=(6,), latent_dim=3))).objective is None


def test_data_of_another_width_are_refused(pythae, rng):
    with pytest.raises(Exception, match="6 numbers each, and the data have 5 columns"):
        open_probe(built(pythae)).encode(data(rng, d=5))
