"""Every public result shows itself: one line, text, HTML, plain values, a figure; and survives pickle and deepcopy."""

from __future__ import annotations

import copy
import json
import pickle
import tempfile
import warnings
from dataclasses import fields, is_dataclass
from functools import cache
from html.parser import HTMLParser
from typing import Any

import matplotlib
import numpy as np
import pytest

import uncollapse
from diagnosed import NASTY, diagnosed, two_modes
from losses import LOSSES
from seeds import SEED
from uncollapse import (
    Level,
    LossConvention,
    Objective,
    certify,
    escape_times,
    forecast,
    gradient_flow,
    loss_slice,
    measure_posterior,
    moments,
    origin_hessian,
    read_loss,
    revive,
    spectrum,
    stationary_point,
)
from uncollapse.errors import DataError, ObjectiveError, UncollapseWarning
from uncollapse.forecasting.intervals import bootstrap
from uncollapse.forecasting.sequential import sequential
from uncollapse.injecting.measure import injection_spectrum
from uncollapse.injecting.sweep import sequence_sweep
from uncollapse.piloting.pilot import pilot
from uncollapse.sequence_diagnosis.examine import diagnose_sequences
from uncollapse.sequences import SequenceTraining, train_language_model, train_sequence_vae
from uncollapse.showing.noun import Card, Drawn, Noun, card_html
from uncollapse.training import Network, Schedule, Setup, Training, train

matplotlib.use("Agg")
from matplotlib import pyplot as plt

BLOCKS = {"p", "div", "small", "strong", "br", "ul", "li", "table", "thead", "tbody", "tr", "th", "td"}


