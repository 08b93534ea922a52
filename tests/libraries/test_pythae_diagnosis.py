"""pythae models that died of four causes: the command names each, and its remedy gives the number alive it promised."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

pytest.importorskip("pythae")  # the file is collected in the main environment too, where nothing of it runs

from pythae.models import BetaVAE, BetaVAEConfig
from pythae.pipelines import TrainingPipeline
from pythae.trainers import BaseTrainerConfig
from typer.testing import CliRunner

from uncollapse.commands.app import app

pytestmark = [pytest.mark.libraries, pytest.mark.filterwarnings("ignore")]

N_LATENTS = 6

MEAN_REDUCED = ["--recon", "mse", "--reduction", "mean", "--kl-weight", "0.2"]
"""F.mse_loss + 0.2 KL on 64 pixels has the water level of pythae's own loss at β = 0.2 · 64/2."""


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> tuple[Path, np.ndarray]:
    x = (load_digits().data > 7).astype(np.float32)
    path = tmp_path_factory.mktemp("digits") / "digits.npy"
    np.save(path, x)
    return path, x.reshape(-1, 1, 8, 8)


def saved(folder: Path, x: np.ndarray, beta: float, epochs: int, rate: float = 1e-3) -> Path:
    """A BetaVAE of default networks, trained and saved by pythae itself."""
    logging.getLogger("pythae").setLevel(logging.ERROR)
    torch.manual_seed(0)
    config = BetaVAEConfig(input_dim=(1, 8, 8), latent_dim=N_LATENTS, reconstruction_loss="mse", beta=beta)
    training = BaseTrainerConfig(
        output_dir=str(folder), num_epochs=epochs, learning_rate=rate, per_device_train_batch_size=128, no_cuda=True
    )
    TrainingPipeline(model=BetaVAE(config), training_config=training)(train_data=x)
    return next(folder.glob("*_training_*"))


@pytest.mark.parametrize(
    ("beta", "epochs", "rate", "said", "cause", "change"),
    [
        (8.0, 10, 1e-3, [], "objective", "kl_weight 8 →"),
        (6.4, 10, 1e-3, MEAN_REDUCED, "convention", "sum the reconstruction"),
        (0.1, 1, 1e-4, [], "slow", "train longer"),
        (0.4, 60, 1e-3, [], "healthy", None),
    ],
)
def test_the_command_names_the_cause_and_its_remedy_keeps_its_promise(
    tmp_path, digits, beta, epochs, rate, said, cause, change
):
    path, x = digits
    model = saved(tmp_path, x, beta, epochs, rate)
    answer = tmp_path / "answer.json"
    arguments = ["diagnose", str(model), str(path), "--verify", "--steps", "1200", "--json", str(answer), *said]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    found = json.loads(answer.read_text())
    assert (found["cause"], found["confidence"]) == (cause, "high")
    if change is not None:
        trial = found["trials"][0]
        assert trial["change"].startswith(change)
        assert abs(trial["alive_after"] - trial["expected_alive"]) <= 1
        assert trial["loss_after"] < trial["loss_before"]
