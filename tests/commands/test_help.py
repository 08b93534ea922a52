"""Each help text ends in commands that can be typed as they stand."""

from __future__ import annotations

import re
import shlex

import numpy as np
import pytest

from commandline import run
from uncollapse.commands.app import EXAMPLES

CHEAP = [
    example for examples in EXAMPLES.values() for example in examples
    if example.split()[1] == "forecast" or "iris" in example or "--list" in example
]  # fmt: skip


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_help_text_shows_its_examples_whole_in_80_columns(name):
    text = run(*([name] if name else []), "--help").stdout
    assert max(map(len, text.splitlines())) <= 80
    shown = text[text.index("Examples:") :]
    for example in EXAMPLES[name]:
        assert example in [line.strip() for line in shown.splitlines()]


@pytest.mark.parametrize("example", CHEAP)
def test_examples_run(example, tmp_path, rng):
    np.save(tmp_path / "data.npy", rng.standard_normal((100, 6)) * [9, 5, 3, 2, 1, 0.1])
    done = run(*shlex.split(example)[1:], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_every_option_of_an_example_is_one_of_its_command():
    for name, examples in EXAMPLES.items():
        for example in examples:
            command = example.split()[1]
            options = set(re.findall(r"--[a-z-]+", example))
            assert options <= set(re.findall(r"--[a-z-]+", run(command, "--help").stdout)), (name, example)
