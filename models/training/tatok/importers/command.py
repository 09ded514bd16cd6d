"""`python -m tatok import`: from a checkpoint of a public tokenizer to a bundle."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from ..bundle.format import Manifest, Source, read_manifest
from ..bundle.manifest import file_entry
from ..bundle.onnx_graph import Precision
from ..bundle.tokenizer_export import export_tokenizer
from ..data.images import fitted, list_images
from .checkpoint import read_checkpoint
from .families import FAMILIES, Kind
from .family import AVERAGED, ImageSize

_BATCH = 4
LEAST_EQUAL = 0.5
"""A wrong configuration leaves next to no code equal; weights rounded to float16 left 88 % in the worst case seen."""


@dataclass(frozen=True)
class Agreement:
    """How many of an imported tokenizer's codes equal those of upstream's own code."""

    images: int
    codes: int
    equal: int

    @property
    def share(self) -> float:
        """Of all codes, in [0, 1]."""
        return self.equal / self.codes


def import_tokenizer(
    kind: Kind,
    checkpoint: Path,
    out: Path,
    *,
    config: Path | None = None,
    image_size: ImageSize | None = None,
    name: str | None = None,
    licence: str | None = None,
    precision: Precision = "float16",
) -> list[str]:
    """Writes `out`, a bundle of `checkpoint`; returns sentences on what the checkpoint did not tell.

    `image_size` is for convolutional tokenizers, which work at any multiple of their patches.
    `licence` is that of the checkpoint; upstream's by default. Raises ValueError and OSError.
    """
    family = FAMILIES[kind]
    read = read_checkpoint(checkpoint, config)
    tokenizer = family.load(read.weights, read.configuration, image_size)
    source = Source(
        kind=kind,
        repository=family.repository,
        commit=family.commit,
        checkpoint=file_entry(read.path),
        weights=AVERAGED if read.averaged else tokenizer.weights,
    )
    export_tokenizer(
        tokenizer.encode,
        tokenizer.decode,
        out=out,
        name=name or read.path.stem,
        description=f"{family.title}, imported from {read.path.name}",
        licence=licence or f"{family.licence} (of {family.repository}; look up that of the checkpoint)",
        image_size=tuple(tokenizer.image_size),
        codebook=tokenizer.codebook,
        grid=tokenizer.grid,
        tokens=tokenizer.tokens,
        prefix=tokenizer.prefix,
        attention=tokenizer.attention,
        patch=tokenizer.patch,
        value_range=tokenizer.value_range,
        resample=tokenizer.resample,
        precision=precision,
        extra={"source": source},
    )
    return [f"Assumed: {fact}." for fact in tokenizer.assumed]


def compare_codes(bundle: Path, images: Path, codes: Path) -> Agreement:
    """Encodes `images`, a file or a folder, and compares with `codes`, an .npz with an array for each image.

    An array has the name of its image's file, without the ending, and upstream's codes in upstream's order, of any shape.
    Images of the bundle's size are taken as they are; others are resampled as the manifest says, which may differ from
    upstream's library by a level or so. Raises ValueError where an image has no array, or the array another number of codes.
    """
    manifest = read_manifest(bundle)
    files = list_images(images) if images.is_dir() else [images]
    if not files:
        raise ValueError(f"no images in {images}")
    options = ort.SessionOptions()
    options.log_severity_level = 4  # Errors come as exceptions; warnings are about speed.
    session = ort.InferenceSession(bundle / manifest.graphs.encoder, options, providers=["CPUExecutionProvider"])
    names = [stream.name for stream in manifest.streams]
    size, resample = (manifest.image.width, manifest.image.height), manifest.image.resample
    equal = total = 0
    with np.load(codes, allow_pickle=False) as given:
        absent = [file.stem for file in files if file.stem not in given.files]
        if absent:
            raise ValueError(
                f"{codes} has no array {', '.join(absent[:8])}: name each array after its image, without the ending"
            )
        for start in range(0, len(files), _BATCH):
            batch = files[start : start + _BATCH]
            results = session.run(names, {"image": np.stack([fitted(file, size, resample) for file in batch])})
            found = np.concatenate([result.reshape(len(batch), -1) for result in results], axis=1)
            for file, own in zip(batch, found, strict=True):
                wanted = given[file.stem].reshape(-1)
                if wanted.shape != own.shape:
                    raise ValueError(
                        f"{codes} has {wanted.size} codes for {file.stem}, and an image of this bundle has {own.size}"
                    )
                equal += int((wanted == own).sum())
                total += own.size
    return Agreement(len(files), total, equal)


def record_agreement(bundle: Path, agreement: Agreement) -> None:
    """Notes in the manifest how many codes equal upstream's. Raises ValueError where so few do that the import is wrong."""
    manifest = read_manifest(bundle)
    assert manifest.source is not None
    compared: dict[str, Any] = {"images": agreement.images, "codes": agreement.codes, "equal": agreement.equal}
    source = Source.model_validate(manifest.source.model_dump() | {"compared": compared})
    noted = Manifest.model_validate(manifest.model_dump() | {"source": source})
    (bundle / "manifest.json").write_text(noted.to_json(), encoding="utf-8")
    if agreement.share < LEAST_EQUAL:
        raise ValueError(
            f"only {agreement.share:.1%} of {agreement.codes} codes equal those of the file: compare the checkpoint, --config "
            "and the images, which need no resampling where they have the bundle's own size; --precision float32 rounds nothing"
        )
