"""Loops as people write them: the weight is that of the last step, or it is asked for; nothing else is run."""

from __future__ import annotations

import builtins
import re

import pytest

from loss_files import MODEL, PLAIN, found_in

OPENING = """
import numpy
import os, subprocess
from torch.utils.data import DataLoader
data = torch.from_numpy(numpy.load("nowhere.npy"))
model = VAE()
"""

STEP = """recon, mu, logvar = model(x)
rec, kl = ((recon - x) ** 2).sum(), klds(mu, logvar).sum()
loss = rec + {} * kl
loss.backward()"""


def step(weight, by):
    return STEP.format(weight).replace("\n", "\n" + " " * by)


def found(tmp_path, text):
    return found_in(tmp_path, MODEL.replace("{returns}", PLAIN) + OPENING + text, run=MODEL)


READ = {
    "two calls of backward for one step": """
for x in data:
    recon, mu, logvar = model(x)
    loss = ((recon - x) ** 2).sum() + klds(mu, logvar).sum()
    loss.backward(retain_graph=True)
    loss = 3 * klds(mu, logvar).sum()
    loss.backward()
    optimizer.step()
""",
    "a discriminator before": f"""
for x in data:
    judged = judge(model(x)[0].detach()).sum()
    judged.backward()
    optimizer_of_judge.step()
    {step(4, 4)}
""",
    "both branches alike": """
for x in data:
    recon, mu, logvar = model(x)
    loss = ((recon - x) ** 2).sum() + 4 * klds(mu, logvar).sum()
    if half:
        scaler.scale(loss).backward()
    else:
        loss.backward()
""",
    "an epoch that is handed over": f"""
def train(epoch):
    for x, _ in data:
        {step("min(4.0, epoch / 5)", 8)}


epoch = 0
for epoch in range(1, 31):
    train(epoch)
""",
    "an argument by name alone, as a constant is called": f"""
beta = 1.0
def train(model, *, beta=4.0):
    for x in data:
        {step("beta", 8)}
""",
    "a variable of another function": f"""
def evaluate():
    beta = 1.0


def train(beta):
    for x in data:
        {step("beta", 8)}


def main():
    beta = 4.0
    train(beta)
""",
    "a warm-up that is not over": f"""
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=40)
args = parser.parse_args()
for epoch in range(1, args.epochs + 1):
    for x in data:
        {step("min(10, epoch / 10)", 8)}
""",
    "a trainer's own weight": f"""
class Trainer:
    def __init__(self, model, beta=1.0):
        self.model = model
        self.beta = beta

    def train(self, model):
        for x in data:
            {step("self.beta", 12)}


Trainer(VAE(), beta=4.0).train()
""",
    "a trainer's own cost and scaler": """
class Trainer:
    def __init__(self, model):
        self.model = model
        self.criterion = nn.MSELoss(reduction="sum")

    def train(self):
        for x in data:
            recon, mu, logvar = self.model(x)
            loss = self.criterion(recon, x) + 4 * klds(mu, logvar).sum()
            self.scaler.scale(loss).backward()
""",
    "a weight that the model holds": f"""
class Held(nn.Module):
    def looks(self):
        return self.beta


for epoch in range(30):
    model.beta = min(4.0, epoch / 5)
    for x in data:
        {step("model.beta", 8)}
""",
    "sizes before the model is called": """
for x in data:
    n, d = x.shape
    rows = x.size(0)
    recon, mu, logvar = model(x)
    loss = ((recon - x) ** 2).sum() / n + 4 * klds(mu, logvar).sum() / rows
    loss.backward()
""",
    "a function of PyTorch around x": """
for x, label in data:
    recon, mu, logvar = model(torch.flatten(x, 1))
    loss = torch.sum((recon - torch.flatten(x, 1)) ** 2) + 4 * klds(mu, logvar).sum()
    loss.backward()
""",
    "another loop before": f"""
for x in data:
    {step(4, 4)}
for x in data:
    {step(4, 4)}
""",
    "a way out of the loop": """
for x in data:
    recon, mu, logvar = model(x)
    loss = ((recon - x) ** 2).sum() + 4 * klds(mu, logvar).sum()
    if torch.isnan(loss):
        loss = None
        continue
    loss.backward()
""",
    "a sum and a mean, by the rows of the loader": """
train = DataLoader(data, batch_size=20, shuffle=True)
test = DataLoader(data, batch_size=500)
for x in train:
    recon, mu, logvar = model(x)
    loss = ((recon - x) ** 2).sum(1).mean() + 0.2 * klds(mu, logvar).sum()
    loss.backward()
""",
    "a mean and a sum over a constant": """
BATCH_SIZE = 20
for x in data.split(BATCH_SIZE):
    recon, mu, logvar = model(x)
    loss = ((recon - x) ** 2).sum(1).mean() + 4 * klds(mu, logvar).sum() / BATCH_SIZE
    loss.backward()
""",
}


