"""The workflow that docs/ci.md shows is the file beside it, and its diagnosis runs and fails as the page says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml

from commandline import run

DOCS = Path(__file__).parents[1] / "docs"
WORKFLOW = (DOCS / "collapse-check.yml").read_text("utf-8")

MODEL = """
import torch


class VAE(torch.nn.Module):
    def __init__(self, gain):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(gain))

    def encode(self, x):
        return self.gain * x, torch.full_like(x, -3.0) * (self.gain > 0)

    def reparameterize(self, mean, log_variance):
        return mean + torch.randn_like(mean) * (log_variance / 2).exp()

    def decode(self, z):
        return z * (self.gain > 0)


def build():
    return VAE({gain})
"""


def lines() -> list[str]:
    (job,) = yaml.safe_load(WORKFLOW)["jobs"].values()
    return [step["run"] for step in job["steps"] if "run" in step]


def test_the_page_shows_the_file():
    (block,) = re.findall(r"```yaml\n(.*?)```", (DOCS / "ci.md").read_text("utf-8"), flags=re.DOTALL)
    assert block == WORKFLOW


@pytest.mark.parametrize(("gain", "codes"), [(0.95, {0}), (0.0, {3})], ids=["alive", "dead"])
def test_its_diagnosis_fails_a_build_of_a_dead_model_alone(gain, codes, tmp_path, rng):
    (line,) = [line for line in lines() if line.startswith("uncollapse")]
    (tmp_path / "my_model.py").write_text(MODEL.format(gain=gain), "utf-8")
    np.save(tmp_path / "data.npy", rng.standard_normal((600, 4)) * [9.0, 7.0, 5.0, 4.0])
    done = run(*shlex.split(line)[1:], cwd=tmp_path)
    assert done.returncode in codes, done.stdout + done.stderr
    assert (tmp_path / "diagnosis.html").is_file()
