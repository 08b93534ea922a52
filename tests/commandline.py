"""The command as a user runs it: one process, its output and its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys

__all__ = ["forecast_json", "run"]


def run(*words: str, cwd=None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "uncollapse.cli", *map(str, words)]
    environment = {**os.environ, "PYTHONWARNINGS": "error", "COLUMNS": "80"}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False)


def forecast_json(*words: str) -> dict:
    result = run("forecast", *words, "--json", "-")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)
