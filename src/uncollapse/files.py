"""Files that are whole or not there: written aside, then renamed.

What is at the path keeps its kind. A symbolic link stays, and its target gets the new content; permissions and owner
stay; a device, a fifo and an open descriptor (``/dev/stdout``) are written into. A file with more names than one (hard
links) is written in place, so that all its names show the new content: a full disk brings the old content back, but a
process killed in the middle can leave it half written.

A process that is killed leaves its file aside behind. Its name holds host and process, and `clear_leftovers`, called
before work starts, removes those whose process is gone.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from uncollapse.errors import OutputError

__all__ = ["check_writable", "clear_leftovers", "locked", "made_folder", "write_bytes", "write_text"]

TOKEN = os.urandom(4).hex()
"""Tells this process from a dead one that had the same number."""

LEFTOVER = re.compile(r"\.uncollapse-(?P<host>.*)-(?P<process>\d+)-(?P<token>[0-9a-f]{8})-[0-9a-f]{8}\.tmp")
DESCRIPTOR = re.compile(r"/dev/(?:fd/(\d+)|stdout|stderr)|/proc/self/fd/(\d+)")


def check_writable(*paths: Path | None, inputs: Iterable[str] = ()) -> None:
    """Refuse outputs that cannot be written, or would replace an input or each other, before any work is done.

    Files that a killed process left in their folders are removed.

    Raises
    ------
    OutputError
        With the path, what is wrong with it, and what to do.
    """
    taken = {os.path.realpath(name.partition("::")[0]) for name in inputs if name and "\0" not in name}
    for path in paths:
        if path is None:
            continue
        place = _place(path)
        if place is None:  # written into, so nothing is replaced
            continue
        if str(place) in taken:
            raise OutputError(f"{_named(path)}: is also an input or another output; choose another name")
        taken.add(str(place))
        clear_leftovers(place.parent)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8; see `write_bytes`."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to a file beside `path`, then rename it into place; on failure what was there stays.

    Raises
    ------
    OutputError
        The file cannot be written: a full disk, a missing folder, no permission.
    """
    place = _place(path)
    try:
        if place is None:
            _write_into(path, content)
        elif place.exists() and (place.stat().st_nlink > 1 or not os.access(place.parent, os.W_OK)):
            _write_in_place(place, content)
        else:
            _replace(place, content)
    except OSError as error:
        raise OutputError(f"{_named(path)}: cannot be written: {error.strerror or error}") from None


def clear_leftovers(*folders: Path) -> None:
    """Remove the files aside of processes that were killed while they wrote into these folders."""
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                aside = [entry for entry in entries if LEFTOVER.fullmatch(entry.name)]
        except OSError:  # nothing there, or nothing to be seen there: then nothing to remove
            continue
        for entry in aside:
            if _stale(entry.name):
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)


def made_folder(path: Path, advice: str = "") -> Path:
    """The folder, made if it is not there."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"{_named(path)}: cannot be made a folder: {reason}{advice}") from None
    return path


@contextmanager
def locked(path: Path, refusal: str) -> Iterator[None]:
    """Hold the lock at `path` while the body runs; it goes with the process, however that ends.

    Raises
    ------
    OutputError
        With `refusal` where another holds it, or where no lock can be made.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise OutputError(refusal) from None
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"{_named(path)}: no lock can be made there: {reason}") from None
    try:
        yield
    finally:
        lock.release()


def _place(path: Path) -> Path | None:
    """The regular file that is written, links followed; None for what is written into: a device, a fifo.

    Raises
    ------
    OutputError
        Nothing can be written there.
    """
    if DESCRIPTOR.fullmatch(str(path)):
        return None
    shown = _named(path)
    try:
        kind = stat.S_IFMT(os.stat(path).st_mode)
    except FileNotFoundError:
        kind = stat.S_IFREG
    except (OSError, ValueError) as error:
        raise OutputError(f"{shown}: cannot be written: {getattr(error, 'strerror', None) or error}") from None
    if kind == stat.S_IFDIR:
        raise OutputError(f"{shown}: is a directory; give a file name")
    if kind != stat.S_IFREG:
        return None
    place = Path(os.path.realpath(path))
    folder = place.parent
    if not folder.is_dir():
        raise OutputError(f"{shown}: its folder {_named(folder)} does not exist; create it first")
    if place.exists():
        if not os.access(place, os.W_OK):
            raise OutputError(f"{shown}: is protected against writing; choose another name")
    elif not os.access(folder, os.W_OK):
        raise OutputError(f"{shown}: its folder {_named(folder)} is not writable; choose another")
    return place


def _replace(place: Path, content: bytes) -> None:
    aside = place.with_name(f".uncollapse-{_host()}-{os.getpid()}-{TOKEN}-{os.urandom(4).hex()}.tmp")
    before = place.stat() if place.exists() else None
    try:
        with open(aside, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if before is not None:
            if (before.st_uid, before.st_gid) != (aside.stat().st_uid, aside.stat().st_gid):
                with contextlib.suppress(OSError):  # only root may give a file away
                    os.chown(aside, before.st_uid, before.st_gid)
            aside.chmod(stat.S_IMODE(before.st_mode))
        aside.replace(place)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def _write_in_place(place: Path, content: bytes) -> None:
    before = place.read_bytes()
    with open(place, "r+b", buffering=0) as file:
        try:
            _overwrite(file.fileno(), content)
        except BaseException:
            _overwrite(file.fileno(), before)  # its blocks are still the file's own, so a full disk takes it
            raise


def _overwrite(descriptor: int, content: bytes) -> None:
    os.lseek(descriptor, 0, os.SEEK_SET)
    _write_all(descriptor, content)
    os.ftruncate(descriptor, len(content))
    os.fsync(descriptor)


def _write_into(path: Path, content: bytes) -> None:
    named = DESCRIPTOR.fullmatch(str(path))
    if named is None:
        descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NOCTTY", 0))
    else:  # the same open file, so that what is printed before and after stands before and after
        number = named[1] or named[2]
        descriptor = os.dup(int(number) if number else 1 if str(path).endswith("stdout") else 2)
    try:
        _write_all(descriptor, content)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _stale(name: str) -> bool:
    """Whether the process that wrote this file aside is gone; False where that cannot be known."""
    parts = LEFTOVER.fullmatch(name)
    if parts is None or os.name != "posix" or parts["host"] != _host():
        return False
    process = int(parts["process"])
    if process == os.getpid():
        return parts["token"] != TOKEN
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # there, and not ours to ask
        return False
    return False


def _host() -> str:
    import socket

    return re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname())[:64]


def _named(path: Path) -> str:
    """A path in a message: cut in the middle where it would fill the screen."""
    text = str(path).encode("utf-8", "replace").decode()
    return text if len(text) <= 200 else f"{text[:80]}…{text[-80:]}"
