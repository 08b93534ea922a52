"""Shapes and names of the parameters of a VAE, and their first values; one member, no member axis."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from uncollapse.errors import DataError, ObjectiveError
from uncollapse.forecasting.weights import Weights
from uncollapse.training.config import Network, Setup

__all__ = ["Architecture", "architecture", "conv_sizes", "initial", "warm"]

KERNEL, STRIDE, PADDING = 4, 2, 1


@dataclass(frozen=True)
class Architecture:
    """All that members must share to be trained as one stack.

    Attributes
    ----------
    network : Network
    n_inputs, n_targets, n_given : int
        Columns of x, y and of the condition (0 without one).
    latents : tuple of int
        Per level, from the data upwards.
    learned : tuple of tuple of bool
        Per level and latent, whether σ² is learned.
    bias : bool
    likelihood : str
    decoder_variance : {"fixed", "parameter", "optimal"}
    """

    network: Network
    n_inputs: int
    n_targets: int
    n_given: int
    latents: tuple[int, ...]
    learned: tuple[tuple[bool, ...], ...]
    bias: bool
    likelihood: str
    decoder_variance: str

    @property
    def log_input(self) -> bool:
        """Whether the encoder sees log(1 + x)."""
        chosen = self.network.log_input
        return self.likelihood in ("poisson", "negative-binomial", "categorical") if chosen is None else chosen

    @property
    def n_latents(self) -> int:
        """Latents of all levels together."""
        return sum(self.latents)

    @property
    def levels(self) -> list[slice]:
        """Columns of each level in arrays over all latents."""
        ends = [sum(self.latents[: level + 1]) for level in range(len(self.latents))]
        return [slice(end - n, end) for end, n in zip(ends, self.latents, strict=True)]

    def data_dependent(self, level: int) -> bool:
        """Whether the level's σ² is a function of what its encoder sees."""
        return self.network.spread == "data" and any(self.learned[level])


def architecture(setup: Setup, n_inputs: int, n_targets: int, n_given: int = 0) -> Architecture:
    """The architecture of a setup on data of these widths.

    Raises
    ------
    DataError
        When the data are not the images that the network expects.
    """
    o, network = setup.objective, setup.network
    if network.image is not None:
        for name, width in (("input", n_inputs), ("target", n_targets)):
            if width != math.prod(network.image):
                raise DataError(f"the {name} has {width} columns and the network expects images {network.image}")
    first = o.n_latents or min(n_inputs, n_targets)
    latents = tuple(level.n_latents or first for level in o.levels) or (first,)
    variances: list[Any] = [level.variance for level in o.levels] or [o.encoder_variance]
    learned = tuple(
        tuple(v == "learned" for v in (variance if isinstance(variance, tuple) else (variance,) * n))
        for variance, n in zip(variances, latents, strict=True)
    )
    rule = "fixed"
    if o.likelihood == "gaussian" and o.decoder_variance == "learned":
        rule = setup.training.decoder_variance_rule
    if rule != "fixed" and len(latents) > 1:
        raise ObjectiveError("a hierarchy needs a fixed decoder variance, which is its levels' own too")
    return Architecture(network, n_inputs, n_targets, n_given, latents, learned, o.bias, o.likelihood, rule)


