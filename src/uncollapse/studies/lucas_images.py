"""Lucas et al. 2019, the CelebA half of Table 1: convolutional VAEs on a folder of images that the user names.

The images stay bytes: they are read once, and each batch is dequantised and put through the logit as it is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from uncollapse.data.blocks import Rows
from uncollapse.data.sources import open_source
from uncollapse.errors import SourceError
from uncollapse.studies.lucas_data import LOGIT_MARGIN, logit_pixels, modes_of
from uncollapse.studies.lucas_table import (
    DELTA,
    EPSILON,
    Case,
    Found,
    at_linear_optimum,
    at_own_variance,
    epsilon_figure,
    judge,
    measured,
    table_rows,
    threshold_rows,
)
from uncollapse.studies.made_faces import is_made
from uncollapse.studies.study import ON_MADE_IMAGES, Request, Result

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from uncollapse.training import Setup, Trained
    from uncollapse.training.packed import Packed

__all__ = ["CELEBA", "Sizes", "celeba", "image_bytes", "logit_rows", "packed", "table_on_images"]

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
FINAL = (10.0, 1.0, 0.1, 0.01, 0.001, 0.0962, 0.0875, 0.0863, 0.0911, 0.1040)
"""σ² at the end, of each case."""

FEWEST = 100
"""Images: a latent is collapsed when at most 1 % of them say otherwise."""

BLOCK_ROWS = 512
"""Images that are numbers at a time where all are walked over: 25 MB in float32 at 64 × 64, a few times that while the
logit is taken."""


@dataclass(frozen=True)
class Sizes:
    """What a preset trains: images of `side`², convolutions, latents, epochs."""

    n: int
    side: int
    channels: tuple[int, ...]
    latents: int
    epochs: int
    batch: int = 64
    rate: float = 1e-3
    clip: float = 100.0
    stack: int = 1  # small networks train faster side by side

    def setup(self, case: Case) -> Setup:
        """The training of a case."""
        from uncollapse.training import Network, Setup, Training

        return Setup(
            case.objective(self.latents),
            Network(image=(3, self.side, self.side), channels=self.channels),
            Training(
                epochs=self.epochs,
                batch_size=self.batch,
                learning_rate=self.rate,
                cooling=self.epochs // 3,
                clip=self.clip,
                initial_decoder_variance=case.variance,
            ),
        )


SIZES = (
    Sizes(400, 16, (8, 16), 20, 60, 32, 5e-3, stack=5),
    Sizes(4000, 16, (16, 32), 40, 40, 32, 4e-3, stack=5),
    Sizes(162_770, 64, (32, 64, 128, 256), 500, 100),
)
"""The last has the number of CelebA's training images; channels, epochs and what follows are chosen here."""


def celeba(request: Request) -> Result:
    """Table 1's CelebA half on the user's images."""
    if request.data is None:
        raise SourceError(
            "this study needs a folder of images, and CelebA's are not shipped: name one with --data FOLDER, or make "
            "some: python -m uncollapse.studies.made_faces FOLDER"
        )
    sizes: Sizes = request.pick(*SIZES)
    source = str(request.data)
    return table_on_images(image_bytes(source, sizes.n, sizes.side), sizes, made=is_made(source))


def image_bytes(source: str, n: int, side: int) -> np.ndarray:
    """The first `n` images by name in colour at `side`², as bytes of shape (up to n, 3·side²), channels first.

    Parameters
    ----------
    source : str
        What `open_source` takes for images: a folder, a tar; words after ``::`` are kept, but for the size.
    n, side : int

    Raises
    ------
    SourceError
        No images there, fewer than `FEWEST`, or one that cannot be read.
    """
    if not Path(source.partition("::")[0]).expanduser().is_dir() and "::" not in source:
        raise SourceError(f"{source}: no such folder; name a folder of images with --data")
    rows = open_source(f"{source}{',' if '::' in source else '::'}{side}x{side},colour")
    kept, have = np.empty((n, 3 * side * side), dtype=np.uint8), 0  # memory is taken only as it is filled
    for block in rows.blocks():
        part = block[: n - have]
        kept[have : have + len(part)] = np.rint(255 * part)
        have += len(part)
        if have == n:
            break
    if have < FEWEST:
        raise SourceError(
            f"{source}: {have} images there, and collapse that allows 1 % of them needs {FEWEST} or more; name a "
            f"larger folder with --data"
        )
    return kept[:have]


def logit_rows(levels: np.ndarray) -> Rows:
    """Images of grey levels as rows of logits, made block by block, the same each time that they are walked over."""

    def blocks() -> Iterator[np.ndarray]:
        for start in range(0, len(levels), BLOCK_ROWS):
            yield logit_pixels(levels[start : start + BLOCK_ROWS], seed=start)

    return Rows("the images", levels.shape[1], len(levels), blocks)


