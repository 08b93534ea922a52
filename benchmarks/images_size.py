"""Memory and time of Table 1's CelebA half at its full size, by the slope between two numbers of made images.

`python benchmarks/images_size.py FOLDER` makes the images there (10,000 of 64 × 64, half a minute and 100 MB). Each
number of them, in a process of its own, is read as the study does, and the full preset's network is trained for one
epoch on one thread. It writes results/lucas-table-1-celeba/size.json. Seconds are the process's own. The modes that the
forecast needs are not in it: they are found once, by walking over the rows several times.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from bench_memory import peak
from uncollapse.files import made_folder, write_text
from uncollapse.studies.made_faces import MARK, write_faces

NUMBERS, CELEBA_IMAGES = (2_500, 10_000), 162_770
OUT = Path(__file__).parents[1] / "results" / "lucas-table-1-celeba" / "size.json"
COLUMNS = ("read_seconds", "epoch_seconds", "peak_bytes")


def measure(folder: str, n: int) -> dict[str, float]:
    """Read `n` images and train one epoch of one case."""
    import torch

    from uncollapse.studies.lucas_images import CELEBA, SIZES, image_bytes, logit_rows, packed
    from uncollapse.training import train_all

    torch.set_num_threads(1)
    sizes = replace(SIZES[2], n=n, epochs=1)
    started = time.process_time()
    levels = image_bytes(folder, sizes.n, sizes.side)
    read = time.process_time()
    mean = next(iter(logit_rows(levels).blocks())).mean(0)
    begun = time.process_time()
    train_all([sizes.setup(CELEBA[1])], packed(levels, mean), stack=1)
    return {"read_seconds": read - started, "epoch_seconds": time.process_time() - begun, "peak_bytes": peak()}


def main(folder: Path) -> None:
    """Measure each number, draw the line through both, and write what it says of CelebA's training set."""
    if not (folder / MARK).is_file() or len(list(folder.glob("*.png"))) < NUMBERS[-1]:
        write_faces(folder, NUMBERS[-1])
    found = {}
    for n in NUMBERS:
        command = [sys.executable, __file__, "measure", str(folder), str(n)]
        found[n] = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
        print(n, found[n], flush=True)
    few, many = NUMBERS
    line = {
        name: found[many][name] + (CELEBA_IMAGES - many) * (found[many][name] - found[few][name]) / (many - few)
        for name in COLUMNS
    }
    made_folder(OUT.parent)
    facts = {"measured": {str(n): found[n] for n in NUMBERS}, "images": CELEBA_IMAGES, "by the slope": line}
    write_text(OUT, json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1] == "measure":
        print(json.dumps(measure(sys.argv[2], int(sys.argv[3]))))
    else:
        main(Path(sys.argv[1]))
