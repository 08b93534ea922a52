"""Whatever is passed to an objective or a loss ends in plain Python values or in one line that names the setting."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

from odd_values import HALF, NEVER_NUMBERS, TWO, label
from uncollapse import Level, LossConvention, Objective, ObjectiveError

NUMBERS = ["beta", "decoder_variance", "prior_variance", "encoder_variance"]
WORDS = ["recon", "reduction", "kl_reduction", "batch", "kl_batch"]


def refused(make, name: str) -> None:
    with pytest.raises(ObjectiveError, match=name) as caught:
        make()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("wrong", [*NEVER_NUMBERS, None, 0, -1.0], ids=label)
def test_a_number_of_an_objective_is_a_positive_number(name, wrong):
    refused(lambda: Objective(**{name: wrong}), name)


@pytest.mark.parametrize("wrong", [*NEVER_NUMBERS, 0, -1, 2.5], ids=label)
def test_a_size_is_a_whole_number_from_1_on(wrong):
    for make in (
        lambda: Objective(n_latents=wrong),
        lambda: Level(n_latents=wrong),
        lambda: LossConvention(n_latents=wrong),
        lambda: Objective.from_loss(n_latents=wrong),
    ):
        refused(make, "n_latents")
    refused(lambda: LossConvention(reduction="mean", n_features=wrong), "n_features")
    refused(lambda: LossConvention(kl_batch="sum", batch_size=wrong), "batch_size")


@pytest.mark.parametrize("wrong", [64.5, float("nan"), "64"])
def test_part_of_a_feature_is_refused(wrong):
    refused(lambda: Objective.from_loss("mse", reduction="mean", n_features=wrong), "n_features")


@pytest.mark.parametrize("wrong", ["False", "", 16, 0, 1.0, None, [], "learned"], ids=label)
def test_what_python_merely_takes_for_true_is_no_flag(wrong):
    """half="False" was taken for true: a water level off by a factor of 2."""
    refused(lambda: LossConvention(half=wrong), "half must be True or False")
    refused(lambda: LossConvention(kl_half=wrong), "kl_half must be True or False")
    refused(lambda: Objective(bias=wrong), "bias must be True or False")


@pytest.mark.parametrize("wrong", [*NEVER_NUMBERS, None, 3, ["mse"]], ids=label)
def test_words_are_those_listed(wrong):
    for name in WORDS:
        refused(lambda name=name: LossConvention(**{name: wrong}), f"{name} must be one of")
    refused(lambda: Objective(likelihood=wrong), "likelihood must be one of gaussian")
    refused(lambda: Objective.from_loss(wrong), "recon must be one of")


@pytest.mark.parametrize("wrong", ["gaussian", 1.0, {}, Objective()], ids=label)
def test_a_loss_is_a_loss_convention(wrong):
    refused(lambda: Objective(loss=wrong), "loss must be a LossConvention, got")


@pytest.mark.parametrize("wrong", [*NEVER_NUMBERS, None, (1.0,), [Level(), "learned"], Level()], ids=label)
def test_levels_are_a_list_of_levels(wrong):
    refused(lambda: Objective(levels=wrong), "levels must be a list of Level objects")


@pytest.mark.parametrize("wrong", [*NEVER_NUMBERS, 0, -1.0], ids=label)
def test_a_level_has_positive_numbers(wrong):
    refused(lambda: Level(beta=wrong), "beta of a level")
    refused(lambda: Level(variance=wrong), "variance of a level")


@pytest.mark.parametrize(
    "wrong",
    [
        (),
        [],
        np.empty(0),
        ("fixed",),
        (0.5, None),
        [[0.5, 0.5]],
        np.ones((2, 2)),
        torch.ones(2, device="meta"),
        torch.eye(2).to_sparse(),
        np.array([0.5, np.nan]),
    ],
    ids=label,
)
def test_encoder_variances_are_one_a_latent(wrong):
    refused(lambda: Objective(encoder_variance=wrong), "encoder_variance")


@pytest.mark.parametrize("half", HALF, ids=label)
def test_one_half_in_any_form_is_one_half(half):
    objective = Objective(beta=half, decoder_variance=half, prior_variance=half, encoder_variance=half)
    assert objective == Objective(0.5, 0.5, 0.5, 0.5)
    assert all(type(getattr(objective, name)) is float for name in NUMBERS)
    assert Objective(encoder_variance=[half, "learned"]).encoder_variance == (0.5, "learned")
    assert type(Objective(encoder_variance=[half, "learned"]).encoder_variance[0]) is float
    assert LossConvention(kl_weight=half).water_level == 0.25
    assert Level(half, half) == Level(0.5, 0.5)


@pytest.mark.parametrize("two", TWO, ids=label)
def test_two_in_any_form_is_two(two):
    objective = Objective(n_latents=two, levels=[Level(n_latents=two)])
    assert type(objective.n_latents) is int
    assert objective == Objective(n_latents=2, levels=(Level(n_latents=2),))
    loss = LossConvention(
        reduction="mean", kl_reduction="mean", kl_batch="sum", batch_size=two, n_features=two, n_latents=two
    )
    assert loss.water_level == 1.0  # n_features/2 · batch/n_latents
    assert json.loads(json.dumps(loss.to_dict())) == loss.to_dict()


@pytest.mark.parametrize(
    "given", [np.array([0.1, 0.5]), torch.tensor([0.1, 0.5], dtype=torch.double), [0.1, np.float64(0.5)]]
)
def test_arrays_and_tensors_of_widths_are_taken(given):
    assert Objective(encoder_variance=given).encoder_variance == (0.1, 0.5)
    assert Objective(encoder_variance=given).n_latents == 2


def test_what_is_stored_is_json():
    objective = Objective(
        np.float32(0.5), bias=np.bool_(False), n_latents=np.int64(2), encoder_variance=np.array([0.5, 1.0])
    )
    assert objective.bias is False
    assert json.loads(json.dumps(asdict(objective)))["encoder_variance"] == [0.5, 1.0]


def test_a_water_level_that_no_float_holds_is_refused():
    refused(lambda: Objective(beta=1e200, decoder_variance=1e200), "put the water level at inf")
    refused(lambda: Objective(beta=1e-200, decoder_variance=1e-200), "put the water level at 0")
    refused(lambda: Objective.from_loss(kl_weight=1e308, reduction="mean", n_features=10**6), "kl_weight 1e")
    refused(lambda: Objective.from_loss(kl_weight=5e-324), "puts the water level of this loss at 0")


def test_a_weight_asked_for_needs_a_water_level():
    loss = LossConvention()
    for wrong in ("1", None, float("nan"), -1.0):
        refused(lambda wrong=wrong: loss.kl_weight_for(wrong), "water_level")
        refused(lambda wrong=wrong: loss.advice(wrong), "water_level")
    refused(lambda: loss.with_kl_weight("1"), "kl_weight")


def test_the_latents_kept_keep_their_own_widths():
    objective = Objective(encoder_variance=(0.1, "learned", 0.5))
    assert objective.cut_to([2, 1]) == Objective(encoder_variance=(0.5, "learned"))
    assert Objective(encoder_variance=0.5, n_latents=7).cut_to(range(3)) == Objective(encoder_variance=0.5, n_latents=3)
    tall = Objective(levels=(Level(n_latents=5), Level(n_latents=2), Level()))
    assert [level.n_latents for level in tall.cut_to(range(3)).levels] == [3, 2, None]
    for wrong in ([3], [0.5], ["a"]):
        refused(lambda wrong=wrong: objective.cut_to(wrong), "latents")
