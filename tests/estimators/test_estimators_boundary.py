"""Parameters and arguments of the estimators: a right answer or one clear line."""

from __future__ import annotations

import numpy as np
import pytest

from odd_values import NEVER_NUMBERS, label
from uncollapse import LinearCVAE, LinearVAE, UncollapseError

pytestmark = pytest.mark.filterwarnings("ignore::uncollapse.UncollapseWarning")


@pytest.fixture
def x(rng):
    return rng.standard_normal((40, 4)) * [3.0, 2.0, 1.0, 0.5] + 1


def refused(make, words: str) -> None:
    with pytest.raises(UncollapseError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ddof", [40, 41, 10**400, -1, 0.5, "1", None, True], ids=label)
def test_ddof_is_below_the_number_of_rows(x, ddof):
    """From n on the covariance was negative or infinite, and the answer a nonsense one without a word."""
    refused(lambda: LinearVAE(ddof=ddof).fit(x), r"ddof must be a whole number from 0 to 39 \(there are 40 rows\)")
    refused(lambda: LinearVAE(ddof=ddof).partial_fit(x), "ddof must be")
    refused(lambda: LinearCVAE(ddof=ddof).fit(x[:, :2], x[:, 2:]), "ddof must be")


def test_ddof_divides_by_what_is_left(x):
    covariance = np.cov(x.T, ddof=39)
    np.testing.assert_allclose(
        LinearVAE(ddof=39).fit(x).explained_variance_, np.linalg.eigvalsh(covariance)[::-1], rtol=1e-9
    )


@pytest.mark.parametrize("wrong", [*NEVER_NUMBERS, 0, -1], ids=label)
@pytest.mark.parametrize("estimator", [LinearVAE, LinearCVAE])
def test_parameters_are_checked_when_fitting(x, estimator, wrong):
    y = x[:, 2:]
    refused(lambda: estimator(n_components=wrong).fit(x, y), "n_components must be")
    for name in ("beta", "decoder_variance", "prior_variance", "encoder_variance"):
        refused(lambda name=name: estimator(**{name: wrong}).fit(x, y), name)


@pytest.mark.parametrize("many", [10**18, 2**62])
def test_more_components_than_memory_holds_are_refused_at_once(x, many):
    refused(lambda: LinearVAE(n_components=many).fit(x), "lower n_latents, as latents beyond the 4 modes are dead")
    refused(lambda: LinearCVAE(n_components=many).fit(x, x[:, :2] ** 2), "lower n_latents")


def test_draws_and_latents_are_checked(x):
    vae = LinearVAE(2).fit(x)
    refused(lambda: vae.sample(0), "n_samples must be a whole number from 1 on")
    refused(lambda: vae.sample("3"), "n_samples must be")
    refused(lambda: vae.sample(10**15), "do not fit in memory")
    for wrong in ("a", -1, 1.5, object()):
        refused(lambda wrong=wrong: vae.sample(2, random_state=wrong), "random_state must be None, a whole number")
    for wrong in (np.ones((3, 4)), 1.0, "a", None, [[1.0, np.nan]]):
        refused(lambda wrong=wrong: vae.inverse_transform(wrong), "X must")
    np.testing.assert_allclose(vae.inverse_transform([0, 0]), x.mean(axis=0))


def test_targets_of_a_conditional_model_are_checked(x):
    cvae = LinearCVAE().fit(x[:, :2], x[:, 2:])
    for wrong in ("a", None, 1.0, np.ones(40), np.ones((40, 3)), [[1.0, 2.0], [3.0]]):
        refused(lambda wrong=wrong: cvae.encode(x[:, :2], wrong), "y must be|targets of shape")
        refused(lambda wrong=wrong: cvae.log_likelihood(x[:, :2], wrong), "y must be|targets of shape")
    one = LinearCVAE().fit(x[:, :2], x[:, 2])
    np.testing.assert_array_equal(one.encode(x[:, :2], x[:, 2]), one.encode(x[:, :2], x[:, 2:3]))


def test_the_density_is_that_of_the_models_own_covariance(x):
    """log N(x; mean, UUᵀη_enc² + η²I), written out."""
    vae = LinearVAE(2, decoder_variance=0.7, prior_variance=2.5).fit(x)
    covariance = 2.5 * vae.decoder_ @ vae.decoder_.T + 0.7 * np.eye(4)
    left = x - x.mean(axis=0)
    mahalanobis = np.einsum("ij,jk,ik->i", left, np.linalg.inv(covariance), left)
    expected = -0.5 * (mahalanobis + np.linalg.slogdet(2 * np.pi * covariance)[1])
    np.testing.assert_allclose(vae.score_samples(x), expected, rtol=1e-9)
