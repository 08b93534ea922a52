"""The torchmetrics metric: whatever way the rows come, it measures them as if they came at once."""

from __future__ import annotations

import pickle
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import distributed
from torch.distributions import Normal, kl_divergence
from torch.multiprocessing import spawn

from uncollapse import DataError
from uncollapse.measure.arrays import measure_posterior
from uncollapse.measure.result import Measurement
from uncollapse.measure.sums import PosteriorSums

pytest.importorskip("torchmetrics")

from torchmetrics import MetricCollection

from uncollapse.interop.metric import PosteriorCollapse

L = 5
CUTS = [(0, 7), (7, 7), (7, 40), (40, 41), (41, 60)]


@pytest.fixture
def rows(rng) -> tuple[torch.Tensor, torch.Tensor]:
    mean = torch.as_tensor(rng.standard_normal((60, L)) * [3, 1, 0.1, 1e-3, 0], dtype=torch.float32)
    return mean, torch.as_tensor(rng.uniform(-4, 1, (60, L)) * [1, 0.5, 0.1, 1e-3, 0], dtype=torch.float32)


def fed(rows, cuts=CUTS, **settings) -> PosteriorCollapse:
    metric = PosteriorCollapse(L, **settings)
    for start, stop in cuts:
        metric.update(rows[0][start:stop], rows[1][start:stop])
    return metric


def assert_same(found: Measurement, expected: Measurement) -> None:
    for item in fields(PosteriorSums):
        a, b = (np.asarray(getattr(m.sums, item.name)) for m in (found, expected))
        assert a.dtype == b.dtype, item.name
        if a.dtype.kind == "f":
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12, err_msg=item.name)
        else:
            np.testing.assert_array_equal(a, b, err_msg=item.name)


def whole(rows) -> Measurement:
    return measure_posterior(rows[0], log_variance=rows[1])


def test_batches_add_up_to_all_rows_at_once(rows):
    assert_same(fed(rows).measurement(), whole(rows))


def test_computed_values_are_those_of_textbook_definitions(rows):
    mean, log_variance = (part.double() for part in rows)
    found = fed(rows).compute()
    kl = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).mean(0)
    torch.testing.assert_close(found["kl"].double(), kl, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found["rate"].double(), kl.sum(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found["mean_variance"].double(), mean.var(0, unbiased=False), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found["variance"].double(), log_variance.exp().mean(0), rtol=1e-5, atol=1e-6)
    assert found["n_alive"] == (kl > 0.01).sum()
    assert found["n_active"] == (mean.var(0, unbiased=False) > 0.01).sum()
    assert found["n_samples"] == len(mean)
    assert set(found["kl"].shape) == {L}


def test_merged_metrics_measure_the_rows_of_both(rows):
    parts = [fed(rows, CUTS[:2]), fed(rows, CUTS[2:])]
    parts[0].merge_state(parts[1])
    assert_same(parts[0].measurement(), whole(rows))
    again = fed(rows, CUTS[:2])
    again.merge_state(parts[1].metric_state)
    assert_same(again.measurement(), whole(rows))


def test_forward_gives_the_batch_and_keeps_the_total(rows):
    metric = PosteriorCollapse(L)
    for start, stop in ((0, 20), (20, 60)):
        part = rows[0][start:stop], rows[1][start:stop]
        torch.testing.assert_close(metric(*part), fed(part, [(0, 60)]).compute())
    assert_same(metric.measurement(), whole(rows))


def test_computing_between_batches_changes_nothing(rows):
    metric = fed(rows, CUTS[:3])
    first = metric.compute()["n_samples"]
    for start, stop in CUTS[3:]:
        metric.update(rows[0][start:stop], rows[1][start:stop])
    assert (first, metric.compute()["n_samples"]) == (40, 60)
    assert_same(metric.measurement(), whole(rows))


def test_reset_forgets_every_row(rows):
    metric = fed(rows)
    metric.reset()
    with pytest.raises(DataError, match="no rows came"):
        metric.measurement()
    metric.update(rows[0][:9], rows[1][:9])
    assert_same(metric.measurement(), whole((rows[0][:9], rows[1][:9])))


def test_copies_are_alike_and_independent(rows):
    metric = fed(rows)
    for copied in (metric.clone(), pickle.loads(pickle.dumps(metric))):
        assert_same(copied.measurement(), whole(rows))
        copied.update(*rows)
        assert copied.compute()["n_samples"] == 120
        assert hash(copied) != hash(metric)
    assert metric.measurement().n_samples == 60


def test_a_state_dict_carries_the_rows(rows):
    assert PosteriorCollapse(L).state_dict() == {}
    metric, other = fed(rows), PosteriorCollapse(L)
    for each in (metric, other):
        each.persistent(True)
    other.load_state_dict(metric.state_dict())
    assert_same(other.measurement(), whole(rows))


@pytest.mark.parametrize("turn", ["half", "float", "bfloat16", "to", "set_dtype"])
def test_turning_a_model_to_another_precision_leaves_the_sums_exact(turn, rows):
    model = torch.nn.Module()
    model.metric = fed(rows)
    target = {"to": lambda: model.to(torch.bfloat16), "set_dtype": lambda: model.metric.set_dtype(torch.float16)}
    target.get(turn, getattr(model, turn, None))()
    assert {state.dtype for state in model.metric.metric_state.values()} == {torch.float64, torch.int64}
    assert_same(model.metric.measurement(), whole(rows))


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16, torch.float64])
def test_inputs_of_any_precision_are_summed_in_float64(precision, rows):
    turned = rows[0].to(precision).requires_grad_(), rows[1].to(precision)
    assert_same(fed(turned).measurement(), whole([part.detach().double() for part in turned]))


