"""Hierarchies: the taut string against the printed theorems, against scalar optimisation, and against one level."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from problems import rows_with_spectrum
from uncollapse import Level, ObjectiveError, UncollapseWarning, forecast, spectrum
from uncollapse.theory.chain import Chain
from uncollapse.theory.hierarchy import optimum_at, water_levels
from uncollapse.theory.taut_string import concave_majorant


def chain(*levels: tuple[float, float | None], eta2: float = 0.5, prior: float = 1.0, n: int = 6) -> Chain:
    return Chain(
        betas=tuple(beta for beta, _ in levels),
        variances=tuple(variance for _, variance in levels),
        n_latents=(n,) * len(levels),
        decoder_variance=eta2,
        prior_variance=prior,
    )


def random_strengths(rng: np.random.Generator, n: int = 6) -> np.ndarray:
    return -np.sort(-np.exp(rng.uniform(-3, 4, n)))


def test_fixed_first_and_learned_second_level(rng):
    """Dang et al. 2024, Theorem 3, as in theory.md section 4."""
    for _ in range(200):
        b1, b2, s1, eta2, prior = np.exp(rng.uniform(-1.5, 1.5, 5))
        zeta2 = random_strengths(rng)
        found = optimum_at(np.ones(1), zeta2, chain((b1, s1), (b2, None), eta2=eta2, prior=prior))
        a, kappa = zeta2 * s1, b2 * eta2 / b1
        free = np.where(a > b2**2 * eta2**2 / b1, a / (b2 * eta2), np.sqrt(a / b1))
        t = np.maximum(s1, free)
        np.testing.assert_allclose(found.variance[0, :, 0], t, rtol=1e-10)
        np.testing.assert_array_equal(found.alive[0], np.stack([t > s1, t > kappa], axis=1))
        np.testing.assert_allclose(found.encoder_gain[0, :, 0] ** 2, t - s1, atol=1e-9 * t.max())
        alive = t > kappa
        np.testing.assert_allclose(found.decoder_gain[0, alive, 1] ** 2, (t[alive] - kappa) / prior, rtol=1e-8)
        np.testing.assert_allclose(found.encoder_variance[0, alive, 1], prior * kappa / t[alive], rtol=1e-10)


def test_both_levels_fixed(rng):
    """Dang et al. 2024, Theorem 5 with √β1 in the denominator of the second condition (docs/errata.md, 7)."""
    for _ in range(300):
        b1, b2, s1, s2, eta2, prior = np.exp(rng.uniform(-1.5, 1.5, 6))
        sigma1, sigma2, c = np.sqrt(s1), np.sqrt(s2), np.sqrt(eta2 / prior)
        zeta2 = random_strengths(rng, 1)
        zeta = np.sqrt(zeta2[0])
        found = optimum_at(np.ones(1), zeta2, chain((b1, s1), (b2, s2), eta2=eta2, prior=prior, n=1))
        root = np.sqrt(b1 * b2) * c
        if zeta > np.sqrt(root * s1 * s2) / np.sqrt(sigma1 * sigma2) and zeta > b2 * c**2 * s2 / (np.sqrt(b1) * sigma1):
            inner = zeta ** (4 / 3) - (root * sigma1 * sigma2) ** (2 / 3)
            outer = zeta ** (2 / 3) - (b2**2 * c**4 * sigma2**4 / (b1 * s1)) ** (1 / 3)
            theta = (s1 / (root * sigma2)) ** (1 / 3) * np.sqrt(max(inner, 0.0))
            omega = (np.sqrt(b2) * c * sigma1 / (b1 * s2)) ** (1 / 3) * np.sqrt(max(outer, 0.0))
        elif np.sqrt(b1) * sigma1 >= np.sqrt(b2) * c * sigma2:
            theta = 0.0
            omega = np.sqrt(np.sqrt(b2) * c * sigma1 / (np.sqrt(b1) * sigma2) - b2 / b1 * c**2)
        else:
            omega = 0.0
            theta = np.sqrt(max(sigma1 * (zeta / np.sqrt(b1) - sigma1), 0.0))
        assert found.encoder_gain[0, 0, 0] == pytest.approx(theta, abs=1e-6)
        assert found.decoder_gain[0, 0, 1] == pytest.approx(omega, abs=1e-6)


@pytest.mark.parametrize("eta2", [0.3, 2.0])
def test_both_levels_learned_and_the_second_weighs_more(rng, eta2):
    """The open question of Dang et al.: level 1 as if alone, variance η², level 2 dead (docs/hierarchy.md)."""
    zeta2 = random_strengths(rng)
    found = optimum_at(np.ones(1), zeta2, chain((0.7, None), (0.9, None), eta2=eta2))
    np.testing.assert_allclose(found.variance[0, :, 0], eta2, rtol=1e-12)
    np.testing.assert_array_equal(found.alive[0, :, 0], zeta2 > 0.7 * eta2)
    assert not found.alive[0, :, 1].any()
    np.testing.assert_allclose(found.kl[0, :, 1], 0, atol=1e-12)


def test_falling_weights_have_no_minimum(rng):
    """β2 < β1, both learned: scaling level 1's latent by √a changes the loss by (β2 − β1)/2 log a per mode."""
    x = rows_with_spectrum(np.array([4.0, 1.0]), 30, 3, rng)
    f = forecast(x, levels=(Level(2.0), Level(1.0)), n_latents=2)
    assert f.status == "ill-posed"
    assert f.loss == -np.inf
    assert f.levels == ()
    assert f.to_dict()["loss"] is None
    assert "level 2 weighs less (β = 1) than level 1 (β = 2)" in f.ill_posed
    capped = [
        forecast(x, levels=(Level(2.0), Level(1.0, "learned")), n_latents=2, decoder_variance=1.0).loss,
        *(forecast(x, levels=(Level(2.0, s), Level(1.0)), n_latents=2).loss for s in (1e2, 1e4, 1e6)),
    ]
    assert capped[1] > capped[2] > capped[3]  # a fixed, ever larger first variance: lower without end
    with pytest.raises(ObjectiveError, match="no optimal weights exist: level 2 weighs less"):
        _ = f.weights


