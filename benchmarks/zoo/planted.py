"""The table of planted cases: cause × data × network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from plants import (
    Planted,
    behind,
    cut_short,
    dead_units,
    idle_upper_level,
    limited,
    misfed,
    parted,
    settled,
    spoiled,
    untold,
    written,
)
from sets import Data, load

from uncollapse.diagnosis.result import Cause
from uncollapse.training import Network

__all__ = ["CASES", "DOUBLES", "Case", "Double", "grow"]

LINEAR = Network()
TANH = Network(hidden=(32,), activation="tanh")
SILU = Network(hidden=(64,), activation="silu")
RELU = Network(hidden=(64,))
DEEP = Network(hidden=(64, 64))
WIDE = Network(hidden=(128,))
CONV = Network(hidden=(32,), image=(1, 14, 14), channels=(8, 16))


@dataclass(frozen=True)
class Case:
    """One way to plant a cause."""

    cause: Cause
    data: str
    net: str
    plant: Callable[..., Planted]
    how: str = ""

    @property
    def name(self) -> str:
        """Cause, data and network."""
        return f"{self.cause}: {self.data}, {self.net}"


@dataclass(frozen=True)
class Double:
    """One way to plant two faults."""

    case: Case
    other: Cause


def grow(case: Case, seed: int) -> Planted:
    """Train one."""
    data: Data = load(case.data, seed)
    return case.plant(data, seed)


NETS = {"linear": LINEAR, "tanh": TANH, "silu": SILU, "relu": RELU, "2 relu": DEEP, "wide relu": WIDE, "conv": CONV}


def _case(cause: Cause, data: str, net: str, plant: Callable[..., Planted], **settings: object) -> Case:
    how = " ".join([plant.__name__, *(str(v) for v in settings.values() if isinstance(v, str))])
    return Case(cause, data, net, partial(plant, network=NETS[net], **settings), how)


CASES = (
    _case("healthy", "lowrank", "linear", settled, latents=10, level=0.1, steps=4000),
    _case("healthy", "lowrank", "tanh", settled, latents=6, level=0.1),
    _case("healthy", "lowrank", "silu", settled, latents=5, level=0.25),
    _case("healthy", "digits", "linear", settled, latents=12, level=0.25, steps=3000, rate=5e-3),
    _case("healthy", "digits", "silu", settled, latents=5, level=0.36),
    _case("healthy", "mnist14", "wide relu", settled, latents=5, level=0.4),
    _case("healthy", "binary", "tanh", settled, latents=4, level=0.4),
    _case("objective", "lowrank", "tanh", settled, latents=8, level=1.5),
    _case("objective", "digits", "2 relu", settled, latents=8, level=2.0, as_variance=True),
    _case("objective", "mnist14", "conv", settled, latents=8, level=1.5, steps=400),
    _case("objective", "mnist", "wide relu", settled, latents=8, level=3.0, steps=300),
    _case("objective", "curved", "silu", settled, latents=4, level=1.3),
    _case("objective", "binary", "relu", settled, latents=6, level=1.5),
    _case("objective", "counts", "tanh", settled, latents=6, level=1.5),
    _case("convention", "digits", "silu", written, latents=8, reduction="mean"),
    _case("convention", "lowrank", "linear", written, latents=6, reduction="mean"),
    _case("convention", "mnist14", "wide relu", written, latents=8, reduction="mean"),
    _case("convention", "digits", "tanh", written, latents=8, kl_batch="sum", batch_size=128),
    _case("convention", "curved", "relu", written, latents=4, kl_batch="sum", batch_size=128),
    _case("condition", "explained", "linear", settled, latents=6, level=2.0),
    _case("condition", "explained", "tanh", settled, latents=4, level=1.5),
    _case("condition", "explained", "relu", settled, latents=6, level=1.5, as_variance=True),
    _case("capacity", "lowrank", "linear", settled, latents=3, level=0.1),
    _case("capacity", "lowrank", "silu", settled, latents=3, level=0.1),
    _case("capacity", "digits", "2 relu", settled, latents=3, level=0.03),
    _case("capacity", "mnist14", "wide relu", settled, latents=4, level=0.05),
    _case("capacity", "binary", "tanh", settled, latents=2, level=0.3),
    _case("capacity", "counts", "relu", settled, latents=2, level=0.05),
    _case("optimisation", "lowrank", "relu", dead_units, latents=6, level=0.2, where="decoder"),
    _case("optimisation", "digits", "2 relu", dead_units, latents=8, level=0.2, where="decoder"),
    _case("optimisation", "mnist14", "wide relu", dead_units, latents=8, level=0.2, where="encoder0"),
    _case("optimisation", "curved", "relu", dead_units, latents=4, level=0.2, where="encoder0"),
    _case("optimisation", "binary", "relu", dead_units, latents=4, level=0.4, where="decoder"),
    _case("rightly-dead", "curved", "wide relu", settled, latents=10, level=0.03, steps=3000),
    _case("rightly-dead", "curved", "2 relu", settled, latents=8, level=0.1, steps=3000),
    _case("rightly-dead", "curved", "silu", settled, latents=8, level=0.05, steps=3000),
    _case("rightly-dead", "curved", "tanh", settled, latents=8, level=0.05, steps=3000),
    _case("rightly-dead", "digits", "2 relu", settled, latents=16, level=0.12, steps=3000),
    _case("rightly-dead", "digits", "2 relu", settled, latents=12, level=0.2, steps=3000),
    _case("slow", "lowrank", "tanh", cut_short, latents=6, level=0.1, steps=60),
    _case("slow", "digits", "silu", cut_short, latents=8, level=0.1, steps=60),
    _case("slow", "mnist", "wide relu", cut_short, latents=8, level=0.1, steps=50),
    _case("slow", "mnist14", "conv", cut_short, latents=8, level=0.1, steps=100),
    _case("slow", "lowrank", "linear", cut_short, latents=6, level=0.1, steps=100),
    _case("slow", "binary", "tanh", cut_short, latents=4, level=0.3, steps=80),
    _case("slow", "mnist14", "wide relu", cut_short, latents=8, level=0.1, steps=200),
    _case("slow", "lowrank", "silu", cut_short, latents=6, level=0.1, steps=150),
    _case("slow", "curved", "2 relu", cut_short, latents=4, level=0.05, steps=80),
    _case("slow", "curved", "silu", cut_short, latents=4, level=0.05, steps=120),
    _case("slow", "digits", "2 relu", cut_short, latents=8, level=0.05, steps=100),
    _case("slow", "digits", "relu", cut_short, latents=12, level=0.1, steps=60),
    _case("slow", "counts", "tanh", cut_short, latents=4, level=0.1, steps=80),
    _case("slow", "mnist14", "silu", cut_short, latents=8, level=0.05, steps=100),
    _case("encoder-stuck", "lowrank", "tanh", spoiled, latents=6, level=0.1, kind="softplus"),
    _case("encoder-stuck", "digits", "silu", spoiled, latents=8, level=0.05, kind="softplus"),
    _case("encoder-stuck", "lowrank", "linear", spoiled, latents=4, level=0.1, kind="clamped"),
    _case("encoder-stuck", "mnist14", "wide relu", spoiled, latents=6, level=0.1, kind="clamped"),
    _case("encoder-stuck", "curved", "silu", spoiled, latents=6, level=0.1, kind="saturated"),
    _case("encoder-stuck", "digits", "2 relu", spoiled, latents=8, level=0.1, kind="saturated"),
    _case("encoder-lags", "lowrank", "tanh", parted, latents=6, level=0.1),
    _case("encoder-lags", "digits", "silu", parted, latents=8, level=0.1),
    _case("encoder-lags", "mnist14", "wide relu", parted, latents=8, level=0.1),
    _case("encoder-lags", "lowrank", "silu", behind, latents=6, level=0.1, steps=24),
    _case("encoder-lags", "curved", "2 relu", behind, latents=4, level=0.05, steps=24),
    _case("over-alive", "lowrank", "linear", settled, latents=16, level=0.005, steps=3000),
    _case("over-alive", "lowrank", "tanh", settled, latents=20, level=0.004, steps=3000),
    _case("over-alive", "lowrank", "silu", settled, latents=16, level=0.003, steps=3000),
    _case("hierarchy", "lowrank", "linear", idle_upper_level, latents=(6, 4), level=0.1, beta=2.0),
    _case("hierarchy", "digits", "linear", idle_upper_level, latents=(8, 4), level=0.1, beta=1.5),
    _case("hierarchy", "lowrank", "tanh", idle_upper_level, latents=(6, 3), level=0.1, beta=2.0),
    _case("hierarchy", "mnist14", "silu", idle_upper_level, latents=(8, 4), level=0.15, beta=4.0),
    _case("hierarchy", "lowrank", "linear", idle_upper_level, latents=(6, 3), level=0.1, beta=1.0),
    _case("decoder-limited", "lowrank", "silu", limited, latents=6, level=0.1, kind="squashed"),
    _case("decoder-limited", "digits", "2 relu", limited, latents=12, level=0.02, kind="coarse"),
    _case("decoder-limited", "curved", "tanh", limited, latents=8, level=0.05, kind="squashed"),
    _case("other-data", "digits", "silu", misfed, latents=8, level=0.1, factor=16.0),
    _case("other-data", "mnist14", "wide relu", misfed, latents=8, level=0.1, factor=255.0),
    _case("other-data", "curved", "2 relu", misfed, latents=4, level=0.1, factor=1 / 16),
    _case("other-loss", "digits", "silu", untold, latents=8, level=2.0, free_bits=0.5),
    _case("other-loss", "lowrank", "tanh", untold, latents=8, level=2.0, free_bits=0.4),
    _case("other-loss", "curved", "relu", untold, latents=4, level=0.5, weight=0.01),
    _case("other-loss", "mnist14", "wide relu", untold, latents=8, level=1.5, weight=0.02),
)
"""One fault each."""

DOUBLES = (
    *(
        Double(_case(cause, data, net, cut_short, latents=8, level=level, steps=steps), "slow")
        for cause, data, net, level, steps in (
            ("objective", "lowrank", "silu", 1.5, 60),
            ("objective", "lowrank", "2 relu", 2.0, 60),
            ("objective", "digits", "silu", 1.5, 60),
            ("objective", "digits", "relu", 2.0, 40),
            ("objective", "mnist14", "wide relu", 1.5, 50),
            ("objective", "curved", "tanh", 1.5, 60),
        )
    ),
    *(
        Double(_case("convention", data, net, written, latents=8, steps=steps, reduction="mean"), "slow")
        for data, net, steps in (
            ("digits", "silu", 40),
            ("digits", "2 relu", 40),
            ("lowrank", "silu", 48),
            ("mnist14", "wide relu", 50),
        )
    ),
    *(
        Double(_case("encoder-stuck", data, net, spoiled, latents=latents, level=level, kind=kind), other)
        for data, net, latents, level, kind, other in (
            ("lowrank", "silu", 16, 0.004, "clamped", "over-alive"),
            ("lowrank", "tanh", 16, 0.004, "clamped", "over-alive"),
            ("lowrank", "relu", 20, 0.003, "saturated", "over-alive"),
            ("lowrank", "silu", 8, 1.5, "clamped", "objective"),
            ("digits", "silu", 8, 2.0, "clamped", "objective"),
        )
    ),
)
"""Two faults each: the principal one, and the other."""
