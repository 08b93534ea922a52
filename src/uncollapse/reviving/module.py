"""A user's PyTorch module with its additions, so that training can go on from it."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from uncollapse.bill.additions import Additions
from uncollapse.errors import ObjectiveError
from uncollapse.objective import Objective
from uncollapse.probes.examples import Pair
from uncollapse.probes.probe import TorchProbe
from uncollapse.reviving.library_class import in_the_librarys_class
from uncollapse.reviving.own_class import in_its_own_class
from uncollapse.reviving.paths import paths_like

__all__ = ["RevivedModule", "revived_module"]


class RevivedModule(nn.Module):
    """A model with its additions: ``encode(x) → (mean, log-variance)``, ``decode(z) → mean of x``, ``forward(x) →
    (reconstruction, mean, log-variance)``; each takes the condition as a second argument if the model does.

    Latents come as rows, (B, l); spatial ones flattened.
    """

    def __init__(self, probe: TorchProbe, additions: Additions, objective: Objective) -> None:
        super().__init__()
        self.model = copy.deepcopy(probe.module)
        self._probe = probe
        self.paths = paths_like(self.model, additions, objective)

    def encode(self, x: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x), each (B, l)."""
        own = self._own()
        mean, log_variance = (part.flatten(1) for part in own.posterior(x.flatten(1), given))
        return self.paths.encoded(mean, log_variance, x, lambda z: own.mean_of_target(z, given))

    def decode(self, z: Tensor, given: Tensor | None = None) -> Tensor:
        """Mean of x, in the shape of a sample where the model takes shaped ones."""
        mean = self.paths.decoded(self._own().mean_of_target(self.paths.held(z), given), z)
        shape = self._probe.input_shape
        return mean if shape is None else mean.reshape(len(mean), *shape)

    def forward(self, x: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruction from one draw of z, mean and log-variance."""
        mean, log_variance = self.encode(x, given)
        z = self.reparameterize(mean, log_variance)
        return self.decode(z, given), mean, log_variance

    def reparameterize(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        """One draw of z."""
        return mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)

    def _own(self) -> TorchProbe:
        """The model's functions on the copy that this module trains."""
        return replace(self._probe, module=self.model)


def revived_module(probe: Any, additions: Additions, objective: Objective) -> nn.Module:
    """The module to train on from: in the class of the user's own where that has `encode` and `decode`.

    Then `forward` and all other methods are the user's, and see the additions through those two. Models of pythae and
    diffusers stay in the library's class too. Else, and where there are new latents, which the user's `decode` does
    not take, a `RevivedModule`.

    Parameters
    ----------
    probe : TorchProbe
    additions : Additions
    objective : Objective

    Raises
    ------
    ObjectiveError
        The model is no PyTorch module.
    """
    if not isinstance(probe, TorchProbe):
        raise ObjectiveError(f"{probe.name}: is no PyTorch module, so no module can be made of it; use the revived "
                             f"model's probe (revive(...).probe)")  # fmt: skip
    if not additions.n_new and not isinstance(probe.module, RevivedModule | Pair):
        of_library = in_the_librarys_class(probe, additions, objective)
        if of_library is not None:
            return of_library
        if probe.spread is not None:
            return in_its_own_class(probe, additions, objective)
    return RevivedModule(probe, additions, objective)
