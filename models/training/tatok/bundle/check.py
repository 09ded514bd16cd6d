"""`python -m tatok check`: whether a bundle keeps the contract, by its manifest, its files and runs of every graph."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from .format import (
    Manifest,
    Signature,
    Stream,
    TensorSpec,
    VqCodebook,
    read_manifest,
    signatures,
    stem,
)
from .manifest import file_entry

Array = NDArray[Any]
Arrays = dict[str, Array]
BATCHES = (1, 2, 3)
_NEARLY_ALL = 0.99
"""Share of an image's codes that must not depend on its batch: kernels round otherwise for other batches, and ties fall."""


def check_bundle(bundle: Path) -> list[str]:
    """One sentence for every rule that the bundle in this folder breaks; none where the inspector can rely on it.

    Every graph runs in ONNX Runtime on the CPU with 1, 2 and 3 images. Graphs of `variants` are only compared with their
    hashes: they may need a GPU.
    """
    try:
        manifest = read_manifest(bundle)
    except (OSError, ValueError) as error:
        return str(error).splitlines()
    problems = [*_files(bundle, manifest), *_codebooks(bundle, manifest)]
    # A run of a missing or changed graph would only repeat what its file already says.
    return problems or list(_graphs(bundle, manifest))


def _files(bundle: Path, manifest: Manifest) -> Iterator[str]:
    for entry in manifest.files:
        path = bundle / entry.path
        if not path.is_file():
            yield f"{entry.path} is listed in files and is not in the folder."
        elif path.stat().st_size != entry.bytes:
            yield f"{entry.path} has {path.stat().st_size} bytes, and the manifest says {entry.bytes}."
        elif file_entry(path)["sha256"] != entry.sha256:
            yield f"{entry.path} has another SHA-256 than the manifest says."
    listed = {entry.path for entry in manifest.files}
    for graph in _graph_files(manifest).values():
        if (bundle / graph).is_file():
            for data in _external_data(bundle / graph):
                if data not in listed:
                    yield f"{graph} has weights in {data}, which files does not list."


def _graph_files(manifest: Manifest) -> dict[str, str]:
    files = {"encoder": manifest.graphs.encoder, "entropy": manifest.graphs.entropy, "decoder": manifest.graphs.decoder}
    return {name: file for name, file in files.items() if file}


def _external_data(graph: Path) -> set[str]:
    try:
        model = onnx.load(graph, load_external_data=False)
    # ONNX Runtime names a file that is no graph when it opens it.
    except Exception:
        return set()
    return {entry.value for t in model.graph.initializer for entry in t.external_data if entry.key == "location"}


def _codebooks(bundle: Path, manifest: Manifest) -> Iterator[str]:
    for name, codebook in manifest.codebooks.items():
        if not isinstance(codebook, VqCodebook) or codebook.file is None or not (bundle / codebook.file).is_file():
            continue
        try:
            vectors = np.load(bundle / codebook.file, allow_pickle=False)
        except (OSError, ValueError) as error:
            yield f"{codebook.file} of the codebook {name} is not a NumPy array: {error}."
            continue
        wanted = (codebook.size, codebook.dimensions)
        if vectors.shape != wanted or vectors.dtype != np.float32:
            found = f"{vectors.dtype} {list(vectors.shape)}"
            yield f"{codebook.file} is {found}, and the codebook {name} needs float32 {list(wanted)}."
        elif not np.isfinite(vectors).all():
            yield f"{codebook.file} of the codebook {name} has numbers that are not finite."


def _graphs(bundle: Path, manifest: Manifest) -> Iterator[str]:
    promised = signatures(manifest)
    sessions: dict[str, ort.InferenceSession] = {}
    problems: list[str] = []
    options = ort.SessionOptions()
    options.log_severity_level = 4  # Errors come as exceptions; warnings are about speed.
    for name, file in _graph_files(manifest).items():
        try:
            sessions[name] = ort.InferenceSession(bundle / file, options, providers=["CPUExecutionProvider"])
        # ONNX Runtime raises types of its own that derive from Exception.
        except Exception as error:
            problems.append(f"{file} cannot be opened by ONNX Runtime: {_first_line(error)}.")
            continue
        problems += _signature(file, sessions[name], promised[name])
    if problems:
        yield from problems
        return
    # Batches repeat each other's sentences.
    yield from dict.fromkeys(_Runs(manifest, sessions, promised).problems(_pictures(manifest, max(BATCHES))))


