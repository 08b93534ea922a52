"""Chemical VAE: convolutions in, GRU out (after Gomez-Bombarelli et al.)."""
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class ChemVAE(nn.Module):
    def __init__(self, max_len, n_chars, latent_size=32, hidden_size=64):
        super().__init__()
        self.max_len = max_len
        self.conv_1 = nn.Conv1d(n_chars, 12, kernel_size=5)
        self.conv_2 = nn.Conv1d(12, 12, kernel_size=5)
        self.linear_0 = nn.Linear(12 * (max_len - 8), hidden_size)
        self.linear_1 = nn.Linear(hidden_size, latent_size)
        self.linear_2 = nn.Linear(hidden_size, latent_size)
        self.linear_3 = nn.Linear(latent_size, latent_size)
        self.gru = nn.GRU(latent_size, hidden_size, 2, batch_first=True)
        self.linear_4 = nn.Linear(hidden_size, n_chars)

    def encode(self, x):
        h = F.selu(self.conv_1(x.transpose(1, 2)))
        h = F.selu(self.conv_2(h))
        h = F.selu(self.linear_0(h.flatten(1)))
        return self.linear_1(h), self.linear_2(h)

    def sampling(self, z_mean, z_logvar):
        return z_mean + torch.exp(z_logvar / 2) * torch.randn_like(z_logvar)

    def decode(self, z):
        z = F.selu(self.linear_3(z))
        out, _ = self.gru(z.unsqueeze(1).repeat(1, self.max_len, 1))
        return F.softmax(self.linear_4(out), dim=-1)

    def forward(self, x):
        z_mean, z_logvar = self.encode(x)
        return self.decode(self.sampling(z_mean, z_logvar)), z_mean, z_logvar


def vae_loss(x_decoded_mean, x, z_mean, z_logvar):
    xent_loss = -(x * torch.log(x_decoded_mean + 1e-9)).sum(dim=(1, 2))
    kl_loss = -0.5 * torch.sum(1 + z_logvar - z_mean.pow(2) - z_logvar.exp(), dim=1)
    return (xent_loss + kl_loss).mean()


def train(model, X, epochs=3):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(epochs):
        for batch in X[torch.randperm(len(X))].split(64):
            output, mean, logvar = model(batch)
            loss = vae_loss(output, batch, mean, logvar)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print("epoch", epoch, "loss", loss.item())


torch.manual_seed(19)
X = torch.from_numpy(np.load("data/smiles.npy")).float()
model = ChemVAE(X.shape[1], X.shape[2])
train(model, X)
torch.save(model.state_dict(), "smiles_conv.pt")
