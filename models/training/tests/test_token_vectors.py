"""The shared token data sets of test/fixtures/tokens, read by pyarrow, DuckDB and pandas themselves."""

import hashlib
import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

VECTORS = Path(__file__).parents[3] / "test" / "fixtures" / "tokens"
DATASETS = sorted(VECTORS.glob("*.tokens"))
PATCHES = 12


def _rows() -> list[dict[str, Any]]:
    return json.loads((VECTORS / "rows.json").read_text(encoding="utf-8"))["rows"]


def _shards(dataset: Path) -> list[str]:
    return [str(shard) for shard in sorted(dataset.glob("part-*.parquet"))]


def _recorded(row: dict[str, Any]) -> dict[str, Any]:
    """A row as rows.json has it, with the kept mask by numpy.unpackbits."""
    keep = row["keep"]
    mask = None if keep is None else np.unpackbits(np.frombuffer(keep, np.uint8))[:PATCHES].tolist()
    return {**row, "keep": mask}


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda path: path.stem)
def test_pyarrow_reads_every_value(dataset: Path) -> None:
    table = pq.read_table(_shards(dataset))
    assert [_recorded(row) for row in table.to_pylist()] == _rows()
    types = {field.name: field.type for field in table.schema}
    assert types["global_codes"].value_type == types["patch_codes"].value_type == pa.uint32()
    assert types["entropy"].value_type == types["surprisal"].value_type == pa.float32()
    assert [types[name] for name in ("id", "width", "keep", "psnr")] == [pa.string(), pa.int32(), pa.binary(), pa.float64()]
    # The values are those of float16.
    numbers = np.array([value for row in _rows() for value in row["surprisal"] or []])
    np.testing.assert_array_equal(numbers, numbers.astype(np.float16))


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda path: path.stem)
def test_duckdb_and_pandas_read_every_value(dataset: Path) -> None:
    files = _shards(dataset)
    query = f"SELECT path, list_sum(patch_codes), kept, psnr FROM read_parquet({files}) WHERE kept > 0"
    expected = {(row["path"], sum(row["patch_codes"]), row["kept"], row["psnr"]) for row in _rows() if row["kept"]}
    assert set(duckdb.sql(query).fetchall()) == expected
    frame = pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)
    assert frame["path"].tolist() == [row["path"] for row in _rows()]
    assert frame["error"].dropna().tolist() == ["There is no such file."]
    for codes, row in zip(frame["patch_codes"], _rows(), strict=True):
        assert (None if codes is None else codes.tolist()) == row["patch_codes"]


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda path: path.stem)
def test_the_description_has_the_hashes_of_the_shards_and_of_the_inputs(dataset: Path) -> None:
    description = json.loads((dataset / "dataset.json").read_text(encoding="utf-8"))
    assert [shard["rows"] for shard in description["shards"]] == [2, 2, 1]
    for shard in description["shards"]:
        assert hashlib.sha256((dataset / shard["file"]).read_bytes()).hexdigest() == shard["sha256"]
    paths = "\n".join(row["path"] for row in _rows())
    assert description["input"]["hash"] == hashlib.sha256(paths.encode()).hexdigest()
