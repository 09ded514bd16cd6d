"""Figures of the filter, on a made-up model whose entropies, codes and pictures are known."""

import math

import numpy as np
import pytest
from conftest import SAMPLES

from tatok.evaluation.backend import Array, Backend, Estimate
from tatok.evaluation.encoded_folder import EncodedFolder
from tatok.evaluation.filtering import RANDOM_SEEDS, FilterEvaluation

_COUNT_BITS = math.log2(17)


class MadeUp(Backend):
    """A patch's code is its mean grey; ĥ is 1 to 9 bits by that grey, and too high by half the share that is visible."""

    image_size, grid, global_tokens, patch_tokens = 64, (4, 4), 4, 16
    filters, codebook_size, name = True, 256, "made up"

    def encode(self, image: Array) -> tuple[Array, Array]:
        tiles = image.reshape(len(image), 4, 16, 4, 16, 3).mean((2, 4, 5))
        return np.zeros((len(image), 4), np.int32), tiles.reshape(len(image), 16).astype(np.int32)

    def estimate(self, global_codes: Array, patch_codes: Array, visible: Array | None = None) -> Estimate:
        visible = np.zeros(patch_codes.shape, bool) if visible is None else visible
        bits = np.where(visible, 0, 1 + patch_codes / 32).astype(np.float32)
        surprisal = np.where(visible, 0, bits - 0.5 * visible.mean(1, keepdims=True)).astype(np.float32)
        return Estimate(bits, surprisal, np.zeros((*patch_codes.shape, 1), np.float32))

    def decode(
        self, global_codes: Array, patch_codes: Array, expected_code: Array | None = None, keep: Array | None = None
    ) -> Array:
        tiles = np.where(keep, patch_codes, 128).reshape(-1, 4, 4).repeat(16, 1).repeat(16, 2)
        return np.repeat(tiles[..., None], 3, 3).astype(np.uint8)


@pytest.fixture
def folder() -> EncodedFolder:
    return EncodedFolder(MadeUp(), SAMPLES, None, 3)


@pytest.fixture
def evaluation(folder: EncodedFolder) -> FilterEvaluation:
    return FilterEvaluation(folder)


def test_the_bias_is_that_of_the_model_at_every_visible_share(evaluation: FilterEvaluation):
    biases = evaluation.calibration_bias()
    for share in (0.0, 0.25, 0.5, 0.75):
        bias = biases[f"{100 * share:g} % at random"]
        assert bias["visible_share"] == share
        assert bias["bias"] == pytest.approx(0.5 * share, abs=1e-6)
        assert bias["entropy"] - bias["surprisal"] == pytest.approx(bias["bias"])
    kept = [bias for name, bias in biases.items() if name.startswith("kept, sequential")]
    assert kept
    for bias in kept:
        assert bias["bias"] == pytest.approx(0.5 * bias["visible_share"], abs=1e-6)


def test_the_spread_is_that_of_the_known_entropies(folder: EncodedFolder, evaluation: FilterEvaluation):
    entropy = 1 + folder.encoded.patch_codes / 32
    spread = evaluation.spread()
    relative = [np.std(row) / np.mean(row) for row in entropy]
    assert spread["std_over_mean"] == pytest.approx(np.mean(relative), rel=1e-5)
    ordered = np.sort(entropy.ravel())
    assert ordered[0] <= spread["p2"] <= ordered[2]
    assert ordered[-3] <= spread["p98"] <= ordered[-1]


def test_orders_are_compared_at_the_same_tokens_and_at_the_same_bits(
    folder: EncodedFolder, evaluation: FilterEvaluation, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tatok.evaluation.filtering.EQUAL_KEPT", (6,))
    compared = evaluation.compare_orders()
    tokens, bits = compared["orders"]["6"], compared["orders_equal_bits"]["6"]
    assert tokens.keys() == bits.keys()
    assert all(point["kept"] == 6 for point in tokens.values())
    reference = folder.per_image["distortion, 6 kept"]
    budget = reference["coded_bits"] + reference["mask_bits"]
    for name in bits:
        seeds = [f", seed {seed}" for seed in range(RANDOM_SEEDS)] if name.startswith("random") else [""]
        for seed in seeds:
            spent = folder.per_image[f"{name}, the bits of distortion at 6 kept{seed}"]
            assert (spent["coded_bits"] + spent["mask_bits"] <= budget + 1e-9).all()
            # No image could keep one more patch, which costs at most 9 bits, and log2 16 for its place.
            assert (spent["coded_bits"] + spent["mask_bits"] > budget - 13 - 1e-9).all()
    # The order by distortion spends what it is given; the order by ĥ keeps more patches, as its mask is known.
    assert bits["distortion"]["kept"] == 6
    sent = {name for name, point in tokens.items() if point["mask_bits"] > _COUNT_BITS + 1e-9}
    needs_the_image = {"pixel variance", "surprisal", "distortion"}
    assert sent == needs_the_image | {f"{name}, filled given the kept" for name in ("pixel variance", "surprisal")}
    assert tokens["distortion"]["mask_bits"] == pytest.approx(_COUNT_BITS + math.log2(math.comb(16, 6)))
    assert bits["random"]["kept"] > 6


@pytest.mark.parametrize("conditioning", ["global", "sequential", "distortion"])
def test_a_mask_is_sent_where_the_order_takes_the_image(evaluation: FilterEvaluation, conditioning: str):
    half = next(row for row in evaluation.sweep(conditioning) if row["loss_rate"] == 0.5)
    assert 0 < half["kept"] < 16
    assert (half["mask_bits"] > _COUNT_BITS + 1e-9) == (conditioning == "distortion")


def test_the_coded_size_is_global_tokens_and_the_surprisal_of_what_is_kept(folder: EncodedFolder, evaluation: FilterEvaluation):
    point = evaluation.sweep("global")[0]
    assert point["payload_bits"] == (4 + 16) * 8
    surprisal = (1 + folder.encoded.patch_codes / 32).sum(1).mean()
    assert point["coded_bits"] == pytest.approx(4 * 8 + surprisal, rel=1e-6)
    assert point["bytes"] == math.ceil((160 + _COUNT_BITS) / 8)


def test_a_random_order_is_the_mean_over_its_seeds(folder: EncodedFolder, evaluation: FilterEvaluation):
    random = evaluation.compare_orders()["orders"]["24"]["random"]
    seeds = [folder.per_image[f"random, 24 kept, seed {seed}"]["psnr"] for seed in range(RANDOM_SEEDS)]
    assert random["psnr"] == pytest.approx(np.mean(seeds))
    assert random["seed_std"] == pytest.approx(np.std([s.mean() for s in seeds], ddof=1))


def test_defaults_are_measured_as_the_filter_takes_them(folder: EncodedFolder, evaluation: FilterEvaluation):
    defaults = {"lossRate": 0.5, "edgePriority": 0, "budget": "image", "conditioning": "sequential"}
    point = evaluation.at_defaults(defaults, None)
    assert point["psnr"] == next(row for row in evaluation.sweep("sequential") if row["loss_rate"] == 0.5)["psnr"]
    edge = evaluation.at_defaults(defaults | {"edgePriority": 50}, None)
    assert edge["psnr"] != point["psnr"]
    assert (edge["min"], edge["max"]) == (folder.per_image["default"]["kept"].min(), folder.per_image["default"]["kept"].max())
    reference = evaluation.at_defaults(defaults | {"budget": "reference"}, 1000.0)
    assert reference["total"] == 4
