"""Likelihoods beyond Gaussian: thresholds against the objective itself, every road to them, and unfit values."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.optimize import minimize
from scipy.special import gammaln

from count_tables import DISPERSIONS, counts
from uncollapse import DataError, UncollapseWarning, forecast, moments, spectrum
from uncollapse.data import blocks as blocks_module
from uncollapse.forecasting.intervals import bootstrap

torch.set_num_threads(1)
quiet = pytest.mark.filterwarnings("ignore::uncollapse.UncollapseWarning")


def log_likelihood(name: str, y: torch.Tensor, f: torch.Tensor, log_s: torch.Tensor) -> torch.Tensor:
    """log p(y | f) by PyTorch's own distributions, summed over columns; f of shape (n, nodes, d)."""
    y, log_s = y[:, None].expand_as(f), log_s[:, None, None]
    given = torch.distributions
    if name == "categorical":
        return (y * torch.log_softmax(f, dim=-1)).sum(-1)  # multinomial, without log N!/Π y!
    if name == "bernoulli":
        return -torch.nn.functional.binary_cross_entropy_with_logits(f, y, reduction="none").sum(-1)
    if name == "poisson":
        return given.Poisson(torch.exp(f + log_s), validate_args=False).log_prob(y).sum(-1)
    r = torch.as_tensor(DISPERSIONS)
    return given.NegativeBinomial(r, logits=f + log_s - torch.log(r), validate_args=False).log_prob(y).sum(-1)


CASES = [
    ("bernoulli", None),
    ("poisson", None),
    ("poisson", "total"),
    ("poisson", "given"),
    ("negative-binomial", None),
    ("negative-binomial", "total"),
    ("negative-binomial", "given"),
    ("categorical", None),
]


@quiet
@pytest.mark.parametrize("has_target", [False, True])
@pytest.mark.parametrize(("name", "sizes"), CASES)
def test_collapse_is_stable_exactly_from_the_critical_beta_on(rng, name, sizes, has_target):
    """Full objective of a VAE with one latent, linear in z, by quadrature; its Hessian at the collapsed solution.

    Without a target the encoder is free: one posterior mean per row. With one it is linear in x.
    """
    y, s, x = counts(rng)
    if name == "bernoulli":
        y = y / y.max()  # grey values
    options = {"likelihood": name, "dispersion": DISPERSIONS if name == "negative-binomial" else None}
    options["size_factors"] = s if sizes == "given" else sizes
    found = spectrum(x, y, **options) if has_target else spectrum(y, **options)
    size = {None: np.ones(len(y)), "given": s, "total": y.sum(axis=1) / y.sum(axis=1).mean()}[sizes]
    features = torch.as_tensor(x - x.mean(axis=0) if has_target else np.eye(len(y)))
    target, log_s, d, k = torch.as_tensor(y), torch.as_tensor(np.log(size)), y.shape[1], features.shape[1]
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    nodes, weights = torch.as_tensor(nodes), torch.as_tensor(weights / weights.sum())

    def loss(p: torch.Tensor, beta: float) -> torch.Tensor:
        bias, u, w, width = p[:d], p[d : 2 * d], p[2 * d : 2 * d + k], torch.exp(p[-1])
        mean = features @ w
        f = bias + (mean[:, None] + width * nodes)[..., None] * u
        kl = 0.5 * ((mean**2).mean() + width**2 - 1 - 2 * torch.log(width))
        return -(log_likelihood(name, target, f, log_s) @ weights).mean() + beta * kl

    def collapsed(bias: np.ndarray) -> tuple[float, np.ndarray]:
        p = torch.tensor(bias, requires_grad=True)
        value = -log_likelihood(name, target, p.expand(len(y), 1, d), log_s).mean()
        value.backward()
        return value.item(), p.grad.numpy()

    fitted = minimize(collapsed, np.zeros(d), jac=True, method="L-BFGS-B", options={"ftol": 1e-16, "gtol": 1e-9})
    origin = torch.cat([torch.as_tensor(fitted.x), torch.zeros(d + k + 1, dtype=torch.float64)])
    critical = float(found.strengths[0])
    for factor, stable in ((1.0001, True), (0.9999, False)):
        hessian = torch.autograd.functional.hessian(lambda p, b=factor * critical: loss(p, b), origin)
        assert (float(torch.linalg.eigvalsh(hessian)[0]) > -1e-9) is stable, factor
    left_out = 0.0
    if name == "poisson":
        left_out = (gammaln(y + 1) - y * np.log(size)[:, None]).sum(axis=1).mean()
    if name == "negative-binomial":
        constants = (
            gammaln(y + DISPERSIONS)
            - gammaln(DISPERSIONS)
            - y * np.log(DISPERSIONS)
            - gammaln(y + 1)
            + y * np.log(size)[:, None]
        )
        left_out = -constants.sum(axis=1).mean()
    assert found.collapsed_loss + left_out == pytest.approx(fitted.fun, rel=1e-9)


