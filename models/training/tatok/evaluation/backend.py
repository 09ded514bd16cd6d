"""One interface to a model, whether it runs in ONNX Runtime (a bundle) or in PyTorch (weights during training)."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray

from ..bundle.export import graph_modules
from ..bundle.manifest import read_manifest
from ..model import TaTok
from ..training.checkpoint import load_model

Array = NDArray[np.generic]


class Estimate(NamedTuple):
    """Outputs of the entropy graph."""

    entropy: Array  # [B, N] bits
    surprisal: Array  # [B, N] bits
    expected_code: Array  # [B, N, D] coordinates


class Backend(ABC):
    """The graphs of the contract as functions of NumPy arrays, any batch size.

    Arrays of tokens that a model has not have no columns; the graphs neither take nor give them.
    """

    image_size: int
    grid: tuple[int, int]
    global_tokens: int
    patch_tokens: int
    filters: bool
    codebook_size: int
    name: str

    @abstractmethod
    def run(self, graph: str, inputs: dict[str, Array], outputs: tuple[str, ...]) -> list[Array]:
        """Runs one graph of the bundle."""

    def encode(self, image: Array) -> tuple[Array, Array]:
        """uint8 [B, S, S, 3] -> global codes [B, K] and patch codes [B, N]."""
        tokens = {"global_codes": self.global_tokens, "patch_codes": self.patch_tokens}
        names = tuple(name for name, count in tokens.items() if count)
        codes = dict(zip(names, self.run("encoder", {"image": image}, names), strict=True))
        none = np.zeros((len(image), 0), dtype=np.int32)
        return codes.get("global_codes", none), codes.get("patch_codes", none)

    def _codes(self, global_codes: Array, patch_codes: Array) -> dict[str, Array]:
        codes = {"global_codes": global_codes, "patch_codes": patch_codes}
        return {name: values for name, values in codes.items() if values.shape[1]}

    def estimate(self, global_codes: Array, patch_codes: Array, visible: Array | None = None) -> Estimate:
        """ĥ, s and E_q[z] given the global codes and the visible patches (none by default); needs `filters`."""
        if visible is None:
            visible = np.zeros(patch_codes.shape, dtype=bool)
        inputs = self._codes(global_codes, patch_codes) | {"visible": visible}
        return Estimate(*self.run("entropy", inputs, ("entropy", "surprisal", "expected_code")))

    def decode(
        self, global_codes: Array, patch_codes: Array, expected_code: Array | None = None, keep: Array | None = None
    ) -> Array:
        """-> uint8 [B, S, S, 3]; expectation and kept mask where the model `filters`, else every token is kept."""
        inputs = self._codes(global_codes, patch_codes)
        if self.filters:
            inputs |= {"expected_code": expected_code, "keep": keep}
        return self.run("decoder", inputs, ("image",))[0]


class OnnxBackend(Backend):
    """A bundle in ONNX Runtime on the CPU: what users run."""

    def __init__(self, bundle: Path) -> None:
        manifest = read_manifest(bundle)
        self.name = manifest["name"]
        self.image_size = manifest["image"]["size"]
        self.grid = (manifest["grid"]["rows"], manifest["grid"]["columns"])
        self.global_tokens = manifest["globalTokens"]
        self.patch_tokens = manifest.get("patchTokens", self.grid[0] * self.grid[1])
        self.filters = "entropy" in manifest["graphs"]
        self.codebook_size = manifest["codebook"]["size"]
        self._sessions = {
            name: ort.InferenceSession(bundle / file, providers=["CPUExecutionProvider"])
            for name, file in manifest["graphs"].items()
        }

    def run(self, graph: str, inputs: dict[str, Array], outputs: tuple[str, ...]) -> list[Array]:
        return self._sessions[graph].run(list(outputs), inputs)


class TorchBackend(Backend):
    """The same graphs in PyTorch float32, on a GPU where there is one."""

    def __init__(self, model: TaTok, name: str) -> None:
        config = model.config
        self.name = name
        self.image_size, self.grid = config.image_size, (config.grid, config.grid)
        self.global_tokens, self.patch_tokens = config.global_tokens, config.patch_tokens
        self.filters, self.codebook_size = config.filters, config.codebook_size
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        # PyTorch's default rounds what convolutions multiply to ten bits.
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        self._graphs = {n: m.eval().to(self._device) for n, m in graph_modules(model).items()}

    @torch.inference_mode()
    def run(self, graph: str, inputs: dict[str, Array], outputs: tuple[str, ...]) -> list[Array]:
        module = self._graphs[graph]
        results = module(*(torch.from_numpy(np.array(inputs[i])).to(self._device) for i in module.inputs))
        results = results if isinstance(results, tuple) else (results,)
        return [results[module.outputs.index(o)].cpu().numpy() for o in outputs]


def open_backend(path: Path, runtime: str = "onnx") -> Backend:
    """A bundle's folder runs in ONNX Runtime unless `runtime` is "torch"; checkpoints and weights files run in PyTorch."""
    return OnnxBackend(path) if path.is_dir() and runtime == "onnx" else TorchBackend(load_model(path), path.stem)
