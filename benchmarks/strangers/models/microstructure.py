"""VAE on standardised PCA scores of two-phase microstructures (two-point statistics)."""
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

n_pc, n_hidden, n_z = 20, 64, 8


class MicroVAE(nn.Module):
    def __init__(self, num_components, hidden, latent):
        super(MicroVAE, self).__init__()
        self.encoder = nn.Sequential(nn.Linear(num_components, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(),
                                     nn.Linear(hidden, 2 * latent))
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(),
                                     nn.Linear(hidden, num_components))

    def forward(self, x):
        stats = self.encoder(x)
        mean, log_variance = torch.split(stats, stats.shape[1] // 2, dim=1)
        z = mean + torch.randn_like(mean) * torch.exp(log_variance / 2)
        return self.decoder(z), mean, log_variance


def objective(prediction, target, mean, log_variance, weight=1.0):
    mse = 0.5 * torch.sum((prediction - target) ** 2, dim=1)
    kl = 0.5 * torch.sum(mean ** 2 + log_variance.exp() - 1 - log_variance, dim=1)
    return torch.mean(mse + weight * kl)


def run():
    torch.manual_seed(5)
    scores = torch.from_numpy(np.load("data/scores.npy"))
    loader = DataLoader(TensorDataset(scores), batch_size=64, shuffle=True)
    network = MicroVAE(n_pc, n_hidden, n_z)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    for epoch in range(40):
        for (batch,) in loader:
            loss = objective(network(batch)[0], batch, *network(batch)[1:], weight=3.0)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        print(epoch, float(loss))
    torch.save(network.state_dict(), "microstructure.pth")


run()
