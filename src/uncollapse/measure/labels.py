"""A measurement as labelled arrays."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from uncollapse.measure.sums import EPSILONS
from uncollapse.showing.labelled import Labelled, from_one

if TYPE_CHECKING:
    from uncollapse.measure.result import Measurement

__all__ = ["latent_places", "measurement_arrays", "measurement_facts", "measurement_places"]

AXES = {2: ("channel", "position"), 3: ("channel", "height", "width")}


def measurement_arrays(m: Measurement) -> dict[str, Labelled]:
    """What is known of each latent, and the collapse curve."""
    latent = ("latent",)
    arrays = {
        "kl": Labelled(latent, m.kl, "mean KL", "nats"),
        "kl_std": Labelled(latent, m.kl_std, "standard deviation of the KL over rows", "nats"),
        "aggregate_mean": Labelled(latent, m.aggregate_mean, "mean of the posterior mean"),
        "mean_variance": Labelled(latent, m.mean_variance, "variance of the posterior mean over rows"),
        "variance": Labelled(latent, m.variance, "mean posterior variance"),
        "variance_std": Labelled(latent, m.variance_std, "standard deviation of the posterior variance over rows"),
        "alive": Labelled(latent, m.alive, "whether the latent is alive"),
        "active": Labelled(latent, m.active, "whether the unit is active (Burda et al. 2016)"),
        "collapsed_share": Labelled(("epsilon",), m.collapse_curve(), "share of latents that are (ε, 0.01)-collapsed"),
    }
    if m.aggregate_covariance is not None:
        about = "covariance of the aggregate posterior"
        arrays["aggregate_covariance"] = Labelled(("latent", "other_latent"), m.aggregate_covariance, about)
    return arrays


def measurement_places(m: Measurement) -> dict[str, Labelled]:
    """Coordinates of `measurement_arrays`."""
    places = {**latent_places(m.sums.latent_shape, m.sums.level_sizes),
              "epsilon": Labelled(("epsilon",), EPSILONS, "ε", "nats")}  # fmt: skip
    if m.aggregate_covariance is not None:
        places["other_latent"] = from_one(m.n_latents, "other_latent", "latent, from 1")
    return places


def measurement_facts(m: Measurement) -> dict[str, Any]:
    """Single numbers."""
    names = ("n_samples", "n_latents", "n_alive", "n_active", "rate", "mean_rank", "mutual_information_at_most")
    return {name: getattr(m, name) for name in names}


def latent_places(shape: tuple[int, ...], level_sizes: tuple[int, ...]) -> dict[str, Labelled]:
    """The number of each latent, its level in a hierarchy, and its place in spatial ones, all from 1."""
    n = math.prod(shape)
    places = {"latent": from_one(n, "latent", "latent, from 1")}
    if len(level_sizes) > 1:
        levels = np.repeat(np.arange(1, len(level_sizes) + 1), level_sizes)
        places["level"] = Labelled(("latent",), levels, "level, from the data upwards")
    if len(shape) > 1:
        names = AXES.get(len(shape)) or tuple(f"axis_{i}" for i in range(1, len(shape) + 1))
        for name, index in zip(names, np.unravel_index(np.arange(n), shape), strict=True):
            places[name] = Labelled(("latent",), index + 1, f"{name.replace('_', ' ')}, from 1")
    return places
