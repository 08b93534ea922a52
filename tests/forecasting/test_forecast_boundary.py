"""Whatever is passed to a forecast, its methods, its certificate or its bootstrap: a right answer or one clear line."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import torch

from odd_values import NEVER_NUMBERS, TWO, label
from problems import rows_with_spectrum
from uncollapse import (
    Forecast,
    Level,
    Objective,
    UncollapseError,
    UncollapseWarning,
    certify,
    forecast,
    moments,
    spectrum,
)
from uncollapse.forecasting.intervals import bootstrap

MANY = 10**18
STRENGTHS = np.array([9.0, 4.0, 1.5, 0.7])


@pytest.fixture
def x(rng):
    return rows_with_spectrum(STRENGTHS, 60, 5, rng)


def refused(make, words: str) -> None:
    with pytest.raises(UncollapseError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("wrong", ["x", 1, {}, Objective, {"beta": 1.0}], ids=label)
def test_an_objective_is_an_objective(x, wrong):
    refused(lambda: forecast(x, objective=wrong), "objective must be an Objective, got")
    refused(lambda: Forecast(spectrum(x), wrong, 2), "objective must be an Objective, got")


def test_a_forecast_is_made_of_its_parts(x):
    s = spectrum(x)
    refused(lambda: Forecast("s", Objective(), 2), "spectrum must be a Spectrum, got 's'")
    refused(lambda: Forecast(s, Objective(), 0), "n_latents must be a whole number from 1 on, got 0")
    refused(lambda: Forecast(s, Objective(encoder_variance=(0.1, 0.5)), 3), "2 values for 3 latents")
    refused(lambda: forecast(s, objective=Objective(), beta=1.0), "not both")
    refused(lambda: forecast(s, gamma=1.0, delta=2), "not a field of an objective: 'delta', 'gamma'")
    refused(lambda: forecast(s, scale=np.ones(2)), "scale must be a finite number")
    refused(lambda: forecast(s, drop_nonfinite="no"), "drop_nonfinite must be True or False")
    refused(lambda: forecast(s, scale=2.0), "a spectrum is taken already")


@pytest.mark.parametrize("two", TWO, ids=label)
def test_keep_takes_a_whole_number(x, two):
    kept = forecast(x).keep(two)
    assert kept.beta == pytest.approx(4.0)
    assert type(kept.n_alive) is int


@pytest.mark.parametrize("wrong", [*NEVER_NUMBERS, None, "3", 0, -1, 2.5, 5], ids=label)
def test_keep_refuses_what_is_no_number_of_latents(x, wrong):
    refused(lambda: forecast(x).keep(wrong), "n_alive must be|cannot keep")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"decoder_variance": "learned", "n_latents": 2},
        {"encoder_variance": 0.5},
        {"encoder_variance": (0.5, "learned")},
        {"levels": (Level(1.0, 0.25), Level(2.0))},
    ],
    ids=label,
)
class TestCurves:
    def test_none_at_all_give_an_empty_result(self, x, settings):
        f = forecast(x, **settings)
        for empty in ([], (), np.empty(0)):
            totals = f.curves(empty)
            assert totals.n_alive.shape == totals.loss.shape == totals.elbo.shape == (0,)
            assert totals.n_alive.dtype.kind == "i"

    def test_lists_and_tensors_are_what_arrays_are(self, x, settings):
        f = forecast(x, **settings)
        for betas in ([1, 2], torch.tensor([1.0, 2.0]), np.array([1, 2], dtype=np.float32)):
            np.testing.assert_array_equal(f.curves(betas).loss, f.curves(np.array([1.0, 2.0])).loss)

    def test_anything_else_is_refused(self, x, settings):
        f = forecast(x, **settings)
        for wrong in (None, "1", 0.5, [0.0], [-1.0], [[1.0]], [np.nan], [None], ["a"], {}, object(), [1j]):
            refused(lambda wrong=wrong: f.curves(wrong), "betas must")


def test_the_dictionary_is_json_whatever_numbers_came_in(x):
    settings = {"n_latents": np.int64(2), "bias": np.bool_(False), "beta": np.float32(0.5)}
    f = forecast(x, **settings, encoder_variance=np.array([0.5, 1.0]))
    assert json.loads(json.dumps(f.to_dict()))["objective"]["bias"] is False
    assert json.loads(json.dumps(f.to_dict()))["objective"]["n_latents"] == 2


def width_kl(variances):
    """½(σ² − 1 − log σ²), in nats, at unit prior."""
    return 0.5 * (variances - 1 - np.log(variances))


def loss_of_pairing(strengths, total, widths, beta):
    """The loss with mode i on a latent of variance i, learned ones by trying 4,000 values; unit decoder and prior."""
    loss = total / 2
    for strength, width in zip(strengths, widths, strict=True):
        tried = np.geomspace(1e-4, 1, 4001) if width == "learned" else np.array([width])
        gain = np.maximum(np.sqrt(strength) - np.sqrt(beta * tried), 0.0) ** 2 / 2
        loss += float((beta * width_kl(tried) - gain).min())
    return loss


@pytest.mark.parametrize("widths", [(0.1, 0.5, "learned"), ("learned", 0.9, 0.02, 0.3), (0.5, 0.2, 0.9)], ids=label)
@pytest.mark.parametrize("beta", [0.3, 1.0, 3.0])
def test_widths_are_cut_where_latents_are(x, widths, beta):
    """With only two modes known, the two latents kept are those that serve the whole model best: by trying them all."""
    with pytest.warns(UncollapseWarning, match="only the 2 strongest modes"):
        f = forecast(x, beta=beta, encoder_variance=widths, n_modes=2)
    known, total = f.spectrum.strengths, f.spectrum.total_energy
    whole = {}
    for chosen in permutations(range(len(widths)), 2):
        idle = [w for i, w in enumerate(widths) if i not in chosen and w != "learned"]
        paid = beta * float(width_kl(np.array(idle)).sum())  # by latents that no mode takes, dead as they are
        whole[chosen] = loss_of_pairing(known, total, [widths[i] for i in chosen], beta) + paid
    kept = f.objective.encoder_variance
    best = min(whole, key=whole.__getitem__)
    assert f.n_latents == f.objective.n_latents == len(kept) == 2
    alike = [order for order in whole if sorted(str(widths[i]) for i in order) == sorted(map(str, kept))]
    assert min(whole[order] for order in alike) == pytest.approx(whole[best], rel=1e-6)
    assert f.loss == pytest.approx(
        min(loss_of_pairing(known, total, order, beta) for order in permutations(kept)), 1e-6
    )
    assert f.weights.decoder.shape == (5, 2)
    assert json.dumps(f.to_dict())


def test_widths_are_cut_where_float32_hides_modes(rng):
    x = rng.standard_normal((300, 3)) * [1.0, 0.3, 1e-6]
    hidden = replace(moments(x), precision=float(np.finfo(np.float32).eps))  # as large float32 blocks come
    with pytest.warns(UncollapseWarning, match="weaker modes than the 2 listed may exist"):
        s = spectrum(hidden)
    with pytest.warns(UncollapseWarning, match="only the 2 strongest modes"):
        f = forecast(s, beta=0.01, encoder_variance=(0.1, 0.5, "learned"))
    assert f.n_latents == len(f.objective.encoder_variance) == 2
    assert f.weights.encoder_std.shape == (2,)


def test_levels_are_cut_where_latents_are(x):
    with pytest.warns(UncollapseWarning, match="only the 2 strongest modes"):
        f = forecast(x, levels=(Level(1.0, 0.25, 4), Level(2.0, "learned", 4)), n_modes=2, beta=0.1)
    assert [level.n_latents for level in f.levels] == [2, 2]
    assert f.weights.decoder.shape == (5, 2)


@pytest.mark.filterwarnings("ignore:1000000000000000000 latents:uncollapse.UncollapseWarning")
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"encoder_variance": 0.5},
        {"levels": (Level(1.0, 0.25, MANY), Level(2.0, "learned", MANY // 2))},
        {"levels": (Level(1.0, "learned"), Level(2.0, 0.5, 3), Level(0.5, 0.1, MANY))},
    ],
    ids=label,
)
def test_latents_without_a_mode_cost_nothing(x, settings):
    """As many as there are grains of sand: the same answer as six, but for the widths that idle ones pay for."""
    few = settings | {"levels": tuple(_few(level) for level in settings.get("levels", ()))}
    with pytest.warns(UncollapseWarning, match="2 of them can never live"):
        six = forecast(x, n_latents=6, beta=0.5, **few)
    many = forecast(x, n_latents=MANY, beta=0.5, **settings)
    assert (many.n_alive, many.status, many.critical_beta) == (six.n_alive, six.status, six.critical_beta)
    assert many.distortion == pytest.approx(six.distortion)
    assert many.keep(2) == six.keep(2)
    np.testing.assert_array_equal(many.curves([0.1, 5.0]).n_alive, six.curves([0.1, 5.0]).n_alive)
    assert json.loads(json.dumps(many.to_dict()))["objective"]["n_latents"] == MANY
    for of_many, of_six in zip(many.levels, six.levels, strict=True):
        assert (of_many.n_alive == of_six.n_alive) or of_many.n_idle  # a wide level below is coded by all above
    refused(lambda: many.weights, "lower n_latents, as latents beyond the 4 modes are dead")
    refused(lambda: certify(many), "use fewer latents")
    if many.levels:
        refused(
            lambda: many.levels[-1].alive if many.levels[-1].n_latents == MANY else many.levels[0].kl,
            "too many to list",
        )


def _few(level: Level) -> Level:
    return Level(level.beta, level.variance, None if level.n_latents is None else min(level.n_latents, 6))


def test_latents_that_are_alike_are_computed_once(x):
    """The sums over levels are those of every latent written out."""
    levels = (Level(1.0, 0.25, 9), Level(2.0, "learned", 7), Level(3.0, 0.5, 12))
    with pytest.warns(UncollapseWarning, match="can never live"):
        f = forecast(x, levels=levels, beta=0.3)
    assert [level.n_latents for level in f.levels] == [9, 7, 12]
    assert [len(level.kl) for level in f.levels] == [9, 7, 12]
    assert len(f.levels[2].chains.kl) == 4 + 3
    assert f.rate == pytest.approx(sum(level.kl.sum() for level in f.levels))
    assert [level.rate for level in f.levels] == pytest.approx([level.kl.sum() for level in f.levels])
    assert [level.n_alive for level in f.levels] == [level.alive.sum() for level in f.levels]
    weighted = sum(level.beta * level.kl.sum() for level in f.levels)
    assert f.loss == pytest.approx(f.distortion / 2 + weighted)


@pytest.mark.parametrize("scale", [1e-150, 1e-60, 1.0, 1e60, 1e150])
@pytest.mark.parametrize("beta", [1e-300, 1e-10, 1.0, 1e300])
def test_no_numpy_warning_leaks_at_the_ends_of_float64(x, scale, beta):
    s = spectrum(x)
    strengths = s.strengths * scale
    far = replace(s, strengths=strengths, total_energy=float(strengths.sum()), strength_errors=0 * strengths)
    with np.errstate(all="raise"):
        for settings in (
            {},
            {"decoder_variance": "learned", "n_latents": 2},
            {"encoder_variance": 0.5},
            {"encoder_variance": (0.5, "learned")},
            {"levels": (Level(1.0, 0.25), Level(2.0))},
        ):
            f = forecast(far, beta=beta, **settings)
            assert 0 <= f.n_alive <= 4
            assert isinstance(f.curves([beta, 1.0]).loss, np.ndarray)
            assert len(f.modes.kl) == 4
            assert f.critical_beta >= 0
            assert len(f.critical_levels) == 4


@pytest.mark.parametrize("wrong", [*NEVER_NUMBERS, None, 0, -1, 1.5], ids=label)
def test_certify_checks_what_it_is_given(x, wrong):
    f = forecast(x, n_latents=2)
    refused(lambda: certify(wrong), "forecast must be a Forecast, got")
    refused(lambda: certify(f, n_starts=wrong), "n_starts must be")


@pytest.mark.parametrize("wrong", [*NEVER_NUMBERS, None, -1, 1.5], ids=label)
def test_bootstrap_checks_what_it_is_given(x, wrong):
    f = forecast(x, n_latents=2)
    refused(lambda: bootstrap(x, wrong), "forecast must be a Forecast, got")
    refused(lambda: bootstrap(x, f, n_samples=wrong), "n_samples must be")
    refused(lambda: bootstrap(x, f, confidence=wrong), "confidence must")
    if not isinstance(wrong, int) or wrong in (True, -1):  # any other whole number seeds
        refused(lambda: bootstrap(x, f, seed=wrong), "seed must be")
    refused(lambda: bootstrap(x, f, paired="no"), "paired must be True or False")
    refused(lambda: bootstrap(x, f, drop_nonfinite="no"), "drop_nonfinite must be True or False")
