"""The bundle: manifest.json and ONNX graphs, the contract between training and inspector."""

import hashlib
import json
import stat
from pathlib import Path
from typing import Any

FORMAT = "tatok-bundle"
FORMAT_VERSION = 1
MOST_MANIFEST_BYTES = 2**20
"""The extension's limit."""
GRAPHS = {"encoder": "encoder.onnx", "entropy": "entropy.onnx", "decoder": "decoder.onnx"}
"""All that a bundle can have; one whose tokens cannot be dropped has no entropy graph.

A manifest's `variants` name graphs that compute the same for one execution provider of ONNX Runtime, by its name; the inspector
takes them in place of these there. Among them may be a fourth, `tokenizer`: image -> the encoder's codes and what the entropy
model says of them with no patch visible.
"""


def file_entry(path: Path) -> dict[str, Any]:
    """Name, size and SHA-256 of a file, as the manifest lists it."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"path": path.name, "bytes": path.stat().st_size, "sha256": digest}


def manifest_bytes(bundle: Path) -> bytes:
    """The bytes of manifest.json; nothing waits for a pipe, and the extension's limit holds.

    Raises FileNotFoundError; ValueError for a pipe, a device or a file that is too large.
    """
    path = bundle / "manifest.json"
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"{path} is not a regular file but a folder, a pipe or a device")
    if found.st_size > MOST_MANIFEST_BYTES:
        raise ValueError(f"{path} is too large")
    return path.read_bytes()


def read_manifest(bundle: Path) -> dict[str, Any]:
    """The manifest, with or without the byte order mark that some editors put before it.

    Raises ValueError for one that is no regular file, no JSON or of another format.
    """
    manifest = json.loads(manifest_bytes(bundle).decode("utf-8-sig"))
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT or manifest.get("formatVersion") != FORMAT_VERSION:
        raise ValueError(f"{bundle} is not a TaTok bundle of format version {FORMAT_VERSION}")
    return manifest


def write_manifest(bundle: Path, manifest: dict[str, Any]) -> None:
    """Writes manifest.json, listing the graphs as they lie in the folder, those of single providers after the others."""
    graphs = [manifest["graphs"], *manifest.get("variants", {}).values()]
    manifest = manifest | {"files": [file_entry(bundle / file) for files in graphs for file in files.values()]}
    (bundle / "manifest.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
