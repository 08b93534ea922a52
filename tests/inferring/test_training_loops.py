"""What a file's loop makes small is read where no function says it: the weight is that with which it was written."""

from __future__ import annotations

import re

import pytest

from loss_files import MODEL, PLAIN, found_in

TERMS = """
def loss_terms(recon, x, mu, logvar):
    return ((recon - x) ** 2).sum(), klds(mu, logvar).sum()
"""

STEP = """
import numpy
data = torch.from_numpy(numpy.load("nowhere.npy"))
model = VAE()
optimizer = torch.optim.Adam(model.parameters())
for epoch in range(30):
    for x in data.split(100):
        optimizer.zero_grad()
        {}
        optimizer.step()
"""


def indented(text, by=8):
    return text.strip().replace("\n", "\n" + " " * by)


LOOPS = {
    "a sum of two, over the batch": (TERMS, """
recon, mu, logvar = model(x)
rec, kl = loss_terms(recon, x, mu, logvar)
loss = (rec + 4 * kl) / len(x)
loss.backward()
"""),
    "a constant of the file": ("BETA = 4.0" + TERMS, """
recon, mu, logvar = model(x)
rec, kl = loss_terms(recon, x, mu, logvar)
(rec + BETA * kl).div(x.size(0)).backward()
"""),
    "an option of a parser": ("""
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--beta", type=float, default=4.0)
args = parser.parse_args()
""" + TERMS, """
recon, mu, logvar = model(x)
rec, kl = loss_terms(recon, x, mu, logvar)
loss = rec
loss += args.beta * kl
loss.backward()
"""),
    "a list that is summed": (TERMS, """
recon, mu, logvar = model(x)
terms = list(loss_terms(recon, x, mu, logvar))
losses = []
losses.append(terms[0])
losses.append(4 * terms[1])
loss = sum(one for one in losses)
loss.backward()
"""),
    "a dictionary": ("""
def losses_of(out, x):
    recon, mu, logvar = out
    return {"rec": ((recon - x) ** 2).sum(1).mean(), "kl": klds(mu, logvar).mean()}
""", """
losses = losses_of(model(x), x)
losses["kl"] = 4 * losses["kl"]
total = losses["rec"] + losses["kl"]
total.backward()
"""),
    "no function at all": ("", """
out, mean, log_v = model(x.float())
mse = F.mse_loss(out, x.float(), reduction="sum")
kld = -0.5 * torch.sum(1 + log_v - mean.pow(2) - log_v.exp())
loss = mse / len(data) + 4 * kld / len(data)
loss.backward()
"""),
    "a cost made before the loop": ("criterion = nn.MSELoss(reduction='sum')", """
with torch.autocast("cpu", enabled=False):
    recon, mu, logvar = model(x)
    loss = criterion(recon, x) + 4 * klds(mu, logvar).sum()
scaler.scale(loss).backward()
"""),
    "a cost of the file's own class": ("""
class Bound(nn.Module):
    def __init__(self, beta=1.0):
        super().__init__()
        self.beta = beta

    def forward(self, recon, x, mu, logvar):
        return ((recon - x) ** 2).sum() + self.beta * klds(mu, logvar).sum()


bound = Bound(beta=4.0)
""", """
recon, mu, logvar = model(x)
bound(recon, x, mu, logvar).backward()
"""),
    "a weight that grows and stays": ("", """
recon, mu, logvar = model(x)
weight = min(4.0, epoch / 5)
loss = ((recon - x) ** 2).sum() + weight * klds(mu, logvar).sum()
accelerator.backward(loss)
"""),
    "a weight that grows with a count of its own": ("count = 0", """
recon, mu, logvar = model(x)
loss = ((recon - x) ** 2).sum() + min(4.0, count / 100) * klds(mu, logvar).sum()
loss.backward()
count += 1
"""),
    "rows by their numbers, with labels": ("", """
batch, labels = data[torch.randperm(60)], epoch
recon, mu, logvar = model(batch, labels)
loss = ((recon - batch) ** 2).sum() + 4 * klds(mu, logvar).sum()
loss.backward()
"""),
    "the total at another place beside its parts": ("""
def parts_and_loss(recon, x, mu, logvar):
    rec, kl = ((recon - x) ** 2).sum(1).mean(), klds(mu, logvar).mean()
    return rec, kl, rec + 4 * kl, len(x)
""", """
recon, mu, logvar = model(x)
*_, loss, n = parts_and_loss(recon, x, mu, logvar)
loss.backward()
"""),
}  # fmt: skip


