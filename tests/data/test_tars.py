"""Tars of samples: which member is a row, and one line for what cannot be one."""

from __future__ import annotations

import io
import pickle
import tarfile

import numpy as np
import pytest
from PIL import Image

from uncollapse import SourceError
from uncollapse.data import tars
from uncollapse.data.sources import open_source
from uncollapse.data.tars import shards


def bytes_of(value) -> bytes:
    file = io.BytesIO()
    if isinstance(value, Image.Image):
        value.save(file, "PNG")
    elif isinstance(value, dict):
        np.savez(file, **value)
    else:
        np.save(file, value, allow_pickle=True)
    return file.getvalue()


def tar_of(path, members, mode="w"):
    with tarfile.open(path, mode) as tar:
        for name, content in members:
            content = content if isinstance(content, bytes) else bytes_of(content)
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def rows_of(source) -> np.ndarray:
    return np.vstack(list(open_source(str(source)).blocks()))


def refused(source, match):
    with pytest.raises(SourceError, match=match) as caught:
        for _ in open_source(str(source)).blocks():
            pass
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_braces_stand_for_files_in_order():
    assert shards("a-{9..11}{x,y}.tar") == [f"a-{i}{c}.tar" for i in (9, 10, 11) for c in "xy"]
    assert shards("a.tar") == ["a.tar"]
    for wrong in ("{3..1}.tar", "{0..999999}.tar", "{0..9999}{0..9999}.tar"):
        with pytest.raises(SourceError, match="must count up|more than 100000 files"):
            shards(wrong)


def test_the_only_array_or_image_of_a_sample_is_its_row(rng, tmp_path):
    x = rng.standard_normal((20, 2, 3))
    npy = tar_of(
        tmp_path / "a.tar", [(f"{i}.{e}", x[i] if e == "npy" else b"{}") for i in range(20) for e in ("npy", "json")]
    )
    np.testing.assert_array_equal(rows_of(npy), x.reshape(20, 6))
    npz = tar_of(tmp_path / "b.tgz", [(f"{i}.npz", {"x": x[i]}) for i in range(20)], "w:gz")
    np.testing.assert_array_equal(rows_of(npz), x.reshape(20, 6))
    vectors = tar_of(tmp_path / "c.tar", [(f"{i}.npy", x[i, 0]) for i in range(20)])
    np.testing.assert_array_equal(rows_of(vectors), x[:, 0])


def test_kinds_of_number_that_mix_become_the_wider_one(tmp_path):
    made = [np.array([1, 2], np.uint8), np.array([0.5, 1e300]), np.array([3, 4], np.int16)]
    source = tar_of(tmp_path / "a.tar", [(f"{i}.npy", one) for i, one in enumerate(made)])
    np.testing.assert_array_equal(rows_of(source), np.vstack(made))


def test_a_member_is_named_with_how_it_is_read(rng, tmp_path):
    pictures = [Image.fromarray(rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)) for _ in range(6)]
    members = [(f"{i}.{e}.png", p.convert("L") if e == "m" else p) for i, p in enumerate(pictures) for e in ("x", "m")]
    source = tar_of(tmp_path / "a.tar", members)
    refused(source, r"a sample holds several images or arrays \(.x.png, .m.png\); name one as \S+::x.png$")
    assert rows_of(f"{source}::x.png").shape == (6, 90)
    assert rows_of(f"{source}::m.png,4x3").shape == (6, 12)
    assert rows_of(f"{source}::X.png,grey,8").shape == (6, 64)
    refused(f"{source}::x.png,blue", "after '::' images take a size")


def test_pickles_are_never_read(rng, tmp_path):
    class Run:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    evil = pickle.dumps(Run())
    for ending in ("pth", "pkl", "pickle", "pt"):
        source = tar_of(tmp_path / "a.tar", [(f"{i}.{ending}", evil) for i in range(3)])
        refused(source, "pickles are not read, as they could run code: write .npy or .png members$")
        refused(f"{source}::{ending}", "members are pickles, which could run code; write .npy or .png members$")
    source = tar_of(tmp_path / "a.tar", [("0.npy", np.array([Run()], object))])
    refused(source, r"1 of 1 arrays cannot be read: 0.npy \(.*allow_pickle=False")
    assert not (tmp_path / "ran").exists()


def test_broken_samples_are_counted_or_left_out(rng, tmp_path):
    x = rng.standard_normal((9, 4))
    members = [(f"{i}.npy", b"broken" if i in (0, 4) else x[i]) for i in range(9)]
    source = tar_of(tmp_path / "a.tar", members)
    refused(source, r"2 of 9 arrays cannot be read: 0.npy \(.*\), 4.npy \(.*leave them out: \S+::npy,skip-broken$")
    with pytest.warns(UserWarning, match="2 of 9 arrays .* and left out"):
        np.testing.assert_array_equal(rows_of(f"{source}::npy,skip-broken"), np.delete(x, [0, 4], 0))
    source = tar_of(tmp_path / "b.tar", [("0.png", Image.new("L", (3, 3))), ("1.png", b"broken")])
    refused(source, r"1 of 2 images cannot be read: 1.png \(.*leave them out: \S+::png,skip-broken$")
    refused(f"{source}::png,8", r"leave them out: \S+::png,8x8,skip-broken$")


