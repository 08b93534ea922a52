"""One description of a figure, drawn by Plotly and by Matplotlib: the same data, colours, titles and ticks."""

from __future__ import annotations

import math

import matplotlib
import numpy as np
import pytest

from uncollapse.errors import DataError
from uncollapse.showing.colours import COLOURS
from uncollapse.showing.figure import Axis, Bars, Contour, Figure, Line, Panel, Points, across
from uncollapse.showing.ticks import label, log_ticks, whole_ticks
from uncollapse.showing.with_matplotlib import draw
from uncollapse.showing.with_plotly import plotly_figure

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def spectrum() -> Figure:
    bars = Bars([1, 2, 3], [200.0, 4.0, 0.5], ["alive", "alive", "collapsed"])
    marks = (bars, across((0.5, 3.5), 1.0, "water", "water level"), Points([1, 2], [3.0, math.nan], "noise", "left"))
    return Figure((Panel(marks, Axis("mode", limits=(0.5, 3.5)), Axis("strength", log=True)),))


def test_both_draw_the_same_bars_in_the_same_colours():
    figure = spectrum()
    page, ax = plotly_figure(figure), draw(figure)
    drawn = [patch.get_height() for patch in ax.patches]
    assert drawn == list(page.data[0].y) == [200.0, 4.0, 0.5]
    colours = [to_hex(patch.get_facecolor()) for patch in ax.patches]
    assert colours == list(page.data[0].marker.color) == [COLOURS[k] for k in ("alive", "alive", "collapsed")]


def test_both_draw_the_same_lines_and_leave_out_what_is_not_a_number():
    figure = spectrum()
    page, ax = plotly_figure(figure), draw(figure)
    water, points = ax.lines
    np.testing.assert_array_equal(water.get_ydata(), page.data[1].y)
    assert to_hex(water.get_color()) == page.data[1].line.color == COLOURS["water"]
    assert list(page.data[2].y) == [3.0, None]
    np.testing.assert_array_equal(points.get_ydata(), [3.0, math.nan])


def test_both_have_the_same_titles_names_limits_and_ticks():
    figure = spectrum()
    page, ax = plotly_figure(figure), draw(figure)
    assert ax.get_xlabel() == page.layout.xaxis.title.text == "mode"
    assert ax.get_ylabel() == page.layout.yaxis.title.text == "strength"
    assert ax.get_xlim() == tuple(page.layout.xaxis.range)
    assert np.log10(ax.get_ylim()) == pytest.approx(page.layout.yaxis.range)
    assert ax.get_yticks().tolist() == list(page.layout.yaxis.tickvals) == [1.0, 10.0, 100.0]
    assert [t.get_text() for t in ax.get_yticklabels()] == list(page.layout.yaxis.ticktext) == ["1", "10", "100"]
    assert not len(ax.yaxis.get_minorticklocs())
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == [trace.name for trace in page.data if trace.showlegend] == ["water level", "left"]


def test_contours_are_green_where_it_is_good():
    z = np.add.outer(np.linspace(-1, 1, 5) ** 2, np.linspace(-1, 1, 7) ** 2)
    contour = Contour(np.linspace(-1, 1, 7), np.linspace(-1, 1, 5), z, low_is_good=True)
    figure = Figure((Panel((contour,), Axis("first"), Axis("second"), "a plane"),))
    page, ax = plotly_figure(figure), draw(figure)
    assert page.data[0].colorscale[0][1] == COLOURS["alive"]
    np.testing.assert_array_equal(page.data[0].z, z)
    filled = ax.collections[0]
    assert to_hex(filled.get_cmap()(0.0)) == COLOURS["alive"]
    assert ax.get_title() == "a plane"


def test_a_name_stands_once_in_the_legend_of_all_panels():
    panel = Panel((Line([0, 1], [0, 1], "alive", "loss"),), Axis("step"), Axis("nats"))
    figure = Figure((panel, panel), legend="beside", shared_y=True)
    page, axes = plotly_figure(figure), draw(figure)
    assert [trace.showlegend for trace in page.data] == [True, False]
    legends = [ax.get_legend() for ax in axes]
    assert legends[0] is None
    assert [text.get_text() for text in legends[1].get_texts()] == ["loss"]


def test_error_bars_have_both_lengths():
    bars = Bars([1, 2], [1.0, 2.0], "alive", below=[0.5, 1.0], above=[3.0, 4.0])
    figure = Figure((Panel((bars,), Axis("latent"), Axis("KL", from_zero=True)),))
    page, ax = plotly_figure(figure), draw(figure)
    assert list(page.data[0].error_y.array) == [3.0, 4.0]
    assert list(page.data[0].error_y.arrayminus) == [0.5, 1.0]
    ends = [segment[:, 1].tolist() for segment in ax.collections[0].get_segments()]
    assert ends == [[0.5, 4.0], [1.0, 6.0]]
    assert ax.get_ylim()[0] == 0


def test_axes_of_the_wrong_number_or_kind_are_refused():
    figure = spectrum()
    _, two = plt.subplots(1, 2)
    with pytest.raises(DataError, match="one Matplotlib Axes, got 2"):
        draw(figure, two)
    with pytest.raises(DataError, match="one Matplotlib Axes, got 1 of str"):
        draw(figure, "axes")


@pytest.mark.parametrize(
    ("low", "high"), [(0.5, 2e3), (1e-12, 1e12), (0.9, 1.1), (2.0, 9.0), (1e-300, 1e300), (5, 5.1)]
)
def test_ticks_of_a_logarithmic_axis_are_few_round_and_inside(low, high):
    ticks = log_ticks(low, high)
    assert 2 <= len(ticks) <= 9
    assert ticks == sorted(set(ticks))
    assert low * 0.99 <= ticks[0] <= ticks[-1] <= high * 1.01
    if high / low > 1e3:  # whole powers of ten alone
        assert all(abs(math.log10(tick) - round(math.log10(tick))) < 1e-9 for tick in ticks)
    assert len({label(tick) for tick in ticks}) == len(ticks)


def test_axes_of_whole_numbers_have_whole_ticks():
    panel = Panel(
        (Line([1, 2], [0, 2], "alive"),), Axis("epoch", whole=True), Axis("alive", from_zero=True, whole=True)
    )
    page, ax = plotly_figure(Figure((panel,))), draw(Figure((panel,)))
    assert ax.get_xticks().tolist() == list(page.layout.xaxis.tickvals) == [1.0, 2.0]
    assert ax.get_yticks().tolist() == list(page.layout.yaxis.tickvals) == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(("low", "high"), [(0.5, 1.5), (0, 0), (0.5, 17.5), (0, 1e6), (-3, 12)])
def test_whole_ticks_are_few_whole_and_inside(low, high):
    ticks = whole_ticks(low, high)
    assert 1 <= len(ticks) <= 11
    assert all(low <= tick <= high and tick == round(tick) for tick in ticks)
