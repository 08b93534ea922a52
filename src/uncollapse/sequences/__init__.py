"""Small decoders and VAEs of sequences: text, molecules. Needs the extra `torch`.

Examples
--------
>>> import numpy as np
>>> from uncollapse.sequences import SequenceTraining, train_language_model, train_sequence_vae
>>> x = np.random.default_rng(0).integers(0, 5, (200, 8))
>>> lm = train_language_model(x, "gru", SequenceTraining(epochs=2))
>>> train_sequence_vae(x, start=lm, n_latents=2, epochs=2).n_alive
0
"""

try:
    import safetensors as _safetensors  # noqa: F401
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError("training on sequences needs PyTorch and safetensors: pip install 'uncollapse[torch]'") from error

from uncollapse.sequences.decoders import DecoderShape, SequenceDecoder, decoder_named, decoder_of, shape_named
from uncollapse.sequences.encoders import SequenceEncoder
from uncollapse.sequences.language import LanguageModel, train_language_model
from uncollapse.sequences.result import SequenceEvaluation, SequenceVAE
from uncollapse.sequences.settings import SequenceSetup, SequenceTraining
from uncollapse.sequences.state import load, save
from uncollapse.sequences.vae import train_sequence_vae

__all__ = [
    "DecoderShape",
    "LanguageModel",
    "SequenceDecoder",
    "SequenceEncoder",
    "SequenceEvaluation",
    "SequenceSetup",
    "SequenceTraining",
    "SequenceVAE",
    "decoder_named",
    "decoder_of",
    "load",
    "save",
    "shape_named",
    "train_language_model",
    "train_sequence_vae",
]
