"""Run one file as its author would, then write what its own class says of the data: the truth for `record.py`.

Usage: python train_one.py NAME FOLDER
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cases import ALL, Case
from standins import put_in_place

ROWS = 64
"""Samples whose values are kept; the KL is of all rows."""


def main(name: str, folder: Path) -> None:
    case = next(case for case in ALL if case.file == name)
    os.chdir(folder)
    torch.set_num_threads(1)
    if "torchvision" in Path(f"{name}.py").read_text() or "urllib" in Path(f"{name}.py").read_text():
        put_in_place()
    sys.argv = [f"{name}.py", *case.argv]
    names = runpy.run_path(f"{name}.py", run_name="__main__")
    if case.spread:
        np.savez(f"{name}.truth.npz", **truth_of(case, names))


def truth_of(case: Case, names: dict[str, Any]) -> dict[str, Any]:
    """Mean, log-variance and reconstruction of a few rows, and the KL of each latent over all, in double precision."""
    model = eval(case.build, dict(names))
    if not case.keras:  # of those it is the trained model itself
        model.load_state_dict(_state(case))
        model.double().eval()
    x = torch.from_numpy(np.load(f"data/{case.data}")).double() * case.scale + case.shift
    x = (x.permute(0, 3, 1, 2) if case.channels_last else x).reshape(len(x), *case.shape)
    labels = torch.from_numpy(np.load("data/labels.npy"))[: len(x)]
    means, log_variances, recons = [], [], []
    with torch.no_grad():
        for rows, c in zip(x.split(500), labels.split(500), strict=False):
            mean, log_variance, recon = case.halves(model, rows, c)
            means.append(mean)
            log_variances.append(log_variance)
            recons.append(recon[:ROWS])
    mean, recon = torch.cat(means), recons[0].reshape(ROWS, *case.shape)
    recon = (recon.permute(0, 2, 3, 1) if case.channels_last else recon).reshape(ROWS, -1)
    log_variance = torch.cat(log_variances)
    kl = ((mean**2 + log_variance.exp() - 1 - log_variance) / 2).mean(0)
    return {"mean": mean[:ROWS].numpy(), "log_variance": log_variance[:ROWS].numpy(), "recon": recon.numpy(),
            "kl": kl.numpy()}  # fmt: skip


def _state(case: Case) -> dict[str, torch.Tensor]:
    if case.weights.endswith(".safetensors"):
        from safetensors.torch import load_file

        return load_file(case.weights)
    held = torch.load(case.weights, weights_only=False)  # our own file
    state = held[case.states] if case.states else held
    return {key.removeprefix("module."): value for key, value in state.items()}


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
