"""The tokenizer: tokens of images, and a model that encodes, filters and decodes them.

B images, K global tokens, N patch tokens, D quantiser dimensions, S pixels a side, V codes.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .config import ModelConfig
from .filter import RANKINGS, Ranking, rank_images
from .model import Decoder, Encoder, EntropyModel, entropy_bits, initialise, surprisal_bits
from .quantizer import FiniteScalarQuantizer
from .weights import read_weights, save_weights


class Estimate(NamedTuple):
    """The entropy model's view of the patch tokens, given the global tokens and the visible patches.

    A visible patch is known: its entropy and surprisal are 0, and its expected code is its code.
    """

    entropy: Tensor
    """[B, N] conditional entropy ĥ, bits."""
    surprisal: Tensor
    """[B, N] −log2 q of the code that the patch has, bits."""
    expected_code: Tensor
    """[B, N, D] E_q[z], coordinates in [−1, 1]."""


@dataclass(frozen=True)
class Tokens:
    """Tokens of B images. A model without global tokens, or without patch tokens, has None in their place."""

    global_codes: Tensor | None
    """[B, K] int32 codes in [0, V)."""
    patch_codes: Tensor | None
    """[B, N] int32 codes in [0, V), in raster order."""
    keep: Tensor | None = None
    """[B, N] bool, False where a patch token is dropped; None where every token is kept."""
    expected_code: Tensor | None = None
    """[B, N, D] coordinates in [−1, 1] that stand for the dropped codes; None where every token is kept."""

    def __len__(self) -> int:
        """B, the number of images."""
        codes = self.patch_codes if self.global_codes is None else self.global_codes
        return 0 if codes is None else len(codes)

    @property
    def counts(self) -> Tensor:
        """[B] int64: the tokens of each image that a decoder needs, K + |S|."""
        device = (self.patch_codes if self.global_codes is None else self.global_codes).device
        total = torch.zeros(len(self), dtype=torch.int64, device=device)
        if self.global_codes is not None:
            total += self.global_codes.shape[1]
        if self.keep is not None:
            return total + self.keep.sum(1)
        return total if self.patch_codes is None else total + self.patch_codes.shape[1]

    def __getitem__(self, images: slice) -> "Tokens":
        """The tokens of some of the images."""
        return Tokens(*(None if part is None else part[images] for part in self._parts))

    def to(self, device: torch.device | str) -> "Tokens":
        """The same tokens on another device."""
        return Tokens(*(None if part is None else part.to(device) for part in self._parts))

    @property
    def _parts(self) -> tuple[Tensor | None, ...]:
        return self.global_codes, self.patch_codes, self.keep, self.expected_code


_FIXED_LENGTH = "this model has no entropy model: its tokens cannot be dropped"


class TaTok(nn.Module):
    """An adaptive image tokenizer: encoder, quantiser, entropy model (where patch tokens can be dropped) and decoder.

    `encode`, `filter` and `decode` take and give whole batches and record no gradients. Inputs may lie on any device; outputs
    lie on that of the weights. Images are [B, 3, S, S] with S = `config.image_size`: bytes, or floats in [0, 1].
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.quantizer = FiniteScalarQuantizer(config.levels)
        self.encoder = Encoder(config)
        self.entropy_model = EntropyModel(config) if config.filters else None
        self.decoder = Decoder(config)
        self.apply(initialise)

    @classmethod
    def from_pretrained(cls, path: Path | str, device: torch.device | str = "cpu") -> "TaTok":
        """A float32 model in evaluation mode.

        `path` is the folder of a bundle, a folder that holds `model.safetensors`, or a file of weights that ends in
        `.safetensors`, `.npz` or `.pt`. Raises OSError for a path that is not there and ValueError for another model's files.
        """
        config, weights = read_weights(Path(path))
        model = cls(config)
        # Constants that follow from the configuration: graphs hold them, a state dictionary does not.
        constants = {name for name, _ in model.named_buffers()}
        try:
            model.load_state_dict({name: value for name, value in weights.items() if name not in constants})
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"the weights in {path} do not fit the configuration beside them: {reason}") from error
        return model.to(device).eval()

    def save_pretrained(self, path: Path | str) -> None:
        """Writes weights and configuration to one file: `.safetensors` (float32) or `.npz` (float16)."""
        save_weights(Path(path), self.config, self.state_dict())

    @property
    def device(self) -> torch.device:
        """The device that holds the weights."""
        return next(self.parameters()).device

    def positions(self, image: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """[B, 3, S, S] in [−1, 1] -> continuous level positions of global and patch tokens, [B, K, D] and [B, N, D].

        With gradients, for training. None stands for a kind of token that the model does not have.
        """
        global_raw, patch_raw = self.encoder(image)
        return self._bounded(global_raw), self._bounded(patch_raw)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tokens:
        """[B, 3, S, S] uint8, or floats in [0, 1] -> tokens, none of them dropped.

        Raises ValueError for another shape: crop or resize to `config.image_size` first.
        """
        return self._tokens(*self.positions(self._normalised(images)))

    @torch.no_grad()
    def encode_with_attention(self, images: Tensor) -> tuple[Tokens, Tensor]:
        """As `encode`, and the attention of global tokens over patches: [B, layers, heads, K, patches], rows sum to 1."""
        global_raw, patch_raw, attention = self.encoder.forward_with_attention(self._normalised(images))
        return self._tokens(self._bounded(global_raw), self._bounded(patch_raw)), attention

    @torch.no_grad()
    def estimate(self, tokens: Tokens, visible: Tensor | None = None) -> Estimate:
        """Entropy and surprisal (bits) and expected codes of the patch tokens, given the global ones and the `visible` patches.

        `visible` is [B, N] bool; None: no patch is visible. Raises ValueError for a model whose tokens cannot be dropped.
        """
        if self.entropy_model is None:
            raise ValueError(_FIXED_LENGTH)
        tokens = tokens.to(self.device)
        patch_codes = tokens.patch_codes
        visible = torch.zeros_like(patch_codes, dtype=torch.bool) if visible is None else visible.to(self.device)
        global_coordinates, coordinates = self._coordinates(tokens)
        logits = self.entropy_model(global_coordinates, coordinates, visible)
        hidden = (~visible).float()
        return Estimate(
            entropy_bits(logits) * hidden,
            surprisal_bits(logits, self.quantizer.code_levels(patch_codes)) * hidden,
            torch.where(visible.unsqueeze(-1), coordinates, self.quantizer.expectation(logits)),
        )

    def logits(self, tokens: Tokens, visible: Tensor) -> Tensor:
        """The entropy model's logits over the levels of every patch token, [B, N, D, L], for visible patches [B, N] bool."""
        if self.entropy_model is None:
            raise ValueError(_FIXED_LENGTH)
        return self.entropy_model(*self._coordinates(tokens), visible)

    def rank(
        self,
        tokens: Tokens,
        *,
        ranking: str = "entropy",
        edge_priority: float = 0.0,
        rounds: int | None = None,
        images: Tensor | None = None,
    ) -> list[Ranking]:
        """The order in which each image's patch tokens are dropped, and the bits lost along it; one call serves every ε.

        `ranking` is one of "entropy" (one pass), "sequential" (a pass a round) and "distortion" (a pass of entropy model and
        decoder a round), which compares with the `images` that the tokens are of. `rounds` is None for the ranking's own
        number, or 1 or more: more choose better. `edge_priority` is β, bits that the outer ring of patches gains in the order.
        Raises ValueError for another ranking, for less than one round, and for "distortion" without images.
        """
        if self.entropy_model is None:
            raise ValueError(_FIXED_LENGTH)
        if ranking not in RANKINGS:
            raise ValueError(f"there is no ranking {ranking!r}: the rankings are {', '.join(RANKINGS)}")
        if rounds is not None and rounds < 1:
            raise ValueError(f"a ranking takes 1 round or more, and {rounds} is less")
        if ranking == "distortion" and images is None:
            raise ValueError('ranking="distortion" compares with the images that the tokens are of: pass images=…')
        if images is not None and len(images) != len(tokens):
            raise ValueError(f"the tokens are of {len(tokens)} images, and {len(images)} images are given")
        shown = None if images is None else _channels_last(_to_bytes(self._normalised(images)))
        grid = self.config.grid
        return rank_images(_Ranked(self, tokens), ranking, len(tokens), grid, grid, edge_priority, shown, rounds)

    def filter(
        self,
        tokens: Tokens,
        loss_rate: float,
        *,
        ranking: str = "entropy",
        edge_priority: float = 0.0,
        rounds: int | None = None,
        budget_bits: float | None = None,
        images: Tensor | None = None,
    ) -> Tokens:
        """Dynamic Token Filtering: drops the patch tokens that lose at most the share ε = `loss_rate` of the information.

        Every image drops the longest prefix of its ranking, see `rank`, whose bits sum to at most ε·B. `budget_bits` is B; None
        is the image budget, the sum of the image's own conditional entropies, and a bundle's manifest has a reference budget.
        Dropped codes are replaced by their expectation, given the kept ones unless `ranking` is "entropy".

        Raises ValueError for an ε outside [0, 1], a budget that is not above 0, and as `rank` does.
        """
        if not 0 <= loss_rate <= 1:
            raise ValueError(f"the information loss rate is a share in [0, 1], and {loss_rate} is not")
        if budget_bits is not None and not budget_bits > 0:
            raise ValueError(f"a budget is a number of bits above 0, and {budget_bits} is not")
        rankings = self.rank(tokens, ranking=ranking, edge_priority=edge_priority, rounds=rounds, images=images)
        keep = torch.from_numpy(np.stack([r.keep(loss_rate, budget_bits) for r in rankings])).to(self.device)
        tokens = tokens.to(self.device)
        expected = self.estimate(tokens, None if ranking == "entropy" else keep).expected_code
        return replace(tokens, keep=keep, expected_code=expected)

    @torch.no_grad()
    def decode(self, tokens: Tokens) -> Tensor:
        """Tokens -> uint8 [B, 3, S, S].

        Raises ValueError for codes that the codebook does not have, and for a kept mask without expected codes.
        """
        if (tokens.keep is None) != (tokens.expected_code is None):
            raise ValueError("`keep` and `expected_code` of tokens belong together: `filter` sets both")
        tokens = tokens.to(self.device)
        return _to_bytes(self.decoder(*self._coordinates(tokens), tokens.expected_code, tokens.keep))

    def compile_parts(self) -> None:
        """Compiles the three networks in pieces."""
        for part in (self.encoder, self.entropy_model, self.decoder):
            if part is not None:
                part.compile_parts()

    def _normalised(self, images: Tensor) -> Tensor:
        """[B, 3, S, S] uint8, or floats in [0, 1] -> float32 in [−1, 1] on the model's device."""
        size = self.config.image_size
        if images.ndim != 4 or tuple(images.shape[1:]) != (3, size, size):
            raise ValueError(f"images are [B, 3, {size}, {size}], and these are {list(images.shape)}")
        if not (images.dtype == torch.uint8 or images.dtype.is_floating_point):
            raise ValueError(f"images are uint8 or floats in [0, 1], and these are {images.dtype}")
        images = images.to(self.device)
        return images.float() / 127.5 - 1 if images.dtype == torch.uint8 else images.float() * 2 - 1

    def _bounded(self, raw: Tensor | None) -> Tensor | None:
        return None if raw is None else self.quantizer.bound(raw)

    def _tokens(self, *positions: Tensor | None) -> Tokens:
        return Tokens(*(None if position is None else self.quantizer.codes(position) for position in positions))

    def _coordinates(self, tokens: Tokens) -> list[Tensor | None]:
        return [None if c is None else self._decoded(c) for c in (tokens.global_codes, tokens.patch_codes)]

    def _decoded(self, codes: Tensor) -> Tensor:
        # Codes from outside lie in host memory; on a GPU the comparison would wait for the device.
        if codes.device.type == "cpu" and codes.numel() and not torch.compiler.is_exporting():
            low, high = int(codes.min()), int(codes.max())
            if low < 0 or high >= self.config.codebook_size:
                raise ValueError(f"codes are in [0, {self.config.codebook_size}), and these are from {low} to {high}")
        return self.quantizer.decode(codes)


class _Ranked:
    """A model and the tokens whose patches `rank_images` ranks."""

    def __init__(self, model: TaTok, tokens: Tokens) -> None:
        self.model, self.tokens = model, tokens.to(model.device)

    def estimate(self, visible: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        given = self.model.estimate(self.tokens, torch.from_numpy(visible).to(self.model.device))
        return given.entropy.cpu().numpy(), given.expected_code.cpu().numpy()

    def decode(self, expected_code: np.ndarray, keep: np.ndarray) -> np.ndarray:
        expected, kept = (torch.from_numpy(x).to(self.model.device) for x in (expected_code, keep))
        return _channels_last(self.model.decode(replace(self.tokens, keep=kept, expected_code=expected)))


def _to_bytes(image: Tensor) -> Tensor:
    """[−1, 1], about -> uint8."""
    return ((image.float() + 1) * 127.5).clamp(0, 255).round().to(torch.uint8)


def _channels_last(images: Tensor) -> np.ndarray:
    """uint8 [B, 3, S, S] -> NumPy's [B, S, S, 3]."""
    return images.permute(0, 2, 3, 1).cpu().numpy()
