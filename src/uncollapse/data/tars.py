"""Tar files of samples, as WebDataset writes them: members of one name before the first dot are one sample."""

from __future__ import annotations

import io
import itertools
import re
import tarfile
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import numpy as np

from uncollapse.data.blocks import Rows
from uncollapse.data.images import IMAGES, how_of, image_rows
from uncollapse.data.singles import rows_of_files, sides
from uncollapse.errors import SourceError, first_line

__all__ = ["TARS", "read_tars", "shards"]

TARS = (".tar", ".tar.gz", ".tgz")

ARRAYS = (".npy", ".npz")
PICKLED = (".pth", ".pt", ".pkl", ".pickle", ".pyd", ".ckpt")
"""Endings whose files run code when they are read."""

MOST_BYTES = 2**28
"""Of a member, which is held in memory: 256 MB, a sample of 67 million numbers in float32."""

MOST_PACKED = 1100
"""Bytes that a byte of a compressed file can stand for; a header that claims more is damaged, or meant to harm."""

MOST_SHARDS = 10**5
MOST_LISTED = 8


def shards(name: str) -> list[str]:
    """The names that braces stand for: ``s-{000..002}.tar`` and ``{train,test}.tar``, in that order.

    Examples
    --------
    >>> shards("s-{08..10}.tar")
    ['s-08.tar', 's-09.tar', 's-10.tar']
    """
    found = re.search(r"\{([^{}]*)\}", name)
    if found is None:
        return [name]
    span = re.fullmatch(r"([0-9]{1,9})\.\.([0-9]{1,9})", found[1])
    if span is None:
        inside = found[1].split(",")
    else:
        first, last = int(span[1]), int(span[2])
        if not 0 <= last - first < MOST_SHARDS:
            raise SourceError(f"{name[:100]}: {{{found[1]}}} must count up, over at most {MOST_SHARDS} files")
        inside = [f"{i:0{len(span[1])}d}" for i in range(first, last + 1)]
    after = shards(name[found.end() :])
    if len(inside) * len(after) > MOST_SHARDS:
        raise SourceError(f"{name[:100]}: stands for more than {MOST_SHARDS} files")
    return [name[: found.start()] + text + rest for text in inside for rest in after]


def read_tars(name: str, paths: list[Path], words: str) -> Rows:
    """One member of each sample, images or arrays, streamed from one tar after the other.

    Parameters
    ----------
    name : str
        What messages call them.
    paths : list of Path
    words : str
        The member's ending, then how images are read: ``png,64x64``. Without an ending, the only one that can be read.

    Raises
    ------
    SourceError
        No tar, no such member, members that only unpickling reads, too large ones, or two shapes.
    """
    first, _, rest = words.partition(",")
    given = f".{first.lower().removeprefix('.')}" if first else ""
    endings = _endings(name, paths)
    if given in PICKLED:
        raise SourceError(f"{name}: {given} members are pickles, which could run code; write .npy or .png members")
    if not given or given not in (*endings, *IMAGES, *ARRAYS):
        given, rest = _only(name, endings, words), words
    typed = f"{name}::{given[1:]}"

    def files() -> Iterator[tuple[str, io.BytesIO]]:
        for path in paths:
            yield from _members(path, given)

    if given.endswith(IMAGES):
        how = how_of(rest.split(",") if rest else [], typed)
        return image_rows(name, files, how, None, typed)
    if not given.endswith(ARRAYS):
        raise SourceError(f"{name}: {given} members are neither images nor arrays; name another ({_listed(endings)})")
    if rest not in ("", "skip-broken"):
        raise SourceError(f"{typed}: of arrays only skip-broken is said, got {rest[:40]!r}")

    def mixed(one: str, first: np.ndarray, where: str, other: np.ndarray) -> str:
        return f"{one} is {sides(first)} and {where} is {sides(other)}; all samples need one shape"

    skip = "" if rest else f"{typed},skip-broken"
    return rows_of_files(name, files, _array, what="arrays", n_files=None, skip_broken=skip, mixed=mixed)[0]


