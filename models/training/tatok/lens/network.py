"""The entropy model of a frozen tokenizer: q(z_i | visible tokens), a masked transformer over its codes.

Shapes: B images, N tokens of the estimated stream, F factors of a code, L values that a factor takes.
"""

import numpy as np
import torch
from torch import Tensor, nn

from ..bundle.format import BitsCodebook, Codebook, ContinuousLatents, FsqCodebook, Manifest, Stream, VqCodebook
from ..layers import Block
from ..model import NO_LEVEL, entropy_bits, position_embedding, surprisal_bits
from ..quantizer import FiniteScalarQuantizer
from .sizes import Filling, LensSize

MOST_CODES = 2**24
"""Codes of a factorised codebook: a filled-in code crosses the graphs as a float32, which is exact up to here."""
MOST_VECTORS = 2**16
"""Vectors of a table: each has a logit."""
RANK = 64
"""Dimensions of a vector's embedding, and so the rank of the logits of a table."""


class FactoredCodes(nn.Module):
    """Codes of levels: finite scalar quantisation, and bits as levels of two. q factorises over the dimensions."""

    def __init__(self, levels: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.quantizer = FiniteScalarQuantizer(levels)
        exists = self.quantizer.exists
        self.register_buffer("missing", torch.where(exists, 0.0, NO_LEVEL), persistent=False)
        self.read = nn.Linear(len(levels), width)
        self.head = nn.Linear(width, exists.numel())

    def embed(self, codes: Tensor) -> Tensor:
        """[B, N] codes -> [B, N, width]."""
        return self.read(self.quantizer.decode(codes))

    def logits(self, x: Tensor) -> Tensor:
        """[B, N, width] -> [B, N, F, L]."""
        return self.head(x).float().unflatten(-1, tuple(self.missing.shape))

    def factors(self, codes: Tensor) -> Tensor:
        """[B, N] codes -> [B, N, F] values of their factors."""
        return self.quantizer.code_levels(codes)

    def filling(self, logits: Tensor, filling: Filling) -> Tensor:
        """[B, N, F, L] -> [B, N] codes of the likeliest levels, or of those nearest to their expectation."""
        level = torch.arange(logits.shape[-1], device=logits.device)
        chosen = logits.argmax(-1) if filling == "likeliest" else (logits.softmax(-1) * level).sum(-1).round()
        return (chosen.to(torch.int32) * self.quantizer.strides).sum(-1, dtype=torch.int32)


class TableCodes(nn.Module):
    """Codes of a table of V vectors: one factor, whose V logits have rank `RANK`, so that vectors share what they learn."""

    missing: Tensor
    vectors: Tensor | None

    def __init__(self, codes: int, width: int, vectors: Tensor | None = None) -> None:
        super().__init__()
        table = torch.randn(codes, RANK) * 0.1
        # The tokenizer's own, as it compares them.
        self.register_buffer("vectors", vectors, persistent=False)
        if vectors is not None:
            # Near vectors start alike: principal components of the tokenizer's own table.
            centred = vectors - vectors.mean(0)
            _, _, basis = torch.linalg.svd(centred, full_matrices=False)
            components = centred @ basis[:RANK].T
            table[:, : components.shape[1]] += components / components.std(0).clamp_min(1e-6).mean()
        self.register_buffer("missing", torch.zeros(1, codes), persistent=False)
        self.table = nn.Parameter(table)
        self.read = nn.Linear(RANK, width)
        self.head = nn.Linear(width, RANK)
        self.bias = nn.Parameter(torch.zeros(codes))

    def embed(self, codes: Tensor) -> Tensor:
        """[B, N] codes -> [B, N, width]."""
        return self.read(nn.functional.embedding(codes.long(), self.table))

    def logits(self, x: Tensor) -> Tensor:
        """[B, N, width] -> [B, N, 1, V]."""
        return (self.head(x) @ self.table.T + self.bias).float().unsqueeze(-2)

    def factors(self, codes: Tensor) -> Tensor:
        """[B, N] codes -> [B, N, 1]."""
        return codes.unsqueeze(-1)

    def filling(self, logits: Tensor, filling: Filling) -> Tensor:
        """[B, N, 1, V] -> [B, N] likeliest codes, or those of the vectors nearest to the expectation where there are any."""
        if filling == "likeliest" or self.vectors is None:
            return logits.argmax(-1).squeeze(-1).to(torch.int32)
        mean = logits.squeeze(-2).softmax(-1) @ self.vectors
        return (2 * mean @ self.vectors.T - self.vectors.square().sum(-1)).argmax(-1).to(torch.int32)


def codes_of(codebook: Codebook, width: int, vectors: np.ndarray | None) -> FactoredCodes | TableCodes:
    """How codes of a codebook are read and estimated. Raises ValueError for one that is too large, or has no codes."""
    if isinstance(codebook, ContinuousLatents):
        raise ValueError("continuous latents have no codes whose entropy could be estimated")
    if isinstance(codebook, VqCodebook):
        if codebook.size > MOST_VECTORS:
            raise ValueError(f"a table of {codebook.size:,} vectors is too large: a lens takes up to {MOST_VECTORS:,}")
        return TableCodes(codebook.size, width, None if vectors is None else torch.from_numpy(vectors))
    levels = tuple(codebook.levels) if isinstance(codebook, FsqCodebook) else (2,) * codebook.bits
    assert isinstance(codebook, FsqCodebook | BitsCodebook)
    if codebook.codes > MOST_CODES:
        raise ValueError(f"a codebook of {codebook.codes:,} codes is too large: a lens takes up to {MOST_CODES:,}")
    return FactoredCodes(levels, width)


class Lens(nn.Module):
    """q(z_i | Z_S, other streams) of a bundle's estimated stream."""

    temperature: Tensor

    def __init__(
        self,
        manifest: Manifest,
        stream: Stream,
        size: LensSize,
        vectors: dict[str, np.ndarray] | None = None,
        filling: Filling = "expectation",
    ) -> None:
        """`vectors` are tables of codebooks by name. Raises ValueError for streams that a lens cannot read."""
        super().__init__()
        width = size.width
        self.filling: Filling = filling

        def codes(each: Stream) -> FactoredCodes | TableCodes:
            if len(each.shape) > 1:
                raise ValueError(f"{each.name} has residual codes, and a lens takes one code a token")
            return codes_of(manifest.codebooks[each.codebook], width, (vectors or {}).get(each.codebook))

        others = [each for each in manifest.streams if each.name != stream.name]
        self.stream, self.others = stream.name, [each.name for each in others]
        self.codes = codes(stream)
        self.position = position_embedding(stream.shape[0], width)
        self.mask = nn.Parameter(torch.zeros(width))
        self.other_codes = nn.ModuleList(codes(each) for each in others)
        self.other_positions = nn.ParameterList(position_embedding(each.shape[0], width) for each in others)
        self.blocks = nn.ModuleList(Block(width, size.heads) for _ in range(size.layers))
        self.norm = nn.LayerNorm(width)
        self.register_buffer("temperature", torch.ones(()))
        for block in self.blocks:
            # Residual branches start small so that depth does not inflate the stream.
            nn.init.zeros_(block.contract.weight)
            nn.init.zeros_(block.attention.project.weight)

    def forward(self, codes: dict[str, Tensor], visible: Tensor) -> Tensor:
        """Integer codes of every stream by name and visible [B, N] bool -> logits [B, N, F, L] of the estimated stream."""
        tokens = torch.where(visible.unsqueeze(-1), self.codes.embed(codes[self.stream]), self.mask) + self.position
        others = zip(self.others, self.other_codes, self.other_positions, strict=True)
        x = torch.cat([tokens, *(read.embed(codes[name]) + position for name, read, position in others)], dim=1)
        for block in self.blocks:
            x = block(x)
        logits = self.codes.logits(self.norm(x[:, : tokens.shape[1]]))
        return logits / self.temperature + self.codes.missing

    def estimate(self, codes: dict[str, Tensor], visible: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """H(z_i | Z_S) and −log2 q(z_i | Z_S), bits [B, N], 0 for visible tokens; and the code to fill in, or a visible one."""
        logits, own = self(codes, visible), codes[self.stream]
        hidden = (~visible).float()
        surprisal = surprisal_bits(logits, self.codes.factors(own)) * hidden
        filled = torch.where(visible, own.to(torch.int32), self.codes.filling(logits, self.filling))
        return entropy_bits(logits) * hidden, surprisal, filled
