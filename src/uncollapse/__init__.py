"""uncollapse: forecast, measure, diagnose and cure posterior collapse of variational autoencoders.

A mode of the data with strength ζ² lives iff it stands above the water level τ = βη².
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from uncollapse.errors import (
    DataError,
    ObjectiveError,
    OutputError,
    SourceError,
    UncollapseError,
    UncollapseWarning,
)
from uncollapse.forecasting.certificate import Certificate, certify
from uncollapse.forecasting.keep import Keep
from uncollapse.forecasting.levels import LevelForecast
from uncollapse.forecasting.predict import forecast
from uncollapse.forecasting.result import Forecast
from uncollapse.forecasting.weights import Weights
from uncollapse.landscape.descent import linear_warmup
from uncollapse.landscape.escape import EscapeTimes, escape_times
from uncollapse.landscape.flow import Flow, gradient_flow
from uncollapse.landscape.origin import OriginHessian, origin_hessian
from uncollapse.landscape.slices import Slice, likelihood_slice, loss_slice
from uncollapse.landscape.stationary import StationaryPoint, stationary_point, stationary_points
from uncollapse.loss import LossConvention
from uncollapse.objective import Level, Objective
from uncollapse.spectra.decompose import spectrum
from uncollapse.spectra.nonlinear import nonlinear_residual, nonlinear_spectrum
from uncollapse.spectra.one_pass import Moments, moments
from uncollapse.spectra.result import Condition, Spectrum

if TYPE_CHECKING:
    from uncollapse.diagnosis.examine import diagnose
    from uncollapse.diagnosis.result import Diagnosis
    from uncollapse.diagnosis.trial import verify
    from uncollapse.estimators.linear_cvae import LinearCVAE
    from uncollapse.estimators.linear_vae import LinearVAE
    from uncollapse.measure.arrays import measure_posterior
    from uncollapse.measure.result import Measurement
    from uncollapse.probes.open import open_probe

__all__ = [
    "Certificate",
    "Condition",
    "DataError",
    "Diagnosis",
    "EscapeTimes",
    "Flow",
    "Forecast",
    "Keep",
    "Level",
    "LevelForecast",
    "LinearCVAE",
    "LinearVAE",
    "LossConvention",
    "Measurement",
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
    "diagnose",
    "escape_times",
    "forecast",
    "gradient_flow",
    "likelihood_slice",
    "linear_warmup",
    "loss_slice",
    "measure_posterior",
    "moments",
    "nonlinear_residual",
    "nonlinear_spectrum",
    "open_probe",
    "origin_hessian",
    "spectrum",
    "stationary_point",
    "stationary_points",
    "verify",
]

__version__ = "0.1.0"


_LATE = {  # what takes a while to import, so only who asks for it pays
    "Diagnosis": "uncollapse.diagnosis.result",
    "LinearCVAE": "uncollapse.estimators.linear_cvae",
    "LinearVAE": "uncollapse.estimators.linear_vae",
    "Measurement": "uncollapse.measure.result",
    "diagnose": "uncollapse.diagnosis.examine",
    "measure_posterior": "uncollapse.measure.arrays",
    "open_probe": "uncollapse.probes.open",
    "verify": "uncollapse.diagnosis.trial",
}


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(import_module(_LATE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
