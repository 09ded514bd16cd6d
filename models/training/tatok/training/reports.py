"""What a run says of itself: a bar or lines, log.jsonl, sheets of sample pictures, and all of it in TensorBoard."""

import json
import math
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ..config import TrainConfig
from ..tokenizer import TaTok

LOG_EVERY = 50
SAMPLES = 8
LOSS_RATES = (0.8, 1.0)
"""ε of the columns of a sample sheet after those of the picture and of every token; 1 leaves the global tokens alone."""


class Reports:
    """The reports of the first process of a run. `pictures` are those of the sample sheets, [n, 3, S, S] uint8.

    Raises ValueError where TensorBoard is asked for and not installed.
    """

    def __init__(self, out: Path, config: TrainConfig, pictures: Tensor, done: int, crops: int) -> None:
        self.config, self._out, self._pictures, self._crops = config, out, pictures, crops
        self._writer = _open_tensorboard(out / "tensorboard", done) if config.tensorboard else None
        self._bar = _open_bar(done, config.steps)
        self._started = self._window = time.monotonic()
        self._done = self._logged = done
        self._lost = torch.zeros((), device=pictures.device)

    def __enter__(self) -> "Reports":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._writer is not None:
            self._writer.close()

    def step(self, step: int, rate: float, parts: dict[str, Tensor], average: TaTok) -> None:
        """After step number `step` at the learning rate `rate`: parts of its loss, and the averaged weights.

        Raises FloatingPointError where no gradient since the last line of the log was finite.
        """
        self._lost += parts["non_finite"]
        if self._bar is not None:
            self._bar.update()
        if step % LOG_EVERY == 0:
            self._log(step, rate, parts)
        every = self.config.samples_every
        if every and (step % every == 0 or step == self.config.steps):
            self._sheet(step, average)

    def _log(self, step: int, rate: float, parts: dict[str, Tensor]) -> None:
        values = {name: round(value.item(), 5) for name, value in parts.items()} | {"non_finite": int(self._lost.item())}
        now = time.monotonic()
        since, self._logged = step - self._logged, step
        entry = {
            "step": step,
            "seconds": round(now - self._started, 1),
            "seconds_left": round((now - self._started) / (step - self._done) * (self.config.steps - step)),
            "lr": rate,
            "crops_per_second": round(since * self._crops / (now - self._window)),
        }
        self._window = now
        self._lost.zero_()
        # JSON has no NaN.
        line = json.dumps(entry | {name: value if math.isfinite(value) else None for name, value in values.items()})
        with (self._out / "log.jsonl").open("a") as file:
            file.write(line + "\n")
        if self._bar is None:
            print(line, flush=True)
        else:
            self._bar.set_postfix(loss=values["loss"], crops_per_second=entry["crops_per_second"])
        if self._writer is not None:
            for name, value in ({"lr": rate, "crops_per_second": entry["crops_per_second"]} | values).items():
                self._writer.add_scalar(name, value, step)
        if values["non_finite"] == since:
            raise FloatingPointError(
                f"no gradient of steps {step - since + 1} to {step} was finite: the last checkpoint is good; "
                "begin a new run from it with a lower learning rate"
            )

    def _sheet(self, step: int, average: TaTok) -> None:
        sheet = sample_sheet(average, self._pictures)
        (self._out / "samples").mkdir(exist_ok=True)
        Image.fromarray(sheet.permute(1, 2, 0).cpu().numpy()).save(self._out / "samples" / f"{step:08d}.webp", quality=90)
        if self._writer is not None:
            self._writer.add_image("samples", sheet, step)


def sample_sheet(model: TaTok, pictures: Tensor) -> Tensor:
    """[n, 3, S, S] uint8 -> [3, n·S, columns·S] uint8: a picture, every token, and what is left at `LOSS_RATES`, a row each.

    A model whose tokens cannot be dropped has the first two columns alone.
    """
    tokens = model.encode(pictures)
    rates = LOSS_RATES if model.config.filters else ()
    columns = [pictures, model.decode(tokens)] + [model.decode(model.filter(tokens, rate)) for rate in rates]
    return torch.cat([column.permute(1, 0, 2, 3).flatten(1, 2) for column in columns], dim=2)


def _open_bar(done: int, steps: int) -> Any:
    """A bar with rate and time left where standard error is a terminal and tqdm is installed; None elsewhere."""
    if not sys.stderr.isatty():
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(initial=done, total=steps, unit="step", dynamic_ncols=True)


def _open_tensorboard(folder: Path, done: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ValueError("TensorBoard is not installed: pip install 'tatok[tensorboard]'") from error
    # What a run that goes on had written after its checkpoint is of steps that it repeats.
    return SummaryWriter(folder, purge_step=done + 1)
