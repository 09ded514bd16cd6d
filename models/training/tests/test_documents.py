"""Code that documents show, run as readers run it."""

import json
from pathlib import Path

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


def test_the_notebook_takes_a_vq_vae_to_a_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its cells in their order, with a short training."""
    monkeypatch.chdir(tmp_path)
    notebook = json.loads((TRAINING / "notebooks" / "export_a_tokenizer.ipynb").read_text(encoding="utf-8"))
    source = "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
    for shown, used in (("STEPS = 1000", "STEPS = 30"), ('Path("../../../media/samples")', f"Path({str(SAMPLES)!r})")):
        assert shown in source
        source = source.replace(shown, used)
    variables: dict = {}
    exec(source, variables)
    assert variables["problems"] == []
    # A flat picture of the right colour is at about 13 dB on these photographs.
    assert variables["psnr"] > 10
