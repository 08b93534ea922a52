"""Tables that are read, and sampled, a part at a time."""

from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pytest

from uncollapse.data.blocks import Spans
from uncollapse.data.sample import RowSample
from uncollapse.data.sources import open_source
from uncollapse.errors import SourceError
from uncollapse.measure.posterior import RowError


@pytest.mark.parametrize("cuts", [(), (3,), (10, 11, 60)])
def test_parts_sampled_apart_make_the_sample_of_one_walk(rng, cuts):
    x = rng.standard_normal((100, 2))
    whole = RowSample(7, seed=3)
    whole.add(x)
    edges = [0, *cuts, 100]
    parts = []
    for start, stop in pairwise(edges):
        part = RowSample(7, 3, start)
        part.add(x[start:stop])
        parts.append(part)
    total = sum(parts[1:], parts[0])
    np.testing.assert_array_equal(total.parts[0], whole.parts[0])


def test_row_groups_of_several_files_are_read_apart(rng, tmp_path, monkeypatch):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    x = rng.standard_normal((50, 2))
    for i, part in enumerate((x[:23], x[23:])):
        names = ["a", "b"] if i == 0 else ["b", "a"]
        columns = part.T if i == 0 else part.T[::-1]
        parquet.write_table(
            pa.table(dict(zip(names, columns, strict=True))), tmp_path / f"{i}.parquet", row_group_size=9
        )
    monkeypatch.setattr("uncollapse.data.blocks.MIN_BLOCK_ROWS", 10)
    monkeypatch.setattr("uncollapse.data.blocks.BLOCK_ENTRIES", 20)
    rows = open_source(str(tmp_path))
    spans = rows.blocks
    assert isinstance(spans, Spans)
    np.testing.assert_array_equal(spans.edges, [0, 9, 18, 23, 32, 41, 50])
    for start, stop in [(0, 9), (18, 32), (20, 45), (0, 50)]:
        np.testing.assert_array_equal(spans.read(start, stop), x[start:stop])
    np.testing.assert_array_equal(np.concatenate(list(spans())), x)


def test_damage_met_in_a_part_is_one_line(tmp_path, rng):
    zarr = pytest.importorskip("zarr")
    path = tmp_path / "x.zarr"
    zarr.create_array(path, data=rng.standard_normal((40, 3)), chunks=(10, 3))
    next(file for file in sorted(path.rglob("*")) if file.is_file() and file.name != "zarr.json").write_bytes(b"no")
    spans = open_source(str(path)).blocks
    with pytest.raises(SourceError, match="cannot be read to its end"):
        spans.read(0, 40)


def test_an_error_that_names_a_row_comes_back_from_another_process_as_it_was():
    error = RowError("the data: ", 3, ": not finite").at(103)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert pickle.loads(pickle.dumps(error)).row == 3