@pytest.mark.parametrize("name", LOOPS)
def test_the_weight_is_that_of_the_loop(name, tmp_path):
    functions, step = LOOPS[name]
    found = found_in(tmp_path, MODEL.replace("{returns}", PLAIN) + functions + STEP.format(indented(step)), run=MODEL)
    assert found.missing == ()
    assert found.objective.water_level == pytest.approx(2)


def test_a_function_that_trains_is_read_with_what_it_is_called_with(tmp_path):
    text = (
        MODEL.replace("{returns}", PLAIN)
        + """

def train(vae, loader, opt, weight=1.0):
    for i, (x, _) in enumerate(loader):
        recon, mu, logvar = vae(x)
        loss = ((recon - x) ** 2).sum() + weight * klds(mu, logvar).sum()
        loss.backward()


def main():
    train(VAE(), None, None, weight=4.0)
"""
    )
    assert found_in(tmp_path, text).objective.water_level == pytest.approx(2)


def test_a_loop_in_a_method_of_the_model_is_read(tmp_path):
    text = (
        MODEL.replace("{returns}", PLAIN)
        + """
    def fit(self, loader):
        for x in loader:
            recon, mu, logvar = self(x)
            loss = ((recon - x) ** 2).sum() + 4 * klds(mu, logvar).sum()
            loss.backward()
"""
    )
    assert found_in(tmp_path, text).objective.water_level == pytest.approx(2)


def test_a_forward_that_gives_its_loss_among_others_is_read(tmp_path):
    text = MODEL.replace("{returns}", '{"x_hat": (r := self.decode(z)), "mean": mu, "total": '
                         "((r - x) ** 2).sum() + 4 * klds(mu, logvar).sum()}")  # fmt: skip
    found = found_in(tmp_path, text + STEP.format('model(x)["total"].backward()'), run=text)
    assert found.objective.water_level == pytest.approx(2)


OF_DISTRIBUTIONS = """
import torch
from torch import nn
from torch.distributions import Bernoulli, Independent, Laplace, Normal, kl_divergence


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(12, 6), nn.Linear(3, 12)

    def encode(self, x):
        mu, s = self.encoder(x).chunk(2, 1)
        return {posterior}

    def decode(self, z):
        return {likelihood}

    def forward(self, x):
        q = self.encode(x)
        kl = kl_divergence(q, {prior})
        nll = -self.decode(q.rsample()).log_prob(x)
        return dict(loss={total}, nll=nll.mean())


model = VAE()
for x in data:
    model(x)["loss"].backward()
"""
NORMALS = {"posterior": "Normal(mu, (s / 2).exp())", "prior": "Normal(torch.zeros(3), torch.ones(3))",
           "total": "(nll.sum(1) + kl.sum(1)).mean()"}  # fmt: skip
INDEPENDENT = {name: f"Independent({NORMALS[name]}, 1)" for name in ("posterior", "prior")}