def test_states_move_with_the_metric():
    metric = PosteriorCollapse(L).to("meta")
    assert {state.device.type for state in metric.metric_state.values()} == {"meta"}
    assert metric.device.type == "meta"
    assert {state.device.type for state in PosteriorCollapse(L).to("cpu").metric_state.values()} == {"cpu"}


def test_states_stay_where_float64_exists(rows):
    metric = fed(rows)
    metric._apply(lambda state: SimpleNamespace(device=torch.device("mps")))  # all that a move to it shows
    assert metric.device.type == "cpu"
    assert_same(metric.measurement(), whole(rows))


def test_spatial_latents_and_levels_are_told_apart(rng):
    mean, log_variance = (torch.as_tensor(rng.standard_normal((10, 2, 3, 1))) for _ in range(2))
    metric = PosteriorCollapse((2, 3, 1), level_sizes=(4, 2))
    metric.update(mean, log_variance)
    found = metric.measurement()
    assert_same(found, measure_posterior(mean, log_variance=log_variance, level_sizes=(4, 2)))
    assert found.sums.latent_shape == (2, 3, 1)
    assert [len(level) for level in found.level_kl] == [4, 2]


def test_a_conditional_prior_is_taken_row_by_row(rows, rng):
    prior_mean = torch.as_tensor(rng.standard_normal((60, L)), dtype=torch.float32).requires_grad_()
    metric = PosteriorCollapse(L)
    for part in (slice(0, 25), slice(25, 60)):
        metric.update(rows[0][part], rows[1][part], prior_mean=prior_mean[part], prior_variance=0.5)
    prior = Normal(prior_mean.detach(), 0.5**0.5)
    expected = kl_divergence(Normal(rows[0], (rows[1] / 2).exp()), prior).mean(0)
    torch.testing.assert_close(metric.compute()["kl"], expected, rtol=1e-4, atol=1e-5)


def test_it_works_within_a_collection(rows):
    both = MetricCollection({"one": PosteriorCollapse(L), "two": PosteriorCollapse(L)})
    both.update(*rows)
    assert_same(both["two"].measurement(), whole(rows))


def test_unfit_batches_and_shapes_are_named(rows):
    metric = fed(rows)
    with pytest.raises(DataError, match=r"latents of shape \(5,\) and the encoder gave .*\(60, 4\).*PosteriorCollapse"):
        metric.update(rows[0][:, :4], rows[1][:, :4])
    with pytest.raises(DataError, match="not finite"):
        metric.update(rows[0] / 0, rows[1])
    with pytest.raises(DataError, match="levels of 3 \\+ 4 latents"):
        PosteriorCollapse(L, level_sizes=(3, 4))
    assert_same(metric.measurement(), whole(rows))