@quiet
def test_categorical_strengths_by_pseudo_inverse_and_correspondence_analysis(rng):
    y = counts(rng, n=200, d=6)[0]
    total = y.sum(axis=1)
    p = y.mean(axis=0) / total.mean()
    score = y - np.multiply.outer(total, p)
    fisher = total.mean() * (np.diag(p) - np.multiply.outer(p, p))
    expected = np.linalg.eigvals(np.linalg.pinv(fisher) @ score.T @ score / len(y)).real
    found = spectrum(y, likelihood="categorical").strengths
    np.testing.assert_allclose(found, np.sort(expected)[::-1][:5], rtol=1e-9)
    assert len(found) == 5  # what adds up to the row totals has no mode

    equal = rng.multinomial(20, p, 200) + rng.multinomial(10, p[::-1], 200)
    share = equal / equal.sum()
    rows, columns = share.sum(axis=1), share.sum(axis=0)
    independent = np.multiply.outer(rows, columns)
    inertias = np.linalg.svd((share - independent) / np.sqrt(independent), compute_uv=False)[:5] ** 2
    np.testing.assert_allclose(spectrum(equal, likelihood="categorical").strengths, 30 * inertias, rtol=1e-9)
    weighted = np.linalg.svd(
        (y / y.sum() - np.multiply.outer(total / y.sum(), p)) / np.sqrt(np.multiply.outer(total / y.sum(), p)),
        compute_uv=False,
    )
    assert abs(total.mean() * weighted[0] ** 2 / found[0] - 1) > 0.01  # unequal totals: not correspondence analysis


@quiet
def test_one_hot_rows_have_unit_strengths(rng):
    """Of one draw per row nothing is shared between categories: all K − 1 modes tie at exactly 1."""
    rows = np.eye(5)[rng.integers(5, size=300)]
    np.testing.assert_allclose(spectrum(rows, likelihood="categorical").strengths, np.ones(4), rtol=1e-9)


@quiet
def test_unequal_columns_have_unit_noise(rng):
    """Independent Poisson counts: every strength is counting noise, around 1 and within the edge."""
    y = rng.poisson(np.exp(rng.uniform(0, 4, 40)), (4000, 40))
    for found in (spectrum(y, likelihood="poisson"), spectrum(y, likelihood="categorical")):
        assert found.noise.variance == 1
        assert found.noise.edge == pytest.approx((1 + np.sqrt(0.01 * found.n_features / 40)) ** 2)
        assert abs(found.strengths - 1).max() < 0.35
        assert found.above_noise.sum() <= 2


ROADS = [
    {"likelihood": "bernoulli"},
    {"likelihood": "poisson"},
    {"likelihood": "poisson", "size_factors": "total"},
    {"likelihood": "poisson", "size_factors": "given"},
    {"likelihood": "negative-binomial"},
    {"likelihood": "negative-binomial", "dispersion": 2.0, "size_factors": "total"},
    {"likelihood": "negative-binomial", "size_factors": "given"},
    {"likelihood": "categorical"},
]


def described(road: dict) -> str:
    return " ".join(map(str, road.values()))


