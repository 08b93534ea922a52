"""One training: that it goes on where it stopped, stops where it must, and loses nothing on the way."""

from __future__ import annotations

import itertools
import resource
from dataclasses import replace

import numpy as np
import pytest
import torch

from uncollapse import DataError, Objective, ObjectiveError, OutputError, SourceError, forecast
from uncollapse.errors import TrainingError
from uncollapse.objective import Level
from uncollapse.training import Network, Schedule, Setup, Training, forecast_loss, load, save, train
from uncollapse.training.architecture import architecture
from uncollapse.training.data import table
from uncollapse.training.fit import prepared
from uncollapse.training.loop import Run, likely_cause
from uncollapse.training.stack import Stack

MODELS = {
    "linear": (Objective(n_latents=2), Network()),
    "MLP": (Objective(n_latents=2), Network(hidden=(8, 6), activation="tanh")),
    "one layer decoding": (Objective(n_latents=2), Network(hidden=(8,), decoder_hidden=(), activation="silu")),
    "global width": (Objective(n_latents=2), Network(hidden=(8,), encoder_variance="global")),
    "fixed width": (Objective(n_latents=2, encoder_variance=0.25), Network(hidden=(8,))),
    "partly learned": (Objective(encoder_variance=(0.2, "learned")), Network(hidden=(8,))),
    "learned decoder": (Objective(n_latents=2, decoder_variance="learned"), Network(hidden=(8,))),
    "no bias": (Objective(n_latents=2, bias=False), Network(hidden=(8,))),
    "images": (Objective(n_latents=2), Network(image=(2, 7, 6), channels=(3, 4), hidden=(8,))),
    "two levels": (
        Objective(levels=(Level(1, 0.3, 3), Level(2, "learned", 2))),
        Network(hidden=(8,), level_hidden=(5,)),
    ),
}


def data_for(network: Network, rng: np.random.Generator, n: int = 150) -> np.ndarray:
    d = int(np.prod(network.image)) if network.image else 5
    return (rng.standard_normal((n, 3)) @ rng.standard_normal((3, d)) + 0.1 * rng.standard_normal((n, d))).astype("f4")


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_every_model_learns(model, conditional, rng):
    o, network = MODELS[model]
    x = data_for(network, rng)
    given = rng.standard_normal((len(x), 2)) if conditional else None
    quick = Training(epochs=15, learning_rate=0.01, batch_size=40)
    vae = train(x, given=given, objective=o, network=network, training=quick)
    assert vae.history["loss"][-1] < vae.history["loss"][0]
    mean, variance = vae.encode(x, given)
    assert mean.shape == variance.shape == (len(x), vae.architecture.latents[0])
    assert vae.reconstruct(x, given).shape == x.shape
    found = vae.evaluate(x, given=given)
    assert found.loss < vae.history["loss"][0]
    assert found.kl.shape == (vae.architecture.n_latents,)
    assert np.isfinite(found.elbo)


@pytest.mark.parametrize("likelihood", ["bernoulli", "poisson", "negative-binomial"])
def test_every_likelihood_learns(likelihood, rng):
    rate = np.exp(rng.standard_normal((400, 2)) @ rng.standard_normal((2, 6)) * 0.5)
    y = (rate > rng.uniform(size=rate.shape)) * 1.0 if likelihood == "bernoulli" else rng.poisson(rate)
    network, quick = Network(hidden=(16,)), Training(epochs=40, learning_rate=0.01, batch_size=50)
    o = Objective(likelihood=likelihood, n_latents=2, beta=0.5)
    vae = train(y, objective=o, network=network, training=quick)
    collapsed = train(y, objective=Objective(likelihood=likelihood, n_latents=2, beta=100.0), network=network,
                      training=quick)  # fmt: skip
    assert vae.evaluate(y).n_alive >= 1
    assert collapsed.evaluate(y).n_alive == 0
    assert vae.evaluate(y).loss < collapsed.evaluate(y).loss
    means = collapsed.reconstruct(y)
    np.testing.assert_allclose(means.mean(0), y.mean(0), rtol=0.3, atol=0.1)


