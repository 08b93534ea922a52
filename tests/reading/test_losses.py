"""Losses as people write them: each read by its values, against its water level on paper."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from losses import LOSSES
from uncollapse import LossConvention, LossReading, Objective, ObjectiveError, forecast, read_loss

K = 4


def read(loss):
    shape = loss.shape[0] if len(loss.shape) == 1 else loss.shape
    return read_loss(loss.function, shape, K, total=loss.total, settings=loss.settings)


def test_there_are_thirty_and_more():
    assert len(LOSSES) >= 30


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.source)
def test_it_is_read_as_it_is_on_paper(loss):
    reading = read(loss)
    said = " ".join([reading.headline, *reading.remarks])
    assert loss.says in said
    if loss.level is None:
        assert reading.outside or reading.random
        return
    assert not reading.outside
    assert reading.water_level == pytest.approx(loss.level, rel=1e-4)
    if reading.convention is not None:
        assert reading.convention.water_level == pytest.approx(loss.level, rel=1e-4)


@pytest.mark.parametrize("loss", [one for one in LOSSES if one.level is not None], ids=lambda loss: loss.source)
def test_the_objective_is_the_loss_up_to_a_factor_and_a_constant(loss, rng):
    """At points of its own, drawn anew: differences of the loss are those of misfit and KL with the weights read."""
    reading = read(loss)
    if reading.kl.free_nats or reading.kl.ceiling or reading.kl.capacity or reading.likelihood != "gaussian":
        return
    if reading.learns_variance or reading.random or hasattr(loss.function, "training_step"):
        return
    from uncollapse.reading.arguments import Caller, Point

    call = Caller(loss.function, loss.settings, None)
    values, forms = [], []
    for _ in range(6):
        n = 8
        x, recon = rng.standard_normal((2, n, *loss.shape))
        mean, log_variance = rng.standard_normal((2, n, K))
        values.append(call(Point(recon, x, mean, log_variance)))
        kl = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance).sum()
        scale = reading.batch_size / n if reading.misfit.batch != reading.kl.batch else 1.0
        scale = 1 / scale if reading.kl.batch == "mean" else scale
        forms.append(((recon - x) ** 2).sum() / 2 + reading.water_level / scale * kl)
    slope = np.diff(values) / np.diff(forms)
    np.testing.assert_allclose(slope, slope[0], rtol=1e-4)


def test_from_function_leads_to_the_forecast(rng):
    x = rng.standard_normal((500, 12)) * np.sqrt(np.geomspace(20, 0.1, 12))
    mean_loss = next(one for one in LOSSES if "default" in one.source)
    o = Objective.from_function(mean_loss.function, 12, K)
    assert o.loss == LossConvention(reduction="mean", n_features=12, n_latents=K, batch_size=128)
    assert forecast(x, objective=o).n_alive == int((forecast(x).critical_levels[:K] > 6).sum())
    with pytest.raises(ObjectiveError, match="no water level"):
        Objective.from_function(next(one for one in LOSSES if "turned" in one.source).function, 12, K)


def ask(recon, x, mu, logvar, beta):
    return ((recon - x) ** 2).mean() + beta * (mu**2).sum()


def several(recon, x, mu, logvar):
    return {"rec": ((recon - x) ** 2).sum(), "kld": (mu**2).sum()}


def on_gpu(recon, x, mu, logvar):
    raise RuntimeError("Expected all tensors to be on the same device, cuda:0 and cpu")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (ask, "asks for beta"),
        (several, "gives rec, kld; which is the total"),
        (on_gpu, "fails on made-up numbers: RuntimeError: Expected all tensors to be on the same device"),
        (lambda: 0.0, "no reconstruction term"),
        (3, "must be a function"),
        (type("Half", (), {"training_step": lambda *_: 0.0})(), "no encode and no decode"),
    ],
)
def test_what_cannot_be_read_is_one_line(function, message):
    with pytest.raises(ObjectiveError, match=message) as caught:
        read_loss(function, 6, 2).water_level  # noqa: B018
    assert "\n" not in str(caught.value)


def test_a_tensor_of_an_unknown_name_is_to_be_renamed_and_a_number_to_be_said():
    def odd(x, xr, loc, raw):
        return ((x - xr) ** 2).sum(1).mean() + (-raw.log() + (raw**2 + loc**2) / 2 - 0.5).sum(1).mean()

    with pytest.raises(ObjectiveError, match=r"rename a tensor to what it is \(recon, logvar, or std") as caught:
        read_loss(odd, 6, 2)
    assert "asks for xr, raw" in str(caught.value)
    assert read_loss(lambda x, recon, loc, std: odd(x, recon, loc, std), 6, 2).water_level == pytest.approx(0.5)
    with pytest.raises(ObjectiveError, match="say each") as caught:
        read_loss(ask, 6, 2)
    assert "rename" not in str(caught.value)


def test_several_values_by_name_or_place():
    assert read_loss(ask, 6, 2, settings={"beta": 2.0}).kl.faults
    with_total = read_loss(several, 6, 2, total="rec")
    assert with_total.misfit.kind == "squared"


def test_of_a_kl_that_weighs_nothing_no_size_is_said():
    def zero(recon, x, mu, logvar):
        return ((recon - x) ** 2).sum(1).mean() + 0 * (1 + logvar - mu**2 - logvar.exp()).mean()

    reading = read_loss(zero, 64, K)
    assert reading.remarks == ("There is no KL: posteriors change nothing.",)
    assert not any("KL" in name or "KL" in value for name, value in reading.card().facts)


def test_reading_leaves_the_generators_alone():
    torch.manual_seed(5)
    before, own = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    read(next(one for one in LOSSES if "dropout" in one.source))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert (np.random.get_state()[1] == own).all()  # noqa: NPY002


def test_a_reading_shows_itself():
    reading = read(LOSSES[0])
    assert isinstance(reading, LossReading)
    assert "β = 1" in reading.summary()
    assert reading.to_dict()["water_level"] == 1.0
    assert "loss_function" in repr(reading)


def test_no_torch_is_loaded_for_a_loss_on_arrays(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    array_loss = next(one for one in LOSSES if "NumPy" in one.source)
    assert read(array_loss).water_level == 4.0
