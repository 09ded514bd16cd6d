import itertools

import numpy as np
import pytest

from tatok.evaluation.backend import Array, Backend, Estimate
from tatok.evaluation.encoded_folder import CodedImages
from tatok.filter import (
    DEFAULT_ROUNDS,
    RANKINGS,
    Ranking,
    Revealed,
    damp_beside_better,
    distortion_weights,
    patch_errors,
    rank_images,
    rank_patches,
    rank_sequentially,
)


class MadeUp(Backend):
    """A model of 4×4 patches: what is visible helps its neighbours in raster order, and a hidden patch is grey."""

    grid = (4, 4)

    def encode(self, image: Array) -> tuple[Array, Array]:
        raise AssertionError("codes are given")

    def estimate(self, global_codes: Array, patch_codes: Array, visible: Array | None = None) -> Estimate:
        helped = np.roll(visible, 1, 1) | np.roll(visible, -1, 1)
        bits = np.where(visible, 0, patch_codes * np.where(helped, 0.5, 1.0)).astype(np.float32)
        return Estimate(bits, bits, np.zeros((*patch_codes.shape, 1), np.float32))

    def decode(
        self, global_codes: Array, patch_codes: Array, expected_code: Array | None = None, keep: Array | None = None
    ) -> Array:
        tiles = np.where(keep, patch_codes, 128).reshape(-1, 4, 4).repeat(2, 1).repeat(2, 2)
        return np.repeat(tiles[..., None], 3, 3).astype(np.uint8)


@pytest.mark.parametrize("ranking", RANKINGS)
def test_images_ranked_together_are_ranked_as_each_alone(ranking: str):
    generator, backend = np.random.default_rng(4), MadeUp()
    codes = generator.integers(0, 256, (3, 16))
    images = generator.integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)
    together = rank_images(CodedImages(backend, codes[:, :0], codes), ranking, 3, 4, 4, 9.0, images, 5)
    assert len(together) == 3
    for index, ranked in enumerate(together):
        alone = _ranked_alone(backend, images[index], codes[index : index + 1], ranking)
        assert ranked.order.tolist() == alone.order.tolist()
        np.testing.assert_array_equal(ranked.lost_bits, alone.lost_bits)


@pytest.mark.parametrize("ranking", ["sequential", "distortion"])
def test_a_ranking_takes_its_default_rounds_and_no_priority_of_the_edge(ranking: str):
    generator, backend = np.random.default_rng(4), MadeUp()
    codes = generator.integers(0, 256, (1, 16))
    images = generator.integers(0, 256, (1, 8, 8, 3)).astype(np.uint8)
    coded = CodedImages(backend, codes[:, :0], codes)
    (default,) = rank_images(coded, ranking, 1, 4, 4, images=images)
    (given,) = rank_images(coded, ranking, 1, 4, 4, 0.0, images, DEFAULT_ROUNDS[ranking])
    assert default.order.tolist() == given.order.tolist()
    (edged,) = rank_images(coded, ranking, 1, 4, 4, 200.0, images)
    assert edged.order.tolist() != given.order.tolist()


def test_a_patch_is_worth_less_beside_better_ones_that_are_hidden_too():
    generator = np.random.default_rng(6)
    weights, bits = generator.gamma(2, 1, (2, 12)), generator.gamma(2, 2, (2, 12)).round()
    hidden = generator.random((2, 12)) < 0.7
    damped = damp_beside_better(weights, bits, hidden, 3, 4)
    for image, index in itertools.product(range(2), range(12)):
        if not hidden[image, index]:
            continue
        expected = weights[image, index]
        for other in range(12):
            down, across = other // 4 - index // 4, other % 4 - index % 4
            near = max(abs(down), abs(across)) == 1 and hidden[image, other]
            if near and weights[image, other] * bits[image, other] > weights[image, index] * bits[image, index]:
                expected *= 0.7 if down == 0 or across == 0 else 0.85
        assert damped[image, index] == pytest.approx(expected)


def _ranked_alone(backend: MadeUp, image: Array, codes: Array, ranking: str) -> Ranking:
    def estimate(visible: Array) -> Array:
        return backend.estimate(codes[:, :0], codes, visible).entropy

    def errors(visible: Array) -> Array:
        return patch_errors(image, backend.decode(codes[:, :0], codes, None, visible)[0], 4, 4)

    def reveal(visible: Array) -> Revealed:
        if ranking == "sequential":
            return Revealed(estimate(visible))
        weights = distortion_weights(errors(visible), errors(np.ones((1, 16), bool)), visible[0])
        return Revealed(estimate(visible), weights[None])

    if ranking == "entropy":
        return rank_patches(estimate(np.zeros((1, 16), bool))[0], 4, 4, 9.0)
    return rank_sequentially(reveal, 1, 4, 4, 9.0, rounds=5)[0]
