"""Weights of a model in files: bundles, safetensors, NumPy archives and the checkpoints of training runs."""

import json
import pickle
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .bundle.manifest import read_manifest
from .config import ModelConfig, TrainConfig

Weights = dict[str, Tensor]
"""float32 tensors by the names of `TaTok.state_dict()`."""

SAFETENSORS = "model.safetensors"
"""The file that `read_weights` looks for in a folder that is not a bundle."""
_CONFIG = "__config__"
_CONFIG_OF_SAFETENSORS = "tatok.config"
_NETWORKS = ("encoder.", "entropy_model.", "decoder.")


def read_weights(path: Path) -> tuple[ModelConfig, Weights]:
    """Configuration and weights of a model.

    `path` is a bundle's folder (the initialisers of its ONNX graphs), a folder that holds `model.safetensors`, a
    `.safetensors` file, an `.npz` file that a training run left, or a checkpoint `.pt` (its averaged weights).

    A bundle also gives constants of the networks under their names, such as the pooling matrix. Raises OSError for a path that
    cannot be opened and ValueError for a file that is something else.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no {path}")
    if path.is_dir():
        if (path / "manifest.json").exists():
            return _from_bundle(path)
        if not (path / SAFETENSORS).exists():
            raise ValueError(f"{path} holds no model: neither manifest.json of a bundle nor {SAFETENSORS} is in it")
        path = path / SAFETENSORS
    readers = {".safetensors": _from_safetensors, ".npz": _from_npz, ".pt": _from_checkpoint}
    if path.suffix not in readers:
        raise ValueError(f"{path} is not a file of weights: those end in {', '.join(readers)}")
    return readers[path.suffix](path)


def save_weights(path: Path, config: ModelConfig, weights: Weights) -> None:
    """Writes a `.safetensors` file (float32) or an `.npz` file (float16, half as large).

    Raises ValueError for another ending.
    """
    on_host = {name: value.detach().cpu() for name, value in weights.items()}
    text = json.dumps(asdict(config))
    if path.suffix == ".safetensors":
        save_file({n: v.float().contiguous() for n, v in on_host.items()}, path, {_CONFIG_OF_SAFETENSORS: text})
    elif path.suffix == ".npz":
        np.savez(path, **{_CONFIG: np.array(text)}, **{name: value.half().numpy() for name, value in on_host.items()})
    else:
        raise ValueError(f"weights are written to .safetensors or .npz files, and {path} is neither")


def read_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """The state that `save_checkpoint` of a training run wrote, as a dictionary of numbers and tensors; it runs no code.

    Raises OSError for a file that cannot be opened and ValueError for one that is no checkpoint, or a part of one.
    """
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} is not a whole checkpoint of a training run; earlier ones may lie beside it") from error


def _from_bundle(bundle: Path) -> tuple[ModelConfig, Weights]:
    manifest = read_manifest(bundle)
    weights: Weights = {}
    for file in manifest["graphs"].values():
        for tensor in onnx.load(bundle / file).graph.initializer:
            name = tensor.name.removesuffix(".float16")
            if name.startswith(_NETWORKS):
                weights[name] = torch.from_numpy(numpy_helper.to_array(tensor).astype(np.float32))
    return ModelConfig.from_dict(manifest["model"]), weights


def _from_safetensors(path: Path) -> tuple[ModelConfig, Weights]:
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(_CONFIG_OF_SAFETENSORS)
            if text is None:
                raise ValueError(f"{path} has no configuration of a TaTok model in its metadata ({_CONFIG_OF_SAFETENSORS})")
            return ModelConfig.from_dict(json.loads(text)), {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file: {error}") from error


def _from_npz(path: Path) -> tuple[ModelConfig, Weights]:
    try:
        with np.load(path) as arrays:
            config = ModelConfig.from_dict(json.loads(str(arrays[_CONFIG])))
            return config, {k: torch.from_numpy(v.astype(np.float32)) for k, v in arrays.items() if k != _CONFIG}
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        # NumPy takes a file that is no archive for a pickle, and offers to run it.
        raise ValueError(f"{path} is not an archive of TaTok weights, as a training run leaves them") from error


def _from_checkpoint(path: Path) -> tuple[ModelConfig, Weights]:
    state = read_checkpoint(path)
    return TrainConfig.from_dict(state["config"]).model, state["average"]
