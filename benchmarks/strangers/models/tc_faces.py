"""Decomposed VAE on colour images; the plain bound unless --tc is given."""
import argparse

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class ConvEncoder(nn.Module):
    def __init__(self, output_dim, in_ch=3):
        super().__init__()
        self.output_dim = output_dim
        self.conv1 = nn.Conv2d(in_ch, 16, 4, 2, 1)
        self.bn1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 4, 2, 1)
        self.bn2 = nn.BatchNorm2d(32)
        self.conv3 = nn.Conv2d(32, 32, 4, 2, 1)
        self.bn3 = nn.BatchNorm2d(32)
        self.conv_z = nn.Conv2d(32, output_dim, 4)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        h = self.act(self.bn1(self.conv1(x)))
        h = self.act(self.bn2(self.conv2(h)))
        h = self.act(self.bn3(self.conv3(h)))
        return self.conv_z(h).view(x.size(0), self.output_dim)


class ConvDecoder(nn.Module):
    def __init__(self, input_dim, out_ch=3):
        super().__init__()
        self.conv1 = nn.ConvTranspose2d(input_dim, 32, 4, 1, 0)
        self.conv2 = nn.ConvTranspose2d(32, 16, 4, 2, 1)
        self.conv3 = nn.ConvTranspose2d(16, 16, 4, 2, 1)
        self.conv_final = nn.ConvTranspose2d(16, out_ch, 4, 2, 1)
        self.act = nn.ReLU(inplace=True)

    def forward(self, z):
        h = z.view(z.size(0), z.size(1), 1, 1)
        h = self.act(self.conv1(h))
        h = self.act(self.conv2(h))
        h = self.act(self.conv3(h))
        return self.conv_final(h)


class VAE(nn.Module):
    def __init__(self, z_dim, channels=3, beta=1.0):
        super().__init__()
        self.z_dim = z_dim
        self.beta = beta
        self.encoder = ConvEncoder(z_dim * 2, channels)
        self.decoder = ConvDecoder(z_dim, channels)

    def encode(self, x):
        stats = self.encoder(x)
        mu, log_sigma = stats.chunk(2, dim=1)
        z = mu + log_sigma.exp() * torch.randn_like(mu) if self.training else mu
        return z, (mu, log_sigma)

    def decode(self, z):
        logits = self.decoder(z)
        return torch.sigmoid(logits), logits

    def reconstruct_img(self, x):
        zs, z_params = self.encode(x)
        xs, x_params = self.decode(zs)
        return xs, x_params, zs, z_params

    def elbo(self, x):
        xs, logits, zs, (mu, log_sigma) = self.reconstruct_img(x)
        logpx = -F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)
        kl = (0.5 * (mu ** 2 + (2 * log_sigma).exp() - 1) - log_sigma).sum(1)
        return logpx - self.beta * kl

    def forward(self, x):
        return -self.elbo(x).mean()


parser = argparse.ArgumentParser(description="parse args")
parser.add_argument("-n", "--num-epochs", default=30, type=int)
parser.add_argument("-b", "--batch-size", default=100, type=int)
parser.add_argument("-z", "--latent-dim", default=10, type=int)
parser.add_argument("--beta", default=40.0, type=float)
parser.add_argument("--lr", default=1e-3, type=float)
args = parser.parse_args()

torch.manual_seed(3)
faces = torch.from_numpy(np.load("data/faces.npy")).permute(0, 3, 1, 2).float() / 255
vae = VAE(z_dim=args.latent_dim, beta=args.beta)
optimizer = torch.optim.Adam(vae.parameters(), lr=args.lr)
for epoch in range(args.num_epochs):
    for x in faces[torch.randperm(len(faces))].split(args.batch_size):
        optimizer.zero_grad()
        loss = vae(x)
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
torch.save({"state_dict": vae.state_dict(), "args": args}, "tc_faces.pth")