@pytest.mark.parametrize(
    ("parts", "likelihood", "weighs"),
    [
        (NORMALS, "Normal(self.decoder(z), 0.5)", ("gaussian", 0.25)),
        (NORMALS, "Bernoulli(logits=self.decoder(z))", ("bernoulli", 1)),
        (
            INDEPENDENT | {"total": "(nll + kl).mean()"},
            "Independent(Normal(self.decoder(z), 0.5), 1)",
            ("gaussian", 0.25),
        ),
    ],
)
def test_a_forward_of_distributions_is_read(parts, likelihood, weighs, tmp_path):
    text = OF_DISTRIBUTIONS
    for name, part in (parts | {"likelihood": likelihood}).items():
        text = text.replace(f"{{{name}}}", part)
    found = found_in(tmp_path, text, run=text.partition("model =")[0], binary="Bernoulli" in likelihood)
    assert found.missing == ()
    assert found.objective.likelihood == weighs[0]
    level = found.objective.water_level if weighs[0] == "gaussian" else found.objective.beta
    assert level == pytest.approx(weighs[1])


def test_the_loop_counts_where_the_function_says_another_weight(tmp_path):
    text = (
        MODEL.replace("{returns}", PLAIN)
        + """
def loss_of(recon, x, mu, logvar):
    rec, kl = ((recon - x) ** 2).sum(), klds(mu, logvar).sum()
    return rec + kl, rec, kl
"""
    )
    step = indented("out = model(x)\n_, rec, kl = loss_of(out[0], x, *out[1:])\n(rec + 4 * kl).backward()")
    found = found_in(tmp_path, text + STEP.format(step), run=text)
    assert found.objective.water_level == pytest.approx(2)
    assert any("the training loop, line" in one.value for one in found.found)


LOSS = "loss = ((recon - x) ** 2).sum() + {} * klds(mu, logvar).sum()"

NOT_KNOWN = {
    "a file that is read": ("import json\nbeta = json.load(open('c.json'))['beta']", "beta", "beta, which comes from"),
    "an argument that nobody gives": ("", "sys.argv[1]", "sys.argv.1. is no plain value"),
    "a weight that changes": ("weight = 0.1", "(weight := weight * 1.1)", "weight, which changes from step to step"),
    "a weight that grows without end": ("", "step", "hangs on a number that the file does not say"),
}


@pytest.mark.parametrize("name", NOT_KNOWN)
def test_what_the_file_does_not_say_is_asked_for(name, tmp_path):
    before, weight, said = NOT_KNOWN[name]
    text = MODEL.replace("{returns}", PLAIN) + before
    step = STEP.replace("for x in data.split(100)", "for step, x in enumerate(data.split(100))")
    loop = step.format(indented(f"recon, mu, logvar = model(x)\n{LOSS.format(weight)}\nloss.backward()"))
    [missing] = found_in(tmp_path, text + loop, run=MODEL).missing
    assert "what its loss weighs" in missing.what
    assert re.search(said, missing.what)


def test_terms_that_nothing_adds_are_summed_and_it_is_said(tmp_path):
    found = found_in(tmp_path, MODEL.replace("{returns}", PLAIN) + TERMS)
    assert found.objective.water_level == pytest.approx(0.5)
    [told] = [one for one in found.found if one.what == "loss"]
    assert "the file does not say how they are added" in told.reason


def test_terms_that_a_loop_adds_in_an_unknown_way_are_not_summed(tmp_path):
    text = MODEL.replace("{returns}", PLAIN) + TERMS
    step = "rec, kl = loss_terms(*model(x)[:1], x, *model(x)[1:])\nloss = rec + weights[epoch] * kl\nloss.backward()"
    [missing] = found_in(tmp_path, text + STEP.format(indented(step)), run=text).missing
    assert "weights[epoch] is no plain value" in missing.what


def test_a_loss_that_wants_the_network_is_asked_for(tmp_path):
    loss = """
def vae_loss(recon, x, mu, logvar):
    import socket
    socket.create_connection(("example.org", 80))
    return ((recon - x) ** 2).sum()
"""
    found = found_in(tmp_path, MODEL.replace("{returns}", PLAIN) + loss)
    assert found.objective is None
    assert any("network" in one.what for one in found.missing)
