"""Files that are whole or not there: written aside, then renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from uncollapse.errors import OutputError

__all__ = ["check_writable", "write_bytes", "write_text"]


def check_writable(*paths: Path | None, inputs: Iterable[str] = ()) -> None:
    """Refuse outputs that cannot be written, or would replace an input or each other, before any work is done."""
    taken = {Path(name.partition("::")[0]).resolve() for name in inputs if name}
    for path in paths:
        if path is None:
            continue
        if path.is_dir():
            raise OutputError(f"{path}: is a directory; give a file name")
        folder = path.parent
        if not folder.is_dir():
            raise OutputError(f"{path}: its folder {folder} does not exist; create it first")
        if not os.access(folder, os.W_OK):
            raise OutputError(f"{path}: its folder {folder} is not writable; choose another")
        if path.resolve() in taken:
            raise OutputError(f"{path}: is also an input or another output; choose another name")
        taken.add(path.resolve())


def write_text(path: Path, text: str) -> None:
    """Write `text` to a file beside `path`, then rename it into place."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to a file beside `path`, then rename it into place; on failure what was there stays."""
    check_writable(path)
    try:
        with tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            aside = Path(file.name)
            try:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            except BaseException:
                aside.unlink()
                raise
        aside.chmod(0o666 & ~_umask())
        aside.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
