"""Run all benchmarks and write docs/benchmarks.md: `make bench`. Takes some minutes and 4 GB of disk."""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import warnings
from datetime import date
from pathlib import Path

import numpy as np
import scipy
import sklearn

import bench_command
import bench_files
import bench_forecast
import bench_injection
import bench_measure
import bench_memory
import bench_spectrum
import bench_training
import bench_wide
from timing import Row

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
LIBRARIES = ROOT / ".venv-libraries" / "bin" / "python"

HEAD = """# Benchmarks

Made by `make bench` ({day}; {cores} cores, {machine}, Python {python}, NumPy {numpy}, SciPy {scipy}, scikit-learn
{sklearn}). Each comparison runs both sides in turn in one process and takes the ratio of the medians of {n} runs, fewer
where one takes long. Machines differ and shared ones are noisy: read the ratios, not the seconds. When it began,
{load:.1f} processes were running.

| what | ours | against | ratio | asked for | met |
|---|---|---|---|---|---|
"""

FOOT = """
The ratio is ours over theirs, so below 1 is faster, except where the last column says otherwise. `PCA` and the bare
product work in float32 on float32 data; ours multiplies blocks in float32, adds them in float64, and solves the
eigenproblem in float64. None of the three copies all of the data; ours also centres and checks them.

The goal against `PCA` (0.9) stands beside a floor, which the rows *the bare product* show: the product of the data with
themselves and its eigenvalues, without means, checks or a sample for the second threshold. In float64 that alone takes
about 0.9 of the time of `PCA`; nothing exact comes under it. In float32 the rest of ours goes into taking the mean out
of each block where there is one, for which float32 has no digits to spare. A mean that cannot be told from 0 is left
in, and such a block is not copied.

Wide tables: `TruncatedSVD` does not centre, so ours is asked for uncentred strengths; both get float64, as in float32
theirs stays at 2e-6 of the largest. Few rows of many columns give strengths only; directions are found when asked
for. Of a million sparse rows (`python benchmarks/bench_wide.py 1000000`, 16 GB, not in this run) the ratio was 0.80.

What is measured beside the encoder's pass, the KL of each row above all, takes the same time on any machine, so its
share grows with the number of cores.

Where a diagnosis is in doubt, a better q, 120 steps of further training and fresh decoders are tried, which takes
seconds of a network of a million weights, within the budget of ten. Without doubt a forecast and a diagnosis take two.

pythae's trainer and ours spend their time in the same matrix products on a CPU: a bare loop (above) is no faster.

Which changes to the formulas the tests do not notice, and why: [mutants of the formulas](mutants.md).
"""


def main() -> None:
    """Run everything and rewrite the page, or only print with --print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--gigabytes", type=float, default=4.0)
    parser.add_argument("--print", action="store_true", help="leave the page alone")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    load = os.getloadavg()[0]
    rows = [
        *bench_spectrum.run(options.repeats),
        *bench_wide.run(options.repeats),
        *bench_files.run(options.gigabytes),
        *bench_forecast.run(options.repeats),
        *bench_command.run(options.repeats),
        *bench_training.run(options.repeats),
        *beside_pythae(),
        *bench_measure.run(options.repeats),
        *bench_injection.run(options.repeats),
        *bench_memory.run(),
    ]
    head = HEAD.format(
        day=date.today(),
        cores=os.cpu_count(),
        machine=platform.machine(),
        python=platform.python_version(),
        numpy=np.__version__,
        scipy=scipy.__version__,
        sklearn=sklearn.__version__,
        n=options.repeats,
        load=load,
    )
    text = head + "\n".join(map(str, rows)) + "\n" + missed(rows) + FOOT + kept()
    print(text)
    if not options.print:
        PAGE.write_text(text, encoding="utf-8")


def missed(rows: list[Row | str]) -> str:
    """The goals that are not met, by name."""
    cells = [[cell.strip() for cell in str(row).strip("|").split("|")] for row in rows]
    lines = [f"* {what}, beside {against}: {ratio}, asked {goal}" for what, _, against, ratio, goal, met in cells
             if met == "**no**"]  # fmt: skip
    return "\n".join(["", f"**Goals missed: {len(lines)}.**", "", *lines, ""]) if lines else "\nEvery goal is met.\n"


def beside_pythae() -> list[str]:
    """The rows of bench_pythae.py, in the environment that has pythae; a line that says so where there is none."""
    if not LIBRARIES.exists():
        print("no pythae here (`make libraries` installs it): its row is left out")
        return []
    script = Path(__file__).with_name("bench_pythae.py")
    done = subprocess.run([LIBRARIES, script], capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if line.startswith("|")]


def kept() -> str:
    """What other scripts have written into the page, between marks of their own."""
    old = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    return "".join(f"\n{part}\n" for part in re.findall(r"(?ms)^## [^\n]*\n(?:(?!^## ).)*?<!-- end -->", old))


if __name__ == "__main__":
    main()
