"""Draws from q(z|x) as ArviZ's InferenceData. Needs the extra `arviz`."""

from __future__ import annotations

from typing import Any

import numpy as np

from uncollapse import checks
from uncollapse.data.rows import as_rows
from uncollapse.diagnosis.opening import probe_of
from uncollapse.errors import DataError
from uncollapse.measure.decoder import decoded_draws
from uncollapse.measure.labels import latent_places, measurement_facts
from uncollapse.measure.observe import Observation, observe
from uncollapse.measure.protocol import Probe, Spread
from uncollapse.objective import Objective
from uncollapse.probes.restated import with_prior_of
from uncollapse.showing.labelled import Labelled, dataset, from_one
from uncollapse.theory.posterior import log_ratio

__all__ = ["inference_data"]

DRAWN = ("chain", "draw", "row")


def inference_data(
    model: Any,
    data: Any,
    target: Any = None,
    given: Any = None,
    *,
    objective: Objective | None = None,
    spread: Spread | None = None,
    input_shape: tuple[int, ...] | None = None,
    scale: float = 1.0,
    n_rows: int = 256,
    n_chains: int = 4,
    n_draws: int = 25,
    seed: int = 0,
) -> Any:
    """Draws of the latents of a trained VAE for each row, as `arviz.InferenceData`.

    The draws are independent, as they are drawn from q(z|x) itself: chains are only there for those who want several.

    Parameters
    ----------
    model, data, target, given, objective, spread, input_shape, scale
        As in `diagnose`. Where neither the model nor the user says the objective, there is no log-likelihood.
    n_rows : int
        Rows, a random sample of the data in their order; all where there are no more.
    n_chains, n_draws : int
        Draws of each row are n_chains × n_draws, 1,000 at most.
    seed : int
        Of the sample and the draws.

    Returns
    -------
    arviz.InferenceData
        ``posterior``: z (chain, draw, row, latent), with the mean KL of each latent (nats, over all rows of the data)
        and whether it is alive as coordinates, and the rate and the counts as attributes. ``prior``: z (chain, draw,
        latent), and ``sample_stats``: log_ratio, which is log q(z|x) − log p(z) (nats); both where the prior is one
        Gaussian for all rows. ``log_likelihood``: y (chain, draw, row), log p(y|z) with every constant, nats.
        ``observed_data``: y (row, feature).

    Raises
    ------
    ImportError
        ArviZ is not installed.
    DataError, ObjectiveError
        The data do not fit the model, or it does not say how it is read.

    Examples
    --------
    In an environment with ArviZ:

    .. code-block:: python

        found = inference_data(vae, x, objective=Objective(beta=1.0))
        found.posterior.z.where(found.posterior.alive, drop=True)  # of the living latents
    """
    try:
        import arviz
    except ImportError:
        raise ImportError("InferenceData needs ArviZ: pip install 'uncollapse[arviz]'") from None
    n_rows = checks.count(n_rows, "n_rows", least=2, error=DataError)
    n_chains = checks.count(n_chains, "n_chains", least=1, error=DataError)
    n_draws = checks.count(n_draws, "n_draws", least=1, error=DataError)
    probe, loss = _opened(model, data, objective, spread, input_shape, given, scale)
    seen = observe(probe, data, target, given, scale=scale, n_rows=n_rows, seed=seed)
    return arviz.InferenceData(**_groups(probe, seen, loss, n_chains, n_draws, seed))


def _opened(
    model: Any, data: Any, objective: Objective | None, spread: Any, input_shape: Any, given: Any, scale: float
) -> tuple[Probe, Objective | None]:
    """The probe, and the loss if it is known; its prior is that of the loss."""
    how = {"spread": spread, "input_shape": input_shape, "given": given, "scale": scale}
    probe = probe_of(model, data, as_rows(data), objective=objective or Objective(), **how)
    loss = objective or probe.objective
    return (probe if loss is None else with_prior_of(probe, loss)), loss


def _groups(
    probe: Probe, seen: Observation, loss: Objective | None, n_chains: int, n_draws: int, seed: int
) -> dict[str, Any]:
    n, q, m = n_chains * n_draws, seen.posterior, seen.measurement
    rows = {"row": from_one(len(q.mean), "row", "row of the sample, from 1")}
    steps = {"chain": Labelled(("chain",), np.arange(n_chains), "chain"),
             "draw": Labelled(("draw",), np.arange(n_draws), "draw")}  # fmt: skip
    latents = latent_places(m.sums.latent_shape, m.sums.level_sizes)
    of_latent = {
        "kl": Labelled(("latent",), m.kl, "mean KL over all rows of the data", "nats"),
        "alive": Labelled(("latent",), m.alive, "whether the latent is alive"),
    }

    def stacked(parts: Any) -> np.ndarray:
        whole = np.asarray(parts)
        return whole.reshape(n_chains, n_draws, *whole.shape[1:])

    rng = np.random.default_rng([seed, n, 1])  # a stream of its own, beside that of the draws that are decoded
    groups: dict[str, Any] = {}
    if loss is None:
        z = [q.draw(rng) for _ in range(n)]
    else:
        drawn = decoded_draws(probe, seen, loss, n, seed)
        z = drawn.z
        likelihood = Labelled(DRAWN, stacked(-drawn.costs), "log p(y|z)", "nats")
        groups["log_likelihood"] = dataset({"y": likelihood}, {**steps, **rows}, {})
    if q.knows_prior:
        ratios = [log_ratio(one, q.mean, q.variance, q.prior_variance, q.prior_mean) for one in z]
        ratio = Labelled(DRAWN, stacked(ratios), "log q(z|x) − log p(z)", "nats")
        groups["sample_stats"] = dataset({"log_ratio": ratio}, {**steps, **rows}, {})
        mean, std = q.prior_mean, np.sqrt(q.prior_variance)
        prior = Labelled(("chain", "draw", "latent"), stacked(rng.normal(mean, std, (n, q.n_latents))), "latents")
        groups["prior"] = dataset({"z": prior}, {**steps, **latents}, {})
    drawn_z = Labelled((*DRAWN, "latent"), stacked(z), "latents")
    places = {**steps, **rows, **latents, **of_latent}
    facts = {"model": probe.name, "inference_library": "uncollapse", **measurement_facts(m)}
    y = Labelled(("row", "feature"), np.asarray(seen.y, dtype=np.float64), "what the decoder predicts")
    features = {"feature": from_one(seen.y.shape[1], "feature", "feature (pixel, gene, column), from 1")}
    return {
        "posterior": dataset({"z": drawn_z}, places, facts),
        **groups,
        "observed_data": dataset({"y": y}, {**rows, **features}, {}),
    }
