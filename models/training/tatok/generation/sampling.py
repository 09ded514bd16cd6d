"""Tokens from noise: the sequence by the GPT, and for a TaTok the patches by its own entropy model given these.

p(G, Z_S) = p(G) · Π_r Π_{i ∈ S_r} q(z_i | G, patches of earlier rounds). Which patches are kept, S, and in which round each
is drawn follow from ĥ given G alone, so the number of bits of a picture is exact. B pictures, K global tokens, N patches, D
dimensions of up to L levels.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..filter import rank_patches
from ..model import surprisal_bits
from ..tokenizer import TaTok, Tokens
from .network import CachedDecoder, Gpt, by_uniform

ROUNDS = 8
"""Rounds in which patches are drawn: with one, each knows the global tokens alone."""


def sequence_of(tokenizer: TaTok) -> int:
    """T: the tokens that a GPT of this tokenizer is of, global ones where there are any, else all patches."""
    return tokenizer.config.global_tokens or tokenizer.config.patch_tokens


@torch.no_grad()
def kept_patches(
    tokenizer: TaTok, global_codes: Tensor, loss_rate: float, budget_bits: float | None = None
) -> tuple[Tensor, Tensor]:
    """Of global codes [B, K]: the patches that global ranking keeps at ε = `loss_rate`, [B, N] bool, and their ĥ, [B, N]."""
    hidden = torch.zeros(len(global_codes), tokenizer.config.patch_tokens, dtype=torch.int32, device=global_codes.device)
    entropy = tokenizer.estimate(Tokens(global_codes, hidden)).entropy
    grid = tokenizer.config.grid
    rankings = (rank_patches(bits, grid, grid) for bits in entropy.cpu().numpy())
    keep = torch.stack([torch.from_numpy(ranking.keep(loss_rate, budget_bits)) for ranking in rankings])
    return keep.to(entropy.device), entropy


def _in_rounds(entropy: Tensor, keep: Tensor, rounds: int) -> Iterator[Tensor]:
    """The patches of each round, [B, N] bool: of n kept ones the ⌈n·(r/R)²⌉ with the most entropy are drawn by round r."""
    rank = entropy.masked_fill(~keep, -1).argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    count = keep.sum(1, keepdim=True)
    done = torch.zeros_like(keep)
    for number in range(1, rounds + 1):
        due = (rank < (count * number**2 / rounds**2).ceil()) & keep
        yield due & ~done
        done = due


@torch.no_grad()
def sample_patches(
    tokenizer: TaTok,
    global_codes: Tensor,
    keep: Tensor,
    entropy: Tensor,
    uniforms: Tensor,
    *,
    rounds: int = ROUNDS,
    given: Tensor | None = None,
    patch_codes: Tensor | None = None,
) -> Tensor:
    """Codes [B, N] of kept patches, drawn from q; the others are 0.

    `uniforms` are [B, N, D] in [0, 1). Where `given` [B, N] is true the codes of `patch_codes` stay, and the others know them.
    """
    quantizer = tokenizer.quantizer
    codes = torch.zeros_like(keep, dtype=torch.int32) if patch_codes is None else patch_codes.to(torch.int32).clone()
    visible = torch.zeros_like(keep) if given is None else given.clone()
    for due in _in_rounds(entropy, keep & ~visible, rounds):
        if due.any():
            logits = tokenizer.logits(Tokens(global_codes, codes), visible)
            drawn = (by_uniform(logits, uniforms) * quantizer.strides).sum(-1, dtype=torch.int32)
            codes = torch.where(due, drawn, codes)
            visible = visible | due
    return torch.where(visible, codes, 0)


@torch.no_grad()
def patch_bits(tokenizer: TaTok, tokens: Tokens, keep: Tensor, entropy: Tensor, *, rounds: int = ROUNDS) -> Tensor:
    """−log2 of the probability with which `sample_patches` would draw the kept patches of `tokens`, [B]."""
    levels = tokenizer.quantizer.code_levels(tokens.patch_codes)
    visible, bits = torch.zeros_like(keep), torch.zeros(len(keep), device=keep.device)
    for due in _in_rounds(entropy, keep, rounds):
        if due.any():
            bits = bits + (surprisal_bits(tokenizer.logits(tokens, visible), levels) * due).sum(1)
            visible = visible | due
    return bits


@dataclass(frozen=True)
class Draw:
    """How pictures are drawn."""

    seed: int = 0
    temperature: float = 1.0
    """Of the sequence: above 0 and at most 2."""
    guidance: float = 1.0
    """w of classifier-free guidance; 1: none."""
    loss_rate: float = 0.8
    """ε: patches that are dropped are filled by their expectation."""
    budget_bits: float | None = None
    """B; None: the image's own."""
    rounds: int = ROUNDS