ONGOING = {
    "MLP, clipped": (Network(hidden=(8,)), Training(clip=1.0, schedule=Schedule("linear", 4))),
    "SGD": (Network(hidden=(8,)), Training(optimiser="sgd", momentum=0.9, learning_rate=1e-3)),
    "analytic": (Network(), Training(estimator="analytic", steps_per_epoch=7)),
    "images": (Network(image=(2, 7, 6), channels=(3,)), Training(mixed_precision=True)),
    "cooling": (Network(hidden=(8,)), Training(cooling=4, learning_rate=0.01)),
}


class Killed(Exception):
    pass


@pytest.mark.parametrize("case", ONGOING)
def test_training_goes_on_bit_for_bit(case, rng, tmp_path, monkeypatch):
    from uncollapse.training import loop

    network, training = ONGOING[case]
    training, x = replace(training, epochs=6, batch_size=40), data_for(network, rng)
    o = Objective(n_latents=2, decoder_variance="learned")
    whole = train(x, objective=o, network=network, training=training)

    counter = itertools.count()
    original = loop.Run._one_epoch

    def dies_in_the_fourth(run, see):
        if next(counter) == 3:
            raise Killed
        original(run, see)

    path = tmp_path / "state.safetensors"
    monkeypatch.setattr(loop.Run, "_one_epoch", dies_in_the_fourth)
    with pytest.raises(Killed):
        train(x, objective=o, network=network, training=training, checkpoint=path, checkpoint_seconds=0)
    monkeypatch.undo()
    assert load(path).n_epochs == 3
    onwards = train(x, objective=o, network=network, training=training, checkpoint=path)
    for name, value in whole.parameters.items():
        assert torch.equal(value, onwards.parameters[name]), name
    np.testing.assert_array_equal(whole.history["loss"], onwards.history["loss"])
    np.testing.assert_array_equal(whole.latent_kl, onwards.latent_kl)
    if training.cooling:
        return
    # a finished training can be made longer, as if it had been meant so
    longer = replace(training, epochs=8)
    more = train(x, objective=o, network=network, training=longer, checkpoint=path)
    at_once = train(x, objective=o, network=network, training=longer)
    assert all(torch.equal(value, more.parameters[name]) for name, value in at_once.parameters.items())


def test_a_training_is_cooled_after_it_ended_as_if_it_had_been_meant_so(rng, tmp_path):
    x, path, o = data_for(Network(), rng), tmp_path / "a.safetensors", Objective(n_latents=2)
    train(x, objective=o, training=Training(epochs=3), checkpoint=path)
    cooled = Training(epochs=6, cooling=3)
    onwards = train(x, objective=o, training=cooled, checkpoint=path)
    at_once = train(x, objective=o, training=cooled)
    assert all(torch.equal(value, onwards.parameters[name]) for name, value in at_once.parameters.items())
    for other, told in (
        (Training(epochs=8, cooling=3), r"epochs: 6 → 8\)"),
        (Training(epochs=6), r"cooling: 3 → 0\)"),
        (Training(epochs=7, cooling=2), "epochs: 6 → 7; cooling: 3 → 2"),
    ):
        with pytest.raises(TrainingError, match=told):
            train(x, objective=o, training=other, checkpoint=path)


def test_cooling_takes_the_noise_of_the_steps_out_of_the_loss(rng):
    x = data_for(Network(), rng, 300)
    noisy = Training(epochs=80, learning_rate=0.1, batch_size=50)
    best = forecast_loss(forecast(x.astype(float), objective=Objective(n_latents=2)))
    above = [
        train(x, objective=Objective(n_latents=2), training=how).evaluate(x).loss / best - 1
        for how in (noisy, replace(noisy, cooling=60))
    ]
    assert above[1] < above[0] / 2


def test_the_rate_falls_linearly(rng):
    x, o = data_for(Network(), rng), Objective(n_latents=2)
    one = Training(optimiser="sgd", learning_rate=1e-3, estimator="analytic", steps_per_epoch=1, epochs=1)
    two = replace(one, epochs=2)
    first, plain, cooled = (train(x, objective=o, training=t).parameters for t in (one, two, replace(two, cooling=2)))
    for name, value in first.items():  # the second step has the same gradient and half the rate
        torch.testing.assert_close(cooled[name] - value, (plain[name] - value) / 2, rtol=1e-6, atol=1e-12)


