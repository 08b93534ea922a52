"""What the names of an encoder's outputs and layers say: which is the mean, and what the spread is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

__all__ = ["Kind", "kind_of_any", "kind_of_name", "names_mean", "places_of_names"]

Kind = Literal["log_variance", "variance", "std", "log_std"]
"""As `Spread`, and log σ, which some frameworks' examples give."""

SQUARE = r"(var|variance|sigma_?(2|sq|square|squared))"
ROOT = r"(std|stdev|stddev|std_dev|sd)"
END = r"(_|$)"

PATTERNS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("log_variance", re.compile(rf"(log|ln)_?{SQUARE}{END}")),
    ("log_std", re.compile(rf"(log|ln)_?({ROOT}|sigma|scale){END}")),
    ("variance", re.compile(rf"(^|_){SQUARE}{END}")),
    ("std", re.compile(rf"(^|_)({ROOT}|sigma){END}")),
)
MEAN = re.compile(rf"(^|_)(mean|means|mu|loc){END}")


def kind_of_name(name: str) -> Kind | None:
    """What a name says that a thing is beside the mean; None where it says nothing.

    Examples
    --------
    >>> [kind_of_name(n) for n in ("z_log_var_1", "fc2_logvar", "logSigma", "sigma", "dense_variance", "z_mean")]
    ['log_variance', 'log_variance', 'log_std', 'std', 'variance', None]
    """
    text = _plain(name)
    return next((kind for kind, pattern in PATTERNS if pattern.search(text)), None)


def kind_of_any(names: Iterable[str]) -> Kind | None:
    """What names of layers or weights say of the spread; None where none does, or two disagree."""
    kinds = {kind for name in names if (kind := kind_of_name(name)) is not None}
    return kinds.pop() if len(kinds) == 1 else None


def names_mean(name: str) -> bool:
    """Whether a name says that a thing is the mean of z.

    Examples
    --------
    >>> names_mean("z_mean"), names_mean("fc_mu_2"), names_mean("meaning")
    (True, True, False)
    """
    return kind_of_name(name) is None and MEAN.search(_plain(name)) is not None


def places_of_names(names: Sequence[str]) -> tuple[int, int] | None:
    """Positions of mean and spread, where the names of the outputs say it; a mean without a name is before its spread.

    Examples
    --------
    >>> places_of_names(["z", "z_log_var", "z_mean"]), places_of_names(["output_1", "output_2"])
    ((2, 1), None)
    >>> places_of_names(["kl_layer", "log_var", "sampling"])
    (0, 1)
    """
    spreads = [i for i, name in enumerate(names) if kind_of_name(name) is not None]
    means = [i for i, name in enumerate(names) if names_mean(name)]
    if len(spreads) == 1 and not means and spreads[0] > 0:
        return spreads[0] - 1, spreads[0]
    return (means[0], spreads[0]) if len(means) == len(spreads) == 1 else None


def _plain(name: str) -> str:
    """Words in small letters between underscores, without the number that a framework puts behind a second use."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"(_\d+)+$", "", re.sub(r"[^a-z0-9]+", "_", words.lower()))
