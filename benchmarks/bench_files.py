"""A memory-mapped float32 file larger than the memory it may use."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from timing import Row

CHILD = """
import re, sys, time
import numpy as np
from uncollapse import spectrum
x = np.load(sys.argv[1], mmap_mode="r")
spectrum(x)  # once, so that the file is in the page cache and the libraries are loaded
start = time.perf_counter()
spectrum(x)
seconds = time.perf_counter() - start
peak = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])  # of this program alone, in kB
part = np.array(x[:200_000])
spectrum(part)
start = time.perf_counter()
spectrum(part)
rate = len(part) / (time.perf_counter() - start)
print(len(x) / seconds, rate, peak / 1024**2)
"""


def run(gigabytes: float) -> list[Row]:
    """Peak resident memory, and the rate against data in memory."""
    n = int(gigabytes * 1e9 / 4 / 784)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.npy"
        file = np.lib.format.open_memmap(path, "w+", np.float32, (n, 784))
        for start in range(0, n, 50_000):
            file[start : start + 50_000] = rng.standard_normal((min(50_000, n - start), 784), dtype=np.float32)
        file.flush()
        del file
        command = [sys.executable, "-c", CHILD, str(path)]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate, in_memory, peak = map(float, printed.split())
    name = f"memory-mapped float32 file of {gigabytes:g} GB"
    return [
        Row(name, f"{rate:,.0f} rows/s", "the same in memory, rate", rate / in_memory, "≥ 0.7"),
        Row(name, f"{peak:.2f} GB", "peak resident memory, GB", peak, "< 1"),
    ]
