"""ONNX: encoder and decoder as files, against onnxruntime's own call and the model in PyTorch that they are of."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from commandline import run
from twins import N_FEATURES, N_LATENTS, SHAPES, Twin, rows
from uncollapse import DataError, Objective, ObjectiveError, SourceError, UncollapseError, diagnose, open_probe, verify
from uncollapse.measure.protocol import SpreadUnknown
from uncollapse.probes.retrain import retrain

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.libraries

from onnx import TensorProto, helper, numpy_helper  # noqa: E402


class Side(torch.nn.Module):
    def __init__(self, call):
        super().__init__()
        self.call = call

    def forward(self, *given):
        return self.call(*given)


@pytest.fixture(scope="module")
def trained():
    """The twin, trained on a unit Gaussian ELBO by this library, with its data."""
    x = rows(np.random.default_rng(0))
    rng = np.random.default_rng(1)
    weights = {name: (0.4 * rng.standard_normal(shape), np.zeros(shape[1])) for name, shape in SHAPES.items()}
    probe = open_probe(Twin(weights), spread="log_variance")
    return retrain(probe, x, x, objective=Objective(n_latents=N_LATENTS), n_steps=2500, learning_rate=5e-3).module, x


def exported(module, call, sample, path, names=None, batch=True):
    side = Side(call)
    side.own = module
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch calls its older exporter old
        torch.onnx.export(
            side, (sample,), str(path), input_names=["x"], output_names=names, dynamo=False,
            dynamic_axes={"x": {0: "n"}} if batch else None,
        )  # fmt: skip


def folder_of(module, folder, *, names=("z_mean", "z_log_var"), batch=True, size=4, encode=None):
    folder.mkdir(exist_ok=True)
    encode = encode or module.encode
    exported(module, encode, torch.zeros(size, N_FEATURES), folder / "encoder.onnx", list(names), batch)
    exported(module, module.decode, torch.zeros(size, N_LATENTS), folder / "decoder.onnx", None, batch)
    return folder


@pytest.mark.parametrize("batch", [True, False])
def test_the_diagnosis_is_that_of_the_model_in_pytorch(trained, tmp_path, batch):
    model, x = trained
    objective = Objective(n_latents=N_LATENTS)
    probe = open_probe(folder_of(model, tmp_path / "m", batch=batch))
    twin = open_probe(model, spread="log_variance")
    np.testing.assert_allclose(probe.encode(x[:101]).kl, twin.encode(x[:101]).kl, rtol=1e-4, atol=1e-5)
    z = twin.encode(x[:101]).mean
    np.testing.assert_allclose(probe.decode(z), twin.decode(z), atol=1e-5)
    ours, theirs = (diagnose(p, x, objective=objective) for p in (probe, twin))
    np.testing.assert_allclose(ours.measurement.kl, theirs.measurement.kl, rtol=1e-4, atol=1e-6)
    assert (ours.cause, ours.verdict) == (theirs.cause, theirs.verdict)
    assert any("takes 4 row(s) at a time" in note for note in probe.notes) is not batch
    assert any("measured and not trained" in note for note in ours.notes + probe.notes)
    assert any("log-variance: its name is z_log_var" in note for note in probe.notes)


def test_what_trains_is_refused_in_one_line(tmp_path, rng):
    x = rows(rng)
    dead = Twin({name: (np.zeros(shape), np.zeros(shape[1])) for name, shape in SHAPES.items()})
    probe = open_probe(folder_of(dead, tmp_path / "m"))
    d = diagnose(probe, x, objective=Objective(n_latents=N_LATENTS))
    assert any(remedy.plan is not None for remedy in d.remedies)
    with pytest.raises(UncollapseError, match="cannot be trained from here"):
        verify(d, probe, x)


def test_the_command_takes_the_folder_and_the_two_files(trained, tmp_path):
    model, x = trained
    folder = folder_of(model, tmp_path / "m")
    np.save(tmp_path / "x.npy", x)
    answers = []
    for name in (folder, f"{folder / 'encoder.onnx'},{folder / 'decoder.onnx'}"):
        result = run("diagnose", name, tmp_path / "x.npy", "--beta", 1, "--json", "-")
        assert result.returncode == 0, result.stderr
        answers.append(json.loads(result.stdout))
    assert answers[0]["cause"] == answers[1]["cause"]
    refused = run("diagnose", f"{folder / 'encoder.onnx'},{folder / 'decoder.onnx'}", tmp_path / "x.npy", "--beta", 1,
                  "--html", folder / "encoder.onnx")  # fmt: skip
    assert refused.returncode != 0
    assert "is also an input" in refused.stderr.replace("\n", " ")


def test_three_outputs_are_told_apart_by_name_or_by_what_they_do(trained, tmp_path):
    model, x = trained
    expected = open_probe(model, spread="log_variance").encode(x[:40])

    def drawing(rows_):
        mean, log_variance = model.encode(rows_)
        return mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean), mean, log_variance

    def still(rows_):
        mean, log_variance = model.encode(rows_)
        return log_variance, mean, torch.zeros_like(mean)

    for names, encode in ((("a", "b", "c"), drawing), (("z_log_var", "z_mean", "other"), still)):
        probe = open_probe(folder_of(model, tmp_path / names[0], names=names, encode=encode))
        np.testing.assert_allclose(probe.encode(x[:40]).kl, expected.kl, rtol=1e-4, atol=1e-5)
    assert any("outputs z_mean and z_log_var: by their names" in note for note in probe.notes)
    with pytest.raises(ObjectiveError, match="gives 3 outputs, and which are the mean and the spread cannot be known"):
        open_probe(folder_of(model, tmp_path / "u", names=("a", "b", "c"), encode=still))
    named = open_probe(tmp_path / "u", outputs=(1, 0), spread="log_variance")
    np.testing.assert_allclose(named.encode(x[:40]).kl, expected.kl, rtol=1e-4, atol=1e-5)


def test_one_output_of_twice_the_latents_is_read_as_halves(trained, tmp_path):
    model, x = trained
    folder = folder_of(model, tmp_path / "m", names=("out",), encode=lambda r: torch.cat(model.encode(r), 1))
    probe = open_probe(folder, spread="log_variance")
    np.testing.assert_allclose(probe.encode(x).mean, open_probe(model, spread="log_variance").encode(x).mean, atol=1e-5)
    assert any("two halves" in note for note in probe.notes)
    alone = open_probe(folder_of(model, tmp_path / "n", names=("out",), encode=lambda r: model.encode(r)[0]))
    with pytest.raises(DataError, match="gave one output of 3 numbers, and the decoder takes 3 latents"):
        alone.encode(x)


@pytest.mark.parametrize(
    ("name", "transformed"),
    [("std", lambda s: torch.exp(s / 2)), ("variance", torch.exp), ("log_sigma", lambda s: s / 2)],
)
def test_the_name_says_the_spread(trained, tmp_path, name, transformed):
    model, x = trained
    folder = folder_of(
        model, tmp_path / "m", names=("mu", name),
        encode=lambda r: (model.encode(r)[0], transformed(model.encode(r)[1])),
    )  # fmt: skip
    expected = open_probe(model, spread="log_variance").encode(x)
    np.testing.assert_allclose(open_probe(folder).encode(x).kl, expected.kl, rtol=1e-3, atol=1e-5)


def test_an_unknown_spread_is_asked_for(trained, tmp_path):
    with pytest.raises(SpreadUnknown, match="say spread="):
        open_probe(folder_of(trained[0], tmp_path / "m", names=("a", "b")))


def graph_of(path, inputs, kinds=TensorProto.FLOAT, shape=("n", N_FEATURES)):
    """An encoder whose mean is the sum of its inputs."""
    given = [helper.make_tensor_value_info(f"i{i}", kinds, shape) for i in range(inputs)]
    nodes = [helper.make_node("Sum", [i.name for i in given], ["s"]), helper.make_node("Cast", ["s"], ["mean"], to=1),
             helper.make_node("Sub", ["mean", "mean"], ["logvar"])]  # fmt: skip
    out = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("mean", "logvar")]
    model = helper.make_model(
        helper.make_graph(nodes, "g", given, out), opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    )
    onnx.save(model, str(path))


def test_types_conditions_and_images_are_read_from_the_graph(tmp_path, rng):
    x, c = rng.standard_normal((7, N_FEATURES)), rng.standard_normal((7, N_FEATURES))
    graph_of(tmp_path / "decoder.onnx", 2)
    graph_of(tmp_path / "encoder.onnx", 2, TensorProto.DOUBLE)
    probe = open_probe(tmp_path)
    np.testing.assert_allclose(probe.encode(x, c).mean, x + c, atol=1e-6)
    np.testing.assert_allclose(probe.decode(x, c), x + c, atol=1e-5)
    with pytest.raises(DataError, match="takes 2 inputs and got 1: a condition"):
        probe.encode(x)
    for n in (3, 1):
        graph_of(tmp_path / "encoder.onnx", n, shape=("n", "h", 3, 2))
        if n == 3:
            with pytest.raises(ObjectiveError, match="has 3 inputs; known are one, or two"):
                open_probe(tmp_path)
    assert open_probe(tmp_path, input_shape=(1, 3, 2)).encode(x).latent_shape == (1, 3, 2)
    graph_of(tmp_path / "encoder.onnx", 1, shape=("n", 1, 3, 2))
    assert open_probe(tmp_path).encode(x).latent_shape == (1, 3, 2)
    with pytest.raises(DataError, match="samples of shape .1, 3, 2. are due, and the data's have shape .2, 3.*order"):
        open_probe(tmp_path, input_shape=(2, 3))
    with pytest.raises(DataError, match="samples of shape .1, 3, 2. are due, and the rows have 5 numbers"):
        open_probe(tmp_path).encode(x[:, :5])


def test_damaged_and_missing_files_are_said_in_one_line(trained, tmp_path):
    folder = folder_of(trained[0], tmp_path / "m")
    with pytest.raises(SourceError, match="is one graph; give the folder"):
        open_probe(folder / "encoder.onnx")
    (folder / "decoder.onnx").write_bytes(b"no graph at all")
    with pytest.raises(SourceError, match="decoder.onnx: is no file of ONNX, or damaged"):
        open_probe(folder)
    (folder / "decoder.onnx").unlink()
    with pytest.raises(SourceError, match="decoder.onnx: no such file"):
        open_probe(folder)
    onnx.save(helper.make_model(helper.make_graph([helper.make_node("Nothing", ["x"], ["y"])], "g", [
        helper.make_tensor_value_info("x", 1, ("n", 3))], [helper.make_tensor_value_info("y", 1, ("n", 3))])),
        str(folder / "decoder.onnx"))  # fmt: skip
    with pytest.raises(SourceError, match="onnxruntime cannot load it"):
        open_probe(folder)


@pytest.mark.parametrize(
    ("place", "message"),
    [("../secret.bin", "outside its folder: not read"), ("link.bin", "outside its folder"), ("none.bin", "not beside")],
)
def test_weights_outside_the_folder_are_not_read(tmp_path, place, message):
    folder = tmp_path / "m"
    folder.mkdir()
    np.arange(N_FEATURES, dtype="float32").tofile(tmp_path / "secret.bin")
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    graph_of(folder / "decoder.onnx", 1)
    graph_of(folder / "encoder.onnx", 1)
    model = onnx.load(str(folder / "encoder.onnx"))
    weights = numpy_helper.from_array(np.zeros(N_FEATURES, dtype="float32"), "w")
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    for key, value in (("location", place), ("length", str(4 * N_FEATURES))):
        weights.external_data.add(key=key, value=value)
    branch = helper.make_graph([helper.make_node("Constant", [], ["k"], value=weights)], "inner", [], [
        helper.make_tensor_value_info("k", 1, (N_FEATURES,))])  # fmt: skip
    model.graph.node.append(helper.make_node("If", ["i0"], ["k2"], then_branch=branch, else_branch=branch))
    (folder / "encoder.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(SourceError, match=message):
        open_probe(folder)


def test_without_the_packages_it_says_what_to_install(trained, tmp_path, monkeypatch):
    folder = folder_of(trained[0], tmp_path / "m")
    for name in ("onnx", "onnxruntime"):
        with monkeypatch.context() as patch:
            patch.setitem(__import__("sys").modules, name, None)
            with pytest.raises(SourceError, match=f"{name} is needed: pip install onnx"):
                open_probe(folder)
