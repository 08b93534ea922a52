"""1-D convolutional VAE for SAXS profiles."""
import numpy as np
import torch
from torch import nn


class Profile1DVAE(nn.Module):
    def __init__(self, length=256, channels=(16, 32), n_z=10):
        super().__init__()
        c1, c2 = channels
        self.length = length
        self.features = nn.Sequential(nn.Conv1d(1, c1, 5, stride=2, padding=2), nn.SiLU(),
                                      nn.Conv1d(c1, c2, 5, stride=2, padding=2), nn.SiLU(), nn.Flatten())
        self.mean_head = nn.Linear(c2 * (length // 4), n_z)
        self.log_sigma_head = nn.Linear(c2 * (length // 4), n_z)
        self.generator = nn.Sequential(nn.Linear(n_z, 100), nn.SiLU(), nn.Linear(100, length))

    def inference(self, profile):
        h = self.features(profile.unsqueeze(1))
        return self.mean_head(h), self.log_sigma_head(h)

    def forward(self, profile):
        mean, log_sigma = self.inference(profile)
        z = mean + torch.exp(log_sigma) * torch.randn_like(mean)
        return {"reconstruction": self.generator(z), "latent": {"mean": mean, "log_sigma": log_sigma, "z": z}}


def vae_objective(model, profiles, noise=0.2):
    out = model(profiles)
    q = out["latent"]
    misfit = 0.5 * ((out["reconstruction"] - profiles) / noise).pow(2).sum(-1)
    divergence = 0.5 * (q["mean"].pow(2) + (2 * q["log_sigma"]).exp() - 1 - 2 * q["log_sigma"]).sum(-1)
    return (misfit + divergence).mean()


def train():
    torch.manual_seed(6)
    profiles = torch.from_numpy(np.load("data/curves.npy"))
    net = Profile1DVAE(length=profiles.shape[1], channels=(8, 8), n_z=4)
    optimiser = torch.optim.Adam(net.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimiser, 0.96)
    for epoch in range(60):
        for batch in profiles[torch.randperm(len(profiles))].split(100):
            loss = vae_objective(net, batch)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        schedule.step()
        print(epoch, float(loss))
    torch.save({"net": net.state_dict()}, "conv1d_curves.pt")


train()
