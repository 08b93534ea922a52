"""The cells of a sweep: what one is called, what it records, and how many are run at once."""

from __future__ import annotations

import hashlib
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any

from uncollapse.checks import one_of
from uncollapse.errors import ObjectiveError, UncollapseError
from uncollapse.training.config import Setup
from uncollapse.training.data import Table
from uncollapse.training.ensemble import best_size, train_all
from uncollapse.training.fit import prepared
from uncollapse.training.result import Evaluation, Trained
from uncollapse.training.state import model_bytes

__all__ = ["Cell", "cell_id", "check_backend", "n_workers", "record", "result_of", "run_cells"]

RESULTS = (
    "status",
    "message",
    "n_epochs",
    "seconds",
    "finished_at",
    "loss",
    "elbo",
    "misfit",
    "rate",
    "n_alive",
    "decoder_variance",
    "exact",
    "latent_kl",
)

BACKENDS = ("loky", "dask", "ray", "threading", "multiprocessing", "sequential")

CLUSTERS = ("dask", "ray")

Cell = tuple[str, Setup]
Outcome = tuple[str, dict[str, Any], bytes | None]


def cell_id(setup: Setup) -> str:
    """Short name of a cell: a hash of all its settings."""
    plain = json.dumps(Setup.from_dict(setup.to_dict()).to_dict(), sort_keys=True)
    return hashlib.blake2b(plain.encode(), digest_size=8).hexdigest()


def record(setup: Setup) -> dict[str, Any]:
    """The settings that a table shows of a cell; numbers, words, or text of lists."""
    o, n, t = setup.objective, setup.network, setup.training
    learned = o.decoder_variance == "learned"
    return {
        "beta": o.beta,
        "decoder_variance_setting": t.decoder_variance_rule if learned else o.decoder_variance,
        "encoder_variance": str(o.encoder_variance),
        "n_latents": o.n_latents,
        "likelihood": o.likelihood,
        "hidden": ",".join(map(str, n.hidden)) or "linear",
        "learning_rate": t.learning_rate,
        "seed": t.seed,
    }


def check_backend(backend: Any) -> None:
    """Refuse a name that joblib does not know, and a cluster that nobody is connected to."""
    if backend is None:
        return
    from joblib import parallel_config

    try:
        if one_of(backend, "backend", BACKENDS) == "ray":
            from ray.util.joblib import register_ray

            register_ray()
        with parallel_config(backend=backend):
            pass
    except (ValueError, ImportError) as error:
        if isinstance(error, UncollapseError):
            raise
        how = "connect a Client first, or give --scheduler ADDRESS" if backend == "dask" else f"install {backend}"
        raise ObjectiveError(f"backend {backend} cannot be used here: {how}") from None


def n_workers(jobs: int, backend: str | None) -> int:
    """Among how many the cells are shared out: processes here, or what the cluster has."""
    if _is_alone(jobs, backend):
        return 1
    from joblib import effective_n_jobs

    with _configured(jobs, backend):
        return max(1, effective_n_jobs(None))


def run_cells(
    work: Sequence[Sequence[Cell]],
    rows: Table,
    jobs: int,
    backend: str | None,
    keep_models: bool,
    device: str | None = None,
) -> Iterator[Outcome]:
    """Train units of cells and give each cell's name, result and (if wanted) model file as it ends."""
    if _is_alone(jobs, backend):
        for unit in work:
            yield from _alone(unit, rows, keep_models, device)
        return
    from joblib import Parallel, delayed, effective_n_jobs
    from joblib.parallel import get_active_backend

    with _configured(jobs, backend):
        tasks = [delayed(_unit)(list(unit), rows, keep_models, device=device) for unit in work]
        if get_active_backend()[0].supports_return_generator:
            rounds = iter([Parallel(return_as="generator_unordered", batch_size=1)(tasks)])
        else:  # Ray's gives all results at its end: so a round at a time, for what is done to be written down
            size = 2 * max(1, effective_n_jobs(None))
            rounds = (Parallel(batch_size=1)(tasks[i : i + size]) for i in range(0, len(tasks), size))
        for outcomes in rounds:
            for unit_outcomes in outcomes:
                yield from unit_outcomes


def _configured(jobs: int, backend: str | None) -> Any:
    """joblib's settings for the cells: a backend by name, else the one that the caller is inside of."""
    from joblib import parallel_config

    if backend is None and jobs == 1:
        return nullcontext()
    if backend in (None, "loky"):  # one thread a worker, as the processes share the cores
        return parallel_config(backend="loky", n_jobs=jobs, inner_max_num_threads=1)
    # a cluster is used whole unless a number is said
    return parallel_config(backend=backend, n_jobs=-1 if jobs == 1 and backend in CLUSTERS else jobs)


def _is_alone(jobs: int, backend: str | None) -> bool:
    """Whether the cells are trained in this process: nobody asked for another, here or by ``parallel_config``."""
    if backend is not None or jobs != 1:
        return False
    if "joblib" not in sys.modules:
        return True
    from joblib.parallel import get_active_backend

    active, n_jobs = get_active_backend()
    return type(active).__name__ == "LokyBackend" and n_jobs in (None, 1)


def _alone(unit: Sequence[Cell], rows: Table, keep_models: bool, device: str | None) -> Iterator[Outcome]:
    """In this process, a stack at a time, so that no more than a stack is lost if it is killed."""
    setups = [setup for _, setup in unit]
    placed, a = prepared(setups[0], rows, device)
    size = best_size(setups, a, placed)
    for start in range(0, len(unit), size):
        yield from _unit(unit[start : start + size], rows, keep_models, stack=size, device=device)


def _unit(
    unit: Sequence[Cell], rows: Table, keep_models: bool, stack: int | None = None, device: str | None = None
) -> list[Outcome]:
    try:
        trained = train_all([setup for _, setup in unit], rows, stack=stack, device=device)
    except UncollapseError as error:
        if len(unit) == 1:
            return [(unit[0][0], dict.fromkeys(RESULTS) | {"status": "refused", "message": str(error)}, None)]
        # one cell cannot be trained at all, a warm start without an optimum say: the others still can
        return [outcome for cell in unit for outcome in _unit([cell], rows, keep_models, device=device)]
    return [
        (name, result_of(vae, vae.evaluate(rows)), model_bytes(vae) if keep_models else None)
        for (name, _), vae in zip(unit, trained, strict=True)
    ]


def result_of(vae: Trained, result: Evaluation) -> dict[str, Any]:
    """What a training writes down at its end; numbers that are not finite become None."""

    def finite(value: float) -> float | None:
        return value if math.isfinite(value) else None

    values = (
        vae.status,
        vae.message,
        vae.n_epochs,
        vae.seconds,
        time.time(),
        finite(result.loss),
        finite(result.elbo),
        finite(result.misfit),
        finite(result.rate),
        result.n_alive,
        finite(result.decoder_variance),
        result.exact,
        [finite(value) for value in result.kl.tolist()],
    )
    return dict(zip(RESULTS, values, strict=True))
