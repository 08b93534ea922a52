"""beta-TCVAE with the encoder and decoder of Burgess et al. (2018)."""
import argparse
import math

import numpy as np
import torch
from torch import nn, optim
from torch.nn import functional as F


class EncoderBurgess(nn.Module):
    def __init__(self, img_size, latent_dim=10):
        super().__init__()
        hid_channels, kernel_size, hidden_dim = 16, 4, 64
        self.latent_dim = latent_dim
        self.img_size = img_size
        self.reshape = (hid_channels, kernel_size, kernel_size)
        n_chan = self.img_size[0]
        cnn_kwargs = dict(stride=2, padding=1)
        self.conv1 = nn.Conv2d(n_chan, hid_channels, kernel_size, **cnn_kwargs)
        self.conv2 = nn.Conv2d(hid_channels, hid_channels, kernel_size, **cnn_kwargs)
        self.conv3 = nn.Conv2d(hid_channels, hid_channels, kernel_size, **cnn_kwargs)
        self.lin1 = nn.Linear(np.prod(self.reshape), hidden_dim)
        self.lin2 = nn.Linear(hidden_dim, hidden_dim)
        self.mu_logvar_gen = nn.Linear(hidden_dim, self.latent_dim * 2)

    def forward(self, x):
        batch_size = x.size(0)
        x = torch.relu(self.conv1(x))
        x = torch.relu(self.conv2(x))
        x = torch.relu(self.conv3(x))
        x = x.view((batch_size, -1))
        x = torch.relu(self.lin1(x))
        x = torch.relu(self.lin2(x))
        mu_logvar = self.mu_logvar_gen(x)
        mu, logvar = mu_logvar.view(-1, self.latent_dim, 2).unbind(-1)
        return mu, logvar


class DecoderBurgess(nn.Module):
    def __init__(self, img_size, latent_dim=10):
        super().__init__()
        hid_channels, kernel_size, hidden_dim = 16, 4, 64
        self.img_size = img_size
        self.reshape = (hid_channels, kernel_size, kernel_size)
        cnn_kwargs = dict(stride=2, padding=1)
        self.lin1 = nn.Linear(latent_dim, hidden_dim)
        self.lin2 = nn.Linear(hidden_dim, hidden_dim)
        self.lin3 = nn.Linear(hidden_dim, np.prod(self.reshape))
        self.convT1 = nn.ConvTranspose2d(hid_channels, hid_channels, kernel_size, **cnn_kwargs)
        self.convT2 = nn.ConvTranspose2d(hid_channels, hid_channels, kernel_size, **cnn_kwargs)
        self.convT3 = nn.ConvTranspose2d(hid_channels, self.img_size[0], kernel_size, **cnn_kwargs)

    def forward(self, z):
        x = torch.relu(self.lin1(z))
        x = torch.relu(self.lin2(x))
        x = torch.relu(self.lin3(x)).view(z.size(0), *self.reshape)
        x = torch.relu(self.convT1(x))
        x = torch.relu(self.convT2(x))
        return torch.sigmoid(self.convT3(x))


class VAE(nn.Module):
    def __init__(self, img_size, encoder, decoder, latent_dim):
        super().__init__()
        if list(img_size[1:]) not in [[32, 32], [64, 64]]:
            raise RuntimeError("{} sized images not supported.".format(img_size))
        self.latent_dim = latent_dim
        self.img_size = img_size
        self.encoder = encoder(img_size, self.latent_dim)
        self.decoder = decoder(img_size, self.latent_dim)

    def reparameterize(self, mean, logvar):
        if self.training:
            return mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)
        return mean

    def forward(self, x):
        latent_dist = self.encoder(x)
        latent_sample = self.reparameterize(*latent_dist)
        return self.decoder(latent_sample), latent_dist, latent_sample


def init_specific_model(model_type, img_size, latent_dim):
    encoder = {"Burgess": EncoderBurgess}[model_type]
    decoder = {"Burgess": DecoderBurgess}[model_type]
    return VAE(img_size, encoder, decoder, latent_dim)


def log_density_gaussian(x, mu, logvar):
    return -0.5 * (math.log(2 * math.pi) + logvar + (x - mu) ** 2 * torch.exp(-logvar))


def btcvae_loss(recon_batch, data, mu, logvar, latent_sample, beta=6.0):
    batch_size = data.size(0)
    rec_loss = F.binary_cross_entropy(recon_batch, data, reduction="sum") / batch_size
    log_pz = log_density_gaussian(latent_sample, torch.zeros_like(mu), torch.zeros_like(mu)).sum(1)
    log_q_zCx = log_density_gaussian(latent_sample, mu, logvar).sum(1)
    mat = log_density_gaussian(latent_sample.unsqueeze(1), mu.unsqueeze(0), logvar.unsqueeze(0))
    log_qz = torch.logsumexp(mat.sum(2), dim=1) - math.log(batch_size)
    log_prod_qzi = (torch.logsumexp(mat, dim=1) - math.log(batch_size)).sum(1)
    mi_loss = (log_q_zCx - log_qz).mean()
    tc_loss = (log_qz - log_prod_qzi).mean()
    dw_kl_loss = (log_prod_qzi - log_pz).mean()
    return rec_loss + mi_loss + beta * tc_loss + dw_kl_loss


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("-m", "--model-type", default="Burgess")
    parser.add_argument("-z", "--latent-dim", type=int, default=10)
    parser.add_argument("-e", "--epochs", type=int, default=15)
    parser.add_argument("-b", "--batch-size", type=int, default=64)
    args = parser.parse_args()
    torch.manual_seed(1234)
    x = torch.from_numpy(np.load("data/mnist32.npy"))
    model = init_specific_model(args.model_type, tuple(x.shape[1:]), args.latent_dim)
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(args.epochs):
        for data in torch.utils.data.DataLoader(x, batch_size=args.batch_size, shuffle=True):
            recon_batch, (mu, logvar), sample = model(data)
            loss = btcvae_loss(recon_batch, data, mu, logvar, sample)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(epoch, loss.item())
    torch.save(model.state_dict(), "burgess_tc.pt")
