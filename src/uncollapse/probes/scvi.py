"""Probe of scvi-tools' SCVI and LinearSCVI. Read from the sources of 1.4.2.

The condition has the columns batch code, log library size, continuous covariates, codes of categorical covariates;
`scvi_rows` makes it. Without covariates and with one batch it may be left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from uncollapse.errors import DataError, ObjectiveError
from uncollapse.measure.protocol import TrainedFor
from uncollapse.objective import Objective
from uncollapse.probes.probe import TorchProbe, mode_notes

__all__ = ["scvi_probe", "scvi_rows"]

MODULES = ("VAE", "LDVAE")
LIKELIHOODS: Any = {"nb": "negative-binomial", "zinb": "negative-binomial", "poisson": "poisson"}
DEFAULT_WARMUP = 400


def scvi_probe(model: Any) -> TorchProbe:
    """Probe of a trained SCVI or LinearSCVI.

    Parameters
    ----------
    model : scvi.model.SCVI

    Raises
    ------
    ObjectiveError
        Another model of the library, or data that were minified.
    """
    module, name = model.module, f"scvi-tools {type(model).__name__}"
    if type(module).__name__ not in MODULES or type(module).__module__ != "scvi.module._vae":
        raise ObjectiveError(f"{name}: known are SCVI and LinearSCVI; give another model as its two functions instead")
    if getattr(model, "minified_data_type", None) is not None:
        raise ObjectiveError(f"{name}: its data are minified, so nothing is left to encode; load the full data")
    weight, weight_notes = _final_weight(model)
    likelihood = LIKELIHOODS.get(module.gene_likelihood)
    notes = (*mode_notes(module), *weight_notes, *_loss_notes(module))
    objective = None
    if likelihood is not None and weight is not None and weight > 0:
        objective = Objective(beta=weight, likelihood=likelihood, n_latents=module.n_latent)
    columns = Columns.of(model)
    counted = module.gene_likelihood in ("nb", "zinb") and module.dispersion == "gene"
    return TorchProbe(
        name,
        module,
        columns.mean_and_log_variance,
        columns.mean_of_target,
        objective=objective,
        latent_shape=(module.n_latent,),
        dispersion=module.px_r.detach().exp().double().cpu().numpy() if counted else None,
        trained_for=_trained_for(model),
        notes=notes,
    )


def scvi_rows(model: Any, adata: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """Counts (n, d) and condition (n, c) of a model's cells, or of other cells set up in the same way."""
    manager = model.adata_manager if adata is None else model.get_anndata_manager(adata, required=True)
    there = manager.data_registry

    def column(key: str) -> np.ndarray:
        values = np.asarray(manager.get_from_registry(key), dtype=np.float64)
        return values.reshape(len(values), -1)

    counts = manager.get_from_registry("X")
    x = np.asarray(counts.toarray() if hasattr(counts, "toarray") else counts)
    sizes = column("size_factor") if "size_factor" in there else x.sum(axis=1, keepdims=True, dtype=np.float64)
    extra = [column(key) for key in ("extra_continuous_covs", "extra_categorical_covs") if key in there]
    return x, np.hstack([column("batch"), np.log(sizes), *extra])


