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
    blocks = [block.split("```")[0] for block in text.split("```python\n")[1:]]
    (shown,) = (block for block in blocks if "export_tokenizer" in block)
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
    drawn, export = variables["axes"][1], json.loads(Path("kodim23.tokens.json").read_text())
    outlined = {(int(patch.get_y()), int(patch.get_x())) for patch in drawn.patches}
    assert outlined == {divmod(i, export["grid"]["columns"]) for i, kept in enumerate(export["keep"]) if kept}
    assert variables["kept"] == sum(export["keep"])
    # The map is of this photograph: its detail is where bits are expected.
    grey = variables["shown"].astype(float).mean(2).reshape(16, 16, 16, 16)
    detail = grey.std((1, 3)).ravel()
    assert np.corrcoef(detail, drawn.images[1].get_array().ravel())[0, 1] > 0.4
    # A picture of grey would be at about 14 dB, one of other tokens far below.
    assert variables["psnr"] > 18


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
