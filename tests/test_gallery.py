"""The gallery shows twelve reports; its commands are ours, and its pictures are there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
from PIL import Image

from uncollapse.commands.app import app

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "gallery.md").read_text("utf-8")
PARTS = PAGE.split("\n## ")[1:]
COMMANDS = re.findall(r"^\$ (.*)$", PAGE, flags=re.MULTILINE)
MOST_BYTES = 80_000


def test_twelve_reports_each_with_a_command_an_answer_and_a_picture():
    assert len(PARTS) == 12
    for part in PARTS:
        title = part.splitlines()[0]
        assert re.search(r"^\$ uncollapse ", part, flags=re.MULTILINE), title
        assert re.search(r"^> [A-Z0-9].*\.$", part, flags=re.MULTILINE), title
        assert len(re.findall(r"!\[.+\]\(figures/gallery/[a-z-]+\.png\)", part)) == 1, title


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_is_one_that_the_parser_takes(command):
    program, name, *words = shlex.split(command)
    assert program == "uncollapse"
    group = typer.main.get_command(app)
    with group.make_context(program, [name], resilient_parsing=True) as above:
        found = group.get_command(above, name)
        assert found is not None, name
        with found.make_context(name, [*words], parent=above) as parsed:
            assert parsed.params["source"] in words


def test_the_parser_refuses_an_option_that_does_not_exist():
    group = typer.main.get_command(app)
    above = group.make_context("uncollapse", ["forecast"], resilient_parsing=True)
    with above, pytest.raises(Exception, match="No such option"):
        group.get_command(above, "forecast").make_context("forecast", ["digits", "--latent-s", "8"], parent=above)


def test_every_picture_is_there_once_is_as_wide_as_said_and_small():
    named = re.findall(r"\(figures/(gallery/.*?\.png)\)", PAGE)
    assert sorted(named) == sorted(f"gallery/{path.name}" for path in (DOCS / "figures" / "gallery").iterdir())
    for name in named:
        path = DOCS / "figures" / name
        assert path.stat().st_size <= MOST_BYTES, name
        with Image.open(path) as picture:
            assert picture.width == 1000, name


def test_nothing_of_the_page_is_fetched_from_outside():
    assert "://" not in PAGE
