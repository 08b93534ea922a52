"""uncollapse: forecast posterior collapse of variational autoencoders from data, before any training.

A mode of the data with strength ζ² lives iff it stands above the water level τ = βη².
"""

from typing import TYPE_CHECKING, Any

from uncollapse.certify import Certificate, certify
from uncollapse.decompose import spectrum
from uncollapse.dynamics import EscapeTimes, Flow, escape_times, gradient_flow, linear_warmup
from uncollapse.errors import (
    DataError,
    ObjectiveError,
    OutputError,
    SourceError,
    UncollapseError,
    UncollapseWarning,
)
from uncollapse.forecast import Forecast, Keep, forecast
from uncollapse.landscape import OriginHessian, StationaryPoint, origin_hessian, stationary_point, stationary_points
from uncollapse.levels import LevelForecast
from uncollapse.loss import LossConvention
from uncollapse.moments import Moments, moments
from uncollapse.nonlinear import nonlinear_residual, nonlinear_spectrum
from uncollapse.objective import Level, Objective
from uncollapse.slices import Slice, likelihood_slice, loss_slice
from uncollapse.spectrum import Condition, Spectrum
from uncollapse.weights import Weights

if TYPE_CHECKING:
    from uncollapse.conditional_estimator import LinearCVAE
    from uncollapse.estimators import LinearVAE

__all__ = [
    "Certificate",
    "Condition",
    "DataError",
    "EscapeTimes",
    "Flow",
    "Forecast",
    "Keep",
    "Level",
    "LevelForecast",
    "LinearCVAE",
    "LinearVAE",
    "LossConvention",
    "Moments",
    "Objective",
    "ObjectiveError",
    "OriginHessian",
    "OutputError",
    "Slice",
    "SourceError",
    "Spectrum",
    "StationaryPoint",
    "UncollapseError",
    "UncollapseWarning",
    "Weights",
    "certify",
    "escape_times",
    "forecast",
    "gradient_flow",
    "likelihood_slice",
    "linear_warmup",
    "loss_slice",
    "moments",
    "nonlinear_residual",
    "nonlinear_spectrum",
    "origin_hessian",
    "spectrum",
    "stationary_point",
    "stationary_points",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "LinearVAE":  # scikit-learn takes a second to import, so only who asks for it pays
        from uncollapse.estimators import LinearVAE

        return LinearVAE
    if name == "LinearCVAE":
        from uncollapse.conditional_estimator import LinearCVAE

        return LinearCVAE
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
