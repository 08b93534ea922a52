"""−log p(y | decoder's output), nats, of each likelihood, and the data that it can be of."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from uncollapse.errors import DataError

__all__ = ["LOG_RATE_LIMIT", "check_fits", "mean_of", "negative_log_likelihood", "squared_error"]

LOG_RATE_LIMIT = 20.0
"""Log-rates of counts are cut above this, so that an early step that overshoots does not overflow: a mean of more than
4.9e8 counts cannot be represented."""


def mean_of(likelihood: str, output: Tensor) -> Tensor:
    """E[y | decoder's output]: of means, logits or log-means, of any shape; of categories, their probabilities.

    Examples
    --------
    >>> mean_of("bernoulli", torch.zeros(2))
    tensor([0.5000, 0.5000])
    """
    if likelihood == "gaussian":
        return output
    if likelihood == "categorical":
        return torch.softmax(output, -1)
    return torch.sigmoid(output) if likelihood == "bernoulli" else torch.exp(output.clamp(max=LOG_RATE_LIMIT))


def squared_error(output: Tensor, y: Tensor) -> Tensor:
    """‖y − ŷ‖², averaged over the batch: (M, B, d) → (M,)."""
    return F.mse_loss(output, y, reduction="none").sum((1, 2)) / y.shape[1]


def negative_log_likelihood(likelihood: str, output: Tensor, y: Tensor, log_dispersion: Tensor | None) -> Tensor:
    """Of Bernoulli, categorical, Poisson and negative binomial decoders, entry by entry, all constants included; of
    counts over categories without log N!/Π y!, which no model changes.

    Parameters
    ----------
    output : Tensor of shape (M, B, d)
        Logits, or log-means of counts, which are cut at `LOG_RATE_LIMIT`.
    y : Tensor of the same shape
    log_dispersion : Tensor of shape (M, 1, d) or None
        log r of the negative binomial: its variance is μ + μ²/r.

    Returns
    -------
    Tensor of shape (M, B, d)

    Examples
    --------
    >>> one = torch.ones(1, 1, 1)
    >>> negative_log_likelihood("poisson", 0 * one, 2 * one, None).item()  # 1 + log 2!
    1.6931...
    """
    if likelihood == "bernoulli":
        return F.binary_cross_entropy_with_logits(output, y, reduction="none")
    if likelihood == "categorical":
        return -y * F.log_softmax(output, -1)
    log_rate = output.clamp(max=LOG_RATE_LIMIT)
    constant = torch.lgamma(y + 1)
    if likelihood == "poisson":
        return torch.exp(log_rate) - y * log_rate + constant
    assert log_dispersion is not None
    r = torch.exp(log_dispersion)
    total = torch.logaddexp(log_dispersion, log_rate)  # log(r + μ)
    return constant + torch.lgamma(r) - torch.lgamma(y + r) - r * (log_dispersion - total) - y * (log_rate - total)


def check_fits(likelihood: str, y: Tensor, name: str) -> None:
    """Refuse values that the likelihood gives no probability.

    Raises
    ------
    DataError
        Outside [0, 1] for a Bernoulli decoder; negative or not whole for counts.
    """
    if likelihood == "gaussian":
        return
    if likelihood == "bernoulli":
        bad, what, instead = (y < 0) | (y > 1), "outside [0, 1]", "rescale them (--scale), or use another likelihood"
    else:
        bad, what = (y < 0) | (y != y.round()), "no count"
        instead = "counts are whole numbers from 0 on; use another likelihood"
    if bad.any():
        row, column = (int(i) for i in bad.nonzero()[0])
        value = float(y[row, column])
        raise DataError(
            f"{name}: {int(bad.sum())} value(s) {what}, the first {value:g} in row {row}, column {column}, so no "
            f"{likelihood} likelihood fits: {instead}"
        )
