"""scvi-tools: models that are measured, and of which no cause is named."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from uncollapse import ObjectiveError, diagnose, measure_model

scvi = pytest.importorskip("scvi")
torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.libraries, pytest.mark.filterwarnings("ignore:::(lightning|scvi|torch|anndata)")]

SHORT = {"max_epochs": 3, "accelerator": "cpu", "enable_progress_bar": False, "batch_size": 64}


def multiplexed(rng, kind, n=200):
    """A model of that kind, trained for a moment on cells with genes and proteins or regions."""
    import anndata
    import mudata

    torch.manual_seed(0)
    factor = np.exp(rng.standard_normal((n, 2)) @ rng.standard_normal((2, 30)))
    genes, regions = rng.poisson(2 * factor).astype("float32"), (rng.random((n, 30)) < factor / 8).astype("float32")
    with warnings.catch_warnings():  # the library's own
        warnings.simplefilter("ignore")
        if kind == "PEAKVI":
            adata = anndata.AnnData(regions)
            scvi.model.PEAKVI.setup_anndata(adata)
            model = scvi.model.PEAKVI(adata, n_latent=4, n_hidden=16)
        elif kind == "TOTALVI":
            adata = anndata.AnnData(genes, obsm={"protein": rng.poisson(5 * factor[:, :4]).astype("float32")})
            scvi.model.TOTALVI.setup_anndata(adata, protein_expression_obsm_key="protein")
            model = scvi.model.TOTALVI(adata, n_latent=4, empirical_protein_background_prior=False)
        else:
            both = mudata.MuData({"rna": anndata.AnnData(genes), "atac": anndata.AnnData(regions)})
            scvi.model.MULTIVI.setup_mudata(both, modalities={"rna_layer": "rna", "atac_layer": "atac"})
            model = scvi.model.MULTIVI(both, n_genes=30, n_regions=30, n_latent=4, n_hidden=16)
        model.train(**SHORT)
    return model


@pytest.mark.parametrize("kind", ["TOTALVI", "PEAKVI", "MULTIVI"])
def test_their_kl_is_the_librarys_and_no_cause_is_named(rng, kind):
    model = multiplexed(rng, kind)
    m = measure_model(model)
    model.module.eval()
    (tensors,) = model._make_data_loader(model.adata, batch_size=200)
    with torch.no_grad():
        _, _, loss = model.module(tensors)
    own = next(part for name, part in loss.kl_local.items() if name in ("kl_div_z", "kl_divergence_z", "kl_local"))
    assert m.n_latents == 4
    assert m.rate == pytest.approx(float(own.mean()), rel=1e-3)
    with pytest.raises(ObjectiveError, match=f"{kind}: no cause can be named, as .* measure_model"):
        diagnose(model)
    with pytest.raises(ObjectiveError, match="measured on its cells alone"):
        measure_model(model, scale=2.0)


def test_a_model_of_known_kind_is_measured_on_its_own_cells_too(rng):
    from planted_cells import cells, fitted

    model = fitted(cells(0, n=200), epochs=2)
    assert measure_model(model).rate == pytest.approx(diagnose(model, budget=0.1).measurement.rate)
