"""The models of pythae that the first page takes apart, trained again."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("pythae")
pytestmark = pytest.mark.libraries

DOCS = Path(__file__).parents[2] / "docs"


def script(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_diagnoses_of_the_first_page_are_those_of_the_models_it_trains(tmp_path):
    script("train_examples").main(tmp_path / "runs")
    examples = script("show_examples")
    shown = dict(examples.BLOCK.findall((DOCS / "index.md").read_text("utf-8")))
    of_pythae = {command: text for command, text in shown.items() if "runs/" in command}
    assert len(of_pythae) == 4
    for command, text in of_pythae.items():
        found = examples.answer(command, tmp_path)
        assert found.splitlines()[0] == text.splitlines()[0], command
        assert "Cause: " in found
