"""What a trained model must not cost more than: the linear optimum, or the collapsed model, row by row."""

from __future__ import annotations

import numpy as np

from uncollapse import checks
from uncollapse.errors import DataError
from uncollapse.forecasting.result import Forecast
from uncollapse.theory.link import mean_of_natural
from uncollapse.theory.loglikelihood import misfit, negative_log_likelihood
from uncollapse.theory.posterior import gaussian_kl

__all__ = ["baseline_losses", "collapsed_losses"]


@np.errstate(all="ignore")  # what is not finite is refused
def baseline_losses(
    forecast: Forecast,
    x: np.ndarray,
    y: np.ndarray,
    given: np.ndarray | None = None,
    dispersion: np.ndarray | float = np.inf,
    sizes: np.ndarray | None = None,
) -> np.ndarray:
    """Loss of each row for the best linear model, or for the collapsed one where no closed form is known.

    Paired with the losses of a trained network on the same rows, the noise of the sample cancels: a network that costs
    more is provably under-optimised, by that many nats, because it could be linear (or collapsed).

    Parameters
    ----------
    forecast : Forecast
        At the network's own objective.
    x, y : ndarrays of shape (n, d0), (n, d2)
    given : ndarray of shape (n, c), optional
    dispersion : ndarray of shape (d2,) or float
        r of a negative binomial decoder.
    sizes : ndarray of shape (n,), optional
        What the mean of each row's counts is multiplied by, in the units of the forecast's size factors.

    Returns
    -------
    ndarray of shape (n,)
        −E log p(y|z) with every constant, plus the weighted KL, nats.

    Notes
    -----
    Source: docs/theory.md section 7 (Certificate), from the optimal weights of section 1.

    Examples
    --------
    >>> from uncollapse import forecast
    >>> x = np.random.default_rng(0).standard_normal((100, 2)) * [2.0, 1.0]
    >>> f = forecast(x, beta=0.5)
    >>> bool(np.isclose(baseline_losses(f, x, x).mean() - np.log(2 * np.pi), f.loss, rtol=1e-12))
    True
    """
    checks.instance(forecast, "forecast", Forecast)
    x, y = (checks.array(part, name, shape=(None, None), error=DataError) for part, name in ((x, "x"), (y, "y")))
    given = None if given is None else checks.array(given, "given", shape=(len(x), None), error=DataError)
    s = forecast.spectrum
    for rows, name, width in ((x, "x", s.n_features), (y, "y", s.n_targets)):
        if rows.shape[1] != width:
            raise DataError(f"{name} has {rows.shape[1]} columns and the forecast is for {width}")
    if len(x) != len(y):
        raise DataError(f"x has {len(x)} rows and y has {len(y)}; both need one row per sample")
    f, o = forecast, forecast.objective
    if not f.exact or o.levels or f.ill_posed or f.flat or f.spectrum.rank == 0:
        return collapsed_losses(f, y, given, dispersion, sizes)
    w = f.weights
    through = 0.0 if given is None or w.encoder_condition is None else given @ w.encoder_condition
    added = 0.0 if given is None or w.decoder_condition is None else given @ w.decoder_condition.T
    mean = x @ w.encoder + w.encoder_bias + through
    spread = (w.decoder**2).sum(axis=0) @ w.encoder_std**2
    missed = misfit(y, mean @ w.decoder.T + w.decoder_bias + added) + spread
    kl = gaussian_kl(mean, w.encoder_std**2, o.prior_variance).sum(axis=1)
    constant = y.shape[1] / 2 * np.log(2 * np.pi * f.decoder_variance)
    losses: np.ndarray = missed / (2 * f.decoder_variance) + constant + o.beta * kl
    if not np.isfinite(losses).all():
        row = int(np.isfinite(losses).argmin())
        raise DataError(f"x or y is too far from the data of the forecast: row {row}, counted from 0")
    return losses


@np.errstate(under="ignore")
def collapsed_losses(
    f: Forecast,
    y: np.ndarray,
    given: np.ndarray | None = None,
    dispersion: np.ndarray | float = np.inf,
    sizes: np.ndarray | None = None,
) -> np.ndarray:
    """Loss of each row for the marginal fit, with every constant: the mean of each column (in proportion to the rows'
    sizes), or its regression on the condition; arguments as in `baseline_losses`."""
    mean = np.broadcast_to(y.mean(axis=0), y.shape)
    if sizes is not None:
        mean = np.multiply.outer(sizes / sizes.mean(), y.mean(axis=0))
    condition = f.spectrum.condition
    if given is not None and condition is not None and condition.intercept is not None:
        natural = condition.intercept + (given - condition.mean) @ condition.regression.T
        mean = mean_of_natural(f.objective.likelihood, natural, y.sum(axis=1))
        mean = mean if sizes is None else mean * sizes[:, None]
    elif given is not None and condition is not None:
        mean = mean + (given - given.mean(axis=0)) @ condition.regression.T
    learned = f.objective.decoder_variance == "learned"
    variance = float(misfit(y, mean).mean()) / y.shape[1] if learned else float(f.objective.decoder_variance)
    return negative_log_likelihood(f.objective.likelihood, y, mean, decoder_variance=variance, dispersion=dispersion)