@cache
def nouns() -> dict[str, Any]:
    """One of each, and of the odd ones."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UncollapseWarning)
        return made()


def made() -> dict[str, Any]:
    rng = np.random.default_rng(SEED)
    x = two_modes(rng)
    given = x[:, :1] + rng.standard_normal((len(x), 1))
    f = forecast(x, n_latents=3)
    levels = forecast(x, levels=(Level(variance=0.5, n_latents=3), Level(n_latents=2)), decoder_variance=0.2)
    written = Objective.from_loss("mse", reduction="mean", n_features=5, kl_weight=0.1, n_latents=4)
    conditional = forecast(x, given=given, n_latents=3)
    d = diagnosed(rng, dead=(1,), name=NASTY)
    model = train(x, objective=Objective(n_latents=2), network=Network(), training=Training(epochs=2))
    point = stationary_point(f, [1])
    tokens = rng.integers(0, 4, (20, 5))
    language = train_language_model(tokens, "window:1", SequenceTraining(epochs=2))
    sequences = train_sequence_vae(tokens, start=language, n_latents=2, epochs=2)
    wide = rng.standard_normal((40, 300)) * np.linspace(3, 0.1, 300)
    return {
        "Forecast": f,
        "Forecast of a loss": forecast(x, objective=written),
        "Forecast with levels": levels,
        "Forecast of counts": forecast((x > 0).astype(float), likelihood="bernoulli"),
        "Forecast without modes": forecast(np.ones((5, 3))),
        "Forecast with a condition": conditional,
        "Forecast with a target": forecast(x, x[:, :2] @ rng.standard_normal((2, 3))),
        "Revived": revive(model, x),
        "Revived for nothing": revive(model, 0.01 * x, objective=Objective(n_latents=2, beta=50.0)),
        "Bill": d.bill,
        "LossReading": read_loss(LOSSES[0].function, 12, 4),
        "ImpliedWeight": d.weight,
        "FreeForecast": f.free_bits(0.1),
        "Keep": f.keep(2),
        "Keep of a loss": forecast(x, objective=written).keep(1),
        "LevelForecast": levels.levels[1],
        "Weights": f.weights,
        "Weights with levels": levels.weights,
        "Intervals": bootstrap(x, f, n_samples=20),
        "Certificate": certify(f, n_starts=1),
        "Spectrum": f.spectrum,
        "Spectrum, matrix-free": spectrum(wide, n_modes=3),
        "Spectrum, leading": f.spectrum.leading(2),
        "Condition": conditional.spectrum.condition,
        "Moments": moments(x, x[:, :2]),
        "StationaryPoint": point,
        "Direction": point.escapes[0],
        "OriginHessian": origin_hessian(f),
        "Flow": gradient_flow(f, 400, 0.01, n_points=11),
        "EscapeTimes": escape_times(f, 0.01),
        "Slice": loss_slice(point, n_grid=11),
        "Objective": Objective(beta=0.1, encoder_variance=(0.5, "learned")),
        "Objective of a loss": written,
        "Objective with levels": levels.objective,
        "Objective with many widths": Objective(encoder_variance=tuple(np.linspace(0.1, 0.9, 500))),
        "Level": Level(beta=2.0),
        "LossConvention": LossConvention("bce", kl_weight=1 / 3, reduction="mean", n_features=784),
        "Measurement": measure_posterior(x, variance=np.ones_like(x)),
        "DecoderMeasurement": d.decoder,
        "Diagnosis": d,
        "Trained": model,
        "Evaluation": model.evaluate(x),
        "Setup": model.setup,
        "InjectionSpectrum": injection_spectrum(language.decoder, tokens, n_draws=2),
        "LanguageModel": language,
        "SequenceVAE": sequences,
        "SequenceDiagnosis": diagnose_sequences(sequences, tokens),
        "SequenceEvaluation": sequences.held_out,
        "SequenceSweep": swept(tokens),
        "SequenceSetup": sequences.setup,
        "Sequential": sequential(x, f),
        "Pilot": pilot(x, f, n_levels=2, n_seeds=1, training=Training(epochs=1)),
    }


def swept(tokens: np.ndarray) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        how = {"betas": (0.5, 2.0), "latents": (1, 2), "training": SequenceTraining(epochs=1)}
        return sequence_sweep(tokens, "window:0", folder, **how)


# Named here, so that collecting the tests builds none of them; the first test says whether a name is missing.
ONE_WAY = (
    "FreeForecast",
    "LossReading",
    "Forecast",
    "Forecast of a loss",
    "Forecast with levels",
    "Forecast of counts",
    "Forecast without modes",
    "Forecast with a condition",
    "Forecast with a target",
    "LevelForecast",
    "Spectrum",
    "Spectrum, matrix-free",
    "Spectrum, leading",
    "StationaryPoint",
    "EscapeTimes",
    "Measurement",
    "DecoderMeasurement",
    "Diagnosis",
    "Revived",
    "Revived for nothing",
    "Bill",
    "ImpliedWeight",
    "InjectionSpectrum",
    "Trained",
    "LanguageModel",
    "SequenceVAE",
    "Sequential",
    "SequenceDiagnosis",
    "SequenceSweep",
    "Pilot",
)
BOTH_WAYS = (
    "Keep",
    "Keep of a loss",
    "Weights",
    "Weights with levels",
    "Intervals",
    "Certificate",
    "Condition",
    "Moments",
    "Direction",
    "OriginHessian",
    "Flow",
    "Slice",
    "Objective",
    "Objective of a loss",
    "Objective with levels",
    "Objective with many widths",
    "Level",
    "LossConvention",
    "Evaluation",
    "Setup",
    "SequenceEvaluation",
    "SequenceSetup",
)
NAMES = (*ONE_WAY, *BOTH_WAYS)
UNPICTURED = {
    "FreeForecast", "LevelForecast", "LossReading", "StationaryPoint", "DecoderMeasurement", "ImpliedWeight",
    "Sequential",
}  # fmt: skip
PICTURED = (*(name for name in ONE_WAY if name not in UNPICTURED), "Flow", "Slice")


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def same(a: Any, b: Any) -> bool:
    """Equality of nouns, arrays and tensors within nouns included; what was only cached does not count."""
    if a is b:
        return True
    if hasattr(a, "state_dict"):
        return same(dict(a.state_dict()), dict(b.state_dict()))
    if is_dataclass(a) and not isinstance(a, type):
        pairs = ((getattr(a, item.name), getattr(b, item.name)) for item in fields(a))
        return type(a) is type(b) and all(same(*pair) for pair in pairs)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if callable(a):
        return same(a(), b())
    if hasattr(a, "shape"):
        left, right = np.asarray(a), np.asarray(b)
        return left.dtype.kind == right.dtype.kind and np.array_equal(left, right, equal_nan=left.dtype.kind == "f")
    return bool(a == b) or (a != a and b != b)


def test_every_public_noun_is_in_this_test():
    kinds = {type(noun) for noun in nouns().values()}
    public = {getattr(uncollapse, name) for name in uncollapse.__all__}
    results = {kind for kind in public if is_dataclass(kind)}
    assert results
    assert results <= kinds
    assert all(issubclass(kind, Noun) for kind in results)


def test_the_lists_of_this_test_are_complete():
    assert set(nouns()) == set(NAMES)
    assert {name for name, noun in nouns().items() if hasattr(noun, "from_dict")} == set(BOTH_WAYS)
    assert {name for name, noun in nouns().items() if isinstance(noun, Drawn)} == set(PICTURED)


@pytest.mark.parametrize("name", NAMES)
def test_repr_is_one_short_line_that_shows_no_array(name):
    noun = nouns()[name]
    line = repr(noun)
    assert line.startswith(f"{type(noun).__name__}(")
    assert len(line) < 200
    assert line.isprintable()
    assert "array(" not in line
    assert "[" not in line.replace("[bold]", "").replace("[31m", "")


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("name", NAMES)
def test_summary_keeps_to_its_width_and_starts_with_the_headline(name, width):
    noun = nouns()[name]
    lines = noun.summary(width=width).splitlines()
    assert max(map(len, lines)) <= width
    assert lines == [line.rstrip() for line in lines]
    first = noun.card().headline.split()[0]
    assert lines[0].split()[0] == first
    assert noun.summary() == noun.summary(width=80)


@pytest.mark.parametrize("width", [39, -1, 2.5, "80", None, True])
def test_a_width_that_is_none_is_refused_in_one_line(width):
    for noun in (nouns()["Forecast"], nouns()["Diagnosis"], nouns()["Keep"]):
        with pytest.raises(ObjectiveError, match="width must be a whole number from 40 on"):
            noun.summary(width=width)


def test_charts_follow_the_width():
    f = forecast(np.random.default_rng(SEED).standard_normal((300, 100)))

    def n_bars(width):
        return max(line.count("█") + line.count("▒") for line in f.summary(width=width).splitlines())

    assert n_bars(60) == 60 - 24
    assert n_bars(80) == 80 - 24
    assert n_bars(130) == 100  # all modes


@pytest.mark.parametrize("name", ["Forecast", "Diagnosis", "Measurement", "Trained"])
def test_print_gives_the_summary_of_a_result(name, capsys):
    noun = nouns()[name]
    print(noun)
    assert capsys.readouterr().out.rstrip("\n") == noun.summary()


def test_a_forecast_prints_its_verdict_and_its_advice():
    text = " ".join(str(nouns()["Forecast"]).split())
    assert text.startswith("2 of 3 latents will live; the other collapses, because its mode lies under the water level")
    assert "→ To keep one more alive (3): β below" in text


@pytest.mark.parametrize("name", NAMES)
def test_plain_values_are_json(name):
    text = json.dumps(nouns()[name].to_dict(), allow_nan=False)
    assert json.loads(text) == json.loads(json.dumps(nouns()[name].to_dict()))


@pytest.mark.parametrize("name", BOTH_WAYS)
def test_plain_values_come_back_as_the_same(name):
    noun = nouns()[name]
    again = type(noun).from_dict(json.loads(json.dumps(noun.to_dict(), allow_nan=False)))
    assert same(again, noun)


@pytest.mark.parametrize("name", ["Keep", "Objective", "Level", "LossConvention", "Weights", "Flow", "Intervals"])
def test_other_plain_values_are_refused_in_one_line(name):
    kind = type(nouns()[name])
    for wrong in (None, [1], "beta", {"beta": 1.0, "oops": 2}):
        with pytest.raises(DataError, match=f"{kind.__name__}.from_dict needs"):
            kind.from_dict(wrong)


class _Tags(HTMLParser):
    """The tags of a text, and its words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.words = set(), ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.words += data