def packed(levels: np.ndarray, mean: np.ndarray) -> Packed:
    """The images to train on: bytes that become logits, with new noise each time; the encoder sees them less `mean`."""
    import torch

    from uncollapse.training.packed import Packed

    centre = torch.from_numpy(mean.astype(np.float32))

    def unpack(part: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        noise = torch.rand(part.shape, generator=generator, device=part.device)
        x = torch.logit(LOGIT_MARGIN + (1 - 2 * LOGIT_MARGIN) / 256 * noise.add_(part))
        return x - centre.to(x.device), x

    return Packed(torch.from_numpy(levels), unpack, (levels.shape[1], levels.shape[1]), "the images")


def table_on_images(levels: np.ndarray, sizes: Sizes, *, made: bool = False) -> Result:
    """The ten cases on images of bytes, shape (n, 3·side²); `made` images are said to be so wherever numbers stand."""
    from uncollapse.training import train_all

    rows = logit_rows(levels)
    # all modes of 12,288 columns would need their whole covariance; the optimum needs one mode more than latents
    linear = modes_of(rows, n_modes=None if levels.shape[1] <= 4096 else sizes.latents + 1)
    trained = train_all([sizes.setup(case) for case in CELEBA], packed(levels, linear.mean_input), stack=sizes.stack)
    result = [measured(vae, rows, linear.mean_input) for vae in trained]
    own = [_own_variance(case, vae) for case, vae in zip(CELEBA, trained, strict=True)]
    theory = [at_linear_optimum(linear, rows, case.objective(sizes.latents)) for case in CELEBA]
    at_own = [
        at_own_variance(linear, rows, case.objective(sizes.latents), variance) if case.learned else found
        for case, variance, found in zip(CELEBA, own, theory, strict=True)
    ]
    table = _with_water(table_rows(CELEBA, result, theory), at_own, own, theory)
    verdict, because = judge(CELEBA, result, theory)
    what = "made images" if made else "the images given, which need not be CelebA"
    settings = asdict(sizes) | {
        "images": len(levels),
        "optimiser": f"Adam {sizes.rate:g}, falling to 0 over the last third; gradients clipped; one seed",
        "data": f"{what}, resized to {sizes.side} × {sizes.side}, not cut; logit({LOGIT_MARGIN:g} + (1 − "
        f"{2 * LOGIT_MARGIN:g})(x + U)/256), U drawn anew for each batch; the encoder sees it centred",
        "ε, δ": [EPSILON, DELTA],
        "chosen here": "the network and the training: the text says convolutional, 500 latents, 64 × 64, and no more",
        "dead latents, % by mean KL < 0.01, at a quarter, half, three quarters and the end of training": {
            case.name: [round(float(f.dead[len(f.dead) * k // 4 - 1]), 1) for k in (1, 2, 3, 4)]
            for case, f in zip(CELEBA, result, strict=True)
        },
        "the paper": "162,770 images if its training set was CelebA's, 64 × 64, 500 latents, 5 trials",
    }
    return Result(
        [*threshold_rows(linear), *table],
        epsilon_figure(CELEBA, result, theory, f" on {what}"),
        settings,
        ON_MADE_IMAGES if made else verdict,
        f"On {what}, beside the paper's numbers of CelebA: {because}; {_about_forecast(result, at_own)}",
    )


def _own_variance(case: Case, vae: Trained) -> float:
    """η² when training ended."""
    return float(vae.history["decoder_variance"][-1]) if case.learned else case.variance


def _with_water(
    table: list[dict[str, Any]], at_own: Sequence[Found], own: Sequence[float], theory: Sequence[Found]
) -> list[dict[str, Any]]:
    """The table with the linear optimum at our η² beside, and a row of each case with η² itself, the water level."""
    result, per_case = [], len(table) // len(own)
    for i, (found, variance, optimum) in enumerate(zip(at_own, own, theory, strict=True)):
        part = table[i * per_case : (i + 1) * per_case]
        case = CELEBA[i]
        water = {
            "case": case.name,
            "quantity": "σ² at the end, the water level",
            "paper": FINAL[i],
            "ours": variance,
            "theory": optimum.values[2] if case.learned else case.variance,
        }
        numbers = [variance, *found.values, found.silent]
        result += [row | {"theory at our σ²": value} for row, value in zip([water, *part], numbers, strict=True)]
    return result


def _about_forecast(result: Sequence[Found], at_own: Sequence[Found]) -> str:
    both = [
        f"{case.name}: {found.collapse:.0f} ({optimum.collapse:.0f})"
        for case, found, optimum in zip(CELEBA, result, at_own, strict=True)
    ]
    return f"collapse % and, in brackets, that of the linear optimum at the same σ²: {', '.join(both)}"
