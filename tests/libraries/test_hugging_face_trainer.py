"""The callback of Hugging Face's Trainer, driven by transformers' own handler, state and metrics.

The Trainer itself needs accelerate, which is not in this environment: its loop is written out here, and `log` and the
choice of the best model are the Trainer's own functions.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

pytestmark = pytest.mark.libraries

transformers = pytest.importorskip("transformers", reason="runs in the libraries' environment")
torch = pytest.importorskip("torch")

from transformers import TrainerControl, TrainerState  # noqa: E402
from transformers.trainer_callback import CallbackHandler, DefaultFlowCallback  # noqa: E402

from uncollapse import DataError, ObjectiveError, UncollapseWarning, forecast, measure_posterior  # noqa: E402
from uncollapse.interop.hugging_face import WatchCollapse  # noqa: E402


class Scripted(torch.nn.Module):
    """A living latent has the mean x, a dead one 0; so many live as `alive` says."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout, self.alive, self.scale = torch.nn.Dropout(), 3, 1.0

    def encode(self, x):
        mean = self.dropout(x[:, :3]) * (torch.arange(3) < self.alive) * self.scale
        return mean, torch.zeros_like(mean)

    def decode(self, z):
        return torch.nn.functional.pad(z, (0, 1))


class Heard(transformers.TrainerCallback):
    """What a reporting integration is told."""

    def __init__(self) -> None:
        self.logs = []

    def on_log(self, args, state, control, logs=None, **kwargs):
        self.logs.append(dict(logs))


@pytest.fixture
def x(rng) -> np.ndarray:
    return (rng.standard_normal((100, 4)) * [3.0, 2.0, 0.3, 0.2]).astype(np.float32)


@pytest.fixture
def two(x):
    found = forecast(x, beta=1.0, n_latents=3)
    assert found.n_alive == 2
    return found


def trainer_of(watch, history=()) -> SimpleNamespace:
    """A Trainer as far as its own `log` and `_determine_best_metric` look at it."""
    model, heard = Scripted(), Heard()
    handler = CallbackHandler([DefaultFlowCallback(), heard, watch], model, None, None, None)
    args = SimpleNamespace(
        include_num_input_tokens_seen="no", metric_for_best_model="eval_collapse/n_alive", greater_is_better=True,
        logging_strategy="no", eval_strategy="epoch", save_strategy="no", output_dir="", best_model_checkpoint=None,
        load_best_model_at_end=False,
    )  # fmt: skip
    state, control = TrainerState(log_history=list(history), stateful_callbacks=[]), TrainerControl()
    found = SimpleNamespace(args=args, state=state, control=control, callback_handler=handler, model=model, heard=heard)
    found.log = lambda logs: transformers.Trainer.log(found, logs)
    return found


def evaluate(trainer) -> dict[str, float]:
    """As `Trainer.evaluate` ends."""
    metrics = {"eval_loss": 1.0}
    trainer.log(metrics)
    trainer.callback_handler.on_evaluate(trainer.args, trainer.state, trainer.control, metrics)
    return metrics


def train(trainer, counts, start=0, each=1) -> list[dict[str, float]]:
    """An evaluation after each count, `each` of them in an epoch."""
    trainer.callback_handler.on_train_begin(trainer.args, trainer.state, trainer.control)
    trainer.model.train()
    metrics = []
    for i, alive in enumerate(counts, start=1):
        trainer.model.alive, trainer.state.epoch, trainer.state.global_step = alive, start + i / each, 10 * i
        metrics.append(evaluate(trainer))
    trainer.callback_handler.on_train_end(trainer.args, trainer.state, trainer.control)
    return metrics


def ours(caught) -> list[str]:
    return [str(each.message) for each in caught if each.category is UncollapseWarning]


