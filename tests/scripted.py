"""A Lightning model whose latents alive in each epoch are written down, and a training of it."""

from __future__ import annotations

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader, TensorDataset

__all__ = ["SCALES", "Scripted", "fit"]

SCALES = [3.0, 2.0, 0.3, 0.2]


class Scripted(LightningModule):
    """A living latent has the mean x, a dead one 0."""

    def __init__(self, counts: list[int], x: torch.Tensor, n_latents: int = 3) -> None:
        super().__init__()
        self.counts, self.x, self.n_latents = counts, x, n_latents
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean = x[:, : self.n_latents] * (torch.arange(self.n_latents) < self.counts[self.current_epoch])
        return mean, torch.zeros_like(mean)

    def training_step(self, batch):
        return self.weight.sum()

    def validation_step(self, batch):
        return None

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def train_dataloader(self):
        return DataLoader(TensorDataset(self.x), batch_size=len(self.x))

    def val_dataloader(self):
        return DataLoader(TensorDataset(self.x), batch_size=30)


def fit(model: LightningModule, watch: Callback, logger=False, resume=None, **settings) -> Trainer:
    """As many epochs as the model has counts."""
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    usual = {"accelerator": "cpu", "devices": 1, "max_epochs": len(model.counts), "log_every_n_steps": 1}
    trainer = Trainer(logger=logger, callbacks=[watch], **(quiet | usual | settings))
    trainer.fit(model, ckpt_path=resume)
    return trainer
