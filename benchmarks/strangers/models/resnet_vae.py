"""ResNet VAE for small colour images."""
from dataclasses import dataclass

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F


class ResBlock(nn.Module):
    def __init__(self, in_ch: int, out_ch: int, down: bool = False, up: bool = False):
        super().__init__()
        self.down, self.up = down, up
        self.norm1, self.norm2 = nn.GroupNorm(4, in_ch), nn.GroupNorm(4, out_ch)
        self.conv1 = nn.Conv2d(in_ch, out_ch, 3, padding=1)
        self.conv2 = nn.Conv2d(out_ch, out_ch, 3, padding=1)
        self.skip = nn.Conv2d(in_ch, out_ch, 1) if in_ch != out_ch else nn.Identity()

    def _resample(self, h: Tensor) -> Tensor:
        if self.down:
            return F.avg_pool2d(h, 2)
        if self.up:
            return F.interpolate(h, scale_factor=2, mode="bilinear", align_corners=False)
        return h

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(self._resample(F.silu(self.norm1(x))))
        h = self.conv2(F.silu(self.norm2(h)))
        return h + self.skip(self._resample(x))


class ResNetVAE(nn.Module):
    def __init__(self, base_channels: int = 32, channel_mults: tuple[int, ...] = (1, 2, 4), latent_dim: int = 64,
                 image_size: int = 64):
        super().__init__()
        chs = [base_channels * m for m in channel_mults]
        side = image_size // 2 ** len(chs)
        self.encoder = nn.Sequential(
            nn.Conv2d(3, chs[0], 3, padding=1),
            *[ResBlock(a, b, down=True) for a, b in zip([chs[0], *chs], chs)],
            nn.GroupNorm(4, chs[-1]), nn.SiLU(), nn.Flatten(),
        )
        self.to_moments = nn.Linear(chs[-1] * side * side, 2 * latent_dim)
        self.from_latent = nn.Sequential(nn.Linear(latent_dim, chs[-1] * side * side), nn.Unflatten(1, (chs[-1], side, side)))
        back = chs[::-1]
        self.decoder = nn.Sequential(
            *[ResBlock(a, b, up=True) for a, b in zip(back, [*back[1:], back[-1]])],
            nn.GroupNorm(4, back[-1]), nn.SiLU(), nn.Conv2d(back[-1], 3, 3, padding=1),
        )

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, logvar = self.to_moments(self.encoder(x)).chunk(2, dim=1)
        return mean, logvar.clamp(-10, 10)

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(self.from_latent(z))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, logvar = self.encode(x)
        z = mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)
        return self.decode(z), mean, logvar


@dataclass
class TrainConfig:
    base_channels: int = 8
    latent_dim: int = 12
    image_size: int = 32
    steps: int = 60
    batch_size: int = 64
    lr: float = 2e-3
    beta: float = 1.0


def vae_loss(x_recon: Tensor, x: Tensor, mean: Tensor, logvar: Tensor, beta: float) -> Tensor:
    recon = (x_recon - x).square().flatten(1).sum(1).mean()
    kl = -0.5 * (1 + logvar - mean.square() - logvar.exp()).sum(1).mean()
    return recon + beta * kl


def main(cfg: TrainConfig = TrainConfig()) -> None:
    torch.manual_seed(0)
    images = torch.from_numpy(np.load("data/faces.npy")).permute(0, 3, 1, 2).float() / 127.5 - 1.0
    model = ResNetVAE(cfg.base_channels, latent_dim=cfg.latent_dim, image_size=cfg.image_size)
    opt = torch.optim.AdamW(model.parameters(), lr=cfg.lr)
    for step in range(cfg.steps):
        x = images[torch.randint(len(images), (cfg.batch_size,))]
        x_recon, mean, logvar = model(x)
        loss = vae_loss(x_recon, x, mean, logvar, cfg.beta)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        opt.step()
        if step % 100 == 0:
            print(step, loss.item())
    save_file(model.state_dict(), "resnet_vae.safetensors")


if __name__ == "__main__":
    main()
