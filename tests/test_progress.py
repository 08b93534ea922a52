"""The bar over long work: one for reading and for training, on a terminal only, and only after a while."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest

from uncollapse import progress
from uncollapse.data.rows import as_rows
from uncollapse.progress import watching_epochs


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(params=[Terminal, io.StringIO])
def screen(request, monkeypatch):
    """What takes the place of standard error: a plain terminal, or a file."""
    for name, value in {"TERM": "xterm", "COLUMNS": "120"}.items():
        monkeypatch.setenv(name, value)
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return request.param()


def read(name: str) -> None:
    rows = as_rows([np.ones((4, 2)), np.zeros((3, 2))], name)
    with progress.watching(rows, "reading") as watched:
        assert sum(len(block) for block in watched.blocks()) == 7


def train(shown: bool = True) -> None:
    with watching_epochs(3, shown=shown) as see:
        see(1, -12.5, 3.0, 2.0)


def test_a_bar_says_what_is_done_on_a_terminal_only(monkeypatch, screen):
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(progress, "DELAY_SECONDS", -1.0)
    read("[/odd].npy")
    train()
    for part in ("reading [/odd].npy", "rows/s", "training", "1/3", "ELBO -12.5  KL 3  alive 2"):
        assert (part in screen.getvalue()) == screen.isatty(), part


def test_short_work_and_work_that_asks_for_none_show_nothing(monkeypatch, screen):
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(progress, "DELAY_SECONDS", 1000.0)
    read("data.npy")
    train()
    monkeypatch.setattr(progress, "DELAY_SECONDS", -1.0)
    train(shown=False)
    assert screen.getvalue() == ""
