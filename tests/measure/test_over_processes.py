"""Rows split over two processes of torch.distributed give the sums of one process."""

from __future__ import annotations

import numpy as np
import pytest

from uncollapse import DataError, moments
from uncollapse.measure.over_processes import over_processes
from uncollapse.measure.posterior import posterior
from uncollapse.measure.sums import posterior_sums

torch = pytest.importorskip("torch")

SPLIT = 130


def _sums(x: np.ndarray) -> tuple:
    q = posterior(x[:, :3] / 2, variance=np.exp(-(x[:, 3:6] ** 2)))
    return moments(x), moments(x[:, :4], x[:, 4:]), posterior_sums(q)


def _one_of_two(rank: int, x: np.ndarray, folder: str) -> None:
    """Runs in a process of its own."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    own = x[:SPLIT] if rank == 0 else x[SPLIT:]
    whole = [over_processes(part) for part in _sums(own)]
    facts = {}
    for i, part in enumerate(whole):
        for name, value in vars(part).items():
            if value is not None:
                facts[f"{i}.{name}"] = np.asarray(value)
    try:  # columns that do not fit: refused in both, and nobody waits for ever
        over_processes(moments(own[:, : 2 + rank]))
    except DataError as error:
        facts["refused"] = np.asarray(str(error))
    np.savez(f"{folder}/{rank}.npz", **facts)
    torch.distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore")  # PyTorch's own, of its stores
def test_two_processes_have_the_sums_of_one(rng, tmp_path):
    x = rng.standard_normal((400, 6)) + 10
    torch.multiprocessing.spawn(_one_of_two, args=(x, str(tmp_path)), nprocs=2)
    for rank in (0, 1):
        found = np.load(tmp_path / f"{rank}.npz")
        assert "of different columns or models" in str(found["refused"])
        for i, expected in enumerate(_sums(x)):
            kept = {name: value for name, value in vars(expected).items() if value is not None}
            assert {key.partition(".")[2] for key in found.files if key.startswith(f"{i}.")} == set(kept)
            for name, value in kept.items():
                np.testing.assert_allclose(found[f"{i}.{name}"], np.asarray(value), rtol=1e-10, err_msg=name)


def test_without_processes_there_is_nothing_to_add_up(rng):
    with pytest.raises(DataError, match="call torch.distributed.init_process_group first"):
        over_processes(moments(rng.standard_normal((9, 2))))
    with pytest.raises(DataError, match="Moments or PosteriorSums, got ndarray"):
        over_processes(np.zeros(3))