def test_each_evaluation_is_measured_in_evaluation_mode_and_returned_as_metrics(x, two):
    trainer = trainer_of(WatchCollapse(x, two, spread="log_variance"))
    metrics = train(trainer, [3, 2])
    mean = x[:, :3] * [1, 1, 0]
    expected = measure_posterior(mean, variance=np.ones_like(mean))
    assert [one["eval_collapse/n_alive"] for one in metrics] == [3, 2]
    assert metrics[1]["eval_collapse/rate"] == pytest.approx(expected.rate, rel=1e-6)
    assert metrics[1]["eval_collapse/n_alive_forecast"] == 2
    assert metrics[1]["eval_collapse/kl/latent_1"] == pytest.approx(expected.kl[0], rel=1e-6)
    assert trainer.model.training  # put back
    history = [entry for entry in trainer.state.log_history if "eval_collapse/rate" in entry]
    assert [(entry["epoch"], entry["step"]) for entry in history] == [(1.0, 10), (2.0, 20)]


def test_the_trainer_can_choose_its_best_model_by_them(x):
    trainer = trainer_of(WatchCollapse(x, spread="log_variance"))
    metrics = train(trainer, [1, 3, 2])
    better = [transformers.Trainer._determine_best_metric(trainer, one, None) for one in metrics]
    assert better == [True, True, False]


def test_handed_the_trainers_log_it_reaches_the_reporting_integrations(x, two):
    watch = WatchCollapse(x, two, spread="log_variance")
    trainer = trainer_of(watch)
    watch.log = trainer.log
    train(trainer, [3, 2])
    assert [logs["eval_collapse/n_alive"] for logs in trainer.heard.logs if "eval_collapse/n_alive" in logs] == [3, 2]
    assert sum("eval_collapse/n_alive" in entry for entry in trainer.state.log_history) == 2


@pytest.mark.parametrize(
    ("counts", "settings", "each", "epoch"),
    [
        ([0, 2, 1, 1, 0, 0], {}, 1, 3),
        ([0, 1, 1, 1, 1, 1], {"patience": 4}, 1, 3),
        ([3, 3, 1, 1, 1, 1], {"warmup_epochs": 2, "patience": 3}, 1, 4),
        ([3, 3, 3, 3, 3, 1, 1, 1], {"warmup_epochs": 2}, 2, 3),
    ],
    ids=["fell", "never rose", "reached in the warm-up alone", "two evaluations an epoch"],
)
def test_an_unforeseen_collapse_is_warned_of_once_as_by_lightnings_callback(counts, settings, each, epoch, x, two):
    with pytest.warns(UncollapseWarning) as caught:
        train(trainer_of(WatchCollapse(x, two, spread="log_variance", **settings)), counts, each=each)
    (message,) = ours(caught)
    assert message.startswith(f"epoch {epoch}: ")
    assert "2 were forecast at water level 1;" in message


def test_a_training_from_a_checkpoint_neither_warns_again_nor_starts_counting_anew(x, two):
    def run(counts, history=(), start=0):
        trainer = trainer_of(WatchCollapse(x, two, spread="log_variance", patience=4), history)
        train(trainer, counts, start)
        return trainer.state.log_history

    history = run([0, 0])
    with pytest.warns(UncollapseWarning, match="epoch 3: 1 of 3"):
        history = run([1, 1], history, 2)
    run([1, 1], history, 4)  # a warning would be an error


def test_an_evaluation_outside_of_a_training_is_measured_and_not_judged(x, two):
    watch = WatchCollapse(x, two, spread="log_variance", patience=1)
    trainer = trainer_of(watch)
    trainer.model.alive = 0
    assert evaluate(trainer)["eval_collapse/n_alive"] == 0


def test_what_cannot_be_read_stops_at_the_start_and_what_is_unfit_later_is_said_once(x, two):
    with pytest.raises(ObjectiveError, match="spread='log_variance'"):
        train(trainer_of(WatchCollapse(x, two)), [2])
    with pytest.raises(DataError, match="forecast is for 2 latents and the encoder gives 3"):
        train(trainer_of(WatchCollapse(x, forecast(x, n_latents=2), spread="log_variance")), [2])
    watch = WatchCollapse(x, two, spread="log_variance")
    trainer = trainer_of(watch)
    train(trainer, [2])
    trainer.model.scale = float("inf")
    with pytest.warns(UncollapseWarning, match="step 10 is not measured: .*not finite"):
        evaluate(trainer)
    evaluate(trainer)  # a second warning would be an error


def test_a_training_without_evaluation_is_told_so(x, two):
    with pytest.warns(UncollapseWarning, match="nothing was watched: no evaluation came"):
        train(trainer_of(WatchCollapse(x, two)), [])
