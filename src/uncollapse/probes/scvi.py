"""Probe of scvi-tools' SCVI and LinearSCVI. Read from the sources of 1.4.2.

The condition has the columns batch code, log library size, continuous covariates, codes of categorical covariates;
`scvi_rows` makes it. What is multiplied by its library size in the decoder is a size factor in the forecast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from uncollapse.errors import DataError, ObjectiveError
from uncollapse.measure.covariates import Covariates
from uncollapse.measure.protocol import TrainedFor
from uncollapse.objective import Objective
from uncollapse.probes.probe import TorchProbe, mode_notes
from uncollapse.probes.scvi_kinds import MEASURED, kind_of
from uncollapse.theory.log_counts import matched_dispersion

__all__ = ["check_known", "scvi_probe", "scvi_rows"]

MODULES = ("VAE", "LDVAE")
LIKELIHOODS: Any = {"nb": "negative-binomial", "zinb": "negative-binomial", "poisson": "poisson", "normal": "gaussian"}
DEFAULT_WARMUP = 400

FEW_CELLS, MOST_ZEROS = 512, 0.99
"""Cells that tell how many zeros a decoder adds, and the largest share of them."""


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
    check_known(model)
    if getattr(model, "minified_data_type", None) is not None:
        raise ObjectiveError(f"{name}: its data are minified, so nothing is left to encode; load the full data")
    weight, weight_notes = _final_weight(model)
    likelihood = LIKELIHOODS.get(module.gene_likelihood)
    objective = None
    if likelihood is not None and weight is not None and weight > 0:
        objective = Objective(beta=weight, likelihood=likelihood, n_latents=module.n_latent)
    columns = Columns.of(model)
    if likelihood == "gaussian" and columns.width is None:
        objective = None
    counted = module.gene_likelihood in ("nb", "zinb")
    return TorchProbe(
        name,
        module,
        columns.mean_and_log_variance,
        columns.mean_of_target,
        objective=objective,
        decoder_variance=1.0 if columns.width is not None else None,
        latent_shape=(module.n_latent,),
        dispersion=_dispersion(model) if counted else None,
        trained_for=_trained_for(model),
        notes=(*mode_notes(module), *weight_notes, *_loss_notes(module)),
        covariates=columns.covariates,
        recorded=objective is not None,
        kept=("px_r",),  # what is trained from here takes r as given
        untried="its loss has added zeros, which they do not know" if module.gene_likelihood == "zinb" else "",
    )


def scvi_rows(model: Any, adata: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n, d) and condition (n, c) of a model's cells, or of other cells set up in the same way.

    Parameters
    ----------
    model : scvi.model.SCVI
    adata : AnnData, optional
        The model's own when left out.

    Returns
    -------
    x : ndarray of shape (n, d)
        Counts; for a normal likelihood, each gene over its η, as the probe takes them.
    given : ndarray of shape (n, c)
        Batch code, log library size, continuous covariates, codes of categorical ones.

    Raises
    ------
    DataError
        Cells without counts, which have no library size.
    """
    manager = model.adata_manager if adata is None else model.get_anndata_manager(adata, required=True)
    there = manager.data_registry

    def column(key: str) -> np.ndarray:
        values = np.asarray(manager.get_from_registry(key), dtype=np.float64)
        return values.reshape(len(values), -1)

    counts = manager.get_from_registry("X")
    x = np.asarray(counts.toarray() if hasattr(counts, "toarray") else counts)
    sizes = column("size_factor") if "size_factor" in there else x.sum(axis=1, keepdims=True, dtype=np.float64)
    if not (sizes > 0).all():
        cell = int((sizes <= 0).argmax())
        raise DataError(f"scvi-tools {type(model).__name__}: cell {cell} (counted from 0) holds no counts, so its "
                        f"library size is 0; leave such cells out, as training must")  # fmt: skip
    extra = [column(key) for key in ("extra_continuous_covs", "extra_categorical_covs") if key in there]
    width = _width(model.module)
    return x if width is None else x / width, np.hstack([column("batch"), np.log(sizes), *extra])


