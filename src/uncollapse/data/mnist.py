"""MNIST's four files, fetched when the user asks for it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

from uncollapse import checks
from uncollapse.errors import OutputError, SourceError, first_line
from uncollapse.files import clear_leftovers, made_folder, write_bytes

__all__ = ["MIRRORS", "MNIST_FOLDER", "fetch_mnist"]

MNIST_FOLDER = Path("data/mnist")

MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/")
"""Where torchvision looks, in its order. The files are checked by hash, so that plain http does no harm."""

MD5 = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
TIMEOUT_SECONDS = 30.0


def fetch_mnist(folder: Path, mirrors: Sequence[str] = MIRRORS) -> list[Path]:
    """Download what is missing of MNIST's four files, 11.6 MB in all.

    Parameters
    ----------
    folder : Path
        Made if it is not there. A file in it with the right contents is kept.
    mirrors : sequence of str
        Base addresses, tried in turn.

    Returns
    -------
    list of Path
        The files that were fetched.

    Raises
    ------
    SourceError
        No mirror has a file with the right MD5 sum.
    OutputError
        The folder cannot be written.
    """
    folder = checks.as_path(folder, "the folder", error=OutputError)
    if isinstance(mirrors, str) or not (isinstance(mirrors, Sequence) and all(isinstance(m, str) for m in mirrors)):
        raise SourceError(f"mirrors must be a list of addresses, got {checks.shown(mirrors)}")
    made_folder(folder, "; name another with --data")
    clear_leftovers(folder)
    fetched = []
    for name, wanted in MD5.items():
        path = folder / name
        if _is_whole(path, wanted):
            continue
        write_bytes(path, _content(name, wanted, mirrors))
        fetched.append(path)
    return fetched


def _content(name: str, wanted: str, mirrors: Sequence[str]) -> bytes:
    from pooch import HTTPDownloader

    failures = []
    download = HTTPDownloader(timeout=TIMEOUT_SECONDS)
    for mirror in mirrors:
        answer = io.BytesIO()  # not a file of pooch's own, which a killed process would leave behind
        try:
            download(mirror + name, answer, None)
        except (OSError, ValueError) as error:  # requests derives its errors from OSError
            failures.append(f"{mirror}: {first_line(error)[:100]}")
            continue
        content = answer.getvalue()
        if _md5(content) == wanted:
            return content
        failures.append(f"{mirror}: wrong MD5 sum")
    raise SourceError(
        f"{name}: not fetched ({'; '.join(failures)}); put MNIST's files in a folder and name it with --data"
    )


def _is_whole(path: Path, wanted: str) -> bool:
    """Whether the file is there with the right contents; one that cannot be read is written again."""
    try:
        return _md5(path.read_bytes()) == wanted
    except OSError:
        return False


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
