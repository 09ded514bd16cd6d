"""`tatok.load_tokens`: token data sets and the extension's exports as NumPy arrays."""

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .dataset import TokenDataset, kept_masks

FIGURES = ("kept", "tokens", "payload_bits", "mask_bits", "coded_bits", "psnr", "ssim")
_FILE_FORMAT, _FILE_VERSION = "tatok-token-file", 1


@dataclass(frozen=True)
class LoadedTokens:
    """Tokens of M images; N patches on a grid of rows × columns, in raster order.

    Values a patch reshape to pictures: `entropy_bits.reshape(-1, *grid)`. Values that the file lacks are None.
    """

    model: str
    """Name of the bundle that made the tokens."""
    model_hash: str | None
    """SHA-256 of its manifest.json; files of the extension before version 1 do not have it."""
    grid: tuple[int, int]
    """Rows and columns of patches."""
    settings: dict[str, Any]
    """lossRate (ε), edgePriority (bits), budget and conditioning of the filter; empty where the file does not say."""
    paths: list[str]
    """[M] path or key of every image; the name of its file, in exports."""
    labels: list[str | None]
    """[M] classes."""
    ids: list[str | None]
    """[M] SHA-256 of the images' bytes."""
    crops: NDArray[np.int32] | None
    """[M, 4] left, top, width and height of the part that was tokenized, in pixels of the upright picture."""
    global_codes: NDArray[np.int32] | None
    """[M, K] codes in [0, V); of a tiled picture [1, T·K], tile after tile."""
    patch_codes: NDArray[np.int32] | None
    """[M, N] codes in [0, V); −1 where a token was dropped, which a data set does not store."""
    keep: NDArray[np.bool_] | None
    """[M, N] True where a patch token is kept; None for a model that cannot drop any."""
    entropy_bits: NDArray[np.float32] | None = None
    """[M, N] ĥ, conditional entropy given the global tokens alone, bits."""
    surprisal_bits: NDArray[np.float32] | None = None
    """[M, N] −log2 q of the code, given the same, bits."""
    expected_codes: NDArray[np.float32] | None = None
    """[M, N, D] E_q[z], coordinates in [−1, 1]; in .npz exports alone."""
    figures: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """[M] each: kept, tokens, payload_bits, mask_bits, coded_bits, psnr (dB) and ssim as far as the file has them, NaN where
    one image has none."""
    failed: dict[str, str] = field(default_factory=dict)
    """Images without tokens: from path to the sentence that says why. They are not among the M."""

    def __len__(self) -> int:
        """M, the number of images."""
        return len(self.paths)


