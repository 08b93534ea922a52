"""Lucas et al. 2019, the CelebA half of Table 1: convolutional VAEs on a folder of images that the user names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from uncollapse.errors import SourceError, UncollapseError
from uncollapse.studies.lucas_data import logit_pixels, modes_of
from uncollapse.studies.lucas_table import (
    Case,
    at_linear_optimum,
    epsilon_figure,
    judge,
    measured,
    table_rows,
    train_centred,
)
from uncollapse.studies.study import Request, Result

__all__ = ["CELEBA", "Sizes", "celeba", "image_rows", "table_on_images"]

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")

CELEBA = (
    Case(10.0, False, (-73328.4, -55186.7, 0.2040, 80.56, 56.12)),
    Case(1.0, False, (-59841.8, -51294.8, 0.1020, 2.52, 213.4)),
    Case(0.1, False, (-50760.3, -50698.5, 0.0883, 32.72, 483.8)),
    Case(0.01, False, (-82478.7, -51373.9, 0.0817, 0.0, 1624.2)),
    Case(0.001, False, (-531924.5, -57381.5, 0.0296, 0.0, 2680.2)),
    Case(10.0, True, (-51109.5, -51109.5, 0.0963, 53.32, 364.5)),
    Case(1.0, True, (-50631.2, -50631.0, 0.0875, 54.76, 462.2)),
    Case(0.1, True, (-50646.9, -50645.9, 0.0869, 28.84, 520.9)),
    Case(0.01, True, (-51285.0, -51284.8, 0.0963, 5.64, 557.0)),
    Case(0.001, True, (-51695.1, -51694.8, 0.0974, 0.0, 537.5)),
)


@dataclass(frozen=True)
class Sizes:
    """What a preset trains: images of `side`², convolutions, latents, epochs."""

    n: int
    side: int
    channels: tuple[int, ...]
    latents: int
    epochs: int
    batch: int = 64


SIZES = (
    Sizes(400, 16, (8, 16), 20, 12, 32),
    Sizes(4000, 32, (16, 32, 64), 100, 30),
    Sizes(202_599, 64, (32, 64, 128, 256), 500, 100),
)


def image_rows(folder: Path, n: int, side: int) -> np.ndarray:
    """The first `n` images of a folder by name, cut square, resized, as grey levels 0…255 of shape (n, 3·side²).

    Raises
    ------
    SourceError
        No images there, or one that cannot be read.
    """
    try:
        from PIL import Image, ImageOps
    except ModuleNotFoundError:
        raise UncollapseError("reading images needs Pillow: pip install pillow") from None
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)[:n]
    if len(paths) < 2:
        raise SourceError(
            f"{folder}: {len(paths)} images there ({', '.join(SUFFIXES)}); name a folder of them with --data"
        )
    rows = np.empty((len(paths), 3 * side * side), dtype=np.float32)
    for row, path in zip(rows, paths, strict=True):
        try:
            with Image.open(path) as image:
                square = ImageOps.fit(image.convert("RGB"), (side, side))
        except OSError as error:
            raise SourceError(f"{path}: not an image that can be read ({error}); take it out of the folder") from None
        row[:] = np.asarray(square, dtype=np.float32).transpose(2, 0, 1).ravel()
    return rows


def celeba(request: Request) -> Result:
    """Table 1's CelebA half on the user's images."""
    if request.data is None:
        raise SourceError("no folder of images named: CelebA is not to be had here, so name one with --data")
    sizes: Sizes = request.pick(*SIZES)
    return table_on_images(image_rows(request.data, sizes.n, sizes.side), sizes)


def table_on_images(levels: np.ndarray, sizes: Sizes) -> Result:
    """The ten cases on images of grey levels 0…255, shape (n, 3·side²)."""
    from uncollapse.training import Network, Setup, Training

    x = logit_pixels(levels)
    network = Network(image=(3, sizes.side, sizes.side), channels=sizes.channels)
    # all modes of 12,288 columns would need their whole covariance; the optimum needs one mode more than latents
    linear = modes_of(x, n_modes=None if x.shape[1] <= 4096 else sizes.latents + 1)
    setups = [
        Setup(
            case.objective(sizes.latents),
            network,
            Training(
                epochs=sizes.epochs,
                batch_size=sizes.batch,
                learning_rate=1e-3,
                initial_decoder_variance=case.variance,
            ),
        )
        for case in CELEBA
    ]
    result = [measured(vae, x) for vae in train_centred(x, setups)]
    theory = [at_linear_optimum(linear, x, case, sizes.latents) for case in CELEBA]
    verdict, because = judge(CELEBA, result, theory)
    settings = {
        "images": len(x),
        "side": sizes.side,
        "channels": list(sizes.channels),
        "latents": sizes.latents,
        "epochs": sizes.epochs,
        "batch": sizes.batch,
        "optimiser": "Adam 0.001, one seed",
        "data": "the user's images, cut square and resized, dequantised and put through the logit",
        "chosen here": "the network and the training: the text says convolutional, 500 latents, 64 × 64, and no more",
    }
    because = f"on the images given, which need not be CelebA: {because}"
    return Result(
        table_rows(CELEBA, result, theory), epsilon_figure(CELEBA, result, theory), settings, verdict, because
    )
