"""Models that do what they should not: change their input, draw in the encoder, return three things, exit."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch import nn

from odd_values import label
from uncollapse import Objective, diagnose, open_probe
from uncollapse.errors import DataError, ObjectiveError
from uncollapse.measure.observe import observe
from uncollapse.probes import CallableProbe


class Plain(nn.Module):
    """Four columns, two latents; log-variance of −1."""

    def __init__(self):
        super().__init__()
        self.mean, self.out = nn.Linear(4, 2), nn.Linear(2, 4)

    def encode(self, x):
        return self.mean(x), torch.full((len(x), 2), -1.0).to(x)

    def decode(self, z):
        return self.out(z)


@pytest.fixture
def x(rng):
    return 100 * rng.standard_normal((60, 4))


class InPlace(Plain):
    """Normalises its input in place, on the way in and on the way out."""

    def encode(self, x):
        x.div_(255)
        return super().encode(x)

    def decode(self, z):
        z.mul_(2)
        return super().decode(z)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_model_that_changes_its_input_in_place_leaves_the_users_data_as_they_were(x, dtype):
    x = x.astype(dtype)
    model = InPlace().to(torch.float64 if dtype == np.float64 else torch.float32)  # of one type nothing is converted
    before, z = x.copy(), np.ones((3, 2), dtype=dtype)
    probe = open_probe(model, spread="log_variance")
    expected = probe.encode(x / 255 * 255).mean
    loss = Objective(n_latents=2)
    one, two = (diagnose(probe, x, objective=loss) for _ in range(2))
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(one.measurement.kl, two.measurement.kl)
    assert one.verdict == two.verdict
    by_hand = before.astype(float) / 255 @ model.mean.weight.detach().numpy().T + model.mean.bias.detach().numpy()
    np.testing.assert_allclose(expected, by_hand, rtol=1e-4, atol=1e-5)
    probe.decode(z)
    assert (z == 1).all()


def test_functions_that_change_their_input_in_place_leave_it_as_it_was(x):
    def encode(rows, given):
        rows /= 255
        given += 1
        return rows[:, :2], np.zeros((len(rows), 2))

    def decode(z, given):
        z *= 2
        return np.tile(z, 2) + given

    before, given = x.copy(), np.zeros((60, 1))
    probe = CallableProbe(encode, decode)
    for _ in range(2):
        np.testing.assert_allclose(
            observe(probe, x, given=given).measurement.aggregate_mean, before[:, :2].mean(0) / 255
        )
    probe.decode(before[:, :2], given)
    np.testing.assert_array_equal(x, before)
    assert (given == 0).all()


def three(kind, draws):
    """A module that encodes to a draw of z beside mean and log-variance, or to the mean itself if it does not draw."""

    class Three(Plain):
        def encode(self, x):
            mean, log_variance = super().encode(x)
            z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean) if draws else mean.clone()
            return (z, mean, log_variance) if kind == "first" else (mean, log_variance, z)

    return Three()


@pytest.mark.parametrize("draws", [True, False])
@pytest.mark.parametrize("kind", ["first", "last"])
def test_a_draw_of_z_beside_mean_and_log_variance_is_told_apart_by_what_it_does(x, kind, draws):
    model = three(kind, draws)
    q = open_probe(model, spread="log_variance").encode(x)
    mean = (model.mean(torch.tensor(x).float())).detach().numpy()
    np.testing.assert_allclose(q.mean, mean, rtol=1e-5)
    np.testing.assert_allclose(q.variance, np.exp(-1), rtol=1e-6)

    def encode(rows):
        return [part.detach().numpy() for part in model.encode(torch.tensor(rows).float())]

    functions = CallableProbe(encode, lambda z: z @ np.ones((2, 4)))
    np.testing.assert_allclose(functions.encode(x).mean, mean, rtol=1e-5)
    np.testing.assert_allclose(functions.encode(x[:5]).variance, np.exp(-1), rtol=1e-6)


def test_three_outputs_that_cannot_be_told_apart_are_asked_about_in_one_line(x):
    class Three(Plain):
        def encode(self, x):
            mean, log_variance = super().encode(x)
            return mean + 1, mean, log_variance

    model = Three()
    with pytest.raises(
        ObjectiveError, match=r"3 outputs.*cannot be known; name them in open_probe\(..., outputs=\(1, 2\)\)"
    ) as caught:
        open_probe(model, spread="log_variance").encode(x)
    assert "\n" not in str(caught.value)
    named = open_probe(model, spread="log_variance", outputs=(1, 2)).encode(x)
    np.testing.assert_allclose(named.variance, np.exp(-1), rtol=1e-6)
    other = open_probe(model, spread="log_variance", outputs=(0, 2)).encode(x)
    np.testing.assert_allclose(other.mean, named.mean + 1, rtol=1e-4, atol=1e-4)
    with pytest.raises(DataError, match="3 outputs"):
        open_probe(model, spread="log_variance", outputs=(1, 3)).encode(x)
    zeros = CallableProbe(lambda x: (0 * x, 0 * x, x), lambda z: z)  # which 0 is the mean?
    with pytest.raises(ObjectiveError, match="3 outputs"):
        zeros.encode(x)
    for outputs in ("mean", (1, 1), (0,), (0.5, 1), (-1, 0)):
        with pytest.raises(ObjectiveError, match="outputs must be the positions"):
            open_probe(model, spread="log_variance", outputs=outputs)


def test_features_beside_mean_and_log_variance_are_left_alone(x):
    class Features(Plain):
        def encode(self, x):
            return (*super().encode(x), torch.relu(x), {"kl": 1})

    np.testing.assert_allclose(open_probe(Features(), spread="log_variance").encode(x).variance, np.exp(-1), rtol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "part"), [(torch.complex64, "complex"), (torch.bool, "bool")], ids=["complex", "bool"]
)
def test_outputs_that_are_no_real_numbers_are_refused(x, dtype, part):
    class Odd(Plain):
        def decode(self, z):
            return super().decode(z).to(dtype)

    class OddMean(Plain):
        def encode(self, x):
            return tuple(out.to(dtype) for out in super().encode(x))

    with pytest.raises(DataError, match=f"the decoder gave a {part} tensor"):
        diagnose(Odd(), x, spread="log_variance", objective=Objective(n_latents=2))
    with pytest.raises(DataError, match=f"the encoder gave a {part} tensor"):
        observe(open_probe(OddMean(), spread="log_variance"), x)


@pytest.mark.parametrize(
    "out",
    [
        lambda mean: mean.to_sparse(),
        lambda mean: mean.to("meta"),
        lambda mean: torch.nested.nested_tensor([mean, mean], layout=torch.strided),
        lambda mean: None,
        lambda mean: (row for row in mean),
        lambda mean: {"mean": None},
        lambda mean: sys.exit(3),
        lambda mean: (_ for _ in ()).throw(MemoryError("no more")),
        lambda mean: mean[:, 0].sum(),
    ],
    ids=["sparse", "meta", "nested", "none", "generator", "dict", "exit", "raises", "scalar"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_whatever_an_encoder_or_a_decoder_gives_ends_in_one_line_of_ours(x, out):
    class OddMean(Plain):
        def encode(self, x):
            mean, log_variance = super().encode(x)
            return out(mean), log_variance

    class OddDecoder(Plain):
        def decode(self, z):
            return out(super().decode(z))

    for model in (OddMean(), OddDecoder()):
        with pytest.raises(DataError) as caught:
            diagnose(model, x, spread="log_variance", objective=Objective(n_latents=2))
        assert "\n" not in str(caught.value)

    for pair in (
        (lambda x: (out(torch.tensor(x)), torch.zeros(len(x), 4)), lambda z: z),
        (lambda x: (x, np.zeros_like(x)), lambda z: out(torch.tensor(z))),
    ):
        with pytest.raises(DataError) as caught:
            diagnose(pair, x, spread="log_variance", objective=Objective(n_latents=2))
        assert "\n" not in str(caught.value)


def test_what_an_encoder_raises_is_kept_as_the_cause_and_the_rows_are_named(x):
    calls = []

    def encode(rows):
        calls.append(len(rows))
        raise KeyError("no such layer")

    with pytest.raises(DataError, match="encoder fails on an input of shape .60, 4.: KeyError") as caught:
        observe(CallableProbe(encode, lambda z: z), x)
    assert isinstance(caught.value.__cause__, KeyError)

    class Theirs:
        name, objective, decoder_variance, notes, trained_for = "theirs", None, None, (), None

        def encode(self, x, given=None):
            return sys.exit("bye")

        def decode(self, z, given=None):
            return z

    with pytest.raises(DataError, match=r"of theirs \(from row 0 on, counted from 0\): SystemExit: bye") as caught:
        observe(Theirs(), x)
    assert isinstance(caught.value.__cause__, SystemExit)


@pytest.mark.parametrize("given", [None, (), np.zeros((60, 2)), "q"])
def test_a_probe_of_a_users_own_must_give_a_posterior(x, given):
    class Theirs:
        name, objective, decoder_variance, notes, trained_for = "theirs", None, None, (), None

        def encode(self, x, condition=None):
            return given

        def decode(self, z, condition=None):
            return z

    with pytest.raises(DataError, match="theirs: encode must return a Posterior"):
        observe(Theirs(), x)


def test_an_encoder_that_keeps_dropout_on_is_noted_and_one_of_noise_alone_refused(x):
    class Dropout(Plain):
        def encode(self, x):
            return super().encode(nn.functional.dropout(x, 0.02))

    class Noise(Plain):
        def encode(self, x):
            mean, log_variance = super().encode(x)
            return torch.randn_like(mean), log_variance

    d = diagnose(Dropout(), x, spread="log_variance", objective=Objective(n_latents=2))
    assert any("gives other means for the same rows each time" in note for note in d.notes)
    with pytest.raises(DataError, match="other means each time that it is called.*dropout off"):
        diagnose(Noise(), x, spread="log_variance", objective=Objective(n_latents=2))
    still = diagnose(Plain(), x, spread="log_variance", objective=Objective(n_latents=2))
    assert not any("each time" in note for note in still.notes)


def test_the_share_of_noise_that_is_noted_is_the_noise_that_was_put_in(rng):
    x = rng.standard_normal((4000, 2))
    noise = np.random.default_rng(int(rng.integers(2**31)))

    def encode(rows):
        return rows + 0.5 * noise.standard_normal(rows.shape), np.full_like(rows, 0.1)

    (note,) = observe(CallableProbe(encode, lambda z: z, spread="variance"), x).notes
    share = float(note.partition("draw): ")[2].partition("%")[0])
    assert share == pytest.approx(100 * 0.25 / 1.25, abs=6)  # 256 rows of two columns


def test_a_condition_that_is_not_taken_or_not_given_is_one_line(x):
    class Conditional(Plain):
        def encode(self, x, c):
            return super().encode(x + c)

        def decode(self, z, c):
            return super().decode(z)

    given, loss = x[:, :1] / 100, Objective(n_latents=2)
    for plain in (Plain(), (lambda x: (x, 0 * x), lambda z: z), (nn.Linear(4, 4), nn.Linear(4, 4))):
        with pytest.raises(DataError, match="takes no condition; leave it out") as caught:
            diagnose(plain, x, given=given, spread="log_variance", objective=loss)
        assert "\n" not in str(caught.value)
    for needing in (Conditional(), (lambda x, c: (x, 0 * x), lambda z, c: z)):
        with pytest.raises(DataError, match=r"needs a condition \(c\); give it"):
            diagnose(needing, x, spread="log_variance", objective=loss)
    assert diagnose(Conditional(), x, given=given, spread="log_variance", objective=loss).measurement.n_latents == 2


def test_a_switch_is_no_condition(x):
    class Switch(Plain):
        def encode(self, x, sample=False):
            return super().encode(x)

    assert open_probe(Switch(), spread="log_variance").encode(x).n_latents == 2
    with pytest.raises(DataError, match="takes no condition"):
        open_probe(Switch(), spread="log_variance").encode(x, x[:, :1])


@pytest.mark.parametrize(
    "rows",
    ["abc", None, 3.0, [1.0, 2.0], np.zeros(4), np.array(["a"]), {"x": 1}, object(), np.zeros((3, 4), dtype=complex),
     torch.zeros(2, 4).to_sparse(), torch.empty(2, 4, device="meta"), [[1, 2], [3]], np.datetime64("2020-01-01")],
    ids=label,
)  # fmt: skip
def test_rows_that_are_none_are_refused_by_every_probe(rows):
    for probe in (
        open_probe(Plain(), spread="log_variance"),
        CallableProbe(lambda x: (x, 0 * x), lambda z: z),
    ):
        for call in (probe.encode, probe.decode):
            with pytest.raises(DataError) as caught:
                call(rows)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", ["float16", "int64", "uint8", "uint32", "longdouble", ">f8", "float32"])
def test_rows_of_any_real_type_go_through(dtype):
    rows = np.arange(8).reshape(2, 4).astype(dtype)
    expected = np.arange(8.0).reshape(2, 4)
    model = Plain().double()
    assert np.allclose(
        open_probe(model, spread="log_variance").encode(rows).mean,
        expected @ model.mean.weight.detach().numpy().T + model.mean.bias.detach().numpy(),
    )
    assert np.allclose(CallableProbe(lambda x: (x, 0 * x), lambda z: z).encode(rows).mean, expected)
    assert np.allclose(open_probe(model, spread="log_variance").encode(rows.tolist()).mean,
                       open_probe(model, spread="log_variance").encode(expected).mean)  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_model_of_any_precision_is_read_in_its_own(x, dtype):
    model = Plain()
    x = x / 100
    expected = open_probe(model, spread="log_variance").encode(x)
    q = open_probe(model.to(dtype), spread="log_variance").encode(x)
    np.testing.assert_allclose(q.mean, expected.mean, atol=0.05)
    np.testing.assert_allclose(q.variance, np.exp(-1), rtol=0.01)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"encoder": "x"}, "encoder must be a function, got 'x'"),
        ({"decoder": None}, "decoder must be a function"),
        ({"spread": "sigma"}, "spread says"),
        ({"objective": "mse"}, "objective must be"),
        ({"decoder_variance": -1}, "decoder_variance must be"),
        ({"input_shape": (0, 2)}, "input_shape"),
        ({"latent_shape": "wide"}, "latent_shape"),
        ({"outputs": 1}, "outputs must be"),
    ],
)
def test_settings_of_a_probe_of_functions_are_checked(settings, said):
    with pytest.raises(ObjectiveError, match=said):
        CallableProbe(**{"encoder": lambda x: (x, x), "decoder": lambda z: z, **settings})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"trust": "False"}, "trust must be True or False, got 'False'"),
        ({"rows": "rows"}, "the rows"),
        ({"input_shape": 2.5}, "input_shape"),
        ({"objective": 3}, "objective must be an Objective"),
        ({"spread": ["std"]}, "spread says"),
    ],
)
def test_settings_of_opening_are_checked(settings, said):
    with pytest.raises((ObjectiveError, DataError), match=said):
        open_probe(Plain(), **settings)
