"""Bundle format 2: manifest.json as typed definitions, and the inputs and outputs that each graph must have.

Reading, writing, `python -m tatok check` and the JSON Schema (`json_schema`, committed as models/manifest.schema.json) derive
from these definitions; the inspector's own, src/bundle/formatTwo.ts, is held to them by test/fixtures/manifests.json. Keys that
the format does not name are kept and ignored.
"""

import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from ..filter import MOST_ROUNDS
from .manifest import FORMAT, manifest_bytes

Count = Annotated[int, Field(gt=0)]
Text = Annotated[str, StringConstraints(min_length=1)]
FileName = Annotated[str, StringConstraints(pattern=r"^[^/\\:]+$")]
"""The name of a file in the bundle's folder: no path can lead out of it."""
StreamName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*_codes$")]
"""The name of a stream in the graphs, such as `patch_codes`; without its ending it names what belongs to the stream."""
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Resample = Literal["lanczos3", "bicubic", "bilinear", "adm"]


class Part(BaseModel):
    """A JSON object of the manifest: camelCase keys, unknown ones kept."""

    model_config = ConfigDict(extra="allow", frozen=True, alias_generator=to_camel, validate_by_name=True)


class Image(Part):
    """The picture that the encoder takes and the decoder gives; `patch` is the side in pixels of what one cell stands for.

    `resample` says how a photograph becomes such a picture: it covers the picture at the least scale with this kernel, and its
    centre is kept. `adm` halves by averaging while the photograph is at least twice as large, and goes on with `bicubic`.
    """

    width: Annotated[int, Field(ge=16, le=4096)]
    height: Annotated[int, Field(ge=16, le=4096)]
    patch: Count
    resample: Resample = "lanczos3"

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return self.height // self.patch, self.width // self.patch

    @model_validator(mode="after")
    def _whole_patches(self) -> Self:
        if self.width % self.patch or self.height % self.patch:
            raise ValueError(f"patches of {self.patch} pixels do not tile {self.width}×{self.height} pixels")
        return self


class SequenceStream(Part):
    """`tokens` codes in a row. With `prefix`, any leading part of one token or more decodes."""

    name: StreamName
    kind: Literal["sequence"] = "sequence"
    tokens: Annotated[int, Field(gt=0, le=2**16)]
    codebook: Text
    prefix: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Of an image's codes in the graphs."""
        return (self.tokens,)

    @property
    def steps(self) -> int:
        """How many leading parts a prefix can have."""
        return self.tokens


class GridStream(Part):
    """Codes of rows × columns cells in reading order, `depth` residual codes each.

    Several grids are the scales of one picture. With `prefix`, any leading residual codes decode; a grid of depth 1 can then be
    left out, as the last scales of a multi-scale tokenizer can.
    """

    name: StreamName
    kind: Literal["grid"] = "grid"
    rows: Count
    columns: Count
    codebook: Text
    depth: Annotated[int, Field(gt=0, le=256)] = 1
    prefix: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Of an image's codes in the graphs."""
        cells = self.rows * self.columns
        return (cells,) if self.depth == 1 else (cells, self.depth)

    @property
    def steps(self) -> int:
        """How many leading parts a prefix can have."""
        return self.depth


Stream = SequenceStream | GridStream


class FsqCodebook(Part):
    """Finite scalar quantisation (Mentzer et al., 2023): a code is a mixed-radix number of levels, the first varies fastest."""

    kind: Literal["fsq"] = "fsq"
    levels: Annotated[list[Annotated[int, Field(ge=2)]], Field(min_length=1)]

    @property
    def codes(self) -> int:
        """How many codes there are."""
        return math.prod(self.levels)

    @model_validator(mode="after")
    def _of_62_bits(self) -> Self:
        if self.codes > 2**62:
            raise ValueError("its levels make more than 2^62 codes")
        return self


class VqCodebook(Part):
    """A table of `size` vectors; `file` is a NumPy array, float32 [size, dimensions], of the entries as they are compared."""

    kind: Literal["vq"] = "vq"
    size: Annotated[int, Field(ge=2, le=2**31)]
    dimensions: Count | None = None
    file: FileName | None = None

    @property
    def codes(self) -> int:
        """How many codes there are."""
        return self.size

    @model_validator(mode="after")
    def _file_with_dimensions(self) -> Self:
        if (self.dimensions is None) != (self.file is None):
            raise ValueError("dimensions and file go together: give both or neither")
        return self


