"""Rankings of many images at a time, whose patches are revealed in rounds by a model."""

import numpy as np

from ..filter import Ranking, distortion_weights, patch_errors, sequential_rounds
from .backend import Array, Backend
from .encoded_folder import Encoded


class RevealedImages:
    """Some images of a folder: ĥ given what is visible of each, and what those bits are worth."""

    def __init__(self, backend: Backend, data: Encoded, part: slice, *, by_distortion: bool) -> None:
        self._backend, self._images = backend, data.images[part]
        self._codes = data.global_codes[part], data.patch_codes[part]
        everything = np.ones(self._codes[1].shape, dtype=bool)
        self._floors = self._errors(data.estimate.expected_code[part], everything) if by_distortion else None

    def rank(self) -> list[Ranking]:
        """One ranking an image. All have as many patches, so all have as many rounds."""
        rounds = [sequential_rounds(*self._backend.grid) for _ in self._images]
        visible = np.stack([next(each) for each in rounds])
        while True:
            entropy, weights = self._reveal(visible)
            rankings, following = [], []
            for each, bits, factors in zip(rounds, entropy, weights, strict=True):
                try:
                    following.append(each.send((bits, factors)))
                except StopIteration as end:
                    rankings.append(end.value)
            if rankings:
                return rankings
            visible = np.stack(following)

    def _reveal(self, visible: Array) -> tuple[Array, list[Array | None]]:
        """ĥ and its factors, given what is visible of each image."""
        given = self._backend.estimate(*self._codes, visible)
        if self._floors is None:
            return given.entropy, [None] * len(visible)
        errors = self._errors(given.expected_code, visible)
        return given.entropy, [distortion_weights(*each) for each in zip(errors, self._floors, visible, strict=True)]

    def _errors(self, expected: Array, keep: Array) -> list[Array]:
        decoded = self._backend.decode(*self._codes, expected, keep)
        return [patch_errors(image, pixels, *self._backend.grid) for image, pixels in zip(self._images, decoded, strict=True)]
