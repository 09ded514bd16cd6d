"""The manifest that a person gives to an export: facts that the weights do not hold."""

import json
from pathlib import Path
from typing import Any

_REQUIRED = ("name", "version", "description", "licence", "training")
_DEFAULTS = ("lossRate", "edgePriority", "budget", "conditioning")
_OF_WEIGHTS = ("variants", "metrics", "files", "entropyTemperature", "referenceBudgetBits")
"""Entries of a shipped manifest that belong to its own weights: they must not survive in a manifest that starts from it."""


def read_description(path: Path) -> dict[str, Any]:
    """Reads a given manifest. Raises ValueError naming every key that it lacks."""
    given = json.loads(path.read_text(encoding="utf-8"))
    defaults = given.get("defaults", {})
    missing = [key for key in _REQUIRED if key not in given] + [f"defaults.{key}" for key in _DEFAULTS if key not in defaults]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}")
    return given


def without_measurements(manifest: dict[str, Any]) -> dict[str, Any]:
    """A manifest without files, graphs of providers and figures, which are those of the weights that it came with."""
    return {key: value for key, value in manifest.items() if key not in _OF_WEIGHTS}