class BitsCodebook(Part):
    """Lookup-free binary quantisation: bit i of a code, of value 2^i, is the sign of dimension i, 1 for plus."""

    kind: Literal["bits"] = "bits"
    bits: Annotated[int, Field(ge=1, le=62)]

    @property
    def codes(self) -> int:
        """How many codes there are."""
        return 2**self.bits


class ContinuousLatents(Part):
    """No codes: the stream carries float32 vectors of so many dimensions, as those of a variational autoencoder."""

    kind: Literal["continuous"] = "continuous"
    dimensions: Count

    @property
    def codes(self) -> None:
        """There are none."""
        return None


Codebook = FsqCodebook | VqCodebook | BitsCodebook | ContinuousLatents


class Expected(Part):
    """Width of the entropy graph's `expected_code`, and the stream whose tokens it estimates and the decoder can do without.

    Without `stream` that is the last grid, or the last sequence where there is no grid.
    """

    dimensions: Count
    stream: StreamName | None = None
    given: Literal["streams", "others"] = "streams"
    """What a token's entropy is given where nothing was dropped: the other streams, or the other tokens of its own stream.

    With "others" the entropies with no token visible tell nothing of a picture, as those of a lens: it is shown with the others
    visible, and tokens are dropped by backward elimination.
    """


class Attention(Part):
    """Shape of the encoder's maps of the first sequence's tokens over the patches."""

    layers: Count
    heads: Count


class Graphs(Part):
    """Files of the ONNX graphs. Without an entropy graph no token can be dropped."""

    encoder: FileName
    entropy: FileName | None = None
    decoder: FileName


class VariantGraphs(Graphs):
    """Graphs for one execution provider; `tokenizer` is encoder and entropy graph with no token visible, in one."""

    tokenizer: FileName | None = None


class Defaults(Part):
    """Settings of the filter that the inspector starts with."""

    loss_rate: Annotated[float, Field(ge=0, le=1)]
    edge_priority: Annotated[float, Field(ge=0)]
    budget: Literal["image", "reference"]
    conditioning: Literal["global", "sequential", "distortion"]
    ranking_rounds: Annotated[int, Field(ge=1, le=MOST_ROUNDS)] | None = None
    """R of a ranking in rounds; absent: as many as the ranking has by default."""


class FileEntry(Part):
    """A file of the bundle with its size and SHA-256."""

    path: FileName
    bytes: Count
    sha256: Sha256


class Source(Part):
    """Where imported weights come from; `repository` at `commit` is the code that the importer follows."""

    kind: Text
    repository: Text
    commit: Text
    checkpoint: FileEntry
    weights: Text
    """Which of the checkpoint's weights were taken, such as `averaged (EMA)`."""


