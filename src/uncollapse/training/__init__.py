"""Training VAEs with PyTorch: one, many side by side, or whole sweeps. Needs the extra `torch`.

Examples
--------
>>> import numpy as np
>>> from uncollapse import Objective
>>> from uncollapse.training import Network, Training, train
>>> x = np.random.default_rng(0).standard_normal((256, 5)).astype("float32")
>>> vae = train(x, objective=Objective(n_latents=2), network=Network(hidden=(8,)), training=Training(epochs=2))
>>> vae.encode(x)[0].shape
(256, 2)
"""

try:
    import safetensors as _safetensors  # noqa: F401
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError("training needs PyTorch and safetensors: pip install 'uncollapse[torch]'") from error

from uncollapse.training.config import Network, Setup, Training
from uncollapse.training.ensemble import train_all
from uncollapse.training.fit import train
from uncollapse.training.result import Evaluation, Trained, forecast_loss
from uncollapse.training.schedules import Schedule
from uncollapse.training.state import load, save

__all__ = [
    "Evaluation",
    "Network",
    "Schedule",
    "Setup",
    "Trained",
    "Training",
    "forecast_loss",
    "load",
    "save",
    "train",
    "train_all",
]
