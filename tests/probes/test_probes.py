"""Trained models seen through probes: models of ours, modules, functions, and what cannot be read."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from uncollapse import DataError, Level, Objective, ObjectiveError
from uncollapse.errors import SourceError
from uncollapse.probes import CallableProbe, open_probe
from uncollapse.training import Network, Training, save, train


def fitted(rng, objective=None, network=None, target=None, given=None, **training):
    x = rng.standard_normal((120, 4)) * [2.0, 1.5, 1.0, 0.5]
    if objective is not None and objective.likelihood == "bernoulli":
        x = (x > 0).astype(float)
    elif objective is not None and objective.likelihood != "gaussian":
        x = rng.poisson(2.0, (120, 4)).astype(float)
    settings = Training(**{"epochs": 3, "learning_rate": 0.02, **training})
    return x, train(x, target, given, objective=objective or Objective(n_latents=3), network=network, training=settings)


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli", "poisson", "negative-binomial"])
def test_a_model_of_ours_is_seen_as_it_sees_itself(rng, likelihood):
    objective = Objective(beta=0.3, n_latents=3, likelihood=likelihood)
    x, vae = fitted(rng, objective, Network(hidden=(8,)))
    probe = open_probe(vae)
    q = probe.encode(x)
    mean, variance = vae.encode(x)
    assert np.allclose(q.mean, mean)
    assert np.allclose(q.variance, variance, rtol=1e-5)
    assert np.allclose(q.kl.mean(axis=0), vae.evaluate(x).kl, rtol=1e-4, atol=1e-6)
    assert np.allclose(probe.decode(q.mean), vae.decode(mean), rtol=1e-5)
    assert probe.objective == objective
    assert (probe.dispersion is not None) == (likelihood == "negative-binomial")
    assert probe.trained_for.epochs == 3
    assert probe.trained_for.learning_rate == 0.02


def test_a_conditional_model_wants_its_condition(rng):
    c = rng.standard_normal((120, 2))
    x, vae = fitted(rng, given=c)
    probe = open_probe(vae)
    assert np.allclose(probe.encode(x, c).mean, vae.encode(x, c)[0])
    with pytest.raises(DataError, match="condition of 2 columns, got none"):
        probe.encode(x)
    with pytest.raises(DataError, match="condition of 2 columns, got none"):
        probe.decode(np.zeros((1, 3)))
    with pytest.raises(DataError, match="data of 4 columns, got 3"):
        probe.encode(x[:, :3], c)


def test_a_learned_decoder_variance_is_read(rng):
    for rule in ("parameter", "optimal"):
        _, vae = fitted(rng, Objective(decoder_variance="learned", n_latents=2), decoder_variance_rule=rule)
        probe = open_probe(vae)
        assert probe.decoder_variance == pytest.approx(vae.history["decoder_variance"][-1], rel=0.2)
        assert probe.objective.decoder_variance == "learned"


@pytest.mark.parametrize("hidden", [(), (6,)])
def test_levels_have_their_kl_as_the_loss_counts_it(rng, hidden):
    levels = (Level(beta=1.0, n_latents=3), Level(beta=0.5, n_latents=2))
    network = Network(hidden=hidden, level_hidden=hidden)
    objective = Objective(decoder_variance=0.5, n_latents=3, levels=levels)
    x, vae = fitted(rng, objective, network, epochs=20)
    q = open_probe(vae).encode(np.tile(x, (20, 1)))
    assert q.level_sizes == (3, 2)
    assert q.lowest == slice(0, 3)
    expected = vae.evaluate(np.tile(x, (400, 1))).kl  # one draw a row; its error is below 0.01
    assert q.kl.mean(axis=0) == pytest.approx(expected, rel=0.05, abs=0.04)
    assert np.array_equal(q.kl, open_probe(vae).encode(np.tile(x, (20, 1))).kl)
    if not hidden:  # linear: means and variances of z_2 given x in closed form
        p = {name: value.numpy() for name, value in vae.parameters.items()}
        mean1, variance1 = vae.encode(x)
        w = p["encoder1.head.weight"]
        assert np.allclose(q.mean[:120, 3:], mean1 @ w + p["encoder1.head.bias"], atol=1e-4)
        exact = np.exp(p["encoder1.log_variance"]) + variance1 @ w**2
        assert q.variance[:, 3:].mean(axis=0) == pytest.approx(exact.mean(axis=0), rel=0.05)


@pytest.mark.parametrize("levels", [(), (Level(n_latents=2), Level(beta=0.5, n_latents=2))])
def test_the_numbers_of_the_objective_move_with_the_parameters(rng, levels):
    x, vae = fitted(rng, Objective(decoder_variance=0.5, n_latents=2, prior_variance=4.0, levels=levels))
    probe = open_probe(vae)
    q = probe.encode(x)
    other = torch.float64 if next(probe.module.parameters()).dtype == torch.float32 else torch.float32
    moved = probe.copy()
    moved.module.to(other)
    assert {value.dtype for value in vars(moved.module.coefficients).values()} == {other}
    if not levels:
        assert np.allclose(q.kl, moved.encode(x).kl, rtol=1e-3, atol=1e-4)
    assert np.allclose(probe.decode(q.mean[:, :2]), moved.decode(q.mean[:, :2]), rtol=1e-3, atol=1e-4)
    assert moved.encode(x).kl.shape == q.kl.shape


def test_a_folder_and_its_checkpoint_give_the_model_back(rng, tmp_path):
    x, vae = fitted(rng)
    save(vae, tmp_path / "checkpoint.safetensors")
    for name in (tmp_path, str(tmp_path), tmp_path / "checkpoint.safetensors"):
        assert np.allclose(open_probe(name).encode(x).mean, vae.encode(x)[0])
    (tmp_path / "checkpoint.safetensors").write_bytes(b"damaged")
    with pytest.raises(SourceError, match="damaged, nothing was loaded"):
        open_probe(tmp_path)


def test_a_copy_is_differentiable_and_apart_from_the_model(rng):
    x, vae = fitted(rng, network=Network(hidden=(8,)))
    probe = open_probe(vae)
    copy = probe.copy()
    before = probe.encode(x).kl
    mean, log_variance = copy.posterior(copy.tensor(x), None)
    (copy.mean_of_target(mean, None).square().sum() + log_variance.sum()).backward()
    with torch.no_grad():
        for value in copy.module.parameters():
            value -= 0.1 * value.grad
    assert np.array_equal(before, probe.encode(x).kl)
    assert not np.allclose(before, copy.encode(x).kl)


def test_a_copy_shares_only_what_cannot_be_copied(rng):
    model = Example()
    model.cached = model.encode(torch.zeros(2, 4))[0]  # with its graph, as many a training leaves it
    model.library = sys
    probe = open_probe(model)
    x = rng.standard_normal((3, 4))
    copy = probe.copy()
    assert copy.module.library is sys
    with torch.no_grad():
        copy.module.inner.bias += 1.0
    assert np.allclose(copy.encode(x).mean, probe.encode(x).mean + 1, atol=1e-6)


class Example(nn.Module):
    """The shape of pytorch/examples, whose second output means what `kind` says."""

    def __init__(self, kind="log_variance", as_list=False, draws_in_evaluation=True):
        super().__init__()
        self.inner, self.spread, self.out = nn.Linear(4, 2), nn.Linear(4, 2), nn.Linear(2, 4)
        self.kind, self.as_list, self.draws = kind, as_list, draws_in_evaluation

    def encode(self, x):
        raw = self.spread(x)
        found = (self.inner(x), raw if self.kind == "log_variance" else torch.exp(raw))
        return list(found) if self.as_list else found

    def reparameterize(self, mu, s):
        std = {"log_variance": torch.exp(s / 2), "variance": torch.abs(s).sqrt(), "std": s}[self.kind]
        return mu + std * torch.randn_like(std) if self.draws or self.training else mu

    def decode(self, z):
        return torch.sigmoid(self.out(z))


@pytest.mark.parametrize("kind", ["log_variance", "variance", "std"])
@pytest.mark.parametrize("draws_in_evaluation", [True, False])
def test_the_spread_is_read_from_how_the_model_draws(rng, kind, draws_in_evaluation):
    x = rng.standard_normal((6, 4))
    model = Example(kind, as_list=True, draws_in_evaluation=draws_in_evaluation).eval()
    state = torch.get_rng_state()
    probe = open_probe(model)
    assert torch.equal(state, torch.get_rng_state())
    assert not model.training
    raw = model.spread(torch.tensor(x).float()).detach().numpy().astype(float)
    expected = np.exp(raw * {"log_variance": 1, "variance": 1, "std": 2}[kind])
    assert np.allclose(probe.encode(x).variance, expected, rtol=1e-4)
    assert any(f"read as {kind}" in note for note in probe.notes)
    assert np.allclose(open_probe(model, spread=kind).encode(x).variance, expected, rtol=1e-4)


def test_a_spread_that_cannot_be_known_is_asked_for(rng):
    class Bare(Example):
        reparameterize = None

    with pytest.raises(ObjectiveError, match="log-variance, a variance or a standard deviation; say spread=.*--spread"):
        open_probe(Bare()).encode(rng.standard_normal((2, 4)))
    with pytest.raises(ObjectiveError, match="cannot be known: say spread="):
        open_probe((lambda x: (x, x), lambda z: z))
    with pytest.raises(ObjectiveError, match="one of log_variance, variance, std; got 'sigma'"):
        open_probe(Bare(), spread="sigma")


def test_a_distribution_says_its_spread_itself(rng):
    class Normal(Example):
        reparameterize = None

        def encode(self, x):
            return torch.distributions.Independent(torch.distributions.Normal(self.inner(x), 0.5), 1)

    assert np.allclose(open_probe(Normal()).encode(rng.standard_normal((3, 4))).variance, 0.25)


def test_two_networks_make_a_model_and_two_functions_too(rng):
    x = rng.standard_normal((5, 4))

    class Both(nn.Module):
        def forward(self, x):
            return x[:, :2], torch.full((len(x), 2), 0.5)

    modules = open_probe((Both(), nn.Linear(2, 4)), spread="std")
    functions = open_probe((lambda x: (x[:, :2], np.full((len(x), 2), 0.25)), lambda z: z @ np.ones((2, 4))),
                           spread="variance")  # fmt: skip
    assert np.allclose(modules.encode(x).kl, functions.encode(x).kl, atol=1e-6)
    assert modules.decode(np.ones((3, 2))).shape == functions.decode(np.ones((3, 2))).shape == (3, 4)
    assert hasattr(modules, "module")
    assert not hasattr(functions, "module")


def test_functions_see_conditions_images_and_spatial_latents():
    def encode(x, given):
        assert x.shape[1:] == (1, 2, 2)
        return np.ones((len(x), 3, 2, 2)) * given[:, :, None, None], np.zeros((len(x), 3, 2, 2))

    def decode(z, given):
        assert z.shape[1:] == (3, 2, 2)
        return z.mean(axis=1, keepdims=True) + given[:, :, None, None]

    probe = CallableProbe(encode, decode, input_shape=(1, 2, 2), latent_shape=(3, 2, 2))
    given = np.array([[1.0], [2.0]])
    assert np.allclose(probe.decode(np.zeros((2, 12)), given), np.repeat(given, 4, axis=1))
    q = probe.encode(np.zeros((2, 4)), given)
    assert q.latent_shape == (3, 2, 2)
    assert np.allclose(q.kl, np.repeat(given**2 / 2, 12, axis=1))
    with pytest.raises(DataError, match="shape .1, 2, 2. are due"):
        probe.encode(np.zeros((2, 5)), given)


def test_what_the_user_says_of_the_objective_overrules(rng):
    said = Objective(beta=2.0, decoder_variance=0.5, n_latents=2)
    probe = open_probe(Example(), objective=said)
    assert probe.objective is said
    assert probe.decoder_variance == 0.5
    assert open_probe(Example()).objective is None
    assert open_probe(probe) is probe


def bad(encode, **more):
    return CallableProbe(encode, lambda z: z, **more)


@pytest.mark.parametrize(
    ("encode", "told"),
    [
        (lambda x: torch.zeros(len(x), 4), "one tensor of shape .3, 4.*a mean and a log-variance are due"),
        (lambda x: (torch.zeros(len(x), 2),), "tuple of one tensor of shape .3, 2."),
        (lambda x: (torch.zeros(2, 2), torch.zeros(2, 2)), "means of shape .2, 2. for 3 rows"),
        (lambda x: (torch.zeros(len(x), 2), torch.zeros(len(x), 1)), "shape .3, 2. and a spread of shape .3, 1."),
        (lambda x: (torch.nan * x[:, :2], torch.zeros(len(x), 2)), "not finite for 3 of 3 samples .latents 1, 2"),
        (lambda x: nn.Linear(9, 2)(x), "encoder fails on an input of shape .3, 4.: RuntimeError: mat1 and mat2"),
        (lambda x: "text", "encoder gave str"),
    ],
)  # fmt: skip
def test_what_an_encoder_gives_is_checked(encode, told):
    model = Example()
    model.encode = encode
    with pytest.raises(DataError, match=told) as error:
        open_probe(model).encode(np.zeros((3, 4)))
    assert "\n" not in str(error.value)


def test_negative_spreads_are_refused_and_the_log_variance_suggested(rng):
    x = rng.standard_normal((8, 4))
    for kind in ("std", "variance"):
        with pytest.raises(DataError, match=f"negative {kind} -.*spread='log_variance'"):
            open_probe(Example("log_variance"), spread=kind).encode(x * 100)
        with pytest.raises(DataError, match=f"negative {kind} -"):
            bad(lambda x: (x, -np.ones_like(x)), spread=kind).encode(x)


@pytest.mark.parametrize(
    ("encode", "told"),
    [
        (lambda x: x, "encoder gave ndarray of shape 3×2; a pair"),
        (lambda x: (x,), "gave tuple of 1"),
        (lambda x: (x[:2], x[:2]), "2 means for 3 rows"),
        (lambda x: (x, np.full_like(x, np.inf)), "log-variance is not finite for 3 of 3"),
        (lambda x: 1 / 0 if x is None else x @ np.ones((5, 1)), "encoder fails on an input of shape .3, 2."),
    ],
)
def test_what_a_function_gives_is_checked(encode, told):
    with pytest.raises(DataError, match=told) as error:
        bad(encode).encode(np.zeros((3, 2)))
    assert "\n" not in str(error.value)


def test_what_a_decoder_gives_is_checked():
    model = Example()
    model.decode = lambda z: z[:1]
    with pytest.raises(DataError, match="decoder gave one tensor of shape .1, 2. for 3 rows"):
        open_probe(model).decode(np.zeros((3, 2)))
    with pytest.raises(DataError, match="decoder takes latents of shape .3,., got .2,."):
        open_probe(fitted(np.random.default_rng(0))[1]).decode(np.zeros((1, 2)))
    with pytest.raises(DataError, match="decoder gave NoneType"):
        CallableProbe(lambda x: (x, x), lambda z: None).decode(np.zeros((3, 2)))


def test_a_model_in_training_mode_is_read_in_evaluation_mode_and_left_as_it_was(rng):
    model = Example()
    model.inner = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2), nn.Dropout(0.5))
    model.out.eval()
    x = rng.standard_normal((20, 4))
    probe = open_probe(model)
    assert any("2 layer(s) BatchNorm1d, Dropout" in note for note in probe.notes)
    assert np.array_equal(probe.encode(x).mean, probe.encode(x).mean)
    assert model.inner[1].training
    assert not model.out.training
    assert np.array_equal(model.inner[1].running_mean, np.zeros(2))
    assert not open_probe(model.eval()).notes[:-1]


class Touches:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("suffix", [".pkl", ".pt", ".pth", ".ckpt"])
def test_a_pickled_model_is_refused_unless_trusted(rng, tmp_path, suffix):
    ran, path = tmp_path / "ran", tmp_path / f"model{suffix}"
    path.write_bytes(pickle.dumps(Touches(str(ran))))
    with pytest.raises(SourceError, match="runs the code in it; if you trust it, say so .--trust."):
        open_probe(path)
    assert not ran.exists()
    torch.save(Example(), path)
    assert open_probe(path, trust=True).encode(np.zeros((2, 4))).n_latents == 2
    torch.save(Example().state_dict(), path)
    with pytest.raises(SourceError, match="holds weights and no model"):
        open_probe(path, trust=True)


def test_a_function_of_a_module_in_the_current_folder_returns_the_model(tmp_path, monkeypatch):
    code = ("import numpy as np\ndef make():\n    return (lambda x: (x, 0 * x), lambda z: z)\n"
            "def leaves():\n    raise SystemExit(2)\n"
            "def fails():\n    raise RuntimeError('no weights\\nhere')\n")  # fmt: skip
    (tmp_path / "my_models.py").write_text(code)
    (tmp_path / "broken_models.py").write_text("1 +")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    assert open_probe("my_models:make", spread="log_variance").encode(np.ones((1, 2))).kl.sum() == 1.0
    assert sys.path == before
    for text, told in (
        ("my_models:nothing", "has no function 'nothing'"),
        ("my_models:fails", "the function failed: RuntimeError: no weights$"),
        ("my_models:leaves", "the function failed: SystemExit: 2"),
        ("broken_models:make", "cannot be imported from here: SyntaxError"),
        ("absent_models:make", "cannot be imported from here: ModuleNotFoundError"),
        ("absent.bin", "no such file"),
        ("absent", "no such file or folder"),
        (str(tmp_path), "holds no checkpoint.safetensors, model_config.json or config.json"),
        (str(tmp_path / "my_models.py"), "is no model that is known"),
    ):
        with pytest.raises(SourceError, match=told):
            open_probe(text)
    del sys.modules["my_models"]


def test_functions_need_no_torch():
    code = ("import sys; from uncollapse.probes import open_probe; "
            "open_probe((lambda x: (x, x), lambda z: z), spread='std'); print('torch' in sys.modules)")  # fmt: skip
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_an_object_that_cannot_be_seen_into_is_refused():
    for model in (nn.Linear(2, 2), object(), 3, (1, 2)):
        with pytest.raises(ObjectiveError, match="cannot be read: it needs encode"):
            open_probe(model)
