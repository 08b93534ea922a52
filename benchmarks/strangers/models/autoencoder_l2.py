import numpy as np
import torch
import torch.nn as nn

INPUT_DIM = 28 * 28
HIDDEN = 256
Z_DIM = 5
BATCH = 100
EPOCHS = 80
device = "cuda" if torch.cuda.is_available() else "cpu"

images = torch.from_numpy(np.load("data/mnist.npy")).float().div(255.0).reshape(-1, INPUT_DIM)
loader = torch.utils.data.DataLoader(images, batch_size=BATCH, shuffle=True)


class VariationalAutoEncoder(nn.Module):
    def __init__(self, input_dim, h_dim, z_dim):
        super().__init__()
        # encoder
        self.img_2hid = nn.Linear(input_dim, h_dim)
        self.hid_2mu = nn.Linear(h_dim, z_dim)
        self.hid_2sigma = nn.Linear(h_dim, z_dim)
        # decoder
        self.z_2hid = nn.Linear(z_dim, h_dim)
        self.hid_2img = nn.Linear(h_dim, input_dim)
        self.act = nn.LeakyReLU(0.2)

    def encode(self, x):
        h = self.act(self.img_2hid(x))
        return self.hid_2mu(h), self.hid_2sigma(h)

    def decode(self, z):
        return self.hid_2img(self.act(self.z_2hid(z)))

    def forward(self, x):
        mu, log_sigma2 = self.encode(x)
        epsilon = torch.randn_like(mu)
        z = mu + torch.sqrt(torch.exp(log_sigma2)) * epsilon
        return self.decode(z), mu, log_sigma2


def vae_loss(x_reconstructed, x, mu, log_sigma2):
    reconstruction = ((x_reconstructed - x) ** 2).sum()
    kl_div = -torch.sum(1 + log_sigma2 - mu ** 2 - torch.exp(log_sigma2))
    return (reconstruction + kl_div) / x.shape[0]


torch.manual_seed(0)
model = VariationalAutoEncoder(INPUT_DIM, HIDDEN, Z_DIM).to(device)
opt = torch.optim.Adam(model.parameters(), lr=1e-3)
for epoch in range(EPOCHS):
    total = 0.0
    for x in loader:
        x = x.to(device)
        out, mu, log_sigma2 = model(x)
        loss = vae_loss(out, x, mu, log_sigma2)
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item()
    print(f"epoch {epoch}: {total / len(loader):.3f}")
torch.save(model.state_dict(), "autoencoder_l2.pt")