@pytest.mark.parametrize("name", NAMES)
def test_html_is_small_escaped_and_loads_nothing(name):
    page = nouns()[name]._repr_html_()
    tags = _Tags(page)
    assert tags.tags <= BLOCKS
    assert nouns()[name].card().headline in tags.words
    assert len(page) < 20_000
    assert "http" not in page


def test_html_escapes_what_comes_from_outside():
    page = card_html(NASTY, Card(NASTY, ((NASTY, NASTY),), (NASTY,), (NASTY,), ((NASTY,),)))
    assert _Tags(page).tags <= BLOCKS
    assert "<script" not in page
    assert _Tags(page).words.count("<script>alert(1)</script>") == 7


@pytest.mark.parametrize("name", NAMES)
def test_pickle_and_deepcopy_give_the_same(name):
    noun = nouns()[name]
    assert same(pickle.loads(pickle.dumps(noun)), noun)
    assert same(copy.deepcopy(noun), noun)


@pytest.mark.parametrize("name", PICTURED)
def test_plot_draws_on_new_axes_or_on_those_given_and_returns_them(name):
    noun = nouns()[name]
    n = len(noun.figure().panels)
    made = np.ravel(noun.plot())
    assert len(made) == n
    _, axes = plt.subplots(1, n)
    assert noun.plot(axes) is axes
    for new, given, panel in zip(made, np.ravel(axes), noun.figure().panels, strict=True):
        drawn = len(given.lines) + len(given.patches) + len(given.collections)
        assert drawn == len(new.lines) + len(new.patches) + len(new.collections)
        assert drawn or not any(len(mark.x) for mark in panel.marks)
        assert given.get_xlabel() == panel.x.title
    made[0].figure.canvas.draw()
    with pytest.raises(DataError, match="ax must be"):
        noun.plot(ax="here")


def test_a_short_line_of_settings_names_what_differs_and_makes_them_again():
    for objective in (Objective(), Objective(beta=0.1, n_latents=3), Objective.from_loss("bce", kl_weight=1 / 3)):
        assert eval(repr(objective), {"Objective": Objective, "LossConvention": LossConvention}) == objective
    setup = Setup(Objective(beta=2.0), Network(hidden=(16,)), Training(epochs=3, schedule=Schedule("linear", warmup=2)))
    assert eval(repr(setup), {kind.__name__: kind for kind in (Setup, Objective, Network, Training, Schedule)}) == setup
    assert repr(Setup()) == "Setup()"
