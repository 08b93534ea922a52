"""Data of another size, arguments that a class has not, and what a `forward` must be given beside x."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from seeds import SEED
from uncollapse.errors import ObjectiveError, SourceError
from uncollapse.inferring.infer import infer
from uncollapse.inferring.result import Said


def draws(mean, log_variance):
    return mean + torch.randn_like(mean) * (log_variance / 2).exp()


class Rows(nn.Module):
    """Takes rows of 10."""

    def __init__(self):
        super().__init__()
        self.enc = nn.ModuleDict({"trunk": nn.Linear(10, 6), "loc": nn.Linear(6, 2), "wide": nn.Linear(6, 2)})
        self.decoder = nn.Linear(2, 10)

    def forward(self, x):
        h = torch.relu(self.enc["trunk"](x))
        mean, log_variance = self.enc["loc"](h), self.enc["wide"](h)
        return self.decoder(draws(mean, log_variance)), mean, log_variance


class Images(nn.Module):
    """Takes images of 1 × 8 × 8."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 2, 4, 2, 1), nn.Flatten())
        self.last, self.decoder = nn.Linear(32, 4), nn.Sequential(nn.Linear(2, 64), nn.Unflatten(1, (1, 8, 8)))

    def forward(self, x):
        mean, log_variance = self.last(self.body(x)).chunk(2, 1)
        return self.decoder(draws(mean, log_variance)), mean, log_variance


@pytest.mark.parametrize(
    ("model", "shape", "said"),
    [
        (Rows(), (12,), r"Rows: the data have 12 columns .*first layer that they meet \(enc.trunk, Linear\) takes 10"),
        (Rows(), (5, 5), r"have 25 columns or numbers a sample, and the first layer that they meet .* takes 10"),
        (Images(), (3, 8, 8), r"have 3 channel\(s\) \(3 × 8 × 8\), and the first layer .*body.0, Conv2d\) takes 1"),
        (Images(), (1, 12, 12), r"samples of 1 × 12 × 12, its layer last, Linear is given 72 numbers and takes 32"),
    ],
)  # fmt: skip
def test_data_of_another_size_are_told_by_the_layer_that_they_do_not_fit(model, shape, said):
    x = np.random.default_rng(SEED).standard_normal((40, *shape))
    with pytest.raises(ObjectiveError, match=said) as refused:
        infer(model.eval(), x, said=Said(loss=True))
    assert "\n" not in str(refused.value)


class NoSpread(Rows):
    def forward(self, x):
        return self.decoder(self.enc["loc"](self.enc["trunk"](x)))


def test_of_a_module_that_takes_the_data_no_layer_is_blamed():
    with pytest.raises(ObjectiveError, match=r"no way to encode.*\. Give a function .* in place of the weights$"):
        infer(NoSpread().eval(), np.ones((40, 10)), said=Said(loss=True))


WARM = """
import torch
from torch import nn

class Warm(nn.Module):
    def __init__(self, latents=2):
        super().__init__()
        self.first, self.last = nn.Linear(10, 2 * latents), nn.Linear(latents, 10)
    def forward(self, x, *, temperature{more}):
        mean, log_variance = self.first(x).chunk(2, 1)
        z = mean + temperature * torch.randn_like(mean) * (log_variance / 2).exp()
        return self.last(z), mean, log_variance

if __name__ == "__main__":
    for batch in loader:
        Warm()(batch, temperature={value})
"""


@pytest.fixture
def warm(tmp_path):
    def write(value, more=""):
        text = WARM.format(value=value, more=more)
        (tmp_path / "warm.py").write_text(text)
        namespace: dict = {"__name__": "warm"}
        exec(text, namespace)
        torch.manual_seed(SEED)
        torch.save(namespace["Warm"]().state_dict(), tmp_path / "warm.pth")
        return tmp_path / "warm.pth", str(tmp_path / "warm.py")

    return write


def rows():
    return np.random.default_rng(SEED).standard_normal((60, 10))


def test_what_forward_must_be_given_is_what_its_file_gives_it(warm):
    weights, file = warm(1.0)
    found = infer(weights, rows(), said=Said(file, loss=True))
    (line,) = [one for one in found.found if one.what == "given to forward"]
    assert line.value == "temperature=1.0"
    again = copy.deepcopy(found.probe)
    np.testing.assert_array_equal(again.encode(rows()).mean, found.probe.encode(rows()).mean)


def test_what_the_file_gives_forward_only_as_it_runs_is_named(warm):
    weights, file = warm("schedule(batch)")
    with pytest.raises(ObjectiveError, match="it takes temperature as well"):
        infer(weights, rows(), said=Said(file, loss=True))


@pytest.mark.parametrize("name", ["zdim", "zdim.latents2"])
def test_an_argument_that_the_class_has_not_is_refused(name, warm):
    weights, file = warm(1.0)
    with pytest.raises(SourceError, match=f"Warm has no argument {name} .*; it has latents$"):
        infer(weights, rows(), said=Said(file, arguments={name: 3}, loss=True))


def test_an_argument_that_the_class_has_is_taken(warm):
    weights, file = warm(1.0)
    infer(weights, rows(), said=Said(file, arguments={"latents": 2}, loss=True))
