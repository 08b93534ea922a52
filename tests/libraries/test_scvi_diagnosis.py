"""scvi-tools: diagnoses of models whose cause is planted, on cells of six factors."""

from __future__ import annotations

import numpy as np
import pytest
from planted_cells import cells, fitted

from seeds import SEED
from uncollapse import DataError, diagnose, forecast, open_probe, verify
from uncollapse.errors import UncollapseWarning
from uncollapse.interop.anndata_store import to_anndata
from uncollapse.probes.scvi import scvi_rows

pytest.importorskip("scvi")
pytestmark = [pytest.mark.libraries, pytest.mark.filterwarnings("ignore:::(lightning|scvi|torch|anndata)")]


@pytest.mark.parametrize(("likelihood", "n_batches"), [("nb", 2), ("poisson", 1), ("zinb", 1)])
def test_a_model_of_more_latents_than_factors_is_asked_for_no_more(likelihood, n_batches):
    model = fitted(cells(SEED, likelihood, n_batches=n_batches), likelihood)
    d = diagnose(model)
    assert d.cause in ("healthy", "rightly-dead", "slow")
    assert 6 <= d.measurement.n_alive <= 10
    assert not any("→ 1" in remedy.change and "latents" in remedy.change for remedy in d.remedies)
    assert d.linear_gap < 0  # below the collapsed model's loss, with each cell's own library size


@pytest.mark.parametrize("likelihood", ["nb", "zinb", "poisson"])
def test_too_few_latents_are_capacity_and_of_counts_the_number_asked_for_is_that_of_the_factors(likelihood):
    d = diagnose(fitted(cells(SEED, likelihood), likelihood, n_latent=2))
    assert d.cause in ("capacity", "slow")  # slow comes first where training still gains
    if d.cause == "slow":
        return
    promised = d.remedies[0].expected_alive
    assert 3 <= promised <= 7 if likelihood == "zinb" else promised == 6


@pytest.mark.parametrize(("likelihood", "n_batches", "weight"), [("nb", 2, 40.0), ("normal", 1, 500.0)])
def test_a_weight_over_the_threshold_is_the_objective(likelihood, n_batches, weight):
    d = diagnose(fitted(cells(SEED, likelihood, n_batches=n_batches), likelihood, n_latent=6, weight=weight, epochs=30))
    assert (d.cause, d.confidence, d.measurement.n_alive) == ("objective", "high", 0)
    assert d.forecast.objective.beta == weight
    assert d.remedies[0].change.startswith(f"β {weight:.3g} → ")


def test_the_strength_of_the_strongest_mode_does_not_know_the_library_sizes():
    """Cells thinned down to a twentieth, with the same shares: without sizes their mode would rule."""
    adata = cells(SEED, "poisson")
    model = fitted(adata, "poisson", epochs=2)
    x, given = scvi_rows(model)
    thin = np.random.default_rng(SEED).binomial(x.astype(int), np.linspace(0.05, 1, len(x))[:, None])
    plain, sized = (forecast(thin, likelihood="poisson", size_factors=s) for s in (None, "total"))
    assert sized.spectrum.strengths[0] < 0.8 * plain.spectrum.strengths[0]
    own = diagnose(model).forecast.spectrum.strengths
    assert own[0] == pytest.approx(
        forecast(x, likelihood="poisson", size_factors=np.exp(given[:, 1])).spectrum.strengths[0]
    )


def test_other_cells_are_taken_by_their_anndata_and_data_without_a_condition_are_asked_for_it():
    adata = cells(SEED)
    model = fitted(adata, epochs=3)
    other = adata[:500].copy()
    assert diagnose(model, other, budget=0.5).measurement.n_samples == 500
    with pytest.raises(DataError, match="each cell its library size: diagnose\\(model\\) takes them from"):
        diagnose(model, scvi_rows(model)[0])
    with pytest.raises(DataError, match="the condition comes with the cells"):
        diagnose(model, given=np.ones((1000, 2)))
    adata.X[7] = 0
    with pytest.raises(DataError, match=r"cell 7 \(counted from 0\) holds no counts"):
        scvi_rows(model)


def test_a_remedy_is_tried_on_the_models_own_cells():
    model = fitted(cells(SEED, n=500), n_latent=6, weight=40.0, epochs=20)
    d = verify(diagnose(model), model, n_steps=300)
    assert d.trials[0].alive_before == 0
    assert d.trials[0].alive_after > 0


def test_results_are_kept_beside_the_cells_and_survive_the_file(tmp_path):
    import anndata

    adata = cells(SEED, n=300)
    adata.obsm["X_old"] = np.zeros((300, 2))
    adata.layers["counts"] = adata.X.copy()
    model = fitted(adata.copy(), epochs=2)
    adata.X = np.log1p(adata.X)
    with pytest.warns(UncollapseWarning, match="layer 'counts' holds whole numbers"):
        forecast(adata, layer="counts")
    f = forecast(adata, layer="counts", likelihood="negative-binomial", size_factors="total")
    to_anndata(f, adata)
    to_anndata(diagnose(model, budget=0.1), adata, key="diagnosis")
    adata.write_h5ad(tmp_path / "cells.h5ad")
    again = anndata.read_h5ad(tmp_path / "cells.h5ad")
    assert int(again.uns["uncollapse"]["n_alive"]) == f.n_alive
    assert "cause" in again.uns["diagnosis"]
    assert list(again.obsm) == ["X_old"]
    with pytest.raises(DataError, match="adata must be an AnnData"):
        to_anndata(f, {})


def test_a_probe_of_normal_genes_is_in_units_of_the_decoders_own_variances():
    import torch

    model = fitted(cells(SEED, "normal", n=300), "normal", epochs=2)
    probe, (x, given) = open_probe(model), scvi_rows(model)
    model.module.eval()
    (tensors,) = model._make_data_loader(model.adata, batch_size=300)
    with torch.no_grad():
        inference, generative, loss = model.module(tensors, loss_kwargs={"kl_weight": 0.0})
    width = generative["px"].scale[0].double().numpy()
    mean = probe.decode(inference["z"].numpy(), given)
    nats = 0.5 * ((x - mean) ** 2).sum(axis=1) + np.log(width * np.sqrt(2 * np.pi)).sum()
    assert np.allclose(nats, loss.reconstruction_loss["reconstruction_loss"], rtol=1e-3)
