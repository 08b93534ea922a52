"""Sequences as token numbers: what is read, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from uncollapse.data.tokens import as_tokens, open_tokens, tokens_of_lines
from uncollapse.errors import DataError, SourceError


def test_lines_come_back_as_they_were(rng):
    lines = ["".join(rng.choice(list("abcé→"), rng.integers(1, 9))) for _ in range(50)]
    t = tokens_of_lines(["", *lines, ""])
    assert [t.text(row) for row in range(len(t))] == lines
    assert (t.mask.sum(axis=1) == t.lengths).all()
    assert (t.ids[~t.mask] == 0).all()
    some = t.shuffled(3)[:7]
    assert {some.text(row) for row in range(7)} <= set(lines)


def test_long_sequences_are_cut_and_counted():
    t = tokens_of_lines(["abcdef", "ab"], longest=3)
    assert (t.n_cut, t.text(0)) == (1, "abc")
    assert as_tokens([[1, 2, 3], [1]], longest=2).lengths.tolist() == [2, 1]


def test_arrays_and_json_lines(tmp_path):
    np.save(tmp_path / "t.npy", np.array([[1, 2, -1], [0, 3, 4]]))
    t = open_tokens(str(tmp_path / "t.npy"))
    assert (t.lengths.tolist(), t.n_vocabulary, t.text(1)) == ([2, 3], 5, "0 3 4 ")
    (tmp_path / "t.jsonl").write_text("[1, 2]\n\n[0]\n", "utf-8")
    assert open_tokens(str(tmp_path / "t.jsonl")).lengths.tolist() == [2, 1]
    (tmp_path / "s.jsonl").write_text('"ab"\n{"smiles": "c"}\n', "utf-8")
    assert open_tokens(str(tmp_path / "s.jsonl")).text(1) == "c"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1, -1, 2]], "sequence 1 has padding before a token"),
        ([[1], [-1]], "sequence 2 has no token"),
        ([[0.5]], "sequence 1 is no list of whole numbers"),
        ([], "holds no sequence"),
        (3, "token numbers are due"),
        ([["a"]], "is no list of whole numbers"),
    ],
)
def test_what_is_no_sequence_is_named(rows, message):
    with pytest.raises(DataError, match=message):
        as_tokens(rows)
    with pytest.raises(DataError, match="token 7 is outside of a vocabulary of 5"):
        as_tokens([[7]], n_vocabulary=5)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"\xff\xfe\xff", "is no text in UTF-8"),
        ("a.txt", b"\n\n", "holds no line with a character"),
        ("a.jsonl", b"{}\n", "line 1: a string, a list of token numbers"),
        ("a.jsonl", b"{\n", "line 1: is no JSON"),
        ("a.npy", b"nothing", "cannot be read"),
        ("a.xyz", b"abc", "sequences are read from"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises((SourceError, DataError), match=message):
        open_tokens(str(tmp_path / name))
    with pytest.raises(SourceError, match="no such file"):
        open_tokens(str(tmp_path / "elsewhere.txt"))
