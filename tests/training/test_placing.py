"""Devices by name, batches that a device's memory does not hold, bfloat16."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
import torch

from uncollapse import DataError, Objective, ObjectiveError, UncollapseError, UncollapseWarning, forecast, open_probe
from uncollapse.injecting.measure import injection_spectrum
from uncollapse.measure.observe import observe
from uncollapse.piloting.pilot import pilot
from uncollapse.probes.placed import placed
from uncollapse.training import Network, Setup, Training, grid, sweep, train, train_all
from uncollapse.training import stack as stack_module

SHORT = Training(epochs=3, batch_size=64, learning_rate=1e-2)
LOSS = Objective(beta=0.5, n_latents=2)
ABSENT = "cuda:77"


@pytest.fixture
def x(rng):
    return rng.standard_normal((256, 4)) * [3.0, 1.5, 0.5, 0.1]


class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.to_z, self.back = torch.nn.Linear(4, 4), torch.nn.Linear(2, 4)

    def encode(self, x):
        return self.to_z(x).chunk(2, 1)

    def decode(self, z):
        return self.back(z)


class Shifted(torch.nn.Module):
    """A decoder without latents."""

    def __init__(self):
        super().__init__()
        self.inject = torch.nn.Identity()

    def forward(self, x):
        return torch.distributions.Normal(self.inject(torch.zeros_like(x)), 1.0)


def small():
    torch.manual_seed(0)
    return open_probe(Small(), spread="log_variance")


@contextmanager
def out_of_memory(monkeypatch, owner, name, times=1):
    """A stand-in for a device whose memory runs out the first times that a function is called; gives their number."""
    real, calls = getattr(owner, name), []

    def once(*args, **kwargs):
        calls.append(None)
        if len(calls) <= times:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
        return real(*args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, once)
        yield calls


def test_a_device_by_name_gives_what_no_name_gives(x, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("no name means the GPU here")
    named = train(x, objective=LOSS, training=SHORT, device="cpu")
    assert named.history["loss"][-1] == train(x, objective=LOSS, training=SHORT).history["loss"][-1]
    setups = grid(Setup(LOSS, training=SHORT), seeds=2)
    both = train_all(setups, x, device="cpu"), train_all(setups, x)
    assert [vae.history["loss"][-1] for vae in both[0]] == [vae.history["loss"][-1] for vae in both[1]]
    columns = sweep(x, setups, tmp_path / "sweep", device="cpu")
    assert columns["loss"][0] == pytest.approx(both[1][0].evaluate(x).loss, rel=1e-6)
    probe = small()
    kl = observe(probe, x).measurement.kl
    np.testing.assert_array_equal(observe(placed(probe, "cpu"), x).measurement.kl, kl)
    f = forecast(x, beta=0.5, n_latents=2)
    plan = {"n_levels": 1, "n_seeds": 1, "training": Training(epochs=2)}
    np.testing.assert_array_equal(pilot(x, f, device="cpu", **plan).kl, pilot(x, f, **plan).kl)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (ABSENT, f"device {ABSENT}: no such device here; PyTorch sees cpu"),
        ("warp", "device warp: cannot be used here: .*; PyTorch sees cpu"),
        ("meta", "device meta: cannot be used here: .*; PyTorch sees cpu"),
    ],
)
def test_a_device_that_is_not_here_is_one_line(x, tmp_path, name, says):
    f = forecast(x, beta=0.5, n_latents=2)
    for door in (
        lambda: train(x, objective=LOSS, training=SHORT, device=name),
        lambda: train_all([Setup(LOSS, training=SHORT)], x, device=name),
        lambda: sweep(x, [Setup(LOSS, training=SHORT)], tmp_path / "sweep", device=name),
        lambda: placed(small(), name),
        lambda: pilot(x, f, device=name, n_levels=1, n_seeds=1),
        lambda: pilot(x, f, model=Small, spread="log_variance", device=name, n_levels=1, n_seeds=1),
        lambda: injection_spectrum(Shifted(), x, device=name),
    ):
        with pytest.raises(ObjectiveError, match=says) as caught:
            door()
        assert "\n" not in str(caught.value)


def test_a_model_that_pytorch_cannot_move_says_so():
    probe = open_probe((lambda x: (x, 0 * x), lambda z: z), spread="log_variance")
    with pytest.raises(ObjectiveError, match="device cpu: .* is no PyTorch module; its own library says where it runs"):
        placed(probe, "cpu")


def test_a_training_whose_memory_runs_out_begins_again_with_half_the_batch(x, monkeypatch, tmp_path):
    smaller = train(x, objective=LOSS, training=Training(epochs=3, batch_size=32, learning_rate=1e-2))
    with (
        out_of_memory(monkeypatch, stack_module, "sampled_terms") as calls,
        pytest.warns(UncollapseWarning, match="does not hold batches of 64 rows; training begins again with 32"),
    ):
        found = train(x, objective=LOSS, training=SHORT)
    assert len(calls) == 1 + 3 * 8
    assert found.setup.training.batch_size == 32
    assert found.history["loss"][-1] == smaller.history["loss"][-1]


def test_a_network_too_large_for_one_row_is_one_line(x, monkeypatch, tmp_path):
    with (
        out_of_memory(monkeypatch, stack_module, "sampled_terms", times=99),
        pytest.warns(UncollapseWarning),
        pytest.raises(UncollapseError, match="memory does not hold this network; use a smaller one, or device cpu"),
    ):
        train(x, objective=LOSS, training=SHORT)
    path = tmp_path / "vae.safetensors"
    train(x, objective=LOSS, training=SHORT, checkpoint=path)
    longer = Training(epochs=4, batch_size=64, learning_rate=1e-2)
    with (
        out_of_memory(monkeypatch, stack_module, "sampled_terms"),
        pytest.raises(UncollapseError, match="batches of 64 rows, which this checkpoint is of; train anew with 32"),
    ):
        train(x, objective=LOSS, training=longer, checkpoint=path)


def test_an_ensemble_whose_memory_runs_out_goes_on_by_fewer_networks_and_comes_to_the_same(x, monkeypatch):
    setups = grid(Setup(LOSS, training=SHORT), seeds=4)
    expected = [vae.history["loss"][-1] for vae in train_all(setups, x, stack=2)]
    with (
        out_of_memory(monkeypatch, stack_module, "sampled_terms"),
        pytest.warns(UncollapseWarning, match="does not hold 4 networks at once; they go on by 2"),
    ):
        found = train_all(setups, x, stack=4)
    np.testing.assert_allclose([vae.history["loss"][-1] for vae in found], expected, rtol=1e-6)
    assert {vae.setup.training.batch_size for vae in found} == {64}


def test_a_measurement_whose_memory_runs_out_goes_on_by_fewer_rows(x, monkeypatch):
    probe = small()
    expected = observe(probe, x).measurement.kl, probe.decode(x[:, :2])
    with out_of_memory(monkeypatch, torch.nn.Linear, "forward"), pytest.warns(UncollapseWarning, match="by 128"):
        found = observe(probe, x).measurement.kl
    np.testing.assert_allclose(found, expected[0], rtol=1e-5)
    with (
        out_of_memory(monkeypatch, torch.nn.Linear, "forward", times=2),
        pytest.warns(UncollapseWarning, match="did not hold 256 rows at once; they went by 64"),
    ):
        np.testing.assert_allclose(probe.decode(x[:, :2]), expected[1], rtol=1e-5)
    with (
        out_of_memory(monkeypatch, torch.nn.Linear, "forward", times=99),
        pytest.raises(DataError, match="does not hold one row; measure on cpu"),
    ):
        observe(probe, x)


def test_a_decoder_whose_memory_runs_out_goes_on_by_fewer_sequences(rng, monkeypatch):
    x = rng.standard_normal((400, 2)) * [2.0, 1.0]
    expected = injection_spectrum(Shifted(), x)
    with (
        out_of_memory(monkeypatch, torch.autograd, "grad"),
        pytest.warns(UncollapseWarning, match="does not hold 64 sequences at once; now 32"),
    ):
        found = injection_spectrum(Shifted(), x)
    np.testing.assert_allclose(found.held_out, expected.held_out, rtol=0.3)


def test_bfloat16_keeps_the_same_latents_alive(rng):
    x = rng.standard_normal((512, 8)) * [4, 3, 2, 0.3, 0.3, 0.2, 0.2, 0.1]
    how = {"epochs": 120, "batch_size": 64, "learning_rate": 1e-2, "cooling": 60}
    loss = Objective(beta=1.0, n_latents=5)
    both = [
        train(x, objective=loss, network=Network(hidden=(16,)), training=Training(mixed_precision=mixed, **how))
        for mixed in (False, True)
    ]
    alive = [vae.evaluate(x).n_alive for vae in both]
    assert alive[0] == alive[1] == forecast(x, objective=loss).n_alive
    kls = [np.sort(vae.evaluate(x).kl)[::-1][: alive[0]] for vae in both]
    np.testing.assert_allclose(kls[1], kls[0], rtol=0.2)
    assert all(value.dtype == torch.float32 for value in both[1].parameters.values())
