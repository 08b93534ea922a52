"""Files of weights: every wrapping that people save, and none that runs code."""

from __future__ import annotations

import argparse
import pickle

import pytest
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits

from inferring_models import written
from seeds import SEED
from uncollapse.errors import SourceError
from uncollapse.inferring.infer import infer
from uncollapse.inferring.result import Said
from uncollapse.inferring.weights import read_weights


@pytest.fixture
def vae(tmp_path):
    return written(tmp_path, "positional", SEED)


def opened(path, file, **said):
    return infer(path, load_digits().data, said=Said(model=str(file), **said))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: {"state_dict": s, "epoch": 3},
        lambda s: {"model": {"net": s}, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}},
        lambda s: {f"module.{k}": v for k, v in s.items()},
        lambda s: {f"_orig_mod.module.{k}": v for k, v in s.items()},
        lambda s: {f"model.{k}": v for k, v in s.items()} | {"metric.weight": torch.ones(2, 2)},
        lambda s: {k: v.bfloat16() for k, v in s.items()},
        lambda s: {k: v.half() for k, v in s.items()},
    ],
    ids=["state_dict", "nested", "data-parallel", "compiled", "with-a-metric", "bfloat16", "float16"],
)
def test_wrapped_weights_are_found(wrap, vae, tmp_path):
    _, file, model = vae
    path = tmp_path / "wrapped.pt"
    torch.save(wrap(model.state_dict()), path)
    module = opened(path, file).probe.module
    torch.testing.assert_close(module.fc1.weight, model.fc1.weight, rtol=1e-2, atol=1e-2)
    assert module.fc1.weight.dtype == torch.float32


def test_safetensors_are_read(vae, tmp_path):
    _, file, model = vae
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    torch.testing.assert_close(opened(tmp_path / "w.safetensors", file).probe.module.fc1.weight, model.fc1.weight)


def test_hyper_parameters_of_a_checkpoint_are_the_arguments(tmp_path):
    _, file, model = written(tmp_path, "lightning", SEED)
    saved = argparse.Namespace(n_features=64, latent_dim=6, hidden=32)
    torch.save({"state_dict": model.state_dict(), "hyper_parameters": saved}, tmp_path / "last.ckpt")
    found = opened(tmp_path / "last.ckpt", file)
    assert any("latent_dim=6" in one.value and "saved in last.ckpt" in one.reason for one in found.found)


class Ran:
    """A pickle that would create a file when it is loaded."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_a_pickle_is_refused_and_never_run(vae, tmp_path):
    _, file, _ = vae
    path, mark = tmp_path / "evil.pth", tmp_path / "ran"
    torch.save({"state_dict": Ran(mark)}, path)
    with pytest.raises(SourceError, match=r"more than weights.*--trust"):
        opened(path, file)
    with path.open("wb") as out:
        pickle.dump(Ran(mark), out)
    with pytest.raises(SourceError):
        opened(path, file)
    assert not mark.exists()


def test_a_whole_model_is_read_where_it_is_trusted(tmp_path):
    whole = torch.nn.Linear(3, 2)
    torch.save(whole, tmp_path / "whole.pth")
    with pytest.raises(SourceError, match="--trust"):
        read_weights(tmp_path / "whole.pth")
    assert isinstance(read_weights(tmp_path / "whole.pth", trust=True).whole, torch.nn.Linear)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "damaged"), (b"no weights at all", "damaged"), (None, "no such file")],
    ids=["empty", "text", "absent"],
)
def test_what_is_no_file_of_weights_is_said_to_be_none(content, said, vae, tmp_path):
    path = tmp_path / "bad.pth"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=said) as caught:
        opened(path, vae[1])
    assert "\n" not in str(caught.value)


def test_a_file_without_weights_says_what_it_holds(vae, tmp_path):
    torch.save({"epoch": 3, "loss": 0.5}, tmp_path / "log.pt")
    with pytest.raises(SourceError, match="holds no weights .its keys are epoch, loss"):
        opened(tmp_path / "log.pt", vae[1])


def test_weights_of_another_class_are_refused_with_the_first_differences(vae, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    _, file, _ = written(other, "convolutional", SEED)
    with pytest.raises(
        SourceError, match=r"does not fit .*ConvVAE: .*is only in the class; .*; .* and \d+ more"
    ) as caught:
        opened(vae[0], file)
    assert "--args" in str(caught.value)


def test_weights_alone_ask_for_their_class(vae):
    with pytest.raises(SourceError, match="--model my_vae.py:VAE"):
        infer(vae[0], load_digits().data)
