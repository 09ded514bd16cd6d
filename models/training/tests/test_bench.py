import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_bundle import MANIFEST, MEASURED

from tatok.bench.floor import Ceilings, floor_milliseconds
from tatok.bench.networks import bench, table
from tatok.bundle.export import export_bundle
from tatok.cli import main
from tatok.config import TINY_MODEL
from tatok.tokenizer import TaTok
from tatok.weights import save_weights


@pytest.fixture
def threads() -> Iterator[None]:
    """The number of threads is the process's: other tests keep theirs."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_every_stage_of_every_batch_is_timed(model: TaTok, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = tmp_path / "bundle"
    export_bundle(model, bundle, MANIFEST, MEASURED)
    result = bench(bundle, device="cpu", threads=1, batches=[1, 2], runs=3, warm_up=1)
    assert [entry["batch"] for entry in result["batches"]] == [1, 2]
    for entry in result["batches"]:
        assert list(entry["eager"]) == ["encode", "entropy", "decode", "encode + entropy", "encode + entropy + decode"]
        for spread in entry["eager"].values():
            assert 0 < spread["least"] <= spread["median"] <= spread["p90"] <= spread["most"]
    assert "batch   2 eager    decode" in table(result)
    assert main(["bench", str(bundle), "--threads", "1", "--batches", "1", "--runs", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["threads"] == 1


@pytest.mark.usefixtures("threads")
def test_a_model_of_fixed_length_is_timed_without_an_entropy_model(tmp_path: Path):
    config = replace(TINY_MODEL, global_tokens=0, entropy_layers=0)
    save_weights(tmp_path / "weights.npz", config, TaTok(config).state_dict())
    result = bench(tmp_path / "weights.npz", device="cpu", threads=1, batches=[1], runs=2, warm_up=0)
    assert list(result["batches"][0]["eager"]) == ["encode", "decode", "encode + decode"]


def test_the_floor_counts_arithmetic_weights_and_transfers():
    ceilings = Ceilings(bfloat16_flops=1e9, memory_bytes=1e9, host_to_device_bytes=1e6, device_to_host_bytes=2e6)
    linear = torch.nn.Linear(30, 20, bias=False)
    # 2·10·30·20 operations; 600 weights of 2 bytes; 10·30 values in and 10·20 out, of 4 bytes each.
    floor = floor_milliseconds(linear, linear, [torch.zeros(10, 30)], ceilings)
    assert floor == pytest.approx({"arithmetic": 0.012, "memory": 0.0032, "transfer": 1.2 + 0.4})


def test_the_floor_counts_attention():
    class Attention(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.scaled_dot_product_attention(x, x, x)

    ceilings = Ceilings(bfloat16_flops=1e9, memory_bytes=1e9, host_to_device_bytes=1e9, device_to_host_bytes=1e9)
    # Two products of 3 heads, 16 by 16 by 8.
    floor = floor_milliseconds(Attention(), Attention(), [torch.rand(1, 3, 16, 8)], ceilings)
    assert floor["arithmetic"] == pytest.approx(2 * (2 * 3 * 16 * 16 * 8) * 1e-6)