@quiet
@pytest.mark.parametrize("road", ROADS, ids=described)
def test_every_road_leads_to_the_same_spectrum(rng, road, monkeypatch, tmp_path):
    anndata = pytest.importorskip("anndata")
    monkeypatch.setattr(blocks_module, "BLOCK_ENTRIES", 1)  # blocks of 16 rows
    y, s, _ = counts(rng, n=90, d=7)
    y[:, 4] = 0
    if road["likelihood"] == "bernoulli":
        y = np.minimum(y, 1)
    options = {**road, "size_factors": s} if road.get("size_factors") == "given" else road
    np.save(tmp_path / "y.npy", y)
    anndata.AnnData(sp.csr_matrix(y)).write_h5ad(tmp_path / "y.h5ad")
    expected = spectrum(y, **options)
    sources = {
        "wide": (y, {"n_modes": 7}),
        "wide sparse": (sp.csr_matrix(y), {"n_modes": 7}),
        "sparse": (sp.csr_array(y), {}),
        "file": (np.load(tmp_path / "y.npy", mmap_mode="r"), {}),
        "float32": (y.astype(np.float32), {}),
        "whole numbers": (y.astype(np.int16), {}),
        "divided": (y / 10, {"scale": 10}),
        "blocks": ([y[:50], y[50:]], {}),
        "h5ad": (_opened(tmp_path / "y.h5ad"), {}),
    }
    needs_rows = road["likelihood"] == "negative-binomial" and "size_factors" in road
    if not needs_rows:
        sources["generator"] = (iter([y[:50], y[50:]]), {})
    if (not needs_rows and "size_factors" not in options) or options["likelihood"] == "categorical":
        sources["moments"] = (moments(y), {})
    for name, (source, more) in sources.items():
        found = spectrum(source, **options, **more)
        k = expected.rank
        np.testing.assert_allclose(found.strengths[:k], expected.strengths, rtol=1e-7, err_msg=name)
        assert found.rank == k or not found.complete, name
        for what in ("total_energy", "collapsed_loss", "n_constant"):
            assert getattr(found, what) == pytest.approx(getattr(expected, what), rel=1e-9), (name, what)
        assert found.likelihood == road["likelihood"]


def _opened(path):
    from uncollapse.data.sources import open_source

    return open_source(str(path))


@quiet
@pytest.mark.parametrize("road", ROADS[1:], ids=described)
def test_few_rows_of_many_columns(rng, road):
    """The n × n matrix against the residuals written out."""
    y, s, _ = counts(rng, n=20, d=60)
    options = {**road, "size_factors": s} if road.get("size_factors") == "given" else road
    short, full = spectrum(y, **options), spectrum(np.vstack([y] * 7), **_repeated(options, 7))
    np.testing.assert_allclose(short.strengths, full.strengths[: short.rank], rtol=1e-8)
    assert short.total_energy == pytest.approx(full.total_energy)


def _repeated(options: dict, times: int) -> dict:
    sizes = options.get("size_factors")
    return {**options, "size_factors": np.tile(sizes, times)} if isinstance(sizes, np.ndarray) else options


@quiet
def test_dask_arrays_are_checked_chunk_by_chunk(rng):
    dask_array = pytest.importorskip("dask.array")
    y, s, x = counts(rng, n=90)
    lazy = dask_array.from_array(y, chunks=(40, 2))
    for road in ({}, {"size_factors": "total"}, {"size_factors": s}):
        expected = spectrum(y, likelihood="poisson", **road).strengths
        np.testing.assert_allclose(spectrum(lazy, likelihood="poisson", **road).strengths, expected, rtol=1e-9)
    inputs = dask_array.from_array(x, chunks=(40, 3))
    expected = spectrum(x, y, likelihood="poisson").strengths
    np.testing.assert_allclose(spectrum(inputs, lazy, likelihood="poisson").strengths, expected, rtol=1e-9)
    y[70, 3] = -1
    with pytest.raises(DataError, match="value -1 in row 70, column 3"):
        spectrum(dask_array.from_array(y, chunks=(40, 2)), likelihood="poisson")


@quiet
def test_targets_in_pairs_or_apart(rng):
    y, s, x = counts(rng, n=80)
    for road in ({"likelihood": "poisson"}, {"likelihood": "negative-binomial", "dispersion": DISPERSIONS}):
        for sizes in (None, "total", s):
            expected = spectrum(x, y, size_factors=sizes, **road)
            pairs = [(x[:30], y[:30]), (x[30:], y[30:])]
            found = spectrum(pairs, paired=True, size_factors=sizes, **road)
            np.testing.assert_allclose(found.strengths, expected.strengths, rtol=1e-9)
            assert (found.n_features, found.n_targets) == (expected.n_features, expected.n_targets) == (3, 4)


@quiet
def test_what_changes_nothing(rng):
    y, s, _ = counts(rng, n=80)

    def strengths(table=y, **options):
        return spectrum(table, **{"likelihood": "negative-binomial", "dispersion": DISPERSIONS, **options}).strengths

    poisson = {"likelihood": "poisson", "dispersion": None}
    np.testing.assert_allclose(strengths(size_factors=7 * s), strengths(size_factors=s), rtol=1e-8)
    np.testing.assert_allclose(strengths(size_factors=np.full(80, 3.0)), strengths(), rtol=1e-8)
    np.testing.assert_allclose(strengths(dispersion=1e12, size_factors=s), strengths(**poisson, size_factors=s), 1e-6)
    np.testing.assert_allclose(strengths(dispersion=np.inf), strengths(**poisson), rtol=1e-12)
    np.testing.assert_allclose(strengths(y[:, ::-1], dispersion=DISPERSIONS[::-1]), strengths(), rtol=1e-9)
    totals = y.sum(axis=1)
    np.testing.assert_allclose(strengths(size_factors=totals), strengths(size_factors="total"), rtol=1e-8)
    for same in ({"likelihood": "categorical"}, {**poisson, "size_factors": totals}):
        expected = strengths(**poisson, size_factors="total")
        np.testing.assert_allclose(strengths(**{"dispersion": None, **same}), expected, rtol=1e-8)


