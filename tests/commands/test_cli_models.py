"""The command on every kind of model: conditions, levels, partly learned widths, and what is told beside them."""

from __future__ import annotations

import numpy as np
import pytest

from commandline import forecast_json, run
from uncollapse import Level, forecast


@pytest.fixture
def tables(rng, tmp_path):
    x = rng.standard_normal((300, 3))
    y = x @ rng.standard_normal((3, 5)) + rng.standard_normal((300, 5)) * [3, 2, 1, 0.5, 0.2]
    np.savez(tmp_path / "data.npz", x=x, y=y)
    return tmp_path, x, y


def test_given_answers_with_what_the_condition_explains(tables):
    folder, x, y = tables
    answer = forecast_json(f"{folder}/data.npz::y", "--given", f"{folder}/data.npz::x", "--latents", "5")
    f = forecast(y, given=x, n_latents=5)
    assert answer["n_alive"] == f.n_alive
    assert answer["condition"]["n_alive_without"] == f.without_condition.n_alive
    np.testing.assert_allclose(
        [mode["explained_by_condition"] for mode in answer["modes"]], f.spectrum.condition.explained, rtol=1e-9
    )
    text = run("forecast", f"{folder}/data.npz::y", "--given", f"{folder}/data.npz::x", "--latents", "5").stdout
    assert "The condition explains" in text
    assert max(map(len, text.splitlines())) <= 80


def test_levels_answer_level_by_level():
    words = ("digits", "--latents", "10", "--decoder-variance", "10", "--level-betas", "1,2")
    answer = forecast_json(*words, "--level-variances", "0.25,learned", "--level-latents", "10,4")
    assert [level["n_latents"] for level in answer["levels"]] == [10, 4]
    first, second = answer["levels"]
    assert (first["level"], first["beta"], first["variance"], first["n_alive"]) == (1, 1.0, 0.25, 10)
    assert (second["variance"], second["n_alive"]) == ("learned", 0)
    assert {"alive", "variance_of_latent", "kl"} <= set(first["modes"][0])
    text = run("forecast", *words).stdout
    assert "Level 2 cannot help: its weight (β = 2) exceeds that of level 1 (β = 1)" in " ".join(text.split())


def test_falling_weights_are_ill_posed_and_equal_ones_flat_without_a_crash():
    falling = forecast_json("digits", "--latents", "5", "--level-betas", "2,1")
    assert (falling["status"], falling["loss"], falling["levels"]) == ("ill-posed", None, [])
    assert forecast_json("digits", "--latents", "5", "--level-betas", "1,1")["status"] == "flat"
    text = run("forecast", "digits", "--latents", "5", "--level-betas", "2,1").stdout
    assert "level 2 weighs less" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--level-betas", "1,2", "--level-variances", "0.5"), "--level-betas has 2, --level-variances has 1"),
        (("--level-betas", "1,x"), "--level-betas: expected a number or 'learned', got 'x'"),
        (("--level-betas", "1,2", "--level-latents", "3,2.5"), "n_latents of a level must be a whole number"),
        (("--level-betas", "1,-2"), "beta of a level must be a positive number"),
        (("--level-betas", "1,2", "--decoder-variance", "learned"), "no closed form is known for levels"),
        (("--given", "digits", "--target", "digits"), "a target or a condition, not both"),
        (("--given", "iris"), "1797|150"),
        (
            ("--nonlinear", "--decoder-variance", "learned", "--latents", "5"),
            "variance that is given, and this one is learned",
        ),
        (("--nonlinear", "--likelihood", "poisson"), "needs a Gaussian decoder, and this one is poisson"),
        (("--nonlinear", "--no-bias"), "leave out --no-bias"),
        (("--likelihood", "bernoulli", "--given", "iris"), "Bernoulli data must not leave"),
        (("--likelihood", "poison"), "poison"),
        (("--learning-rate", "-1"), "learning_rate"),
    ],
)
def test_a_mistake_is_one_line(words, message):
    result = run("forecast", "digits", "--bootstrap", "0", *words)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert any(part in result.stderr for part in message.split("|")), result.stderr


def test_partly_learned_widths():
    answer = forecast_json("digits", "--decoder-variance", "10", "--encoder-variance", "0.1,learned,learned,2")
    assert answer["objective"]["encoder_variance"] == [0.1, "learned", "learned", 2.0]
    assert answer["n_alive"] == 4


def test_nonlinear_strengths_beside_the_linear_ones(rng, tmp_path):
    x = rng.uniform(-1, 1, (800, 2))
    np.savez(tmp_path / "data.npz", x=x, y=5 * x[:, :1] ** 2 + 0.1 * rng.standard_normal((800, 1)))
    words = (f"{tmp_path}/data.npz::x", "--target", f"{tmp_path}/data.npz::y", "--nonlinear", "--bootstrap", "0")
    answer = forecast_json(*words, "--beta", "0.8")
    assert answer["n_alive"] == 0
    assert answer["nonlinear"]["n_alive"] == 1
    assert "A nonlinear encoder could keep 1 alive" in run("forecast", *words, "--beta", "0.8").stdout


def test_how_many_latents_a_nonlinear_network_may_need(tmp_path):
    turn = np.linspace(0, np.pi, 500)
    np.save(tmp_path / "arc.npy", np.column_stack([3 * np.cos(turn), 3 * np.sin(turn)]))
    words = (tmp_path / "arc.npy", "--beta", "0.1", "--nonlinear", "--bootstrap", "0")
    answer = forecast_json(*words)
    assert (answer["n_alive"], answer["sequential"]["n_alive"], answer["sequential"]["n_linear"]) == (2, 1, 2)
    assert "nonlinear" not in answer
    said = run("forecast", *words, "--html", tmp_path / "page.html").stdout
    line = "A nonlinear network may need fewer: about 1 latent (an estimate from 500 rows without training;"
    assert line in " ".join(said.split())
    assert line in (tmp_path / "page.html").read_text("utf-8")


def test_the_learning_rate_tells_how_slow_the_last_latent_is():
    words = ("digits", "--scale", 1 / 16, "--decoder-variance", "0.25", "--latents", "3", "--learning-rate", "0.001")
    answer = forecast_json(*words)
    steps = answer["gradient_descent"]["steps"]
    assert steps[0] is not None
    assert steps[20] is None
    assert "what looks dead before that is only slow" in " ".join(run("forecast", *words).stdout.split())


def test_the_page_shows_levels_and_condition(tables):
    folder, _, _ = tables
    result = run("forecast", f"{folder}/data.npz::y", "--given", f"{folder}/data.npz::x", "--html", f"{folder}/r.html")
    assert result.returncode == 0, result.stderr
    assert "explained by the condition" in (folder / "r.html").read_text("utf-8")
    words = ("--latents", "4", "--level-betas", "1,2", "--level-variances", "0.2,learned", "--html", f"{folder}/l.html")
    assert run("forecast", "iris", *words).returncode == 0
    assert "<h2>Levels</h2>" in (folder / "l.html").read_text("utf-8")


def test_levels_match_the_library():
    from sklearn.datasets import load_iris

    answer = forecast_json(
        "iris", "--latents", "3", "--level-betas", "1,0.5", "--level-variances", "0.2,0.1", "--beta", "0.3"
    )
    f = forecast(load_iris().data, n_latents=3, beta=0.3, levels=(Level(1.0, 0.2), Level(0.5, 0.1)))
    assert answer["loss"] == pytest.approx(f.loss)
    assert [level["n_alive"] for level in answer["levels"]] == [level.n_alive for level in f.levels]
