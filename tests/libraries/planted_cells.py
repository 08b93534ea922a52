"""Cells made of a known number of factors, each with its own library size, and SCVI trained on them."""

from __future__ import annotations

import warnings

import numpy as np


def cells(seed, likelihood="nb", *, n=1000, d=50, n_factors=6, n_batches=1):
    """AnnData of counts (of a normal likelihood: of a size of about 1) whose shares depend on `n_factors` latents."""
    import anndata

    rng = np.random.default_rng(seed)
    loadings = rng.standard_normal((n_factors, d)) / np.sqrt(n_factors)
    batch = np.arange(n) % n_batches
    shift = 0.5 * rng.standard_normal((n_batches, d)) * (n_batches > 1)
    shares = np.exp(rng.standard_normal((n, n_factors)) @ loadings + 0.5 * rng.standard_normal(d) + shift[batch])
    shares /= shares.sum(axis=1, keepdims=True)
    mean = rng.lognormal(np.log(1500), 0.5, (n, 1)) * shares
    if likelihood == "poisson":
        x = rng.poisson(mean)
    elif likelihood == "normal":
        x = np.clip(d * shares + 0.3 * rng.standard_normal((n, d)), 0.01, None)
    else:
        x = rng.poisson(rng.gamma(8.0, mean / 8.0))
    if likelihood == "zinb":
        x = x * (rng.random(x.shape) > 0.2)
    adata = anndata.AnnData(x.astype("float32"))
    adata.obs["batch"] = batch.astype(str)
    return adata


def fitted(adata, likelihood="nb", *, n_latent=10, weight=1.0, epochs=100, seed=0):
    """SCVI of the library on them; batches are told where there are several."""
    import scvi

    scvi.settings.seed = seed
    several = adata.obs["batch"].nunique() > 1
    with warnings.catch_warnings():  # the library's own
        warnings.simplefilter("ignore")
        scvi.model.SCVI.setup_anndata(adata, **({"batch_key": "batch"} if several else {}))
        model = scvi.model.SCVI(adata, n_latent=n_latent, n_hidden=64, gene_likelihood=likelihood)
        model.train(
            max_epochs=epochs, batch_size=64, accelerator="cpu", enable_progress_bar=False,
            plan_kwargs={"n_epochs_kl_warmup": 10, "max_kl_weight": weight, "lr": 2e-3},
        )  # fmt: skip
    return model
