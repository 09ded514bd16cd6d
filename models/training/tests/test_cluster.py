"""Ray Data: the rows of a cluster, of which a node is lost."""

import shutil
import time
from pathlib import Path
from threading import Thread

import pytest
from conftest import FIXTURES, SAMPLES
from PIL import Image

from tatok.cli import main
from tatok.tokens.command import tokenize
from tatok.tokens.dataset import TokenDataset
from tatok.tokens.encode import make_recipe

TINY = FIXTURES / "bundles" / "tiny"
GOLDEN = FIXTURES / "golden"
OBJECT_STORE = 100 * 2**20
SHARD, SHARDS = 4, 6


@pytest.mark.cluster
def test_a_node_that_is_lost_in_the_middle_of_a_shard_costs_that_shard_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Two nodes, each with an actor and a processor that decodes; one of them is killed while shards are open."""
    pytest.importorskip("ray")
    import ray
    from ray._private.state import available_resources_per_node
    from ray.cluster_utils import Cluster

    folder, out = tmp_path / "pictures", tmp_path / "cluster.tokens"
    folder.mkdir()
    large = Image.open(SAMPLES / "kodim05.png").resize((2304, 1536))
    large.save(tmp_path / "large.png", compress_level=1)
    for i in range(SHARDS * SHARD):
        shutil.copy(GOLDEN / "kodim07-256.png" if i % 2 else tmp_path / "large.png", folder / f"{i:02d}.png")
    shutil.copy(FIXTURES / "images" / "jpeg-lacks-rows.jpg", folder / "00.png")
    recipe = make_recipe(TINY, runtime="onnx", provider="cpu", batch=2, quality=True)

    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    # As urgent as this process: beside other work the nodes would else wait for minutes.
    monkeypatch.setenv("RAY_worker_niceness", "0")
    # A lost node is noticed after three seconds instead of half a minute.
    head = {"_system_config": {"health_check_period_ms": 1000, "health_check_failure_threshold": 3}}
    head |= {"num_cpus": 0, "object_store_memory": OBJECT_STORE}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes = [cluster.add_node(num_cpus=2, object_store_memory=OBJECT_STORE) for _ in range(2)]
    try:
        ray.init(address=cluster.address, log_to_driver=False)
        work = Thread(target=tokenize, args=([folder], out, recipe), kwargs={"shard_size": SHARD, "engine": "ray", "actors": 2})
        work.start()
        there: dict[str, int] = {}
        # Until a shard is finished, and the node at work on another.
        while not there or available_resources_per_node()[nodes[1].node_id].get("CPU", 0) >= 2:
            assert work.is_alive()
            time.sleep(0.01)
            there = {file.name: file.stat().st_mtime_ns for file in out.glob("part-*")}
        cluster.remove_node(nodes[1], allow_graceful=False)
        work.join()
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert len(there) < SHARDS
    # What was finished is as it was.
    assert there.items() <= {file.name: file.stat().st_mtime_ns for file in out.glob("part-*")}.items()
    options = ["--model", str(TINY), "--provider", "cpu", "--batch", "2", "--quality", "--shard-size", str(SHARD)]
    assert main(["tokenize", str(folder), "--out", str(tmp_path / "here.tokens"), *options]) == 1
    here, elsewhere = (TokenDataset.open(each) for each in (tmp_path / "here.tokens", out))
    assert [table.to_pylist() for table in elsewhere.tables()] == [table.to_pylist() for table in here.tables()]
    assert elsewhere.description == here.description
