"""Probe of a PyTorch module, differentiable."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from uncollapse.errors import DataError, UncollapseError, kind_and_line
from uncollapse.measure.covariates import Covariates
from uncollapse.measure.posterior import Posterior, SpreadError, posterior
from uncollapse.measure.prior import LogPrior, with_sampled_kl
from uncollapse.measure.protocol import RAISED, Probe, Spread, TrainedFor, prior_variance_of
from uncollapse.objective import Objective
from uncollapse.probes.halving import halving
from uncollapse.probes.inputs import check_rows

__all__ = ["Probe", "TorchProbe", "evaluating", "log_variance_of", "mode_notes"]

DECODED_ROWS = 4096
"""Rows that go through an encoder or a decoder at once."""

MOST_NAMED = 4
"""Outputs of a model that a message lists."""

ENCODED_NUMBERS = 2**20
"""Numbers that go through an encoder at once; the layers of an image model hold tens of times as many."""


@dataclass(frozen=True, eq=False)
class TorchProbe:
    """A PyTorch model: as `Probe`, and differentiable, so that it can be refined and trained further.

    Attributes
    ----------
    name : str
        Of library and model, for messages.
    module : Module
    mean_and_log_variance : callable (module, x, given) → (Tensor (B, …), Tensor (B, …))
        Of q(z|x), from rows (B, d) and conditions (B, c) or None.
    output : callable (module, z, given) → Tensor (B, …)
        E[y|z] in the data's units, from latents in the shape that the encoder gave them.
    objective : Objective or None
        As trained.
    decoder_variance : float or None
        η² as it is now, where it is learned; the objective's when that is a number.
    input_shape : tuple of int, optional
        Of one sample, if the module does not take rows: (1, 28, 28).
    latent_shape : tuple of int, optional
        Of one sample's latents, as the encoder gives them; learned from the first call when left out.
    dispersion : ndarray of shape (d,), optional
        r of a negative binomial decoder.
    trained_for : TrainedFor, optional
    notes : tuple of str
        What a user should know about how the model was read.
    copies : bool
        Whether the encoder gets a copy of the rows: some models normalise their input in place. Not needed where
        `mean_and_log_variance` is known to leave them as they are.
    spread : {"log_variance", "variance", "std"}, optional
        What the module's own `encode` gives beside the mean, where it has one of the usual kind.
    linear : bool
        Whether encoder and decoder are known to be linear, so that the closed form is the model's own optimum.
    covariates : callable, condition (n, c) → Covariates, optional
        How a forecast reads the condition, where it is not the columns of a linear model.
    log_prior : callable, z (n, l) → log p(z) (n,), optional
        Of a prior that is no Gaussian of each latent, on NumPy arrays; the KL is then sampled.
    kept : tuple of str
        Parameters that stay when the model is started anew, as no part of it can reset them.
    recorded : bool
        Whether the objective is the record of the model's own training, so that no other loss can have been trained.
    untried : str
        Why what can be trained from here would be another loss than the model's; empty where it is its own.
    """

    name: str
    module: nn.Module
    mean_and_log_variance: Callable[[Any, Tensor, Tensor | None], tuple[Tensor, Tensor]]
    output: Callable[[Any, Tensor, Tensor | None], Tensor]
    objective: Objective | None = None
    decoder_variance: float | None = None
    input_shape: tuple[int, ...] | None = None
    latent_shape: tuple[int, ...] | None = None
    dispersion: np.ndarray | None = None
    trained_for: TrainedFor | None = None
    notes: tuple[str, ...] = ()
    copies: bool = True
    spread: Spread | None = None
    linear: bool = False
    covariates: Callable[[np.ndarray], Covariates] | None = None
    log_prior: LogPrior | None = None
    kept: tuple[str, ...] = ()
    recorded: bool = False
    untried: str = ""
    _seen: dict[str, tuple[int, ...]] = field(default_factory=dict, repr=False)
    guards_rows: ClassVar[bool] = True

    @torch.no_grad()
    def encode(self, x: np.ndarray, given: np.ndarray | None = None) -> Posterior:
        """q(z|x), in evaluation mode."""
        x = check_rows(x, "data", self.name)
        given = None if given is None else check_rows(given, "condition", self.name)
        try:
            mean, log_variance = self._encoded(x, given)
            q = posterior(
                mean.flatten(1).cpu(),
                log_variance=log_variance.flatten(1).cpu(),
                prior_variance=prior_variance_of(self),
                where=self.name,
            )
        except SpreadError as error:
            raise error.of(x) from None
        q = replace(q, latent_shape=tuple(mean.shape[1:]))
        return q if self.log_prior is None else with_sampled_kl(q, self.log_prior, self.name)

    def _encoded(self, x: np.ndarray, given: np.ndarray | None) -> tuple[Tensor, Tensor]:
        """`posterior` in evaluation mode, a block of rows at a time: its layers hold many times what a row holds."""
        n_rows = max(min(DECODED_ROWS, ENCODED_NUMBERS // max(math.prod(x.shape[1:]), 1)), 1)

        def encoded(rows: slice) -> tuple[Tensor, Tensor]:
            return self.posterior(self.tensor(x[rows]), self.tensor(None if given is None else given[rows]))

        with evaluating(self.module):
            blocks = halving(encoded, len(x), n_rows, self.name)
        shapes = {tuple(mean.shape[1:]) for mean, _ in blocks}
        if len(shapes) > 1:
            raise DataError(f"{self.name}: the encoder gave latents of other shapes for other rows: {sorted(shapes)}")
        means, log_variances = (torch.cat(parts) for parts in zip(*blocks, strict=True))
        return means, log_variances

    @torch.no_grad()
    def decode(self, z: np.ndarray, given: np.ndarray | None = None) -> np.ndarray:
        """E[y|z], in evaluation mode, a block of rows at a time."""
        z = check_rows(z, "latents", self.name)
        given = None if given is None else check_rows(given, "condition", self.name)

        def decoded(rows: slice) -> np.ndarray:
            out = self.mean_of_target(self.tensor(z[rows]), self.tensor(None if given is None else given[rows]))
            mean: np.ndarray = out.detach().cpu().double().numpy()  # there first: MPS has no float64
            return mean

        with evaluating(self.module):
            return np.concatenate(halving(decoded, len(z), DECODED_ROWS, self.name))

    def posterior(self, x: Tensor, given: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance in the shape that the encoder gives them, differentiable."""
        shaped = self.in_shape(x)
        if self.copies:
            shaped, given = shaped.clone(), None if given is None else given.clone()
        out: Any = self._ran("encoder", shaped, lambda: self.mean_and_log_variance(self.module, shaped, given))
        if not isinstance(out, tuple | list) or len(out) < 2 or not all(torch.is_tensor(p) for p in out[:2]):
            raise DataError(f"{self.name}: the encoder gave {_described(out)}; a mean and a log-variance are due")
        mean, log_variance = out[0], out[1]
        for part in (mean, log_variance):
            self._check_numbers("encoder", part)
        if mean.ndim < 2 or len(mean) != len(x):
            raise DataError(f"{self.name}: the encoder gave means of shape {tuple(mean.shape)} for {len(x)} rows")
        if log_variance.shape != mean.shape:
            raise DataError(
                f"{self.name}: the encoder gave means of shape {tuple(mean.shape)} and a spread of shape "
                f"{tuple(log_variance.shape)}; it should give both for every latent"
            )
        self._seen["latent"] = tuple(mean.shape[1:])
        return mean, log_variance

    def mean_of_target(self, z: Tensor, given: Tensor | None) -> Tensor:
        """E[y|z] (B, d) of latents (B, l), differentiable."""
        shape = self.latent_shape or self._seen.get("latent", tuple(z.shape[1:]))
        if math.prod(shape) != math.prod(z.shape[1:]):
            raise DataError(f"{self.name}: the decoder takes latents of shape {shape}, got {tuple(z.shape[1:])}")
        shaped = z.reshape(len(z), *shape).clone()
        given = None if given is None else given.clone()
        out: Any = self._ran("decoder", shaped, lambda: self.output(self.module, shaped, given))
        if torch.is_tensor(out):
            self._check_numbers("decoder", out)
        if not torch.is_tensor(out) or out.ndim < 1 or len(out) != len(z):
            raise DataError(f"{self.name}: the decoder gave {_described(out)} for {len(z)} rows of latents")
        return out.flatten(1) if out.ndim > 1 else out[:, None]

    def in_shape(self, x: Tensor) -> Tensor:
        """Rows as samples of the shape that the model takes."""
        if self.input_shape is None:
            return x
        if math.prod(self.input_shape) != math.prod(x.shape[1:]):
            raise DataError(
                f"{self.name}: the model takes samples of shape {self.input_shape}, {math.prod(self.input_shape)} "
                f"numbers each, and the data have {math.prod(x.shape[1:])} columns"
            )
        return x.reshape(len(x), *self.input_shape)

    def _ran(self, part: str, given: Tensor, run: Callable[[], Any]) -> Any:
        try:
            return run()
        except (UncollapseError, torch.OutOfMemoryError):
            raise
        except RAISED as error:  # a user's model raises anything
            raise DataError(
                f"{self.name}: the {part} fails on an input of shape {tuple(given.shape)}: {kind_and_line(error)}"
            ) from error

    def _check_numbers(self, part: str, out: Tensor) -> None:
        """Refuse a tensor that holds no real numbers to be read one by one."""
        odd = [
            word
            for word, is_so in (
                ("nested", out.is_nested),
                ("sparse", out.layout != torch.strided),
                ("meta", out.device.type == "meta"),
                ("complex", out.is_complex()),
                ("bool", out.dtype == torch.bool),
            )
            if is_so
        ]
        if odd:
            raise DataError(f"{self.name}: the {part} gave a {odd[0]} tensor; a dense one of real numbers is due")

    def copy(self) -> TorchProbe:
        """The same model with parameters of its own."""
        return replace(self, module=_copied(self.module))

    def tensor(self, rows: Any) -> Any:
        """Rows on the model's device and in its precision."""
        if rows is None:
            return None
        like = next((p for p in self.module.parameters() if p.is_floating_point()), torch.empty(0))
        return torch.as_tensor(np.require(rows, requirements=("C", "W"))).to(like.device, like.dtype)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode (no dropout, batch norm by its running averages) inside, each part's own mode restored after."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def _copied(module: nn.Module) -> nn.Module:
    """A copy that shares what cannot be copied: a cached result with its graph, a logger, an open file."""
    shared: dict[int, Any] = {}
    for part in module.modules():
        for name, value in vars(part).items():
            if name in ("_parameters", "_buffers", "_modules"):
                continue
            try:
                copy.deepcopy(value)
            except Exception:  # whatever a class does when it is copied
                shared[id(value)] = value
    return copy.deepcopy(module, shared)


