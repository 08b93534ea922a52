"""Table 1 of Lucas et al. 2019 on folders of images: made ones here, the user's own elsewhere."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import uncollapse.studies as studies
from commandline import run as command_line
from uncollapse.errors import OutputError, SourceError, UncollapseError
from uncollapse.studies import STUDIES
from uncollapse.studies.lucas_data import logit_pixels
from uncollapse.studies.lucas_images import FEWEST, image_bytes, logit_rows, packed
from uncollapse.studies.made_faces import MARK, is_made, made_face, write_faces
from uncollapse.studies.study import ON_MADE_IMAGES, Request, run_study

image = pytest.importorskip("PIL.Image")
STUDY = next(study for study in STUDIES if study.name == "lucas-table-1-celeba")


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return write_faces(tmp_path_factory.mktemp("made") / "faces", 160, side=16)


def test_images_become_bytes_channels_first_in_the_order_of_names(tmp_path, rng):
    levels = rng.integers(0, 256, (FEWEST + 5, 4, 4, 3), dtype=np.uint8)
    for i, one in enumerate(levels):
        image.fromarray(one).save(tmp_path / f"{i:04d}.png")
    read = image_bytes(str(tmp_path), FEWEST, 4)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, levels[:FEWEST].transpose(0, 3, 1, 2).reshape(FEWEST, -1))
    assert len(image_bytes(str(tmp_path), 10_000, 4)) == FEWEST + 5


def test_rows_of_logits_are_the_same_on_each_walk_and_give_the_levels_back(rng):
    levels = rng.integers(0, 256, (700, 12), dtype=np.uint8)
    rows = logit_rows(levels)
    once, again = (np.vstack(list(rows.blocks())) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    back = 256 / (1 + np.exp(-once.astype(float))) - levels  # float32's logit keeps a thousandth of a level
    assert -1e-3 < back.min() < back.max() < 1 + 1e-3


def test_what_is_trained_on_has_the_distribution_of_the_rows(rng):
    levels = np.full((4000, 3), [[0, 100, 255]], dtype=np.uint8)
    mean = np.array([1.0, 2.0, 3.0])
    x, y, _ = packed(levels, mean).take(torch.arange(4000)[None], [torch.Generator().manual_seed(1)])
    torch.testing.assert_close(x + torch.tensor(mean).float(), y, rtol=0, atol=1e-5)
    expected = np.sort(logit_pixels(levels, seed=5), axis=0)
    for at in (0.1, 0.5, 0.9):  # quantiles of U are known to about 1 %
        k = int(4000 * at)
        np.testing.assert_allclose(np.sort(y[0].numpy(), axis=0)[k], expected[k], rtol=0.05)


def test_noise_is_drawn_anew_each_time():
    rows, generator = packed(np.zeros((5, 3), np.uint8), np.zeros(3)), torch.Generator().manual_seed(0)
    first, second = (rows.take(None, [generator])[1] for _ in range(2))
    assert not torch.equal(first, second)


@pytest.mark.slow
def test_the_table_on_a_folder_stands_beside_the_linear_optimum(faces, tmp_path):
    pytest.importorskip("matplotlib")
    result = run_study(STUDY, Request("quick", faces), tmp_path)
    found = {(row["case"], row["quantity"]): row for row in result.rows}
    cases = [case for case, quantity in found if quantity == "ELBO"]
    assert len(cases) == 10
    for case in cases:
        elbo, tuned = found[case, "ELBO"], found[case, "σ²-tuned ELBO"]
        assert tuned["ours"] >= elbo["ours"] - 1e-6 * abs(elbo["ours"])  # tuning σ² cannot hurt
        level = found[case, "σ² at the end, the water level"]
        assert elbo["theory"] >= elbo["theory at our σ²"] - 1e-6 * abs(elbo["theory"])  # a learned σ² is at its best
        if not case.endswith("learned"):
            assert level["ours"] == level["theory"] == level["paper"]
    silent = {case: found[case, "latents of mean KL < 0.01, %"]["ours"] for case in cases}
    assert silent["σ² = 10"] > silent["σ² = 0.1"]
    near = found["σ² = 10", "ELBO"]  # few modes stand out of so much water, and a network finds them
    assert near["ours"] == pytest.approx(near["theory"], rel=0.03)
    first = next(row["theory"] for row in result.rows if "first threshold" in row["quantity"])
    x = logit_pixels(image_bytes(str(faces), 400, 16), seed=3)
    assert first == pytest.approx(np.linalg.svd(x - x.mean(0), compute_uv=False)[0] ** 2 / len(x), rel=0.02)


@pytest.mark.slow
def test_made_images_are_said_to_be_made_wherever_numbers_stand(faces, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    from uncollapse.studies import lucas_images

    small = lucas_images.Sizes(120, 8, (4,), 3, 1, 60)
    monkeypatch.setattr(lucas_images, "SIZES", (small,) * 3)
    made = run_study(STUDY, Request("quick", faces), tmp_path / "made")
    assert made.verdict == ON_MADE_IMAGES
    assert made.because.startswith("On made images")
    assert "made images" in made.settings["data"]
    assert "made images" in (tmp_path / "made" / "figure.svg").read_text("utf-8")
    for path in faces.glob("*.png"):
        (tmp_path / "own").mkdir(exist_ok=True)
        (tmp_path / "own" / path.name).write_bytes(path.read_bytes())
    own = run_study(STUDY, Request("quick", tmp_path / "own"), tmp_path / "out")
    assert own.verdict != ON_MADE_IMAGES
    assert "need not be CelebA" in own.because


def broken(folder):
    write_faces(folder, 6, side=8)
    (folder / "000003.png").write_bytes(b"no image")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda folder: None, "no such folder; name a folder of images with --data"),
        (lambda folder: folder.mkdir(), "without images"),
        (lambda folder: write_faces(folder, 6, side=8), f"6 images there, .* {FEWEST} or more"),
        (broken, "1 of 6 images cannot be read: 000003.png .*leave them out: .*::16x16,colour,skip-broken"),
        (lambda folder: folder.write_text("a file"), "no such folder"),
    ],
)
def test_a_folder_that_will_not_do_is_told_in_one_line(tmp_path, make, told):
    make(tmp_path / "photos")
    with pytest.raises(SourceError, match=told) as caught:
        STUDY.run(Request("quick", tmp_path / "photos"))
    assert "\n" not in str(caught.value)


def test_what_the_message_says_to_type_leaves_broken_images_out(faces, tmp_path):
    folder = write_faces(tmp_path / "photos", FEWEST + 1, side=8)
    (folder / "000003.png").write_bytes(b"no image")
    with pytest.warns(UserWarning, match=r"1 of 101 images cannot be read.*left out"):
        assert len(image_bytes(f"{folder}::16x16,colour,skip-broken", 400, 16)) == FEWEST


def test_no_folder_at_all_is_told_with_what_to_type(tmp_path):
    told = command_line("reproduce", STUDY.name, cwd=tmp_path)
    assert told.returncode == 2
    assert told.stderr.count("\n") == 1
    assert "--data FOLDER" in told.stderr
    assert "made_faces" in told.stderr
    assert STUDY in studies.STUDIES


def test_a_made_face_is_the_same_whatever_is_made_beside_it(faces):
    with image.open(faces / "000008.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), made_face(0, 7, 16))
    assert (made_face(0, 7, 16) != made_face(1, 7, 16)).any()


def test_made_faces_have_the_spectrum_and_the_colours_of_photographs(rng):
    """Power falls about as 1/f² (Field 1987), and most of colour's variance is light against dark."""
    seed = int(rng.integers(1000))
    x = np.stack([made_face(seed, i, 32) for i in range(150)]).astype(float)
    x -= x.mean(0)
    power = (np.abs(np.fft.fft2(x.mean(-1))) ** 2).mean(0)
    frequency = np.hypot(np.fft.fftfreq(32)[:, None], np.fft.fftfreq(32))
    kept = frequency > 0
    slope = np.polyfit(np.log(frequency[kept]), np.log(power[kept]), 1)[0]
    assert -3 < slope < -1.6
    values, axes = np.linalg.eigh(np.cov(x.reshape(-1, 3).T))
    assert values[2] > 5 * values[1]
    assert abs(axes[:, 2].sum()) / np.sqrt(3) > 0.95


def test_the_mark_is_found_whatever_words_follow(faces, tmp_path):
    assert json.loads((faces / MARK).read_text())["images"] == 160
    assert is_made(str(faces))
    assert is_made(f"{faces}::16x16,grey")
    assert not is_made(str(tmp_path))


@pytest.mark.parametrize(
    ("n", "side", "kind"), [(0, 16, UncollapseError), (3, 2, UncollapseError), (3, 16, OutputError)]
)
def test_faces_that_cannot_be_made_are_refused(tmp_path, n, side, kind):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(kind):
        write_faces(tmp_path / "taken", n, side)
