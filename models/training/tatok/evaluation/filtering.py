"""Figures of Dynamic Token Filtering on one folder: sweeps over ε, orders, budgets, calibration and spread of ĥ."""

import io
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from ..filter import Ranking, drop_order, filter_tokens, rank_images
from .backend import Array
from .encoded_folder import EncodedFolder
from .metrics import luma
from .rate import largest_prefixes
from .report import DEFAULT, TARGET_TOTAL
from .statistics import bootstrap_interval, spearman

LOSS_RATES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
EQUAL_KEPT = (24, 48, 96)
RANDOM_SEEDS = 5
QUICK_LOSS_RATES, QUICK_EQUAL_KEPT, QUICK_RANDOM_SEEDS = (0.0, 0.5, 0.8, 1.0), (48,), 1
"""Points of curves and seeds of a quick evaluation."""
EDGE_PRIORITIES = (0.0, 0.5, 1.0, 2.0)
VISIBLE_SHARES = (0.0, 0.25, 0.5, 0.75)
"""Shares of patches that are visible, at random, where ĥ is compared with the surprisal."""
CALIBRATION_LOSS_RATE = 0.5
"""ε at which, beside the target total, ĥ is compared with the surprisal under the filter's own kept sets."""

Figures = dict[str, Any]


class Order(NamedTuple):
    """An order in which patches are dropped, and how a decoder deals with it."""

    dropped_first: Array
    """[images, N] patch indices."""
    known: bool
    """A decoder finds the order out for itself: from tokens that it has, or from a seed. No mask is sent then."""
    given_kept: bool = False
    """Dropped codes are filled with their expectation given the kept ones, not given the global tokens alone."""


