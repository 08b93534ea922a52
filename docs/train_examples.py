"""Train the four models of pythae that "Why did my VAE collapse?" takes apart: `python docs/train_examples.py runs`.

scikit-learn's digits, pixels divided by 16, pythae's own networks; four folders, about half a minute on one core. Needs
pythae, as `make libraries` installs it.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits

LATENTS = 8


def main(out: Path) -> None:
    """Each into a folder of its name."""
    from pythae.models import BetaVAE, BetaVAEConfig, VAEConfig

    logging.disable(logging.INFO)
    x = (load_digits().data / 16).astype("float32")
    shape = {"input_dim": (x.shape[1],), "latent_dim": LATENTS}
    train(out / "beta", lambda: BetaVAE(BetaVAEConfig(beta=4.0, **shape)), x, 100)
    train(out / "mean", lambda: mean_vae()(VAEConfig(**shape)), x, 100)
    train(out / "short", lambda: BetaVAE(BetaVAEConfig(beta=0.0859, **shape)), x, 2)
    train(out / "healthy", lambda: BetaVAE(BetaVAEConfig(beta=0.0859, **shape)), x, 100)


def mean_vae() -> Any:
    """pythae's VAE with a loss of one's own, as it is often written: `mse_loss` with its default mean, plus the KL."""
    from pythae.models import VAE

    class MeanVAE(VAE):
        def loss_function(self, recon_x: Any, x: Any, mu: Any, log_var: Any, z: Any) -> Any:
            misfit = torch.nn.functional.mse_loss(recon_x, x.reshape(len(x), -1))
            kl = -0.5 * (1 + log_var - mu.square() - log_var.exp()).sum(1).mean()
            return misfit + kl, misfit, kl

    return MeanVAE


def train(folder: Path, build: Callable[[], Any], x: np.ndarray, epochs: int) -> None:
    """Train with pythae's pipeline and keep its final model under a name that does not change."""
    from pythae.pipelines import TrainingPipeline
    from pythae.trainers import BaseTrainerConfig

    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as runs:
        config = BaseTrainerConfig(
            output_dir=runs, num_epochs=epochs, learning_rate=1e-3, per_device_train_batch_size=64, no_cuda=True, seed=0
        )
        TrainingPipeline(training_config=config, model=build())(x)
        (final,) = Path(runs).glob("*/final_model")
        folder.parent.mkdir(parents=True, exist_ok=True)
        final.rename(folder)
    print(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs"))
