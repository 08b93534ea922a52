"""The pages of sequences, a diagnosis and a sweep: they draw in a browser, escape, and hold the numbers."""

from __future__ import annotations

import html
from dataclasses import replace

import numpy as np
import pytest

from uncollapse.injecting.sweep import sequence_sweep
from uncollapse.report.sequence_diagnosis_page import sequence_diagnosis_page
from uncollapse.report.sequence_sweep_page import sequence_sweep_page
from uncollapse.sequence_diagnosis.examine import diagnose_sequences
from uncollapse.sequence_diagnosis.result import CAUSES, SequenceDiagnosis, SequenceRemedy
from uncollapse.sequence_diagnosis.words import promise, questions
from uncollapse.sequences import SequenceTraining, train_sequence_vae
from uncollapse.showing.noun import number

NASTY = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def dead() -> SequenceDiagnosis:
    x = np.random.default_rng(0).integers(0, 4, (200, 6))
    return diagnose_sequences(train_sequence_vae(x, "window:0", beta=4.0, n_latents=3, epochs=2), x)


def test_the_page_of_a_diagnosis_has_its_numbers_and_escapes(dead):
    named = replace(dead, name=NASTY, remedies=(SequenceRemedy(NASTY, "why", 1.234, 2, 0.5),), notes=(NASTY,))
    page = sequence_diagnosis_page(named, NASTY)
    assert NASTY not in page
    assert html.escape(named.headline) in page.replace("&#39;", "&#x27;")
    assert "(λ 1.23, about 2 alive, 0.5 nats of KL)" in page
    for value in (named.loss, named.told):
        assert number(value) in page
    assert all(question in page for question, _, _ in questions(named))


@pytest.mark.parametrize("cause", CAUSES)
def test_every_cause_has_a_page(cause, dead):
    page = sequence_diagnosis_page(replace(dead, cause=cause), "x")
    assert f"{CAUSES[cause][1:]}, confidence {dead.confidence}" in page.replace("&#39;", "'")


def test_the_questions_follow_the_numbers(dead):
    assert questions(dead)[0][2] == "no"
    low, high = dead.spectrum.interval
    at = {low / 2: "yes", (low + high) / 2: "too near to say", 2 * high: "no"}
    assert {beta: questions(replace(dead, beta=beta))[2][2] for beta in at} == at
    for told, answer in ((None, "not measured"), (np.array([3.9]), "no"), (np.array([4.1]), "yes")):
        assert questions(replace(dead, spectrum=replace(dead.spectrum, told=told)))[3][2] == answer


def test_a_remedy_without_numbers_promises_none():
    assert promise(SequenceRemedy("train longer", "why")) == ""


def test_a_browser_draws_a_diagnosis_without_a_word(dead, opened):
    tab, heard = opened(sequence_diagnosis_page(dead, "lines.txt"))
    assert heard == []
    assert tab.locator("h1").count() == 1
    for name in ("directions", "latents"):
        drawn, panel = (tab.locator(at).first.bounding_box() for at in (f"#{name} .main-svg", f"#{name}"))
        assert drawn["width"] > 0.9 * (panel["width"] - 40)


def test_a_browser_draws_a_sweep_without_a_word(rng, tmp_path, opened):
    sweep = sequence_sweep(
        rng.integers(0, 4, (100, 5)), "window:0", tmp_path, betas=(0.5, 3.0), latents=(1, 2),
        training=SequenceTraining(epochs=2),
    )  # fmt: skip
    page = sequence_sweep_page(sweep, NASTY)
    assert NASTY not in page
    tab, heard = opened(page)
    assert heard == []
    assert tab.locator(".wide tbody tr").count() == 4
    assert tab.locator(".main-svg").count() >= 3
