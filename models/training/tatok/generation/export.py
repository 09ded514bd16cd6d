"""One step of a generator as an ONNX graph: the caller loops over the tokens and gives the random numbers."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..bundle.onnx_graph import onnx_graph, save_graph
from .network import Gpt, GptBlock, by_uniform

INPUTS = ("previous", "label", "position", "cache", "uniforms")
OUTPUTS = ("code", "bits", "cache_out")


class GeneratorStep(nn.Module):
    """previous [B] int64 code (−1 before the first), label [B] int64, position [B] int64, cache [B, 2·layers, H, T, d],
    uniforms [B, D] in [0, 1) -> code [B] int64, −log2 p of it [B], the cache with this token's keys and values."""

    def __init__(self, network: Gpt) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        previous, label, position, cache, uniforms = inputs
        network = self.network
        levels = network.quantizer.code_levels(previous.clamp(min=0)).long()
        embedded = network.level[torch.arange(network.dimensions), levels].sum(1)
        x = torch.where(previous.unsqueeze(1) < 0, network.start(label), embedded) + network.position(position)
        place = torch.arange(network.shape.length)
        here, seen = place == position.unsqueeze(1), place <= position.unsqueeze(1)
        written = []
        x = x.unsqueeze(1)
        for number, block in enumerate(network.blocks):
            x, keys, values = _cached(block, x, here, seen, cache[:, 2 * number], cache[:, 2 * number + 1])
            written += [keys, values]
        bits: list[Tensor] = []

        def choose(logits: Tensor, dimension: int) -> Tensor:
            level = by_uniform(logits, uniforms[:, dimension])
            bits.append(-F.log_softmax(logits, -1).gather(1, level.unsqueeze(1))[:, 0] / torch.log(torch.tensor(2.0)))
            return level

        drawn = network.draw(network.norm(x)[:, 0], choose)
        code = (drawn * network.quantizer.strides.long()).sum(-1)
        return code, torch.stack(bits).sum(0), torch.stack(written, 1)


def _cached(
    block: GptBlock, x: Tensor, here: Tensor, seen: Tensor, keys: Tensor, values: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """As `GptBlock.forward_cached`, with a position for each row and a new cache."""
    query, key, value = block._split(x)
    keys, values = (torch.where(here[:, None, :, None], new, old) for new, old in ((key, keys), (value, values)))
    return block._rest(x, F.scaled_dot_product_attention(query, keys, values, attn_mask=seen[:, None, None])), keys, values


def export_generator(network: Gpt, path: Path) -> list[Path]:
    """Writes the graph, for any batch, and returns its files. Raises ValueError where PyTorch cannot export it."""
    config, length = network.config, network.shape.length
    examples = (
        torch.tensor([-1, 0]),
        torch.full((2,), network.no_class),
        torch.tensor([0, 0]),
        torch.zeros(2, 2 * config.layers, config.heads, length, config.width // config.heads),
        torch.rand(2, network.dimensions),
    )
    step = GeneratorStep(network.eval())
    graph = onnx_graph(step, dict(zip(INPUTS, examples, strict=True)), OUTPUTS, "the generator")
    return save_graph(graph, path)
