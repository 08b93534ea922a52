"""What `import uncollapse` gives, and where each name lives: read by type checkers, and by the package itself."""

from .diagnosis.examine import diagnose
from .diagnosis.result import Diagnosis
from .diagnosis.trial import verify
from .errors import (
    DataError,
    ObjectiveError,
    OutputError,
    SourceError,
    UncollapseError,
    UncollapseWarning,
)
from .estimators.linear_cvae import LinearCVAE
from .estimators.linear_vae import LinearVAE
from .forecasting.certificate import Certificate, certify
from .forecasting.keep import Keep
from .forecasting.levels import LevelForecast
from .forecasting.predict import forecast
from .forecasting.result import Forecast
from .forecasting.weights import Weights
from .inferring.opening import open_weights
from .landscape.descent import linear_warmup
from .landscape.escape import EscapeTimes, escape_times
from .landscape.flow import Flow, gradient_flow
from .landscape.origin import OriginHessian, origin_hessian
from .landscape.slices import Slice, likelihood_slice, loss_slice
from .landscape.stationary import StationaryPoint, stationary_point, stationary_points
from .loss import LossConvention
from .measure.arrays import measure_posterior
from .measure.result import Measurement
from .objective import Level, Objective
from .probes.measured import measure_model
from .probes.open import open_probe
from .reading.read import read_loss
from .reading.result import LossReading
from .report.notebook import slider
from .report.written import write_report
from .reviving.build import revive
from .reviving.load import load_revived
from .reviving.result import Revived
from .spectra.decompose import spectrum
from .spectra.nonlinear import nonlinear_residual, nonlinear_spectrum
from .spectra.one_pass import Moments, moments
from .spectra.result import Condition, Spectrum

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
    "LossReading",
    "Measurement",
    "Moments",
    "Objective",
    "ObjectiveError",
    "OriginHessian",
    "OutputError",
    "Revived",
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
    "load_revived",
    "loss_slice",
    "measure_model",
    "measure_posterior",
    "moments",
    "nonlinear_residual",
    "nonlinear_spectrum",
    "open_probe",
    "open_weights",
    "origin_hessian",
    "read_loss",
    "revive",
    "slider",
    "spectrum",
    "stationary_point",
    "stationary_points",
    "verify",
    "write_report",
]

__version__: str
