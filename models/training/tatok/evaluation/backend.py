"""One interface to a model that runs in ONNX Runtime (a bundle) or in PyTorch (weights during training)."""

from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray

from ..bundle.manifest import read_manifest
from ..tokenizer import TaTok, Tokens

Array = NDArray[np.generic]


class Estimate(NamedTuple):
    """Outputs of the entropy graph."""

    entropy: Array  # [B, N] bits
    surprisal: Array  # [B, N] bits
    expected_code: Array  # [B, N, D] coordinates


class Backend(ABC):
    """A model as functions of NumPy arrays, any batch size. Arrays of tokens that a model does not have have no columns."""

    image_size: int
    grid: tuple[int, int]
    global_tokens: int
    patch_tokens: int
    filters: bool
    codebook_size: int
    name: str

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
    """A bundle in ONNX Runtime on the CPU: the graphs that users run."""

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
        """Runs one graph of the bundle; the graphs neither take nor give tokens that the model does not have."""
        return self._sessions[graph].run(list(outputs), inputs)

    def encode(self, image: Array) -> tuple[Array, Array]:
        tokens = {"global_codes": self.global_tokens, "patch_codes": self.patch_tokens}
        names = tuple(name for name, count in tokens.items() if count)
        codes = dict(zip(names, self.run("encoder", {"image": image}, names), strict=True))
        none = np.zeros((len(image), 0), dtype=np.int32)
        return codes.get("global_codes", none), codes.get("patch_codes", none)

    def estimate(self, global_codes: Array, patch_codes: Array, visible: Array | None = None) -> Estimate:
        if visible is None:
            visible = np.zeros(patch_codes.shape, dtype=bool)
        inputs = _present(global_codes, patch_codes) | {"visible": visible}
        return Estimate(*self.run("entropy", inputs, ("entropy", "surprisal", "expected_code")))

    def decode(
        self, global_codes: Array, patch_codes: Array, expected_code: Array | None = None, keep: Array | None = None
    ) -> Array:
        inputs = _present(global_codes, patch_codes)
        if self.filters:
            inputs |= {"expected_code": expected_code, "keep": keep}
        return self.run("decoder", inputs, ("image",))[0]


class TorchBackend(Backend):
    """A model in PyTorch float32, on a GPU where there is one."""

    def __init__(self, model: TaTok, name: str) -> None:
        config = model.config
        self.name = name
        self.image_size, self.grid = config.image_size, (config.grid, config.grid)
        self.global_tokens, self.patch_tokens = config.global_tokens, config.patch_tokens
        self.filters, self.codebook_size = config.filters, config.codebook_size
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        # PyTorch's default rounds what convolutions multiply to ten bits.
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        self._model = model.eval().to(self._device)

    def encode(self, image: Array) -> tuple[Array, Array]:
        tokens = self._model.encode(self._tensor(image).permute(0, 3, 1, 2))
        none = np.zeros((len(image), 0), dtype=np.int32)
        global_codes, patch_codes = (
            none if codes is None else codes.cpu().numpy() for codes in (tokens.global_codes, tokens.patch_codes)
        )
        return global_codes, patch_codes

    def estimate(self, global_codes: Array, patch_codes: Array, visible: Array | None = None) -> Estimate:
        shown = None if visible is None else self._tensor(visible)
        estimate = self._model.estimate(self._tokens(global_codes, patch_codes), shown)
        return Estimate(*(part.cpu().numpy() for part in estimate))

    def decode(
        self, global_codes: Array, patch_codes: Array, expected_code: Array | None = None, keep: Array | None = None
    ) -> Array:
        tokens = self._tokens(global_codes, patch_codes)
        if self.filters:
            tokens = replace(tokens, expected_code=self._tensor(expected_code), keep=self._tensor(keep))
        return self._model.decode(tokens).permute(0, 2, 3, 1).cpu().numpy()

    def _tokens(self, global_codes: Array, patch_codes: Array) -> Tokens:
        present = _present(global_codes, patch_codes)
        return Tokens(*(self._tensor(present[n]) if n in present else None for n in ("global_codes", "patch_codes")))

    def _tensor(self, array: Array) -> torch.Tensor:
        return torch.from_numpy(np.array(array)).to(self._device)


def _present(global_codes: Array, patch_codes: Array) -> dict[str, Array]:
    """The codes of the kinds of token that a model has, by their names in its graphs."""
    codes = {"global_codes": global_codes, "patch_codes": patch_codes}
    return {name: values for name, values in codes.items() if values.shape[1]}


def open_backend(path: Path, runtime: str = "onnx") -> Backend:
    """A bundle's folder runs in ONNX Runtime unless `runtime` is "torch"; files of weights run in PyTorch."""
    is_bundle = (path / "manifest.json").exists()
    return OnnxBackend(path) if is_bundle and runtime == "onnx" else TorchBackend(TaTok.from_pretrained(path), path.stem)
