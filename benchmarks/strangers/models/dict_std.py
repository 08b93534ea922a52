"""Encoder gives mean and standard deviation; everything travels in dictionaries."""
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F


class Encoder(nn.Module):
    def __init__(self, in_features, width, latents):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(in_features, width), nn.ELU(), nn.Linear(width, width), nn.ELU())
        self.loc = nn.Linear(width, latents)
        self.scale = nn.Linear(width, latents)

    def forward(self, x):
        h = self.layers(x)
        return {"mean": self.loc(h), "std": F.softplus(self.scale(h)) + 1e-6}


class Decoder(nn.Module):
    def __init__(self, latents, width, out_features):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(latents, width), nn.ELU(), nn.Linear(width, width), nn.ELU(),
                                    nn.Linear(width, out_features))

    def forward(self, z):
        return {"x_hat": self.layers(z)}


class DictVAE(nn.Module):
    def __init__(self, *, in_features, width, latents):
        super().__init__()
        self.encoder = Encoder(in_features, width, latents)
        self.decoder = Decoder(latents, width, in_features)

    def forward(self, x):
        q = self.encoder(x)
        z = q["mean"] + q["std"] * torch.randn_like(q["std"])
        return {**q, **self.decoder(z), "z": z}


def compute_loss(outputs, x, noise_var=0.02):
    rec = (outputs["x_hat"] - x).pow(2).sum(dim=1) / (2 * noise_var)
    kl = 0.5 * (outputs["mean"] ** 2 + outputs["std"] ** 2 - 1).sum(dim=1) - outputs["std"].log().sum(dim=1)
    return {"loss": (rec + kl).mean(), "rec": rec.mean().detach(), "kl": kl.mean().detach()}


def train(model, data, n_steps=3000, batch_size=128, lr=1e-3):
    opt = torch.optim.Adam(model.parameters(), lr=lr)
    sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, n_steps)
    for step in range(n_steps):
        x = data[torch.randint(len(data), (batch_size,))]
        losses = compute_loss(model(x), x)
        opt.zero_grad()
        losses["loss"].backward()
        opt.step()
        sched.step()
        if step % 500 == 0:
            print({k: round(v.item(), 3) for k, v in losses.items()})


torch.manual_seed(8)
curves = torch.from_numpy(np.load("data/curves.npy"))
model = DictVAE(in_features=curves.shape[1], width=96, latents=4)
train(model, curves)
torch.save(model.state_dict(), "dict_std.pth")
