"""Sequences as token numbers: lines of a text file, JSON lines, arrays of tokens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from uncollapse import checks
from uncollapse.errors import DataError, SourceError

__all__ = ["END", "JSON_LINES", "TEXT", "Tokens", "as_tokens", "open_tokens", "tokens_of_lines"]

END = "\n"
"""The token that ends a line, the last of a vocabulary that is made here."""

LONGEST = 128
"""Characters of a line that are kept where nobody says."""

TEXT = (".txt", ".text", ".smi", ".smiles")
JSON_LINES = (".jsonl", ".ndjson")
KEYS = ("text", "sentence", "smiles", "sequence", "content")
"""Under which a line of JSON has its text."""


@dataclass(frozen=True, eq=False)
class Tokens:
    """Sequences of one vocabulary, padded to one length.

    Attributes
    ----------
    ids : ndarray of shape (n, T), int64
        0 … V − 1; what lies beyond a sequence's length is 0 and counts for nothing.
    lengths : ndarray of shape (n,), int64
        1 … T, the token that ends a sequence included.
    n_vocabulary : int
        V.
    vocabulary : tuple of str, or None
        The text of each token, where it is known.
    name : str
        Of the source, for messages.
    n_cut : int
        Sequences that were longer than they were kept.
    """

    ids: np.ndarray
    lengths: np.ndarray
    n_vocabulary: int
    vocabulary: tuple[str, ...] | None = None
    name: str = "the sequences"
    n_cut: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def mask(self) -> np.ndarray:
        """Which entries are tokens and not padding, bool of shape (n, T)."""
        mask: np.ndarray = np.arange(self.ids.shape[1]) < self.lengths[:, None]
        return mask

    def __getitem__(self, rows: Any) -> Tokens:
        """Some of the sequences."""
        return replace(self, ids=self.ids[rows], lengths=self.lengths[rows])

    def shuffled(self, seed: int = 0) -> Tokens:
        """The same in another order."""
        return self[np.random.default_rng([seed, 12]).permutation(len(self))]

    def text(self, row: int) -> str:
        """One sequence, without its end."""
        shown = self.vocabulary or tuple(f"{i} " for i in range(self.n_vocabulary))
        return "".join(shown[i] for i in self.ids[row, : self.lengths[row]]).removesuffix(END)


def open_tokens(source: str, *, longest: int = LONGEST) -> Tokens:
    """Sequences from a file.

    Parameters
    ----------
    source : str
        A text file, a sequence a line (.txt, .smi): its characters are the tokens. JSON lines (.jsonl), each a string,
        a list of token numbers, or an object with a text. An array (.npy) of token numbers, a sequence a row; negative
        ones at the end of a row are padding.
    longest : int
        Characters of a line, or tokens of a sequence, that are kept.

    Raises
    ------
    SourceError, DataError
        No such file, or what it holds is no sequence of tokens.
    """
    path = Path(source)
    longest = checks.count(longest, "longest", least=1, error=DataError)
    if not path.is_file():
        raise SourceError(f"{source}: no such file; sequences are read from {', '.join((*TEXT, *JSON_LINES, '.npy'))}")
    if path.suffix == ".npy":
        try:
            return as_tokens(np.load(path, allow_pickle=False), name=source, longest=longest)
        except (ValueError, OSError, EOFError) as error:
            raise SourceError(f"{source}: cannot be read: {error}") from error
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (UnicodeDecodeError, OSError) as error:
        raise SourceError(f"{source}: is no text in UTF-8: {error}") from error
    if path.suffix in JSON_LINES:
        values = [_of_json(line, f"{source}, line {i + 1}") for i, line in enumerate(lines) if line.strip()]
        if values and not isinstance(values[0], str):
            return as_tokens(values, name=source, longest=longest)
        lines = values
    elif path.suffix not in TEXT:
        raise SourceError(f"{source}: sequences are read from {', '.join((*TEXT, *JSON_LINES, '.npy'))}")
    return tokens_of_lines(lines, name=source, longest=longest)


def tokens_of_lines(lines: Sequence[str], *, name: str = "the lines", longest: int = LONGEST) -> Tokens:
    """Lines as sequences of characters, each with an end; empty lines are left out.

    Examples
    --------
    >>> t = tokens_of_lines(["ab", "b"])
    >>> t.ids.tolist(), t.lengths.tolist(), t.vocabulary
    ([[0, 1, 2], [1, 2, 0]], [3, 2], ('a', 'b', '\\n'))
    """
    whole = [line for line in lines if line]
    if not whole:
        raise DataError(f"{name}: holds no line with a character in it")
    kept = [line[:longest] for line in whole]
    vocabulary = (*sorted(set("".join(kept))), END)
    number = {character: i for i, character in enumerate(vocabulary)}
    sequences = [[*(number[c] for c in line), number[END]] for line in kept]
    ids, lengths = _padded(sequences)
    return Tokens(ids, lengths, len(vocabulary), vocabulary, name, sum(len(line) > longest for line in whole))


def as_tokens(
    sequences: Any, *, n_vocabulary: int | None = None, name: str = "the sequences", longest: int | None = None
) -> Tokens:
    """Token numbers as `Tokens`.

    Parameters
    ----------
    sequences : Tokens, ndarray of shape (n, T), or list of lists of int
        Negative numbers at the end of a row are padding.
    n_vocabulary : int, optional
        The largest number and one when left out.

    Raises
    ------
    DataError
        Not whole numbers, a sequence without a token, padding in the midst, a token outside the vocabulary.

    Examples
    --------
    >>> as_tokens([[3, 1], [2]]).lengths
    array([2, 1])
    """
    if isinstance(sequences, Tokens):
        return sequences
    try:
        rows = [np.asarray(row) for row in sequences]
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: token numbers are due, a list of them for each sequence: {error}") from error
    if not rows:
        raise DataError(f"{name}: holds no sequence")
    kept, n_cut = [], 0
    for i, row in enumerate(rows):
        if row.ndim != 1 or (row.dtype.kind not in "iu" and not (row.dtype.kind == "f" and (row % 1 == 0).all())):
            raise DataError(f"{name}: sequence {i + 1} is no list of whole numbers (shape {row.shape}, {row.dtype})")
        real = row >= 0
        n = int(real.sum())
        if n == 0 or not real[:n].all():
            raise DataError(f"{name}: sequence {i + 1} has {'no token' if n == 0 else 'padding before a token'}")
        n_cut += longest is not None and n > longest
        kept.append(row[:n][:longest].astype(np.int64))
    ids, lengths = _padded(kept)
    seen = int(ids.max()) + 1
    if n_vocabulary is not None and seen > n_vocabulary:
        raise DataError(f"{name}: token {seen - 1} is outside of a vocabulary of {n_vocabulary}")
    return Tokens(ids, lengths, n_vocabulary or seen, None, name, n_cut)


def _padded(sequences: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.array([len(one) for one in sequences], dtype=np.int64)
    ids = np.zeros((len(sequences), int(lengths.max())), dtype=np.int64)
    for row, one in zip(ids, sequences, strict=True):
        row[: len(one)] = one
    return ids, lengths


def _of_json(line: str, where: str) -> Any:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise SourceError(f"{where}: is no JSON: {error}") from error
    if isinstance(value, dict):
        value = next((value[key] for key in KEYS if isinstance(value.get(key), str)), None)
    if isinstance(value, str) or (isinstance(value, list) and value):
        return value
    raise SourceError(f"{where}: a string, a list of token numbers, or an object with one of {', '.join(KEYS)} is due")
