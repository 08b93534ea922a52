"""What importing costs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import uncollapse

HEAVY = {
    "numpy",
    "torch",
    "sklearn",
    "matplotlib",
    "plotly",
    "scipy",
    "pandas",
    "dask",
    "pyarrow",
    "typer",
    "rich",
    "jinja2",
}
HEAVY |= {"numpy", "torchmetrics", "lightning", "tensorboard"}


def test_importing_loads_nothing_heavy():
    code = "import sys, uncollapse; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not HEAVY & set(loaded)


def test_dir_lists_every_public_name():
    assert set(uncollapse.__all__) <= set(dir(uncollapse))
    assert {"diagnose", "LinearVAE", "Measurement", "verify"} <= set(dir(uncollapse))


def test_a_type_checker_sees_the_types_of_public_names(tmp_path):
    (tmp_path / "mine.py").write_text("import uncollapse\nf = uncollapse.forecast([[1.0]])\nreveal_type(f)\n")
    command = [sys.executable, "-m", "mypy", "--no-incremental", "--follow-imports=silent", "mine.py"]
    shown = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path).stdout
    assert 'Revealed type is "uncollapse.forecasting.result.Forecast"' in shown


def test_the_api_page_has_every_public_name_once():
    page = (Path(__file__).parents[1] / "docs" / "api.md").read_text("utf-8")
    entries = re.findall(r"^::: uncollapse\.([\w.]+)$", page, flags=re.MULTILINE)
    assert len(entries) == len(set(entries))
    for name in uncollapse.__all__:
        home = getattr(uncollapse, name).__module__.removeprefix("uncollapse.")
        assert [entry for entry in entries if entry in (f"{home}.{name}", home)], f"{home}.{name}"


def test_every_public_name_is_there_and_documented():
    for name in uncollapse.__all__:
        assert getattr(uncollapse, name).__doc__
    with pytest.raises(AttributeError, match="No uncollapse attribute nothing"):
        _ = uncollapse.nothing
