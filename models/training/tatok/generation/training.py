"""Training a GPT on the tokens of a data set, on one GPU or several under torchrun."""

import json
import math
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..data.order import Share
from ..tokenizer import TaTok
from ..tokens.load import load_tokens
from ..training.distributed import Workers
from ..training.optimizer import clip_gradient, moving_average
from ..weights import read_checkpoint
from .config import SIZES, GeneratorConfig
from .network import Gpt, SequenceShape
from .sampling import sequence_of

LOG_EVERY = 50
FILE = "generator.safetensors"


@dataclass(frozen=True)
class Sequences:
    """The sequences of a token data set."""

    levels: Tensor
    """[M, T, D] uint8."""
    labels: Tensor
    """[M] class numbers; the number of classes where an image has none."""

    @classmethod
    def of(cls, path: Path, tokenizer: TaTok, classes: dict[str, int]) -> "Sequences":
        """Global codes, or patch codes where the tokenizer has no others. Labels that `classes` lacks are none.

        Raises OSError and ValueError for a file without tokens and for those of another tokenizer.
        """
        loaded = load_tokens(path)
        codes = loaded.global_codes if tokenizer.config.global_tokens else loaded.patch_codes
        length = sequence_of(tokenizer)
        if codes is None or codes.shape[1] != length or codes.max() >= tokenizer.config.codebook_size:
            raise ValueError(f"{path} has no sequences of {length} tokens of this tokenizer")
        if codes.min() < 0:
            raise ValueError(f"{path} lacks dropped tokens: make it with --loss-rate 0")
        levels = tokenizer.quantizer.code_levels(torch.from_numpy(codes).to(tokenizer.device)).to(torch.uint8)
        labels = [classes.get(label, len(classes)) for label in loaded.labels]
        return cls(levels, torch.tensor(labels, device=tokenizer.device))

    def __len__(self) -> int:
        return len(self.levels)


def classes_of(path: Path) -> dict[str, int]:
    """Class numbers of a data set's labels: that which they are where all are numbers, else in the order of their names."""
    labels = sorted({label for label in load_tokens(path).labels if label is not None})
    if labels and all(label.isdecimal() for label in labels):
        return {str(number): number for number in range(max(map(int, labels)) + 1)}
    return {label: number for number, label in enumerate(labels)}


class GeneratorTrainer:
    """A network, its average and its optimiser, one step at a time; goes on from checkpoint.pt in `out`."""

    def __init__(self, config: GeneratorConfig, shape: SequenceShape, out: Path, workers: Workers) -> None:
        """Raises ValueError where the checkpoint is of another configuration; `steps` may be more."""
        self.config, self.out, self.workers = config, out, workers
        torch.manual_seed(config.seed)
        self.network = Gpt(replace(SIZES[config.size], dropout=config.dropout), shape).to(workers.device).train()
        self.step_number, self.best = 0, math.inf
        decayed = [p for p in self.network.parameters() if p.ndim == 2]
        plain = [p for p in self.network.parameters() if p.ndim != 2]
        groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.95))
        path = out / "checkpoint.pt"
        state = workers.from_first(lambda: read_checkpoint(path) if path.exists() else None)
        self.average = moving_average(self.network, config.ema, 0 if state is None else state["step"])
        if state is not None:
            self._restore(state)
        self._parallel: nn.Module = self.network
        if workers.count > 1:
            ids = [workers.device.index] if workers.device.type == "cuda" else None
            self._parallel = nn.parallel.DistributedDataParallel(self.network, device_ids=ids)
        self._share = Share.of(workers.rank, workers.count, config.batch)
        self._generator = torch.Generator()

    def _restore(self, state: dict[str, Any]) -> None:
        asked = asdict(self.config)
        for name, value in state["config"].items():
            if name not in ("steps", "evaluate_every") and asked[name] != value:
                raise ValueError(
                    f"{self.out} was trained with {name} {value}, and {asked[name]} is asked for: ask for the same, or begin a "
                    "new run in another folder"
                )
        self.step_number, self.best = state["step"], state["best"]
        self.network.load_state_dict(state["network"])
        self.average.module.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])

    def step(self, data: Sequences) -> Tensor:
        """One optimiser step on drawn sequences; returns its loss in bits a sequence, on the device."""
        config, device = self.config, self.workers.device
        seed = config.seed * 1_000_003 + self.step_number
        self._generator.manual_seed(seed)
        torch.manual_seed(seed * 4096 + self.workers.rank)
        part = self._share.part(0)
        index = torch.randint(len(data), (self._share.whole,), generator=self._generator)[part].to(device)
        bare = (torch.rand(self._share.whole, generator=self._generator)[part] < config.label_dropout).to(device)
        levels, labels = data.levels[index], data.labels[index].masked_fill(bare, self.network.no_class)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            logits = self._parallel(levels, labels)
        loss = nn.functional.cross_entropy(logits.float().flatten(0, 2), levels.long().flatten())
        loss.backward()
        clip_gradient(self.network.parameters(), config.gradient_clip)
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.average.update_parameters(self.network)
        self.step_number += 1
        return loss.detach() * levels[0].numel() / math.log(2)

    def _learning_rate(self) -> float:
        config, step = self.config, self.step_number
        if step < config.warmup_steps:
            return config.learning_rate * (step + 1) / config.warmup_steps
        progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
        return config.learning_rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))

    def save(self, facts: dict[str, Any], bits: float) -> None:
        """Leaves checkpoint.pt, and the averaged weights if no earlier ones had fewer held-out bits."""
        if bits <= self.best:
            self.best = bits
            self.average.module.save(self.out / FILE, facts | {"step": self.step_number, "heldOutSequenceBits": bits})
        state = {"step": self.step_number, "best": self.best, "config": asdict(self.config)}
        state |= {"network": self.network.state_dict(), "average": self.average.module.state_dict()}
        partial = self.out / "checkpoint.partial"
        torch.save(state | {"optimizer": self.optimizer.state_dict()}, partial)
        partial.replace(self.out / "checkpoint.pt")


