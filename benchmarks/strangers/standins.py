"""What the files ask of the outside while they train: torchvision's MNIST and transforms, and one download.

`uncollapse` never sees these: it reads a file without what only its training needs.
"""

from __future__ import annotations

import gzip
import sys
import urllib.request
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

__all__ = ["put_in_place"]


class MNIST(torch.utils.data.Dataset):
    """Images of 0 to 1 with their labels, whatever transform is asked for."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.images = torch.from_numpy(np.load("data/mnist.npy")).float()[:, None] / 255
        self.labels = torch.from_numpy(np.load("data/labels.npy"))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> Any:
        return self.images[i], self.labels[i]


def put_in_place() -> None:
    """Make the stand-ins importable, and answer a download with the images at hand."""
    names = ("torchvision", "torchvision.datasets", "torchvision.transforms")
    package, datasets, transforms = (module_from_spec(ModuleSpec(name, None)) for name in names)
    datasets.MNIST = MNIST  # type: ignore[attr-defined]
    transforms.ToTensor = lambda: None  # type: ignore[attr-defined]
    package.datasets, package.transforms = datasets, transforms  # type: ignore[attr-defined]
    sys.modules |= dict(zip(names, (package, datasets, transforms), strict=True))
    urllib.request.urlretrieve = _answered  # type: ignore[assignment]


def _answered(_: str, file: str) -> None:
    images = np.load("data/mnist.npy")
    with gzip.open(Path(file), "wb") as out:
        out.write(bytes(16) + images.tobytes())
