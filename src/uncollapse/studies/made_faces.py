"""Images that are made, not photographed, with what matters here of aligned photographs of faces: amplitudes that fall
as 1/f, colours that go together, a shape in the middle that is much the same in all, and a few factors that vary it.

``python -m uncollapse.studies.made_faces FOLDER --images 4000`` writes them as PNG files.
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

import numpy as np

from uncollapse import checks
from uncollapse.errors import OutputError, UncollapseError
from uncollapse.files import made_folder, write_bytes, write_text

__all__ = ["MARK", "is_made", "made_face", "write_faces"]

MARK = "made-images.json"
"""Beside the images: who reads the folder can tell that they are made."""

COLOURS = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])
"""Light against dark, red–blue, green–magenta: the axes of colour of natural images (Ruderman, Cronin & Chiao 1998)."""

SPREADS = np.array([1.0, 0.22, 0.09])
"""Standard deviations along them, against the first's."""

TEXTURE = 26.0
"""Grey levels: standard deviation of the 1/f part along the first axis."""

N_FACTORS = 12


def made_face(seed: int, index: int, side: int = 64) -> np.ndarray:
    """One image, the same for a seed and an index whatever else is made.

    Returns
    -------
    ndarray of shape (side, side, 3), uint8

    Examples
    --------
    >>> made_face(0, 3, side=16).shape
    (16, 16, 3)
    """
    rng = np.random.default_rng([seed, index])
    face, inside = _face(rng.standard_normal(N_FACTORS), side)
    rough = np.stack([_one_over_f(rng, side) for _ in SPREADS], -1) * SPREADS @ COLOURS
    # the ground is rougher than the skin
    picture = face + TEXTURE * rough * (1.6 - 1.1 * inside[..., None])
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _one_over_f(rng: np.random.Generator, side: int) -> np.ndarray:
    """A field of variance about 1 whose amplitude falls as one over the frequency (Field 1987)."""
    fy, fx = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    frequency = np.hypot(fy, fx)
    amplitude = np.divide(1.0, frequency, out=np.zeros_like(frequency), where=frequency > 0)
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((side, side))) * amplitude, s=(side, side))
    weights = np.abs(np.fft.fft2(np.fft.irfft2(amplitude, s=(side, side)))) ** 2
    return np.asarray(field / np.sqrt(weights.mean()))


def _face(f: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The smooth part in grey levels, (side, side, 3), and how much of each pixel is face; `f` are standard normal."""
    y, x = np.meshgrid(*[(np.arange(side) + 0.5) / side * 2 - 1] * 2, indexing="ij")
    x, y = x - 0.05 * f[0], y - 0.04 * f[1]
    turned = 0.12 * f[2]

    def blob(cx: float, cy: float, width: float, height: float, sharp: float = 8.0) -> np.ndarray:
        radius = np.sqrt(((x - cx) / width) ** 2 + ((y - cy) / height) ** 2)
        return np.asarray(1 / (1 + np.exp(np.clip(sharp * (radius - 1), -50, 50))))

    skin = np.array([188.0, 148.0, 126.0]) * np.exp(0.22 * f[3]) + np.array([6.0, 0.0, -6.0]) * f[4]
    ground = np.array([110.0, 105.0, 100.0]) * np.exp(0.4 * f[5]) + np.array([14.0, 0.0, -14.0]) * f[6]
    hair = np.array([70.0, 52.0, 42.0]) * np.exp(0.5 * f[7])
    inside = blob(0.0, 0.08, 0.52 + 0.04 * f[8], 0.68 + 0.03 * f[8])
    over = blob(0.0, -0.22, 0.66, 0.66 + 0.08 * f[9], 6.0)
    picture = ground + over[..., None] * (hair - ground)
    picture = picture + inside[..., None] * (skin - picture)
    for eye in (-0.22, 0.22):
        picture = picture - 85 * blob(eye + turned, -0.06, 0.11, 0.06)[..., None]
    picture = picture - 30 * blob(turned * 1.3, 0.16, 0.07, 0.16, 5.0)[..., None]
    smile = blob(turned, 0.42, 0.22 * np.exp(0.15 * f[10]), 0.055 * np.exp(0.4 * f[11]))[..., None]
    picture = picture + smile * np.array([-25.0, -75.0, -60.0])
    light = 1 + inside * (0.16 * f[2] * x + 0.05 * f[9] * y)
    return picture * light[..., None], inside


def write_faces(folder: Path, n: int, side: int = 64, seed: int = 0) -> Path:
    """Write `n` images as PNG files with `MARK` beside them; those that are there already are written again.

    Raises
    ------
    OutputError
        The folder cannot be written.
    UncollapseError
        Pillow is missing.
    """
    folder = checks.as_path(folder, "the folder", error=OutputError)
    n, side = checks.count(n, "n", least=1), checks.count(side, "side", least=8)
    try:
        from PIL import Image
    except ImportError:
        raise UncollapseError("images need Pillow; pip install 'uncollapse[io]'") from None
    made_folder(folder, "; name another")
    facts = {"images": n, "side": side, "seed": seed, "what": "made images: no photograph, and no part of CelebA"}
    write_text(folder / MARK, json.dumps(facts, indent=1) + "\n")
    for index in range(n):
        content = io.BytesIO()
        Image.fromarray(made_face(seed, index, side)).save(content, "PNG")
        write_bytes(folder / f"{index + 1:06d}.png", content.getvalue())
    return folder


def is_made(source: str) -> bool:
    """Whether the images that a source names carry the mark: ``photos`` or ``photos::64``."""
    return (Path(source.partition("::")[0]).expanduser() / MARK).is_file()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    try:
        folder = write_faces(given.folder, given.images, given.side, given.seed)
    except UncollapseError as error:
        parser.exit(2, f"made_faces: {error}\n")
    print(f"{given.images} images of {given.side}x{given.side} in {folder}")


if __name__ == "__main__":
    main()
