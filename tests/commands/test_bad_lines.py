"""Command lines that ask for what cannot be: one line and exit code 2, whatever is wrong with them."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest

from uncollapse.cli import main

LONG = "n" * 5000

LINES = f"""
forecast|loop
forecast|loop.npy
forecast|negative.idx3-ubyte
forecast|huge-idx2-ubyte
forecast|negative.npy
forecast|rows.npy
forecast|overflow.npy
forecast|words.npy
forecast|empty.npy
forecast|ragged.csv
forecast|damaged.h5ad
forecast|damaged.parquet
forecast|damaged.npz
forecast|damaged.npz::a
forecast|{LONG}
forecast|{LONG}.npy
forecast|{LONG}/x.npy
forecast|iris|--json|{LONG}
forecast|iris|--html|{LONG}.html
forecast|iris|--html|loop
forecast|iris|--json|loop
forecast|~nobody/x.npy
forecast|~nobody
forecast|iris|--json|~nobody/x.json
forecast|
forecast|iris|--json|
forecast|iris|--bootstrap|1e20
forecast|iris|--bootstrap|100000000000000000000
forecast|iris|--bootstrap|-3
forecast|iris|--latents|1e9
forecast|iris|--modes|-1
forecast|iris|--beta|inf
forecast|iris|--beta|1e-400
forecast|iris|--beta|one
forecast|iris|--scale|nan
forecast|iris|--scale|0
forecast|iris|--scale|1e300
forecast|iris|--decoder-variance|1,2
forecast|iris|--decoder-variance|
forecast|iris|--encoder-variance|,
forecast|iris|--encoder-variance|1e-400
forecast|iris|--level-betas|
forecast|iris|--level-latents|inf
forecast|iris|--level-latents|1e400
forecast|iris|--likelihood|gausian
forecast|iris|--recon|mae
forecast|iris|--reduction|median
forecast|iris|--kl-weight|0
forecast|iris|--kl-batch-sum|0
forecast|iris|--network|0
forecast|iris|--network|-3
forecast|iris|--pilot|--network|a
forecast|iris|--learning-rate|0
forecast|iris|--likelihood|negative-binomial|--dispersion|loop
forecast|iris|--size-factors|nothing.npy
forecast|iris|--target|{LONG}
forecast|iris|--given|loop
forecast|iris|extra
forecast|--nothing
forecast
nothing
diagnose||iris
diagnose|loop|iris
diagnose|{LONG}|iris
diagnose|~nobody|iris
diagnose|m:|iris
diagnose|:f|iris
diagnose|no.such.module:f|iris
diagnose|os:getcwd|iris|--rows|0
diagnose|os:getcwd|iris|--input-shape|a
diagnose|os:getcwd|iris|--spread|wide
diagnose|os:getcwd|
train|iris|--out|o|--latents|0
train|iris|--out|{LONG}
train|iris|--out|loop
train|iris|--out|
train|iris|--out|o|--hidden|0
train|iris|--out|o|--hidden|-5
train|iris|--out|o|--hidden|1000000000000
train|iris|--out|o|--epochs|0
train|iris|--out|o|--batch-size|-1
train|iris|--out|o|--learning-rate|nan
train|iris|--out|o|--device|gpu
train|iris|--out|o|--device|meta
train|iris|--out|o|--seed|-1
train|iris|--out|o|--seed|100000000000000000000
train|iris|--out|o|--momentum|-1
train|iris|--out|o|--free-bits|nan
train|iris|--out|o|--clip|0
train|iris|--out|o|--patience|0
train|iris|--out|o|--warm-up|0
train|iris|--out|o|--schedule|stairs
train|iris|--out|o|--optimiser|lion
train|iris|--out|o|--channels|8
train|iris|--out|o|--channels|8|--image|1,2
train|iris|--out|o|--scale|nan
train|iris|--out|o|--decoder-variance|optimum
train|iris
sweep|iris|--out|s|--jobs|0|--epochs|1
sweep|iris|--out|s|--backend|nothing|--epochs|1
sweep|iris|--out|s|--backend|dask|--epochs|1
sweep|iris|--out|s|--beta|
sweep|iris|--out|s|--beta|nan
sweep|iris|--out|s|--seeds|0
sweep|iris|--out|s|--seeds|100000000000
sweep|iris|--out|s|--latents|0
sweep|iris|--out|s|--scheduler|nowhere
sweep|iris|--out|{LONG}
sweep|iris|--out|
sweep|loop|--out|s
reproduce
reproduce|nothing
reproduce|{LONG}
reproduce|own-fig-1|--out|loop
reproduce|own-fig-1|--out|{LONG}
reproduce|own-fig-1|--preset|huge
reproduce|own-fig-1|--preset|{LONG}
""".strip().split("\n")


def npy(shape: str) -> bytes:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes(160)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("bad")
    (path / "loop").symlink_to("pool")
    (path / "pool").symlink_to("loop")
    files = {
        "negative.idx3-ubyte": struct.pack(">IiII", 0x803, -5, 28, 28) + bytes(100),
        "huge-idx2-ubyte": struct.pack(">HBBII", 0, 8, 2, 2**31 + 5, 2**31) + bytes(100),
        "negative.npy": npy("(-5, 4)"),
        "rows.npy": npy(f"({2**60}, 4)"),
        "overflow.npy": npy(f"({2**40}, {2**40})"),
        "words.npy": npy("'a'"),
        "empty.npy": b"",
        "ragged.csv": b"a,b\n1\n2,3,4\n",
        "damaged.h5ad": b"damaged",
        "damaged.parquet": b"PAR1",
        "damaged.npz": b"PK",
    }
    for name, content in files.items():
        (path / name).write_bytes(content)
    return path


@pytest.mark.parametrize("line", LINES, ids=[line.replace(LONG, "LONG") for line in LINES])
def test_a_bad_line_ends_in_one_line_and_exit_code_two(line, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["uncollapse", *line.split("|")])
    with pytest.raises(SystemExit) as caught:
        main()
    out, error = capsys.readouterr()
    assert caught.value.code == 2, error
    assert out == ""
    assert error.startswith("uncollapse: ")
    assert len(error.strip().splitlines()) == 1
    assert len(error) < 6000
