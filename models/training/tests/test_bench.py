import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from test_bundle import MANIFEST

from tatok.__main__ import main
from tatok.bench import bench, table
from tatok.export import export_bundle
from tatok.model import TaTok


@pytest.fixture
def threads() -> Iterator[None]:
    """The number of threads is the process's: other tests keep theirs."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_every_stage_of_every_batch_is_timed(model: TaTok, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = tmp_path / "bundle"
    export_bundle(model, bundle, MANIFEST)
    result = bench(bundle, threads=1, batches=[1, 2], runs=3, warm_up=1)
    assert [entry["batch"] for entry in result["batches"]] == [1, 2]
    for entry in result["batches"]:
        assert list(entry["milliseconds"]) == ["encode", "entropy", "decode"]
        for spread in entry["milliseconds"].values():
            assert 0 < spread["least"] <= spread["median"] <= spread["p90"] <= spread["most"]
    assert "batch   2 decode" in table(result)
    assert main(["bench", str(bundle), "--threads", "1", "--batches", "1", "--runs", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["threads"] == 1
