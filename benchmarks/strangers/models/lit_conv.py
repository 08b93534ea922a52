from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader


class ConvBetaVAE(pl.LightningModule):
    def __init__(self, in_channels: int, latent_dim: int, hidden_dims: list[int] | None = None, beta: float = 4.0,
                 img_size: int = 64, lr: float = 1e-3, **kwargs: Any) -> None:
        super().__init__()
        self.save_hyperparameters()
        hidden_dims = hidden_dims or [32, 64, 128]
        modules, c = [], in_channels
        for h_dim in hidden_dims:
            modules.append(nn.Sequential(nn.Conv2d(c, h_dim, kernel_size=3, stride=2, padding=1), nn.BatchNorm2d(h_dim),
                                         nn.LeakyReLU()))
            c = h_dim
        self.encoder = nn.Sequential(*modules)
        self.side = img_size // 2 ** len(hidden_dims)
        self.fc_mu = nn.Linear(c * self.side ** 2, latent_dim)
        self.fc_var = nn.Linear(c * self.side ** 2, latent_dim)
        self.decoder_input = nn.Linear(latent_dim, c * self.side ** 2)
        modules, rev = [], hidden_dims[::-1]
        for i in range(len(rev) - 1):
            modules.append(nn.Sequential(nn.ConvTranspose2d(rev[i], rev[i + 1], 3, 2, 1, output_padding=1),
                                         nn.BatchNorm2d(rev[i + 1]), nn.LeakyReLU()))
        self.decoder = nn.Sequential(*modules)
        self.final_layer = nn.Sequential(nn.ConvTranspose2d(rev[-1], in_channels, 3, 2, 1, output_padding=1), nn.Sigmoid())

    def encode(self, input):
        result = torch.flatten(self.encoder(input), start_dim=1)
        return [self.fc_mu(result), self.fc_var(result)]

    def decode(self, z):
        result = self.decoder_input(z).view(z.size(0), -1, self.side, self.side)
        return self.final_layer(self.decoder(result))

    def reparameterize(self, mu, logvar):
        return torch.randn_like(logvar) * torch.exp(0.5 * logvar) + mu

    def forward(self, input, **kwargs):
        mu, log_var = self.encode(input)
        return [self.decode(self.reparameterize(mu, log_var)), input, mu, log_var]

    def loss_function(self, *args, **kwargs) -> dict:
        recons, input, mu, log_var = args[0], args[1], args[2], args[3]
        recons_loss = F.mse_loss(recons, input, reduction="sum") / input.size(0)
        kld_loss = torch.mean(-0.5 * torch.sum(1 + log_var - mu ** 2 - log_var.exp(), dim=1), dim=0)
        return {"loss": recons_loss + self.hparams.beta * kld_loss, "Reconstruction_Loss": recons_loss, "KLD": kld_loss}

    def training_step(self, batch, batch_idx):
        losses = self.loss_function(*self.forward(batch))
        self.log_dict({k: v.item() for k, v in losses.items()})
        return losses["loss"]

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)


if __name__ == "__main__":
    pl.seed_everything(12)
    model = ConvBetaVAE(in_channels=1, latent_dim=6, hidden_dims=[8, 16], beta=200.0, img_size=32)
    trainer = pl.Trainer(max_epochs=15, accelerator="cpu", logger=False, enable_checkpointing=False,
                         enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(model, DataLoader(torch.from_numpy(np.load("data/mnist32.npy")), batch_size=64, shuffle=True))
    trainer.save_checkpoint("lit_conv.ckpt")
