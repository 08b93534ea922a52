"""The data that the models are trained on, as files in the form in which people have them."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

__all__ = ["write_sets"]

SHARED = Path(__file__).parents[3] / "shared" / "data"
MNIST_DIR = Path(os.environ.get("MNIST_DIR", SHARED / "mnist"))
TEXT_DIR = Path(os.environ.get("TEXT_DIR", SHARED / "text"))

SIDE = 32
LONGEST = 30
"""Characters of a molecule."""


def write_sets(folder: Path, n: int = 4000, names: Iterable[str] = ()) -> None:
    """Write sets into a folder, the same at every call: n images, curves, molecules and microstructures.

    Parameters
    ----------
    folder : Path
    n : int
    names : iterable of str
        Of "mnist" (four files), "faces", "curves", "standard", "smiles", "scores"; all where left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or _SETS:
        for file, array in _SETS[name](n).items():
            np.save(folder / f"{file}.npy", array)


def _mnist(n: int) -> dict[str, np.ndarray]:
    """Bytes as they are distributed, their labels, the same padded to 32 × 32 in 0 to 1, and as rows in 0 to 1."""
    with gzip.open(MNIST_DIR / "train-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)[:n]
    with gzip.open(MNIST_DIR / "train-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)[:n]
    padded = np.pad(images, [(0, 0), (2, 2), (2, 2)])[:, None].astype(np.float32) / 255
    rows = images.reshape(n, -1).astype(np.float32) / 255
    return {"mnist": images, "labels": labels.astype(np.int64), "mnist32": padded, "mnist_rows": rows}


def _faces(n: int) -> np.ndarray:
    """Smooth coloured images, of the power law that photographs have, as bytes with the channels last."""
    rng = np.random.default_rng(1)
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE), indexing="ij"))
    k[0, 0] = 1 / SIDE
    noise = np.fft.fft2(rng.standard_normal((n, 3, SIDE, SIDE)))
    fields = np.fft.ifft2(noise * k**-1.8).real
    fields /= fields.std()
    mixed = np.einsum("cd,ndij->nijc", np.array([[1, 0.3, 0.1], [1, 0, -0.2], [1, -0.3, 0.1]]), fields)
    return np.rint(255 / (1 + np.exp(-1.2 * mixed))).astype(np.uint8)


def _curves(n: int, n_q: int = 100) -> np.ndarray:
    """log₁₀ I(q) of spheres of random radius and breadth with a power law and a background, and a little noise."""
    rng = np.random.default_rng(2)
    q = np.geomspace(0.01, 0.5, n_q)
    radius, breadth = rng.uniform(15, 60, n), rng.uniform(0.05, 0.3, n)
    nodes = radius[:, None] * np.exp(breadth[:, None] * np.linspace(-2, 2, 9))  # a log-normal of radii
    qr = q * nodes[..., None]
    form = (3 * (np.sin(qr) - qr * np.cos(qr)) / qr**3) ** 2
    weight = np.exp(-(np.linspace(-2, 2, 9) ** 2) / 2)
    spheres = np.einsum("k,nkq->nq", weight / weight.sum(), form)
    slope = 10 ** rng.uniform(-4, -2, n)[:, None] * (q / q[0]) ** -rng.uniform(2, 4, n)[:, None]
    curves = np.log10(spheres + slope + 10 ** rng.uniform(-4, -3, n)[:, None])
    return (curves + 0.05 * rng.standard_normal((n, n_q))).astype(np.float32)


def _standard(n: int) -> np.ndarray:
    """The curves, each column of mean 0 and variance 1."""
    curves = _curves(n)
    return (curves - curves.mean(axis=0)) / curves.std(axis=0)


def _smiles(n: int) -> np.ndarray:
    """Molecules as one-hot characters, filled up with blanks."""
    lines = (TEXT_DIR / "smiles.txt").read_text(encoding="utf-8").split()
    lines = [line for line in lines if 8 <= len(line) <= LONGEST and set(line) <= set("CNOSFcnos()123=#")]
    letters = " " + "".join(sorted(set("".join(lines))))
    codes = np.array([[letters.index(c) for c in line.ljust(LONGEST)] for line in lines[:n]])
    return np.eye(len(letters), dtype=np.uint8)[codes]


def _scores(n: int, n_scores: int = 20) -> np.ndarray:
    """PCA scores of the two-point statistics of random two-phase microstructures, each standardised."""
    rng = np.random.default_rng(3)
    length = rng.uniform(1.5, 5, n)[:, None, None]
    stretch = rng.uniform(0.5, 2, n)[:, None, None]
    kx, ky = np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE), indexing="ij")
    filtered = np.exp(-((2 * np.pi * length) ** 2) * (stretch * kx**2 + ky**2 / stretch) / 2)
    fields = np.fft.ifft2(np.fft.fft2(rng.standard_normal((n, SIDE, SIDE))) * filtered).real
    share = rng.uniform(0.3, 0.7, n)
    phase = np.array([field > np.quantile(field, 1 - f) for field, f in zip(fields, share, strict=True)], float)
    statistics = np.fft.ifft2(np.abs(np.fft.fft2(phase)) ** 2).real.reshape(n, -1) / phase[0].size
    centred = statistics - statistics.mean(axis=0)
    left, strength, _ = np.linalg.svd(centred, full_matrices=False)
    scores = (left * strength)[:, :n_scores]
    return (scores / scores.std(axis=0)).astype(np.float32)


_SETS: dict[str, Callable[[int], dict[str, np.ndarray]]] = {
    "mnist": _mnist,
    "faces": lambda n: {"faces": _faces(n)},
    "curves": lambda n: {"curves": _curves(n)},
    "standard": lambda n: {"standard": _standard(n)},
    "smiles": lambda n: {"smiles": _smiles(n)},
    "scores": lambda n: {"scores": _scores(n)},
}
