"""A model in PyTorch behind the interface of `backend`: weights during training, and bundles on a GPU."""

from dataclasses import replace

import numpy as np
import torch

from ..tokenizer import TaTok, Tokens
from .backend import Array, Backend, Estimate, present_codes


class TorchBackend(Backend):
    """A model in PyTorch float32."""

    precision = "float32"

    def __init__(self, model: TaTok, name: str, device: str | None = None) -> None:
        """`device` None: a GPU where there is one."""
        config = model.config
        self.name = name
        self.image_size, self.grid = config.image_size, (config.grid, config.grid)
        self.global_tokens, self.patch_tokens = config.global_tokens, config.patch_tokens
        self.filters, self.codebook_size = config.filters, config.codebook_size
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        # PyTorch's default rounds what convolutions multiply to ten bits.
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        self._model = model.eval().to(self._device)

    def encode(self, image: Array) -> tuple[Array, Array]:
        tokens = self._model.encode(self._tensor(image).permute(0, 3, 1, 2))
        none = np.zeros((len(image), 0), dtype=np.int32)
        global_codes, patch_codes = (
            none if codes is None else codes.cpu().numpy() for codes in (tokens.global_codes, tokens.patch_codes)
        )
        return global_codes, patch_codes

    def estimate(self, global_codes: Array, patch_codes: Array, visible: Array | None = None) -> Estimate:
        shown = None if visible is None else self._tensor(visible)
        estimate = self._model.estimate(self._tokens(global_codes, patch_codes), shown)
        return Estimate(*(part.cpu().numpy() for part in estimate))

    def decode(
        self, global_codes: Array, patch_codes: Array, expected_code: Array | None = None, keep: Array | None = None
    ) -> Array:
        tokens = self._tokens(global_codes, patch_codes)
        if self.filters:
            tokens = replace(tokens, expected_code=self._tensor(expected_code), keep=self._tensor(keep))
        return self._model.decode(tokens).permute(0, 2, 3, 1).cpu().numpy()

    def _tokens(self, global_codes: Array, patch_codes: Array) -> Tokens:
        present = present_codes(global_codes, patch_codes)
        return Tokens(*(self._tensor(present[n]) if n in present else None for n in ("global_codes", "patch_codes")))

    def _tensor(self, array: Array) -> torch.Tensor:
        return torch.from_numpy(np.array(array)).to(self._device)
