"""Trained models of any library behind one interface. Models in PyTorch need the extra `torch`."""

from uncollapse.measure.protocol import Probe, TrainedFor
from uncollapse.probes.callables import CallableProbe
from uncollapse.probes.open import open_probe

__all__ = ["CallableProbe", "Probe", "TrainedFor", "open_probe"]
