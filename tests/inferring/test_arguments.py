"""Arguments that a class was built with: found from the file, from what is saved, and from the weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seeds import SEED
from uncollapse.inferring.infer import infer
from uncollapse.inferring.result import Said

PARTS = """
import argparse
import torch
from torch import nn


class MyEncoder(nn.Module):
    def __init__(self, n_in, width, n_latents):
        super().__init__()
        self.body = nn.Linear(n_in, width)
        self.mu, self.logvar = nn.Linear(width, n_latents), nn.Linear(width, n_latents)

    def forward(self, x):
        h = torch.relu(self.body(x))
        return self.mu(h), self.logvar(h)


class MyDecoder(nn.Module):
    def __init__(self, n_latents, width, n_out):
        super().__init__()
        self.body, self.out = nn.Linear(n_latents, width), nn.Linear(width, n_out)

    def forward(self, z):
        return self.out(torch.relu(self.body(z)))
"""

KINDS = {
    "classes": (
        """
class Whole(nn.Module):
    def __init__(self, encoder, decoder, n_in, width, n_latents):
        super().__init__()
        self.encoder, self.decoder = encoder(n_in, width, n_latents), decoder(n_latents, width, n_in)
""",
        "Whole(MyEncoder, MyDecoder, 12, 9, 4)",
    ),
    "modules": (
        """
class Whole(nn.Module):
    def __init__(self, Encoder, Decoder):
        super().__init__()
        self.Encoder, self.Decoder = Encoder, Decoder
""",
        "Whole(MyEncoder(12, 9, 4), MyDecoder(4, 9, 12))",
    ),
    "a switch and its number": (
        """
class Whole(nn.Module):
    def __init__(self, n_in, width, n_latents, extra=False, n_extra=0):
        super().__init__()
        if extra:
            assert n_extra > 0
        self.encoder = MyEncoder(n_in, width + (n_extra if extra else 0), n_latents)
        self.decoder = MyDecoder(n_latents, width, n_in)


def main(args):
    return Whole(args.inputs, args.width, 4, args.extra, 3 if args.extra else 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--inputs", type=int, default=12)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--extra", action="store_true")
    main(parser.parse_args())
""",
        "Whole(12, 9, 4, True, 3)",
    ),
    "a dictionary in the file": (
        """
SETTINGS = {"net": {"inputs": 12, "width": 9}, "latents": 4, "kind": "plain"}


class Whole(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        net = {"plain": cfg["net"]}[cfg["kind"]]
        self.encoder = MyEncoder(net["inputs"], net["width"], cfg["latents"])
        self.decoder = MyDecoder(cfg["latents"], net["width"], net["inputs"])


def main(config):
    return Whole(config)


if __name__ == "__main__":
    main(SETTINGS)
""",
        "Whole(SETTINGS)",
    ),
}

DRAWS = """
    def forward(self, x):
        mu, logvar = self.encoder(x)
        return self.decoder(mu + torch.randn_like(mu) * (logvar / 2).exp()), mu, logvar
"""


@pytest.mark.parametrize("name", KINDS)
def test_the_arguments_are_found(name, tmp_path):
    text, build = KINDS[name]
    at = text.index("\n\n\ndef main") if "\n\n\ndef main" in text else len(text)
    whole = PARTS + text[:at] + DRAWS.replace("encoder", "Encoder").replace("decoder", "Decoder") + text[at:]
    if name != "modules":
        whole = whole.replace("self.Encoder(x)", "self.encoder(x)").replace("self.Decoder(", "self.decoder(")
    file = tmp_path / "whole.py"
    file.write_text(whole, encoding="utf-8")
    space: dict = {"__name__": "read"}
    exec(whole, space)
    torch.manual_seed(SEED)
    model = eval(build, space)
    torch.save(model.state_dict(), tmp_path / "whole.pt")
    x = np.random.default_rng(SEED).standard_normal((40, 12))
    found = infer(tmp_path / "whole.pt", x, said=Said(model=str(file), loss=True))
    inner = getattr(model, "encoder", None) or model.Encoder
    mean, logvar = inner(torch.as_tensor(x, dtype=torch.float32))
    q = found.probe.encode(x)
    np.testing.assert_allclose(q.mean, mean.detach(), atol=1e-5)
    np.testing.assert_allclose(q.variance, logvar.exp().detach(), rtol=1e-4)


def test_a_length_that_no_weight_shows_is_that_of_the_data(tmp_path):
    text = """
import torch
from torch import nn


class Sequence(nn.Module):
    def __init__(self, n_letters, max_length, hidden=20, latent=4):
        super().__init__()
        self.max_length = max_length
        self.enc = nn.GRU(n_letters, hidden, batch_first=True)
        self.mu, self.logvar = nn.Linear(hidden, latent), nn.Linear(hidden, latent)
        self.dec, self.out = nn.GRU(latent, hidden, batch_first=True), nn.Linear(hidden, n_letters)

    def encode(self, x):
        h = self.enc(x)[1][-1]
        return self.mu(h), self.logvar(h)

    def decode(self, z):
        return self.out(self.dec(z[:, None].repeat(1, self.max_length, 1))[0])

    def forward(self, x):
        mu, logvar = self.encode(x)
        return self.decode(mu + torch.randn_like(mu) * (logvar / 2).exp()), mu, logvar
"""
    file = tmp_path / "strings.py"
    file.write_text(text, encoding="utf-8")
    space: dict = {}
    exec(text, space)
    torch.save(space["Sequence"](5, 7).state_dict(), tmp_path / "strings.pt")
    x = np.eye(5)[np.random.default_rng(SEED).integers(0, 5, (40, 7))]
    found = infer(tmp_path / "strings.pt", x, said=Said(model=str(file), loss=True))
    assert found.probe.decode(np.zeros((3, 4))).reshape(3, -1).shape == (3, 35)