@quiet
def test_estimated_dispersion_matches_second_moments(rng):
    y, s, _ = counts(rng, n=200)
    found = spectrum(y, likelihood="negative-binomial")
    over = y.var(axis=0) > y.mean(axis=0)
    assert over.all()
    np.testing.assert_allclose(found.strengths, np.linalg.eigvalsh(np.corrcoef(y.T))[::-1], rtol=1e-9)
    level = y.sum(axis=0) / s.sum()
    residual = ((y - np.multiply.outer(s, level)) ** 2).mean(axis=0)
    r = level**2 * (s**2).mean() / (residual - level * s.mean())
    by_hand = spectrum(y, likelihood="negative-binomial", dispersion=np.where(r > 0, r, np.inf), size_factors=s)
    estimated = spectrum(y, likelihood="negative-binomial", dispersion="estimated", size_factors=s)
    np.testing.assert_allclose(estimated.strengths, by_hand.strengths, rtol=1e-9)
    # a column of less variance than Poisson counts as Poisson
    even = np.column_stack([y, np.tile([3.0, 4.0], 100)])
    wanted = np.sqrt([*(1 / y.var(axis=0)), 1 / 3.5])
    expected = np.linalg.eigvalsh(np.cov((even * wanted).T, ddof=0))[::-1]
    np.testing.assert_allclose(spectrum(even, likelihood="negative-binomial").strengths, expected, rtol=1e-9)


@quiet
@pytest.mark.parametrize("road", ROADS[1:], ids=described)
@pytest.mark.parametrize("n_modes", [None, 4])
def test_dropped_rows_take_their_size_factors_with_them(rng, road, n_modes):
    y, s, _ = counts(rng, n=60)
    bad = y.copy()
    bad[[3, 40], [1, 2]] = np.nan
    kept = np.isfinite(bad).all(axis=1)
    options = {**road, "n_modes": n_modes}
    given = road.get("size_factors") == "given"
    expected = spectrum(y[kept], **{**options, **({"size_factors": s[kept]} if given else {})})
    whole = {**options, **({"size_factors": s} if given else {})}
    found = spectrum(bad, drop_nonfinite=True, **whole)
    np.testing.assert_allclose(found.strengths, expected.strengths, rtol=1e-8)
    assert found.n_samples == 58
    with pytest.raises(DataError, match="2 value.* NaN or infinite, the first in row 3, column 1"):
        spectrum(bad, **whole)


@quiet
@pytest.mark.parametrize("road", ROADS[1:], ids=described)
def test_bootstrap_reads_the_same_residuals(rng, road):
    """Scores have mean squares equal to the strengths, so intervals straddle the forecast's critical β."""
    y, s, _ = counts(rng, n=400)
    sizes = s if road.get("size_factors") == "given" else road.get("size_factors")
    options = {"likelihood": road["likelihood"], "dispersion": road.get("dispersion"), "size_factors": sizes}
    f = forecast(y, **options)
    found = bootstrap(y, f, n_samples=100)
    assert found.critical_betas[0, 0] < f.critical_beta < found.critical_betas[0, 1]
    if sizes is s:
        with pytest.raises(DataError, match="401 or more rows came for 400 size factors"):
            bootstrap(np.vstack([y, y[:1]]), f)


def test_constant_columns_hold_no_mode(rng):
    y, s, _ = counts(rng, n=60)
    y = np.column_stack([y, np.zeros(60), np.full(60, 2.0)])
    with pytest.warns(UncollapseWarning, match="2 of 6 columns are constant"):
        found = spectrum(y, likelihood="poisson")
    assert found.rank == 4
    with pytest.warns(UncollapseWarning, match="1 of 6 columns are constant"):
        found = spectrum(y, likelihood="poisson", size_factors=s)
    assert found.rank == 5  # a column that stays while the sizes vary does not follow them
