"""JSON of results follows the schema that it names."""

from __future__ import annotations

import html
import json
from importlib.resources import files

import numpy as np
import pytest
from jsonschema import Draft202012Validator

import uncollapse
from commandline import forecast_json, run
from count_tables import counts
from diagnosed import diagnosed, of_every_cause
from losses import LOSSES
from uncollapse import Forecast, Level, Objective, forecast

quiet = pytest.mark.filterwarnings("ignore::uncollapse.UncollapseWarning")


def validated(answer: dict) -> dict:
    """The answer, after the schema that it names has let it pass."""
    kind, _, number = answer["schema"].removeprefix("uncollapse.").partition("/")
    schema = json.loads(files("uncollapse.showing").joinpath(f"schemas/{kind}.json").read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(json.loads(json.dumps(answer, allow_nan=False)))
    assert number == "1"
    assert answer["uncollapse_version"] == uncollapse.__version__
    assert list(answer)[:2] == ["schema", "uncollapse_version"]
    return answer


def made(name: str, rng: np.random.Generator) -> Forecast:
    x = rng.standard_normal((60, 5)) * [4, 3, 2, 1, 0.3]
    y, sizes, _ = counts(rng, 200, 4)
    how = {
        "plain": lambda: forecast(x, beta=2.0, n_latents=4),
        "target": lambda: forecast(x, x @ rng.standard_normal((5, 3)), decoder_variance="learned", n_latents=2),
        "condition": lambda: forecast(x, given=x[:, :2], beta=0.5, n_latents=2),
        "levels": lambda: forecast(x, levels=(Level(1, 0.25), Level(2, n_latents=2)), n_latents=3),
        "counts": lambda: forecast(y, likelihood="negative-binomial", n_latents=2),
        "sizes": lambda: forecast(y, likelihood="poisson", size_factors=sizes, beta=0.5),
        "widths": lambda: forecast(x, encoder_variance=(0.1, "learned"), n_latents=2),
        "one width": lambda: forecast(x, encoder_variance=0.3, n_latents=2),
        "loss": lambda: forecast(x, objective=Objective.from_loss("mse", reduction="mean", n_features=5, n_latents=2)),
        "ill-posed": lambda: forecast(x, decoder_variance="learned", n_latents=5),
        "nothing": lambda: forecast(np.ones((5, 3)), n_latents=1),
        "no biases": lambda: forecast(x, bias=False, n_latents=3),
    }
    return how[name]()


@quiet
@pytest.mark.parametrize(
    "name",
    [
        "plain", "target", "condition", "levels", "counts", "sizes", "widths", "one width", "loss", "ill-posed",
        "nothing", "no biases",
    ],
)  # fmt: skip
def test_forecasts_of_every_kind_follow_their_schema(name, rng):
    validated(made(name, rng).to_dict())


def test_the_json_of_commands_follows_its_schema(tmp_path):
    validated(forecast_json("iris", "--beta", "0.5", "--latents", "2", "--learning-rate", "0.001", "--bootstrap", "20"))
    for option in ("--free-bits", "--free-bits-total"):
        floor = validated(forecast_json("iris", "--latents", "2", option, "0.1", "--bootstrap", "0"))["free_bits"]
        assert max(floor["each"], floor["in_all"]) == 0.1
    answer = validated(forecast_json("iris", "--beta", "0.1", "--nonlinear", "--bootstrap", "0"))
    assert answer["sequential"]["n_rows"] == 150
    words = ["train", "iris", "--latents", 2, "--epochs", 2, "--out", tmp_path / "vae"]
    assert run(*words).returncode == 0
    validated(json.loads((tmp_path / "vae" / "result.json").read_text()))
    said = run("diagnose", tmp_path / "vae", "iris", "--json", "-")
    assert said.returncode == 0, said.stderr
    validated(json.loads(said.stdout))


def test_the_json_of_a_decoder_follows_its_schema(rng, tmp_path):
    np.save(tmp_path / "tokens.npy", rng.integers(0, 4, (80, 6)))
    (tmp_path / "mine.py").write_text(
        "from torch import nn\ndef build():\n    return nn.Sequential(nn.Embedding(4, 3), nn.Linear(3, 4))\n", "utf-8"
    )
    said = run("forecast", tmp_path / "tokens.npy", "--decoder", f"{tmp_path}/mine.py:build", "--json", "-")
    assert said.returncode == 0, said.stderr
    answer = validated(json.loads(said.stdout))
    assert answer["place"] == "0"


def test_the_json_of_sequences_follows_its_schema(rng, tmp_path):
    lines = ["".join(rng.choice(list("abc"), size=rng.integers(2, 7))) for _ in range(80)]
    (tmp_path / "lines.txt").write_text("\n".join(lines), "utf-8")
    short = ("--decoder", "window:1", "--epochs", 2, "--width", 8)
    assert run("train", tmp_path / "lines.txt", *short, "--latents", 2, "--out", tmp_path / "vae").returncode == 0
    assert validated(json.loads((tmp_path / "vae" / "result.json").read_text("utf-8")))["noun"] == "SequenceVAE"
    said = run("diagnose", tmp_path / "vae", tmp_path / "lines.txt", "--json", "-", "--html", tmp_path / "d.html")
    assert said.returncode == 0, said.stderr
    answer = validated(json.loads(said.stdout))
    validated(answer["spectrum"])
    assert answer["headline"] in html.unescape((tmp_path / "d.html").read_text("utf-8"))
    swept = run("sweep", tmp_path / "lines.txt", *short, "--beta", "0.5,9", "--out", tmp_path / "sweep")
    assert swept.returncode == 0, swept.stderr
    validated(json.loads((tmp_path / "sweep" / "result.json").read_text("utf-8")))
    validated(json.loads((tmp_path / "sweep" / "language" / "result.json").read_text("utf-8")))


def test_readings_of_losses_follow_their_schema(tmp_path):
    for loss in LOSSES:
        shape = loss.shape[0] if len(loss.shape) == 1 else loss.shape
        validated(uncollapse.read_loss(loss.function, shape, 4, settings=loss.settings).to_dict())
    (tmp_path / "mine.py").write_text(
        "def loss(recon, x, mu, log_var):\n"
        "    return ((recon - x) ** 2).sum() + 0.5 * (mu**2 + 2.718281828**log_var - 1 - log_var).sum()\n"
    )
    said = run("loss", f"{tmp_path / 'mine.py'}:loss", "iris", "--latents", 2, "--json", "-")
    assert said.returncode == 0, said.stderr
    answer = validated(json.loads(said.stdout))
    assert answer["water_level"] == 0.5
    validated(answer["forecast"])


def test_diagnoses_of_every_cause_follow_their_schema(rng):
    for d in (diagnosed(rng), diagnosed(rng, dead=(0,))):
        for one in of_every_cause(d).values():
            validated(one.to_dict())


def test_a_schema_refuses_what_is_not_its_own(rng):
    answer = made("plain", rng).to_dict()
    for wrong in ({"n_alive": "four"}, {"modes": None}, {"schema": "uncollapse.forecast/2"}):
        schema = json.loads(files("uncollapse.showing").joinpath("schemas/forecast.json").read_text("utf-8"))
        assert not Draft202012Validator(schema).is_valid({**answer, **wrong})
    del answer["status"]
    assert not Draft202012Validator(schema).is_valid(answer)


@quiet
def test_a_revived_model_follows_its_schema(rng):
    x = rng.standard_normal((300, 3)) * [3.0, 2.0, 0.1]
    dead = (lambda x: (0 * x, np.ones_like(x)), lambda z: 0 * z)
    for beta in (1.0, 100.0):
        validated(uncollapse.revive(dead, x, spread="std", objective=Objective(beta=beta)).to_dict())
