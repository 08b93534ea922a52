"""A file of weights and the class they belong to → a probe, with all that was inferred and why."""

from uncollapse.inferring.infer import infer
from uncollapse.inferring.result import Inference, Inferred, Said

__all__ = ["Inference", "Inferred", "Said", "infer"]