@dataclass(frozen=True)
class Columns:
    """Where the condition holds what, and what stands for it when it is left out."""

    n_batches: int
    n_continuous: int
    n_categorical: int
    log_library: float | None

    @classmethod
    def of(cls, model: Any) -> Columns:
        stats = model.summary_stats
        library = None
        if getattr(model, "adata", None) is not None:
            library = float(np.median(scvi_rows(model)[1][:, 1]))
        return cls(
            int(stats.get("n_batch", 1)), int(stats.get("n_extra_continuous_covs", 0)),
            int(stats.get("n_extra_categorical_covs", 0)), library,
        )  # fmt: skip

    def mean_and_log_variance(self, module: Any, x: Tensor, given: Tensor | None) -> tuple[Tensor, Tensor]:
        """Of q(z|x)."""
        if x.shape[1] != module.n_input:
            raise DataError(f"the model was trained on {module.n_input} genes and the data have {x.shape[1]} columns")
        batch, _, covariates = self.split(given, x)
        qz = module.inference(x=x, batch_index=batch, **covariates)["qz"]
        return qz.loc, 2 * qz.scale.log()

    def mean_of_target(self, module: Any, z: Tensor, given: Tensor | None) -> Tensor:
        """E[counts|z]; of a cell of the median library size without a condition."""
        batch, library, covariates = self.split(given, z)
        z = module.z_encoder.z_transformation(z)
        mean: Tensor = module.generative(z=z, library=library, batch_index=batch, size_factor=library, **covariates)[
            "px"
        ].mean
        return mean

    def split(self, given: Tensor | None, like: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor | None]]:
        """Batch codes (B, 1), log library sizes (B, 1) and the covariates."""
        n_covariates = self.n_continuous + self.n_categorical
        if given is None:
            if self.n_batches > 1 or n_covariates or self.log_library is None:
                raise DataError(
                    f"the model has {self.n_batches} batches and {n_covariates} covariates: give the condition, with "
                    f"columns batch code, log library size and covariates (scvi_rows makes it)"
                )
            given = like.new_tensor([[0.0, self.log_library]]).expand(len(like), 2)
        if given.shape[1] != 2 + n_covariates:
            raise DataError(f"the condition has {given.shape[1]} columns; {2 + n_covariates} are due: batch code, log "
                            f"library size and {n_covariates} covariates")  # fmt: skip
        continuous, categorical = given[:, 2 : 2 + self.n_continuous], given[:, 2 + self.n_continuous :]
        covariates = {"cont_covs": continuous if self.n_continuous else None,
                      "cat_covs": categorical.long() if self.n_categorical else None}  # fmt: skip
        return given[:, :1].long(), given[:, 1:2], covariates


def _final_weight(model: Any) -> tuple[float | None, tuple[str, ...]]:
    """The KL's weight in the last epoch, and what to say of it."""
    history = getattr(model, "history", None) or {}
    plan = getattr(getattr(model, "trainer", None), "lightning_module", None)
    n_epochs = _n_epochs(history)
    rising = True
    if "kl_weight" in history:
        weights = np.asarray(history["kl_weight"]["kl_weight"], dtype=np.float64)
        weight, rising = float(weights[-1]), len(weights) < 2 or weights[-1] > weights[-2]
    elif plan is not None and n_epochs and getattr(plan, "n_epochs_kl_warmup", None):
        share = min((n_epochs - 1) / plan.n_epochs_kl_warmup, 1.0)
        weight = plan.min_kl_weight + share * (plan.max_kl_weight - plan.min_kl_weight)
    else:
        by_default = (
            f"; with the default warm-up it was {min((n_epochs - 1) / DEFAULT_WARMUP, 1):.3g}" if n_epochs else ""
        )
        return None, (f"the model does not say the KL's weight at the end of training{by_default}: say --beta",)
    if weight >= 1 or not rising:
        return weight, ()
    return weight, (
        f"the KL's weight was {weight:.3g}, not 1, when training ended after {n_epochs} epochs: the warm-up, "
        f"by default {DEFAULT_WARMUP} epochs, is longer; train longer, or with plan_kwargs={{'n_epochs_kl_warmup': …}}",
    )


def _n_epochs(history: Any) -> int:
    for name in ("train_loss", "train_loss_epoch", "elbo_train", "reconstruction_loss_train"):
        if name in history:
            return len(history[name])
    return 0


def _trained_for(model: Any) -> TrainedFor:
    plan = getattr(getattr(model, "trainer", None), "lightning_module", None)
    epochs = _n_epochs(getattr(model, "history", None) or {}) or None
    rate = getattr(plan, "lr", None)
    return TrainedFor(epochs, None if rate is None else float(rate), None, getattr(plan, "optimizer_name", None))


def _loss_notes(module: Any) -> tuple[str, ...]:
    notes = []
    if module.gene_likelihood == "zinb":
        notes.append("zero inflation is left out of forecasts: they are of the negative binomial")
    if module.gene_likelihood not in LIKELIHOODS:
        notes.append(f"the likelihood {module.gene_likelihood!r} has a variance per gene: say the objective yourself")
    if not module.use_observed_lib_size:
        notes.append("the encoded library size is a latent of its own, whose KL is not among those measured")
    return tuple(notes)