def conv_sizes(network: Network) -> list[tuple[int, int, int]]:
    """(channels, height, width) of the image and after each convolution."""
    assert network.image is not None
    sizes = [network.image]
    for channels in network.channels:
        _, height, width = sizes[-1]
        sizes.append((channels, *((side + 2 * PADDING - KERNEL) // STRIDE + 1 for side in (height, width))))  # type: ignore[arg-type]
    return sizes


def initial(a: Architecture, variance: float, generator: torch.Generator, dtype: torch.dtype) -> dict[str, Tensor]:
    """First values: uniform in ±1/√fan-in, as PyTorch's own layers have them; variances at 1 and `variance`."""
    result: dict[str, Tensor] = {}
    for name, shape, fan_in in _layers(a):
        bound = 1 / math.sqrt(fan_in)
        try:
            result[name] = torch.empty(shape, dtype=dtype).uniform_(-bound, bound, generator=generator)
        except (RuntimeError, OverflowError):  # PyTorch's, whose allocator has no kind of its own on the CPU
            size = "×".join(map(str, shape))
            raise ObjectiveError(f"{name} of {size} weights: not enough memory; give a smaller network") from None
    for level, (n, learned) in enumerate(zip(a.latents, a.learned, strict=True)):
        if any(learned) and a.network.spread == "global":
            result[f"encoder{level}.log_variance"] = torch.zeros(1, n, dtype=dtype)
    if a.decoder_variance == "parameter":
        result["decoder.log_variance"] = torch.tensor(math.log(variance), dtype=dtype)
    if a.likelihood == "negative-binomial":
        result["decoder.log_dispersion"] = torch.zeros(1, a.n_targets, dtype=dtype)
    return result


def warm(a: Architecture, parameters: dict[str, Tensor], weights: Weights) -> dict[str, Tensor]:
    """The same parameters at the closed-form optimum of the linear model."""
    result = dict(parameters)

    def put(name: str, *parts: Any) -> None:
        value = torch.cat([torch.as_tensor(part, dtype=result[name].dtype) for part in parts])
        result[name] = value.reshape(result[name].shape)

    for level, w in enumerate((weights, *weights.upper)):
        above = () if w.encoder_condition is None else (w.encoder_condition,)
        put(f"encoder{level}.head.weight", w.encoder, *above)
        out = "decoder" if level == 0 else f"prior{level}"
        through = () if w.decoder_condition is None else (w.decoder_condition.T,)
        put(f"{out}.out.weight", w.decoder.T, *through)
        if a.bias:
            put(f"encoder{level}.head.bias", w.encoder_bias)
            put(f"{out}.out.bias", w.decoder_bias)
        if (name := f"encoder{level}.log_variance") in result:
            put(name, 2 * torch.as_tensor(w.encoder_std).log())
    if "decoder.log_variance" in result:
        result["decoder.log_variance"] = torch.full_like(
            result["decoder.log_variance"], math.log(weights.decoder_variance)
        )
    return result


Layer = tuple[str, tuple[int, ...], int]


def _layers(a: Architecture) -> Iterator[Layer]:
    """Name, shape and fan-in of every weight and bias."""
    network = a.network
    flat = a.n_inputs
    if network.channels:
        sizes = conv_sizes(network)
        flat = math.prod(sizes[-1])
        for i, (c_in, c_out) in enumerate(pairwise(sizes)):
            yield from _conv(f"encoder0.conv{i}", (c_out[0], c_in[0]), c_in[0], c_out[0], a.bias)
    heads = [n * (2 if a.data_dependent(level) else 1) for level, n in enumerate(a.latents)]
    yield from _dense("encoder0", flat + a.n_given, network.hidden, heads[0], a.bias)
    for level in range(1, len(a.latents)):
        below, n = a.latents[level - 1], a.latents[level]
        yield from _dense(f"encoder{level}", below, network.level_hidden, heads[level], a.bias)
        yield from _dense(f"prior{level}", n, network.level_hidden[::-1], below, a.bias)
    out = flat if network.channels else a.n_targets
    yield from _dense("decoder", a.latents[0] + a.n_given, network.decoder_widths, out, a.bias)
    if network.channels:
        for i, (c_out, c_in) in reversed(list(enumerate(pairwise(sizes)))):
            yield from _conv(f"decoder.conv{i}", (c_in[0], c_out[0]), c_in[0], c_out[0], a.bias)


def _dense(name: str, n_in: int, hidden: tuple[int, ...], n_out: int, bias: bool) -> Iterator[Layer]:
    last = "head" if name.startswith("encoder") else "out"
    widths = [*hidden, n_out]
    for i, width in enumerate(widths):
        layer = f"{name}.{last if i == len(hidden) else i}"
        yield f"{layer}.weight", (n_in, width), n_in
        if bias:
            yield f"{layer}.bias", (1, width), n_in
        n_in = width


def _conv(name: str, channels: tuple[int, int], c_in: int, c_out: int, bias: bool) -> Iterator[Layer]:
    fan_in = c_in * KERNEL**2
    yield f"{name}.weight", (*channels, KERNEL, KERNEL), fan_in
    if bias:
        yield f"{name}.bias", (c_out,), fan_in
