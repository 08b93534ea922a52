"""Several at once: threads and forked processes get the numbers that one alone gets; a folder in use is refused."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from commandline import run
from uncollapse import Objective, diagnose, forecast, measure_posterior
from uncollapse.files import locked


def three(rng: np.random.Generator, n: int = 300) -> np.ndarray:
    return rng.standard_normal((n, 6)) * [4.0, 3.0, 2.0, 1.0, 0.5, 0.2]


def numbers(x: np.ndarray) -> list[float]:
    """What the library says of a table, by four of its ways."""
    f = forecast(x, objective=Objective(beta=2.0, n_latents=4))
    d = diagnose(_Model(), x, objective=Objective(beta=2.0, n_latents=2), spread="log_variance")
    m = measure_posterior(x, variance=np.full(x.shape, 0.5))
    return [*f.critical_betas, f.loss, d.linear_gap, d.decoder.residual.top, m.rate]


class _Model(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        weights = torch.arange(12, dtype=torch.float32).reshape(6, 2) / 50
        self.weights = torch.nn.Parameter(weights)

    def encode(self, x):
        mean = x @ self.weights
        return mean, torch.full_like(mean, -1.0)

    def decode(self, z):
        return z @ self.weights.T


def test_threads_get_the_numbers_that_one_alone_gets(rng):
    tables = [three(rng) for _ in range(6)]
    alone = [numbers(x) for x in tables]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(numbers, tables))
    np.testing.assert_allclose(together, alone, rtol=1e-6)


def _forecast_in_child(x: np.ndarray, answers: multiprocessing.Queue) -> None:
    f = forecast(x, objective=Objective(beta=2.0, n_latents=4))
    answers.put([*map(float, f.critical_betas), f.loss])


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_process_gets_the_numbers_of_its_parent(rng):
    x = three(rng)
    f = forecast(x, objective=Objective(beta=2.0, n_latents=4))
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=_forecast_in_child, args=(x, answers))
    child.start()
    try:
        np.testing.assert_allclose(answers.get(timeout=60), [*f.critical_betas, f.loss], rtol=1e-12)
    finally:
        child.kill()
        child.join()


def test_two_trainings_at_once_in_one_folder_are_refused(rng, tmp_path):
    np.save(tmp_path / "x.npy", three(rng))
    out = tmp_path / "out"
    out.mkdir()
    with locked(out / ".lock", ""):
        second = run("train", tmp_path / "x.npy", "--latents", "2", "--epochs", "1", "--out", out)
    assert second.returncode == 2
    assert second.stderr.count("\n") == 1
    assert "another process trains into this folder" in second.stderr
    assert [item.name for item in out.iterdir()] == [".lock"]