def test_a_fixed_level_between_learned_ones_does_not_help_falling_weights(rng):
    x = rng.standard_normal((30, 3))
    assert forecast(x, levels=(Level(2.0), Level(1.0, 0.3), Level(1.0))).status == "ill-posed"
    assert forecast(x, levels=(Level(1.0), Level(0.1, 0.3), Level(2.0))).status != "ill-posed"


def test_equal_weights_are_flat(rng):
    """Level 2 may be used or not: moving t along the continuum leaves the loss where it is."""
    x = rows_with_spectrum(np.array([4.0, 1.0]), 30, 3, rng)
    f = forecast(x, levels=(Level(1.5), Level(1.5)), n_latents=2, decoder_variance=0.4)
    assert f.status == "flat"
    assert "may be used or not at exactly the same loss" in f.flat
    pinned = [
        forecast(x, levels=(Level(1.5, 0.4 * s), Level(1.5)), n_latents=1, decoder_variance=0.4).loss
        for s in (1, 3, 50)
    ]
    one_latent = forecast(x, levels=(Level(1.5), Level(1.5)), n_latents=1, decoder_variance=0.4)
    # with σ1² fixed the mode cannot have its best ρ1 and any t at once, so each is no better; the best t's tie
    assert min(pinned) >= one_latent.loss - 1e-12
    t = 2.0
    rho = 1.5 * 0.4 / 4.0
    tied = forecast(x, levels=(Level(1.5, rho * t), Level(1.5)), n_latents=1, decoder_variance=0.4)
    assert tied.loss == pytest.approx(one_latent.loss, rel=1e-12)
    assert tied.levels[1].n_alive == 1
    assert one_latent.levels[1].n_alive == 0


