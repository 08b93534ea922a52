"""A better model handed over: never worse, on the user's own module, and training goes on from it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from uncollapse import DataError, Objective, ObjectiveError, OutputError, SourceError
from uncollapse.diagnosis.examine import diagnose
from uncollapse.probes.examples import module_probe
from uncollapse.reviving.build import revive
from uncollapse.reviving.folder import ARRAYS, FACTS, read_folder, write_folder
from uncollapse.reviving.load import load_revived
from uncollapse.reviving.module import RevivedModule

D, K = 8, 4


class User(nn.Module):
    """As people write it: two heads, their own forward and loss."""

    def __init__(self, sigmoid: bool = False) -> None:
        super().__init__()
        self.hidden = nn.Linear(D, 16)
        self.mean, self.log_variance = nn.Linear(16, K), nn.Linear(16, K)
        self.out = nn.Sequential(nn.Linear(K, 16), nn.Tanh(), nn.Linear(16, D))
        self.sigmoid = sigmoid

    def encode(self, x):
        h = torch.tanh(self.hidden(x))
        return self.mean(h), self.log_variance(h)

    def reparameterize(self, mean, log_variance):
        return mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)

    def decode(self, z):
        out = self.out(z)
        return torch.sigmoid(out) if self.sigmoid else out

    def forward(self, x):
        mean, log_variance = self.encode(x)
        return self.decode(self.reparameterize(mean, log_variance)), x, mean, log_variance


def killed(sigmoid: bool = False) -> User:
    """Every latent dead, and a decoder that ignores them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = User(sigmoid)
    with torch.no_grad():
        for layer in (model.mean, model.log_variance, model.out[0]):
            layer.weight.zero_()
            layer.bias.zero_()
    return model.eval()


@pytest.fixture
def x(rng):
    return rng.standard_normal((3000, 3)) @ (rng.standard_normal((3, D)) * 2) + 0.3 * rng.standard_normal((3000, D))


def loss_of(model, x, n_draws=20):
    """The objective by the user's own functions: half the squared error, plus the KL."""
    rows = torch.tensor(x, dtype=torch.float32)
    with torch.no_grad():
        mean, log_variance = model.encode(rows)
        kl = (0.5 * (mean**2 + log_variance.exp() - 1 - log_variance)).sum(1)
        missed = [
            (model.decode(mean + torch.exp(log_variance / 2) * torch.randn_like(mean)) - rows).square().sum(1) / 2
            for _ in range(n_draws)
        ]
    return float((torch.stack(missed).mean(0) + kl).mean())


@pytest.mark.filterwarnings("ignore::uncollapse.UncollapseWarning")
def test_a_dead_model_comes_to_life_and_its_loss_is_what_was_said(x, rng, tmp_path):
    model = killed()
    better = revive(model, x[:2000], objective=Objective(n_latents=K))
    assert better.alive_before == 0
    assert better.alive_after >= 3
    write_folder(better, tmp_path / "out")
    loaded = load_revived(model, tmp_path / "out")
    fresh = x[2000:]
    fall = loss_of(model, fresh) - loss_of(loaded, fresh)
    assert fall == pytest.approx(better.gain, rel=0.15)
    assert loaded.encode(torch.zeros(2, D))[0].shape == (2, K)


def test_the_users_own_class_and_forward_stay(x, tmp_path):
    model = killed()
    write_folder(revive(model, x, objective=Objective(n_latents=K)), tmp_path)
    loaded = load_revived(model, tmp_path)
    assert isinstance(loaded, User)
    reconstruction, same, mean, log_variance = loaded(torch.tensor(x[:5], dtype=torch.float32))
    assert reconstruction.shape == same.shape == (5, D)
    assert mean.shape == log_variance.shape == (5, K)
    assert float(mean.detach().var()) > 0.1
    untouched = model.encode(torch.tensor(x[:5], dtype=torch.float32))[0]
    assert float(untouched.detach().var()) == 0.0


def test_training_goes_on_from_it(x, tmp_path):
    model = killed()
    write_folder(revive(model, x, objective=Objective(n_latents=K)), tmp_path)
    loaded = load_revived(model, tmp_path).train()
    rows = torch.tensor(x, dtype=torch.float32)
    before, optimiser = loss_of(loaded, x), torch.optim.Adam(loaded.parameters(), 1e-3)
    for step in range(150):
        reconstruction, batch, mean, log_variance = loaded(rows[step * 20 % 2900 :][:100])
        kl = (0.5 * (mean**2 + log_variance.exp() - 1 - log_variance)).sum(1).mean()
        loss = (reconstruction - batch).square().sum(1).mean() / 2 + kl
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss_of(loaded, x) < before + 0.05


def test_a_second_call_works_and_finds_no_more_than_is_left(x, tmp_path):
    model = killed()
    first = revive(model, x, objective=Objective(n_latents=K))
    write_folder(first, tmp_path / "one")
    loaded = load_revived(model, tmp_path / "one")
    again = revive(loaded, x, objective=Objective(n_latents=K))
    assert again.alive_before == first.alive_after
    assert again.gain < 0.1 * first.gain
    if again.better:
        write_folder(again, tmp_path / "two")
        assert loss_of(load_revived(loaded, tmp_path / "two"), x) < loss_of(loaded, x) + 0.02


def test_a_revived_model_is_diagnosed_like_any_other(x):
    better = revive(killed(), x, objective=Objective(n_latents=K))
    d = diagnose(better.probe, x)
    assert d.n_alive == better.alive_after
    assert d.bill.line("path") is None or d.bill.line("path").gain < 0.1 * better.gain


