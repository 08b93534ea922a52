"""The core needs no PyTorch: a forecast and its report are written where torch is not installed."""

from __future__ import annotations

import subprocess
import sys

HIDDEN = """
import sys
for name in ("torch", "safetensors", "lightning", "torchmetrics", "matplotlib", "dask"):
    sys.modules[name] = None  # what Python takes for "not installed"
from uncollapse.cli import main
main()
"""


def test_a_forecast_and_its_page_need_no_torch(tmp_path):
    page, numbers = tmp_path / "report.html", tmp_path / "numbers.json"
    words = ["forecast", "digits", "--latents", "32", "--html", str(page), "--json", str(numbers)]
    result = subprocess.run([sys.executable, "-c", HIDDEN, *words], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr.count("Traceback")) == (0, 0), result.stderr
    assert "</html>" in page.read_text("utf-8")
    assert numbers.read_text("utf-8").startswith("{")


def test_training_without_torch_ends_in_the_line_that_says_what_to_install(tmp_path):
    words = ["train", "digits", "--out", str(tmp_path / "vae")]
    result = subprocess.run([sys.executable, "-c", HIDDEN, *words], capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert result.stderr.strip().splitlines() == [
        "uncollapse: training needs PyTorch and safetensors: pip install 'uncollapse[torch]'"
    ]
