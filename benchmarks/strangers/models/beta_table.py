"""beta-VAE for tabular data, columns standardised."""
import numpy as np
import torch
from torch import nn


class Block(nn.Sequential):
    def __init__(self, i, o):
        super().__init__(nn.Linear(i, o), nn.LayerNorm(o), nn.SiLU())


class TabularVAE(nn.Module):
    def __init__(self, n_columns, widths, n_latents):
        super().__init__()
        sizes = [n_columns, *widths]
        self.enc = nn.Sequential(*[Block(a, b) for a, b in zip(sizes, sizes[1:])], nn.Linear(sizes[-1], 2 * n_latents))
        sizes = [n_latents, *reversed(widths)]
        self.dec = nn.Sequential(*[Block(a, b) for a, b in zip(sizes, sizes[1:])], nn.Linear(sizes[-1], n_columns))

    def encode(self, x):
        mean, log_var = self.enc(x).chunk(2, dim=-1)
        return mean, log_var

    def decode(self, z):
        return self.dec(z)

    def forward(self, x):
        mean, log_var = self.encode(x)
        z = torch.distributions.Normal(mean, (0.5 * log_var).exp()).rsample()
        return self.decode(z), mean, log_var


def criterion(x_hat, x, mean, log_var, beta=400.0):
    rec = nn.functional.mse_loss(x_hat, x, reduction="none").sum(-1)
    kl = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1)
    return (rec + beta * kl).mean()


def fit():
    torch.manual_seed(8)
    x = torch.from_numpy(np.load("data/standard.npy"))
    model = TabularVAE(x.shape[1], (64, 32), 7)
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    for epoch in range(40):
        for rows in torch.randperm(len(x)).split(128):
            loss = criterion(*((out := model(x[rows]))[0], x[rows], out[1], out[2]))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    print(epoch, loss.item())
    torch.save(dict(model=model.state_dict(), epoch=epoch, optimizer=optimiser.state_dict()), "beta_table.ckpt")


if __name__ == "__main__":
    fit()
