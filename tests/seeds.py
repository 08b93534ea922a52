"""The seed that every test draws from; set TEST_SEED to any whole number, and all tests should still pass."""

import os

__all__ = ["SEED"]

SEED = int(os.environ.get("TEST_SEED", "0"))
