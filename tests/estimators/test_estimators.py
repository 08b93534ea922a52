"""LinearVAE as a scikit-learn estimator."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import SkipTestWarning
from sklearn.utils.estimator_checks import check_estimator

from uncollapse import LinearVAE, forecast

pytestmark = pytest.mark.filterwarnings("ignore::uncollapse.UncollapseWarning")


@pytest.fixture
def x(rng):
    return rng.standard_normal((300, 8)) @ rng.standard_normal((8, 8)) + 5


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.parametrize("estimator", [LinearVAE(), LinearVAE(n_components=1, decoder_variance="learned", beta=1.5)])
def test_it_passes_scikit_learns_own_checks(estimator):
    with pytest.warns(SkipTestWarning):  # scikit-learn says which array back ends are not installed
        check_estimator(estimator)


@pytest.mark.parametrize("k", [1, 3, 7])
def test_with_learned_variance_it_is_scikit_learns_pca(x, k):
    vae, pca = LinearVAE(k, decoder_variance="learned").fit(x), PCA(k).fit(x)
    assert vae.noise_variance_ == pytest.approx(pca.noise_variance_, rel=1e-8)
    np.testing.assert_allclose(np.abs(vae.components_), np.abs(pca.components_), atol=1e-8)
    np.testing.assert_allclose(vae.score_samples(x), pca.score_samples(x), rtol=1e-8)
    np.testing.assert_allclose(vae.explained_variance_, pca.explained_variance_, rtol=1e-8)


def test_the_elbo_equals_the_likelihood(x):
    vae = LinearVAE(3, decoder_variance="learned", ddof=0).fit(x)
    assert vae.score(x) == pytest.approx(vae.forecast_.elbo, rel=1e-10)
    assert vae.forecast_.loss == pytest.approx(forecast(x, n_latents=3, decoder_variance="learned").loss)


def test_parts_fit_like_the_whole(x):
    whole = LinearVAE(2).fit(x)
    parts = LinearVAE(2)
    for block in (x[:49], x[49:50], x[50:]):
        parts.partial_fit(block)
    np.testing.assert_allclose(parts.decoder_, whole.decoder_, atol=1e-9)
    assert parts.n_samples_ == 300
    assert parts.fit(x).n_samples_ == 300


def test_latents_decode_to_shrunken_reconstructions(x):
    vae = LinearVAE(8, beta=1e-6).fit(x)
    np.testing.assert_allclose(vae.inverse_transform(vae.transform(x)), x, atol=1e-2)
    dead = LinearVAE(3, beta=1e6).fit(x)
    assert (dead.transform(x) == 0).all()
    np.testing.assert_allclose(dead.inverse_transform(dead.transform(x[:2])), np.tile(x.mean(axis=0), (2, 1)))


def test_samples_have_the_models_moments(x):
    vae = LinearVAE(4, decoder_variance=0.5).fit(x)
    drawn = vae.sample(200_000, random_state=0)
    model = vae.decoder_ @ vae.decoder_.T + 0.5 * np.eye(8)
    np.testing.assert_allclose(np.cov(drawn.T), model, atol=0.03 * model.max())
    np.testing.assert_array_equal(vae.sample(3, random_state=1), vae.sample(3, random_state=1))


def test_feature_names(x):
    assert LinearVAE(2).fit(x).get_feature_names_out().tolist() == ["linearvae0", "linearvae1"]


def test_an_ill_posed_objective_is_an_error(x):
    with pytest.raises(ValueError, match="no optimal weights exist"):
        LinearVAE(decoder_variance="learned").fit(x)
