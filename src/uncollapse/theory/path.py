"""What a dead latent could earn: a linear path beside a trained network, its weights and its gain in nats.

Source: docs/theory.md, section 9.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["LinearPath", "linear_path"]


@dataclass(frozen=True, eq=False)
class LinearPath:
    """The best linear paths, one for each strength; gain, amplitude and slope are 0 where it lies under the water.

    The latent has the posterior N(a·u(x), s²), u being its feature with mean 0 and variance 1, and adds slope·v·z to
    the decoder's output.

    Attributes
    ----------
    gain : ndarray of shape (k,)
        Fall of the loss, nats per sample.
    kl : ndarray of shape (k,)
        Of the latent, nats per sample; that of a dead latent of given width is what its width costs.
    amplitude : ndarray of shape (k,)
        a.
    variance : ndarray of shape (k,)
        s².
    slope : ndarray of shape (k,)
    """

    gain: np.ndarray
    kl: np.ndarray
    amplitude: np.ndarray
    variance: np.ndarray
    slope: np.ndarray


def linear_path(
    strengths: np.ndarray,
    water_level: float,
    beta: float,
    *,
    prior_variance: float = 1.0,
    encoder_variance: float | None = None,
) -> LinearPath:
    """The path of each direction that the reconstruction misses.

    Parameters
    ----------
    strengths : ndarray of shape (k,)
        λ: variance of the residual, averaged over q(z|x), along each of several orthogonal directions.
    water_level : float
        τ = βη²; β itself for a likelihood whose strengths are in units of its Fisher information.
    beta : float
        Weight of the KL.
    prior_variance : float
        η_enc².
    encoder_variance : float, optional
        σ² of the posterior where it is given; free when left out.

    Notes
    -----
    Source: docs/theory.md section 9. Free width: G = (β/2)(λ/τ − 1 − log(λ/τ)), KL = ½ log(λ/τ). Given width, with
    t = σ²/η_enc²: the path lives iff λ > τt, and G = (β/2)(√(λ/τ) − √t)². Exact for a Gaussian decoder; for others the
    second-order change.

    Examples
    --------
    >>> path = linear_path(np.array([4.0, 0.5]), 1.0, 1.0)
    >>> path.gain.round(4)  # (4 − 1 − log 4)/2; the second direction lies under the water
    array([0.8069, 0.    ])
    """
    lam = strengths / water_level
    least = 1.0 if encoder_variance is None else encoder_variance / prior_variance
    ratio = np.maximum(lam, least)  # at the threshold itself every weight is 0
    if encoder_variance is None:
        share = 1 / ratio  # s²/η_enc²
        squared = 1 - share  # a²/η_enc²
        gain = beta / 2 * (ratio - 1 - np.log(ratio))
        slope = np.sqrt((ratio - 1) * water_level / prior_variance)
    else:
        share = np.full(ratio.shape, least)
        squared = np.maximum(np.sqrt(ratio * least) - least, 0.0)
        gain = beta / 2 * (np.sqrt(ratio) - np.sqrt(least)) ** 2
        slope = np.sqrt(squared * ratio * water_level / prior_variance) / (squared + share)
    return LinearPath(
        gain=gain,
        kl=(squared + share - 1 - np.log(share)) / 2,
        amplitude=np.sqrt(squared * prior_variance),
        variance=share * prior_variance,
        slope=slope,
    )
