from types import SimpleNamespace

import numpy as np
import torch
import torch.nn as nn

CONFIG = {
    "model": {"in_dim": 784, "enc_dims": [200, 100], "z_dim": 6, "activation": "relu", "out": "sigmoid"},
    "loss": {"beta": 1.0},
    "train": {"epochs": 60, "lr": 1.0e-3, "batch_size": 128, "seed": 17},
}


def mlp(dims, activation):
    act = {"relu": nn.ReLU, "tanh": nn.Tanh}[activation]
    layers = []
    for i in range(len(dims) - 1):
        layers += [nn.Linear(dims[i], dims[i + 1]), act()]
    return nn.Sequential(*layers)


class VAE(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        m = cfg["model"]
        self.cfg = cfg
        self.backbone = mlp([m["in_dim"], *m["enc_dims"]], m["activation"])
        self.to_stats = nn.Linear(m["enc_dims"][-1], 2 * m["z_dim"])
        self.expand = mlp([m["z_dim"], *m["enc_dims"][::-1]], m["activation"])
        self.to_x = nn.Linear(m["enc_dims"][0], m["in_dim"])
        self.out = nn.Sigmoid() if m["out"] == "sigmoid" else nn.Identity()

    def q(self, x):
        mu, lv = self.to_stats(self.backbone(x)).chunk(2, dim=-1)
        return mu, lv

    def p(self, z):
        return self.out(self.to_x(self.expand(z)))

    def forward(self, x):
        mu, lv = self.q(x)
        z = mu + torch.exp(0.5 * lv) * torch.randn_like(lv)
        return self.p(z), mu, lv

    def loss(self, x_hat, x, mu, lv):
        bce = nn.functional.binary_cross_entropy(x_hat, x, reduction="none").sum(-1)
        kl = 0.5 * (mu.square() + lv.exp() - 1 - lv).sum(-1)
        return (bce + self.cfg["loss"]["beta"] * kl).mean()


def main(config):
    hp = SimpleNamespace(**config["train"])
    torch.manual_seed(hp.seed)
    x = torch.as_tensor(np.load("data/mnist.npy").reshape(-1, 784) / 255.0, dtype=torch.float32)
    model = VAE(config)
    opt = torch.optim.Adam(model.parameters(), lr=hp.lr)
    for epoch in range(hp.epochs):
        for batch in x[torch.randperm(len(x))].split(hp.batch_size):
            x_hat, mu, lv = model(batch)
            loss = model.loss(x_hat, batch, mu, lv)
            opt.zero_grad(set_to_none=True)
            loss.backward()
            opt.step()
        print(epoch, loss.item())
    torch.save({"model": model.state_dict(), "step": hp.epochs * len(x) // hp.batch_size}, "config_vae.pt")


if __name__ == "__main__":
    main(CONFIG)