class Manifest(Part):
    """manifest.json of a bundle."""

    format: Literal["tatok-bundle"] = FORMAT
    format_version: Literal[2] = 2
    name: Text
    version: Text
    description: str = ""
    licence: Text
    image: Image
    streams: Annotated[list[Annotated[Stream, Field(discriminator="kind")]], Field(min_length=1)]
    codebooks: dict[str, Annotated[Codebook, Field(discriminator="kind")]]
    expected: Expected | None = None
    attention: Attention | None = None
    graphs: Graphs
    variants: dict[str, VariantGraphs] = {}
    defaults: Defaults | None = None
    reference_budget_bits: Annotated[float, Field(ge=0)] | None = None
    source: Source | None = None
    files: list[FileEntry]

    @property
    def estimated(self) -> Stream | None:
        """The stream whose tokens can be dropped."""
        if self.expected is None:
            return None
        named = [s for s in self.streams if s.name == self.expected.stream]
        return (named or [s for s in self.streams if s.kind == "grid"] or self.streams)[-1]

    @property
    def attending(self) -> SequenceStream | None:
        """The stream whose attention the encoder gives."""
        sequences = [s for s in self.streams if isinstance(s, SequenceStream)]
        return sequences[0] if self.attention is not None and sequences else None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = list(self._contradictions())
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _contradictions(self):
        names = [s.name for s in self.streams]
        if len(set(names)) < len(names):
            yield "streams: two have the same name"
        for stream in self.streams:
            if stream.codebook not in self.codebooks:
                yield f"streams: {stream.name} names the codebook {stream.codebook}, which is not among codebooks"
        grids = [(s.rows, s.columns) for s in self.streams if isinstance(s, GridStream)]
        rows, columns = self.image.cells
        if grids and (rows, columns) not in grids:
            yield f"streams: no grid has the {rows} rows and {columns} columns of the image's patches"
        if any(r > rows or c > columns for r, c in grids):
            yield f"streams: a grid is finer than the image's {rows}×{columns} patches"
        if self.expected is not None and self.expected.stream not in (None, *names):
            yield f"expected: there is no stream {self.expected.stream}"
        if self.attention is not None and all(s.kind == "grid" for s in self.streams):
            yield "attention: is that of a sequence's tokens, and no stream is a sequence"
        if (self.graphs.entropy is None) != (self.expected is None):
            yield "expected: goes with an entropy graph: give both or neither"
        if self.graphs.entropy is not None and (self.defaults is None or self.reference_budget_bits is None):
            yield "defaults and referenceBudgetBits are needed with an entropy graph"
        if self.estimated is not None and isinstance(self.codebooks.get(self.estimated.codebook), ContinuousLatents):
            yield f"expected: {self.estimated.name} has no codes whose entropy could be estimated"
        for provider, variant in self.variants.items():
            if (variant.entropy is None) != (self.graphs.entropy is None):
                yield f"variants.{provider}: must have the graphs of the others"
            if variant.tokenizer is not None and self.graphs.entropy is None:
                yield f"variants.{provider}: need no tokenizer without an entropy graph"
        listed = {entry.path for entry in self.files}
        for name in sorted(self._named_files() - listed):
            yield f"files: must list {name}"

    def _named_files(self) -> set[str]:
        sets = [self.graphs, *self.variants.values()]
        graphs = {name for s in sets for name in (s.encoder, s.entropy, s.decoder, getattr(s, "tokenizer", None)) if name}
        return graphs | {c.file for c in self.codebooks.values() if isinstance(c, VqCodebook) and c.file}

    def to_json(self) -> str:
        """The text of manifest.json."""
        values = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def json_schema() -> str:
    """The text of the JSON Schema of manifest.json that editors and other programs read.

    It says nothing of files of that name that are no manifests of this format, so that an editor can apply it to all of them.
    Rules that bind one part to another, such as the files that must be listed, are beyond a schema.
    """
    schema = Manifest.model_json_schema()
    # A keyword of OpenAPI: what it says, the kinds of the alternatives say too.
    schema["properties"]["streams"]["items"].pop("discriminator")
    schema["properties"]["codebooks"]["additionalProperties"].pop("discriminator")
    parts = schema.pop("$defs") | {"Manifest": schema}
    for part in parts.values():
        part.pop("title")
        for name, value in part["properties"].items():
            value.pop("title", None)
            # Nothing else tells kinds of streams and codebooks apart, nor a manifest from any other file.
            if "const" in value:
                value.pop("default")
                part["required"] = [name, *part["required"]]
    told = {"format": {"const": FORMAT}, "formatVersion": {"const": 2}}
    conditional = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "TaTok bundle, format 2",
        "if": {"type": "object", "properties": told, "required": list(told)},
        "then": {"$ref": "#/$defs/Manifest"},
        "$defs": parts,
    }
    return json.dumps(conditional, indent=2, ensure_ascii=False) + "\n"


class TensorSpec(NamedTuple):
    """What an input or output of a graph must be; the batch comes before `shape`."""

    types: tuple[str, ...]
    shape: tuple[int, ...]


class Signature(NamedTuple):
    """Inputs and outputs of one graph by name."""

    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]


def stem(stream: Stream) -> str:
    """`global` of `global_codes`: what the stream's attention and prefix are named after."""
    return stream.name.removesuffix("_codes")


