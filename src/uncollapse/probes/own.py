"""Probe of a model of ours: a `Trained`, or the folder or file that `uncollapse train` wrote."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from uncollapse.errors import DataError, SourceError
from uncollapse.measure.posterior import Posterior
from uncollapse.measure.posterior import posterior as checked
from uncollapse.measure.protocol import TrainedFor
from uncollapse.probes.inputs import check_rows
from uncollapse.probes.probe import TorchProbe, evaluating
from uncollapse.theory.posterior import gaussian_kl
from uncollapse.training.architecture import Architecture, initial
from uncollapse.training.config import Network
from uncollapse.training.likelihoods import mean_of
from uncollapse.training.losses import kl_to_level_above
from uncollapse.training.models import Coefficients, Parameters, coefficients, decode, posterior, prior_mean
from uncollapse.training.result import Trained
from uncollapse.training.state import load

__all__ = ["CHECKPOINT", "LevelProbe", "own_probe"]

CHECKPOINT = "checkpoint.safetensors"

ANTITHETIC_PAIRS = 4
"""Draws of z_1 come in pairs z, −z about the posterior's mean, with which a linear network's means of the upper levels
are exact; four pairs halve the noise of a level's KL beside one."""


def own_probe(model: Trained | str | Path) -> TorchProbe:
    """Probe of a model of ours.

    Parameters
    ----------
    model : Trained or path
        A folder with a checkpoint, or the checkpoint.

    Raises
    ------
    SourceError
        No checkpoint there, or a damaged one.

    Examples
    --------
    >>> from uncollapse import Objective
    >>> from uncollapse.training import Training, train
    >>> x = np.random.default_rng(0).standard_normal((64, 3))
    >>> vae = train(x, objective=Objective(n_latents=2), training=Training(epochs=1))
    >>> own_probe(vae).encode(x).kl.shape
    (64, 2)
    """
    trained = model if isinstance(model, Trained) else _opened(Path(model))
    setup, a = trained.setup, trained.architecture
    where = "uncollapse model" if isinstance(model, Trained) else str(model)
    rule, training = a.decoder_variance, setup.training
    module = OwnModule(trained)
    dispersion = trained.parameters.get("decoder.log_dispersion")
    probe = LevelProbe if len(a.latents) > 1 else TorchProbe
    notes = () if trained.status != "failed" else (f"its training failed: {trained.message}",)
    gaussian = a.likelihood == "gaussian"
    fixed = setup.objective.decoder_variance
    if rule == "parameter":
        fixed = float(trained.parameters["decoder.log_variance"].double().exp())
    elif rule == "optimal":
        fixed = float(trained.history["decoder_variance"][-1]) if trained.n_epochs else "learned"
    return probe(
        where,
        module,
        OwnModule.mean_and_log_variance,
        OwnModule.mean_of_target,
        objective=replace(setup.objective, n_latents=a.latents[0]),
        decoder_variance=fixed if gaussian and fixed != "learned" else None,
        latent_shape=(a.latents[0],),
        dispersion=None if dispersion is None else dispersion.exp().double().cpu().numpy().ravel(),
        trained_for=TrainedFor(
            trained.n_epochs, training.learning_rate, training.batch_size, training.optimiser, training.free_bits
        ),
        notes=notes,
        copies=False,
        linear=gaussian and _is_linear(setup.network),
    )


def _is_linear(n: Network) -> bool:
    return not (n.hidden or n.decoder_hidden or n.channels or n.level_hidden or n.log_input)