def test_what_is_no_sample_is_named(rng, tmp_path, monkeypatch):
    x = rng.standard_normal((3, 4))
    source = tmp_path / "a.tar"
    tar_of(source, [("0.npy", x), ("1.npy", x[:2])])
    refused(source, "0.npy is 3x4 and 1.npy is 2x4; all samples need one shape$")
    tar_of(source, [("0.npy", x), ("0.txt", b"a"), ("1.txt", b"a")])
    refused(source, "a.tar: the sample 1 has no .npy; leave such samples out$")
    refused(f"{source}::txt", r".txt members are neither images nor arrays; name another \(.npy, .txt\)$")
    refused(f"{source}::npy,64", "of arrays only skip-broken is said, got '64'$")
    tar_of(source, [("0.npz", {"a": x, "b": x})])
    refused(source, r"0.npz \(holds 2 arrays where one is read\)")
    tar_of(source, [("0.npy", np.array(["a"]))])
    refused(source, r"0.npy \(holds <U1, not real numbers\)")
    tar_of(source, [("0.npy", x[:0])])
    refused(source, "0.npy is empty, shape 0x4$")
    tar_of(source, [("0.txt", b"a"), ("0.cls", b"1")])
    refused(source, r"a sample holds no image and no array \(.txt, .cls\)$")
    tar_of(source, [])
    refused(source, "a.tar holds no files")
    tar_of(source, [("0.npy", x)])
    monkeypatch.setattr(tars, "MOST_BYTES", 100)
    refused(source, "a.tar: 0.npy has 0 MB, more than the .* MB a sample may have$")


def test_a_member_that_claims_more_than_memory_holds_is_refused(tmp_path):
    info = tarfile.TarInfo("0.npy")
    info.size = 2**40
    (tmp_path / "a.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + b"\0" * 2048)
    refused(tmp_path / "a.tar", "a.tar: cannot be read as a tar file: 0.npy claims 1,048,576 MB; get it again$")


def test_links_and_hidden_members_are_no_samples(rng, tmp_path):
    x = rng.standard_normal((2, 3))
    source = tar_of(tmp_path / "a.tar", [("._0.npy", b"x"), ("0.npy", x[0]), ("1.npy", x[1])])
    with tarfile.open(source, "a") as tar:
        for kind in (tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo("/etc/x.npy")
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
    np.testing.assert_array_equal(rows_of(source), x)


@pytest.mark.parametrize("where", ["in a header", "in a sample", "between two", "beside a sample"])
def test_a_tar_that_is_cut_off_never_gives_fewer_rows(where, rng, tmp_path):
    members = [(f"{i}.{e}", rng.standard_normal(100)) for i in range(20) for e in ("npy", "x.npy")]
    source = tar_of(tmp_path / "a.tar", members)
    content, one = source.read_bytes(), 2 * (512 + 1024)
    end = {"in a header": 300, "in a sample": 700, "between two": 0, "beside a sample": one - 600}[where]
    source.write_bytes(content[: 10 * one + end])
    refused(f"{source}::npy", "a.tar: cannot be read as a tar file: .*; get it again$|ends within")


def test_a_tar_with_a_damaged_header_never_gives_fewer_rows(rng, tmp_path):
    source = tar_of(tmp_path / "a.tar", [(f"{i}.npy", rng.standard_normal(100)) for i in range(20)])
    content = bytearray(source.read_bytes())
    content[10 * (512 + 1024) + 5] ^= 1
    source.write_bytes(content)
    refused(source, r"cannot be read as a tar file: damaged or cut off at byte 15360; get it again$")
    source.write_bytes(b"no tar at all" * 100)
    refused(source, "a.tar: cannot be read as a tar file")
    source.write_bytes(b"")
    refused(source, "a.tar: cannot be read as a tar file")


def test_shards_that_are_missing_or_no_tars_are_named(rng, tmp_path):
    for i in range(2):
        tar_of(tmp_path / f"{i}.tar", [("0.npy", rng.standard_normal(3))])
        np.save(tmp_path / f"{i}.npy", rng.standard_normal((3, 3)))
    refused(tmp_path / "{0..2}.tar", r"2.tar: no such file")
    refused(tmp_path / "{0..1}.npy", r"0.npy: braces name several .tar files, and this is none; give one file$")
    assert len(rows_of(tmp_path / "{0..1}.tar")) == 2


def test_samples_with_gaps_are_found_by_whoever_reads_them(tmp_path):
    from uncollapse import forecast

    members = [(f"{i}.npy", np.array([i, np.nan if i == 3 else i % 3, i * i])) for i in range(20)]
    source = str(tar_of(tmp_path / "a.tar", members))
    with pytest.raises(ValueError, match="NaN|not finite|finite"):
        forecast(open_source(source))
    with pytest.warns(UserWarning, match="left out 1 of 20 rows"):
        assert forecast(open_source(source), drop_nonfinite=True).spectrum.n_samples == 19
