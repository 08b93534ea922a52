"""Losses of any form in a model's file: each is read as what it weighs, which is known by how it was written."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seeds import SEED
from uncollapse.inferring.infer import infer
from uncollapse.inferring.result import Said

MODEL = """
import torch
from torch import nn
from torch.nn import functional as F


def klds(mu, logvar):
    return 0.5 * (mu ** 2 + logvar.exp() - 1 - logvar).sum(1)


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.net, self.head = nn.Linear(12, 6), nn.Linear(3, 5)
        self.back = nn.Linear(3, 12)

    def encode(self, x):
        mu, logvar = self.net(x).chunk(2, 1)
        return mu, logvar

    def decode(self, z):
        return self.back(z)

    def sample(self, mu, logvar):
        return mu + torch.randn_like(mu) * (0.5 * logvar).exp()

    def forward(self, x):
        mu, logvar = self.encode(x)
        z = self.sample(mu, logvar)
        return {returns}
"""

PLAIN = "self.decode(z), mu, logvar"

FORMS = {
    "x by what is left": (
        PLAIN, "def loss_of(output, inp, mu, logvar):\n    return ((output - inp) ** 2).sum(1).mean() + 4 * klds(mu, logvar).mean()"),
    "a class beside": (
        "self.decode(z), mu, logvar, self.head(mu)",
        "def loss_of(recon, x, mu, logvar, logits, y):\n    return (((recon - x) ** 2).sum(1) + 4 * klds(mu, logvar)).mean() "
        "+ F.cross_entropy(logits, y)"),
    "a dictionary": (
        '{"x_hat": self.decode(z), "mean": mu, "std": (logvar / 2).exp(), "z": z}',
        "def loss_of(outputs, x):\n    m, s = outputs['mean'], outputs['std']\n    kl = 0.5 * (m ** 2 + s ** 2 - 1).sum(1) - "
        "s.log().sum(1)\n    return (((outputs['x_hat'] - x) ** 2).sum(1) + 4 * kl).mean()"),
    "a tuple as a whole": (
        PLAIN, "def loss_of(x, out):\n    recon, mu, logvar = out\n    return (((recon - x) ** 2).sum(1) + 4 * klds(mu, logvar)).mean()"),
    "the model and x": (
        PLAIN, "def loss_of(model, x):\n    recon, mu, logvar = model(x)\n    return (((recon - x) ** 2).sum(1) + 4 * klds(mu, logvar)).mean()"),
    "the model's halves": (
        PLAIN, "def loss_of(vae, batch):\n    mu, logvar = vae.encode(batch)\n    recon = vae.decode(vae.sample(mu, logvar))\n"
        "    return (((recon - batch) ** 2).sum(1) + 4 * klds(mu, logvar)).mean()"),
    "a bound that is to be large": (
        PLAIN, "def elbo(recon, x, mu, logvar):\n    return -(((recon - x) ** 2).sum(1) + 4 * klds(mu, logvar)).mean()"),
}  # fmt: skip


def found_in(tmp_path, text):
    file = tmp_path / "mine.py"
    file.write_text(text, encoding="utf-8")
    space: dict = {}
    exec(text, space)
    torch.manual_seed(SEED)
    torch.save(space["VAE"]().state_dict(), tmp_path / "mine.pth")
    x = np.random.default_rng(SEED).standard_normal((40, 12))
    return infer(tmp_path / "mine.pth", x, said=Said(model=str(file)))


@pytest.mark.parametrize("name", FORMS)
def test_the_weight_is_read_in_every_form(name, tmp_path):
    returns, loss = FORMS[name]
    found = found_in(tmp_path, MODEL.replace("{returns}", returns) + "\n\n" + loss + "\n")
    assert found.missing == ()
    assert found.objective.water_level == pytest.approx(2)


METHODS = {
    "of x alone": "    def loss(self, x):\n        mu, logvar = self.encode(x)\n        recon = self.decode(self.sample(mu, logvar))\n"
    "        return (((recon - x) ** 2).sum(1) + 4 * klds(mu, logvar)).mean()",
    "a step of layers": "    def training_step(self, batch, index):\n        x, y = batch\n        stats = self.net(x)\n        mu, logvar = "
    "stats.chunk(2, 1)\n        recon = self.back(self.sample(mu, logvar))\n        return (((recon - x) ** 2).sum(1) + "
    "4 * klds(mu, logvar)).mean()",
}  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_a_method_that_calls_the_halves_itself_is_read(name, tmp_path):
    text = MODEL.replace("{returns}", PLAIN) + "\n" + METHODS[name] + "\n"
    if name == "a step of layers":  # no encode and no decode: the layers themselves are encoder and decoder
        text = text.replace("self.net", "self.encoder").replace("self.back", "self.decoder")
        text = text.replace("def encode(", "def look(").replace("self.encode(", "self.look(")
        text = text.replace("def decode(", "def show(").replace("self.decode(", "self.show(")
    found = found_in(tmp_path, text)
    assert found.missing == ()
    assert found.objective.water_level == pytest.approx(2)


def test_a_forward_that_gives_the_loss_is_read(tmp_path):
    text = MODEL.replace("{returns}", "(((self.decode(z) - x) ** 2).sum(1) + 4 * klds(mu, logvar)).mean()")
    assert found_in(tmp_path, text).objective.water_level == pytest.approx(2)


def test_the_module_is_as_it_was_after_its_loss_is_read(tmp_path):
    found = found_in(tmp_path, MODEL.replace("{returns}", PLAIN) + "\n" + METHODS["of x alone"] + "\n")
    module = found.probe.module
    assert not {"encode", "decode", "forward"} & set(vars(module))
    assert not any("forward" in vars(part) for part in module.modules())


def test_a_loss_that_ignores_its_arguments_is_said_to(tmp_path):
    found = found_in(tmp_path, MODEL.replace("{returns}", PLAIN) + "\ndef loss_of(model, x):\n    return torch.zeros(())\n")
    assert [one.typed for one in found.missing] == ["--recon mse --reduction sum --kl-weight 1"]


def test_logits_of_classes_become_probabilities(tmp_path):
    loss = (
        "def loss_of(logits, x, mu, logvar):\n    n = x.shape[-1]\n    logits, x = logits.reshape(-1, n), x.reshape(-1, n)\n"
        "    return (F.cross_entropy(logits, x.argmax(-1), reduction='sum') + klds(mu, logvar).sum()) / len(mu)\n"
    )
    text = MODEL.replace("{returns}", PLAIN) + "\n" + loss
    text = text.replace("self.net(x)", "self.net(x.flatten(1))").replace("self.back(z)", "self.back(z).view(-1, 3, 4)")
    file = tmp_path / "mine.py"
    file.write_text(text, encoding="utf-8")
    space: dict = {}
    exec(text, space)
    torch.save(space["VAE"]().state_dict(), tmp_path / "mine.pth")
    x = np.eye(4)[np.random.default_rng(SEED).integers(0, 4, (40, 3))]
    found = infer(tmp_path / "mine.pth", x, said=Said(model=str(file)))
    assert found.objective.likelihood == "categorical"
    shown = found.probe.decode(np.ones((5, 3))).reshape(5, 3, 4)
    np.testing.assert_allclose(shown.sum(-1), 1, rtol=1e-5)
    assert (shown > 0).all()
