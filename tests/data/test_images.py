"""Folders of images: which numbers a row has, and one line for what cannot be a row."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from uncollapse import DataError, SourceError
from uncollapse.commands.app import app
from uncollapse.data import folders
from uncollapse.data.images import pixels
from uncollapse.data.rows import as_rows
from uncollapse.data.sources import open_source


def rows_of(source) -> np.ndarray:
    return np.vstack(list(open_source(str(source)).blocks()))


def colour(rng, height=6, width=5):
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def refused(source, match):
    with pytest.raises(SourceError, match=match) as caught:
        for _ in open_source(str(source)).blocks():
            pass
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def bmp(path):
    """The (height, width, 3) bytes of a plain BMP file, by its layout."""
    content = path.read_bytes()
    start, width, height = (int.from_bytes(content[at : at + 4], "little") for at in (10, 18, 22))
    line = (3 * width + 3) // 4 * 4
    lines = np.frombuffer(content, np.uint8, line * height, start).reshape(height, line)[::-1, : 3 * width]
    return lines.reshape(height, width, 3)[..., ::-1]


def test_a_row_is_channels_first_from_0_to_1_in_the_order_of_names(rng, tmp_path):
    for name in ("b/2.bmp", "a/9.bmp", "b/10.bmp", "c.BMP"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(colour(rng)).save(tmp_path / name, "BMP")
    (tmp_path / ".hidden.bmp").write_bytes(b"")
    rows = rows_of(tmp_path)
    assert rows.dtype == np.float32
    for row, name in zip(rows, ("a/9.bmp", "b/10.bmp", "b/2.bmp", "c.BMP"), strict=True):
        picture = torch.from_numpy(bmp(tmp_path / name).copy()).permute(2, 0, 1).float().div(255)  # as ToTensor has it
        np.testing.assert_array_equal(row, picture.reshape(-1).numpy())


def test_the_note_says_the_shape_and_the_range(rng, tmp_path):
    Image.fromarray(colour(rng)).save(tmp_path / "a.png")
    assert open_source(f"{tmp_path}::8x4").note.endswith(
        "images are read as 3x8x4 (channels x height x width), values from 0 to 1, as PyTorch's ToTensor gives them, "
        "so no --scale is needed"
    )


@pytest.mark.parametrize("ending", ["png", "jpg", "jpeg", "bmp", "tif", "tiff", "webp"])
def test_every_format_is_what_pillow_reads(ending, rng, tmp_path):
    smooth = np.add.outer(np.arange(6) * 20, np.arange(5) * 10)[..., None] + np.arange(3) * 30
    Image.fromarray(smooth.astype(np.uint8)).save(tmp_path / f"a.{ending}")
    with Image.open(tmp_path / f"a.{ending}") as image:
        wanted = [image.getpixel((column, row))[c] / 255 for c in range(3) for row in range(6) for column in range(5)]
    np.testing.assert_allclose(rows_of(tmp_path)[0], wanted, rtol=1e-6)


def test_sizes_and_colours_are_made_as_told(rng, tmp_path):
    Image.fromarray(colour(rng, 8, 8)).save(tmp_path / "a.png")
    Image.fromarray(np.full((4, 6), 51, np.uint8)).save(tmp_path / "b.png")
    assert rows_of(f"{tmp_path}::4,grey").shape == (2, 16)
    rows = rows_of(f"{tmp_path}::4x2,colour").reshape(2, 3, 4, 2)
    np.testing.assert_allclose(rows[1], 0.2, rtol=1e-6)
    with Image.open(tmp_path / "a.png") as image:
        smaller = np.asarray(image.resize((2, 4), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(rows[0], smaller.transpose(2, 0, 1) / 255, rtol=1e-6)
    grey = rows_of(f"{tmp_path}::8,gray")[0].reshape(8, 8)
    with Image.open(tmp_path / "a.png") as image:
        luma = np.asarray(image).astype(float) @ [0.299, 0.587, 0.114] / 255
    np.testing.assert_allclose(grey, luma, atol=1 / 255)


ODD = {
    "1": lambda: Image.new("1", (3, 2), 1), "L": lambda: Image.new("L", (3, 2), 255),
    "LA": lambda: Image.new("LA", (3, 2), (255, 7)), "I;16": lambda: Image.fromarray(np.full((2, 3), 65535, np.uint16)),
    "P": lambda: Image.new("RGB", (3, 2), (255, 255, 255)).convert("P"),
    "RGBA": lambda: Image.new("RGBA", (3, 2), (255, 255, 255, 9)), "RGB": lambda: Image.new("RGB", (3, 2), "white"),
    "CMYK": lambda: Image.new("CMYK", (3, 2), (0, 0, 0, 0)),
}  # fmt: skip


@pytest.mark.parametrize("mode", ODD)
def test_white_is_1_in_every_mode(mode, tmp_path):
    ODD[mode]().save(tmp_path / ("a.tiff" if mode == "CMYK" else "a.png"))
    n_channels = 1 if mode in ("1", "L", "LA", "I;16") else 3
    np.testing.assert_array_equal(rows_of(tmp_path), np.ones((1, n_channels * 6)))
    for words, n in (("grey", 1), ("colour", 3), ("1x2,colour", 1)):
        assert rows_of(f"{tmp_path}::{words}").shape == (1, 6 * n)
        np.testing.assert_allclose(rows_of(f"{tmp_path}::{words}"), 1, atol=0.5 / 255)


def test_16_bits_keep_their_steps(tmp_path):
    values = np.array([[0, 1, 256], [300, 65534, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    np.testing.assert_allclose(rows_of(tmp_path)[0], values.ravel() / 65535, rtol=1e-6)


def test_two_sizes_or_kinds_are_named_with_what_to_type(rng, tmp_path):
    Image.fromarray(colour(rng)).save(tmp_path / "a.png")
    Image.fromarray(colour(rng, 7, 9)).save(tmp_path / "b.png")
    refused(tmp_path, r"a.png is 6x5 and b.png is 7x9 \(height x width\); type \S+::6x5$")
    Image.new("L", (5, 6)).save(tmp_path / "b.png")
    refused(f"{tmp_path}::8", r"a.png is in colour and b.png is grey; type \S+::8x8,grey or \S+::8x8,colour$")


def test_broken_images_are_counted_and_named_or_left_out(rng, tmp_path):
    for i in range(40):
        Image.fromarray(colour(rng)).save(tmp_path / f"{i:02d}.png")
    whole = rows_of(tmp_path)
    cut = (tmp_path / "03.png").read_bytes()[:60]
    for i in (0, 3, 20, 39):
        (tmp_path / f"{i:02d}.png").write_bytes(cut if i else b"no image")
    refused(
        tmp_path,
        r"4 of 40 images cannot be read: 00.png \(cannot identify.*\), 03.png \(.*\), 20.png \(.*\), …; mend them, or "
        r"leave them out: \S+::skip-broken$",
    )
    rows = open_source(f"{tmp_path}::skip-broken")
    with pytest.warns(UserWarning, match=r"4 of 40 images cannot be read: 00.png .*, … and left out$"):
        first = np.vstack(list(rows.blocks()))
    np.testing.assert_array_equal(first, np.delete(whole, [0, 3, 20, 39], axis=0))
    np.testing.assert_array_equal(np.vstack(list(rows.blocks())), first)  # said once
    for i in range(40):
        (tmp_path / f"{i:02d}.png").write_bytes(b"")
    refused(f"{tmp_path}::skip-broken", "40 of 40 images cannot be read: .*; there are no others$")


def test_pages_and_numbers_without_a_largest_one_are_no_image(tmp_path):
    pages = [Image.new("L", (3, 2), i) for i in range(3)]
    pages[0].save(tmp_path / "a.tiff", save_all=True, append_images=pages[1:])
    refused(tmp_path, r"1 of 1 images cannot be read: a.tiff \(holds 3 pages; save each in a file of its own\)")
    Image.fromarray(np.full((2, 3), np.nan, np.float32)).save(tmp_path / "a.tiff")
    refused(tmp_path, r"a.tiff \(32-bit numbers have no largest value to divide by; save 8 or 16 bits, or .npy\)")


def test_an_image_that_would_fill_the_memory_is_broken(rng, tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    Image.fromarray(colour(rng)).save(tmp_path / "a.png")
    refused(tmp_path, r"a.png \(Image size \(30 pixels\) exceeds limit")


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ("0x5", "a side of an image must be from 1 to 16384, got 0x5"),
        ("99999", "a side of an image must be from 1 to 16384, got 99999"),
        ("64×64", "after '::' images take a size"),
        ("blue", "skip-broken, with commas between; got 'blue'"),
        (",", "got ''"),
    ],
)
def test_words_that_say_nothing_are_refused(words, match, rng, tmp_path):
    Image.fromarray(colour(rng)).save(tmp_path / "a.png")
    refused(f"{tmp_path}::{words}", match)


def test_folders_without_data_say_what_they_hold(rng, tmp_path, monkeypatch):
    refused(tmp_path, r"a directory without images or .parquet files \(is empty\); give the file inside it$")
    for i in range(3):
        (tmp_path / f"{i}.txt").write_text("a")
    (tmp_path / "README").write_text("a")
    refused(tmp_path, r"\(holds 3 .txt, 1 no ending\)")
    refused(f"{tmp_path}::64", r"\(holds 3 .txt, 1 no ending\)")
    monkeypatch.setattr(folders, "MOST_OTHERS", 2)
    refused(tmp_path, "a directory without images")
    Image.fromarray(colour(rng)).save(tmp_path / "0.png")
    assert len(rows_of(tmp_path)) == 1
    monkeypatch.undo()
    (tmp_path / "x.parquet").touch()
    refused(tmp_path, "holds 1 images and 1 .parquet files; give a folder with one kind")


def test_a_large_folder_of_other_things_is_not_walked_to_its_end(rng, tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "MOST_OTHERS", 20)
    (tmp_path / "0.png").touch()
    for i in range(30):
        (tmp_path / f"{i}.txt").touch()
    refused(tmp_path, "more files of other kinds than of images or .parquet; give the folder of these")


def test_links_are_followed_and_loops_are_not(rng, tmp_path):
    (tmp_path / "a").mkdir()
    Image.fromarray(colour(rng)).save(tmp_path / "a" / "x.png")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert len(rows_of(tmp_path)) == 2
    (tmp_path / "loop.png").symlink_to("loop.png")
    refused(tmp_path, r"1 of 3 images cannot be read: loop.png \(.*symbolic links")


def test_folders_in_folders_without_end_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "MOST_DEEP", 3)
    (tmp_path / "a/b/c/d").mkdir(parents=True)
    refused(tmp_path, "more than 3 folders within each other; give an inner one$")


def test_one_image_is_a_folder_of_none(rng, tmp_path):
    Image.fromarray(colour(rng)).save(tmp_path / "a.png")
    refused(tmp_path / "a.png", r"one image; give its folder, or \S+::64x64 to resize all in it$")


def test_without_pillow_it_is_said_what_to_install(rng, tmp_path, monkeypatch):
    Image.fromarray(colour(rng)).save(tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "PIL", None)
    refused(tmp_path, r"images need Pillow; pip install 'uncollapse\[io\]'$")


def test_images_of_pillow_are_read_without_a_file(rng):
    x = colour(rng)
    np.testing.assert_allclose(pixels(Image.fromarray(x)), x.transpose(2, 0, 1) / 255, rtol=1e-6)


def test_the_commands_say_how_images_are_read(rng, tmp_path):
    from typer.testing import CliRunner

    for i in range(30):
        Image.fromarray(colour(rng)).save(tmp_path / f"{i:02d}.png")
    answer = CliRunner().invoke(app, ["forecast", f"{tmp_path}::2,grey", "--beta", "0.001", "--latents", "2"])
    assert answer.exit_code == 0
    assert "images are read as 1x2x2" in " ".join(answer.output.split())


def test_a_name_alone_is_no_data_in_python(tmp_path):
    with pytest.raises(DataError, match="what open_source"):
        as_rows(str(tmp_path))
