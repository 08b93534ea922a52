"""Paths of spatial latents: one filter at all places."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from uncollapse import Objective
from uncollapse.bill.make import bill_of
from uncollapse.bill.places import Grid, grid_of, shared_paths
from uncollapse.bill.sample import make_sample
from uncollapse.bill.wrapped import WrappedProbe
from uncollapse.measure.decoder import row_losses
from uncollapse.measure.observe import observe
from uncollapse.measure.posterior import posterior
from uncollapse.theory.path import linear_path

IMAGE, LATENTS = (2, 6, 4), (2, 3, 2)


def dead_images(rng, n, strength=9.0):
    """Images of noise whose every 2 × 2 patch of both channels has one strong mode, the same filter at every place; and
    a model with two channels of latents, all dead."""
    grid = Grid(LATENTS, IMAGE)
    filters = rng.standard_normal((1, int(np.prod(grid.patch))))
    filters /= np.linalg.norm(filters)
    amplitude = np.sqrt(strength) * rng.standard_normal((n, grid.n_places))
    x = amplitude @ grid.at_each_place(filters) + 0.3 * rng.standard_normal((n, int(np.prod(IMAGE))))
    zero = np.zeros((n, *LATENTS))
    model = SimpleNamespace(
        name="dead", objective=None, decoder_variance=None, trained_for=None, notes=(), input_shape=IMAGE, spread=None,
        encode=lambda x, given=None: posterior(zero[: len(x)], std=np.ones((len(x), *LATENTS))),
        decode=lambda z, given=None: np.zeros((len(z), int(np.prod(IMAGE)))),
    )  # fmt: skip
    return grid, model, x


def sampled(model, x, **settings):
    objective = Objective(n_latents=int(np.prod(LATENTS)), **settings)
    return make_sample(model, observe(model, x, n_rows=len(x)), objective, 1.0)


def test_patches_and_their_places_are_each_others_transpose(rng):
    grid = Grid(LATENTS, IMAGE)
    images, filters = rng.standard_normal((5, 48)), rng.standard_normal((3, 8))
    by_patches = np.moveaxis(grid.patches(images) @ filters.T, 1, 2).reshape(5, -1)
    np.testing.assert_allclose(by_patches, images @ grid.at_each_place(filters).T, atol=1e-12)


def test_a_dead_channel_is_worth_its_gain_at_every_place(rng):
    grid, model, x = dead_images(rng, 1500)
    sample = sampled(model, x)
    bill = bill_of(sample)
    line = bill.line("path")
    assert "one filter" in line.better_model
    assert "6 places" in line.better_model
    expected = grid.n_places * linear_path(np.array([9.09]), 1.0, 1.0).gain[0]
    assert line.gain == pytest.approx(expected, abs=5 * line.error)
    assert line.predicted == pytest.approx(line.gain, abs=5 * line.error)
    assert bill.additions.slots.tolist() == list(range(6))


def test_the_model_that_is_handed_over_has_that_loss(rng):
    _, model, x = dead_images(rng, 1200)
    sample = sampled(model, x)
    bill = bill_of(sample)
    wrapped = WrappedProbe(model, bill.additions, sample.objective)
    _, _, fresh = dead_images(rng, 10)  # another filter: the gain is of this population only
    judged = sample.parts[2]
    seen = observe(wrapped, judged.x, n_rows=len(judged))
    loss = row_losses(wrapped, seen, sample.objective, n_draws=8).mean()
    assert loss == pytest.approx(judged.losses(bill.additions).mean(), rel=0.02)
    assert fresh.shape == (10, 48)


def test_few_rows_suffice_where_places_share(rng):
    """30 rows cannot find directions of their own in 48 columns; 6 places each make 180 of 8."""
    grid, model, x = dead_images(rng, 90, strength=2.5)
    sample = sampled(model, x)
    find, choose, judge = sample.parts
    paths = shared_paths(find, choose, grid_of(sample), find.nothing())
    assert judge.gain(paths.additions).value > 0
    assert grid == grid_of(sample)


def test_a_channel_that_lives_anywhere_is_left_alone(rng):
    grid, model, x = dead_images(rng, 600)
    sample = sampled(model, x)
    sample.q.kl[:, 0] = sample.q.kl[:, 7] = 1.0
    find, choose, _ = sample.parts
    assert shared_paths(find, choose, grid, find.nothing()) is None


@pytest.mark.parametrize("settings", [{"likelihood": "bernoulli"}, {"encoder_variance": 0.5}])
def test_elsewhere_places_have_directions_of_their_own(rng, settings):
    _, model, x = dead_images(rng, 60)
    assert grid_of(sampled(model, (x > 0).astype(float), **settings)) is None
