"""scvi-tools: what the probe says against the library's own loss."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from uncollapse import DataError, ObjectiveError
from uncollapse.probes import open_probe
from uncollapse.probes.scvi import scvi_rows

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.libraries


@pytest.fixture(scope="module")
def scvi():
    import scvi

    return scvi


def cells(rng, n=300, d=12, n_batches=2):
    import anndata

    rates = rng.gamma(2.0, 1.0, (n, 1)) * rng.gamma(2.0, 1.0, (1, d))
    found = anndata.AnnData(rng.poisson(rates + 0.5).astype("float32"))
    found.obs["batch"] = (np.arange(n) % n_batches).astype(str)
    found.obs["age"] = rng.standard_normal(n).astype("float32")
    found.obs["kind"] = (np.arange(n) % 3).astype(str)
    return found


def fitted(scvi, adata, max_epochs=2, covariates=False, **options):
    torch.manual_seed(0)
    extra = {"continuous_covariate_keys": ["age"], "categorical_covariate_keys": ["kind"]} if covariates else {}
    scvi.model.SCVI.setup_anndata(adata, batch_key="batch", **extra)
    model = scvi.model.SCVI(adata, n_latent=3, n_hidden=8, **options)
    short = {"batch_size": 16, "accelerator": "cpu", "enable_progress_bar": False}
    with warnings.catch_warnings():  # the library's own
        warnings.simplefilter("ignore")
        model.train(max_epochs=max_epochs, plan_kwargs={"n_epochs_kl_warmup": 8}, **short)
    return model


@pytest.mark.parametrize(
    ("likelihood", "ours"), [("zinb", "negative-binomial"), ("nb", "negative-binomial"), ("poisson", "poisson")]
)
def test_kl_and_reconstruction_are_the_librarys(scvi, rng, likelihood, ours):
    model = fitted(scvi, cells(rng), gene_likelihood=likelihood, covariates=True)
    probe = open_probe(model)
    x, given = scvi_rows(model)
    assert given.shape == (300, 4)
    q = probe.encode(x, given)
    seen = model.get_latent_representation(return_dist=True)
    assert np.allclose(q.mean, seen[0], atol=1e-4)
    assert np.allclose(q.variance, seen[1], rtol=1e-3)
    model.module.eval()
    (tensors,) = model._make_data_loader(model.adata, batch_size=300)
    with torch.no_grad():
        inference, generative, loss = model.module(tensors, loss_kwargs={"kl_weight": 0.0})
    kl = loss.kl_local["kl_divergence_z"].numpy()
    assert np.allclose(q.kl.sum(1), kl, rtol=1e-3, atol=1e-4)
    decoded = probe.decode(inference["z"].numpy(), given)
    assert np.allclose(decoded, generative["px"].mean.numpy(), rtol=1e-3, atol=1e-4)
    assert probe.objective.likelihood == ours
    assert probe.objective.n_latents == 3
    if likelihood == "nb":  # from the mean and r alone
        px = torch.distributions.NegativeBinomial(
            torch.tensor(probe.dispersion),
            logits=torch.tensor(np.log(decoded) - np.log(probe.dispersion)),
            validate_args=False,
        )
        misfit = -px.log_prob(torch.tensor(x)).sum(1)
        assert np.allclose(misfit, loss.reconstruction_loss["reconstruction_loss"], rtol=1e-3)


def test_a_training_shorter_than_the_warm_up_is_said_with_its_number(scvi, rng):
    model = fitted(scvi, cells(rng), max_epochs=5)
    probe = open_probe(model)
    assert probe.objective.beta == pytest.approx(4 / 8)
    assert any("0.5, not 1, when training ended after 5 epochs" in note for note in probe.notes)
    assert probe.trained_for.epochs == 5
    assert probe.trained_for.learning_rate == 1e-3


def test_a_full_warm_up_leaves_no_note_and_a_reloaded_model_still_knows(scvi, rng, tmp_path):
    adata = cells(rng)
    model = fitted(scvi, adata, max_epochs=10, gene_likelihood="nb")
    model.save(str(tmp_path / "saved"))
    again = scvi.model.SCVI.load(str(tmp_path / "saved"), adata=adata, accelerator="cpu")
    for probe in (open_probe(model), open_probe(again)):
        assert probe.objective.beta == 1.0
        assert not any("weight" in note for note in probe.notes)
    with pytest.raises(Exception, match="SCVI.load"):
        open_probe(tmp_path / "saved")


def test_what_a_model_needs_of_the_condition_is_asked_for(scvi, rng):
    adata = cells(rng, n_batches=1)
    model = fitted(scvi, adata)
    probe = open_probe(model)
    x, given = scvi_rows(model)
    assert np.allclose(probe.encode(x).kl, probe.encode(x, given).kl)
    zero = np.zeros((len(x), 3))
    assert np.allclose(np.corrcoef(probe.decode(zero, given).sum(1), x.sum(1))[0, 1], 1)
    with pytest.raises(DataError, match="each cell its library size"):
        probe.decode(zero)
    two = open_probe(fitted(scvi, cells(rng)))
    with pytest.raises(DataError, match="2 batches and 0 covariates, and each cell"):
        two.encode(x)
    with pytest.raises(DataError, match="12 genes and the data have 11"):
        two.encode(x[:, 1:], given)
    with pytest.raises(DataError, match="1 columns; 2 are due"):
        two.encode(x, given[:, :1])


def test_another_model_of_the_library_is_refused(scvi, rng):
    adata = cells(rng)
    scvi.model.AUTOZI.setup_anndata(adata, batch_key="batch")
    with pytest.raises(ObjectiveError, match="AUTOZI: known are SCVI and LinearSCVI"):
        open_probe(scvi.model.AUTOZI(adata, n_latent=3, n_hidden=8))
