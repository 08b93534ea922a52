"""What a folder holds: images, or the parts of a Parquet table, in subfolders too."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from uncollapse.data.blocks import Rows
from uncollapse.data.images import IMAGES, how_of, read_images
from uncollapse.data.parquets import read_parquet_folder
from uncollapse.errors import SourceError

__all__ = ["read_folder"]

PARQUET = ".parquet"

MOST_OTHERS = 10_000
"""A folder with so many files of other kinds, ten times those of ours, is not a folder of data: the walk ends."""

MOST_DEEP = 100
"""Folders within folders."""

KINDS_NAMED = 4


def read_folder(folder: Path, words: str) -> Rows:
    """The images of a folder, or the rows of its .parquet parts, sorted by name.

    Names that begin with a dot or an underscore are passed over, as Parquet's writers expect. Links are followed, and
    a link to a folder that holds it is not.

    Raises
    ------
    SourceError
        Nothing to read, both kinds, or whatever the readers say.
    """
    images, parts = _found(folder)
    if images and parts:
        raise SourceError(
            f"{folder}: holds {len(images)} images and {len(parts)} .parquet files; give a folder with one kind"
        )
    if images:
        return read_images(folder, images, how_of(words.split(",") if words else [], str(folder)))
    if words:
        raise SourceError(f"{folder}: only of images something is said after '::'; drop '::{words[:40]}'")
    return read_parquet_folder(folder, parts)


def _found(folder: Path) -> tuple[list[Path], list[Path]]:
    images, parts = [], []
    others: Counter[str] = Counter()
    for path in _walked(folder, ()):
        ending = path.suffix.lower()
        if ending in IMAGES:
            images.append(path)
        elif ending == PARQUET:
            parts.append(path)
        else:
            others[ending or "no ending"] += 1
            if others.total() > max(MOST_OTHERS, 10 * (len(images) + len(parts))):
                break
    if not images and not parts:
        kinds = ", ".join(f"{n} {kind}" for kind, n in others.most_common(KINDS_NAMED))
        held = f"holds {kinds}" if others else "is empty"
        raise SourceError(f"{folder}: a directory without images or .parquet files ({held}); give the file inside it")
    if others.total() > max(MOST_OTHERS, 10 * (len(images) + len(parts))):
        raise SourceError(f"{folder}: more files of other kinds than of images or .parquet; give the folder of these")
    return sorted(images, key=lambda p: p.parts), sorted(parts, key=lambda p: p.parts)


def _walked(folder: Path, above: tuple[tuple[int, int], ...]) -> Iterator[Path]:
    """Its files, and those of its subfolders; `above` are the folders it lies in, so that no loop of links is run."""
    try:
        place = os.stat(folder)
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise SourceError(f"{folder}: cannot be listed: {error.strerror or error}") from None
    own = (place.st_dev, place.st_ino)
    if own in above:
        return
    if len(above) == MOST_DEEP:
        raise SourceError(f"{str(folder)[:100]}…: more than {MOST_DEEP} folders within each other; give an inner one")
    for entry in entries:
        if entry.name.startswith((".", "_")):
            continue
        if _is_folder(entry):
            yield from _walked(Path(entry.path), (*above, own))
        else:
            yield Path(entry.path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, which reading the file says
        return False
