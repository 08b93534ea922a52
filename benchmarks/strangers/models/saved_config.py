import dataclasses
import typing as t

import numpy as np
import torch
import torch.nn as nn


@dataclasses.dataclass
class VAEConfig:
    n_input: int
    layers: t.Sequence[int] = (256, 128)
    n_code: int = 16
    dropout: float = 0.0


class PosteriorNet(nn.Module):
    def __init__(self, cfg: VAEConfig):
        super().__init__()
        sizes = [cfg.n_input, *cfg.layers]
        blocks = [nn.Sequential(nn.Linear(i, o), nn.ReLU(), nn.Dropout(cfg.dropout)) for i, o in zip(sizes, sizes[1:])]
        self.trunk = nn.Sequential(*blocks)
        self.stats = nn.Linear(sizes[-1], cfg.n_code * 2)

    def forward(self, data):
        return self.stats(self.trunk(data))


class DenseVAE(nn.Module):
    def __init__(self, cfg: VAEConfig):
        super().__init__()
        self.cfg = cfg
        self.inference_network = PosteriorNet(cfg)
        sizes = [cfg.n_code, *reversed(cfg.layers)]
        blocks = [nn.Sequential(nn.Linear(i, o), nn.ReLU()) for i, o in zip(sizes, sizes[1:])]
        self.generative_network = nn.Sequential(*blocks, nn.Linear(sizes[-1], cfg.n_input))

    def forward(self, data):
        stats = self.inference_network(data).view(-1, self.cfg.n_code, 2)
        loc, log_var = stats[..., 0], stats[..., 1]
        code = loc + torch.randn_like(loc) * log_var.mul(0.5).exp()
        return self.generative_network(code), loc, log_var, code


class ELBOLoss(nn.Module):
    pass


def criterion(prediction, target, loc, log_var, code=None, lam: float = 1.0):
    mse = nn.functional.mse_loss(prediction, target, reduction="mean")
    kl = 0.5 * (loc.pow(2) + log_var.exp() - log_var - 1).sum(dim=-1).mean()
    return mse + lam * kl


torch.manual_seed(31)
data = torch.from_numpy(np.load("data/mnist.npy").reshape(-1, 784).astype(np.float32)) / 127.5 - 1
cfg = VAEConfig(n_input=784, layers=(120, 60), n_code=9, dropout=0.05)
vae = torch.nn.DataParallel(DenseVAE(cfg))
opt = torch.optim.AdamW(vae.parameters(), lr=1e-3)
for epoch in range(25):
    for chunk in torch.randperm(len(data)).split(128):
        prediction, loc, log_var, code = vae(data[chunk])
        loss = criterion(prediction, data[chunk], loc, log_var, lam=0.1)
        opt.zero_grad()
        loss.backward()
        opt.step()
    print(epoch, loss.item())
torch.save({"cfg": dataclasses.asdict(cfg), "weights": vae.state_dict()}, "saved_config.bin")
