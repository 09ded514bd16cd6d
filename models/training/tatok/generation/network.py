"""A GPT over tokens: token by token, and within a token dimension by dimension of the quantiser.

p(z | class) = Π_t Π_d p(level of dimension d of token t | class, earlier tokens, earlier dimensions of the token). A softmax
over all codes at once would have V outputs, 65,536 for `tatok-s-256`; the factors have 8, and leave nothing out. B sequences of
T tokens, D dimensions of up to L levels, C channels.
"""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..model import NO_LEVEL
from ..quantizer import FiniteScalarQuantizer
from .config import GptConfig

Choose = Callable[[Tensor, int], Tensor]
"""From the logits [B, L] of a dimension, and its number, to a level each, [B]."""


@dataclass(frozen=True)
class SequenceShape:
    """The sequences that a GPT is of."""

    levels: tuple[int, ...]
    """Of the quantiser's dimensions."""
    length: int
    """T."""
    classes: int = 0
    """0: unconditional."""


class GptBlock(nn.Module):
    """Pre-norm transformer block. In training each token sees the earlier ones; in generation their keys and values lie in a
    cache."""

    def __init__(self, config: GptConfig) -> None:
        super().__init__()
        self.heads, self.dropout = config.heads, config.dropout
        self.norm1, self.norm2 = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.project = nn.Linear(config.width, config.width)
        self.expand = nn.Linear(config.width, 4 * config.width)
        self.contract = nn.Linear(4 * config.width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, C] -> the same, whole sequences at once."""
        query, key, value = self._split(x)
        return self._rest(x, F.scaled_dot_product_attention(query, key, value, is_causal=True))

    def forward_cached(self, x: Tensor, positions: Tensor, seen: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """x [B, T, C] at `positions` [T]; seen [T, cache] says what each may look at; the cache [B, H, cache, d] is written."""
        query, key, value = self._split(x)
        keys.index_copy_(2, positions, key)
        values.index_copy_(2, positions, value)
        return self._rest(x, F.scaled_dot_product_attention(query, keys, values, attn_mask=seen))

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)

    def _rest(self, x: Tensor, attended: Tensor) -> Tensor:
        x = x + self._dropped(self.project(attended.transpose(1, 2).flatten(2)))
        return x + self._dropped(self.contract(F.gelu(self.expand(self.norm2(x)))))

    def _dropped(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)


class Gpt(nn.Module):
    """Next-token model over sequences of one length; the class, or that there is none, starts a sequence."""

    exists: Tensor

    def __init__(self, config: GptConfig, shape: SequenceShape) -> None:
        super().__init__()
        self.config, self.shape = config, shape
        self.quantizer = FiniteScalarQuantizer(shape.levels)
        self.dimensions, self.most = self.quantizer.exists.shape
        self.register_buffer("missing", torch.where(self.quantizer.exists, 0.0, NO_LEVEL), persistent=False)
        # Of a token that was, and of the dimensions before this one in the same token.
        self.level = nn.Parameter(torch.randn(self.dimensions, self.most, config.width) * 0.02)
        self.inner = nn.Parameter(torch.randn(self.dimensions, self.most, config.width) * 0.02)
        self.start = nn.Embedding(shape.classes + 1, config.width)
        self.position = nn.Embedding(shape.length, config.width)
        self.blocks = nn.ModuleList(GptBlock(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.inner_norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, self.dimensions * self.most)
        self.apply(_initialise)

    @property
    def no_class(self) -> int:
        """The label of an unconditional sequence."""
        return self.shape.classes

    def forward(self, levels: Tensor, labels: Tensor) -> Tensor:
        """Levels [B, T, D], of which each sees the earlier ones alone, and labels [B] -> logits of levels [B, T, D, L]."""
        levels = levels.long()
        before = torch.cat([self.start(labels)[:, None], self.embed(levels[:, :-1])], 1)
        x = before + self.position.weight[: levels.shape[1]]
        for block in self.blocks:
            x = block(x)
        earlier = self._looked_up(self.inner, levels).cumsum(2)
        # Dimension d sees the levels of those before it.
        earlier = torch.cat([torch.zeros_like(earlier[:, :, :1]), earlier[:, :, :-1]], 2)
        return self._logits(self.norm(x)[:, :, None] + earlier, slice(None))

    def bits(self, levels: Tensor, labels: Tensor) -> Tensor:
        """−log2 p of sequences, exactly: levels [B, T, D] and labels [B] -> [B]."""
        log_p = F.log_softmax(self(levels, labels).float(), -1)
        return -log_p.gather(-1, levels.long().unsqueeze(-1)).flatten(1).sum(1) / math.log(2)

    def embed(self, levels: Tensor) -> Tensor:
        """Levels [B, T, D] -> what later tokens see of these, [B, T, C]."""
        return self._looked_up(self.level, levels.long()).sum(2)

    def step(self, before: Tensor, position: Tensor, cache: Tensor) -> Tensor:
        """What came before (`embed`, or `start`), [B, 1, C], at `position` [1], and the cache -> hidden state [B, C]."""
        x = before + self.position(position)
        seen = torch.arange(cache.shape[4], device=x.device) <= position.unsqueeze(1)
        for block, (keys, values) in zip(self.blocks, cache.unbind(0), strict=True):
            x = block.forward_cached(x, position, seen, keys, values)
        return self.norm(x)[:, 0]

    def draw(self, hidden: Tensor, choose: Choose, guidance: float = 1.0) -> Tensor:
        """A token's levels [B, D] from its hidden state [B, C], dimension by dimension.

        With `guidance` w other than 1 the second half of `hidden` is that without a class, and logits are u + w·(c − u)
        (classifier-free guidance, Ho and Salimans, 2022): [2·B, C] -> [B, D].
        """
        chosen: list[Tensor] = []
        for dimension in range(self.dimensions):
            logits = self._logits(hidden, slice(dimension, dimension + 1))[:, 0].float()
            if guidance != 1:
                conditional, without = logits.chunk(2)
                logits = without + guidance * (conditional - without) + self.missing[dimension]
            level = choose(logits, dimension)
            chosen.append(level)
            hidden = hidden + self.inner[dimension][level if guidance == 1 else level.repeat(2)]
        return torch.stack(chosen, 1)

    def empty_cache(self, batch: int, length: int) -> Tensor:
        """[layers, keys and values, B, heads, length, d]."""
        layers, heads, width = self.config.layers, self.config.heads, self.config.width
        return self.head.weight.new_zeros(layers, 2, batch, heads, length, width // heads)

    def save(self, path: Path, facts: dict[str, object]) -> None:
        """Weights and shapes in one safetensors file, with `facts` beside them."""
        text = json.dumps({"size": asdict(self.config), "shape": asdict(self.shape), "facts": facts}, ensure_ascii=False)
        partial = path.with_suffix(".partial")
        save_file({name: t.detach().cpu().contiguous() for name, t in self.state_dict().items()}, partial, {_CONFIG: text})
        partial.replace(path)

    @classmethod
    def open(cls, path: Path) -> tuple["Gpt", dict[str, object]]:
        """A saved network in evaluation mode, and its facts. Raises OSError, and ValueError for a file of another kind."""
        try:
            with safe_open(path, "pt") as file:
                told = json.loads((file.metadata() or {})[_CONFIG])
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, KeyError) as error:
            raise ValueError(f"{path} is no generator: `train-generator` writes one") from error
        shape = told["shape"] | {"levels": tuple(told["shape"]["levels"])}
        network = cls(GptConfig(**told["size"]), SequenceShape(**shape))
        network.load_state_dict(weights)
        return network.eval(), told["facts"]

    def _looked_up(self, table: Tensor, levels: Tensor) -> Tensor:
        """Rows [D, L, C] of levels [B, T, D] -> [B, T, D, C]."""
        return table[torch.arange(self.dimensions, device=levels.device), levels]

    def _logits(self, hidden: Tensor, dimensions: slice) -> Tensor:
        """[..., C], one state for each of some dimensions or (where one is left) for it alone -> [..., dimensions, L]."""
        x = F.gelu(self.inner_norm(hidden))
        weight = self.head.weight.unflatten(0, (self.dimensions, self.most))[dimensions]
        bias = self.head.bias.unflatten(0, (self.dimensions, self.most))[dimensions]
        if x.ndim == 2:
            x = x[:, None]
        return torch.einsum("...dc,dlc->...dl", x, weight.to(x.dtype)) + bias.to(x.dtype) + self.missing[dimensions]


_CONFIG = "tatok.generator"


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)


def greedy(logits: Tensor, dimension: int) -> Tensor:
    """The likeliest level."""
    return logits.argmax(-1)


def by_uniform(logits: Tensor, uniform: Tensor) -> Tensor:
    """The level at which the distribution function passes `uniform`: [..., L] and [...] in [0, 1) -> [...].

    The same numbers give the same levels on every device and in an exported graph.
    """
    total = logits.float().softmax(-1).cumsum(-1)
    last = (logits > NO_LEVEL / 2).sum(-1) - 1
    return (total <= uniform.unsqueeze(-1) * total[..., -1:]).sum(-1).minimum(last)


class CachedDecoder:
    """Decodes sequences of one length, a token a step, without a word between host and device.

    Greedily, or with `uniforms` [B, T, D] in [0, 1) as samples. With guidance a second half of the batch has no class.
    """

    def __init__(
        self,
        model: Gpt,
        batch: int,
        length: int,
        uniforms: Tensor | None = None,
        *,
        guidance: float = 1.0,
        temperature: float = 1,
    ) -> None:
        self.model, self.length, self.guidance, self.temperature = model, length, guidance, temperature
        device = model.head.weight.device
        self._rows = batch if guidance == 1 else 2 * batch
        self.cache = model.empty_cache(self._rows, length)
        self.before = torch.zeros(self._rows, 1, model.config.width, device=device, dtype=model.head.weight.dtype)
        self.position = torch.zeros(1, dtype=torch.long, device=device)
        self.levels = torch.zeros(batch, length, model.dimensions, dtype=torch.long, device=device)
        self.labels = torch.full((self._rows,), model.no_class, device=device)
        self._uniforms = uniforms
        self._graph: torch.cuda.CUDAGraph | None = None
        self.reset()

    def reset(self) -> None:
        with torch.inference_mode():
            self.before.copy_(self.model.start(self.labels)[:, None])
            self.position.zero_()

    @torch.inference_mode()
    def step(self) -> None:
        hidden = self.model.step(self.before, self.position, self.cache)
        levels = self.model.draw(hidden, self._choose(), self.guidance)
        self.levels.index_copy_(1, self.position, levels[:, None])
        embedded = self.model.embed(levels[:, None])
        self.before.copy_(embedded if self.guidance == 1 else embedded.repeat(2, 1, 1))
        self.position.add_(1)

    def _choose(self) -> Choose:
        if self._uniforms is None:
            return greedy
        numbers = self._uniforms.index_select(1, self.position)[:, 0]
        return lambda logits, dimension: by_uniform(logits / self.temperature, numbers[:, dimension])

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

    def decode(self, labels: Tensor | None = None) -> Tensor:
        """Levels [B, length, D] for classes [B]; the tensor is written anew by the next call."""
        if labels is not None:
            self.labels[: len(labels)].copy_(labels)
        self.reset()
        advance = self.step if self._graph is None else self._graph.replay
        for _ in range(self.length):
            advance()
        return self.levels