def _signature(file: str, session: ort.InferenceSession, promised: Signature) -> Iterator[str]:
    for kind, given, wanted in (
        ("input", session.get_inputs(), promised.inputs),
        ("output", session.get_outputs(), promised.outputs),
    ):
        known = {value.name: value for value in given}
        for name in wanted.keys() - known.keys():
            yield f"{file} has no {kind} {name}, which the manifest promises: {_described(wanted[name])}."
        for name in known.keys() - wanted.keys():
            if kind == "input":
                yield f"{file} wants an input {name} that the format does not have for this manifest."
        for name in wanted.keys() & known.keys():
            yield from _value(f"{file}: the {kind} {name}", known[name], wanted[name])


def _value(subject: str, given: Any, wanted: TensorSpec) -> Iterator[str]:
    types = {f"tensor({onnx_name})": name for name, onnx_name in _ONNX_TYPES.items()}
    found = types.get(given.type, given.type)
    if found not in wanted.types:
        yield f"{subject} is {found}, and the format needs {' or '.join(wanted.types)}."
    if isinstance(given.shape[0], int):
        yield f"{subject} takes a batch of {given.shape[0]} only, and the first dimension must be of any size."
    fixed = tuple(given.shape[1:])
    if len(fixed) != len(wanted.shape) or any(isinstance(f, int) and f != w for f, w in zip(fixed, wanted.shape, strict=True)):
        yield f"{subject} has the shape {list(given.shape)}, and the manifest promises {_described(wanted)}."


_ONNX_TYPES = {"uint8": "uint8", "int32": "int32", "int64": "int64", "float32": "float", "bool": "bool"}


def _described(spec: TensorSpec) -> str:
    return f"{' or '.join(spec.types)} [{', '.join(map(str, ('batch', *spec.shape)))}]"


def _pictures(manifest: Manifest, count: int) -> Array:
    """Smooth coloured pictures with some noise: every one different, none flat."""
    generator = np.random.default_rng(0)
    height, width = manifest.image.height, manifest.image.width
    y, x = np.linspace(0, 1, height)[:, None, None], np.linspace(0, 1, width)[None, :, None]
    down, across, phase = generator.uniform(1, 6, (3, count, 1, 1, 3))
    noise = generator.normal(0, 8, (count, height, width, 3))
    return (127 + 100 * np.sin(down * y + across * x + phase) + noise).clip(0, 255).astype(np.uint8)


