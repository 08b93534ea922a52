"""Write the data, and run every file of `models/` as its author would, each in a process of its own.

Usage: KERAS_PYTHON=.venv-libraries/bin/python python benchmarks/strangers/train.py [NAME …]
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from cases import ALL, Case
from stranger_sets import write_sets

HERE = Path(__file__).parent
FOLDER = HERE.parents[1] / "build" / "strangers"


def python_for(case: Case) -> str:
    """The interpreter that has what a file imports: of Keras's, KERAS_PYTHON."""
    return os.environ.get("KERAS_PYTHON", sys.executable) if case.keras else sys.executable


def main(names: list[str]) -> None:
    if not (FOLDER / "data" / "standard.npy").is_file():
        write_sets(FOLDER / "data")
    for case in ALL:
        if names and case.file not in names:
            continue
        shutil.copy(HERE / "models" / f"{case.file}.py", FOLDER)
        done = subprocess.run(
            [python_for(case), HERE / "train_one.py", case.file, FOLDER], capture_output=True, text=True, check=False
        )
        last = [line for line in (done.stderr if done.returncode else done.stdout).splitlines() if line.strip()][-1:]
        print(f"{case.file}: {'failed: ' if done.returncode else ''}{' '.join(last)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
