"""One interface to a model, and a bundle in ONNX Runtime behind it; `torch_backend` has weights in PyTorch."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from ..bundle.manifest import read_manifest

Array = NDArray[np.generic]

Provider = Literal["cpu", "cuda"]
"""Execution providers of ONNX Runtime, by the names that manifests give them."""
_PROVIDERS: dict[Provider, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class Estimate(NamedTuple):
    """Outputs of the entropy graph."""

    entropy: Array  # [B, N] bits
    surprisal: Array  # [B, N] bits
    expected_code: Array  # [B, N, D] coordinates


_ESTIMATE = ("entropy", "surprisal", "expected_code")
"""The same, by their names in the graphs."""


class Backend(ABC):
    """A model as functions of NumPy arrays, any batch size. Arrays of tokens that a model does not have have no columns."""

    image_size: int
    grid: tuple[int, int]
    global_tokens: int
    patch_tokens: int
    filters: bool
    codebook_size: int
    name: str
    precision: Literal["float16", "float32"]

    def tokenize(self, image: Array) -> tuple[Array, Array, Estimate | None]:
        """uint8 [B, S, S, 3] -> codes as `encode` gives them, and where the model `filters` the estimate given G alone."""
        codes = self.encode(image)
        return *codes, self.estimate(*codes) if self.filters else None

    @abstractmethod
    def encode(self, image: Array) -> tuple[Array, Array]:
        """uint8 [B, S, S, 3] -> global codes [B, K] and patch codes [B, N]."""

    @abstractmethod
    def estimate(self, global_codes: Array, patch_codes: Array, visible: Array | None = None) -> Estimate:
        """ĥ, s and E_q[z] given the global codes and the visible patches (none by default); needs `filters`."""

    @abstractmethod
    def decode(
        self, global_codes: Array, patch_codes: Array, expected_code: Array | None = None, keep: Array | None = None
    ) -> Array:
        """-> uint8 [B, S, S, 3]; expectation and kept mask where the model `filters`, else every token is kept."""


class OnnxBackend(Backend):
    """A bundle in ONNX Runtime: the graphs that users run. Each is opened when it is first asked for."""

    def __init__(self, bundle: Path, provider: Provider = "cpu", threads: int | None = None) -> None:
        """On "cuda" the bundle's graphs for that provider run, as in the extension; `threads` None: one a core."""
        manifest = read_manifest(bundle)
        self.name = manifest["name"]
        self.image_size = manifest["image"]["size"]
        self.grid = (manifest["grid"]["rows"], manifest["grid"]["columns"])
        self.global_tokens = manifest["globalTokens"]
        self.patch_tokens = manifest.get("patchTokens", self.grid[0] * self.grid[1])
        self.filters = "entropy" in manifest["graphs"]
        self.codebook_size = manifest["codebook"]["size"]
        variant = manifest.get("variants", {}).get(provider, {})
        self.precision = "float16" if variant else "float32"
        self._files = {name: bundle / file for name, file in (manifest["graphs"] | variant).items()}
        self._provider: Provider = provider
        self._options = ort.SessionOptions()
        self._options.intra_op_num_threads = threads or 0
        # Threads that spin while they wait take the processor from those that decode pictures.
        self._options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Warnings about operators that run on the CPU help nobody; failures are exceptions.
        self._options.log_severity_level = 3
        self._sessions: dict[str, ort.InferenceSession] = {}

    def _session(self, graph: str) -> ort.InferenceSession:
        """Raises ValueError where the provider cannot be used: ONNX Runtime itself would use the CPU without a word."""
        if graph not in self._sessions:
            wanted = _PROVIDERS[self._provider]
            if wanted not in ort.get_available_providers():
                raise ValueError(f"this ONNX Runtime has no {wanted}; install onnxruntime-gpu in place of onnxruntime")
            session = ort.InferenceSession(self._files[graph], self._options, providers=[wanted])
            if session.get_providers()[0] != wanted:
                raise ValueError(f"ONNX Runtime cannot use its {wanted}: it lacks CUDA's libraries or a GPU")
            self._sessions[graph] = session
        return self._sessions[graph]

    def run(self, graph: str, inputs: dict[str, Array], outputs: tuple[str, ...]) -> list[Array]:
        """Runs one graph of the bundle; the graphs neither take nor give tokens that the model does not have."""
        return self._session(graph).run(list(outputs), inputs)

    def tokenize(self, image: Array) -> tuple[Array, Array, Estimate | None]:
        if "tokenizer" not in self._files:
            return super().tokenize(image)
        codes = ("global_codes", "patch_codes")
        outputs = self.run("tokenizer", {"image": image}, (*codes, *_ESTIMATE))
        return outputs[0], outputs[1], Estimate(*outputs[2:])

    def encode(self, image: Array) -> tuple[Array, Array]:
        tokens = {"global_codes": self.global_tokens, "patch_codes": self.patch_tokens}
        names = tuple(name for name, count in tokens.items() if count)
        codes = dict(zip(names, self.run("encoder", {"image": image}, names), strict=True))
        none = np.zeros((len(image), 0), dtype=np.int32)
        return codes.get("global_codes", none), codes.get("patch_codes", none)

    def estimate(self, global_codes: Array, patch_codes: Array, visible: Array | None = None) -> Estimate:
        if visible is None:
            visible = np.zeros(patch_codes.shape, dtype=bool)
        inputs = present_codes(global_codes, patch_codes) | {"visible": visible}
        return Estimate(*self.run("entropy", inputs, _ESTIMATE))

    def decode(
        self, global_codes: Array, patch_codes: Array, expected_code: Array | None = None, keep: Array | None = None
    ) -> Array:
        inputs = present_codes(global_codes, patch_codes)
        if self.filters:
            inputs |= {"expected_code": expected_code, "keep": keep}
        return self.run("decoder", inputs, ("image",))[0]


def present_codes(global_codes: Array, patch_codes: Array) -> dict[str, Array]:
    """The codes of the kinds of token that a model has, by their names in its graphs."""
    codes = {"global_codes": global_codes, "patch_codes": patch_codes}
    return {name: values for name, values in codes.items() if values.shape[1]}


def open_backend(path: Path, runtime: str = "onnx") -> Backend:
    """A bundle's folder runs in ONNX Runtime unless `runtime` is "torch"; files of weights run in PyTorch."""
    if (path / "manifest.json").exists() and runtime == "onnx":
        return OnnxBackend(path)
    from ..tokenizer import TaTok
    from .torch_backend import TorchBackend

    return TorchBackend(TaTok.from_pretrained(path), path.stem)
