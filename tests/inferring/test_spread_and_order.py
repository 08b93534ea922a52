"""Mean and spread in either order, and a spread that the draws of z or the loss tell."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from seeds import SEED
from uncollapse.errors import ObjectiveError
from uncollapse.inferring.infer import infer
from uncollapse.inferring.result import Said

COLUMNS, LATENTS = 10, 3


def rows():
    return np.random.default_rng(SEED).standard_normal((60, COLUMNS))


class SpreadFirst(nn.Module):
    """Its encoder gives the log-variance before the mean, in one of four forms."""

    def __init__(self, form):
        super().__init__()
        torch.manual_seed(SEED)
        self.form = form
        self.mean, self.wide = nn.Linear(COLUMNS, LATENTS), nn.Linear(COLUMNS, LATENTS)
        self.back = nn.Linear(LATENTS, COLUMNS)

    def both(self, x):
        return self.mean(x) + 1, 0.3 * self.wide(x) - 1

    def encode(self, x):
        mean, log_variance = self.both(x)
        if self.form == "halves":
            return torch.cat([log_variance, mean], 1)
        if self.form == "pairs":
            return torch.stack([log_variance, mean], 2).flatten(1)
        return log_variance, mean

    def decode(self, z):
        return self.back(z)

    def forward(self, x):
        mean, log_variance = self.both(x)
        out = self.decode(mean + torch.randn_like(mean) * (log_variance / 2).exp())
        return (out, log_variance, mean)


class OnlyForward(SpreadFirst):
    """No part of it encodes alone."""

    encode = decode = None

    def forward(self, x):
        mean, log_variance = self.both(x)
        out = self.back(mean + torch.randn_like(mean) * (log_variance / 2).exp())
        return {"out": out, "first": log_variance, "second": mean}


@pytest.mark.parametrize("model", [*(SpreadFirst(form) for form in ("tuple", "halves", "pairs")), OnlyForward("dict")],
                         ids=["tuple", "halves", "pairs", "forward"])  # fmt: skip
@pytest.mark.parametrize("spread", [None, "log_variance"])
def test_a_spread_before_the_mean_is_seen_by_the_draws_of_z(model, spread):
    found = infer(model.eval(), rows(), said=Said(loss=True, spread=spread))
    codes = found.probe.encode(rows()[:5])
    with torch.no_grad():
        mean, log_variance = model.both(torch.as_tensor(rows()[:5], dtype=torch.float32))
    np.testing.assert_allclose(codes.mean, mean, atol=1e-5)
    np.testing.assert_allclose(codes.variance, log_variance.exp(), rtol=1e-4)
    assert [one for one in found.found if one.what == "order" and "spread first" in one.value]
    assert found.probe.notes == ()


class Usual(SpreadFirst):
    def encode(self, x):
        return self.both(x)


def test_the_usual_order_is_kept_and_not_spoken_of():
    found = infer(Usual("tuple").eval(), rows(), said=Said(loss=True))
    assert not [one for one in found.found if one.what == "order"]


class Elsewhere(SpreadFirst):
    """Neither of its two outputs is the mean of z."""

    def forward(self, x):
        mean, log_variance = self.both(x)
        return self.decode(5 - 2 * mean + torch.randn_like(mean) * (log_variance / 2).exp())


def test_draws_of_neither_order_are_refused_with_both_reasons():
    with pytest.raises(ObjectiveError, match=r"in either order: does z go through a flow\?.*other outputs") as refused:
        infer(Elsewhere("tuple").eval(), rows(), said=Said(loss=True))
    assert "\n" not in str(refused.value)


def test_a_spread_that_the_draws_do_not_have_is_doubted_and_theirs_is_not():
    model = Usual("tuple").eval()
    (note,) = infer(model, rows(), said=Said(loss=True, spread="variance")).probe.notes
    assert note.startswith("--spread variance is not what")
    assert "log_variance" in note
    assert infer(model, rows(), said=Said(loss=True, spread="log_variance")).probe.notes == ()


LOOP = """
import torch
from torch import nn
from torch.nn import functional as F

class Loose(nn.Module):
    def __init__(self):
        super().__init__()
        self.mean, self.wide, self.back = nn.Linear(10, 3), nn.Linear(10, 3), nn.Linear(3, 10)
    def encode(self, x):
        return self.mean(x), F.softplus(self.wide(x))
    def decode(self, z):
        return self.back(z)

if __name__ == "__main__":
    model = Loose()
    for batch in data:
        a, b = model.encode(batch)
        z = a + {std} * torch.randn_like(a)
        fit = ((model.decode(z) - batch) ** 2).sum(1)
        cost = fit + 4 * (a ** 2 + {variance} - 1 - {log}).sum(1) / 2
        cost.mean().backward()
"""


@pytest.fixture
def loop(tmp_path):
    def write(std, variance, log):
        text = LOOP.format(std=std, variance=variance, log=log)
        (tmp_path / "loose.py").write_text(text)
        namespace: dict = {"__name__": "loose"}
        exec(text, namespace)
        torch.manual_seed(SEED)
        torch.save(namespace["Loose"]().state_dict(), tmp_path / "loose.pth")
        return tmp_path / "loose.pth", str(tmp_path / "loose.py")

    return write


@pytest.mark.parametrize(
    ("spread", "code"),
    [("std", ("b", "b ** 2", "2 * b.log()")), ("variance", ("b.sqrt()", "b", "b.log()"))],
)
def test_the_loss_in_the_loop_tells_the_spread_of_a_module_that_draws_nothing(spread, code, loop):
    weights, file = loop(*code)
    found = infer(weights, rows(), said=Said(file))
    assert found.missing == ()
    assert found.probe.spread == spread
    assert found.objective.water_level == pytest.approx(2)
    (note,) = infer(weights, rows(), said=Said(file, spread="log_variance")).probe.notes
    assert f"that says {spread}" in note


def test_a_spread_that_nothing_tells_is_asked_for_with_no_value_that_could_be_taken(loop):
    weights, file = loop("b", "b", "b")  # its loop has no KL
    missing = infer(weights, rows(), said=Said(file)).missing
    assert missing[0].typed == "--spread log_variance|variance|std"
