"""What importing costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import uncollapse

HEAVY = {"torch", "sklearn", "matplotlib", "plotly", "scipy", "pandas", "dask", "pyarrow", "typer", "rich", "jinja2"}
HEAVY |= {"torchmetrics", "lightning", "tensorboard"}


def test_importing_loads_nothing_heavy():
    code = "import sys, uncollapse; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not HEAVY & set(loaded)


def test_every_public_name_is_there_and_documented():
    for name in uncollapse.__all__:
        assert getattr(uncollapse, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = uncollapse.nothing
