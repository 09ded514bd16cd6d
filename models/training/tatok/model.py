"""The three networks of TaTok. Shapes: B batch, K global tokens, N patch tokens, D = len(levels), C = width."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import ModelConfig
from .layers import Block, ConvBlock, Grain, Upsample, in_autocast_precision
from .quantizer import FiniteScalarQuantizer

NO_LEVEL = -1e4
"""The logit of a level that a dimension does not have."""


def pooling_matrix(grid: int, tokens: int) -> Tensor:
    """[tokens, grid²] rows that average equal blocks of the grid, one block a global token.

    A global query starts from what its block looks like; queries that all start from learned vectors alone were seen to
    learn little more than the mean colour. Where the tokens do not fill a rectangle, some bands have a block more than others.
    """
    matrix = torch.zeros(tokens, grid, grid)
    bands = 2 ** (int(math.log2(tokens)) // 2) if tokens else 0
    token = 0
    for band in range(bands):
        top, bottom = band * grid // bands, -(-(band + 1) * grid // bands)
        blocks = tokens * (band + 1) // bands - tokens * band // bands
        for block in range(blocks):
            left, right = block * grid // blocks, -(-(block + 1) * grid // blocks)
            matrix[token, top:bottom, left:right] = 1 / ((bottom - top) * (right - left))
            token += 1
    return matrix.flatten(1)


def position_embedding(tokens: int, width: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(tokens, width) * 0.02)


class Encoder(nn.Module):
    """Convolutional stem, then a ViT over [K global queries ; N patch embeddings], then two projections to D dimensions."""

    pooling: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.global_tokens = config.global_tokens
        quarter, eighth = config.stem_widths
        width = config.width
        self.stem = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(48, quarter, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(quarter, eighth, 3, stride=2, padding=1),
            ConvBlock(eighth),
            nn.Conv2d(eighth, width, 3, stride=2, padding=1),
        )
        self.position = position_embedding(config.patches, width)
        self.blocks = nn.ModuleList(Block(width, config.heads) for _ in range(config.encoder_layers))
        self.norm = nn.LayerNorm(width)
        if config.global_tokens:
            self.register_buffer("pooling", pooling_matrix(config.grid, config.global_tokens), persistent=False)
            self.query = position_embedding(config.global_tokens, width)
            self.query_start = nn.Linear(width, width)
        self.global_head = nn.Linear(width, len(config.levels)) if config.global_tokens else None
        self.patch_head = nn.Linear(width, len(config.levels)) if config.patch_codes else None

    def compile_parts(self) -> None:
        """Compiles what comes before the blocks, each block, and what comes after."""
        compile_around_blocks(self, "_tokens", "_heads")

    def _tokens(self, image: Tensor) -> Tensor:
        features = self.stem(image).flatten(2).transpose(1, 2)
        patches = features + self.position
        if not self.global_tokens:
            return in_autocast_precision(patches)
        queries = self.query + self.query_start(self.pooling.to(features.dtype) @ features)
        return in_autocast_precision(torch.cat([queries, patches], dim=1))

    def _heads(self, x: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x = self.norm(x)
        global_raw = None if self.global_head is None else self.global_head(x[:, : self.global_tokens])
        return global_raw, None if self.patch_head is None else self.patch_head(x[:, self.global_tokens :])

    def forward(self, image: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """[B, 3, S, S] in [−1, 1] -> unbounded [B, K, D] and [B, N, D]; None for the kind of token that the model has not."""
        x = self._tokens(image)
        for block in self.blocks:
            x = block(x)
        return self._heads(x)

    def forward_with_attention(self, image: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor]:
        """As forward, and the attention of global queries over patches, [B, layers, heads, K, patches]."""
        x = self._tokens(image)
        maps = []
        for block in self.blocks:
            x, rows = block.forward_with_rows(x, self.global_tokens)
            maps.append(rows)
        return *self._heads(x), torch.stack(maps, dim=1)


class EntropyModel(nn.Module):
    """q_φ(z_i | G, Z_S): a masked transformer over codes whose output factorises over the D quantiser dimensions."""

    missing: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, dimensions, most = config.width, len(config.levels), max(config.levels)
        self.global_tokens = config.global_tokens
        self.output_shape = (dimensions, most)
        # Dimensions with fewer levels have logits of levels that do not exist; finite, so that 0·log 0 stays 0.
        exists = FiniteScalarQuantizer(config.levels).exists
        self.register_buffer("missing", torch.where(exists, 0.0, NO_LEVEL), persistent=False)
        if config.global_tokens:
            self.embed_global = nn.Linear(dimensions, width)
            self.global_position = position_embedding(config.global_tokens, width)
        self.embed_patch = nn.Linear(dimensions, width)
        self.mask = nn.Parameter(torch.zeros(width))
        self.position = position_embedding(config.patches, width)
        self.blocks = nn.ModuleList(Block(width, config.heads) for _ in range(config.entropy_layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, dimensions * most)

    def compile_parts(self) -> None:
        """Compiles what comes before the blocks, each block, and what comes after."""
        compile_around_blocks(self, "_tokens", "_logits")

    def _tokens(self, global_codes: Tensor | None, patch_codes: Tensor, visible: Tensor) -> Tensor:
        patches = torch.where(visible.unsqueeze(-1), self.embed_patch(patch_codes), self.mask) + self.position
        return in_autocast_precision(_with_globals(self, global_codes, patches))

    def _logits(self, x: Tensor) -> Tensor:
        logits = self.head(self.norm(x[:, self.global_tokens :]))
        return logits.float().unflatten(-1, self.output_shape) + self.missing

    def forward(self, global_codes: Tensor | None, patch_codes: Tensor, visible: Tensor) -> Tensor:
        """Coordinates [B, K, D] (None if K = 0) and [B, N, D], visible [B, N] bool -> logits [B, N, D, L] over levels.

        L is the largest number of levels; logits of levels that a dimension does not have are `NO_LEVEL` or near it.
        """
        x = self._tokens(global_codes, patch_codes, visible)
        for block in self.blocks:
            x = block(x)
        return self._logits(x)


def compile_around_blocks(part: "Encoder | EntropyModel | Decoder", *around: str) -> None:
    """Compiles a network in pieces: its blocks one by one, and methods of it, which the instance then has in compiled form.

    A quarter of the time that compiling the whole takes, for nearly the same speed. Nothing is left outside: what runs between
    compiled pieces moves whole activations from one layout or precision into another. Methods of this file rather than the
    convolutions' `Sequential`, whose own `forward` is PyTorch's and was seen to be passed over.
    """
    for block in part.blocks:
        # Shapes repeat exactly, so specialising on each is worth a compilation.
        block.compile(dynamic=False)
    for name in around:
        setattr(part, name, torch.compile(getattr(part, name), dynamic=False))


def _with_globals(part: "EntropyModel | Decoder", codes: Tensor | None, patches: Tensor) -> Tensor:
    """[G ; patches], [B, K + N, width]; the patches alone where there are no global tokens."""
    return patches if codes is None else torch.cat([part.embed_global(codes) + part.global_position, patches], dim=1)


class Decoder(nn.Module):
    """A ViT over [G ; kept codes or their expectation], then convolutions and sub-pixel upsampling to an image."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.global_tokens, self.grid, self.refinement = config.global_tokens, config.grid, config.refinement_width
        width, dimensions = config.width, len(config.levels)
        eighth, quarter, half = config.head_widths
        if config.global_tokens:
            self.embed_global = nn.Linear(dimensions, width)
            self.global_position = position_embedding(config.global_tokens, width)
        if config.patch_codes:
            self.embed_patch = nn.Linear(dimensions, width)
            self.kept = nn.Parameter(torch.randn(width) * 0.02)
        if config.filters or not config.patch_codes:
            self.dropped = nn.Parameter(torch.randn(width) * 0.02)
        self.position = position_embedding(config.patches, width)
        self.blocks = nn.ModuleList(Block(width, config.heads) for _ in range(config.decoder_layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Sequential(
            Upsample(width, eighth),
            ConvBlock(eighth),
            Upsample(eighth, quarter),
            ConvBlock(quarter),
            Upsample(quarter, half),
            nn.SiLU(),
            nn.Conv2d(half, half, 3, padding=1),
            nn.SiLU(),
            Upsample(half, 3),
        )
        if config.refinement_width:
            side, channels = config.image_size, config.refinement_width
            self.grain = nn.ModuleList([Grain(quarter, side // 4), Grain(half, side // 2)])
            self.refine = nn.Sequential(
                Upsample(half, channels), Grain(channels, side), nn.SiLU(), nn.Conv2d(channels, 3, 3, padding=1)
            )

    def compile_parts(self) -> None:
        """Compiles what comes before the blocks, each block, what comes after, and the last layers."""
        compile_around_blocks(self, "_tokens", "_features", "_pixels")

    @property
    def last_layers(self) -> list[nn.Parameter]:
        """The weights that make pixels: the last one of the head, and that of the refinement where there is one."""
        return [self.head[8].conv.weight, *([self.refine[-1].weight] if self.refinement else [])]

    def _patches(
        self, global_codes: Tensor | None, codes: Tensor | None, expected: Tensor | None, keep: Tensor | None
    ) -> Tensor:
        if codes is None:
            return (self.dropped + self.position).expand(global_codes.shape[0], -1, -1)
        if keep is None:
            return self.embed_patch(codes) + self.kept + self.position
        keep = keep.unsqueeze(-1)
        return self.embed_patch(torch.where(keep, codes, expected)) + torch.where(keep, self.kept, self.dropped) + self.position

    def _tokens(
        self, global_codes: Tensor | None, codes: Tensor | None, expected: Tensor | None, keep: Tensor | None
    ) -> Tensor:
        return in_autocast_precision(_with_globals(self, global_codes, self._patches(global_codes, codes, expected, keep)))

    def _features(self, x: Tensor) -> Tensor:
        x = self.norm(x[:, self.global_tokens :]).transpose(1, 2).unflatten(2, (self.grid, self.grid))
        if not self.refinement:
            return self.head[:8](x)
        x = self.grain[0](self.head[:3](x))
        x = self.grain[1](self.head[3:5](x))
        return self.head[5:8](x)

    def _pixels(self, x: Tensor) -> Tensor:
        # Apart from `_features`: an adversary's weight takes two more gradients of the last layers, whose way back ends here.
        return self.head[8](x) + self.refine(x) if self.refinement else self.head[8](x)

    def forward(
        self,
        global_codes: Tensor | None,
        patch_codes: Tensor | None,
        expected_codes: Tensor | None = None,
        keep: Tensor | None = None,
    ) -> Tensor:
        """Coordinates [B, K, D], [B, N, D], [B, N, D] and keep [B, N] bool -> image [B, 3, S, S], about [−1, 1].

        A kept slot holds P·z_i + a_keep, a dropped one P·E_q[z_i] + e_mask, so that dropping costs nothing as ĥ_i → 0. Without
        `keep` every patch is kept; None stands for the kind of token that the model has not.
        """
        x = self._tokens(global_codes, patch_codes, expected_codes, keep)
        for block in self.blocks:
            x = block(x)
        return self._pixels(self._features(x))


def initialise(module: nn.Module) -> None:
    """Weights at the start of training, module by module."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=module.in_features**-0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    if isinstance(module, Decoder) and module.refinement:
        # An unrefined decoder's weights are those of a refined one that adds nothing yet.
        nn.init.zeros_(module.refine[-1].weight)
        nn.init.zeros_(module.refine[-1].bias)
    if isinstance(module, Block):
        # Residual branches start small so that depth does not inflate the stream.
        nn.init.zeros_(module.contract.weight)
        nn.init.zeros_(module.attention.project.weight)


def entropy_bits(logits: Tensor) -> Tensor:
    """ĥ = Σ_d H[q_d] in bits: [B, N, D, L] -> [B, N]."""
    log_q = F.log_softmax(logits, dim=-1)
    return -(log_q.exp() * log_q).sum((-1, -2)) / math.log(2)


def surprisal_bits(logits: Tensor, levels: Tensor) -> Tensor:
    """s = −Σ_d log2 q_d(level_d) in bits: [B, N, D, L] and [B, N, D] integer levels -> [B, N]."""
    log_q = F.log_softmax(logits, dim=-1)
    return -log_q.gather(-1, levels.long().unsqueeze(-1)).squeeze(-1).sum(-1) / math.log(2)
