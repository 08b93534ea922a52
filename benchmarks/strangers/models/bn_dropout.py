import argparse

import numpy as np
import torch
from torch import nn
import torch.nn.functional as F


def block(n_in, n_out, p):
    return nn.Sequential(nn.Linear(n_in, n_out), nn.BatchNorm1d(n_out), nn.ReLU(inplace=True), nn.Dropout(p))


class BNVAE(nn.Module):
    def __init__(self, x_dim=784, hidden_dims=(512, 256), latent_dim=20, p_drop=0.2):
        super().__init__()
        dims = [x_dim] + list(hidden_dims)
        self.enc = nn.Sequential(*[block(a, b, p_drop) for a, b in zip(dims[:-1], dims[1:])])
        self.mean_layer = nn.Linear(dims[-1], latent_dim)
        self.logvar_layer = nn.Linear(dims[-1], latent_dim)
        back = [latent_dim] + dims[1:][::-1]
        self.dec = nn.Sequential(*[block(a, b, p_drop) for a, b in zip(back[:-1], back[1:])],
                                 nn.Linear(back[-1], x_dim), nn.Sigmoid())

    def forward(self, x):
        x = torch.flatten(x, start_dim=1)
        h = self.enc(x)
        mean, logvar = self.mean_layer(h), self.logvar_layer(h)
        if self.training:
            z = mean + torch.exp(logvar / 2) * torch.randn_like(mean)
        else:
            z = mean
        return mean, logvar, self.dec(z)


def criterion(x_hat, x, mean, logvar):
    recon = F.mse_loss(x_hat, x)
    kld = torch.mean(-0.5 * torch.sum(1 + logvar - mean ** 2 - logvar.exp(), dim=1))
    return recon + kld


parser = argparse.ArgumentParser()
parser.add_argument("--hidden", type=int, nargs="+", default=[200, 100])
parser.add_argument("--latent-dim", type=int, default=10)
parser.add_argument("--dropout", type=float, default=0.1)
parser.add_argument("--epochs", type=int, default=30)
parser.add_argument("--data", default="data/mnist.npy")
args = parser.parse_args()

torch.manual_seed(42)
x = torch.tensor(np.load(args.data), dtype=torch.float32).flatten(1) / 255
net = BNVAE(784, args.hidden, args.latent_dim, args.dropout)
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
for epoch in range(args.epochs):
    for idx in torch.randperm(len(x)).split(128):
        mean, logvar, x_hat = net(x[idx])
        loss = criterion(x_hat, x[idx], mean, logvar)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, float(loss))
torch.save({"state_dict": net.state_dict(), "epoch": args.epochs}, "bn_dropout.pth")
