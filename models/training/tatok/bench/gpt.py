"""A GPT over codes that decodes token by token with a static key–value cache: what a generator of images does downstream."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class GptConfig:
    layers: int
    width: int
    heads: int


SIZES = {
    "tiny": GptConfig(2, 32, 2),
    "base": GptConfig(12, 768, 12),
    "large": GptConfig(24, 1024, 16),
    "xl": GptConfig(36, 1280, 20),
}
"""GPT-2's proportions, as autoregressive image generators use them; `tiny` is for trying a command."""


class GptBlock(nn.Module):
    """Pre-norm transformer block whose keys and values of earlier tokens lie in a cache."""

    def __init__(self, config: GptConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.norm1, self.norm2 = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.project = nn.Linear(config.width, config.width)
        self.expand = nn.Linear(config.width, 4 * config.width)
        self.contract = nn.Linear(4 * config.width, config.width)

    def forward(self, x: Tensor, positions: Tensor, seen: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """x [B, T, C] at `positions` [T]; seen [T, cache] says what each may look at; the cache [B, H, cache, d] is written."""
        query, key, value = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        keys.index_copy_(2, positions, key)
        values.index_copy_(2, positions, value)
        attended = F.scaled_dot_product_attention(query, keys, values, attn_mask=seen)
        x = x + self.project(attended.transpose(1, 2).flatten(2))
        return x + self.contract(F.gelu(self.expand(self.norm2(x))))


class Gpt(nn.Module):
    """Next-code model; code number `codes` starts a sequence."""

    def __init__(self, config: GptConfig, codes: int, length: int) -> None:
        super().__init__()
        self.config, self.codes, self.length = config, codes, length
        self.token = nn.Embedding(codes + 1, config.width)
        self.position = nn.Embedding(length, config.width)
        self.blocks = nn.ModuleList(GptBlock(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, codes, bias=False)

    def forward(self, tokens: Tensor, positions: Tensor, cache: Tensor) -> Tensor:
        """Codes [B, T] at `positions` [T], cache [layers, 2, B, H, length, d] -> logits of what follows, [B, T, codes]."""
        x = self.token(tokens) + self.position(positions)
        seen = torch.arange(cache.shape[4], device=x.device) <= positions.unsqueeze(1)
        for block, (keys, values) in zip(self.blocks, cache.unbind(0), strict=True):
            x = block(x, positions, seen, keys, values)
        return self.head(self.norm(x))

    def empty_cache(self, batch: int, length: int) -> Tensor:
        layers, heads, width = self.config.layers, self.config.heads, self.config.width
        return self.head.weight.new_zeros(layers, 2, batch, heads, length, width // heads)


class GreedyDecoder:
    """Decodes sequences of one length, a token a step, without a word between host and device."""

    def __init__(self, model: Gpt, batch: int, length: int) -> None:
        self.model, self.length = model, length
        device = model.head.weight.device
        self.cache = model.empty_cache(batch, length)
        self.token = torch.zeros(batch, 1, dtype=torch.long, device=device)
        self.position = torch.zeros(1, dtype=torch.long, device=device)
        self.codes = torch.zeros(batch, length, dtype=torch.long, device=device)
        self._graph: torch.cuda.CUDAGraph | None = None
        self.reset()

    def reset(self) -> None:
        self.token.fill_(self.model.codes)
        self.position.zero_()

    @torch.inference_mode()
    def step(self) -> None:
        self.token.copy_(self.model(self.token, self.position, self.cache).argmax(-1))
        self.codes.index_copy_(1, self.position, self.token)
        self.position.add_(1)

    def capture(self) -> None:
        """Records one step as a CUDA graph, which every later step replays."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.reset()
                self.step()
        torch.cuda.current_stream().wait_stream(stream)
        self.reset()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.step()
        self._graph = graph

    def decode(self) -> Tensor:
        """Codes [B, length]; the tensor is written anew by the next call."""
        self.reset()
        advance = self.step if self._graph is None else self._graph.replay
        for _ in range(self.length):
            advance()
        return self.codes
