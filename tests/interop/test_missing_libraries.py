"""Without the library that an exit leads to, one line says what to install."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest

from diagnosed import diagnosed
from uncollapse import UncollapseError, forecast, measure_posterior
from uncollapse.interop import arviz, hugging_face, keras


@pytest.mark.parametrize("of", ["forecast", "measurement", "diagnosis"])
def test_to_xarray_names_the_extra(of, rng, monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    x = rng.standard_normal((50, 3))
    make = {
        "forecast": lambda: forecast(x),
        "measurement": lambda: measure_posterior(x, variance=np.ones_like(x)),
        "diagnosis": lambda: diagnosed(rng),
    }
    noun = make[of]()
    with pytest.raises(UncollapseError) as caught:
        noun.to_xarray()
    assert str(caught.value) == "to_xarray needs xarray; pip install 'uncollapse[xarray]'"


def test_inference_data_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "arviz", None)
    with pytest.raises(ImportError) as caught:
        arviz.inference_data(None, None)
    assert str(caught.value) == "InferenceData needs ArviZ: pip install 'uncollapse[arviz]'"


@pytest.mark.parametrize(
    ("module", "hidden", "said"),
    [
        (keras, "keras.callbacks", "watching a Keras training needs Keras and its backend: pip install keras"),
        (hugging_face, "transformers", "watching a Trainer needs transformers: pip install 'transformers[torch]'"),
    ],
)
def test_a_callback_names_its_library(module, hidden, said, monkeypatch):
    with monkeypatch.context() as without:
        without.setitem(sys.modules, hidden, None)
        callback = importlib.reload(module).WatchCollapse
        with pytest.raises(ImportError) as caught:
            callback(None, None)
    importlib.reload(module)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)
