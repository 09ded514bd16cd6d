import numpy as np
import pytest

from tatok.evaluation.backend import Array, Backend, Estimate
from tatok.evaluation.encoded_folder import Encoded
from tatok.evaluation.revealed_images import RevealedImages
from tatok.filter import Ranking, distortion_weights, patch_errors, rank_sequentially


class MadeUp(Backend):
    """A model of 4×4 patches: what is visible helps its neighbours in raster order, and a hidden patch is grey."""

    grid = (4, 4)

    def run(self, graph: str, inputs: dict[str, Array], outputs: tuple[str, ...]) -> list[Array]:
        raise AssertionError("nothing is run")

    def estimate(self, global_codes: Array, patch_codes: Array, visible: Array | None = None) -> Estimate:
        helped = np.roll(visible, 1, 1) | np.roll(visible, -1, 1)
        bits = np.where(visible, 0, patch_codes * np.where(helped, 0.5, 1.0)).astype(np.float32)
        return Estimate(bits, bits, np.zeros((*patch_codes.shape, 1), np.float32))

    def decode(
        self, global_codes: Array, patch_codes: Array, expected_code: Array | None = None, keep: Array | None = None
    ) -> Array:
        tiles = np.where(keep, patch_codes, 128).reshape(-1, 4, 4).repeat(2, 1).repeat(2, 2)
        return np.repeat(tiles[..., None], 3, 3).astype(np.uint8)


@pytest.mark.parametrize("by_distortion", [False, True])
def test_images_ranked_together_are_ranked_as_each_alone(by_distortion: bool):
    generator, backend = np.random.default_rng(4), MadeUp()
    codes = generator.integers(0, 256, (5, 16))
    images = generator.integers(0, 256, (5, 8, 8, 3)).astype(np.uint8)
    none = np.zeros(codes.shape, bool)
    data = Encoded(images, codes[:, :0], codes, backend.estimate(codes[:, :0], codes, none))
    together = RevealedImages(backend, data, slice(1, 4), by_distortion=by_distortion).rank()
    assert len(together) == 3
    for index, ranking in enumerate(together, start=1):
        alone = _ranked_alone(backend, images[index], codes[index : index + 1], by_distortion)
        assert ranking.order.tolist() == alone.order.tolist()
        np.testing.assert_array_equal(ranking.lost_bits, alone.lost_bits)


def _ranked_alone(backend: MadeUp, image: Array, codes: Array, by_distortion: bool) -> Ranking:
    def estimate(visible: Array) -> Array:
        return backend.estimate(codes[:, :0], codes, visible[None]).entropy[0]

    def errors(visible: Array) -> Array:
        return patch_errors(image, backend.decode(codes[:, :0], codes, None, visible[None])[0], 4, 4)

    def weigh(visible: Array) -> Array:
        return distortion_weights(errors(visible), errors(np.ones(16, bool)), visible)

    return rank_sequentially(estimate, 4, 4, 0.0, weigh if by_distortion else None)
