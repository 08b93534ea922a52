"""Convolutional VAE with a classifier on the latent mean, trained jointly."""
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


class ConvVAEClassifier(nn.Module):
    def __init__(self, z_dim=32, n_filters=32, n_classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(1, n_filters, 4, stride=2, padding=1)
        self.conv2 = nn.Conv2d(n_filters, 2 * n_filters, 4, stride=2, padding=1)
        self.fc_mu = nn.Linear(2 * n_filters * 7 * 7, z_dim)
        self.fc_logvar = nn.Linear(2 * n_filters * 7 * 7, z_dim)
        self.classifier = nn.Sequential(nn.Linear(z_dim, 32), nn.ReLU(), nn.Linear(32, n_classes))
        self.fc_dec = nn.Linear(z_dim, 2 * n_filters * 7 * 7)
        self.deconv1 = nn.ConvTranspose2d(2 * n_filters, n_filters, 4, stride=2, padding=1)
        self.deconv2 = nn.ConvTranspose2d(n_filters, 1, 4, stride=2, padding=1)

    def encode(self, x):
        h = F.relu(self.conv1(x))
        h = F.relu(self.conv2(h))
        h = h.view(h.size(0), -1)
        return self.fc_mu(h), self.fc_logvar(h)

    def reparameterize(self, mu, logvar):
        if not self.training:
            return mu
        return mu + torch.randn_like(mu) * (0.5 * logvar).exp()

    def decode(self, z):
        h = F.relu(self.fc_dec(z)).view(z.size(0), -1, 7, 7)
        return torch.sigmoid(self.deconv2(F.relu(self.deconv1(h))))

    def forward(self, x):
        mu, logvar = self.encode(x)
        z = self.reparameterize(mu, logvar)
        return self.decode(z), mu, logvar, self.classifier(mu)


def loss_function(recon_x, x, mu, logvar, logits, y, beta=1.0, alpha=10.0):
    recon = F.mse_loss(recon_x, x, reduction="sum") / x.size(0)
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp()) / x.size(0)
    ce = F.cross_entropy(logits, y)
    return recon + beta * kld + alpha * ce, recon, kld, ce


torch.manual_seed(7)
images = torch.from_numpy(np.load("data/mnist.npy")).unsqueeze(1).float() / 255.0
labels = torch.from_numpy(np.load("data/labels.npy"))
loader = DataLoader(TensorDataset(images, labels), batch_size=128, shuffle=True)
model = ConvVAEClassifier(z_dim=10, n_filters=8)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for epoch in range(2):
    for x, y in loader:
        recon, mu, logvar, logits = model(x)
        loss, *_ = loss_function(recon, x, mu, logvar, logits, y, beta=0.5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
torch.save(model.state_dict(), "conv_classifier.pt")