@dataclass(frozen=True)
class Generator:
    """A GPT and the tokenizer whose tokens it makes."""

    network: Gpt
    tokenizer: TaTok

    def __post_init__(self) -> None:
        shape, config = self.network.shape, self.tokenizer.config
        if shape.levels != config.levels or shape.length != sequence_of(self.tokenizer):
            raise ValueError(
                f"the generator makes {shape.length} tokens of levels {shape.levels}, and the tokenizer has "
                f"{sequence_of(self.tokenizer)} of {config.levels}: name the bundle that its training tokens are of"
            )

    @torch.no_grad()
    def sample(self, count: int, draw: Draw, labels: Tensor | None = None) -> Tokens:
        """Tokens of `count` pictures, of classes `labels` [count] where the generator has classes.

        Picture i depends on the seed and i alone, not on how many are drawn together. Raises ValueError for guidance without
        classes, for a class that is none, and for a temperature out of its range.
        """
        network, tokenizer, device = self.network, self.tokenizer, self.tokenizer.device
        classes = network.shape.classes
        if not 0 < draw.temperature <= 2:
            raise ValueError(f"the temperature is {draw.temperature:g}; its range is above 0 and at most 2")
        if labels is None and draw.guidance != 1:
            raise ValueError("guidance leads towards a class: name one, of a generator that has classes")
        if labels is not None and not (int(labels.min()) >= 0 and int(labels.max()) < classes):
            raise ValueError(f"classes are in [0, {classes}), and there is one from {int(labels.min())} to {int(labels.max())}")
        config, dimensions = tokenizer.config, network.dimensions
        length = network.shape.length
        patches = config.patch_tokens if config.global_tokens else 0
        numbers = torch.stack([_uniforms(draw.seed, i, length + patches, dimensions) for i in range(count)]).to(device)
        decoder = CachedDecoder(
            network, count, length, numbers[:, :length], guidance=draw.guidance, temperature=draw.temperature
        )
        levels = decoder.decode(None if labels is None else labels.to(device))
        codes = (levels * network.quantizer.strides).sum(-1).to(torch.int32)
        if not config.global_tokens:
            return Tokens(None, codes)
        if not config.patch_tokens:
            return Tokens(codes, None)
        keep, entropy = kept_patches(tokenizer, codes, draw.loss_rate, draw.budget_bits)
        patch_codes = sample_patches(tokenizer, codes, keep, entropy, numbers[:, length:], rounds=draw.rounds)
        return filled(tokenizer, Tokens(codes, patch_codes), keep)

    @torch.no_grad()
    def bits(self, tokens: Tokens, labels: Tensor | None = None, draw: Draw | None = None) -> Tensor:
        """Exact −log2 p of pictures' tokens, as `sample` would draw them: [B].

        Kept patches are those of `draw`'s ε under global ranking; without `draw` every patch is kept.
        """
        draw = Draw(loss_rate=0.0) if draw is None else draw
        tokens = tokens.to(self.tokenizer.device)
        codes = tokens.patch_codes if tokens.global_codes is None else tokens.global_codes
        if labels is None:
            labels = torch.full((len(codes),), self.network.no_class)
        bits = self.network.bits(self.network.quantizer.code_levels(codes), labels.to(codes.device))
        if tokens.global_codes is None or tokens.patch_codes is None:
            return bits
        keep, entropy = kept_patches(self.tokenizer, tokens.global_codes, draw.loss_rate, draw.budget_bits)
        return bits + patch_bits(self.tokenizer, tokens, keep, entropy, rounds=draw.rounds)


def filled(tokenizer: TaTok, tokens: Tokens, keep: Tensor) -> Tokens:
    """The tokens with dropped patches filled by their expectation given the kept ones."""
    return replace(tokens, keep=keep, expected_code=tokenizer.estimate(tokens, keep).expected_code)


def _uniforms(seed: int, picture: int, tokens: int, dimensions: int) -> Tensor:
    """[tokens, dimensions] in [0, 1)."""
    return torch.rand(tokens, dimensions, generator=torch.Generator().manual_seed(seed * 1_000_003 + picture))


def in_batches(count: int, batch: int, make: Callable[[slice], Tensor]) -> Tensor:
    """What `make` gives of `count` pictures, some at a time."""
    return torch.cat([make(slice(start, min(start + batch, count))) for start in range(0, count, batch)])