@pytest.mark.parametrize("name", READ)
def test_the_weight_is_that_of_the_last_step(name, tmp_path):
    result = found(tmp_path, READ[name])
    assert result.missing == ()
    assert result.objective.water_level == pytest.approx(2)


CHANGES = "which changes from step to step"

ASKED = {
    "a branch for the first epochs": (f"""
for epoch in range(30):
    for x in data:
        if epoch < 10:
            {step(0.1, 12)}
        else:
            {step(4, 12)}
""", "several loops that weigh differently"),
    "a sweep": (f"""
for beta in [1.0, 4.0]:
    for x in data:
        {step("beta", 8)}
""", CHANGES),
    "a schedule beside the epochs": (f"""
for epoch, beta in zip(range(30), schedule):
    for x in data:
        {step("beta", 8)}
""", CHANGES),
    "a schedule beside the batches": (f"""
for x, beta in zip(data, schedule):
    {step("beta", 4)}
""", "hangs on a number"),
    "phases": (f"""
for phase in ["train", "test"]:
    for x in data:
        {step("(4.0 if phase == 'train' else 1.0)", 8)}
""", CHANGES),
    "cycles": (f"""
count = 0
for x in data:
    {step("(count % 1000) / 1000", 4)}
    count += 1
""", "hangs on a number"),
    "a weight that the loop around the function changes": (f"""
beta = 0.5
def train(epoch):
    for x in data:
        {step("beta", 8)}


for epoch in range(30):
    beta = min(4.0, epoch / 5)
    train(epoch)
""", f"beta, {CHANGES}"),
    "a weight that a function changes": (f"""
beta = 0.5
def grow():
    global beta
    beta = min(4.0, beta * 1.5)


def train():
    for x in data:
        {step("beta", 8)}
""", f"beta, {CHANGES}"),
    "an argument that the loop changes at its end": (f"""
def train(model, beta=0.5):
    for x in data:
        {step("beta", 8)}
        beta = min(4.0, beta * 1.5)
""", "beta is no plain value"),
    "an argument of several calls": (f"""
def train(model, beta):
    for x in data:
        {step("beta", 8)}


train(VAE(), 1.0)
train(VAE(), 4.0)
""", "beta is no plain value"),
    "a variable of the function around": (f"""
beta = 1.0
def main():
    beta = settings.beta

    def one_step(x):
        {step("beta", 8)}
""", "beta is no plain value"),
    "a trainer's weight that grows": (f"""
class Trainer:
    beta = 0.5

    def train(self, model):
        for x in data:
            {step("self.beta", 12)}
            self.beta = min(4.0, self.beta * 1.5)
""", f"self.beta, {CHANGES}"),
    "settings that another function changes": (f"""
settings = {{"beta": 0.5}}
def main():
    settings["beta"] = 4.0
    train()


def train():
    for x in data:
        {step("settings['beta']", 8)}
""", CHANGES),
    "settings that another function updates": (f"""
settings = {{"beta": 0.5}}
def grow():
    settings.update(beta=4.0)


for x in data:
    {step("settings['beta']", 4)}
""", CHANGES),
    "an object whose weight is set by its name": (f"""
class Settings:
    beta = 0.5


settings = Settings()
setattr(settings, "beta", 4.0)
for x in data:
    {step("settings.beta", 4)}
""", CHANGES),
    "another file's settings": (f"""
import settings
class Other:
    beta = 0.5


for x in data:
    {step("settings.beta", 4)}
""", "settings"),
    "a sum and a mean over unknown rows": ("""
for x in data:
    recon, mu, logvar = model(x)
    loss = ((recon - x) ** 2).sum(1).mean() + 0.2 * klds(mu, logvar).sum()
    loss.backward()
""", "how many rows a batch has"),
    "an answer": (f"""
for x in data:
    beta = float(input("weight? "))
    {step("beta", 4)}
""", "which comes from input"),
}  # fmt: skip


