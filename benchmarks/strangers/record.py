"""Type one command for every model, as a stranger would, and hold what comes of it against what is known.

Usage: KERAS_PYTHON=.venv-libraries/bin/python python benchmarks/strangers/record.py [NAME …]

`train.py` made the weights. For each: the command, its seconds, what was inferred, the verdict. Then the checks: the
values of encode and decode and the KL of each latent, computed by the file's own class in another process, to 1e-4; the
shape of a sample, the spread, the range of the data and the weight of the loss; and the cause that was planted.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from cases import ALL, HELD_BACK, LATER, Case
from train import FOLDER, python_for

import uncollapse
from uncollapse import open_weights
from uncollapse.errors import UncollapseError

RESULTS = Path(__file__).parent / "results" / "strangers.json"
CLOSE = 1e-4
BUDGET = 60
"""Seconds for the trials that tell stopped from stuck: the default is for two cores that do nothing else."""
SOURCE = str(Path(uncollapse.__file__).parents[1])
"""That the commands run what is measured here."""


def main(names: list[str]) -> None:
    kept = {row["file"]: row for row in json.loads(RESULTS.read_text())} if RESULTS.is_file() else {}
    RESULTS.parent.mkdir(exist_ok=True)
    for case in ALL:
        if not names or case.file in names:
            kept[case.file] = row = recorded(case)
            marks = " ".join(f"{k}:{'ok' if v else 'NO'}" for k, v in row["checks"].items())
            print(f"{case.file}: {row['cause'] or row['line'][:300]} ({row['seconds']:.1f} s) {marks}", flush=True)
            rows = [kept[one.file] for one in ALL if one.file in kept]
            RESULTS.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    print(f"{sum(row['right'] for row in rows)} of {len(rows)} right")


def recorded(case: Case) -> dict[str, Any]:
    """One command with its checks."""
    words = [
        "uncollapse",
        "diagnose",
        case.weights,
        f"data/{case.data}",
        "--model",
        f"{case.file}.py{case.maker}",
        *case.typed,
    ]
    words += ["--budget", str(BUDGET)]
    out = FOLDER / f"{case.file}.json"
    out.unlink(missing_ok=True)
    began = time.perf_counter()
    done = subprocess.run(
        [python_for(case), "-m", "uncollapse.cli", *words[1:], "--json", out.name], cwd=FOLDER, capture_output=True,
        text=True, check=False, env={**os.environ, "PYTHONPATH": SOURCE, "COLUMNS": "400"},
    )  # fmt: skip
    seconds = time.perf_counter() - began
    said = json.loads(out.read_text()) if done.returncode == 0 else {}
    line = " ".join(re.sub(r"[│╭╮╰╯─]", " ", done.stderr).split()) if done.returncode else ""
    checks = {"refused for its reason": case.reason in line} if case.reason else {"answered": bool(said)}
    if said:
        checks |= {"KL": _near(said["kl_per_latent"], _truth(case)["kl"])} if case.keras else _checks(case, said)
        checks["cause"] = said["cause"] in case.right
    return {
        "kind": case.kind, "file": case.file, "command": " ".join(words), "seconds": round(seconds, 1),
        "inferred": said.get("inferred", []), "verdict": said.get("verdict", ""), "cause": said.get("cause", ""),
        "confidence": said.get("confidence", ""), "n_alive": said.get("n_alive"), "n_latents": said.get("n_latents"),
        "line": line, "planted": case.planted, "wanted": list(case.right), "checks": checks,
        "right": all(checks.values()), "part": _part(case),
    }  # fmt: skip


def _part(case: Case) -> str:
    return "later" if case in LATER else "held back" if case in HELD_BACK else "built on"


def _checks(case: Case, said: dict[str, Any]) -> dict[str, bool]:
    truth = _truth(case)
    data = np.load(FOLDER / "data" / case.data)
    labels = np.load(FOLDER / "data" / "labels.npy")[: len(data)] if case.typed else None
    try:
        found = open_weights(FOLDER / case.weights, str(FOLDER / f"{case.file}.py"), data, labels)
    except UncollapseError:
        return {"opened": False}
    n = len(truth["mean"])
    x = data[:n].reshape(n, -1) * found.scale + found.shift
    given = None if labels is None else np.eye(found.n_classes)[labels[:n]]
    q = found.probe.encode(x, given)
    recon = found.probe.decode(truth["mean"], given)
    objective = said["water_level"] if case.loss[0] == "gaussian" else found.objective.beta
    weighs = case.loss[1] is None or _near(objective, case.loss[1])
    learned = (found.objective.decoder_variance == "learned") == (case.loss[1] is None)
    told = [one["value"] for one in said["inferred"] if one["what"] == "input shape"]
    own = (*case.shape[1:], case.shape[0]) if case.channels_last else case.shape
    return {
        "encode": _near(q.mean, truth["mean"]) and _near(np.log(q.variance), truth["log_variance"]),
        "decode": _near(recon.reshape(n, -1), truth["recon"]),
        "KL": _near(said["kl_per_latent"], truth["kl"]),
        "input shape": told == [" × ".join(map(str, own)) if len(own) > 1 else f"rows of {own[0]}"],
        "range": _near([found.scale, found.shift], [case.scale, case.shift]),
        "loss": found.objective.likelihood == case.loss[0] and weighs and learned,
    }


def _truth(case: Case) -> Any:
    return np.load(FOLDER / f"{case.file}.truth.npz")


def _near(one: Any, other: Any) -> bool:
    """To 1e-4 of the larger of both, and of the typical size where one is about 0."""
    one, other = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    if one.shape != other.shape:
        return False
    size = np.maximum(np.maximum(abs(one), abs(other)), np.sqrt(np.mean(other**2)))
    return bool((abs(one - other) <= CLOSE * size + 1e-12).all())


if __name__ == "__main__":
    main(sys.argv[1:])
