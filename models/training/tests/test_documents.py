"""Code that documents show, run as readers run it."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, SAMPLES

from tatok.bundle.check import check_bundle

TRAINING = ROOT / "models" / "training"


def test_the_modules_that_importing_md_shows_become_a_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    text = (TRAINING / "IMPORTING.md").read_text(encoding="utf-8")
    (shown,) = (block.split("```")[0] for block in text.split("```python\n")[1:] if "export_tokenizer" in block)
    exec(shown, {})
    assert check_bundle(tmp_path / "bundle") == []


def code_of(notebook: str) -> str:
    """Its cells in their order."""
    cells = json.loads((TRAINING / "notebooks" / notebook).read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def test_the_notebook_redraws_the_overlay_of_an_export(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(TRAINING / "notebooks")
    monkeypatch.setenv("MPLBACKEND", "agg")
    variables: dict = {}
    exec(code_of("read_an_export.ipynb"), variables)
    drawn = variables["axes"][1]
    assert len(drawn.patches) == variables["kept"] == 41
    with np.load("kodim23.npz") as export:
        np.testing.assert_array_equal(drawn.images[1].get_array(), export["entropy_bits"])
        outlined = {(int(patch.get_y()), int(patch.get_x())) for patch in drawn.patches}
        assert outlined == {tuple(place) for place in np.argwhere(export["keep"]).tolist()}
        measured = json.loads(str(export["settings"]))["psnr"]
    # PyTorch and libvips made again what the extension decoded and measured.
    assert variables["psnr"] == pytest.approx(measured, abs=0.01)


def test_the_notebook_takes_a_vq_vae_to_a_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """With a short training."""
    monkeypatch.chdir(tmp_path)
    source = code_of("export_a_tokenizer.ipynb")
    for shown, used in (("STEPS = 1000", "STEPS = 30"), ('Path("../../../media/samples")', f"Path({str(SAMPLES)!r})")):
        assert shown in source
        source = source.replace(shown, used)
    variables: dict = {}
    exec(source, variables)
    assert variables["problems"] == []
    # A flat picture of the right colour is at about 13 dB on these photographs.
    assert variables["psnr"] > 10