def test_cooling_must_fit_the_epochs_and_goes_without_patience():
    with pytest.raises(ObjectiveError, match="from 0 to 5 .*got 6"):
        Training(epochs=5, cooling=6)
    with pytest.raises(ObjectiveError, match="got -1"):
        Training(cooling=-1)
    with pytest.raises(ObjectiveError, match="leaves no room for patience"):
        Training(cooling=3, patience=2)


def test_a_checkpoint_of_another_training_is_refused(rng, tmp_path):
    x, path = data_for(Network(), rng), tmp_path / "a.safetensors"
    few = Training(epochs=2)
    train(x, objective=Objective(n_latents=2), training=few, checkpoint=path)
    with pytest.raises(TrainingError, match=r"a.safetensors: .*other settings \(beta: 1.0 → 2.0\)"):
        train(x, objective=Objective(beta=2.0, n_latents=2), training=few, checkpoint=path)
    with pytest.raises(TrainingError, match="learning_rate: 0.001 → 0.1"):
        train(x, objective=Objective(n_latents=2), training=Training(epochs=2, learning_rate=0.1), checkpoint=path)
    with pytest.raises(TrainingError, match="other data"):
        train(x + 1, objective=Objective(n_latents=2), training=few, checkpoint=path)


def test_a_damaged_checkpoint_is_named_and_nothing_is_loaded(rng, tmp_path):
    x, path = data_for(Network(), rng), tmp_path / "a.safetensors"
    few = Training(epochs=2)
    train(x, objective=Objective(n_latents=2), training=few, checkpoint=path)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[-20] ^= 1
    for content in (whole[:-50], bytes(flipped), b"", b"no such thing", whole[:4] + b"\xff" * 4 + whole[8:]):
        path.write_bytes(content)
        with pytest.raises(SourceError, match="a.safetensors: damaged, nothing was loaded"):
            train(x, objective=Objective(n_latents=2), training=few, checkpoint=path)
        assert path.read_bytes() == content
    with pytest.raises(SourceError, match="no such file"):
        load(tmp_path / "b.safetensors")