@dataclass(frozen=True, eq=False)
class Columns:
    """Where the condition holds what, and the units of the data.

    Attributes
    ----------
    n_batches, n_continuous : int
    n_categories : tuple of int
        Of each categorical covariate.
    width : ndarray of shape (d,) or None
        η of each gene, where the likelihood is normal: in units of it all decoder variances are 1.
    """

    n_batches: int
    n_continuous: int
    n_categories: tuple[int, ...]
    width: np.ndarray | None

    @classmethod
    def of(cls, model: Any) -> Columns:
        stats, registry = model.summary_stats, model.adata_manager
        there = registry.registry["field_registries"].get("extra_categorical_covs", {}).get("state_registry", {})
        return cls(
            int(stats.get("n_batch", 1)), int(stats.get("n_extra_continuous_covs", 0)),
            tuple(int(n) for n in there.get("n_cats_per_key", ())), _width(model.module),
        )  # fmt: skip

    def covariates(self, given: np.ndarray) -> Covariates:
        """Codes one-hot; the library size as a size factor, or as a column where the likelihood is normal."""
        self.check(given.shape[1])
        codes = [(given[:, 0], self.n_batches)]
        codes += list(zip(given[:, 2 + self.n_continuous :].T, self.n_categories, strict=True))
        indicators = [code[:, None] == np.arange(1, n) for code, n in codes]
        columns = np.hstack([*indicators, given[:, 2 : 2 + self.n_continuous]]).astype(np.float64)
        sizes = np.exp(given[:, 1])
        if self.width is not None:
            return Covariates(np.column_stack([sizes, columns]))
        return Covariates(columns if columns.shape[1] else None, sizes)

    def mean_and_log_variance(self, module: Any, x: Tensor, given: Tensor | None) -> tuple[Tensor, Tensor]:
        """Of q(z|x)."""
        if x.shape[1] != module.n_input:
            raise DataError(f"the model was trained on {module.n_input} genes and the data have {x.shape[1]} columns")
        if given is None and (self.n_batches > 1 or self.n_continuous or self.n_categories):
            raise self.asked()
        batch, _, covariates = self.split(x.new_zeros(len(x), 2) if given is None else given)
        x = x if self.width is None else x * x.new_tensor(self.width)
        qz = module.inference(x=x, batch_index=batch, **covariates)["qz"]
        return qz.loc, 2 * qz.scale.log()

    def mean_of_target(self, module: Any, z: Tensor, given: Tensor | None) -> Tensor:
        """E[counts|z] of cells of these library sizes."""
        mean: Tensor = self.decoded(module, z, given).mean
        return mean if self.width is None else mean / mean.new_tensor(self.width)

    def decoded(self, module: Any, z: Tensor, given: Tensor | None) -> Any:
        """The distribution of each cell's genes."""
        if given is None:
            raise self.asked()
        batch, library, covariates = self.split(given)
        z = module.z_encoder.z_transformation(z)
        # labels only choose a dispersion, which no mean depends on
        out = module.generative(z=z, library=library, batch_index=batch, size_factor=library, y=0 * batch, **covariates)
        return out["px"]

    def split(self, given: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor | None]]:
        """Batch codes (B, 1), log library sizes (B, 1) and the covariates."""
        self.check(given.shape[1])
        continuous, categorical = given[:, 2 : 2 + self.n_continuous], given[:, 2 + self.n_continuous :]
        covariates = {"cont_covs": continuous if self.n_continuous else None,
                      "cat_covs": categorical.long() if self.n_categories else None}  # fmt: skip
        return given[:, :1].long(), given[:, 1:2], covariates

    def check(self, n_columns: int) -> None:
        """Refuse a condition of another width."""
        n_covariates = self.n_continuous + len(self.n_categories)
        if n_columns != 2 + n_covariates:
            raise DataError(f"the condition has {n_columns} columns; {2 + n_covariates} are due: batch code, log "
                            f"library size and {n_covariates} covariates")  # fmt: skip

    def asked(self) -> DataError:
        """What is said without a condition."""
        return DataError(
            f"the model has {self.n_batches} batches and {self.n_continuous + len(self.n_categories)} covariates, and "
            f"each cell its library size: diagnose(model) takes them from the model's own cells, diagnose(model, "
            f"adata) from others; or give the condition (scvi_rows makes it)"
        )


def check_known(model: Any) -> None:
    """Refuse a model that is not SCVI or LinearSCVI; of one that can be measured, with what there is to say of it.

    Raises
    ------
    ObjectiveError
        Always, for such a model.
    """
    name, kind = f"scvi-tools {type(model).__name__}", type(model.module)
    if kind.__name__ in MODULES and kind.__module__ == "scvi.module._vae":
        return
    why = MEASURED.get(kind_of(model))
    if why is None:
        raise ObjectiveError(f"{name}: known are SCVI and LinearSCVI; give another model as its two functions instead")
    raise ObjectiveError(f"{name}: no cause can be named, as {why}; measure_model(model) says which latents live")


def _of_genes(module: Any) -> np.ndarray | None:
    """r, or η, of each gene; of several batches or labels their geometric mean; None where each cell has its own."""
    if getattr(module, "px_r", None) is None:
        return None
    log = module.px_r.detach().double().cpu().numpy()
    values: np.ndarray = np.exp(log if log.ndim == 1 else log.mean(axis=1))
    return values


def _dispersion(model: Any) -> np.ndarray | None:
    """r of each gene; of a zero-inflated decoder that of the same variance, by its zeros at some of the cells."""
    r = _of_genes(model.module)
    if r is None or model.module.gene_likelihood != "zinb" or getattr(model, "adata", None) is None:
        return r
    some = np.sort(np.random.default_rng(0).permutation(model.adata.n_obs)[:FEW_CELLS])
    rows, given = scvi_rows(model)
    columns = Columns.of(model)
    probe = TorchProbe("scvi-tools", model.module, columns.mean_and_log_variance, _zeros(columns))
    zeros = probe.decode(probe.encode(rows[some], given[some]).mean, given[some]).mean(axis=0)
    return matched_dispersion(r, np.minimum(zeros, MOST_ZEROS))


def _zeros(columns: Columns) -> Any:
    """A function that decodes the share of added zeros."""

    def decoded(module: Any, z: Tensor, given: Tensor | None) -> Tensor:
        shares: Tensor = columns.decoded(module, z, given).zi_probs
        return shares

    return decoded


def _width(module: Any) -> np.ndarray | None:
    return _of_genes(module) if getattr(module, "gene_likelihood", None) == "normal" else None


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
        notes.append("zero inflation is taken for a smaller r: the negative binomial of the same mean and variance")
    if module.gene_likelihood == "normal":
        notes.append("each gene is taken in units of the decoder's own η of it, so all decoder variances are 1")
    if module.gene_likelihood != "poisson" and module.dispersion != "gene":
        word = "η" if module.gene_likelihood == "normal" else "r"
        what = "is estimated" if module.dispersion == "gene-cell" else "is the geometric mean over its groups"
        notes.append(f"the model has {word} by {module.dispersion}; here {word} of each gene {what}")
    if not module.use_observed_lib_size:
        notes.append("the encoded library size is a latent of its own, whose KL is not among those measured")
    return tuple(notes)