@pytest.mark.parametrize("width", ["learned", 0.3])
def test_one_level_is_the_ordinary_model(rng, width):
    x = rng.standard_normal((60, 5)) * [3, 2, 1, 0.5, 0.2]
    s = spectrum(x)
    for n in (2, 5):
        plain = forecast(s, n_latents=n, encoder_variance=width, decoder_variance=0.7, prior_variance=2.0, beta=0.8)
        tall = forecast(s, levels=(Level(1.0, width, n),), decoder_variance=0.7, prior_variance=2.0, beta=0.8)
        assert tall.status == plain.status
        np.testing.assert_allclose(tall.critical_betas[:n], plain.critical_betas[:n], rtol=1e-12)
        for name in ("alive", "kl", "distortion", "decoder_gain", "encoder_gain"):
            np.testing.assert_allclose(getattr(tall.modes, name), getattr(plain.modes, name), atol=1e-12)
        betas = np.geomspace(0.05, 50, 60)
        for name in ("n_alive", "rate", "distortion", "loss", "elbo"):
            np.testing.assert_allclose(getattr(tall.curves(betas), name), getattr(plain.curves(betas), name), atol=1e-9)
        np.testing.assert_allclose(tall.weights.decoder, plain.weights.decoder, atol=1e-12)


@pytest.mark.parametrize("n_levels", [3, 5, 8])
def test_the_string_is_the_minimum_of_the_scalar_chain(rng, n_levels):
    """A convex problem in log t and log ρ, solved by SciPy with bounds instead of by a hull."""
    for _ in range(8):
        learned = rng.random(n_levels) < 0.3
        betas, s = np.exp(rng.uniform(-1, 1, n_levels)), np.exp(rng.uniform(-1.5, 1.5, n_levels))
        betas[learned] = np.sort(betas[learned]) * (1 + 0.1 * np.arange(learned.sum()))
        zeta2, eta2, prior, beta = np.exp(rng.uniform(-1, 1, 4))
        ours = chain(
            *((b, None if free else v) for b, free, v in zip(betas, learned, s, strict=True)),
            eta2=eta2,
            prior=prior,
            n=1,
        )
        weights = np.concatenate([[1.0], beta * betas])

        def cost(v, learned=learned, s=s, weights=weights, zeta2=zeta2, eta2=eta2, prior=prior):
            log_t, log_rho = v[: len(s)], np.where(learned, v[len(s) :], np.log(s) - v[: len(s)])
            t = np.concatenate([[zeta2], np.exp(log_t)])
            rho = np.concatenate([np.exp(log_rho), [eta2 / prior]])
            return (weights * t * rho).sum() / (2 * eta2) - 0.5 * (weights[1:] * (log_t + log_rho)).sum()

        bounds = [(None if free else np.log(v), None) for free, v in zip(learned, s, strict=True)]
        bounds += [(None, 0.0)] * n_levels
        start = np.concatenate([np.log(s) + 0.1, np.full(n_levels, -0.1)])
        options = {"maxiter": 20000, "maxfun": 200000, "ftol": 1e-15, "gtol": 1e-10}
        best = minimize(cost, start, method="L-BFGS-B", bounds=bounds, options=options)
        found = optimum_at(np.array([beta]), np.array([zeta2]), ours)
        log_t = np.log(found.variance[0, 0])
        log_rho = np.log(found.encoder_variance[0, 0]) - log_t
        mine = cost(np.concatenate([log_t, log_rho]))
        assert mine <= best.fun + 1e-9 * (1 + abs(mine))
        assert mine >= best.fun - 1e-4 * (1 + abs(mine))


def test_the_hull_is_the_largest_chord_over_each_point(rng):
    points = rng.standard_normal((40, 7)) * 3
    expected = points.copy()
    for j in range(7):
        for a in range(j):
            for b in range(j + 1, 7):
                chord = (points[:, a] * (b - j) + points[:, b] * (j - a)) / (b - a)
                expected[:, j] = np.maximum(expected[:, j], chord)
    np.testing.assert_allclose(concave_majorant(points), expected, rtol=1e-12)
    rising = np.array([0.0, 1.0, 2.0])
    np.testing.assert_array_equal(concave_majorant(rising), rising)