def load_tokens(path: Path | str) -> LoadedTokens:
    """Reads a token data set (`NAME.tokens`) or an export of the extension or its command line (`.npz`, `.tokens.json`).

    The whole of it goes into memory; `tatok.tokens.dataset.TokenDataset` reads a data set shard by shard. Exports are read in
    the present version of their format and in the one before, which had none.

    Raises OSError for a path that is not there, and ValueError, in one sentence, for a file that holds no tokens.
    """
    path = Path(path)
    if path.is_dir():
        return _of_dataset(TokenDataset.open(path))
    try:
        return _of_npz(path) if path.suffix == ".npz" else _of_json(path)
    except (KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise ValueError(f"{path} is no file of tokens: {reason}") from error


def _of_dataset(dataset: TokenDataset) -> LoadedTokens:
    description = dataset.description
    rows, columns = description.grid
    tables = list(dataset.tables())
    table = pa.concat_tables(tables) if tables else pa.table({name: [] for name in ("path", "error")})
    errors = table.filter(pc.is_valid(table["error"]))
    failed = dict(zip(errors["path"].to_pylist(), errors["error"].to_pylist(), strict=True))
    table = table.filter(pc.is_null(table["error"]))
    if not len(table):
        raise ValueError(f"{dataset.folder} has no images with tokens as yet")
    patches = rows * columns
    keep = kept_masks(table, patches)
    patch_codes = None
    if not table["patch_codes"].null_count:
        patch_codes = np.full((len(table), patches), -1, dtype=np.int32)
        patch_codes[keep] = _flat(table["patch_codes"])
    numbers = {name: table[name].cast(pa.float64()).to_numpy() for name in FIGURES}
    return LoadedTokens(
        model=description.model.name,
        model_hash=description.model.hash,
        grid=(rows, columns),
        settings=description.settings,
        paths=table["path"].to_pylist(),
        labels=table["label"].to_pylist(),
        ids=table["id"].to_pylist(),
        crops=np.stack([table[f"crop_{part}"].to_numpy() for part in ("x", "y", "width", "height")], 1).astype(np.int32),
        global_codes=_matrix(table, "global_codes", np.int32),
        patch_codes=patch_codes,
        keep=None if table["keep"].null_count else keep,
        entropy_bits=_matrix(table, "entropy", np.float32),
        surprisal_bits=_matrix(table, "surprisal", np.float32),
        figures={name: values for name, values in numbers.items() if not np.isnan(values).all()},
        failed=failed,
    )


def _flat(column: pa.ChunkedArray) -> NDArray[Any]:
    return column.combine_chunks().flatten().to_numpy()


def _matrix(table: pa.Table, column: str, kind: type[np.generic]) -> NDArray[Any] | None:
    """[rows, values]; None where a row has none."""
    return None if table[column].null_count else _flat(table[column]).reshape(len(table), -1).astype(kind)


def _of_npz(path: Path) -> LoadedTokens:
    with np.load(path, allow_pickle=False) as arrays:
        settings = json.loads(str(arrays["settings"]))
        patches = next((arrays[name] for name in ("patch_codes", "keep") if name in arrays), None)
        grid = settings.get("grid") or dict(zip(("rows", "columns"), (1, 0) if patches is None else patches.shape, strict=True))

        def flat(name: str, kind: type[np.generic], *dimensions: int) -> NDArray[Any] | None:
            return arrays[name].astype(kind).reshape(1, -1, *dimensions) if name in arrays else None

        return _exported(
            settings,
            grid,
            settings["image"],
            global_codes=flat("global_codes", np.int32),
            patch_codes=flat("patch_codes", np.int32),
            keep=flat("keep", np.bool_),
            entropy_bits=flat("entropy_bits", np.float32),
            surprisal_bits=flat("surprisal_bits", np.float32),
            expected_codes=flat("expected_codes", np.float32, len(arrays["levels"])),
        )


def _of_json(path: Path) -> LoadedTokens:
    record = json.loads(path.read_text(encoding="utf-8"))
    kinds = {"global_codes": ("globalCodes", np.int32), "patch_codes": ("patchCodes", np.int32), "keep": ("keep", np.bool_)}
    arrays = {name: np.array([record[key]], kind) if key in record else None for name, (key, kind) in kinds.items()}
    return _exported(record, record["grid"], path.name.removesuffix(".json").removesuffix(".tokens"), **arrays)


def _exported(record: dict[str, Any], grid: dict[str, int], image: str, **arrays: NDArray[Any] | None) -> LoadedTokens:
    """One image as the extension writes it."""
    if record.get("format", _FILE_FORMAT) != _FILE_FORMAT:
        raise ValueError(f"its format is {record['format']}")
    if record.get("version", _FILE_VERSION) != _FILE_VERSION:
        raise ValueError(f"it has version {record['version']} of the format, and version {_FILE_VERSION} is read")
    if arrays["global_codes"] is None and arrays["patch_codes"] is None:
        raise ValueError("it has no codes")
    crop = record.get("source", {}).get("crop")
    measured = {name: record[name] for name in ("psnr", "ssim") if record.get(name) is not None}
    return LoadedTokens(
        model=record["model"]["name"],
        model_hash=record["model"].get("hash"),
        grid=(grid["rows"], grid["columns"]),
        settings=record.get("settings", {}),
        paths=[image],
        labels=[None],
        ids=[None],
        crops=None if crop is None else np.array([[crop[part] for part in ("left", "top", "width", "height")]], np.int32),
        figures={name: np.array([value], np.float64) for name, value in measured.items()},
        **arrays,
    )
