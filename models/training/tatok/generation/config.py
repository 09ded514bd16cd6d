"""Every number that defines a generator or its training."""

from dataclasses import dataclass

from ..config import check_ranges, option


@dataclass(frozen=True)
class GptConfig:
    """Size of the transformer."""

    layers: int
    width: int
    heads: int
    dropout: float = 0.0


SIZES = {
    "tiny": GptConfig(2, 32, 2),
    "small": GptConfig(8, 512, 8),
    "base": GptConfig(12, 768, 12),
    "large": GptConfig(24, 1024, 16),
    "xl": GptConfig(36, 1280, 20),
}
"""GPT-2's proportions, as autoregressive image generators use them; `tiny` is for trying a command."""


@dataclass(frozen=True)
class GeneratorConfig:
    """One training run of a generator. Raises ValueError for a number out of its range and a size that does not exist."""

    size: str = option("small", "Size of the transformer")
    steps: int = option(20_000, "Length of the run", unit="optimiser steps", least=1)
    batch: int = option(256, "Sequences that each process sees in a step", unit="sequences", least=1)
    learning_rate: float = option(4e-4, "Learning rate at the end of the warm-up", least=0)
    warmup_steps: int = option(500, "Steps in which the learning rate rises from 0", unit="optimiser steps", least=0)
    weight_decay: float = option(0.05, "Decoupled weight decay of matrices", least=0)
    dropout: float = option(0.1, "Share of activations that are dropped", least=0, below=1)
    label_dropout: float = option(0.1, "Share of sequences that are shown without their class, for guidance", least=0, most=1)
    gradient_clip: float = option(1.0, "Greatest norm of the gradient", above=0)
    ema: float = option(0.999, "Decay of the moving average of the weights, per step", least=0, below=1)
    evaluate_every: int = option(500, "Steps between measurements of held-out bits, and between checkpoints", least=1)
    seed: int = option(0, "Seed of the weights, the order and dropout", least=0)

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise ValueError(f"there is no size {self.size!r}: there are {', '.join(SIZES)}")
        check_ranges(self)
