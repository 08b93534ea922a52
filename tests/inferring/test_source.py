"""Of a user's file only what its classes need is run; the rest, which may train, is not."""

from __future__ import annotations

import time

import pytest
import torch

from uncollapse.errors import SourceError
from uncollapse.inferring import guarded as guard
from uncollapse.inferring.construct import construct, source_named
from uncollapse.inferring.result import Said
from uncollapse.inferring.source import load_source
from uncollapse.inferring.weights import Weights

LINEAR = """
import torch
from torch import nn
{before}
class Net(nn.Module):
    def __init__(self, n=3):
        super().__init__()
        {inside}
        self.layer = nn.Linear(n, n)
{after}
"""


def file_with(folder, before="", inside="", after=""):
    path = folder / "file_of_net.py"
    path.write_text(LINEAR.format(before=before, inside=inside or "pass", after=after))
    return path


def built(path, n=3, said=None):
    state = torch.nn.Linear(n, n).state_dict()
    weights = Weights(path, {"": {f"layer.{k}": v for k, v in state.items()}})
    return construct(*source_named(f"{path}:Net"), weights, said or Said(), (n,))[0]


@pytest.mark.parametrize(
    "after",
    [
        "for _ in range(10): raise RuntimeError",
        "history = Net().fit(1000)",
        "import a_library_that_nobody_has\na_library_that_nobody_has.log(1)",
        "loader = open('no such file')",
        "print(1 / 0)",
        "with open('no such file') as f: pass",
        "if __name__ == '__main__':\n    raise RuntimeError",
        "while True: pass",
    ],
)
def test_what_trains_is_not_run(after, tmp_path):
    assert isinstance(built(file_with(tmp_path, after=after)), torch.nn.Module)


def test_what_the_class_needs_is_run(tmp_path):
    before = (
        "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--width', default=5, type=int)\n"
    )
    before += "args = parser.parse_args()\ndef size():\n    return args.width\nN = size()"
    assert built(file_with(tmp_path, before, inside="n = N"), n=5).layer.in_features == 5


def test_imports_from_the_files_folder_and_from_its_package_work(tmp_path):
    package = tmp_path / "things"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "parts.py").write_text("SIZE = 4")
    assert built(file_with(package, "from .parts import SIZE", "n = SIZE"), n=4)
    (tmp_path / "beside.py").write_text("SIZE = 6")
    assert built(file_with(tmp_path, "from beside import SIZE", "n = SIZE"), n=6)


def test_what_cannot_be_made_says_why(tmp_path):
    path = file_with(tmp_path, "from a_library_that_nobody_has import Base", after="class Other(Base): pass")
    with pytest.raises(SourceError, match="Other cannot be made: .*a_library_that_nobody_has"):
        load_source(path, "Other")


@pytest.mark.parametrize("text", ["def broken(", "\x00", "class A:\nx"])
def test_what_is_no_python_is_said_in_one_line(text, tmp_path):
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(SourceError, match="no Python that can be read") as caught:
        load_source(path)
    assert "\n" not in str(caught.value)


def test_a_class_that_is_not_there_names_those_that_are(tmp_path):
    with pytest.raises(SourceError, match="has no 'VAE'; its classes are Net"):
        source_named(f"{file_with(tmp_path)}:VAE")
    with pytest.raises(SourceError, match="no such file"):
        source_named(f"{tmp_path / 'nothing.py'}:VAE")


def test_a_model_that_downloads_is_refused_the_network_and_says_so(tmp_path):
    inside = "import urllib.request; urllib.request.urlopen('http://weights.example/resnet.pth')"
    with pytest.raises(SourceError, match=r"asks the network for weights.example.*refused") as caught:
        built(file_with(tmp_path, inside=inside))
    assert "\n" not in str(caught.value)
    import socket

    assert socket.create_connection.__module__ == "socket"  # and all is as it was


def test_what_takes_for_ever_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "MOST_SECONDS", 0.5)
    started = time.monotonic()
    with pytest.raises(SourceError, match="still runs after 0.5 seconds; put what trains under"):
        load_source(file_with(tmp_path, "import time\nN = [time.sleep(0.05) for _ in range(1000)]", "n = len(N)"))
    assert time.monotonic() - started < 20
