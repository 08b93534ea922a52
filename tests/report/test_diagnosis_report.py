"""A diagnosis on terminal, page and as JSON: every cause, hostile names, numbers that are missing."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from diagnosed import NASTY, diagnosed, linear_model, of_every_cause, two_modes
from uncollapse import Level, Objective, forecast
from uncollapse.diagnosis.examine import diagnose
from uncollapse.diagnosis.result import CAUSES, Diagnosis
from uncollapse.diagnosis.tables import latents, number
from uncollapse.diagnosis.terminal import render_diagnosis
from uncollapse.measure.posterior import posterior
from uncollapse.report.diagnosis_page import diagnosis_page

pytestmark = pytest.mark.filterwarnings("ignore::uncollapse.UncollapseWarning")


def printed(d: Diagnosis, source: str = "rows") -> str:
    console = Console(width=80, highlight=False, file=io.StringIO())
    render_diagnosis(d, source, console)
    return console.file.getvalue()


def flat(text: str) -> str:
    return " ".join(text.split())


def strict(d: Diagnosis) -> dict:
    return json.loads(json.dumps(d.to_dict(), allow_nan=False))


def test_the_verdict_comes_first_then_why_then_what_to_change(rng):
    d = diagnosed(rng, dead=(1,))
    text = flat(printed(d))
    told = [d.verdict, "Cause: optimisation", d.evidence[0].text, d.remedies[0].change, d.remedies[0].why]
    places = [text.index(flat(part)) for part in told]
    assert places[0] == 0
    assert places == sorted(places)


def test_a_dead_latent_that_should_live_is_drawn_and_named(rng):
    d = diagnosed(rng, dead=(1,))
    assert latents(d)[1].state == "collapsed, forecast alive"
    assert latents(diagnosed(rng))[1].state == "alive"
    text = printed(d)
    assert "collapsed, forecast alive" in text
    assert "~ water" in text


def test_measured_and_forecast_kl_of_a_model_at_the_optimum_agree(rng):
    rows = latents(diagnosed(rng))
    assert [row.kl for row in rows] == pytest.approx([row.forecast_kl for row in rows], abs=1e-9)
    assert sum(row.kl for row in rows) == pytest.approx(0.5 * np.log(4) + 0.5 * np.log(2))  # ½ log ζ²/τ, theory.md


@pytest.mark.parametrize("cause", CAUSES)
def test_every_cause_fits_eighty_columns_and_makes_a_page(cause, rng):
    d = of_every_cause(diagnosed(rng, name=NASTY))[cause]
    text = printed(d, NASTY)
    assert max(map(len, text.splitlines())) <= 80
    assert flat(text).startswith(CAUSES[cause])
    assert "1 latent can live (linear count)" in flat(text)
    assert "the number alive from" in flat(text)
    assert "\x1b" not in text
    html = diagnosis_page(d, NASTY)
    assert "<script>alert" not in html
    assert f'id="finding">Cause: {cause} (' in html
    assert strict(d)["cause"] == cause


@pytest.mark.parametrize("dead", [(), (1,), (0, 1, 2, 3)])
def test_the_page_draws_without_a_word_or_a_request(dead, rng, opened):
    d = of_every_cause(diagnosed(rng, dead=dead))["optimisation"]
    tab, heard = opened(diagnosis_page(replace(d, name="<script>alert(1)</script>"), "\"'&<b>rows</b>"))
    for name in ("residual", "latents", "curve", "spectrum", "alive", "tradeoff"):
        assert tab.locator(f"#{name} .main-svg").count(), name
    assert "<script>alert(1)</script>" in tab.text_content("#about")
    assert "<b>rows</b>" in tab.text_content("#about")
    assert tab.evaluate("document.getElementById('residual').data[2].y[0]") == pytest.approx(d.residual_water_level)
    assert tab.evaluate("document.getElementById('latents').data[0].y") == pytest.approx(sorted(d.measurement.kl)[::-1])
    tab.set_viewport_size({"width": 400, "height": 900})
    tab.wait_for_function("document.documentElement.scrollWidth <= 400")
    assert heard == []


def test_the_page_refers_to_nothing_outside(rng):
    html = diagnosis_page(diagnosed(rng), "rows")
    own = re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)  # Plotly itself mentions addresses in its text
    assert not re.findall(r"(?:src|href)\s*=\s*[\"']?(?!data:)[^\"'\s>]+", own)


@pytest.mark.parametrize(
    "settings",
    [
        {"beta": 100.0},
        {"beta": 1e-6},
        {"decoder_variance": "learned", "n_latents": 2},
        {"encoder_variance": 0.3},
        {"n_latents": 1},
        {"likelihood": "poisson", "beta": 50.0},
    ],
)
def test_every_kind_of_objective_is_shown(settings, rng):
    x = np.abs(two_modes(rng)).round()
    objective = Objective(**{"n_latents": 4, **settings})
    probe = linear_model(forecast(x, objective=Objective(n_latents=objective.n_latents)))
    if objective.likelihood == "poisson":
        probe = replace(probe, decoder=lambda z: np.tile(x.mean(axis=0), (len(z), 1)))
    d = diagnose(probe, x, objective=objective)
    assert max(map(len, printed(d).splitlines())) <= 80
    assert diagnosis_page(d, "rows").rstrip().endswith("</html>")
    assert strict(d)["n_latents"] == objective.n_latents


def test_numbers_that_are_missing_are_dashes_on_screen_and_null_in_json(rng):
    d = diagnosed(rng)
    none = replace(d.decoder, importance_bound=None, tuned_decoder_variance=None, tuned_elbo=None, elbo=float("nan"))
    r = none.residual
    none = replace(none, residual=replace(r, held_out=-np.abs(r.held_out), errors=np.full(len(r.errors), np.nan)))
    d = replace(of_every_cause(d)["cannot-tell"], decoder=none, linear_gap=None, linear_gap_error=None)
    facts = strict(d)
    assert facts["elbo"] is facts["linear_gap"] is facts["importance_bound"] is None
    assert facts["evidence"][-1]["value"] is None
    assert facts["trials"][0]["loss_before"] is None
    assert facts["residual"]["errors"] == [None] * len(r.errors)
    assert "ELBO – ±" in flat(printed(d))
    html = diagnosis_page(d, "rows")
    assert "NaN" not in re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)
    assert [number(v) for v in (np.nan, np.inf, -np.inf, 1234.5, 0.012345)] == ["–", "∞", "−∞", "1234", "0.0123"]


def test_levels_are_told_apart(rng):
    x = two_modes(rng)
    objective = Objective(n_latents=2, levels=(Level(1.0, 0.25, 2), Level(2.0, "learned", 1)))
    probe = linear_model(forecast(x, n_latents=2))

    def encode(rows, given=None):
        q = probe.encode(rows)
        idle = np.zeros((len(rows), 1))
        return posterior(np.hstack([q.mean, idle]), variance=np.hstack([q.variance, idle + 1]), level_sizes=(2, 1))

    parts = {"name": "m", "objective": objective, "decoder_variance": None, "trained_for": None, "notes": ("a note",)}
    d = diagnose(SimpleNamespace(encode=encode, decode=probe.decode, **parts), x)
    rows = latents(d)
    assert [(row.level, row.latent) for row in rows] == [(1, 1), (1, 2), (2, 1)]
    text = printed(d)
    assert re.search(r"level +latent +KL, nats", text)
    assert "a note." in text
    assert "KL of each level" in diagnosis_page(d, "rows")
    assert strict(d)["kl_per_level"][1] == 0


def test_many_latents_are_shown_in_part(rng):
    x = rng.standard_normal((200, 70)) * np.geomspace(4, 0.1, 70)
    d = diagnose(linear_model(forecast(x, n_latents=70, beta=0.5)), x)
    text = printed(d)
    assert "⋮" in text
    assert len(text.splitlines()) < 80
    assert "The first 60 of 70" in diagnosis_page(d, "rows")