def _described(output: Any) -> str:
    if torch.is_tensor(output):
        return "one nested tensor" if output.is_nested else f"one tensor of shape {tuple(output.shape)}"
    if isinstance(output, tuple | list):
        parts = [_described(part) if torch.is_tensor(part) else type(part).__name__ for part in output[:MOST_NAMED]]
        return f"{type(output).__name__} of {', '.join(parts)}{', …' if len(output) > MOST_NAMED else ''}"
    return f"{type(output).__name__}"


def log_variance_of(spread: Tensor, kind: Spread, where: str) -> Tensor:
    """log σ² of what an encoder gave, differentiable.

    Raises
    ------
    DataError
        A negative variance or standard deviation.
    """
    if kind == "log_variance":
        return spread
    if (spread < 0).any():
        latent = int((spread < 0).flatten(1).any(0).nonzero()[0]) + 1
        what = f"{where}: negative {kind} {float(spread.min()):.4g} (latent {latent})"
        raise SpreadError(what, "is this the log-variance? Then say spread='log_variance'")
    logarithm = spread.clamp_min(torch.finfo(spread.dtype).tiny).log()
    return 2 * logarithm if kind == "std" else logarithm


def mode_notes(module: nn.Module) -> tuple[str, ...]:
    """What to say of layers that behave otherwise while training, if the model was handed over in training mode."""
    kinds = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm)
    active = [type(part).__name__ for part in module.modules() if isinstance(part, kinds) and part.training]
    if not active:
        return ()
    names = ", ".join(sorted(set(active)))
    return (f"the model was in training mode: its {len(active)} layer(s) {names} are put in evaluation mode while it "
            f"is read, and back afterwards",)  # fmt: skip
