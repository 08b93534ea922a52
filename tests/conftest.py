"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from seeds import SEED

pytest_plugins = ["browser_fixtures"]
MNIST = Path(os.environ.get("MNIST_DIR", Path(__file__).parents[2] / "shared" / "data" / "mnist"))


def pytest_report_header() -> list[str]:
    found = "found" if MNIST.is_dir() else "absent: tests on it are skipped, set MNIST_DIR to run them"
    return [
        f"TEST_SEED={SEED} (any number should pass); MNIST {found} ({MNIST})",
        "tests/libraries, against other libraries themselves, run only by `make libraries` (-m libraries)",
    ]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(SEED)


@pytest.fixture(scope="session")
def mnist_dir() -> Path:
    if not MNIST.is_dir():
        pytest.skip(f"MNIST is absent from {MNIST}; set MNIST_DIR to its folder")
    return MNIST
