"""What loggers show: Lightning's own classes write it, into stand-ins of the services where these are not installed."""

from __future__ import annotations

import re
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip("lightning")

from lightning.pytorch.loggers import CSVLogger, MLFlowLogger, TensorBoardLogger, WandbLogger

from scripted import SCALES, Scripted, fit
from uncollapse import Objective, forecast
from uncollapse.interop.callback import WatchCollapse

pytestmark = [
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:(GPU|MPS) available but not used"),
    pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated"),
]

ALLOWED = re.compile(r"[a-zA-Z0-9_/. -]+")
"""What MLflow takes in a name (its own rule, of `mlflow.utils.validation`, but for the colon)."""


class Wandb(WandbLogger):
    """Lightning's logger, on a run that keeps what it is given."""

    def __init__(self) -> None:
        self._prefix, self._wandb_init, self._checkpoint_callback, self._log_model = "", {}, None, False
        self.run, self._checkpoint_name, self._experiment = SimpleNamespace(said=[]), None, None
        self.run.log = self.run.said.append

    experiment = property(lambda self: self.run)
    name = version = save_dir = root_dir = log_dir = property(lambda self: "run")
    log_hyperparams = log_graph = lambda self, *args, **kwargs: None


class MLFlow(MLFlowLogger):
    """The same, on a client that keeps what it is given."""

    def __init__(self) -> None:
        self._prefix, self._run_id, self._log_batch_kwargs = "", "7", {}
        self._checkpoint_callback, self._log_model, self._initialized = None, False, False
        self.client = SimpleNamespace(metrics=[], tables=[])
        self.client.log_batch = lambda run_id, metrics: self.client.metrics.extend(metrics)
        self.client.log_table = lambda run_id, data, artifact_file: self.client.tables.append(
            (run_id, data, artifact_file)
        )

    experiment = property(lambda self: self.client)
    run_id = property(lambda self: self._run_id)
    name = version = save_dir = root_dir = log_dir = property(lambda self: "run")
    log_hyperparams = log_graph = lambda self, *args, **kwargs: None


@pytest.fixture
def services(monkeypatch):
    """As much of the packages wandb and mlflow as Lightning's loggers import."""
    wandb, mlflow, entities = ModuleType("wandb"), ModuleType("mlflow"), ModuleType("mlflow.entities")
    wandb.Table = lambda columns, data, dataframe: SimpleNamespace(columns=columns, data=data)
    entities.Metric = SimpleNamespace
    for module in (wandb, mlflow, entities):
        monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.fixture
def x(rng) -> torch.Tensor:
    return torch.as_tensor(rng.standard_normal((100, 4)) * SCALES, dtype=torch.float32)


@pytest.fixture
def watch(x) -> WatchCollapse:
    return WatchCollapse(forecast(x.numpy(), objective=Objective(beta=1.0, n_latents=3)))


def kl_of(x: torch.Tensor, n_alive: int) -> np.ndarray:
    return (x[:, :3].double() ** 2).mean(0).numpy() / 2 * (np.arange(3) < n_alive)


def test_weights_and_biases_gets_every_epoch_and_a_table_of_the_latents(x, watch, services):
    logger = Wandb()
    fit(Scripted([3, 2], x), watch, logger)
    said = logger.run.said
    assert [entry["collapse/n_alive"] for entry in said if "collapse/n_alive" in entry] == [3, 2]
    (table,) = [entry["collapse/latents"] for entry in said if "collapse/latents" in entry]
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.data]
    assert [(row["latent"], row["alive"]) for row in rows] == [(1, True), (2, True), (3, False)]
    np.testing.assert_allclose([row["kl"] for row in rows], kl_of(x, 2), rtol=1e-6)


def test_mlflow_gets_every_epoch_under_names_that_it_takes_and_a_table_of_the_latents(x, watch, services):
    logger = MLFlow()
    fit(Scripted([3, 2], x), watch, logger)  # Lightning would warn of a name with a character that MLflow refuses
    names = {metric.key for metric in logger.client.metrics}
    assert {"collapse/kl/latent_1", "collapse/water_level", "collapse/n_alive_forecast"} <= names
    assert all(ALLOWED.fullmatch(name) for name in names)
    assert [metric.value for metric in logger.client.metrics if metric.key == "collapse/n_alive"] == [3, 2]
    ((run_id, table, file),) = logger.client.tables
    assert (run_id, file, table["latent"]) == ("7", "collapse/latents.json", [1, 2, 3])
    np.testing.assert_allclose(table["kl"], kl_of(x, 2), rtol=1e-6)


def test_tensorboard_shows_the_figure_of_the_last_validation(x, watch, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = TensorBoardLogger(tmp_path)
    trainer = fit(Scripted([3, 2], x), watch, logger)
    events = EventAccumulator(logger.log_dir).Reload()
    (image,) = events.Images("collapse/latents")
    assert image.step == trainer.global_step
    assert image.encoded_image_string.startswith(b"\x89PNG")
    assert (image.width, image.height) == (900, 360)


def test_without_matplotlib_tensorboard_shows_the_numbers_alone(x, watch, tmp_path, monkeypatch):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    logger = TensorBoardLogger(tmp_path)
    fit(Scripted([2], x), watch, logger)
    tags = EventAccumulator(logger.log_dir).Reload().Tags()
    assert "collapse/n_alive" in tags["scalars"]
    assert tags["images"] == []


def test_several_loggers_get_the_same_numbers(x, watch, services, tmp_path):
    loggers = [Wandb(), CSVLogger(tmp_path)]
    fit(Scripted([2], x), watch, loggers)
    assert any(entry.get("collapse/n_alive") == 2 for entry in loggers[0].run.said)
    assert "collapse/n_alive" in (tmp_path / "lightning_logs" / "version_0" / "metrics.csv").read_text("utf-8")


def test_a_training_that_was_never_measured_shows_no_table(x, services):
    logger = Wandb()
    with pytest.warns(UserWarning, match="nothing was watched"):
        fit(Scripted([2], x), WatchCollapse(), logger, limit_val_batches=0)
    assert not any("collapse/latents" in entry for entry in logger.run.said)
