"""Data sets that come with scikit-learn, read without importing it (that alone would take a second)."""

from __future__ import annotations

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from uncollapse import checks
from uncollapse.data.rows import Rows, as_rows
from uncollapse.errors import SourceError

__all__ = ["EMBEDDED", "read_embedded"]

EMBEDDED = {
    "digits": ("digits.csv.gz", ",", 0, 64),
    "iris": ("iris.csv", ",", 1, 4),
    "wine": ("wine_data.csv", ",", 1, 13),
    "breast-cancer": ("breast_cancer.csv", ",", 1, 30),
    "diabetes": ("diabetes_data_raw.csv.gz", " ", 0, 10),
}
"""Name → file, separator, header lines, number of feature columns (a label may follow them)."""


def read_embedded(name: str) -> Rows:
    """One of the `EMBEDDED` sets, features only, as the original numbers."""
    name = checks.one_of(name, "the data set", EMBEDDED, error=SourceError)
    file, separator, n_header, n_columns = EMBEDDED[name]
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise SourceError(f"{name}: comes with scikit-learn, which is not installed; pip install scikit-learn")
    path = Path(package.origin).parent / "datasets" / "data" / file
    if not path.exists():
        raise SourceError(f"{name}: this version of scikit-learn keeps it elsewhere than {path}; use another source")
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        table = np.loadtxt(lines, delimiter=separator, skiprows=n_header, usecols=range(n_columns))
    return as_rows(table, name)