@torch.no_grad()
def mean_bits(network: Gpt, data: Sequences, batch: int) -> float:
    """Exact −log2 p of a data set's sequences, the mean a sequence."""
    network.eval()
    parts = [network.bits(data.levels[k : k + batch], data.labels[k : k + batch]) for k in range(0, len(data), batch)]
    return float(torch.cat(parts).double().mean())


def train_generator(
    bundle: Path,
    tokens: Path,
    held_out: Path,
    out: Path,
    config: GeneratorConfig,
    *,
    conditional: bool = False,
    max_seconds: float | None = None,
) -> Gpt:
    """Trains a generator of a bundle's tokens; returns the averaged network with the fewest held-out bits, which `out` keeps.

    `conditional` makes the data set's labels classes. Ends early after `max_seconds` (for comparing tokenizers at equal time),
    with a checkpoint from which the same command goes on. Raises OSError and ValueError, see `Sequences` and
    `GeneratorTrainer`, and ValueError for classes where there are no labels.
    """
    started = time.monotonic()
    workers = Workers.join()
    tokenizer = TaTok.from_pretrained(bundle).to(workers.device)
    classes = classes_of(tokens) if conditional else {}
    if conditional and not classes:
        raise ValueError(f"{tokens} has no labels: leave --conditional out")
    data, kept_out = (Sequences.of(path, tokenizer, classes) for path in (tokens, held_out))
    out.mkdir(parents=True, exist_ok=True)
    shape = SequenceShape(tokenizer.config.levels, sequence_of(tokenizer), len(classes))
    trainer = GeneratorTrainer(config, shape, out, workers)
    facts = {"bundle": bundle.name, "classes": list(classes), "sequences": len(data), "config": asdict(config)}
    while trainer.step_number < config.steps:
        loss = trainer.step(data)
        step = trainer.step_number
        late = max_seconds is not None and time.monotonic() - started > max_seconds
        stop = step == config.steps or (step % 10 == 0 and workers.agree(late))
        if workers.is_first and (step % LOG_EVERY == 0 or stop):
            _log(out, {"step": step, "seconds": round(time.monotonic() - started, 1), "bits": round(float(loss), 2)})
        if step % config.evaluate_every == 0 or stop:
            bits = mean_bits(trainer.average.module, kept_out, config.batch)
            if workers.is_first:
                _log(out, {"step": step, "held_out_bits": round(bits, 3)})
                trainer.save(facts, bits)
        if stop:
            break
    del trainer
    workers.leave()
    return Gpt.open(out / FILE)[0]


def _log(out: Path, line: dict[str, Any]) -> None:
    with (out / "log.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)


def code_arrays(path: Path) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Global and patch codes of a data set without dropped tokens, [M, K] and [M, N]. Raises ValueError where some are."""
    loaded = load_tokens(path)
    if loaded.patch_codes is not None and loaded.patch_codes.min() < 0:
        raise ValueError(f"{path} lacks dropped tokens: make it with --loss-rate 0")
    return loaded.global_codes, loaded.patch_codes