@pytest.mark.parametrize("name", ASKED)
def test_a_weight_that_the_file_does_not_fix_is_asked_for(name, tmp_path):
    text, said = ASKED[name]
    result = found(tmp_path, text)
    assert result.objective is None
    [missing] = result.missing
    assert re.search(said, missing.what)


FUNCTION = """
def loss_of(recon, x, mu, logvar):
    rec, kl = ((recon - x) ** 2).sum(), klds(mu, logvar).sum()
    return rec + {} * kl, rec, kl


for i, x in enumerate(data):
    recon, mu, logvar = model(x)
    loss, rec, kl = loss_of(recon, x, mu, logvar)
    {}.backward()
"""


@pytest.mark.parametrize("total", ["(rec + settings.beta * kl)", "(rec + i * kl)"])
def test_a_function_is_not_believed_where_its_loop_adds_the_terms_with_an_unknown_weight(total, tmp_path):
    assert found(tmp_path, FUNCTION.format(1, total)).objective is None


@pytest.mark.parametrize("total", ["(loss / settings.steps)", "wrapped(loss)"])
def test_a_function_counts_where_its_loop_is_not_read_and_it_is_said(total, tmp_path):
    result = found(tmp_path, FUNCTION.format(4, total))
    assert result.objective.water_level == pytest.approx(2)
    [told] = [one for one in result.found if one.what == "loss"]
    assert "the training loop, line" in told.reason


@pytest.mark.parametrize(
    "act", ["open({!r}, 'w').write('1')", "os.system('touch ' + {!r})", "subprocess.call(['touch', {!r}])"]
)
@pytest.mark.parametrize("needed", [True, False])
def test_a_loop_writes_nothing_and_starts_nothing(act, needed, tmp_path):
    written = tmp_path / "written"
    act = act.format(str(written))
    text = f"beta = 4.0 + 0 * {act}" if needed else f"beta = 4.0\n    if beta:\n        beta = 4.0\n        {act}"
    result = found(tmp_path, f"for x in data:\n    {text}\n    {step('beta', 4)}")
    assert not written.exists()
    assert (result.objective is None) == needed


def test_a_file_that_asks_at_its_top_gets_no_answer(tmp_path):
    ask = builtins.input
    text = (
        MODEL.replace("{returns}", PLAIN) + "\nsize = input('size? ')\n\n\ndef loss_of(x, size=size):\n    return x\n"
    )
    assert found_in(tmp_path, text, run=MODEL).objective is None
    assert builtins.input is ask


def test_the_module_is_as_before_when_its_loop_sets_its_weight(tmp_path):
    own = "\n    beta = 0.5\n\n    def weight(self):\n        return self.beta\n"
    one = step("model.weight()", 8)
    loop = f"for epoch in range(30):\n    model.beta = epoch / 7.25\n    for x in data:\n        {one}"
    text = MODEL.replace("{returns}", PLAIN) + own + OPENING + loop
    result = found_in(tmp_path, text, run=MODEL + own)
    assert result.objective.water_level == pytest.approx(2)
    assert result.probe.module.beta == 0.5
