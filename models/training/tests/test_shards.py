"""Shards, the order of a stream, and training from it."""

import hashlib
import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import webdataset
from conftest import SAMPLES
from PIL import Image

from tatok.bench.profile import profile
from tatok.cli import main
from tatok.config import TrainConfig
from tatok.data import shards, stream
from tatok.data.augment import Augmentation
from tatok.data.crops import CropShape, CropSource
from tatok.data.images import decode_rgb, read_rgb
from tatok.data.jpeg import is_plain_jpeg
from tatok.data.order import Order, Share
from tatok.data.shards import ShardImages, write_shards
from tatok.data.stream import ImageStream, open_images
from tatok.training.distributed import Workers
from tatok.training.train import RunFiles, Trainer, train

CPU = torch.device("cpu")
PLAIN = CropShape(1.0), Augmentation(0, 0, 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty JPEG files in two classes, each of one grey that tells it from the others."""
    out = tmp_path_factory.mktemp("images")
    for number in range(20):
        of_class = out / ("cat" if number % 3 else "dog")
        of_class.mkdir(exist_ok=True)
        Image.new("RGB", (40 + number, 32), (10 * number,) * 3).save(of_class / f"{number:02d}.jpg", quality=95)
    return out


@pytest.fixture(scope="module")
def written(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shards") / "out"
    write_shards([folder], out, shard_images=6, seed=4)
    return out


def greys(crops: torch.Tensor) -> list[int]:
    """Which images crops are of."""
    return ((crops.mean((1, 2, 3)) + 1) * 127.5 / 10).round().int().tolist()


def test_webdataset_reads_shards(folder: Path, written: Path):
    tars = sorted(map(str, written.glob("*.tar")))
    assert len(tars) == 4
    samples = list(webdataset.WebDataset(tars, shardshuffle=False).decode())
    assert len(samples) == 20
    for sample in samples:
        path = folder / sample["json"]["key"]
        assert sample["json"]["label"] == path.parent.name
        assert sample["cls"] == ["cat", "dog"].index(path.parent.name)
    raw = {Path(json.loads(s["json"])["key"]).name: s["jpg"] for s in webdataset.WebDataset(tars, shardshuffle=False)}
    assert raw == {path.name: path.read_bytes() for path in folder.glob("*/*.jpg")}
    # Shards are mixed: the folder's own order has one class after the other.
    assert [s["cls"] for s in samples] != sorted(s["cls"] for s in samples)


def test_shards_are_known_by_their_hashes_and_tell_where_images_lie(folder: Path, written: Path):
    images = ShardImages(written)
    for tar, digest in zip(sorted(written.glob("*.tar")), images.index.shards, strict=True):
        assert hashlib.sha256(tar.read_bytes()).hexdigest() == digest
    found = {images.read(shard, n) for shard, many in enumerate(images.counts) for n in range(many)}
    assert found == {path.read_bytes() for path in folder.glob("*/*.jpg")}


def test_what_a_stop_left_is_finished_and_nothing_else_is_written(folder: Path, written: Path, tmp_path: Path):
    """Of a worker that died in the middle of a shard there is a partial file; equal inputs make equal bytes."""
    write_shards([folder], tmp_path / "out", shard_images=6, seed=4, workers=1)
    whole = {path.name: path.read_bytes() for path in written.iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == whole
    torn, kept = tmp_path / "out" / "shard-00002.tar", tmp_path / "out" / "shard-00001.tar"
    torn.write_bytes(torn.read_bytes()[:1000])
    (tmp_path / "out" / "shard-00003.json").unlink()
    before = kept.stat().st_mtime_ns
    assert main(["shard", str(folder), "--out", str(tmp_path / "out"), "--shard-images", "6", "--seed", "4"]) == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == whole
    assert kept.stat().st_mtime_ns == before


def test_other_images_and_other_folders_are_refused(
    folder: Path, written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["shard", str(folder / "cat"), "--out", str(written), "--shard-images", "6", "--seed", "4"]) == 1
    assert "has shards of other images, or of another size or order" in capsys.readouterr().err
    (tmp_path / "notes.txt").touch()
    assert main(["shard", str(folder), "--out", str(tmp_path)]) == 1
    assert "holds something else than shards" in capsys.readouterr().err
    assert main(["shard", str(tmp_path / "missing"), "--out", str(tmp_path / "out")]) == 1
    assert "there is no" in capsys.readouterr().err


def test_an_input_that_goes_away_is_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    listed = shards.list_sources([folder])
    monkeypatch.setattr(shards, "list_sources", lambda _: [replace(listed[0], file=str(tmp_path / "gone.jpg")), *listed[1:]])
    index = write_shards([folder], tmp_path / "out", shard_images=32)
    assert index.images == [19]
    ((key, reason),) = json.loads((tmp_path / "out" / "shard-00000.json").read_text())["skipped"]
    assert key == listed[0].key
    assert "No such file" in reason


def test_unfinished_shards_and_foreign_tars_are_refused(written: Path, tmp_path: Path):
    (tmp_path / "part").mkdir()
    index = json.loads((written / "index.json").read_text()) | {"shards": [], "images": []}
    (tmp_path / "part" / "index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match="lacks 4 of 4 shards: `tatok shard` goes on"):
        open_images(tmp_path / "part")
    (tmp_path / "tars").mkdir()
    (tmp_path / "tars" / "a.tar").touch()
    with pytest.raises(ValueError, match="tars that `tatok shard` did not write"):
        open_images(tmp_path / "tars")


@pytest.mark.parametrize(("counts", "together"), [([7, 5, 6, 2], 1), ([7, 5, 6, 2], 2), ([20], 8), ([0, 20, 0], 1)])
def test_every_epoch_has_every_image_once_and_another_order(counts: list[int], together: int):
    order = Order(counts, seed=3, together=together)
    epochs = [[order.place(n) for n in range(20 * e, 20 * e + 20)] for e in range(3)]
    every = {(shard, n) for shard, many in enumerate(counts) for n in range(many)}
    assert [set(epoch) for epoch in epochs] == [every] * 3
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert [Order(counts, 3, together).place(n) for n in range(40, 60)] == epochs[2]
    assert [Order(counts, 4, together).place(n) for n in range(20)] != epochs[0]
    # A group of shards is read to its end before the next one is opened.
    for epoch in epochs if together < len(counts) else []:
        seen = list(dict.fromkeys(shard for shard, _ in epoch))
        first = {shard for shard, _ in epoch[: sum(counts[s] for s in seen[:together])]}
        assert first == set(seen[:together])


@pytest.mark.parametrize(("processes", "batch"), [(1, 12), (1, 4), (2, 3), (3, 2), (4, 1)])
def test_any_number_of_processes_sees_the_same_crops(written: Path, processes: int, batch: int):
    """Sampled, cut and augmented alike; the step's twelve crops in as many passes as it takes."""

    def step(processes: int, batch: int, number: int) -> torch.Tensor:
        crops = torch.zeros(12, 3, 32, 32)
        for rank in range(processes):
            share = Share.of(rank, processes, batch, 12)
            source = ImageStream(
                open_images(written), 32, CropShape(0.5), Augmentation(0.2, 0.5, 0.3), CPU, share, seed=1, first_step=number
            )
            for each in range(share.passes):
                crops[share.part(each)] = source.batch(12, torch.Generator().manual_seed(number), share.part(each))
        return crops

    assert torch.equal(step(processes, batch, 5), step(1, 12, 5))
    assert len(set(greys(step(processes, batch, 0)))) == 12


def test_processes_that_do_not_make_a_global_batch_are_refused():
    with pytest.raises(ValueError, match=r"3 processes of 5 crops see 15 in a pass, .* global batch of 32"):
        Share.of(0, 3, 5, 32)


def test_readers_hand_over_the_images_in_their_order(written: Path):
    share = Share(0, 1, 5)
    alone = ImageStream(open_images(written), 32, *PLAIN, CPU, share, seed=1)
    read = ImageStream(open_images(written), 32, *PLAIN, CPU, share, seed=1, readers=2)
    generator = torch.Generator()
    for step in range(5):
        wanted = alone.batch(5, generator.manual_seed(step))
        assert torch.equal(read.batch(5, generator.manual_seed(step)), wanted)
    assert read.waited > 0
    read.close()


def test_a_crop_of_a_stream_is_that_of_the_same_pixels_in_a_pack(folder: Path, pack: Path):
    """Of a folder, of a pack that is read as a stream, and of one that is held."""
    source = ImageStream(open_images(pack), 32, CropShape(0.5), Augmentation(0.2, 0.5, 0.3), CPU, Share(0, 1, 4), seed=2)
    held = CropSource.open(pack, 32, CropShape(0.5), Augmentation(0.2, 0.5, 0.3), CPU)
    count = len(held.sizes)
    order = Order([count], 2, 8)
    assert torch.equal(source.centres(count), held.centres(count)[[order.place(n)[1] for n in range(count)]])
    of_folder = ImageStream(open_images(folder), 32, *PLAIN, CPU, Share(0, 1, 20), seed=2)
    assert sorted(greys(of_folder.batch(20, torch.Generator()))) == list(range(20))


def test_a_neighbour_stands_for_a_broken_image(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for n, path in enumerate(sorted(folder.glob("*/*.jpg"))[:4]):
        (tmp_path / f"{n}.jpg").write_bytes(path.read_bytes()[: 100 if n == 1 else None])
    source = ImageStream(open_images(tmp_path), 32, *PLAIN, CPU, Share(0, 1, 4), seed=0)
    seen = Counter(greys(source.batch(4, torch.Generator())))
    names = [int(path.stem) for path in sorted(folder.glob("*/*.jpg"))[:4]]
    assert seen == {names[0]: 1, names[2]: 2, names[3]: 1}
    assert "1.jpg cannot be read" in capsys.readouterr().err
    for path in tmp_path.glob("*.jpg"):
        path.write_bytes(b"no image")
    with pytest.raises(ValueError, match="16 images in a row cannot be read"):
        source.batch(4, torch.Generator())


def test_a_pack_larger_than_memory_opens_and_is_split(tmp_path: Path):
    """335 GB with one image of colour at the end of each process's part; the file is sparse."""
    side = 105_700
    sizes = [[side, side]] * 10 + [[32, 32]]
    lengths = np.prod(sizes, 1) * 3
    assert lengths.sum() > 335e9
    (tmp_path / "index.json").write_text(json.dumps({"sizes": sizes, "sha256": "0" * 64}))
    with (tmp_path / "pixels.bin").open("wb") as file:
        file.truncate(int(lengths.sum()))
        file.seek(int(lengths[:-1].sum()))
        file.write(bytes([200]) * 3 * 32 * 32)
    parts = [CropSource.open(tmp_path, 16, *PLAIN, CPU, rank=rank, processes=3) for rank in range(3)]
    assert sum(len(part.sizes) for part in parts) == 11
    assert max(len(part.pixels) for part in parts) < 0.41 * lengths.sum()
    last = parts[2].centres(len(parts[2].sizes))
    assert [int(image.float().mean()) for image in last] == [0] * (len(last) - 1) + [200]
    assert parts[0].batch(2, torch.Generator().manual_seed(0)).eq(-1).all()
    streamed = open_images(tmp_path)
    assert streamed.read(0, 10).shape == (32, 32, 3)
    assert int(streamed.read(0, 10).min()) == 200
    assert streamed.identity.startswith("pack ")


def test_a_process_without_an_image_is_refused(pack: Path):
    with pytest.raises(ValueError, match="and 99 processes need one each"):
        CropSource.open(pack, 32, *PLAIN, CPU, rank=0, processes=99)


def test_only_jpegs_whose_bytes_tell_their_colours_are_left_to_a_gpu(folder: Path, tmp_path: Path):
    plain = next(folder.glob("*/*.jpg")).read_bytes()
    assert is_plain_jpeg(plain)
    image = Image.open(SAMPLES / "kodim23.png").convert("RGB").resize((60, 40))
    exif = Image.Exif()
    exif[0x0112] = 6
    variants = {"grey": (image.convert("L"), {}), "turned": (image, {"exif": exif}), "ink": (image.convert("CMYK"), {})}
    variants["profile"] = image, {"icc_profile": b"a profile"}
    for name, (variant, options) in variants.items():
        variant.save(tmp_path / f"{name}.jpg", **options)
        assert is_plain_jpeg((tmp_path / f"{name}.jpg").read_bytes()) == (name == "grey"), name
    assert not is_plain_jpeg(plain[:-2])
    assert not is_plain_jpeg((SAMPLES / "kodim23.png").read_bytes())


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
def test_decoding_of_whole_batches_gives_the_same_pictures(folder: Path, tmp_path: Path):
    """On the CPU here; a damaged file costs its own place alone."""
    photograph = Image.open(SAMPLES / "kodim23.png").convert("RGB")
    photograph.resize((120, 80)).save(tmp_path / "a.jpg", quality=95)
    photograph.resize((60, 90)).save(tmp_path / "b.png")
    photograph.resize((36, 36)).save(tmp_path / "c.jpg", quality=95)
    images, share = open_images(tmp_path), Share(0, 1, 3)
    here, there = (ImageStream(images, 32, *PLAIN, CPU, share, seed=5, gpu_decoding=on) for on in (False, True))
    generator = torch.Generator()
    for step in range(3):
        wanted = here.batch(3, generator.manual_seed(step))
        given = there.batch(3, generator.manual_seed(step))
        assert (given - wanted).abs().mean() < 0.02
    good = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(good[:300] + bytes(20) + good[-2:])
    assert there.batch(3, generator.manual_seed(0)).isfinite().all()


def test_training_reads_shards_and_goes_on_exactly_with_other_passes(
    written: Path, tmp_path: Path, tiny: TrainConfig, alone: Workers
):
    """Eight crops a step in one pass, stopped, then in one and in two: the same crops, and in one pass the same weights."""
    files = RunFiles(written, tmp_path / "run")
    files.out.mkdir()
    config = replace(tiny, batch=8, global_batch=8, readers=0, samples_every=0, perceptual_every=1)
    trainer = Trainer(files, config, alone)
    for _ in range(3):
        trainer.step()
    trainer.save()
    trainer.step()
    seen: list[torch.Tensor] = []
    for batch in (8, 4):
        resumed = Trainer(files, replace(config, batch=batch), alone)
        assert resumed.step_number == 3
        crops = []
        resumed.objective.register_forward_pre_hook(lambda _, given, crops=crops: crops.append(given[0]))
        resumed.step()
        assert len(crops) == 8 // batch
        seen.append(torch.cat(crops))
        if batch == 8:
            assert all(torch.equal(a, b) for a, b in zip(trainer.model.parameters(), resumed.model.parameters(), strict=True))
    assert torch.equal(*seen)


def test_passes_of_a_step_add_up_to_its_gradient(files: RunFiles, tiny: TrainConfig, alone: Workers):
    """Of the terms that are means over crops: all weigh alike, whatever the pass that they are in."""
    config = replace(tiny, global_batch=8, flat_area_weight=0, rate_weight=0, partial_weight=0, full_token_phase=1.0)
    gradients = []
    for batch in (8, 2):
        trainer = Trainer(files, replace(config, batch=batch), alone)
        recorded: list[torch.Tensor] = []
        for optimizer in trainer.optimizers:
            optimizer.step = lambda: None
        trainer.model.decoder.position.register_post_accumulate_grad_hook(lambda p, r=recorded: r.append(p.grad.clone()))
        trainer.step()
        assert len(recorded) == 8 // batch
        gradients.append(recorded[-1])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-7)


def test_other_processes_are_refused_for_a_pack_and_taken_for_a_stream(
    files: RunFiles, tiny: TrainConfig, alone: Workers, tmp_path: Path
):
    for streamed, global_batch in ((False, 8), (True, 0), (True, 8)):
        own = replace(files, out=tmp_path / f"{streamed}-{global_batch}")
        own.out.mkdir()
        config = replace(tiny, batch=4, stream=streamed, global_batch=global_batch, readers=0)
        trainer = Trainer(own, config, alone)
        trainer.origin = replace(trainer.origin, processes=2)
        trainer.save()
        if streamed and global_batch:
            assert Trainer(own, config, alone).share.passes == 2
        else:
            with pytest.raises(ValueError, match="was trained by 2 processes, and 1 are asked for"):
                Trainer(own, config, alone)


def test_a_profile_tells_the_rate_of_the_data(written: Path, tiny: TrainConfig, tmp_path: Path):
    config = replace(tiny, readers=0)
    text = profile(RunFiles(written, tmp_path), config, compile_model=False, warm_up=1, timed=1, traced=1)
    line = text.splitlines()[1]
    assert re.fullmatch(
        r"Data alone: \d+ crops a second, (faster|slower) than the step.*; \d+\.\d ms a step were waited for them\.", line
    )


def test_a_run_from_a_folder_leaves_weights(folder: Path, tmp_path: Path, tiny: TrainConfig):
    train(RunFiles(folder, tmp_path / "run"), replace(tiny, steps=2, batch=4, readers=0))
    assert (tmp_path / "run" / "weights.npz").exists()
    assert len(list((tmp_path / "run" / "samples").iterdir())) == 1


def test_files_decode_to_what_paths_do(tmp_path: Path):
    path = SAMPLES / "kodim23.png"
    assert np.array_equal(decode_rgb(path.read_bytes(), 96), read_rgb(path, 96))
    assert stream.open_images(SAMPLES).counts[0] >= 3
