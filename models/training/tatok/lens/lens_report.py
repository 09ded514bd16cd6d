"""Figures of a lens on photographs that it was not fitted to, from the graphs of its bundle as users run them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..bundle.format import Manifest
from ..elimination import PARTS, eliminate, given_others, quarters
from ..evaluation.metrics import luma, psnr
from ..evaluation.statistics import bootstrap_interval
from ..filter import DEFAULT_ROUNDS, Ranking, drop_order
from .frozen import Codes, Frozen, Pixels, Progress, open_graph

Figures = dict[str, Any]
KEPT_SHARES = (0.875, 0.75, 0.5, 0.25, 0.125)
VISIBLE_SHARES = (0.0, 0.25, 0.5, 0.75)
RANDOM_SEEDS = 2
_BINS = 10


class LensFigures:
    """A bundle with a lens on some photographs."""

    def __init__(self, frozen: Frozen, bundle: Path, manifest: Manifest, images: Pixels, codes: Codes, *, threads: int) -> None:
        """`bundle` has the lens, `frozen` is the bundle without it; `images` and `codes` are those of the photographs."""
        assert manifest.graphs.entropy is not None
        self.frozen, self.images, self.codes = frozen, images, codes
        self.stream, self.grid = frozen.stream.name, frozen.grid
        self.entropy = open_graph(bundle / manifest.graphs.entropy, threads)
        self.decoder = open_graph(bundle / manifest.graphs.decoder, threads)
        self.count, self.tokens = codes[self.stream].shape

    def estimate(self, visible: NDArray[np.bool_], part: slice = slice(None)) -> tuple[NDArray[np.float32], ...]:
        """Entropy, surprisal [B, N] and codes to fill in, [B, N, 1], of some photographs."""
        given = {name: values[part] for name, values in self.codes.items()}
        inputs = self.frozen.decoder_inputs(self.entropy, given) | {"visible": visible}
        return tuple(self.entropy.run(["entropy", "surprisal", "expected_code"], inputs))

    def decode(self, keep: NDArray[np.bool_], batch: int) -> Pixels:
        """Photographs from their kept tokens, the others filled in."""
        parts = []
        for start in range(0, self.count, batch):
            part = slice(start, start + batch)
            given = {name: values[part] for name, values in self.codes.items()}
            inputs: dict[str, Any] = self.frozen.decoder_inputs(self.decoder, given)
            inputs |= {"keep": keep[part], "expected_code": self.estimate(keep[part], part)[2]}
            parts.append(self.decoder.run(["image"], inputs)[0])
        return np.concatenate(parts)

    def quality(self, keep: NDArray[np.bool_], batch: int) -> NDArray[np.float64]:
        """PSNR of every photograph, dB."""
        decoded = torch.from_numpy(self.decode(keep, batch))
        return psnr(decoded, torch.from_numpy(self.images)).double().numpy()

    def rank(self, batch: int, rounds: int) -> list[Ranking]:
        """Backward elimination."""
        rankings = []
        for start in range(0, self.count, batch):
            part = slice(start, min(start + batch, self.count))
            count = part.stop - part.start
            rankings += eliminate(lambda seen, p=part: self.estimate(seen, p)[0], count, *self.grid, rounds=rounds)
        return rankings

    def bits(self) -> Figures:
        """Ĥ and surprisal in bits a hidden token, by the share of tokens that are visible at random, and given the others."""
        ranks = np.random.default_rng(0).random((self.count, self.tokens)).argsort(1)
        result = {}
        for share in VISIBLE_SHARES:
            visible = ranks < round(share * self.tokens)
            entropy, surprisal, _ = self.estimate(visible)
            hidden = ~visible
            result[f"{share:g}"] = {"entropy": float(entropy[hidden].mean()), "surprisal": float(surprisal[hidden].mean())}
        entropy, surprisal = self.map()
        result["others"] = {"entropy": float(entropy.mean()), "surprisal": float(surprisal.mean())}
        return result

    def map(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """H(z_i | the other tokens) and the surprisal, [B, N] bits, as the inspector shows them."""
        surprisal = np.zeros((self.count, self.tokens), dtype=np.float32)
        every = np.ones_like(surprisal, dtype=bool)
        entropy = given_others(lambda visible: self.estimate(visible)[0], every, *self.grid)
        for part in range(PARTS):
            own = quarters(*self.grid) == part
            surprisal = np.where(own, self.estimate(every & ~own)[1], surprisal)
        return entropy, surprisal

    def calibration(self) -> list[Figures]:
        """Mean surprisal against ĥ given the others in equally filled bins: equal where q is calibrated."""
        entropy, surprisal = (values.ravel().astype(np.float64) for values in self.map())
        parts = np.array_split(np.argsort(entropy), _BINS)
        return [{"entropy": float(entropy[p].mean()), "surprisal": float(surprisal[p].mean()), "tokens": len(p)} for p in parts]

    def orders(self, batch: int) -> dict[str, list[NDArray[np.int64]]]:
        """Orders of dropping by name, [B, N] each; those by chance have several."""

        def by(scores: NDArray[np.floating]) -> NDArray[np.int64]:
            return np.stack([drop_order(row, *self.grid, 0.0) for row in scores])

        shape = (self.count, self.tokens)
        orders = {
            "backward elimination": [np.stack([r.order for r in self.rank(batch, DEFAULT_ROUNDS["sequential"])])],
            "entropy given the others, in one pass": [by(self.map()[0])],
            "random": [by(np.random.default_rng(seed).random(shape)) for seed in range(RANDOM_SEEDS)],
        }
        return orders | ({"pixel variance": [by(self._variance())]} if self.grid[0] > 1 else {})

    def curves(self, batch: int, say: Progress) -> Figures:
        """Mean PSNR, dB, by order and number of kept tokens, all filled in alike; and what elimination gains over chance."""
        counts = [round(share * self.tokens) for share in KEPT_SHARES]
        every = self.quality(np.ones((self.count, self.tokens), dtype=bool), batch)
        by_order: Figures = {}
        per_image: dict[tuple[str, int], NDArray[np.float64]] = {}
        for name, seeds in self.orders(batch).items():
            for kept in counts:
                each = [self.quality(_kept(order, kept), batch) for order in seeds]
                per_image[name, kept] = np.mean(each, axis=0)
                by_order.setdefault(name, {})[str(kept)] = float(per_image[name, kept].mean())
            say(f"measured the order: {name}")
        gains = {}
        for kept in counts:
            gain = per_image["backward elimination", kept] - per_image["random", kept]
            gains[str(kept)] = {"mean": float(gain.mean()), "interval": bootstrap_interval(gain)}
        return {"everyToken": float(every.mean()), "psnr": by_order, "gainOverRandom": gains}

    def _variance(self) -> NDArray[np.float32]:
        grey = luma(torch.from_numpy(self.images)).squeeze(1).numpy()
        (rows, columns), (height, width) = self.grid, grey.shape[1:]
        return grey.reshape(-1, rows, height // rows, columns, width // columns).var(axis=(2, 4)).reshape(len(grey), -1)


def _kept(order: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    keep = np.ones(order.shape, dtype=bool)
    np.put_along_axis(keep, order[:, : order.shape[1] - count], False, 1)
    return keep


def report(figures: Figures, name: str) -> str:
    """The figures as Markdown."""
    bits, curves = figures["bits"], figures["curves"]
    lines = [
        f"# A lens on {name}",
        "",
        f"{figures['photographs']} photographs that the lens was not fitted to; {figures['fittedTo']} it was fitted to.",
        "",
        "| visible tokens | entropy, bits a hidden token | surprisal |",
        "| --- | --- | --- |",
        *(f"| {_shown(share)} | {row['entropy']:.2f} | {row['surprisal']:.2f} |" for share, row in bits.items()),
        "",
        "Calibration, given the others, in equally filled bins:",
        "",
        "| entropy, bits | surprisal, bits |",
        "| --- | --- |",
        *(f"| {row['entropy']:.2f} | {row['surprisal']:.2f} |" for row in figures["calibration"]),
        "",
        f"PSNR in dB by kept tokens, dropped ones filled in alike; {curves['everyToken']:.2f} with all:",
        "",
        f"| order | {' | '.join(next(iter(curves['psnr'].values())))} |",
        f"| --- {'| --- ' * len(KEPT_SHARES)}|",
        *(f"| {order} | {' | '.join(f'{v:.2f}' for v in row.values())} |" for order, row in curves["psnr"].items()),
        "| elimination over random, with 95 % interval | "
        + " | ".join(
            f"{g['mean']:+.2f} ({g['interval'][0]:+.2f} to {g['interval'][1]:+.2f})" for g in curves["gainOverRandom"].values()
        )
        + " |",
    ]
    return "\n".join(lines) + "\n"


def _shown(share: str) -> str:
    return "all others" if share == "others" else f"{float(share):.0%} at random"
