"""Probe of an encoder and a decoder in ONNX, run by onnxruntime: measured, and not trained. Read from 1.23 and 1.32."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from uncollapse.errors import DataError, ObjectiveError, SourceError, UncollapseError, first_line, kind_and_line
from uncollapse.measure.protocol import RAISED, Spread
from uncollapse.probes.callables import CallableProbe
from uncollapse.probes.inputs import own_shape
from uncollapse.probes.settling import FIRST_ROWS, Settling

__all__ = ["DECODER", "ENCODER", "onnx_folder", "onnx_pair"]

ENCODER, DECODER = "encoder.onnx", "decoder.onnx"

BLOCK = 1024
"""Rows that go through a graph at once, where its batch is free."""

DTYPES = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16,
    "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(uint8)": np.uint8,
}  # fmt: skip


def onnx_folder(path: str | Path, **how: Any) -> CallableProbe:
    """Probe of a folder with ``encoder.onnx`` and ``decoder.onnx``; options as in `onnx_pair`."""
    folder = Path(path)
    return onnx_pair(folder / ENCODER, folder / DECODER, **how)


def onnx_pair(
    encoder: str | Path,
    decoder: str | Path,
    *,
    spread: Spread | None = None,
    input_shape: tuple[int, ...] | None = None,
    rows: np.ndarray | None = None,
    outputs: tuple[int, int] | None = None,
) -> CallableProbe:
    """Probe of two files of ONNX.

    Shapes, types and a batch of fixed size are read from the graphs. Which outputs are mean and spread, and what the
    spread is, is read from their names, or from what they do.

    Parameters
    ----------
    encoder, decoder : path
        Weights that lie outside the graph are read only if they lie in the folder of the file, or below.
    spread, input_shape, rows, outputs
        As in `open_probe`.

    Raises
    ------
    SourceError
        Not there, damaged, of operators that are not known, or with weights outside its folder.
    ObjectiveError
        More inputs than one and a condition, or outputs that cannot be told apart.
    SpreadUnknown
        The names do not say what the spread is.
    """
    one, other = (_Graph.read(Path(path)) for path in (encoder, decoder))
    shape = own_shape(one.sample_shape, input_shape, one.name)
    latent_shape = other.sample_shape
    latents = None if None in latent_shape else tuple(int(side or 0) for side in latent_shape)
    settling = Settling(one.name, spread, outputs, (), None if latents is None else math.prod(latents))

    def run(*parts: np.ndarray) -> tuple[list[Any], list[str]]:
        import torch

        return [torch.from_numpy(part) for part in one(*parts)], one.outputs

    def encode(x: np.ndarray, *given: np.ndarray) -> Any:
        few = [part[:FIRST_ROWS] for part in (x, *given)]
        settled = settling.settled(lambda: run(*few))
        return settled.mean_and_log_variance(run(x, *given)[0], one.name)

    def decode(z: np.ndarray, *given: np.ndarray) -> np.ndarray:
        return other(z, *given)[0]

    _settle(settling, run, shape, rows, one)
    return CallableProbe(
        encode, decode, "log_variance", name=f"ONNX {PurePath(encoder).name}, {PurePath(decoder).name}",
        input_shape=shape, latent_shape=latents,
        notes=(*settling.notes, *_of_graphs(one, other),
               "a model in ONNX is measured and not trained: what trains it is left out"),
    )  # fmt: skip


def _settle(settling: Settling, run: Any, shape: Any, rows: np.ndarray | None, graph: _Graph) -> None:
    """Read the encoder's outputs now, where it takes no condition and rows are there or can be made."""
    if graph.n_inputs > 1 or shape is None:
        return
    if rows is None or math.prod(rows.shape[1:]) != math.prod(shape):
        rows = np.random.default_rng(0).standard_normal((FIRST_ROWS, *shape))
    try:
        settling.settled(lambda: run(np.asarray(rows)[:FIRST_ROWS].reshape(-1, *shape)))
    except DataError:  # said when the model is measured
        return


def _of_graphs(encoder: _Graph, decoder: _Graph) -> Iterator[str]:
    for graph in (encoder, decoder):
        if graph.batch is not None:
            yield f"{graph.name}: takes {graph.batch} row(s) at a time, as it was exported"
    if len(decoder.outputs) > 1:
        yield f"the decoder's mean is its first output, {decoder.outputs[0]}"