def worker(rank: int, folder: str) -> None:
    """One of two processes: it sees its part of the rows, and of a second metric all or none of them."""
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    rows = torch.load(f"{folder}/rows.pt", weights_only=True)
    metric, alone = fed(rows, [CUTS[:3], CUTS[3:]][rank]), fed(rows, [CUTS, []][rank])
    computed = metric.compute()
    found = {"split": metric.measurement(), "one empty": alone.measurement()}
    metric.sync_on_compute = False
    found["own"] = metric.measurement()
    metric.sync_on_compute = True
    metric.update(*rows)
    found["more"] = metric.measurement()
    distributed.destroy_process_group()
    Path(folder, f"{rank}.pkl").write_bytes(pickle.dumps((found, computed)))


def test_two_processes_measure_the_rows_of_both(rows, tmp_path):
    torch.save(rows, tmp_path / "rows.pt")
    spawn(worker, args=(str(tmp_path),), nprocs=2)
    thrice = [torch.cat([part] * 3) for part in rows]
    for rank, seen in enumerate((slice(0, 40), slice(40, 60))):
        found, computed = pickle.loads((tmp_path / f"{rank}.pkl").read_bytes())
        assert_same(found["split"], whole(rows))
        assert_same(found["one empty"], whole(rows))
        assert_same(found["own"], whole([part[seen] for part in rows]))
        assert_same(found["more"], whole(thrice))
        torch.testing.assert_close(computed, fed(rows).compute())


def test_the_bound_of_information_is_nan_where_a_conditional_prior_leaves_none(rng):
    metric = PosteriorCollapse(2)
    mean = torch.tensor(rng.standard_normal((20, 2)))
    metric.update(mean, torch.zeros(20, 2), prior_mean=mean)
    assert torch.isnan(metric.compute()["mutual_information_at_most"])


@pytest.mark.parametrize("shape", ["wide", None, 0, 2.5, (2, -1), {}, float("nan"), torch.tensor([1.5])])
def test_a_shape_of_latents_that_is_none_is_refused(shape):
    with pytest.raises(DataError):
        PosteriorCollapse(shape)


def test_shapes_of_any_whole_numbers_are_taken():
    for shape in (2, np.int64(2), (2,), [2], torch.tensor(2)):
        assert PosteriorCollapse(shape).latent_shape == (2,)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_batches_that_are_no_posteriors_are_refused_and_change_nothing():
    metric, good = PosteriorCollapse(2), torch.zeros(3, 2)
    metric.update(good, good)
    before = metric.measurement().sums
    odd = [None, "x", 3.0, [], object(), {}, good.to_sparse(), good.to("meta"), good.to(torch.complex64), good > 0,
           torch.nested.nested_tensor([good], layout=torch.strided), torch.zeros(2), torch.full((3, 2), 1e30) ** 2,
           torch.full((3, 2), 1e155, dtype=torch.float64)]  # fmt: skip
    for value in odd:
        for pair in ((value, good), (good, value)):
            with pytest.raises(DataError) as caught:
                metric.update(*pair)
            assert "\n" not in str(caught.value)
    for prior in ("x", None, torch.zeros(7), -1.0):
        with pytest.raises(DataError):
            metric.update(good, good, prior_variance=prior)
    assert metric.measurement().sums.n_samples == before.n_samples


def test_plot_draws_what_the_metric_holds_or_a_measurement(rows):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    metric = fed(rows)
    figure, axes = metric.plot()
    heights = [patch.get_height() for patch in axes[0].patches]
    np.testing.assert_allclose(heights, sorted(metric.measurement().kl, reverse=True))
    mine, two = plt.subplots(1, 2)
    assert metric.plot(metric.measurement(), ax=two) == (mine, two)
    with pytest.raises(DataError, match="val must be a Measurement, got dict"):
        metric.plot(metric.compute())
    plt.close(figure)
    plt.close(mine)
