"""`uncollapse diagnose weights.pth --model FILE`: from a file of weights to a verdict in one command."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pytest
from sklearn.datasets import load_digits

from commandline import run
from inferring_models import written
from seeds import SEED

QUIET = ("--budget", "0.2", "--json", "-")


def test_weights_and_a_file_are_enough(tmp_path):
    weights, file, _ = written(tmp_path, "positional", SEED)
    result = run("diagnose", weights.name, "digits", "--model", file.name, *QUIET, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    facts = json.loads(result.stdout)
    assert (facts["model"], facts["n_latents"], facts["water_level"]) == ("VAE", 6, 0.5)
    assert [one for one in facts["notes"] if "latent_dim=6" in one and "--args" in one]
    assert {"what": "spread", "value": "log-variance"}.items() <= facts["inferred"][-2].items()


def test_labels_are_a_condition(tmp_path):
    weights, file, _ = written(tmp_path, "conditional", SEED)
    np.save(tmp_path / "labels.npy", load_digits().target)
    result = run(
        "diagnose", weights.name, "digits", "--model", file.name, "--given", "labels.npy", *QUIET, cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    facts = json.loads(result.stdout)
    assert facts["n_latents"] == 4
    assert [one for one in facts["inferred"] if one["what"] == "condition"]


def test_a_condition_that_is_lacking_is_asked_for(tmp_path):
    weights, file, _ = written(tmp_path, "conditional", SEED)
    result = run("diagnose", weights.name, "digits", "--model", file.name, cwd=tmp_path)
    assert result.returncode == 2
    assert "give it (--given)" in result.stderr
    assert result.stderr.count("\n") == 1


MUTE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.s, self.decoder = nn.Linear(64, 3), nn.Linear(64, 3), nn.Linear(3, 64)
    def encode(self, x):
        return self.encoder(x), self.s(x).abs()
    def decode(self, z):
        return self.decoder(z)
"""


def test_all_that_is_missing_is_asked_for_at_once_with_the_command_to_type(tmp_path):
    import torch

    (tmp_path / "net.py").write_text(MUTE)
    namespace: dict = {}
    exec(MUTE, namespace)
    torch.manual_seed(SEED)
    torch.save(namespace["Net"]().state_dict(), tmp_path / "net.pth")
    asked = run("diagnose", "net.pth", "digits", "--model", "net.py", "--budget", "0.2", cwd=tmp_path)
    assert asked.returncode == 2
    assert asked.stderr.count("\n") == 1
    assert "--spread log_variance|variance|std" in asked.stderr  # none that could be taken for the answer
    typed = asked.stderr.rpartition("type: ")[2].replace("log_variance|variance|std", "std")
    words = shlex.split(typed)
    assert words[:3] == ["uncollapse", "diagnose", "net.pth"]
    assert {"--spread", "--recon", "--model", "--budget"} <= set(words)
    assert run(*words[1:], cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "nothing.py"], "no such file: nothing.py"),
        (["--model", "{file}:Other"], "has no 'Other'; its classes are VAE"),
        (["--model", "{file}", "--args", "latent_dim"], "--args: expected NAME=VALUE"),
        (["--model", "{file}", "--args", "latent_dim=5"], "does not fit .*fc21.weight is 6×32 in the file and 5×32"),
        ([], "--model my_vae.py:VAE"),
    ],
)
def test_mistakes_are_one_line(words, said, tmp_path):
    import re

    weights, file, _ = written(tmp_path, "positional", SEED)
    result = run("diagnose", weights.name, "digits", *(w.format(file=file.name) for w in words), cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert re.search(said, result.stderr), result.stderr
