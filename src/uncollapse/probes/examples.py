"""Probe of any PyTorch module with `encode` and `decode`: pytorch/examples, PyTorch-VAE, latent diffusion, one's own.

Whether `encode` gives a log-variance, a variance or a standard deviation is read from the module's own
`reparameterize`, or is asked for.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from uncollapse.errors import DataError
from uncollapse.measure.protocol import Spread, SpreadUnknown, check_spread
from uncollapse.probes.inputs import check_condition
from uncollapse.probes.outputs import check_outputs, mean_and_spread
from uncollapse.probes.probe import TorchProbe, log_variance_of, mode_notes

__all__ = ["Pair", "module_probe", "spread_of"]

REPARAMETERIZE = ("reparameterize", "reparametrize", "reparameterise", "reparametrise")

STEP = 1.5
"""A spread at which exp(s/2) = 2.12, s = 1.5 and √s = 1.22 are far apart."""

DRAWS = 4096
"""Draws with which a standard deviation is known to about 1 %."""


class Pair(nn.Module):
    """Two networks, encoder and decoder, as one module."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def encode(self, *given: Tensor) -> Any:
        """What the encoder gives."""
        return self.encoder(*given)

    def decode(self, *given: Tensor) -> Any:
        """What the decoder gives."""
        return self.decoder(*given)


def module_probe(
    module: nn.Module,
    *,
    spread: Spread | None = None,
    input_shape: tuple[int, ...] | None = None,
    outputs: tuple[int, int] | None = None,
) -> TorchProbe:
    """Probe of a module with `encode(x) → (mean, spread)` and `decode(z) → E[y|z]`.

    Parameters
    ----------
    module : Module
        With a condition, `encode(x, given)` and `decode(z, given)`. `encode` may give a distribution, or an object with
        `mean` and `logvar`, instead; then its spread is known.
    spread : {"log_variance", "variance", "std"}, optional
        Read from the module's `reparameterize` when left out.
    input_shape : tuple of int, optional
        Of one sample, if the module does not take rows.
    outputs : tuple of two int, optional
        Positions of mean and spread in what `encode` gives, from 0, if it gives more than the two.

    Raises
    ------
    ObjectiveError
        When the first encoding gives a spread of unknown kind.

    Examples
    --------
    >>> pair = Pair(nn.Linear(3, 2), nn.Linear(2, 3))
    >>> pair.encode = lambda x: (pair.encoder(x), torch.ones(len(x), 2))
    >>> module_probe(pair, spread="std").encode(torch.zeros(5, 3).numpy()).variance.max()
    np.float64(1.0)
    """
    name = type(module).__name__
    notes = mode_notes(module)
    kind = None if spread is None else check_spread(spread)
    if kind is None and (kind := spread_of(module)) is not None:
        notes += (f"the encoder's spread is read as {kind}: so the model's own reparameterize takes it",)

    places: list[tuple[int, int]] = []  # of mean and spread, once the first rows were encoded
    fits: set[tuple[str, bool]] = set()  # of what is asked at every step of a training, what is known to be right

    def check(module: Any, method: str, given: Tensor | None) -> None:
        if (asked := (method, given is not None)) not in fits:
            check_condition(_part(module, method), given is not None, f"{name}: {method}")
            fits.add(asked)

    def encoded(module: Any, x: Tensor, given: Tensor | None) -> Any:
        check(module, "encode", given)
        return module.encode(x.clone()) if given is None else module.encode(x.clone(), given.clone())

    def mean_and_log_variance(module: Any, x: Tensor, given: Tensor | None) -> Any:
        out = encoded(module, x, given)
        if (known := known_pair(out, name)) is not None:
            return known
        if not isinstance(out, tuple | list) or len(out) < 2 or not all(torch.is_tensor(p) for p in out[:2]):
            return out  # the probe says what is wrong
        if not places:
            named = check_outputs(outputs)
            places.append(named or mean_and_spread(out, lambda: encoded(module, x, given), f"{name}: encode"))
        if len(out) <= max(places[0]) or not all(torch.is_tensor(out[i]) for i in places[0]):
            raise DataError(f"{name}: encode gave {len(out)} outputs; {places[0]} are to be mean and spread")
        if kind is None:
            raise SpreadUnknown(
                f"{name}: encode gives a mean and something that may be a log-variance, a variance or a standard "
                f"deviation; say spread='log_variance', 'variance' or 'std' (--spread)"
            )
        return out[places[0][0]], log_variance_of(out[places[0][1]], kind, name)

    def output(module: Any, z: Tensor, given: Tensor | None) -> Any:
        check(module, "decode", given)
        out = module.decode(z) if given is None else module.decode(z, given)
        return out[0] if isinstance(out, tuple | list) and out else out

    return TorchProbe(
        name, module, mean_and_log_variance, output, input_shape=input_shape, notes=notes, copies=False, spread=kind
    )


def _part(module: Any, name: str) -> Any:
    """The method, or the network behind it, whose parameters say whether there is a condition."""
    inner = {"encode": "encoder", "decode": "decoder"}[name]
    return getattr(module, inner if isinstance(module, Pair) else name)


def known_pair(out: Any, where: str) -> tuple[Tensor, Tensor] | None:
    """Mean and log-variance of a distribution object, which says what it holds; None of anything else."""
    while isinstance(out, torch.distributions.Independent):
        out = out.base_dist
    if isinstance(out, torch.distributions.Normal):
        return out.loc, log_variance_of(out.scale, "std", where)
    mean, log_variance = getattr(out, "mean", None), getattr(out, "logvar", None)
    return (mean, log_variance) if torch.is_tensor(mean) and torch.is_tensor(log_variance) else None


def spread_of(module: nn.Module) -> Spread | None:
    """What the module's own `reparameterize(mean, s)` takes for s, from the spread of its draws; None without one."""
    method = next((getattr(module, name) for name in REPARAMETERIZE if hasattr(module, name)), None)
    if method is None:
        return None
    was, module.training = module.training, True  # older examples draw only while training
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            drawn = method(torch.zeros(DRAWS, 1), torch.full((DRAWS, 1), STEP))
    except Exception:  # whatever another's method does with tensors of ours, it does not say the spread
        return None
    finally:
        module.training = was
    if not torch.is_tensor(drawn) or drawn.numel() != DRAWS:
        return None
    deviation = float(drawn.double().std())
    expected: dict[Spread, float] = {"log_variance": math.exp(STEP / 2), "std": STEP, "variance": STEP**0.5}
    close: list[Spread] = [kind for kind, value in expected.items() if abs(deviation / value - 1) < 0.06]
    return close[0] if close else None