def test_a_sound_model_stays_as_it_is(rng):
    x = 0.5 * rng.standard_normal((900, D))
    model = killed()
    torch.nn.init.zeros_(model.out[2].bias)
    better = revive(model, x - x.mean(0), objective=Objective(n_latents=K))
    assert not better.better
    assert better.loss_after == better.loss_before
    assert "nothing to gain" in better.summary()
    with pytest.raises(OutputError, match="nothing was to be gained"):
        write_folder(better, "nowhere")


@pytest.mark.parametrize("likelihood", ["bernoulli", "poisson"])
def test_other_likelihoods_gain_on_rows_of_their_own(rng, likelihood):
    z = rng.standard_normal((3000, 2)) @ rng.standard_normal((2, D))
    x = (rng.random((3000, D)) < 1 / (1 + np.exp(-2 * z))).astype(float)
    if likelihood == "poisson":
        x = rng.poisson(np.exp(0.3 * z)).astype(float)
    mean = x.mean(axis=0)
    model = (lambda rows: (np.zeros((len(rows), 3)), np.ones((len(rows), 3))), lambda z: np.tile(mean, (len(z), 1)))
    o = Objective(likelihood=likelihood, n_latents=3, beta=0.5)
    better = revive(model, x, spread="std", objective=o)
    assert better.better
    assert better.gain > 5 * better.gain_error
    assert better.alive_after >= 1


def test_a_module_of_probabilities_is_revived_in_its_logits(rng, tmp_path):
    z = rng.standard_normal((3000, 2)) @ rng.standard_normal((2, D))
    x = (rng.random((3000, D)) < 1 / (1 + np.exp(-2 * z))).astype(float)
    model = killed(sigmoid=True)
    o = Objective(likelihood="bernoulli", n_latents=K, beta=0.5)
    better = revive(model, x, objective=o)
    write_folder(better, tmp_path)
    loaded = load_revived(model, tmp_path)
    with torch.no_grad():
        out = loaded.decode(torch.randn(50, K))
    assert 0 <= float(out.min()) <= float(out.max()) <= 1
    mean = torch.tensor(x[:20], dtype=torch.float32)
    own = better.probe.encode(x[:20]).mean
    np.testing.assert_allclose(loaded.encode(mean)[0].detach().numpy(), own, atol=1e-4)


def test_a_model_that_needs_new_latents_gets_a_module_of_its_own(x, tmp_path):
    better = revive(killed(), x, objective=Objective(n_latents=K))
    assert better.additions.n_new == 0
    probe = module_probe(killed(), spread="log_variance")
    from dataclasses import replace

    wide = replace(better.additions, slots=np.full(better.additions.n_paths, -1))
    module = RevivedModule(probe, wide, Objective())
    mean, log_variance = module.encode(torch.tensor(x[:3], dtype=torch.float32))
    assert mean.shape == log_variance.shape == (3, K + wide.n_paths)
    assert module(torch.tensor(x[:3], dtype=torch.float32))[0].shape == (3, D)


def test_the_folder_of_another_model_is_refused(x, tmp_path):
    model = killed()
    write_folder(revive(model, x, objective=Objective(n_latents=K)), tmp_path)
    other = killed()
    with torch.no_grad():
        other.out[2].bias.add_(1.0)
    with pytest.raises(DataError, match="belong to another model"):
        load_revived(other, tmp_path)
    (tmp_path / FACTS).write_text(json.dumps(json.loads((tmp_path / FACTS).read_text()) | {"digest": ""}))
    with pytest.raises(ObjectiveError, match="no PyTorch module"):
        load_revived((lambda x: (x, x), lambda z: z), tmp_path, spread="std")


def test_damaged_folders_are_one_line(x, tmp_path):
    with pytest.raises(SourceError, match="holds no revived model"):
        read_folder(tmp_path)
    write_folder(revive(killed(), x, objective=Objective(n_latents=K)), tmp_path)
    content = (tmp_path / ARRAYS).read_bytes()
    for bad in (b"", content[:40], content[:-5]):
        (tmp_path / ARRAYS).write_bytes(bad)
        with pytest.raises(SourceError, match="damaged") as caught:
            read_folder(tmp_path)
        assert "\n" not in str(caught.value)
    (tmp_path / ARRAYS).write_bytes(content)
    (tmp_path / FACTS).write_text("{}")
    with pytest.raises(SourceError, match="damaged"):
        read_folder(tmp_path)


def test_of_overdispersed_counts_the_module_is_the_model_that_was_judged(rng, tmp_path):
    means = np.exp(0.4 * rng.standard_normal((2000, 2)) @ rng.standard_normal((2, D)) + 1.5)
    x = rng.negative_binomial(2.0, 2.0 / (2.0 + means)).astype(float)

    class Counts(User):
        def decode(self, z):
            return torch.exp(self.out(z))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Counts()
    model.load_state_dict(killed().state_dict())
    better = revive(model, x, objective=Objective(likelihood="negative-binomial", n_latents=K, beta=0.5))
    assert better.additions.dispersion.shape == (D,)
    better.write(tmp_path)
    loaded = load_revived(model, tmp_path)
    rows = torch.tensor(x[:30], dtype=torch.float32)
    with torch.no_grad():
        own = loaded.encode(rows)[0].numpy()
    np.testing.assert_allclose(own, better.probe.encode(x[:30]).mean, atol=1e-3)
