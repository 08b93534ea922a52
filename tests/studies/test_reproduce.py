"""`uncollapse reproduce` as a user meets it, with a study of the test's own in place of the papers'."""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import subprocess
import sys
import threading
import warnings
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

import uncollapse.studies as studies
from uncollapse.cli import main
from uncollapse.data.mnist import MD5, fetch_mnist
from uncollapse.errors import SourceError, UncollapseWarning
from uncollapse.studies import Result, Study


def small(request) -> Result:
    figure = pytest.importorskip("matplotlib.figure").Figure(figsize=(2, 1))
    warnings.warn("the data are made up", UncollapseWarning, stacklevel=1)
    rows = [{"case, named": "a, b", "paper": None, "ours": 1.0, "theory": 1.0}]
    return Result(rows, figure, {"size": request.pick(1, 2, 3)}, "reproduced", "One equals one.")


def needy(request) -> Result:
    request.mnist(10)
    raise AssertionError("there was no data to be had")


def unplotted(request) -> Result:
    raise ImportError("No module named 'matplotlib'")


LONG = "what a study shows, said at such length that a single line of a terminal cannot possibly hold it"
STUDIES = (
    Study("own-fig-1", "The test itself 2026, Fig. 1", LONG, small),
    Study("own-fig-2", "The test itself 2026, Fig. 2", "needs MNIST", needy, "mnist"),
    Study("own-fig-3", "The test itself 2026, Fig. 3", "needs Matplotlib", unplotted),
)


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the command in an empty folder: exit code, standard output, standard error."""
    monkeypatch.setattr(studies, "STUDIES", STUDIES)
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["uncollapse", "reproduce", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            main()
        told = capsys.readouterr()
        return int(stopped.value.code or 0), told.out, told.err

    return call


def test_the_list_names_every_study_within_eighty_columns(run):
    code, told, _ = run("--list")
    assert code == 0
    assert max(map(len, told.splitlines())) <= 80
    assert [line.split()[0] for line in told.splitlines() if line.startswith("own-")] == [s.name for s in STUDIES]
    words = " ".join(told.split())
    assert "Name" in words
    assert "(MNIST)" in words


def test_without_the_extras_the_list_is_whole_and_a_study_says_what_to_install():
    without = "import sys; sys.modules |= dict.fromkeys(['torch', 'safetensors', 'matplotlib']); "
    command = [sys.executable, "-c", without + "from uncollapse.cli import main; main()", "reproduce"]
    told = subprocess.run([*command, "--list"], capture_output=True, text=True, check=True).stdout
    names = [line.split()[0] for line in told.splitlines() if not line.startswith(" ")]
    assert names == ["Name", *(study.name for study in studies.STUDIES)]
    refused = subprocess.run([*command, "wang-fig-2"], capture_output=True, text=True)
    assert refused.returncode == 2
    assert "pip install 'uncollapse[torch,plot]'" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_every_listed_study_is_there_to_run():
    for study in studies.STUDIES:
        assert callable(study.run.function), study.name


def test_a_study_writes_its_files_and_prints_its_verdict(run, tmp_path):
    code, told, _ = run("own-fig-1", "--preset", "standard", "--out", "deep/er")
    assert code == 0, told
    assert told.startswith("own-fig-1: reproduced. One equals one.\nNote: the data are made up.\n")
    out = tmp_path / "deep" / "er"
    assert sorted(path.name for path in out.iterdir()) == ["figure.svg", "summary.json", "table.csv"]
    assert (out / "table.csv").read_text() == '"case, named",paper,ours,theory\n"a, b",,1,1\n'
    assert json.loads((out / "summary.json").read_text())["settings"] == {"size": 2}
    assert run("own-fig-1")[0] == 0
    assert (tmp_path / "results" / "own-fig-1" / "table.csv").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "say which study"),
        (("own-fig-9",), "did you mean own-fig-"),
        (("nothing",), "no study 'nothing'; uncollapse reproduce --list"),
        (("own-fig-1", "--preset", "huge"), "huge"),
        (("own-fig-1", "--out", "taken/by"), "cannot be made"),
        (("own-fig-2", "--data", "nowhere"), "nowhere: no train-images-idx3-ubyte.gz there"),
        (("own-fig-2",), "--download"),
        (("own-fig-3",), "pip install 'uncollapse[torch,plot]'"),
        (("own-fig-2", "--download", "--data", "taken"), "taken: cannot be made"),
    ],
)
def test_mistakes_end_in_one_line_and_exit_code_two(run, tmp_path, words, told):
    (tmp_path / "taken").write_text("a file, no folder")
    code, _, error = run(*words)
    assert code == 2
    assert error.startswith("uncollapse: ")
    assert told in error
    assert error.count("\n") == 1


@pytest.fixture
def served():
    """A function that serves a folder over HTTP on this machine and gives its address."""
    with contextlib.ExitStack() as open_servers:

        def serve(folder) -> str:
            handler = functools.partial(Quiet, directory=str(folder))
            server = open_servers.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), handler))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            open_servers.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}/"

        yield serve


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words) -> None:
        pass


def test_a_mirror_with_other_contents_is_refused_and_leaves_nothing(tmp_path, served):
    mirror, folder = tmp_path / "mirror", tmp_path / "mnist"
    mirror.mkdir()
    for name in MD5:
        (mirror / name).write_bytes(b"an error page")
    (tmp_path / "absent").mkdir()
    mirrors = ("http://127.0.0.1:9/", served(tmp_path / "absent"), served(mirror))
    with pytest.raises(SourceError, match=r"train-images.*Max retries.*404.*wrong MD5 sum.*--data") as caught:
        fetch_mnist(folder, mirrors)
    assert "\n" not in str(caught.value)
    assert list(folder.iterdir()) == []


def test_mnist_is_fetched_whole_and_a_damaged_file_again(mnist_dir, tmp_path, served):
    folder = tmp_path / "mnist"
    mirror = served(mnist_dir.resolve())
    assert {path.name for path in fetch_mnist(folder, (mirror,))} == set(MD5)
    assert fetch_mnist(folder, (mirror,)) == []
    labels = folder / "t10k-labels-idx1-ubyte.gz"
    labels.write_bytes(labels.read_bytes()[:-1])
    assert fetch_mnist(folder, (mirror,)) == [labels]
    assert labels.read_bytes() == (mnist_dir / labels.name).read_bytes()
    shutil.rmtree(folder)