class _Runs:
    """Runs of a bundle's graphs, and the sentences on what they give."""

    def __init__(self, manifest: Manifest, sessions: dict[str, ort.InferenceSession], promised: dict[str, Signature]) -> None:
        self.manifest, self.sessions, self.promised = manifest, sessions, promised
        self.files = _graph_files(manifest)

    def problems(self, images: Array) -> Iterator[str]:
        """Runs everything with 1, 2 and 3 images."""
        for batch in BATCHES:
            codes, found = self._run("encoder", {"image": images[:batch]})
            yield from found
            if codes is None:
                return
            again, _ = self._run("encoder", {"image": images[:batch]})
            yield from self._codes(codes, again or codes, batch, images)
            given = {stream.name: codes[stream.name] for stream in self.manifest.streams}
            estimate: Arrays = {}
            if "entropy" in self.sessions:
                found, estimate = self._estimate(given, batch)
                yield from found
            yield from self._decode(given, estimate, batch)

    def _run(self, graph: str, inputs: Arrays) -> tuple[Arrays | None, list[str]]:
        """Outputs by name, and sentences on their shapes and numbers; no outputs where the graph cannot be run."""
        file, session, batch = self.files[graph], self.sessions[graph], len(next(iter(inputs.values())))
        wanted = self.promised[graph].outputs
        # The encoder may give codes of another integer type than the others take.
        wide = {value.name for value in session.get_inputs() if value.type == "tensor(int64)"}
        narrow = {value.name for value in session.get_inputs() if value.type == "tensor(int32)"}
        types = dict.fromkeys(wide, np.int64) | dict.fromkeys(narrow, np.int32)
        fed = {name: value.astype(types.get(name, value.dtype)) for name, value in inputs.items()}
        try:
            results = dict(zip(wanted, session.run(list(wanted), fed), strict=True))
        # ONNX Runtime raises types of its own that derive from Exception.
        except Exception as error:
            return None, [f"{file} cannot be run with {_images(batch)}: {_first_line(error)}."]
        problems = []
        for name, spec in wanted.items():
            value = results[name]
            if value.shape != (batch, *spec.shape):
                found = f"{name} has the shape {list(value.shape)} for {_images(batch)}"
                problems.append(f"{file}: {found}, not {_described(spec)}.")
            elif value.dtype == np.float32 and not np.isfinite(value).all():
                problems.append(f"{file}: {name} has numbers that are not finite.")
        return (None if problems else results), problems

    def _codes(self, codes: Arrays, again: Arrays, batch: int, images: Array) -> Iterator[str]:
        file = self.files["encoder"]
        for stream in self.manifest.streams:
            values, count = codes[stream.name], self.manifest.codebooks[stream.codebook].codes
            if count is None:
                continue
            if values.min() < 0 or values.max() >= count:
                yield f"{file}: {stream.name} has codes from {values.min()} to {values.max()}, outside 0 to {count - 1}."
            if not np.array_equal(values, again[stream.name]):
                yield f"{file}: {stream.name} changes from run to run for the same picture."
            if batch > 1:
                alone, _ = self._run("encoder", {"image": images[batch - 1 : batch]})
                if alone is not None and (alone[stream.name][0] == values[-1]).mean() < _NEARLY_ALL:
                    yield f"{file}: {stream.name} of a picture depends on the others in its batch."
        if self.manifest.attending is not None:
            rows = codes[f"{stem(self.manifest.attending)}_attention"]
            if rows.min() < 0 or rows.sum(-1).max() > 1.001:
                yield f"{file}: a row of attention must not be negative nor sum to more than 1."

    def _estimate(self, given: Arrays, batch: int) -> tuple[list[str], Arrays]:
        file, stream = self.files["entropy"], self.manifest.estimated
        assert stream is not None
        hidden = np.zeros((batch, *stream.shape), dtype=bool)
        estimate, problems = self._run("entropy", given | {"visible": hidden})
        if estimate is None:
            return problems, {}
        if estimate["entropy"].min() < 0 or estimate["surprisal"].min() < -1e-3:
            problems.append(f"{file}: entropy and surprisal are bits and must not be negative.")
        revealed, found = self._run("entropy", given | {"visible": ~hidden})
        if revealed is not None and max(np.abs(revealed[name]).max() for name in ("entropy", "surprisal")) > 1e-3:
            problems.append(f"{file}: a visible token must have 0 bits of entropy and surprisal.")
        return problems + found, estimate

    def _decode(self, given: Arrays, estimate: Arrays, batch: int) -> Iterator[str]:
        inputs = dict(given)
        for stream in self.manifest.streams:
            if stream.prefix:
                inputs[f"keep_{stem(stream)}"] = np.ones((batch, stream.steps), dtype=bool)
        if "entropy" in self.sessions:
            if not estimate:
                return
            stream = self.manifest.estimated
            assert stream is not None
            inputs |= {"expected_code": estimate["expected_code"], "keep": np.ones((batch, *stream.shape), dtype=bool)}
        complete, found = self._run("decoder", inputs)
        yield from found
        if complete is None:
            return
        if "expected_code" in inputs:
            other, found = self._run("decoder", inputs | {"expected_code": inputs["expected_code"] + 0.5})
            yield from found
            if other is not None and _differs(other["image"], complete["image"]):
                yield f"{self.files['decoder']}: with every token kept, the picture must not depend on expected_code."
        for stream in self.manifest.streams:
            if stream.prefix and stream.steps > 1:
                yield from self._prefix(stream, inputs)

    def _prefix(self, stream: Stream, inputs: Arrays) -> Iterator[str]:
        """Codes after the prefix must not be seen."""
        kept = max(1, stream.steps // 2)
        name = f"keep_{stem(stream)}"
        mask = inputs[name].copy()
        mask[:, kept:] = False
        codes = inputs[stream.name].copy()
        axis = codes if stream.kind == "sequence" else np.moveaxis(codes, -1, 1)
        axis[:, kept:] = axis[:, kept:][:, ::-1] if axis[:, kept:].shape[1] > 1 else 0
        axis[:, kept] = 0
        given = self._run("decoder", inputs | {name: mask})
        changed = self._run("decoder", inputs | {name: mask, stream.name: codes})
        yield from (*given[1], *changed[1])
        if given[0] is not None and changed[0] is not None and _differs(given[0]["image"], changed[0]["image"]):
            yield f"{self.files['decoder']}: the picture must not depend on {stream.name} that {name} leaves out."


def _differs(a: Array, b: Array) -> bool:
    return bool(np.abs(a.astype(int) - b.astype(int)).max() > 1)


def _images(batch: int) -> str:
    return "1 image" if batch == 1 else f"{batch} images"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
