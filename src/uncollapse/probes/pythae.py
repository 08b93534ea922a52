"""Probe of pythae models, from the object or a saved folder. Read from the sources of 0.1.2."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from uncollapse.errors import ObjectiveError, SourceError, UncollapseError, kind_and_line
from uncollapse.measure.protocol import RAISED, TrainedFor
from uncollapse.objective import Objective
from uncollapse.probes.probe import TorchProbe, evaluating, mode_notes
from uncollapse.probes.pythae_priors import OWN_PRIOR, flow_of, log_prior_of

__all__ = ["CONFIG", "pythae_folder", "pythae_probe"]

CONFIG = "model_config.json"

PLAIN = ("VAE", "BetaVAE")
"""Models whose loss is reconstruction + β KL and nothing else."""

GAUSSIAN = (
    *PLAIN, "BetaTCVAE", "DisentangledBetaVAE", "FactorVAE", "INFOVAE_MMD", "MSSSIM_VAE", "VAEGAN", "IWAE", "MIWAE",
    "PIWAE", "CIWAE",
)  # fmt: skip
"""Models with a diagonal Gaussian posterior and a standard normal prior; the loss of most is another one."""

KNOWN = (*GAUSSIAN, *OWN_PRIOR, "Adversarial_AE")

POINT = "it is no VAE: its encoder gives a point, so there is no posterior and no KL"
MOVED = "Hamiltonian steps along the decoder's gradient move its posterior, and the encoder only says where they start"
REFUSED = {
    "AE": POINT, "RAE_L2": POINT, "RAE_GP": POINT, "WAE_MMD": POINT,
    "VQVAE": "its latents are entries of a codebook, so there is no KL of each",
    "SVAE": "its posterior lies on a sphere (von Mises-Fisher), where no latent can collapse alone",
    "PoincareVAE": "its posterior lies in hyperbolic space, where no latent can collapse alone",
    "HVAE": MOVED, "RHVAE": MOVED,
}  # fmt: skip
"""Why models are not read."""


def pythae_probe(model: Any, *, input_shape: tuple[int, ...] | None = None) -> TorchProbe:
    """Probe of a pythae model.

    Parameters
    ----------
    model : pythae.models.BaseAE
    input_shape : tuple of int, optional
        Of one sample; the configuration's `input_dim` when left out.

    Raises
    ------
    ObjectiveError
        A model whose encoder gives no diagonal Gaussian: hyperspherical, hyperbolic, Hamiltonian, autoencoders.

    Notes
    -----
    The loss is not believed to be what some version's source says: the model's own `loss_function` is called on numbers
    of known answer, which tells the ½ (absent up to 0.1.1) and β. VAMP and flows have a prior of their own: their KL is
    sampled, and the latents of a flow are those before it.
    """
    kind = _kind(type(model))
    _check_known(kind, f"pythae {type(model).__name__}")
    name = f"pythae {type(model).__name__}"
    objective, notes = _objective(model), mode_notes(model)
    if objective is None:
        notes += (f"{name} minimises more than reconstruction + β KL, so its water level is not known: say the "
                  f"objective yourself",)  # fmt: skip
    if kind == "Adversarial_AE":
        notes += ("its loss has no KL: a discriminator holds q(z) near the prior, and the KL is only measured",)
    flow = flow_of(model, kind)
    if flow is not None:
        notes += ("latents are those before the flow, which is taken for a part of the prior and of the decoder",)
    shape = input_shape or model.model_config.input_dim
    return TorchProbe(
        name,
        model,
        _mean_and_log_variance,
        _output if flow is None else _after(kind),
        objective=objective,
        log_prior=log_prior_of(model, kind),
        decoder_variance=1.0 if objective is not None and objective.likelihood == "gaussian" else None,
        input_shape=None if shape is None else tuple(int(side) for side in shape),
        notes=notes,
    )


def pythae_folder(folder: Path, *, input_shape: tuple[int, ...] | None = None, trust: bool = False) -> TorchProbe:
    """Probe of a model as pythae saved it.

    Parameters
    ----------
    folder : Path
        With `model_config.json` and `model.pt`.
    input_shape : tuple of int, optional
        As in `pythae_probe`.
    trust : bool
        Run the code that is pickled with networks of one's own.

    Raises
    ------
    SourceError
        Files that are missing or damaged; pickled code without `trust`; pythae is not installed.
    """
    try:
        config = json.loads((folder / CONFIG).read_text())
        kind = str(config["name"]).removesuffix("Config").removesuffix("_")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(f"{folder / CONFIG}: no configuration of pythae ({kind_and_line(error)})") from None
    _check_known(kind, f"{folder}: a pythae {kind}")
    custom = [part for part in ("encoder", "decoder")
              if not config.get(f"uses_default_{part}", True) or (folder / f"{part}.pkl").exists()]  # fmt: skip
    if custom and not trust:
        files = " and ".join(f"{part}.pkl" for part in custom)
        raise SourceError(f"{folder}: its networks are code ({files}) that loading would run; if you trust it, say so "
                          f"(--trust), or load it yourself and hand over the model")  # fmt: skip
    try:
        import pythae.models
    except ImportError:
        raise SourceError(f"{folder}: is a model of pythae, which is not installed: pip install pythae") from None
    try:
        if custom:
            model = pythae.models.AutoModel.load_from_folder(str(folder))
        else:
            model = _default_model(pythae.models, kind, folder)
    except UncollapseError:
        raise
    except RAISED as error:  # pythae and pickled code raise anything
        raise SourceError(f"{folder}: pythae cannot load it: {kind_and_line(error)}") from error
    probe = pythae_probe(model, input_shape=input_shape)
    notes = probe.notes
    if probe.objective is not None and probe.objective.likelihood == "gaussian":
        notes += ("the loss is read as the installed pythae has it; one trained with 0.1.1 or older had no ½, and half "
                  "the water level",)  # fmt: skip
    return replace(probe, name=f"{probe.name} of {folder}", trained_for=_trained_for(folder), notes=notes)


def _default_model(models: Any, kind: str, folder: Path) -> Any:
    """The default architecture with the saved weights; nothing is unpickled."""
    model = getattr(models, kind)(models.auto_model.AutoConfig.from_json_file(str(folder / CONFIG)))
    try:
        weights = torch.load(folder / "model.pt", map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise SourceError(f"{folder}: holds no model.pt") from None
    except pickle.UnpicklingError:
        raise SourceError(f"{folder / 'model.pt'}: holds more than weights; nothing was loaded") from None
    model.load_state_dict(weights["model_state_dict"])
    return model


def _check_known(kind: str, where: str) -> None:
    if kind not in KNOWN:
        raise ObjectiveError(f"{where}: {REFUSED.get(kind, 'is not known')}; known are {', '.join(KNOWN)}")


def _objective(model: Any) -> Objective | None:
    kind = _kind(type(model))
    if kind not in (*PLAIN, *OWN_PRIOR) or _home(model, "loss_function") != _home(model, "forward"):
        return None
    if not _home(model, "loss_function").startswith("pythae."):
        return None  # a subclass with a loss of its own
    one, zero = torch.ones(1, 1), torch.zeros(1, 1)
    bernoulli = model.model_config.reconstruction_loss == "bce"
    start = (zero if bernoulli else one, zero)  # an error of 1
    with torch.no_grad(), evaluating(model):
        if kind == "VAMP":
            wide = torch.zeros(1, model.latent_dim)
            parts = model.loss_function(*start, wide, wide, wide, model.linear_scheduling)
        elif kind in OWN_PRIOR:
            parts = model.loss_function(*start, one, zero, one, zero, -one[:, 0])
        else:
            parts = model.loss_function(*start, one, zero, zero)
    # what comes out are the weights of both; the KL is ½, or what the prior makes of it
    total, misfit, kl = (float(part) for part in parts)
    beta = (total - misfit) / kl
    if (kind in PLAIN and abs(kl - 0.5) > 1e-6) or not beta > 0:
        return None
    recon: dict[str, Any] = {"recon": "bce"} if bernoulli else {"recon": "mse", "half": misfit < 0.75}
    return Objective.from_loss(**recon, kl_weight=round(beta, 6), n_latents=int(model.latent_dim))


def _kind(model: type) -> str:
    """The class of pythae that a model is of."""
    return next((c.__name__ for c in model.__mro__ if c.__module__.startswith("pythae.")), model.__name__)


def _home(model: Any, method: str) -> str:
    return next(c.__module__ for c in type(model).__mro__ if method in vars(c))


def _mean_and_log_variance(model: Any, x: Tensor, given: Tensor | None) -> tuple[Tensor, Tensor]:
    if given is not None:
        raise ObjectiveError("pythae models know no condition; leave --given out")
    encoded = model.encoder(x)
    return encoded["embedding"], encoded["log_covariance"]


def _output(model: Any, z: Tensor, given: Tensor | None) -> Tensor:
    mean: Tensor = model.decoder(z)["reconstruction"]
    return mean


def _after(kind: str) -> Any:
    """The decoder after a flow of the same module, a copy of which has its own."""

    def output(model: Any, z: Tensor, given: Tensor | None) -> Tensor:
        flow = flow_of(model, kind)
        assert flow is not None
        return _output(model, flow(z)[0], given)

    return output


def _trained_for(folder: Path) -> TrainedFor | None:
    try:
        config = json.loads((folder / "training_config.json").read_text())
    except (OSError, ValueError):
        return None
    if not isinstance(config, dict):
        return None
    return TrainedFor(
        config.get("num_epochs"), config.get("learning_rate"), config.get("per_device_train_batch_size"),
        config.get("optimizer_cls"),
    )  # fmt: skip