def test_the_water_level_of_level_one_decides_who_lives_there(rng):
    for _ in range(100):
        n_levels = int(rng.integers(1, 5))
        learned = rng.random(n_levels) < 0.4
        betas = np.exp(rng.uniform(-1, 1, n_levels))
        betas[learned] = np.sort(betas[learned])
        levels = [(b, None if free else np.exp(rng.uniform(-2, 1))) for b, free in zip(betas, learned, strict=True)]
        model, beta = chain(*levels), np.exp(rng.uniform(-1, 1))
        level = beta * water_levels(model, 6)[0]
        around = optimum_at(np.array([beta]), level * np.array([1.001, 0.999]), chain(*levels, n=2))
        assert around.alive[0, :, 0].tolist() == [True, False]


def test_curves_equal_forecasts_one_by_one_and_critical_betas_are_their_steps(rng):
    x = rng.standard_normal((80, 6)) * np.arange(1, 7)
    y = x[:, :4] + rng.standard_normal((80, 4))
    levels = (Level(1.0, 0.3, 4), Level(0.6, 0.2, 3), Level(2.0, "learned", 5))
    s = spectrum(x, y)
    f = forecast(s, levels=levels, decoder_variance=0.8)
    betas = np.geomspace(0.01, 100, 40)
    curves = f.curves(betas)
    for i, beta in enumerate(betas):
        one = forecast(s, levels=levels, decoder_variance=0.8, beta=beta)
        assert one.n_alive == curves.n_alive[i] == (f.critical_betas[:4] > beta).sum()
        assert one.loss == pytest.approx(curves.loss[i], rel=1e-12)
    weighted = sum(level.beta * level.kl.sum() for level in f.levels)
    assert f.distortion / 1.6 + weighted == pytest.approx(f.loss, rel=1e-12)
    assert f.rate == pytest.approx(sum(level.kl.sum() for level in f.levels), rel=1e-12)
    assert f.keep(2).beta == pytest.approx(f.critical_betas[1])


def test_a_level_can_live_on_the_noise_of_a_dead_one(rng):
    """A wide fixed first level, no mode above it: level 2 codes that level's noise, and says so."""
    x = rows_with_spectrum(np.array([0.1]), 30, 2, rng)
    f = forecast(x, levels=(Level(1.0, 4.0, 1), Level(0.2, "learned", 1)), decoder_variance=1.0)
    assert f.n_alive == 0
    assert f.levels[1].n_alive == 1
    assert not f.levels[1].carries_data.any()
    assert f.status == "complete"


def test_more_latents_above_than_below_is_fine_and_fewer_too(rng):
    x = rng.standard_normal((40, 3))
    wide = forecast(x, levels=(Level(1, 0.2, 2), Level(0.5, 0.3, 5)))
    assert [level.n_latents for level in wide.levels] == [2, 5]
    assert wide.levels[1].n_alive <= 2
    narrow = forecast(x, levels=(Level(1, 0.2, 3), Level(0.5, 0.3, 1)))
    assert narrow.levels[1].n_latents == 1


def test_more_latents_than_modes_is_said(rng):
    with pytest.warns(UncollapseWarning, match="can never live"):
        forecast(rng.standard_normal((30, 2)), levels=(Level(1, 0.2, 4),))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"levels": (1.0, 2.0)}, "levels must be a list of Level objects"),
        ({"levels": (Level(),), "encoder_variance": 0.5}, "give each level's encoder variance there"),
        ({"levels": (Level(),), "decoder_variance": "learned"}, "no closed form is known for levels"),
        ({"levels": (Level(n_latents=3),), "n_latents": 4}, "level 1 has 3 latents and the objective 4"),
        ({"levels": (Level(),), "likelihood": "bernoulli"}, "levels need a Gaussian decoder"),
    ],
)
def test_settings_that_do_not_go_with_levels(rng, settings, message):
    with pytest.raises(ObjectiveError, match=message):
        forecast(rng.random((20, 3)), **settings)


@pytest.mark.parametrize("field", [{"beta": 0.0}, {"variance": -1.0}, {"n_latents": 0}, {"n_latents": 1.5}])
def test_a_level_checks_its_values(field):
    with pytest.raises(ObjectiveError, match="of a level must be"):
        Level(**field)
