"""DC-VAE on 32 x 32 colour images."""
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


class Encoder(nn.Module):
    def __init__(self, nc, nef, nz):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(nc, nef, 4, 2, 1), nn.LeakyReLU(0.2, True),
            nn.Conv2d(nef, nef * 2, 4, 2, 1), nn.BatchNorm2d(nef * 2), nn.LeakyReLU(0.2, True),
            nn.Conv2d(nef * 2, nef * 4, 4, 2, 1), nn.BatchNorm2d(nef * 4), nn.LeakyReLU(0.2, True),
        )
        self.mean = nn.Linear(nef * 4 * 4 * 4, nz)
        self.logvar = nn.Linear(nef * 4 * 4 * 4, nz)

    def forward(self, x):
        h = self.main(x).flatten(1)
        return self.mean(h), self.logvar(h)


class Decoder(nn.Module):
    def __init__(self, nc, ndf, nz):
        super().__init__()
        self.ndf = ndf
        self.fc = nn.Linear(nz, ndf * 4 * 4 * 4)
        self.main = nn.Sequential(
            nn.ConvTranspose2d(ndf * 4, ndf * 2, 4, 2, 1), nn.BatchNorm2d(ndf * 2), nn.ReLU(True),
            nn.ConvTranspose2d(ndf * 2, ndf, 4, 2, 1), nn.BatchNorm2d(ndf), nn.ReLU(True),
            nn.ConvTranspose2d(ndf, nc, 4, 2, 1), nn.Sigmoid(),
        )

    def forward(self, z):
        return self.main(self.fc(z).view(-1, self.ndf * 4, 4, 4))


class DCVAE(nn.Module):
    def __init__(self, nc=3, nf=64, nz=128):
        super().__init__()
        self.encoder = Encoder(nc, nf, nz)
        self.decoder = Decoder(nc, nf, nz)

    def forward(self, x):
        mu, logvar = self.encoder(x)
        z = mu + torch.randn_like(mu) * (logvar / 2).exp()
        return self.decoder(z), mu, logvar


def loss_function(recon_x, x, mu, logvar):
    BCE = F.binary_cross_entropy(recon_x, x, reduction="sum")
    KLD = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return (BCE + KLD) / x.size(0)


if __name__ == "__main__":
    torch.manual_seed(12)
    images = torch.from_numpy(np.load("data/faces.npy")).permute(0, 3, 1, 2).float() / 255
    loader = DataLoader(TensorDataset(images), batch_size=64, shuffle=True)
    model = DCVAE(nc=3, nf=8, nz=16)
    opt = torch.optim.Adam(model.parameters(), lr=2e-4, betas=(0.5, 0.999))
    for step, (x,) in enumerate(loader):
        out, mu, logvar = model(x)
        loss = loss_function(out, x, mu, logvar)
        opt.zero_grad()
        loss.backward()
        opt.step()
        if step == 45:
            break
    print(step, loss.item())
    torch.save(model.state_dict(), "colour_early.pth")
