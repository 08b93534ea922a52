"""A model as it is, without a probe: diagnosed where its conventions can be known, and asked about in one line."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from uncollapse import Objective, diagnose, forecast, open_probe, verify
from uncollapse.errors import DataError, ObjectiveError

LOSS = Objective(beta=30.0, n_latents=2)


class Small(nn.Module):
    """A collapsed VAE of four columns that says how it draws."""

    def __init__(self):
        super().__init__()
        self.mean, self.out = nn.Linear(4, 2), nn.Linear(2, 4)
        with torch.no_grad():
            for part in (self.mean, self.out):
                part.weight.zero_(), part.bias.zero_()

    def encode(self, x):
        return self.mean(x), torch.zeros(len(x), 2)

    def reparameterize(self, mean, s):
        return mean + torch.exp(s / 2) * torch.randn_like(s)

    def decode(self, z):
        return self.out(z)


class Silent(Small):
    """The same, and nobody knows what its second output is."""

    reparameterize = None


class Images(Silent):
    """Takes images of one channel, two by two, as only a convolution does."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 1, 1)

    def encode(self, x):
        return self.mean(self.first(x).flatten(1)), torch.zeros(len(x), 2)

    def decode(self, z):
        return self.out(z).reshape(-1, 1, 2, 2)


@pytest.fixture
def x(rng):
    return rng.standard_normal((60, 4)) * [3.0, 2.0, 1.0, 0.5]


def test_a_bare_module_is_diagnosed_as_its_probe_is(x):
    model = Small()
    d, same = diagnose(model, x, objective=LOSS), diagnose(open_probe(model), x, objective=LOSS)
    assert (d.name, d.cause, d.n_alive) == ("Small", "objective", 0)
    assert d.verdict == same.verdict
    np.testing.assert_array_equal(d.measurement.kl, same.measurement.kl)


def test_all_that_is_missing_is_asked_for_in_one_line_that_works_when_it_is_followed(x):
    with pytest.raises(ObjectiveError, match="log-variance.*its loss.*spread='log_variance', objective=") as caught:
        diagnose(Silent(), x)
    assert "\n" not in str(caught.value)
    call = str(caught.value)
    call = call[call.index("diagnose(model") : call.index("kl_weight=1)") + len("kl_weight=1))")]
    assert eval(call, {"diagnose": diagnose, "model": Silent(), "x": x, "Objective": Objective}).n_alive == 0


def test_a_model_with_a_condition_is_asked_about_in_the_same_line(x):
    class Conditional(Silent):
        def encode(self, x, c):
            return super().encode(x + c)

        def decode(self, z, c):
            return super().decode(z) + c

    with pytest.raises(ObjectiveError, match="spread='log_variance', objective="):
        diagnose(Conditional(), x, given=x[:, :1])
    assert diagnose(Conditional(), x, given=x[:, :1], spread="log_variance", objective=LOSS).n_alive == 0


def test_only_what_is_missing_is_asked_for(x):
    with pytest.raises(ObjectiveError, match="Small does not say what it was trained on") as caught:
        diagnose(Small(), x)
    assert "spread=" not in str(caught.value)
    with pytest.raises(ObjectiveError, match="Silent does not say what its encoder gives") as caught:
        diagnose(Silent(), x, objective=LOSS)
    assert "objective=" not in str(caught.value)
    with pytest.raises(ObjectiveError, match="encoder gives.*its loss"):
        diagnose((lambda x: (x, x), lambda z: z), x)


def test_images_say_the_shape_of_a_sample(x):
    d = diagnose(Images(), x.reshape(60, 1, 2, 2), spread="log_variance", objective=LOSS)
    assert (d.measurement.n_latents, d.n_alive) == (2, 0)
    of_rows = diagnose(Images(), x, spread="log_variance", objective=LOSS)  # its first layer says that it takes images
    np.testing.assert_array_equal(of_rows.measurement.kl, d.measurement.kl)
    flat = diagnose(Silent(), x.reshape(60, 2, 2), spread="log_variance", objective=LOSS)  # it takes rows
    assert flat.measurement.n_latents == 2


def test_two_functions_need_no_probe(x):
    f = forecast(x, beta=1.0, n_latents=2)
    w = f.weights
    pair = (
        lambda rows: (rows @ w.encoder + w.encoder_bias, np.broadcast_to(w.encoder_std, (len(rows), 2))),
        lambda z: z @ w.decoder.T + w.decoder_bias,
    )
    assert diagnose(pair, x, spread="std", objective=f.objective).n_alive == f.n_alive


def test_a_remedy_is_verified_on_the_bare_module(x):
    model = Silent()
    d = diagnose(model, x, spread="log_variance", objective=LOSS)
    tried = verify(d, model, x, spread="log_variance", n_steps=2)
    assert len(tried.trials) == 1
    with pytest.raises(ObjectiveError, match="does not say what its encoder gives"):
        verify(d, model, x, n_steps=2)


def test_a_probe_has_a_spread_of_its_own(x):
    with pytest.raises(ObjectiveError, match="belong to open_probe"):
        diagnose(open_probe(Small()), x, objective=LOSS, spread="std")


@pytest.mark.parametrize("model", [None, 3, "", " ", "a\0b", Small, object(), np.zeros(3), {"encode": 1}])
def test_what_is_no_model_is_refused_in_one_line(x, model):
    with pytest.raises((ObjectiveError, ValueError)) as caught:
        diagnose(model, x, objective=LOSS)
    assert type(caught.value).__module__ == "uncollapse.errors"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"objective": "mse"}, "objective must be an Objective, got 'mse'"),
        ({"spread": np.zeros(2)}, "spread says what the encoder gives"),
        ({"input_shape": "1,28"}, "input_shape"),
        ({"scale": "2"}, "scale must be"),
        ({"scale": 0}, "scale must be"),
        ({"drop_nonfinite": "no"}, "drop_nonfinite must be True or False, got 'no'"),
        ({"n_rows": 1}, "n_rows must be a whole number from 2 on, got 1"),
        ({"n_rows": "many"}, "n_rows"),
        ({"seed": -1}, "seed must be"),
        ({"seed": None}, "seed must be"),
        ({"learning_rate": "fast"}, "learning_rate must be"),
        ({"learning_rate": float("nan")}, "learning_rate must be"),
    ],
)
def test_settings_are_checked_first(x, settings, said):
    with pytest.raises((ObjectiveError, DataError), match=said):
        diagnose(Small(), x, **{"objective": LOSS, **settings})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"n_remedies": -1}, "n_remedies must be"),
        ({"n_steps": 0.5}, "n_steps must be"),
        ({"retrainer": "mine"}, "retrainer must be a function"),
        ({"on_step": 3}, "on_step must be a function"),
        ({"retrainer": lambda probe, plan: None}, "the retrainer must return a probe, got None"),
        ({"retrainer": lambda probe, plan: 1 / 0}, "the retrainer fails: ZeroDivisionError"),
    ],
)
def test_settings_of_a_trial_are_checked_and_its_retrainer_too(x, settings, said):
    model = Small()
    d = diagnose(model, x, objective=LOSS)
    with pytest.raises(ValueError, match=said) as caught:
        verify(d, model, x, **settings)
    assert type(caught.value).__module__ == "uncollapse.errors"
    with pytest.raises(ObjectiveError, match="diagnosis must be a Diagnosis"):
        verify("diagnosis", model, x)
