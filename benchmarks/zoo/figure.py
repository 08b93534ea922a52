"""One picture of the residual test's record, as SVG by hand: no plotting library is needed to read it anew."""

from __future__ import annotations

import math

from judge import Row

__all__ = ["residual_figure"]

WIDTH, HEIGHT, LEFT, BOTTOM, RIGHT = 720, 320, 60, 270, 700
LOW, HIGH = 0.03, 30.0
LANES = {True: 90, False: 200}
COLOURS = {True: "#00796b", False: "#b0604a"}


def residual_figure(rows: list[Row]) -> str:
    """Top residual strength over the water level (logarithmic), one lane for models that more training helped."""
    dots = []
    for i, row in enumerate(rows):
        helped = bool(row["helped"])
        y = LANES[helped] + (i * 0.618034 % 1 - 0.5) * 80  # spread so that dots do not hide each other
        dots.append(
            f'<circle cx="{_x(row["top"]):.1f}" cy="{y:.1f}" r="3.2" fill="{COLOURS[helped]}" fill-opacity="0.6"/>'
        )
    ticks = "".join(
        f'<line x1="{_x(v):.1f}" x2="{_x(v):.1f}" y1="40" y2="{BOTTOM}" stroke="{"#333" if v == 1 else "#ddd"}"/>'
        f'<text x="{_x(v):.1f}" y="{BOTTOM + 18}" text-anchor="middle">{v:g}</text>'
        for v in (0.1, 0.3, 1, 3, 10)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="13"><rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>{ticks}{"".join(dots)}'
        f'<text x="{LEFT}" y="32">a warm restart or new weights brought a latent to life and lowered the loss</text>'
        f'<text x="{LEFT}" y="152">they did not</text>'
        f'<text x="{(LEFT + RIGHT) / 2}" y="{BOTTOM + 40}" text-anchor="middle">'
        f"strongest residual mode over the water level</text></svg>\n"
    )


def _x(ratio: float) -> float:
    share = (math.log(min(max(ratio, LOW), HIGH)) - math.log(LOW)) / (math.log(HIGH) - math.log(LOW))
    return LEFT + share * (RIGHT - LEFT)