class OwnModule(nn.Module):
    """Parameters of a `Trained` as PyTorch wants them, so that they can be copied and trained further."""

    def __init__(self, trained: Trained) -> None:
        super().__init__()
        self.architecture: Architecture = trained.architecture
        # a module's names have no dots
        values = {name.replace(".", "/"): value.clone() for name, value in trained.parameters.items()}
        self.values = nn.ParameterDict(values)
        dtype = next(iter(trained.parameters.values())).dtype
        for name, value in vars(coefficients([trained.setup], self.architecture, torch.device("cpu"), dtype)).items():
            self.register_buffer(f"knob_{name}", value, persistent=False)  # moves with the parameters
        self.initial_variance = trained.setup.training.initial_decoder_variance

    @property
    def coefficients(self) -> Coefficients:
        """Numbers of the objective, where the parameters are."""
        return Coefficients(**{item.name: getattr(self, f"knob_{item.name}") for item in fields(Coefficients)})

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Fresh weights, as a training starts with, drawn by PyTorch's own generator."""
        generator = torch.Generator().manual_seed(int(torch.randint(2**31, (1,))))
        dtype = next(iter(self.values.values())).dtype
        for name, value in initial(self.architecture, self.initial_variance, generator, dtype).items():
            self.values[name.replace(".", "/")].copy_(value)

    def stacked(self) -> Parameters:
        """As the functions of `training.models` take them: a stack of one."""
        return {name.replace("/", "."): value[None] for name, value in self.values.items()}

    def mean_and_log_variance(self, x: Tensor, given: Tensor | None) -> tuple[Tensor, Tensor]:
        """Of q(z_1|x)."""
        a = self.architecture
        self._check("data", x, a.n_inputs)
        self._check("condition", given, a.n_given)
        return self.level(0, x, given)

    def mean_of_target(self, z: Tensor, given: Tensor | None) -> Tensor:
        """E[y|z_1]."""
        a = self.architecture
        self._check("condition", given, a.n_given)
        return mean_of(a.likelihood, decode(a, self.stacked(), self.coefficients, z[None], _stack(given))[0])

    def level(self, level: int, below: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z_l | what lies below), each (B, l)."""
        moments = posterior(self.architecture, self.stacked(), self.coefficients, level, below[None], _stack(given))
        return moments[0][0], moments[1][0].expand_as(moments[0][0])

    def prior(self, level: int, z: Tensor) -> Tensor:
        """Mean of p(z_{l-1} | z_l), (B, l below)."""
        return prior_mean(self.architecture, self.stacked(), self.coefficients, level, z[None])[0]

    def _check(self, what: str, rows: Tensor | None, width: int) -> None:
        n_columns = 0 if rows is None else rows.shape[1]
        if n_columns == width:
            return
        if not width:
            raise DataError(f"the model was trained without a {what}; give none")
        raise DataError(f"the model was trained with a {what} of {width} columns, got {n_columns or 'none'}")


@dataclass(frozen=True, eq=False)
class LevelProbe(TorchProbe):
    """A hierarchy: KL of all levels, means and variances of q(z_l|x), the upper ones by draws of what lies below."""

    @torch.no_grad()
    def encode(self, x: np.ndarray, given: np.ndarray | None = None) -> Posterior:
        """q(z_1, z_2, …|x); rows of one place in a block have the same draws at every call."""
        module: Any = self.module
        x = check_rows(x, "data", self.name)
        given = None if given is None else check_rows(given, "condition", self.name)
        sizes = module.architecture.latents
        generator = torch.Generator().manual_seed(0)
        drawn = []
        with evaluating(module):
            mean, log_variance = self._encoded(x, given)
            for _ in range(ANTITHETIC_PAIRS):
                noise = torch.randn(len(x), sum(sizes), generator=generator, dtype=mean.dtype).to(mean.device)
                drawn += [_one_draw(module, mean, log_variance, signed) for signed in (noise, -noise)]
        means, variances, kls = (np.stack(parts) for parts in zip(*drawn, strict=True))
        between, top = float(module.coefficients.decoder_variance), float(module.coefficients.prior_variance)
        return checked(
            means.mean(axis=0),
            variance=variances.mean(axis=0) + means.var(axis=0),
            prior_variance=np.repeat([between] * (len(sizes) - 1) + [top], sizes),
            kl=kls.mean(axis=0),
            level_sizes=sizes,
            where=self.name,
        )


def _one_draw(module: OwnModule, mean: Tensor, log_variance: Tensor, noise: Tensor) -> list[np.ndarray]:
    """Means, variances and KL of every level's latents, each (B, L), at one draw of z."""
    a, means, variances, kls = module.architecture, [], [], []
    below, below_log_variance = mean, log_variance
    for level, columns in enumerate(a.levels):
        if level:
            mean, log_variance = module.level(level, below)
        z = mean + torch.exp(0.5 * log_variance) * noise[:, columns]
        if level:  # each row a member of its own, as the loss averages over rows
            expected = module.prior(level, z)
            kls.append(kl_to_level_above(below_log_variance, below[:, None], expected[:, None], module.coefficients))
        means.append(mean)
        variances.append(log_variance.exp())
        below, below_log_variance = z, log_variance
    stacked = [_plain(torch.cat(parts, 1)) for parts in (means, variances)]
    top = gaussian_kl(_plain(mean), _plain(log_variance.double().exp()), float(module.coefficients.prior_variance))
    return [*stacked, np.concatenate([*map(_plain, kls), top], axis=1)]


def _plain(values: Tensor) -> np.ndarray:
    plain: np.ndarray = values.double().cpu().numpy()
    return plain


def _stack(rows: Tensor | None) -> Any:
    return None if rows is None else rows[None]


def _opened(path: Path) -> Trained:
    if path.is_dir():
        if not (path / CHECKPOINT).is_file():
            raise SourceError(f"{path}: holds no {CHECKPOINT}; give a folder that `uncollapse train --out` wrote")
        path = path / CHECKPOINT
    return load(path)
