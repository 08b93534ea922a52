"""Losses of any form in a model's file: each is read as what it weighs, which is known by how it was written."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from loss_files import MODEL, PLAIN, SUM, found_in
from seeds import SEED
from uncollapse.inferring.infer import infer
from uncollapse.inferring.result import Said

FORMS = {
    "x by what is left": (PLAIN, f"""
def loss_of(output, inp, mu, logvar):
    recon, x = output, inp
    return {SUM}
"""),
    "a class beside": ("self.decode(z), mu, logvar, self.head(mu)", f"""
def loss_of(recon, x, mu, logvar, logits, y):
    return {SUM} + F.cross_entropy(logits, y)
"""),
    "a dictionary": ('{"x_hat": self.decode(z), "mean": mu, "std": (logvar / 2).exp(), "z": z}', f"""
def loss_of(outputs, x):
    recon, mu, logvar = outputs["x_hat"], outputs["mean"], 2 * outputs["std"].log()
    return {SUM}
"""),
    "a tuple as a whole": (PLAIN, f"""
def loss_of(x, out):
    recon, mu, logvar = out
    return {SUM}
"""),
    "the model and x": (PLAIN, f"""
def loss_of(model, x):
    recon, mu, logvar = model(x)
    return {SUM}
"""),
    "the model's halves": (PLAIN, f"""
def loss_of(vae, x):
    mu, logvar = vae.encode(x)
    recon = vae.decode(vae.sample(mu, logvar))
    return {SUM}
"""),
    "a bound that is to be large": (PLAIN, f"""
def elbo(recon, x, mu, logvar):
    return -{SUM}
"""),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_the_weight_is_read_in_every_form(name, tmp_path):
    returns, loss = FORMS[name]
    found = found_in(tmp_path, MODEL.replace("{returns}", returns) + "\n\n" + loss + "\n")
    assert found.missing == ()
    assert found.objective.water_level == pytest.approx(2)


METHODS = {
    "of x alone": f"""
    def loss(self, x):
        mu, logvar = self.encode(x)
        recon = self.decode(self.sample(mu, logvar))
        return {SUM}
""",
    "a step of layers": f"""
    def training_step(self, batch, index):
        x, y = batch
        mu, logvar = self.net(x).chunk(2, 1)
        recon = self.back(self.sample(mu, logvar))
        return {SUM}
""",
}


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
    found = found_in(
        tmp_path, MODEL.replace("{returns}", PLAIN) + "\ndef loss_of(model, x):\n    return torch.zeros(())\n"
    )
    assert [one.typed for one in found.missing] == ["--recon mse --reduction sum --kl-weight 1"]


def test_logits_of_classes_become_probabilities(tmp_path):
    loss = """
def loss_of(logits, x, mu, logvar):
    n = x.shape[-1]
    cost = F.cross_entropy(logits.reshape(-1, n), x.reshape(-1, n).argmax(-1), reduction="sum")
    return (cost + klds(mu, logvar).sum()) / len(mu)
"""
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
