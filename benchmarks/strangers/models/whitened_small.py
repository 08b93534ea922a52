"""Process-structure maps: a VAE over whitened PCA scores."""
import argparse

import numpy as np
import torch
from torch import nn


class ScoreVAE(nn.Module):
    def __init__(self, n_in, n_hidden, n_latent, kl_weight):
        super().__init__()
        self.kl_weight = kl_weight
        self.encoder_net = nn.Sequential(nn.Linear(n_in, n_hidden), nn.GELU(), nn.Linear(n_hidden, n_hidden), nn.GELU())
        self.to_mean, self.to_logvar = nn.Linear(n_hidden, n_latent), nn.Linear(n_hidden, n_latent)
        self.decoder_net = nn.Sequential(nn.Linear(n_latent, n_hidden), nn.GELU(), nn.Linear(n_hidden, n_hidden),
                                         nn.GELU(), nn.Linear(n_hidden, n_in))

    def encode(self, s):
        h = self.encoder_net(s)
        return self.to_mean(h), self.to_logvar(h)

    def decode(self, z):
        return self.decoder_net(z)

    def loss(self, s):
        mean, logvar = self.encode(s)
        s_hat = self.decode(mean + torch.exp(logvar / 2) * torch.randn_like(mean))
        kl = 0.5 * torch.sum(mean ** 2 + logvar.exp() - logvar - 1, dim=-1)
        return torch.mean(torch.sum((s_hat - s) ** 2, dim=-1) + self.kl_weight * kl)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--latents", type=int, default=6)
    parser.add_argument("--kl-weight", type=float, default=0.3)
    parser.add_argument("--epochs", type=int, default=120)
    args = parser.parse_args()
    torch.manual_seed(77)
    scores = torch.from_numpy(np.load("data/scores.npy"))
    vae = ScoreVAE(scores.shape[1], 96, args.latents, args.kl_weight)
    optimiser = torch.optim.AdamW(vae.parameters(), lr=1e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, args.epochs)
    for epoch in range(args.epochs):
        for batch in scores[torch.randperm(len(scores))].split(64):
            loss = vae.loss(batch)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        scheduler.step()
    print(epoch, float(loss))
    torch.save({"state_dict": vae.state_dict(), "args": vars(args)}, "whitened_small.pt")


if __name__ == "__main__":
    main()