def test_a_full_disk_leaves_the_old_state(rng, tmp_path):
    x, path = data_for(Network(), rng), tmp_path / "a.safetensors"
    o = Objective(n_latents=2)
    vae = train(x, objective=o, training=Training(epochs=2), checkpoint=path)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        with pytest.raises(OutputError, match="a.safetensors: cannot be written"):
            save(vae, path)
        with pytest.raises(OutputError, match="a.safetensors: cannot be written"):
            train(x, objective=o, training=Training(epochs=4), checkpoint=path, checkpoint_seconds=0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert {item.name for item in tmp_path.iterdir()} == {"a.safetensors", ".a.safetensors.lock"}


def test_a_model_is_the_same_after_saving(rng, tmp_path):
    o, network = MODELS["two levels"]
    x = data_for(network, rng)
    vae = train(x, objective=o, network=network, training=Training(epochs=2))
    save(vae, tmp_path / "a.safetensors")
    again = load(tmp_path / "a.safetensors")
    assert again.setup == vae.setup
    np.testing.assert_array_equal(again.reconstruct(x), vae.reconstruct(x))
    assert again.evaluate(x).loss == vae.evaluate(x).loss


def test_a_lost_loss_stops_with_the_last_good_state(rng, tmp_path):
    x, path = data_for(Network(), rng), tmp_path / "a.safetensors"
    wild = Training(optimiser="sgd", learning_rate=0.5, epochs=50, batch_size=20)
    message = "not finite from step .* of epoch .*learning rate of 0.5 is too large"
    with pytest.raises(TrainingError, match=message) as caught:
        train(x, objective=Objective(n_latents=2, beta=5), training=wild, checkpoint=path)
    assert str(path) in str(caught.value)
    kept = load(path)
    assert kept.status == "failed"
    assert all(torch.isfinite(value).all() for value in kept.parameters.values())
    with pytest.raises(TrainingError, match="failed before"):
        train(x, objective=Objective(n_latents=2, beta=5), training=wild, checkpoint=path)


def test_an_ill_posed_objective_is_named_as_the_cause():
    setup = Setup(Objective(decoder_variance="learned", n_latents=2))
    a = architecture(setup, 6, 6)
    falling = np.array([3.0, -5.0, -200.0])
    assert "ran to 0" in likely_cause(setup, a, falling, 4, 1e-9, 1.0)
    assert "ran to 0" not in likely_cause(setup, a, falling, 4, 0.5, 1.0)


def test_too_large_data_are_named_as_the_cause(rng):
    with pytest.raises(TrainingError, match="step 1 of epoch 1 .*data too large .*rescale"):
        train(rng.standard_normal((50, 3)) * 1e30, objective=Objective(n_latents=2))


def test_training_stops_on_a_plateau(rng):
    x = data_for(Network(), rng)
    training = Training(estimator="analytic", learning_rate=0.05, epochs=200, patience=3, min_delta=1e-3)
    vae = train(x, objective=Objective(n_latents=2), training=training)
    assert vae.status == "plateau"
    assert vae.n_epochs < 100
    ramp = Training(estimator="analytic", learning_rate=0.05, epochs=30, patience=2, min_delta=0.5,
                    schedule=Schedule("linear", 20))  # fmt: skip
    assert train(x, objective=Objective(n_latents=2), training=ramp).n_epochs > 20


def test_clipping_bounds_the_gradient(rng):
    x = data_for(Network(), rng) * 100
    start = train(x, objective=Objective(n_latents=2), training=Training(epochs=1, learning_rate=1e-12))
    one = Training(epochs=1, batch_size=None, optimiser="sgd", learning_rate=1.0, clip=0.01)
    after = train(x, objective=Objective(n_latents=2), training=one)
    moved = sum(float((after.parameters[n] - start.parameters[n]).square().sum()) for n in start.parameters) ** 0.5
    assert moved == pytest.approx(0.01, rel=1e-2)


def test_mixed_precision_reaches_the_same_loss(rng):
    x, network = data_for(Network(), rng, 400), Network(hidden=(16,))
    losses = [
        train(x, objective=Objective(n_latents=2), network=network,
              training=Training(epochs=20, learning_rate=0.01, batch_size=50, mixed_precision=mixed)).evaluate(x).loss
        for mixed in (False, True)
    ]  # fmt: skip
    assert losses[0] == pytest.approx(losses[1], rel=0.05)
    assert losses[0] != losses[1]


def test_bad_data_are_refused(rng):
    x = rng.standard_normal((30, 3))
    x[7, 1] = np.nan
    with pytest.raises(DataError, match="1 value.*row 7, column 1"):
        train(x)
    with pytest.raises(DataError, match="30 and 31 rows|30 and 31"):
        train(np.ones((30, 2)), np.ones((31, 2)))
    with pytest.raises(DataError, match="give the condition as given, and no target"):
        train(np.ones((30, 2)), np.ones((30, 2)), np.ones((30, 2)))
    with pytest.raises(ObjectiveError, match="device warp: cannot be used here"):
        train(np.eye(4), device="warp")
    vae = train(np.eye(4), objective=Objective(n_latents=2), training=Training(epochs=1))
    with pytest.raises(ObjectiveError, match="takes 4 \\+ 0 columns"):
        vae.evaluate(np.eye(3))


def test_counts_of_any_size_are_seen_through_a_logarithm(rng):
    y = rng.poisson(np.exp(rng.normal(5, 2, (100, 4))))
    counts = Objective(likelihood="negative-binomial", n_latents=2)
    quick = Training(epochs=5, learning_rate=0.01)
    assert np.isfinite(train(y, objective=counts, network=Network(hidden=(8,)), training=quick).evaluate(y).loss)
    with pytest.raises(DataError, match=r"the encoder sees log\(1 \+ x\) and x goes down to -3"):
        train(y * 0 - 3.0, y, objective=counts)
    train(y * 0 - 3.0, y, objective=counts, network=Network(log_input=False), training=quick)


def test_what_is_kept_of_an_epoch_holds_none_of_its_memory(rng):
    table_of_rows = table(rng.standard_normal((20, 3)))
    setup = Setup(Objective(n_latents=2), training=Training(epochs=2))
    rows, a = prepared(setup, table_of_rows, None)
    kept: list[np.ndarray] = []
    run = Run(Stack([setup], a, rows, [None]), [0], lambda *_: None)
    run.go(after_epoch=lambda now: kept.extend(now.members[0].latent_kl))
    assert kept
    assert all(kl.base is None for kl in kept)
