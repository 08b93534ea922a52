"""SIGINT and SIGTERM end the command within a second: by an exception where Python runs, by force where it does not.

The exception unwinds the work, so that what was done is written down. A long call into compiled code would hold it up:
a thread of its own then ends the process. Only the standard library's light modules are loaded here, so that a signal
finds its handler while the heavy ones are still being imported.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

__all__ = ["Signals", "Stopped"]

GRACE_SECONDS = 0.7
"""For writing down what was done, from the signal to the end by force: a checkpoint of 100 MB takes 0.1 s."""

SIGNALS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


class Stopped(BaseException):
    """The process was asked to end; no error, so that nothing takes it for a failure of its own work."""


class Signals:
    """What came while the body of ``with signals.handled():`` ran."""

    def __init__(self) -> None:
        self.came: int | None = None
        self.said = False

    @property
    def exit_code(self) -> int:
        """As shells count: 128 and the signal."""
        return 128 + (self.came or 0)

    @property
    def message(self) -> str:
        """One word for the user."""
        return SIGNALS[signal.Signals(self.came or signal.SIGINT)]

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        """Turn signals into `Stopped` while the body runs; only the main thread may ask for this."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._stop) for number in SIGNALS}
        try:
            with self._watched():
                yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.came is None:  # a second signal does not disturb the end that the first began
            self.came = number
            raise Stopped

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        if os.name != "posix":
            yield
            return
        ours, theirs = os.pipe()
        os.set_blocking(theirs, False)
        before = signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, args=(ours,), daemon=True).start()
        try:
            yield
        finally:
            if self.came is None:  # or the thread stays, in case that the rest of the end takes too long
                signal.set_wakeup_fd(before)
                os.close(theirs)

    def _watch(self, pipe: int) -> None:
        while True:
            came = [number for number in os.read(pipe, 16) or b"\0" if number in (0, *SIGNALS)]
            if came:
                break
        os.close(pipe)
        if came[0] == 0:  # the other end is closed: the command is done
            return
        time.sleep(GRACE_SECONDS)
        self.came = self.came or came[0]
        if not self.said:  # past Python's buffers, which the main thread may hold
            with contextlib.suppress(OSError):
                os.write(2, f"uncollapse: {self.message}\n".encode())
        os._exit(self.exit_code)
