"""A decoder that gives log p(x; v) alone: λ is that over its curvature, as for the same decoder step by step."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seeds import SEED
from uncollapse.errors import DataError
from uncollapse.injecting.measure import injection_spectrum

W = np.array([[1.0, 0.5], [0.0, 1.0], [0.3, -0.4]])


class Whole(torch.nn.Module):
    """A Gaussian with three numbers, whose mean is W v."""

    width = 2

    def log_prob(self, x, v):
        mean = v @ torch.as_tensor(W, dtype=v.dtype).T
        return -0.5 * ((x - mean) ** 2).sum(1) - 1.5 * np.log(2 * np.pi)


class Stepped(torch.nn.Module):
    """The same, as a distribution of its three steps."""

    def __init__(self):
        super().__init__()
        self.inject = torch.nn.Linear(1, 2)

    def forward(self, x):
        v = self.inject(torch.zeros(len(x), 1)) - self.inject.bias
        return torch.distributions.Normal(v @ torch.as_tensor(W, dtype=x.dtype).T, 1.0)


@pytest.fixture
def x(rng):
    return rng.standard_normal((3000, 3)) * [2.0, 1.0, 0.7]


def test_lambda_is_that_of_the_same_decoder_step_by_step(x):
    whole = injection_spectrum(Whole(), x, seed=SEED)
    stepped = injection_spectrum(Stepped(), x, n_draws=8, seed=SEED)
    np.testing.assert_allclose(whole.strengths, stepped.strengths, rtol=0.1)
    score, curvature = W.T @ np.diag(x.var(axis=0)) @ W, W.T @ W
    exact = np.sort(np.linalg.eigvals(np.linalg.solve(curvature, score)).real)[::-1]
    np.testing.assert_allclose(whole.held_out, exact, atol=6 * whole.errors.max())
    assert any("only log p(x; v) is known" in note for note in whole.notes)


@pytest.mark.parametrize(
    ("width", "gives", "said"),
    [
        (None, lambda x, v: x.sum(1) * v.sum(1), "set its attribute width"),
        (2, lambda x, v: x, "one number a sample"),
        (2, lambda x, v: x.sum(1), "does not reach the log-probability"),
    ],
)
def test_one_that_does_not_fit_is_one_line(width, gives, said, x):
    model = Whole()
    model.width, model.log_prob = width, gives
    with pytest.raises(DataError, match=said) as caught:
        injection_spectrum(model, x)
    assert "\n" not in str(caught.value)