def _endings(name: str, paths: list[Path]) -> list[str]:
    """Endings of the members of the first sample."""
    key, endings = None, []
    with closing(_headers(paths[0])) as headers:
        for _, member in headers:
            own, ending = _split(member.name)
            if key is not None and own != key:
                break
            key = own
            endings.append(ending)
    if not endings:
        raise SourceError(f"{name}: {paths[0].name} holds no files")
    return endings


def _only(name: str, endings: list[str], words: str) -> str:
    """The ending meant where none is given: the only one of images or arrays."""
    readable = [ending for ending in endings if ending.endswith((*IMAGES, *ARRAYS))]
    if len(readable) == 1:
        return readable[0]
    if not readable and any(ending in PICKLED for ending in endings):
        raise SourceError(
            f"{name}: its samples hold {_listed(endings)}; pickles are not read, as they could run code: "
            f"write .npy or .png members"
        )
    what = "several images or arrays" if readable else "no image and no array"
    also = f"; name one as {name}::{','.join(filter(None, (readable[0][1:], words)))}" if readable else ""
    raise SourceError(f"{name}: a sample holds {what} ({_listed(endings)}){also}")


def _listed(endings: list[str]) -> str:
    return ", ".join(endings[:MOST_LISTED]) + (", …" if len(endings) > MOST_LISTED else "")


def _split(member: str) -> tuple[str, str]:
    """What a sample is called, and which of its members this is: the file's name is cut at its first dot."""
    folder, slash, file = member.rpartition("/")
    stem, _, ending = file.partition(".")
    return f"{folder}{slash}{stem}", f".{ending.lower()}"


class _Header(tarfile.TarInfo):
    """A header after which damage is no end: tarfile itself would leave out the rest without a word."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tar)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"damaged or cut off at byte {tar.offset}") from error


def _headers(path: Path) -> Generator[tuple[tarfile.TarFile, tarfile.TarInfo], None, None]:
    """The files of a tar, in its order; after each the stream stands at its content."""
    try:
        most = path.stat().st_size * MOST_PACKED
        tar: Any
        with tarfile.open(path, "r|*", tarinfo=_Header) as tar:
            for member in tar:
                if member.size > most:  # or tarfile would look for its end for hours
                    raise tarfile.ReadError(f"{member.name[:80]} claims {member.size / 2**20:,.0f} MB")
                hidden = member.name.rpartition("/")[2].startswith(".")
                if member.isfile() and not hidden:
                    yield tar, member
                tar.members.clear()  # or a list of all of them grows
    except SourceError:
        raise
    except Exception as error:  # tarfile's own, and those of the compression
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> SourceError:
    return SourceError(f"{path}: cannot be read as a tar file: {first_line(error)}; get it again")


def _members(path: Path, ending: str) -> Iterator[tuple[str, io.BytesIO]]:
    """That member of each sample; a sample without one is named."""
    samples = itertools.groupby(_headers(path), key=lambda item: _split(item[1].name)[0])
    for key, members in samples:
        found = None
        for tar, member in members:
            if found is None and _split(member.name)[1] == ending:
                found = member.name, _content(path, tar, member)
        if found is None:
            raise SourceError(f"{path}: the sample {key[:80]} has no {ending}; leave such samples out")
        yield found


def _content(path: Path, tar: tarfile.TarFile, member: tarfile.TarInfo) -> io.BytesIO:
    if member.size > MOST_BYTES:
        size, most = member.size / 2**20, MOST_BYTES / 2**20
        raise SourceError(f"{path}: {member.name[:80]} has {size:,.0f} MB, more than the {most:g} MB a sample may have")
    file: Any = tar.extractfile(member)
    try:
        content = file.read()
    except Exception as error:
        raise _damaged(path, error) from error
    if len(content) < member.size:
        raise SourceError(f"{path}: ends within {member.name[:80]}; get it again")
    return io.BytesIO(content)


def _array(file: io.BytesIO) -> np.ndarray:
    """The array of a member; pickled objects are refused."""
    loaded = np.load(file, allow_pickle=False)
    if not isinstance(loaded, np.ndarray):
        with loaded:
            if len(loaded.files) != 1:
                raise ValueError(f"holds {len(loaded.files)} arrays where one is read")
            loaded = loaded[loaded.files[0]]
    if loaded.dtype.kind not in "fiub":
        raise ValueError(f"holds {loaded.dtype}, not real numbers")
    return loaded