def signatures(manifest: Manifest) -> dict[str, Signature]:
    """The inputs and outputs of a bundle's graphs, without the batch.

    Images are uint8 [height, width, 3] of sRGB. Codes are int32 or int64, and int64 where a codebook has more than 2^31 codes.
    """

    def codes(stream: Stream) -> TensorSpec:
        codebook = manifest.codebooks[stream.codebook]
        if isinstance(codebook, ContinuousLatents):
            return TensorSpec(("float32",), (*stream.shape, codebook.dimensions))
        return TensorSpec(("int64",) if codebook.codes > 2**31 else ("int32", "int64"), stream.shape)

    image = TensorSpec(("uint8",), (manifest.image.height, manifest.image.width, 3))
    streams = {stream.name: codes(stream) for stream in manifest.streams}
    encoder = Signature({"image": image}, dict(streams))
    decoder = Signature(dict(streams), {"image": image})
    for stream in manifest.streams:
        if stream.prefix:
            decoder.inputs[f"keep_{stem(stream)}"] = TensorSpec(("bool",), (stream.steps,))
    if manifest.attention is not None and manifest.attending is not None:
        rows, columns = manifest.image.cells
        shape = (manifest.attention.layers, manifest.attention.heads, manifest.attending.tokens, rows * columns)
        encoder.outputs[f"{stem(manifest.attending)}_attention"] = TensorSpec(("float32",), shape)
    graphs = {"encoder": encoder, "decoder": decoder}
    if manifest.expected is not None and manifest.estimated is not None:
        tokens = manifest.estimated.shape
        bits, mask = TensorSpec(("float32",), tokens), TensorSpec(("bool",), tokens)
        expected = TensorSpec(("float32",), (*tokens, manifest.expected.dimensions))
        outputs = {"entropy": bits, "surprisal": bits, "expected_code": expected}
        graphs["entropy"] = Signature(streams | {"visible": mask}, outputs)
        decoder.inputs.update({"expected_code": expected, "keep": mask})
    return graphs


def read_manifest(bundle: Path) -> Manifest:
    """The manifest of a bundle of format 1 or 2. Raises ValueError with one line for every fault, and OSError."""
    path = bundle / "manifest.json"
    content = manifest_bytes(bundle)
    try:
        given = json.loads(content.decode("utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(given, dict) or given.get("format") != FORMAT:
        raise ValueError(f'{path} is not the manifest of a bundle: its "format" must be "{FORMAT}"')
    version = given.get("formatVersion")
    if version not in (1, 2):
        raise ValueError(f"{path} has format version {version}: 1 and 2 can be read")
    try:
        return Manifest.model_validate(_from_format_1(given) if version == 1 else given)
    except ValidationError as error:
        raise ValueError("\n".join(_sentence(path, fault) for fault in error.errors())) from error
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} lacks {error} of format version 1") from error


def _sentence(path: Path, fault: Any) -> str:
    where = ".".join(str(part) for part in fault["loc"])
    message = fault["msg"].removeprefix("Value error, ")
    return f"{path}: {where}: {message}" if where else f"{path}: {message}"


def _from_format_1(given: dict[str, Any]) -> dict[str, Any]:
    """A manifest of format 1 in the terms of format 2: a square picture, FSQ, at most one sequence and one grid."""
    size, patch = given["image"]["size"], given["image"]["patch"]
    rows, columns = given["grid"]["rows"], given["grid"]["columns"]
    streams = []
    if given["globalTokens"]:
        streams.append({"name": "global_codes", "kind": "sequence", "tokens": given["globalTokens"], "codebook": "codes"})
    if given.get("patchTokens", rows * columns):
        streams.append({"name": "patch_codes", "kind": "grid", "rows": rows, "columns": columns, "codebook": "codes"})
    levels = given["codebook"]["levels"]
    replaced = ("grid", "globalTokens", "patchTokens", "codebook", "attention")
    return {key: value for key, value in given.items() if key not in replaced} | {
        "formatVersion": 2,
        "licence": given.get("licence", "unknown"),
        "image": {"width": size, "height": size, "patch": patch},
        "streams": streams,
        "codebooks": {"codes": {"kind": "fsq", "levels": levels}},
        "expected": {"dimensions": len(levels)} if given["graphs"].get("entropy") else None,
        "attention": given["attention"] if given["globalTokens"] else None,
    }