@dataclass(frozen=True)
class _Graph:
    """A file of ONNX, ready to run.

    Attributes
    ----------
    name : str
        In messages.
    session : onnxruntime.InferenceSession
    sample_shape : tuple of int or None
        Of one sample of the first input.
    batch : int or None
        Rows that it takes at a time; any number where it is None.
    """

    name: str
    session: Any
    sample_shape: tuple[int | None, ...]
    batch: int | None

    @classmethod
    def read(cls, path: Path) -> _Graph:
        """The file, checked."""
        if not path.is_file():
            raise SourceError(f"{path}: no such file; a folder with {ENCODER} and {DECODER} is due, or the two files")
        try:
            import onnxruntime
        except ImportError:
            raise SourceError(f"{path}: to run it, onnxruntime is needed: pip install onnx onnxruntime") from None
        _check_outside(path)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what goes wrong is raised, and said here
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except RAISED as error:  # the library raises anything
            raise SourceError(f"{path}: onnxruntime cannot load it: {first_line(error)}") from error
        inputs = session.get_inputs()
        if len(inputs) not in (1, 2):
            raise ObjectiveError(f"{path}: has {len(inputs)} inputs; known are one, or two with a condition")
        odd = next((i for i in inputs if i.type not in DTYPES or len(i.shape) < 2), None)
        if odd is not None:
            raise ObjectiveError(f"{path}: its input {odd.name} is a {odd.type} of shape {odd.shape}; rows of numbers "
                                 f"are due")  # fmt: skip
        sides = [side if isinstance(side, int) and side > 0 else None for side in inputs[0].shape]
        return cls(str(path), session, tuple(sides[1:]), sides[0])

    @property
    def n_inputs(self) -> int:
        """1, or 2 with a condition."""
        return len(self.session.get_inputs())

    @property
    def outputs(self) -> list[str]:
        """Names."""
        return [out.name for out in self.session.get_outputs()]

    def __call__(self, *parts: np.ndarray) -> list[np.ndarray]:
        """All outputs, of any number of rows; the last block of a fixed batch is filled up with its first row."""
        inputs = self.session.get_inputs()
        if len(parts) != len(inputs):
            raise DataError(f"{self.name}: takes {len(inputs)} inputs and got {len(parts)}: a condition is given "
                            f"(--given) where there are two, and only then")  # fmt: skip
        n, size = len(parts[0]), self.batch or BLOCK
        blocks = []
        for start in range(0, max(n, 1), size):
            block = [part[start : start + size] for part in parts]
            short = size - len(block[0]) if self.batch and len(block[0]) else 0
            if short:
                block = [np.concatenate([part, np.repeat(part[:1], short, axis=0)]) for part in block]
            found = self._run(inputs, block)
            blocks.append([out[: size - short] if short and out.ndim and len(out) == size else out for out in found])
        return [_joined(outs) for outs in zip(*blocks, strict=True)]

    def _run(self, inputs: Sequence[Any], block: Sequence[np.ndarray]) -> list[np.ndarray]:
        fed = {i.name: np.ascontiguousarray(part, dtype=DTYPES[i.type]) for i, part in zip(inputs, block, strict=True)}
        try:
            return [np.asarray(out) for out in self.session.run(None, fed)]
        except UncollapseError:
            raise
        except RAISED as error:  # the library raises anything
            raise DataError(
                f"{self.name}: fails on an input of shape {block[0].shape}: {kind_and_line(error)}"
            ) from error


def _joined(blocks: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(blocks) if blocks[0].ndim else blocks[0]


def _check_outside(path: Path) -> None:
    """Refuse weights outside the folder of the graph, before anything reads them."""
    try:
        import onnx
    except ImportError:
        raise SourceError(f"{path}: to look into it, onnx is needed: pip install onnx") from None
    try:
        model = onnx.load(str(path), load_external_data=False)
    except RAISED as error:  # the library raises anything
        raise SourceError(f"{path}: is no file of ONNX, or damaged: {kind_and_line(error)}") from error
    folder = path.resolve().parent
    for place in {place for tensor in _tensors(model) for place in _places(tensor)}:
        inside = (folder / place).resolve()
        if not inside.is_relative_to(folder):
            raise SourceError(f"{path}: its weights are said to lie in {place}, outside its folder: not read")
        if not inside.is_file():
            raise SourceError(f"{path}: its weights lie in {place}, which is not beside it")


def _tensors(message: Any) -> Iterator[Any]:
    """All tensors of a graph, those of attributes and of graphs within among them."""
    if message.DESCRIPTOR.name == "TensorProto":
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if not hasattr(value, "DESCRIPTOR") else (value,):
                if hasattr(part, "DESCRIPTOR"):
                    yield from _tensors(part)


def _places(tensor: Any) -> Iterator[str]:
    return (entry.value for entry in tensor.external_data if entry.key == "location")
