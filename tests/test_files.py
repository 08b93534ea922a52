"""What is at a path keeps its kind, and a failed write leaves it as it was."""

from __future__ import annotations

import os
import resource
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from uncollapse import OutputError
from uncollapse.files import TOKEN, check_writable, clear_leftovers, locked, write_bytes, write_text


def test_a_link_stays_a_link_and_its_target_is_written(tmp_path):
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "target", tmp_path / "link"
    link.symlink_to(target)
    write_text(link, "new")  # a link to nothing makes its target
    write_text(link, "newer")
    assert link.is_symlink()
    assert target.read_text() == "newer"
    assert [item.name for item in (tmp_path / "there").iterdir()] == ["target"]


def test_all_names_of_a_file_show_the_new_content_and_a_shorter_one_leaves_no_tail(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("a long content that was there before")
    os.link(first, second)
    write_text(second, "short")
    assert first.read_text() == second.read_text() == "short"
    assert first.samefile(second)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_permissions_stay(tmp_path, mode):
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(mode)
    write_text(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_new_file_has_the_permissions_that_any_new_file_has(tmp_path):
    (tmp_path / "plain").touch()
    write_text(tmp_path / "ours", "")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_fifo_is_written_into(tmp_path):
    path, got = tmp_path / "fifo", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: got.append(path.read_bytes()), daemon=True)
    reader.start()
    check_writable(path)
    write_bytes(path, b"content" * 100_000)
    reader.join(20)
    assert got == [b"content" * 100_000]
    assert path.is_fifo()


def test_a_device_stays_a_device():
    before = os.stat("/dev/null")
    write_text(Path("/dev/null"), "gone")
    after = os.stat("/dev/null")
    assert (stat.S_ISCHR(after.st_mode), after.st_ino, after.st_mode) == (True, before.st_ino, before.st_mode)


def test_a_full_device_is_one_line():
    with pytest.raises(OutputError, match="/dev/full: cannot be written: No space left on device"):
        write_text(Path("/dev/full"), "x")


@pytest.mark.parametrize("linked", [False, True])
def test_a_full_disk_leaves_the_old_content_and_nothing_beside_it(tmp_path, linked):
    path = tmp_path / "file"
    path.write_text("old" * 100)
    if linked:
        os.link(path, tmp_path / "other")
    names = {item.name for item in tmp_path.iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        with pytest.raises(OutputError, match="file: cannot be written: File too large"):
            write_bytes(path, b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == "old" * 100
    assert {item.name for item in tmp_path.iterdir()} == names


def leftover(process: int, token: str = "0" * 8, host: str | None = None) -> str:
    return f".uncollapse-{host or socket.gethostname()}-{process}-{token}-{'1' * 8}.tmp"


def test_what_dead_processes_left_goes_and_what_may_be_in_use_stays(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead = [leftover(ended.pid), leftover(os.getpid())]  # our number, but another process had it then
    alive = [leftover(os.getpid(), TOKEN), leftover(os.getppid()), leftover(ended.pid, host="elsewhere"), ".other.tmp"]
    for name in [*dead, *alive]:
        (tmp_path / name).touch()
    clear_leftovers(tmp_path)
    assert {item.name for item in tmp_path.iterdir()} == set(alive)
    (tmp_path / dead[0]).touch()
    check_writable(tmp_path / "report.html")
    assert not (tmp_path / dead[0]).exists()


def test_a_lock_is_one_processes_and_goes_with_it(tmp_path):
    holder = "import sys, pathlib, time; from uncollapse.files import locked\n"
    holder += "with locked(pathlib.Path(sys.argv[1]), ''): print('held', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", holder, str(tmp_path / "lock")], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    with pytest.raises(OutputError, match="ask for another"), locked(tmp_path / "lock", "ask for another"):
        pass
    process.kill()
    process.communicate()
    with locked(tmp_path / "lock", "ask for another"):
        pass


@pytest.mark.parametrize("name", ["x" * 300, "y" * 5000, "a\0b"])
def test_names_that_no_file_can_have_are_one_line(tmp_path, name):
    for check in (check_writable, lambda path: write_text(path, "")):
        with pytest.raises(OutputError) as caught:
            check(tmp_path / name)
        assert len(str(caught.value)) < 400
        assert "\n" not in str(caught.value)


def test_a_loop_of_links_is_one_line(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OutputError, match="a: cannot be written: Too many levels of symbolic links"):
        check_writable(tmp_path / "a")
