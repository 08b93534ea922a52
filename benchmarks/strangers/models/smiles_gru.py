"""GRU autoencoder of molecules: one-hot SMILES in, one distribution over characters per position out."""
import json

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

params = {"hidden": 96, "latent": 24, "batch": 128, "epochs": 12, "lr": 2e-3}


class MoleculeVAE(nn.Module):
    def __init__(self, charset_length, max_length, hidden, latent):
        super().__init__()
        self.max_length = max_length
        self.gru_in = nn.GRU(charset_length, hidden, batch_first=True)
        self.z_mean = nn.Linear(hidden, latent)
        self.z_log_var = nn.Linear(hidden, latent)
        self.latent_input = nn.Linear(latent, latent)
        self.gru_out = nn.GRU(latent, hidden, batch_first=True)
        self.decoded = nn.Linear(hidden, charset_length)

    def encode(self, x):
        _, h = self.gru_in(x)
        h = h[-1]
        return self.z_mean(h), self.z_log_var(h)

    def sampling(self, z_mean, z_log_var):
        return z_mean + torch.exp(z_log_var / 2) * torch.randn_like(z_mean)

    def decode(self, z):
        z = F.selu(self.latent_input(z))
        z = z.unsqueeze(1).repeat(1, self.max_length, 1)
        out, _ = self.gru_out(z)
        return self.decoded(out)

    def forward(self, x):
        z_mean, z_log_var = self.encode(x)
        return self.decode(self.sampling(z_mean, z_log_var)), z_mean, z_log_var


def vae_loss(logits, x, z_mean, z_log_var, kl_weight=1.0):
    n_chars = logits.size(-1)
    xent = F.cross_entropy(logits.reshape(-1, n_chars), x.argmax(dim=-1).reshape(-1), reduction="sum") / x.size(0)
    kl = -0.5 * torch.mean(torch.sum(1 + z_log_var - z_mean ** 2 - z_log_var.exp(), dim=1))
    return xent + kl_weight * kl


torch.manual_seed(0)
data = torch.from_numpy(np.load("data/smiles.npy")).float()
model = MoleculeVAE(data.shape[2], data.shape[1], params["hidden"], params["latent"])
optimizer = torch.optim.Adam(model.parameters(), lr=params["lr"])
for epoch in range(params["epochs"]):
    for batch in data[torch.randperm(len(data))].split(params["batch"]):
        logits, z_mean, z_log_var = model(batch)
        loss = vae_loss(logits, batch, z_mean, z_log_var)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    print(json.dumps({"epoch": epoch, "loss": loss.item()}))
torch.save(model.state_dict(), "smiles_gru.pt")