class FilterEvaluation:
    """Dynamic Token Filtering on the codes of one folder."""

    def __init__(
        self, folder: EncodedFolder, *, quick: bool = False, rankings: tuple[str, ...] = ("sequential", "distortion")
    ) -> None:
        """Ranks the folder's images by each of `rankings`, which go in rounds.

        Raises ValueError for a model that drops nothing.
        """
        if folder.encoded.estimate is None:
            raise ValueError(f"{folder.backend.name} has no entropy model")
        self.folder, self.backend, self.quick = folder, folder.backend, quick
        self.encoded, self.estimate = folder.encoded, folder.encoded.estimate
        self.rankings = {name: self.rank_all(name) for name in rankings}
        self.jpeg_bytes = np.array([_jpeg_bytes(image) for image in self.encoded.images])

    def filtered(self, loss_rate: float, budget_bits: float | None = None, edge_priority: float = 0.0) -> Array:
        """Kept masks of Dynamic Token Filtering, one row an image."""
        options = {"loss_rate": loss_rate, "budget_bits": budget_bits, "edge_priority": edge_priority}
        return np.stack([filter_tokens(h, *self.backend.grid, **options) for h in self.estimate.entropy])

    def rank_all(self, ranking: str, edge_priority: float = 0.0, rounds: int | None = None) -> list[Ranking]:
        """The folder's images ranked by one of `RANKINGS`, in as many rounds as it has by default unless they are given."""
        grid, rankings = self.backend.grid, []
        for part in self.folder.slices(len(self.encoded.images)):
            images = self.encoded.images[part]
            rankings += rank_images(self.folder.coded(part), ranking, len(images), *grid, edge_priority, images, rounds)
        return rankings

    def filtered_in_rounds(self, loss_rate: float, budget_bits: float | None = None, *, conditioning: str) -> Array:
        """Kept masks of the filter with sequential conditioning, or of that by distortion."""
        return np.stack([ranking.keep(loss_rate, budget_bits) for ranking in self.rankings[conditioning]])

    def masks(self, conditioning: str) -> Callable[..., Array]:
        """The filter under one conditioning: (ε, budget in bits or None) -> kept masks."""
        return self.filtered if conditioning == "global" else partial(self.filtered_in_rounds, conditioning=conditioning)

    def quality(self, keep: Array, name: str, conditioning: str, *, sets: bool = False) -> Figures:
        """Quality under masks of the filter. A decoder can repeat every order but that by distortion, which takes the image."""
        return self._quality(keep, name, known=conditioning != "distortion", given_kept=conditioning != "global", sets=sets)

    def _quality(self, keep: Array, name: str, *, known: bool, given_kept: bool, sets: bool = False) -> Figures:
        data = self.encoded
        expected = self.folder.estimate(data.global_codes, data.patch_codes, keep).expected_code if given_kept else None
        return self.folder.quality(keep, name, expected, known=known, sets=sets)

    def sweep(self, conditioning: str) -> list[Figures]:
        """Quality over ε under the image budget."""
        masks, rates = self.masks(conditioning), QUICK_LOSS_RATES if self.quick else LOSS_RATES
        return [
            {"loss_rate": e, **self.quality(masks(e), f"{conditioning}, ε = {e:g}", conditioning, sets=e == 0)} for e in rates
        ]

    def orders(self) -> dict[str, list[Order]]:
        """All orders by name; one that depends on a seed has several."""
        data, grid = self.encoded, self.backend.grid
        shape = data.patch_codes.shape

        def by(scores: Array) -> Array:
            return np.stack([drop_order(row, *grid, 0.0) for row in scores])

        seeds = range(QUICK_RANDOM_SEEDS if self.quick else RANDOM_SEEDS)
        random = [by(np.random.default_rng(seed).random(shape)) for seed in seeds]
        variance, surprisal = by(self._patch_variance()), by(self.estimate.surprisal)
        in_rounds = {name: np.stack([r.order for r in rankings]) for name, rankings in self.rankings.items()}
        return {
            "conditional entropy": [Order(by(self.estimate.entropy), known=True)],
            "random": [Order(order, known=True) for order in random],
            "raster": [Order(np.broadcast_to(np.arange(shape[1])[::-1], shape), known=True)],
            "pixel variance": [Order(variance, known=False)],
            "surprisal": [Order(surprisal, known=False)],
            "sequential": [Order(in_rounds["sequential"], known=True, given_kept=True)],
            "distortion": [Order(in_rounds["distortion"], known=False, given_kept=True)],
            # A decoder may fill gaps given what is kept under any order: compared with these, an order's gain is its own.
            "random, filled given the kept": [Order(order, known=True, given_kept=True) for order in random],
            "pixel variance, filled given the kept": [Order(variance, known=False, given_kept=True)],
            "surprisal, filled given the kept": [Order(surprisal, known=False, given_kept=True)],
        }

    def compare_orders(self) -> dict[str, dict[str, dict[str, Figures]]]:
        """Quality of every order, by the number of patches that the order by distortion keeps.

        `orders` at as many tokens; `orders_equal_bits` at as many bits, entropy-coded and with the mask, on every image as the
        order by distortion takes there. Seeds are averaged; `seed_std` is the standard deviation of their mean PSNR.
        """
        counts = QUICK_EQUAL_KEPT if self.quick else EQUAL_KEPT
        orders, tokens, bits = self.orders(), {}, {}
        for count in counts:
            at = f"{count} kept"
            tokens[str(count)] = {
                name: self._over_seeds([(self._keep(o, count), o) for o in each], f"{name}, {at}")
                for name, each in orders.items()
            }
            if self.quick:
                continue
            reference = self.folder.per_image[f"distortion, {at}"]
            budget = reference["coded_bits"] + reference["mask_bits"]
            bits[str(count)] = {
                name: self._over_seeds([(self._within(o, budget), o) for o in each], f"{name}, the bits of distortion at {at}")
                for name, each in orders.items()
            }
        return {"orders": tokens} | ({} if self.quick else {"orders_equal_bits": bits})

    def quality_kept(self, order: Order, count: int) -> float:
        """Mean PSNR in dB with `count` patches kept of every image."""
        name = f"{count} kept"
        return self._quality(self._keep(order, count), name, known=order.known, given_kept=order.given_kept)["psnr"]

    @staticmethod
    def _keep(order: Order, count: int) -> Array:
        keep = np.ones(order.dropped_first.shape, dtype=bool)
        np.put_along_axis(keep, order.dropped_first[:, : max(0, keep.shape[1] - count)], False, 1)
        return keep

    def _within(self, order: Order, budget_bits: Array) -> Array:
        global_bits = self.backend.global_tokens * np.log2(self.backend.codebook_size)
        return largest_prefixes(order.dropped_first, self.estimate.surprisal, budget_bits, global_bits, known=order.known)

    def _over_seeds(self, runs: list[tuple[Array, Order]], name: str) -> Figures:
        names = [name] if len(runs) == 1 else [f"{name}, seed {seed}" for seed in range(len(runs))]
        each = [
            self._quality(keep, run, known=order.known, given_kept=order.given_kept)
            for (keep, order), run in zip(runs, names, strict=True)
        ]
        return each[0] if len(each) == 1 else self.folder.averaged(names, each)

    def _patch_variance(self) -> Array:
        (rows, columns), images = self.backend.grid, self.encoded.images
        variances = []
        for part in self.folder.slices(len(images)):
            grey = luma(torch.from_numpy(images[part])).squeeze(1).numpy()
            tiles = grey.reshape(len(grey), rows, grey.shape[1] // rows, columns, grey.shape[2] // columns)
            variances.append(tiles.var(axis=(2, 4)).reshape(len(grey), -1))
        return np.concatenate(variances)

    def at_mean_total(self, filtered: Callable[[float], Array]) -> tuple[float, Array]:
        """The smallest ε (to 1/1000) at which the masks of `filtered` have a mean K + |S| of at most 57, and those masks.

        ε = 1 where none has: all that it may drop is a budget of the training set's, which is less than these images hold.
        """
        low, high = 0, 1000
        while low < high:
            middle = (low + high) // 2
            mean = filtered(middle / 1000).sum(1).mean() + self.backend.global_tokens
            low, high = (low, middle) if mean <= TARGET_TOTAL else (middle + 1, high)
        return low / 1000, filtered(low / 1000)

    def operating_point(self, keep: Array, name: str, conditioning: str) -> Figures:
        """Quality under masks whose sizes differ, how these spread, and their rank correlation with the images' JPEG sizes."""
        kept = keep.sum(1)
        spread = {"min": int(kept.min()), "max": int(kept.max()), "std": float(kept.std())}
        tails = {f"kept_p{p}": float(np.percentile(kept, p)) for p in (10, 90)}
        correlation = {"spearman_jpeg": spearman(kept, self.jpeg_bytes)}
        return spread | tails | correlation | self.quality(keep, name, conditioning, sets=True)

    def adaptivity(self, reference_bits: float | None) -> dict[str, Figures]:
        """Every budget and conditioning at the target mean total.

        Under the image budget alone where there is no reference budget. Totals may stay above the target, see `at_mean_total`.
        """
        budgets = {"image": None} if reference_bits is None else {"image": None, "reference": reference_bits}
        result = {}
        for budget, bits in budgets.items():
            for conditioning in ("global", *self.rankings):
                loss_rate, keep = self.at_mean_total(partial(self.masks(conditioning), budget_bits=bits))
                name = f"{budget}, {conditioning}"
                point = self.operating_point(keep, f"{name}, target total", conditioning)
                result[name] = {"loss_rate": loss_rate, **point}
        return result

    def at_defaults(self, defaults: dict[str, Any], reference_bits: float | None) -> Figures:
        """Quality under a bundle's own settings, as its manifest has them."""
        bits = reference_bits if defaults["budget"] == "reference" else None
        keep = self.masks_of(defaults)(defaults["lossRate"], bits)
        return dict(defaults) | self.operating_point(keep, DEFAULT, defaults["conditioning"])

    def masks_of(self, defaults: dict[str, Any]) -> Callable[[float, float | None], Array]:
        """The filter under a bundle's own ranking, edge priority and rounds: (ε, budget in bits or None) -> kept masks."""
        conditioning, edge, rounds = defaults["conditioning"], defaults["edgePriority"], defaults.get("rankingRounds")
        if conditioning == "global":
            return partial(self.filtered, edge_priority=edge)
        rankings = self.rank_all(conditioning, edge, rounds) if edge or rounds else self.rankings[conditioning]
        return lambda loss_rate, bits: np.stack([ranking.keep(loss_rate, bits) for ranking in rankings])

    def spread(self) -> Figures:
        """How far ĥ spreads, in bits: over the patches of an image relative to its mean, and over all patches of the folder."""
        entropy = self.estimate.entropy.astype(np.float64)
        relative = entropy.std(1) / np.maximum(entropy.mean(1), 1e-9)
        low, high = np.percentile(entropy, (2, 98))
        return {
            "std_over_mean": float(relative.mean()),
            "interval": {"std_over_mean": bootstrap_interval(relative)},
            "p2": float(low),
            "p98": float(high),
        }

    def calibration(self, bins: int = 12) -> list[dict[str, float]]:
        """Mean surprisal against ĥ in equally filled bins: equal where q is calibrated."""
        entropy, surprisal = (x.ravel().astype(np.float64) for x in self.estimate[:2])
        order = np.argsort(entropy)
        return [
            {"entropy": float(entropy[part].mean()), "surprisal": float(surprisal[part].mean()), "patches": len(part)}
            for part in np.array_split(order, bins)
        ]

    def calibration_bias(self) -> dict[str, Figures]:
        """ĥ less the surprisal in bits a hidden patch, for random visible sets and for those that the filter keeps.

        Means over images of each image's mean over its hidden patches, with 95 % intervals; images that hide nothing are left
        out, and so are sets that hide nothing of any image.
        """
        images, patches = self.encoded.patch_codes.shape
        shuffled = np.random.default_rng(0).random((images, patches)).argsort(1)
        visible = {f"{100 * share:g} % at random": shuffled < round(share * patches) for share in VISIBLE_SHARES}
        for conditioning in ("global", *self.rankings):
            masks = self.masks(conditioning)
            loss_rate, keep = self.at_mean_total(masks)
            visible[f"kept, {conditioning}, ε = {CALIBRATION_LOSS_RATE:g}"] = masks(CALIBRATION_LOSS_RATE)
            visible[f"kept, {conditioning}, ε = {loss_rate:g}"] = keep
        biases = {name: self._bias(shown) for name, shown in visible.items()}
        return {name: bias for name, bias in biases.items() if bias is not None}

    def _bias(self, visible: Array) -> Figures | None:
        some = ~visible.all(1)
        if not some.any():
            return None
        given = self.folder.estimate(self.encoded.global_codes, self.encoded.patch_codes, visible)
        # A visible patch has neither entropy nor surprisal.
        hidden = (~visible).sum(1)[some]
        entropy, surprisal = (x[some].sum(1, dtype=np.float64) / hidden for x in given[:2])
        return {
            "visible_share": float(visible[some].mean()),
            "entropy": float(entropy.mean()),
            "surprisal": float(surprisal.mean()),
            "bias": float((entropy - surprisal).mean()),
            "interval": {"bias": bootstrap_interval(entropy - surprisal)},
        }

    def measure(self, reference_bits: float | None, defaults: dict[str, Any] | None) -> Figures:
        """All figures of this class as one JSON-able object; a quick evaluation leaves points and ablations out.

        Without `reference_bits` and `defaults`, which weights outside of a bundle do not have, there are no figures of them.
        """
        entropy = self.estimate.entropy.astype(np.float64)
        result: Figures = {
            "entropy_mean": float(entropy.mean()),
            "entropy_std_over_patches": float(entropy.std(1).mean()),
            "entropy_sum_mean": float(entropy.sum(1).mean()),
            "surprisal_mean": float(self.estimate.surprisal.mean()),
            "spread": self.spread(),
            "sweep": self.sweep("global"),
        }
        result |= {f"{conditioning}_sweep": self.sweep(conditioning) for conditioning in self.rankings}
        result |= self.compare_orders()
        result["adaptivity"] = self.adaptivity(reference_bits)
        if defaults is not None:
            result["default"] = self.at_defaults(defaults, reference_bits)
        result["calibration"], result["calibration_bias"] = self.calibration(), self.calibration_bias()
        return result if self.quick else result | self._ablations()

    def _ablations(self) -> Figures:
        """Edge priorities, and zeros in place of expected codes, at 48 kept."""
        entropy, zero = self.estimate.entropy, np.zeros_like(self.estimate.expected_code)

        def keep(beta: float) -> Array:
            return self._keep(Order(np.stack([drop_order(h, *self.backend.grid, beta) for h in entropy]), known=True), 48)

        edges = {str(beta): self.folder.quality(keep(beta), f"β = {beta}, 48 kept", known=True) for beta in EDGE_PRIORITIES}
        return {
            "edge_priority": edges,
            "zero_fill_48": self.folder.quality(keep(0.0), "zero fill, 48 kept", zero, known=True),
        }


def _jpeg_bytes(image: Array) -> int:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=75)
    return buffer.tell()
