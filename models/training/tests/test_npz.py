"""The extension's .npz export, read by NumPy itself; test/unit/export holds the file equal to what it writes."""

import json
from pathlib import Path

import numpy as np

EXPORT = Path(__file__).parents[3] / "test" / "fixtures" / "export" / "tiny.npz"


def test_numpy_reads_every_array() -> None:
    with np.load(EXPORT, allow_pickle=False) as export:
        assert set(export.files) == {
            "global_codes",
            "patch_codes",
            "entropy_bits",
            "surprisal_bits",
            "keep",
            "expected_codes",
            "given_bits",
            "priority",
            "round",
            "rank",
            "lost_bits",
            "levels",
            "settings",
        }
        np.testing.assert_array_equal(export["global_codes"], np.array([1, 5], np.int32))
        np.testing.assert_array_equal(export["patch_codes"], np.arange(6, dtype=np.int32).reshape(2, 3))
        np.testing.assert_array_equal(export["entropy_bits"], np.arange(6, dtype=np.float32).reshape(2, 3) / 2)
        np.testing.assert_array_equal(export["surprisal_bits"], export["entropy_bits"] + 0.25)
        np.testing.assert_array_equal(export["keep"], [[False, False, False], [False, True, True]])
        np.testing.assert_array_equal(export["expected_codes"], ((np.arange(12) - 6) / 8).reshape(2, 3, 2))
        np.testing.assert_array_equal(export["given_bits"], export["entropy_bits"])
        np.testing.assert_array_equal(export["priority"], export["entropy_bits"])
        np.testing.assert_array_equal(export["round"], np.zeros((2, 3), np.int32))
        np.testing.assert_array_equal(export["rank"], [[6, 5, 4], [3, 2, 1]])
        np.testing.assert_array_equal(export["lost_bits"], [[0, 0.5, 1.5], [3, 5, 7.5]])
        np.testing.assert_array_equal(export["levels"], [2, 3])
        assert export["patch_codes"].dtype == np.int32
        assert export["entropy_bits"].dtype == np.float32
        assert export["keep"].dtype == np.bool_


def test_settings_are_json() -> None:
    with np.load(EXPORT, allow_pickle=False) as export:
        settings = json.loads(str(export["settings"]))
    assert settings["image"] == "cat.png"
    assert settings["settings"] == {
        "lossRate": 0.4,
        "edgePriority": 0,
        "budget": "image",
        "conditioning": "global",
    }
    assert settings["model"]["levels"] == [2, 3]
