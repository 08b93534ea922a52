"""Trained models of any library, seen through one interface. Needs the extra `torch`."""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError("seeing into models needs PyTorch: pip install 'uncollapse[torch]'") from error

from uncollapse.probes.callables import CallableProbe
from uncollapse.probes.open import open_probe
from uncollapse.probes.probe import Probe, TorchProbe, TrainedFor

__all__ = ["CallableProbe", "Probe", "TorchProbe", "TrainedFor", "open_probe"]
