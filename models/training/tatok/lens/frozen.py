"""A frozen tokenizer: the graphs of its bundle in ONNX Runtime, and the codes of a folder of photographs."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from ..bundle.format import Manifest, Stream, VqCodebook, read_manifest, stem
from ..data.images import fitted

Codes = dict[str, NDArray[np.integer]]
"""Codes of images by stream, [images, tokens]."""
Pixels = NDArray[np.uint8]
Progress = Callable[[str], None]
_CACHED_EVERY = 50


def open_graph(path: Path, threads: int = 0) -> ort.InferenceSession:
    """A graph on CUDA where this ONNX Runtime has it, else on the CPU; `threads` 0: one a core."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # Errors come as exceptions; warnings are about speed.
    wanted = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    return ort.InferenceSession(path, options, providers=[p for p in wanted if p in ort.get_available_providers()])


@dataclass
class Frozen:
    """A bundle whose encoder and decoder stay as they are."""

    folder: Path
    manifest: Manifest
    stream: Stream
    """The stream that is estimated: the last grid, or the last sequence where there is none."""

    @classmethod
    def open(cls, folder: Path) -> "Frozen":
        """Raises ValueError for a bundle that has an entropy model, or more than one code a token."""
        manifest = read_manifest(folder)
        if manifest.graphs.entropy is not None:
            raise ValueError(f"{folder} has an entropy model: its tokens can be dropped as they are")
        grids = [stream for stream in manifest.streams if stream.kind == "grid"]
        return cls(folder, manifest, (grids or manifest.streams)[-1])

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the estimated tokens; those of a sequence are one row."""
        return (self.stream.rows, self.stream.columns) if self.stream.kind == "grid" else (1, self.stream.tokens)

    @property
    def hash(self) -> str:
        """SHA-256 of the manifest, which names all files with theirs."""
        return hashlib.sha256((self.folder / "manifest.json").read_bytes()).hexdigest()

    def vectors(self) -> dict[str, NDArray[np.float32]]:
        """Tables of the codebooks that have one, by name."""
        tables = {name: book.file for name, book in self.manifest.codebooks.items() if isinstance(book, VqCodebook)}
        return {name: np.load(self.folder / file, allow_pickle=False) for name, file in tables.items() if file}

    def read(self, path: Path) -> Pixels:
        """A photograph as the encoder takes it, [height, width, 3]. Raises ValueError where it cannot be read."""
        image = self.manifest.image
        return fitted(path, (image.width, image.height), image.resample)

    def encode(self, session: ort.InferenceSession, images: Pixels) -> Codes:
        """[B, height, width, 3] -> codes."""
        names = [stream.name for stream in self.manifest.streams]
        return dict(zip(names, session.run(names, {"image": images}), strict=True))

    def decoder_inputs(self, session: ort.InferenceSession, codes: Codes) -> dict[str, NDArray[np.generic]]:
        """Codes in the integers that a graph takes, and masks that keep every prefix whole."""
        types = {value.name: np.int64 if value.type == "tensor(int64)" else np.int32 for value in session.get_inputs()}
        count = len(next(iter(codes.values())))
        prefixes = [stream for stream in self.manifest.streams if stream.prefix]
        masks = {f"keep_{stem(stream)}": np.ones((count, stream.steps), dtype=bool) for stream in prefixes}
        wanted = {value.name for value in session.get_inputs()}
        fed = {name: values.astype(types.get(name, np.int32)) for name, values in codes.items()} | masks
        return {name: value for name, value in fed.items() if name in wanted}


def encode_photographs(
    frozen: Frozen, files: list[Path], cache: Path, say: Progress, *, batch: int, threads: int
) -> tuple[Codes, list[Path]]:
    """Codes of every photograph, [photographs, tokens], and the files that could be read.

    They are kept in `cache` as they come, and taken from there for the same bundle and files. Raises ValueError where no file
    can be read.
    """
    names = [stream.name for stream in frozen.manifest.streams]
    key = hashlib.sha256("\n".join([frozen.hash, *(f"{file} {file.stat().st_size}" for file in files)]).encode()).hexdigest()
    done, read, parts = 0, [], []
    if cache.is_file():
        with np.load(cache, allow_pickle=False) as kept:
            if str(kept["key"]) == key:
                done, read, parts = int(kept["done"]), kept["read"].tolist(), [{name: kept[name] for name in names}]
    session = open_graph(frozen.folder / frozen.manifest.graphs.encoder, threads) if done < len(files) else None
    while session is not None and done < len(files):
        images = []
        for index in range(done, min(done + batch, len(files))):
            try:
                images.append(frozen.read(files[index]))
                read.append(index)
            except ValueError as error:
                say(f"left out: {error}")
        if images:
            parts.append(frozen.encode(session, np.stack(images)))
        before, done = done, min(done + batch, len(files))
        if parts and (done // _CACHED_EVERY > before // _CACHED_EVERY or done == len(files)):
            parts = [{name: np.concatenate([part[name] for part in parts]) for name in names}]
            _save(cache, key=np.array(key), done=np.array(done), read=np.array(read), **parts[0])
            say(f"encoded {done} of {len(files)} photographs")
    if not parts:
        raise ValueError(f"none of {len(files)} files can be read as a photograph")
    return parts[0], [files[index] for index in read]


def _save(path: Path, **arrays: NDArray[np.generic]) -> None:
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, **arrays)
    partial.replace(path)
