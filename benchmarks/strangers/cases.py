"""Twenty kinds of published VAE: what is known of each by construction, written down before the command sees it.

`right` is stated beforehand. A model that was trained to its end on a sound loss may be called healthy, capacity (all
latents live and the data want more) or rightly-dead: which of them holds hangs on the number of
latents, not on a fault.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import one_hot

__all__ = ["ALL", "CASES", "FINE", "HELD_BACK", "LATER", "Case"]

FINE = ("healthy", "capacity", "rightly-dead")

Halves = Callable[[Any, torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class Case:
    """One model.

    Attributes
    ----------
    kind : str
        In a few words.
    file : str
        In `models/`, without its ending.
    build : str
        The class with the arguments that it was trained with, in the file's own names.
    weights, data : str
        Files.
    halves : callable
        Model, samples, labels → mean, log-variance and reconstruction of the mean, by the class's own parts.
    shape : tuple of int
        Of a sample, as its first layer takes it.
    spread : str
        What its encoder gives.
    loss : tuple of (str, float or None)
        Likelihood and β; of a Gaussian the water level, None where the variance is learned.
    planted : str
        What was done to it.
    right : tuple of str
        Causes that are right.
    reason : str
        Words of the true reason, where the model is outside by the list in docs/models.md; then it must be refused.
    scale, shift : float
        The model was trained on scale · data + shift.
    typed : tuple of str
        Options that belong to the data (labels); nothing of the model.
    argv : tuple of str
        With which the file was run.
    channels_last : bool
        Of the data, where the model wants them first.
    states : str
        Where the weights are in the file.
    keras : bool
        Whether it is Keras's, whose loss a user says.
    maker : str
        What follows the file on the command line: of weights of Keras the function that makes the model.
    """

    kind: str
    file: str
    build: str
    weights: str
    data: str
    halves: Halves
    shape: tuple[int, ...]
    spread: str
    loss: tuple[str, float | None]
    planted: str
    right: tuple[str, ...] = FINE
    reason: str = ""
    scale: float = 1.0
    shift: float = 0.0
    typed: tuple[str, ...] = ()
    argv: tuple[str, ...] = ()
    channels_last: bool = False
    states: str = ""
    keras: bool = False
    maker: str = ""


def _encode_decode(m: Any, x: torch.Tensor, _: torch.Tensor) -> Any:
    mean, spread = m.encode(x)
    return mean, spread, m.decode(mean)


def _log_std(m: Any, x: torch.Tensor, c: torch.Tensor) -> Any:
    mean, log_std, recon = _encode_decode(m, x, c)
    return mean, 2 * log_std, recon


def _batch_norm(m: Any, x: torch.Tensor, _: torch.Tensor) -> Any:
    h = m.enc(x)
    return m.mean_layer(h), m.logvar_layer(h), m.dec(m.mean_layer(h))


def _conditional(m: Any, x: torch.Tensor, c: torch.Tensor) -> Any:
    rows = one_hot(c, 10).to(x)
    h = m.encoder.MLP(torch.cat([x, rows], 1))
    mean = m.encoder.linear_means(h)
    return mean, m.encoder.linear_log_var(h), m.decoder.MLP(torch.cat([mean, rows], 1))


def _burgess(m: Any, x: torch.Tensor, _: torch.Tensor) -> Any:
    mean, log_variance = m.encoder(x)
    return mean, log_variance, m.decoder(mean)


def _stats(m: Any, x: torch.Tensor, _: torch.Tensor) -> Any:
    mean, log_std = m.encoder(x).chunk(2, 1)
    return mean, 2 * log_std, m.decoder(mean).sigmoid()


def _smiles(m: Any, x: torch.Tensor, _: torch.Tensor) -> Any:
    mean, log_variance = m.encode(x)
    return mean, log_variance, m.decode(mean).softmax(-1)


def _parts(m: Any, x: torch.Tensor, _: torch.Tensor) -> Any:
    mean, log_variance = m.encoder(x)
    return mean, log_variance, m.decoder(mean)


def _halved(m: Any, x: torch.Tensor, _: torch.Tensor) -> Any:
    mean, log_variance = m.encoder(x).chunk(2, 1)
    return mean, log_variance, m.decoder(mean)


def _lightning(m: Any, x: torch.Tensor, _: torch.Tensor) -> Any:
    h = m.encoder(x)
    return m.fc_mu(h), m.fc_var(h), m.decoder(m.fc_mu(h))


def _dictionaries(m: Any, x: torch.Tensor, _: torch.Tensor) -> Any:
    q = m.encoder(x)
    return q["mean"], 2 * q["std"].log(), m.decoder(q["mean"])["x_hat"]


def _q_and_p(m: Any, x: torch.Tensor, _: torch.Tensor) -> Any:
    mean, log_variance = m.q(x)
    return mean, log_variance, m.p(mean)


def _bottleneck(m: Any, x: torch.Tensor, _: torch.Tensor) -> Any:
    h = m.encoder(x)
    return m.fc1(h), m.fc2(h), m.decoder(m.fc3(m.fc1(h)))


def _layers(m: Any, x: torch.Tensor, _: torch.Tensor) -> Any:
    mean, log_variance = m.l2(torch.relu(m.l1(x.flatten(1)))).chunk(2, 1)
    return mean, log_variance, m.l4(torch.relu(m.l3(mean))).sigmoid()


def _keras(m: Any, x: torch.Tensor, _: torch.Tensor) -> Any:
    parts = {layer.name: layer for layer in m.layers}
    mean, log_variance, _ = parts["encoder"](x.float(), training=False)
    recon = parts["decoder"](mean, training=False)
    return mean.double(), log_variance.double(), recon.double()


def _handed(m: Any, x: torch.Tensor, _: torch.Tensor) -> Any:
    mean, log_variance = m.Encoder(x)
    return mean, log_variance, m.Decoder(mean)


def _lstm(m: Any, x: torch.Tensor, _: torch.Tensor) -> Any:
    mean, std = m.encoder(x)
    return mean, 2 * std.log(), m.decoder(mean).softmax(-1)


def _inference(m: Any, x: torch.Tensor, _: torch.Tensor) -> Any:
    mean, log_std = m.inference(x)
    return mean, 2 * log_std, m.generator(mean)


def _in_turn(m: Any, x: torch.Tensor, _: torch.Tensor) -> Any:
    stats = m.inference_network(x).view(len(x), -1, 2)
    return stats[..., 0], stats[..., 1], m.generative_network(stats[..., 0])


BYTE = 1 / 255

CASES = (
    Case("MLP, summed cross-entropy (pytorch/examples)", "mnist_vae", "VAE()", "mnist_vae.pth", "mnist.npy",
         _encode_decode, (784,), "log_variance", ("bernoulli", 1.0), "trained long", scale=BYTE,
         argv=("--epochs", "80")),
    Case("MLP, squared error, the KL doubled", "autoencoder_l2", "VariationalAutoEncoder(784, 256, 5)",
         "autoencoder_l2.pt", "mnist.npy", _encode_decode, (784,), "log_variance", ("gaussian", 1.0), "trained long",
         scale=BYTE),
    Case("MLP with batch norm and dropout", "bn_dropout", "BNVAE(784, [200, 100], 10, 0.1)", "bn_dropout.pth",
         "mnist.npy", _batch_norm, (784,), "log_variance", ("gaussian", 392.0),
         "mean over pixels against a summed KL", ("convention",), scale=BYTE, states="state_dict"),
    Case("full-covariance encoder", "full_covariance", "FullCovarianceVAE(20, 64, 4)", "full_covariance.pth",
         "scores.npy", _encode_decode, (20,), "", ("gaussian", 1.0), "outside: q(z|x) is not diagonal", (),
         "full covariance"),
    Case("conditional, two latents, labels", "conditional", "CVAE([784, 256], 2, [256, 784], True, 10)", "cvae.pth",
         "mnist.npy", _conditional, (784,), "log_variance", ("bernoulli", 1.0), "trained long", scale=BYTE,
         typed=("--given", "data/labels.npy"), argv=("--conditional", "--epochs", "80")),
    Case("convolutions, a classifier beside", "conv_classifier", "ConvVAEClassifier(z_dim=10, n_filters=8)",
         "conv_classifier.pt", "mnist.npy", _encode_decode, (1, 28, 28), "log_variance", ("gaussian", 0.25),
         "stopped after 2 epochs", ("slow",), scale=BYTE),
    Case("β-TCVAE, Burgess' networks", "burgess_tc", "VAE((1, 32, 32), EncoderBurgess, DecoderBurgess, 10)",
         "burgess_tc.pt", "mnist32.npy", _burgess, (1, 32, 32), "log_variance", ("bernoulli", 6.0),
         "outside: its loss has terms between rows", (),
         "terms between rows"),
    Case("β-TCVAE's networks on colour, the plain bound", "tc_faces", "VAE(z_dim=10, beta=120.0)", "tc_faces.pth",
         "faces.npy", _stats, (3, 32, 32), "log_std", ("bernoulli", 120.0), "β far too high", ("objective",),
         scale=BYTE, argv=("--beta", "120"), channels_last=True, states="state_dict"),
    Case("Keras, its own example's manner, .weights.h5", "keras_mlp", "vae", "keras_mlp.weights.h5",
         "mnist_rows.npy", _keras, (784,), "log_variance", ("bernoulli", 1.0), "trained long",
         typed=("--beta", "1", "--likelihood", "bernoulli"), keras=True, maker=":build_vae"),
    Case("Keras, a whole model in .h5", "keras_curves", "vae", "keras_curves.h5",
         "curves.npy", _keras, (100,), "log_variance", ("gaussian", 30.0), "KL weight far too high", ("objective",),
         typed=("--recon", "mse", "--reduction", "sum", "--kl-weight", "60"), keras=True),
    Case("GRU over one-hot SMILES", "smiles_gru", "MoleculeVAE(17, 30, 96, 24)", "smiles_gru.pt", "smiles.npy", _smiles,
         (30, 17), "log_variance", ("categorical", 1.0), "stopped after 12 epochs", ("slow",)),
    Case("MLP over scattering curves", "saxs_vae", "ScatteringVAE(100, 6)", "saxs_vae.pt", "curves.npy", _parts,
         (100,), "log_variance", ("gaussian", 0.09), "ReLU on the log-variance", ("encoder-stuck",)),
    Case("microstructures, standardised PCA scores", "microstructure", "MicroVAE(20, 64, 8)", "microstructure.pth",
         "scores.npy", _halved, (20,), "log_variance", ("gaussian", 3.0), "KL weight 3 over whitened data",
         ("objective",)),
    Case("Lightning, hyper-parameters in the .ckpt", "lit_vae", "LitVAE(784, 200, 5, 1.0)", "lit_vae.ckpt",
         "mnist.npy", _lightning, (784,), "log_variance", ("gaussian", 0.5), "trained long", scale=BYTE,
         states="state_dict"),
    Case("dictionaries, a standard deviation", "dict_std", "DictVAE(in_features=100, width=96, latents=4)",
         "dict_std.pth", "curves.npy", _dictionaries, (100,), "std", ("gaussian", 0.02), "trained long"),
    Case("a configuration object", "config_vae", "VAE(CONFIG)", "config_vae.pt", "mnist.npy", _q_and_p, (784,),
         "log_variance", ("bernoulli", 1.0), "trained long", scale=BYTE, states="model"),
    Case("DataParallel inside a checkpoint", "parallel_conv", "VAE(z_dim=12)", "checkpoint_last.tar.pth", "mnist.npy",
         _bottleneck, (1, 28, 28), "log_variance", ("gaussian", 400.0), "KL weight far too high", ("objective",),
         scale=2 / 255, shift=-1.0, states="model_state_dict"),
    Case("ResNet blocks, safetensors", "resnet_vae", "ResNetVAE(8, latent_dim=12, image_size=32)",
         "resnet_vae.safetensors", "faces.npy", _encode_decode, (3, 32, 32), "log_variance", ("gaussian", 0.5),
         "stopped after 60 steps", ("slow",), scale=2 / 255, shift=-1.0, channels_last=True),
    Case("log-σ head, a learned decoder variance", "learned_noise", "GaussianVAE(100, 64, 5)", "learned_noise.pth",
         "curves.npy", _log_std, (100,), "log_std", ("gaussian", None), "trained long"),
    Case("logits, downloads its data at the top", "download_logits", "Net()", "download_logits.pth", "mnist.npy",
         _layers, (784,), "log_variance", ("bernoulli", 1.0), "trained long", scale=BYTE),
)  # fmt: skip

HELD_BACK = (
    Case("encoder and decoder handed to the model", "jk_modules", "model", "jk_modules.pth", "mnist_rows.npy", _handed,
         (784,), "log_variance", ("bernoulli", 1.0), "trained long"),
    Case("LSTMs over SMILES, a standard deviation, a warm-up", "smiles_lstm", "vae", "smiles_lstm.ckpt", "smiles.npy",
         _lstm, (30, 17), "std", ("categorical", 1.0), "stopped after 300 steps", ("slow",), states="vae"),
    Case("1-D convolutions over curves, log σ, all in one dictionary", "conv1d_curves",
         "Profile1DVAE(100, (8, 8), 4)", "conv1d_curves.pt", "curves.npy", _inference, (100,), "log_std",
         ("gaussian", 0.04), "trained long", states="net"),
    Case("Lightning with convolutions, batch norm", "lit_conv", "model", "lit_conv.ckpt", "mnist32.npy", _encode_decode,
         (1, 32, 32), "log_variance", ("gaussian", 100.0), "β far too high", ("objective",), states="state_dict"),
    Case("a dataclass saved beside, means and spreads in turn", "saved_config", "DenseVAE(cfg)", "saved_config.bin",
         "mnist.npy", _in_turn, (784,), "log_variance", ("gaussian", 39.2), "mean over pixels against a summed KL",
         ("convention",), scale=2 / 255, shift=-1.0, states="weights"),
)  # fmt: skip
"""First run after the repairs that the twenty asked for. The LSTMs then asked for one more."""

LATER = (
    Case("DC-VAE on colour, batch norm", "colour_early", "DCVAE(nc=3, nf=8, nz=16)", "colour_early.pth", "faces.npy",
         _parts, (3, 32, 32), "log_variance", ("bernoulli", 1.0), "stopped after 46 steps", ("slow",), scale=BYTE,
         channels_last=True),
    Case("MLP over curves, read backwards", "q_descending", "VAE(100)", "q_descending.pt", "curves.npy",
         _encode_decode, (100,), "log_variance", ("gaussian", 0.05), "trained on the columns in the other order",
         ("other-data",)),
    Case("whitened PCA scores, a small weight", "whitened_small", "ScoreVAE(20, 96, 6, 0.3)", "whitened_small.pt",
         "scores.npy", _encode_decode, (20,), "log_variance", ("gaussian", 0.15), "trained long", states="state_dict"),
    Case("σ-VAE, one learned log σ", "sigma_vae", "SigmaVAE(z_dim=8)", "sigma_vae.pth", "curves.npy", _encode_decode,
         (100,), "log_variance", ("gaussian", None), "trained long"),
    Case("convolutions in, GRU out, over SMILES", "smiles_conv", "ChemVAE(30, 17)", "smiles_conv.pt", "smiles.npy",
         _encode_decode, (30, 17), "log_variance", ("categorical", 1.0), "stopped after 3 epochs", ("slow",)),
    Case("a table of standardised columns, LayerNorm", "beta_table", "TabularVAE(100, (64, 32), 7)", "beta_table.ckpt",
         "standard.npy", _encode_decode, (100,), "log_variance", ("gaussian", 200.0), "β far too high", ("objective",),
         states="model"),
)  # fmt: skip
"""First run after that, with a kind for each repair. Three were refused then, and read after another repair."""

ALL = (*CASES, *HELD_BACK, *LATER)
