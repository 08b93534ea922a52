"""Images in folders → rows: channels first, values from 0 to 1, as PyTorch's models take them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from uncollapse.data.blocks import Rows
from uncollapse.data.singles import Files, rows_of_files, sides
from uncollapse.errors import SourceError

__all__ = ["IMAGES", "How", "how_of", "image_rows", "is_image", "pixels", "read_images"]

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
"""Endings of files that are read as images."""

WORDS = {"grey": "grey", "gray": "grey", "colour": "colour", "color": "colour"}

GREY = ("1", "L", "LA", "I", "F")
"""Pillow's modes of one channel; those of 16 bits begin with I."""

MOST_SIDE = 2**14
"""Of an image after resizing: a row of 800 million numbers is a slip of the keyboard."""

VALUES = "values from 0 to 1, as PyTorch's ToTensor gives them, so no --scale is needed"


@dataclass(frozen=True)
class How:
    """How images are read: what stands after the double colon.

    Attributes
    ----------
    size : tuple or None
        Height and width to resize to; None: all must be of one size.
    colours : str
        "grey", "colour", or "" as they are.
    skip_broken : bool
    """

    size: tuple[int, int] | None = None
    colours: str = ""
    skip_broken: bool = False

    def __str__(self) -> str:
        size = "" if self.size is None else f"{self.size[0]}x{self.size[1]}"
        return ",".join(word for word in (size, self.colours, "skip-broken" if self.skip_broken else "") if word)


def how_of(words: list[str], source: str) -> How:
    """What the words say: ``64``, ``64x48`` (height x width), ``grey``, ``colour``, ``skip-broken``.

    Raises
    ------
    SourceError
        Another word, or a size that no image has.

    Examples
    --------
    >>> how_of(["64x48", "grey"], "photos")
    How(size=(64, 48), colours='grey', skip_broken=False)
    """
    how = How()
    for word in words:
        sized = re.fullmatch(r"([0-9]{1,6})(?:x([0-9]{1,6}))?", word)
        if sized:
            size = int(sized[1]), int(sized[2] or sized[1])
            if not all(1 <= side <= MOST_SIDE for side in size):
                raise SourceError(f"{source}: a side of an image must be from 1 to {MOST_SIDE}, got {word}")
            how = replace(how, size=size)
        elif word in WORDS:
            how = replace(how, colours=WORDS[word])
        elif word == "skip-broken":
            how = replace(how, skip_broken=True)
        else:
            raise SourceError(
                f"{source}: after '::' images take a size (64 or 64x48, height x width), grey, colour and "
                f"skip-broken, with commas between; got {word[:40]!r}"
            )
    return how


def read_images(folder: Path, paths: list[Path], how: How) -> Rows:
    """The images of a folder, in the order given."""

    def files() -> Iterator[tuple[str, Path]]:
        return ((str(path.relative_to(folder)), path) for path in paths)

    return image_rows(str(folder), files, how, len(paths), str(folder))


def image_rows(name: str, files: Files, how: How, n_files: int | None, typed: str) -> Rows:
    """Images that are walked over; `typed` is the source without what says how they are read."""
    try:
        from PIL import Image
    except ImportError:
        raise SourceError(f"{name}: images need Pillow; pip install 'uncollapse[io]'") from None

    def decode(file: Any) -> np.ndarray:
        with warnings.catch_warnings():  # Pillow's own, of odd palettes and tags
            warnings.simplefilter("ignore")
            with Image.open(file) as image:
                return pixels(image, how)

    def with_(**changes: Any) -> str:
        return f"{typed}{',' if '::' in typed else '::'}{replace(how, **changes)}"

    def mixed(first: str, one: np.ndarray, where: str, other: np.ndarray) -> str:
        if len(one) != len(other):
            kinds = ("grey", "in colour") if len(one) == 1 else ("in colour", "grey")
            return (
                f"{first} is {kinds[0]} and {where} is {kinds[1]}; type {with_(colours='grey')} or "
                f"{with_(colours='colour')}"
            )
        size = one.shape[1:]
        return f"{first} is {sides(one[0])} and {where} is {sides(other[0])} (height x width); type {with_(size=size)}"

    skip = "" if how.skip_broken else with_(skip_broken=True)
    rows, shape = rows_of_files(name, files, decode, what="images", n_files=n_files, skip_broken=skip, mixed=mixed)
    sizes = "x".join(map(str, shape))
    return replace(
        rows, sample_shape=shape, note=f"{name}: images are read as {sizes} (channels x height x width), {VALUES}"
    )


def is_image(value: Any) -> bool:
    """Whether this is an image of Pillow, which is not imported to ask."""
    return any(kind.__module__.startswith("PIL.") for kind in type(value).__mro__)


def pixels(image: Any, how: How = How()) -> np.ndarray:
    """An image of Pillow as float32 from 0 to 1, shape (channels, height, width); transparency is left out.

    Raises
    ------
    ValueError
        Several pages, or numbers without a largest one.
    """
    from PIL import Image

    if getattr(image, "n_frames", 1) > 1:
        raise ValueError(f"holds {image.n_frames} pages; save each in a file of its own")
    is_grey = image.mode in GREY or image.mode.startswith("I;16")
    if is_grey and image.mode[0] in "IF":
        image = _of_16_bits(image)
    else:
        image = image.convert("L" if is_grey or how.colours == "grey" else "RGB")
    if how.size is not None and image.size != how.size[::-1]:
        image = image.resize(how.size[::-1], Image.Resampling.BILINEAR)
    values = np.asarray(image)
    values = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
    if values.dtype == np.uint8:
        values = values.astype(np.float32) / np.float32(255)
    return np.repeat(values, 3, axis=0) if how.colours == "colour" and len(values) == 1 else values


def _of_16_bits(image: Any) -> Any:
    """The same with values from 0 to 1 in float32."""
    from PIL import Image

    values = np.asarray(image)
    if image.mode == "F" or (image.mode == "I" and image.format != "PNG"):
        raise ValueError("32-bit numbers have no largest value to divide by; save 8 or 16 bits, or .npy")
    return Image.fromarray(values.astype(np.float32) / np.float32(65535))
