"""The Lightning callback: what it logs is what was measured, and it warns of what was not forecast, once."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from uncollapse import DataError, Objective, ObjectiveError, UncollapseWarning, forecast
from uncollapse.measure.arrays import measure_posterior
from uncollapse.objective import Level

pytest.importorskip("lightning")

from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from scripted import SCALES, Scripted, fit
from uncollapse.interop.alarm import Alarm, expected_alive
from uncollapse.interop.callback import WatchCollapse

pytestmark = [
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:(GPU|MPS) available but not used"),
    pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated"),
]


@pytest.fixture
def x(rng) -> torch.Tensor:
    return torch.as_tensor(rng.standard_normal((100, 4)) * SCALES, dtype=torch.float32)


@pytest.fixture
def two(x):
    """A forecast that keeps two of three latents."""
    found = forecast(x.numpy(), objective=Objective(beta=1.0, n_latents=3))
    assert expected_alive(found) == found.n_alive == 2
    return found


def ours(caught: pytest.WarningsRecorder) -> list[str]:
    return [str(each.message) for each in caught if each.category is UncollapseWarning]


def expected_log(x: torch.Tensor, n_alive: int, water_level: float) -> dict[str, float]:
    mean = x[:, :3].numpy() * (np.arange(3) < n_alive)
    found = measure_posterior(mean, variance=np.ones_like(mean))
    kl = {f"collapse/kl/latent_{i + 1}": found.kl[i] for i in range(3)}
    counts = {"collapse/n_alive": n_alive, "collapse/n_active": n_alive, "collapse/n_alive_forecast": 2}
    return {**kl, **counts, "collapse/rate": found.kl.sum(), "collapse/water_level": water_level}


def test_tensorboard_shows_every_epoch_beside_the_forecast(x, two, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = TensorBoardLogger(tmp_path)
    fit(Scripted([3, 2, 2], x), WatchCollapse(two), logger)
    events = EventAccumulator(logger.log_dir).Reload()
    for tag, values in series(x, [3, 2, 2], two.water_level).items():
        np.testing.assert_allclose([event.value for event in events.Scalars(tag)], values, rtol=1e-5, err_msg=tag)


def test_a_csv_file_shows_every_epoch_beside_the_forecast(x, two, tmp_path):
    logger = CSVLogger(tmp_path)
    fit(Scripted([3, 2, 2], x), WatchCollapse(two), logger)
    with open(f"{logger.log_dir}/metrics.csv", encoding="utf-8") as file:
        table = [row for row in csv.DictReader(file) if row["collapse/rate"]]
    assert [int(row["epoch"]) for row in table] == [0, 1, 2]
    for name, values in series(x, [3, 2, 2], two.water_level).items():
        np.testing.assert_allclose([float(row[name]) for row in table], values, rtol=1e-5, err_msg=name)


def series(x: torch.Tensor, counts: list[int], water_level: float) -> dict[str, list[float]]:
    rows = [expected_log(x, n, water_level) for n in counts]
    return {name: [row[name] for row in rows] for name in rows[0]}


def test_without_a_forecast_it_logs_and_never_warns(x):
    watch = WatchCollapse(prefix="val")
    trainer = fit(Scripted([3, 1, 0, 0, 0], x), watch)
    assert {name for name in trainer.callback_metrics if "kl" not in name} == {
        "val/n_alive",
        "val/n_active",
        "val/rate",
    }
    assert (watch.measurement.n_alive, watch.measurement.n_samples) == (0, 100)


@pytest.mark.parametrize(
    ("counts", "settings", "epoch"),
    [
        ([0, 2, 1, 1, 0, 0], {}, 3),
        ([0, 1, 1, 1, 1, 1], {"patience": 4}, 3),
        ([3, 3, 1, 1, 1, 1], {"warmup_epochs": 2, "patience": 3}, 4),
        ([3, 3, 3, 2, 1, 1], {"warmup_epochs": 2.5}, 5),
    ],
    ids=["fell", "never rose", "reached in the warm-up alone", "fell after the warm-up"],
)
def test_an_unforeseen_collapse_is_warned_of_once(counts, settings, epoch, x, two):
    with pytest.warns(UncollapseWarning) as caught:
        fit(Scripted(counts, x), WatchCollapse(two, **settings))
    (message,) = ours(caught)
    alive = counts[epoch]
    is_or_are = "is" if alive == 1 else "are"
    assert message.startswith(
        f"epoch {epoch}: {alive} of 3 latents {is_or_are} alive, and 2 were forecast at water level 1;"
    )
    assert "worth a diagnosis: uncollapse diagnose" in message


@pytest.mark.parametrize(
    ("counts", "settings"),
    [
        ([2, 1, 2, 1, 2], {}),
        ([0, 0, 1, 2, 2], {"patience": 4}),
        ([3, 0, 0, 2, 2], {"warmup_epochs": 3}),
        ([3, 3, 3, 3, 3], {}),
    ],
    ids=["a flicker", "slow", "within the warm-up", "more than forecast"],
)
def test_what_is_no_collapse_is_not_warned_of(counts, settings, x, two):
    fit(Scripted(counts, x), WatchCollapse(two, **settings))  # a warning would be an error


def test_a_resumed_training_neither_warns_again_nor_starts_counting_anew(x, two, tmp_path):
    def run(counts, epochs, ckpt=None):
        watch = WatchCollapse(two, patience=4)
        trainer = fit(Scripted(counts, x), watch, max_epochs=epochs, resume=ckpt)
        trainer.save_checkpoint(tmp_path / f"{epochs}.ckpt")

    counts = [0, 0, 1, 1, 1, 1]
    run(counts, 2)
    with pytest.warns(UncollapseWarning, match="epoch 3: 1 of 3"):
        run(counts, 4, tmp_path / "2.ckpt")
    run(counts, 6, tmp_path / "4.ckpt")


def test_a_second_fit_is_watched_anew(x, two):
    watch = WatchCollapse(two)
    for _ in range(2):
        with pytest.warns(UncollapseWarning, match="epoch 2"):
            fit(Scripted([2, 1, 1], x), watch)


def test_any_module_can_say_how_to_read_it(x, two):
    class Other(Scripted):
        encode = None

        def guide(self, batch):
            return {"m": batch[0][:, :3] * 0, "s": torch.ones(len(batch[0]), 3)}

    def read(module, batch):
        found = module.guide(batch)
        return found["m"], 2 * found["s"].log()

    watch = WatchCollapse(posterior=read)
    fit(Other([0], x), watch)
    assert watch.measurement.rate == 0


@pytest.mark.parametrize(
    ("encode", "message"),
    [
        (None, r"Scripted has no encode\(x\); give WatchCollapse\(posterior="),
        (lambda x: torch.distributions.Normal(x, 1.0), "posterior of Scripted is a Normal, and a mean"),
        (lambda x: (x, x), "forecast is for 3 latents and the encoder gives 4"),
        (lambda x: (x[:, 0], x[:, 0]), "shape"),
        (lambda x: (x[:, :3] / 0, x[:, :3]), "not finite"),
    ],
)
def test_a_posterior_that_cannot_be_read_is_an_error_at_the_start(encode, message, x, two):
    model = Scripted([2], x)
    model.encode = encode
    with pytest.raises(DataError, match=message):
        fit(model, WatchCollapse(two))


def test_batches_of_another_kind_are_named(x):
    model = Scripted([2], x)
    model.val_dataloader = lambda: DataLoader([{"image": row} for row in x])
    with pytest.raises(DataError, match="the batches of Scripted are dicts; give WatchCollapse.posterior="):
        fit(model, WatchCollapse())


def test_an_encoder_that_overflows_later_is_warned_of_and_goes_on(x, two):
    class Overflows(Scripted):
        def encode(self, x):
            mean, log_variance = super().encode(x)
            return (mean / 0 if self.current_epoch in (1, 2) else mean), log_variance

    watch = WatchCollapse(two)
    with pytest.warns(UncollapseWarning, match="epoch 1 is not measured: .*not finite") as caught:
        fit(Overflows([2, 2, 2, 3], x), watch)
    assert len(ours(caught)) == 1
    assert watch.measurement.n_alive == 3


def test_a_training_without_validation_is_told_so(x, two):
    with pytest.warns(UncollapseWarning, match="nothing was watched"):
        fit(Scripted([2], x), WatchCollapse(two), limit_val_batches=0)


def test_only_the_first_loader_is_measured(x):
    model, watch = Scripted([3], x), WatchCollapse()
    model.val_dataloader = lambda: [DataLoader(TensorDataset(x * scale), batch_size=50) for scale in (1, 100)]
    model.validation_step = lambda batch, batch_idx, dataloader_idx=0: None
    fit(model, watch)
    np.testing.assert_allclose(watch.measurement.kl, (x[:, :3].double() ** 2).mean(0) / 2, rtol=1e-6)


def test_the_kl_is_that_from_the_forecasts_prior(x):
    watch = WatchCollapse(forecast(x.numpy(), n_latents=3, prior_variance=4.0))
    fit(Scripted([3], x), watch)
    mean = x[:, :3].numpy()
    expected = measure_posterior(mean, variance=np.ones_like(mean), prior_variance=4.0)
    np.testing.assert_allclose(watch.measurement.kl, expected.kl, rtol=1e-6)


def test_many_latents_are_summed_up_not_listed(x):
    model = Scripted([2], x)
    model.encode = lambda x: (x.repeat(1, 100), torch.zeros(len(x), 400))
    assert set(fit(model, WatchCollapse()).callback_metrics) == {
        "collapse/n_alive", "collapse/n_active", "collapse/rate"
    }  # fmt: skip


def test_two_workers_measure_the_rows_of_both(x, two):
    trainer = fit(Scripted([2], x), WatchCollapse(two), devices=2, strategy="ddp_spawn")
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    assert logged == pytest.approx(expected_log(x, 2, two.water_level), rel=1e-5)


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (Objective(levels=(Level(1, 0.3, 2), Level(2, "learned", 2))), "several levels"),
        (Objective(n_latents=2, encoder_variance=0.25), "encoder_variance=0.25"),
        (Objective(), "leaves the number of latents open"),
        (Objective(n_latents=4, beta=0.1, decoder_variance="learned"), "the loss to"),
    ],
)
def test_forecasts_that_no_count_compares_with_are_refused(objective, message, x):
    with pytest.raises(ObjectiveError, match=message):
        WatchCollapse(forecast(x.numpy(), objective=objective))


def test_a_mode_just_above_the_water_is_not_expected_to_be_measured_alive(x):
    strengths = forecast(x.numpy(), n_latents=3).spectrum.strengths
    above = forecast(x.numpy(), n_latents=3, beta=float(strengths[1] / np.exp(2 * 0.009)))
    assert (above.n_alive, expected_alive(above)) == (2, 1)
    clear = forecast(x.numpy(), n_latents=3, beta=float(strengths[1] / np.exp(2 * 0.011)))
    assert expected_alive(clear) == 2


def test_patience_below_one_is_refused():
    with pytest.raises(ObjectiveError, match="patience must be a whole number from 1 on, got 0"):
        Alarm(expected=2, patience=0)


def test_the_training_shown_in_the_docs_prints_what_its_comments_say(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "watch.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(import .*?)```", page, flags=re.DOTALL)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stderr
    assert "UncollapseWarning" not in result.stderr
    (promised,) = re.findall(r"^print.*  # (.*)$", code, flags=re.MULTILINE)
    assert result.stdout.splitlines()[-1] == promised
    assert list(tmp_path.glob("lightning_logs/*/events.*"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"forecast": "forecast"}, "forecast must be a Forecast, got 'forecast'"),
        ({"posterior": (1, 2)}, "posterior must be a function"),
        ({"warmup_epochs": -1}, "warmup_epochs must be 0 or more"),
        ({"warmup_epochs": "ten"}, "warmup_epochs must be"),
        ({"patience": 0}, "patience must be"),
        ({"patience": 2.5}, "patience must be"),
        ({"prefix": None}, "prefix must be text"),
        ({"prefix": "β=1"}, "prefix must be text of letters, digits"),
        ({"prefix": "/collapse"}, "and / between them"),
    ],
)
def test_settings_are_checked_when_the_callback_is_made(settings, said):
    with pytest.raises(ObjectiveError, match=said):
        WatchCollapse(**settings)


@pytest.mark.parametrize("error", [RuntimeError("no weights\nhere"), SystemExit(3), KeyError("z")])
def test_what_the_users_posterior_raises_is_kept_as_the_cause_and_its_batch_named(error, x):
    def fails(module, batch):
        raise error

    with pytest.raises(DataError, match=r"posterior of Scripted fails on validation batch 1: \w+") as caught:
        fit(Scripted([1], x), WatchCollapse(posterior=fails))
    assert caught.value.__cause__ is error
    assert "\n" not in str(caught.value)


def test_a_draw_beside_mean_and_log_variance_is_told_apart_or_asked_about(x):
    class Three(Scripted):
        def encode(self, x):
            mean, log_variance = super().encode(x)
            return mean + torch.randn_like(mean), mean, log_variance

    class Odd(Scripted):
        def encode(self, x):
            mean, log_variance = super().encode(x)
            return mean + 1, mean, log_variance

    watch, plain = WatchCollapse(), WatchCollapse()
    fit(Three([2], x), watch)
    fit(Scripted([2], x), plain)
    np.testing.assert_allclose(watch.measurement.kl, plain.measurement.kl, rtol=1e-6)
    with pytest.raises(ObjectiveError, match="3 outputs.*cannot be known; say how to read it"):
        fit(Odd([2], x), WatchCollapse())
