"""The training objective: one forward pass from crops to a scalar loss and its parts."""

import random
from contextlib import nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch._functorch import config as functorch

from ..config import TrainConfig
from ..features import LiteDistance, SqueezeNetDistance
from ..model import entropy_bits, surprisal_bits
from ..quantizer import FiniteScalarQuantizer
from ..tokenizer import TaTok
from .adversary import Adversary
from .losses import flat_area_roughness, rate_bits, scale_gradient, weave, weave_excess

SMOOTH = 1e-3
"""Variance of a patch's pixels, summed over channels, below which it counts as smooth."""


@dataclass
class Randomness:
    """Random numbers of one step, made outside the objective so that a resumed run repeats them exactly.

    The tensors are uniform in [0, 1).
    """

    kind: Tensor  # [B] against the shares of the kinds of kept mask
    share: Tensor  # [B] square root of the share of patches kept
    scores: Tensor  # [B, N] order of random masks
    visible: Tensor  # [B, N] against `visible_share`, the visible set for sequential conditioning
    visible_share: Tensor  # [B] square root of the share of patches in it
    offset: tuple[float, float]  # where the loss network's crop lies, vertically and horizontally, in [0, 1)

    @classmethod
    def make(cls, batch: int, patches: int, generator: torch.Generator, part: slice = slice(None)) -> "Randomness":
        """Of `batch` crops; `part` of these, which does not depend on how many parts there are."""

        def rand(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator, device=generator.device)[part]

        # On the host: a shape must not wait for the device.
        offset = random.Random(generator.initial_seed() + (part.start or 0))
        tensors = rand(batch), rand(batch), rand(batch, patches), rand(batch, patches), rand(batch)
        return cls(*tensors, (offset.random(), offset.random()))


class Objective(nn.Module):
    """Wraps the model so that data parallelism sees one module with one forward."""

    def __init__(
        self,
        model: TaTok,
        config: TrainConfig,
        perceptual: SqueezeNetDistance | LiteDistance | None,
        adversary: Adversary | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.config = config
        # In a tuple, out of the module tree: the loss network is neither trained nor saved.
        self._perceptual = (perceptual,)
        self._adversary = adversary
        self._pixel_errors, self._bits = _pixel_errors, _bits
        self._detail, self._roughness, self._weave = _detail, flat_area_roughness, weave

    def compile_parts(self) -> None:
        """Compiles the model's parts, the loss network, the comparisons of pixels and the entropy model's terms."""
        if self._adversary is not None:
            # The last layers are differentiated for the ratio of two gradients, and then once more.
            functorch.donated_buffer = False
        self.model.compile_parts()
        for name in ("_pixel_errors", "_bits", "_detail", "_roughness", "_weave"):
            setattr(self, name, torch.compile(getattr(self, name), dynamic=False))
        if isinstance(self._perceptual[0], SqueezeNetDistance):
            self._perceptual[0].compile(dynamic=False)

    def kept_mask(self, entropy: Tensor, detail: Tensor, randomness: Randomness, keep_all: bool) -> Tensor:
        """Threshold training, per sample: keep all, global only, or |S| = N·u² of the patches. [B, N] bool.

        Which patches: at random, by descending ĥ, or by descending ĥ times `detail`, which stands for the squared error that
        keeping a patch saves: that error, or the variance of the patch's pixels, which is about as large.
        """
        patches = entropy.shape[1]
        if keep_all:
            return torch.ones_like(entropy, dtype=torch.bool)
        config = self.config
        all_below = config.keep_all_share
        none_below = all_below + config.global_only_share
        random_below = none_below + (1 - none_below) * config.random_mask_share
        distortion_below = random_below + (1 - none_below) * config.distortion_mask_share
        kind = randomness.kind[:, None]
        scores = torch.where(kind < distortion_below, entropy * detail, entropy)
        scores = torch.where(kind < random_below, randomness.scores, scores)
        rank = scores.argsort(dim=1, descending=True).argsort(dim=1)
        count = patches * randomness.share.pow(config.kept_exponent)
        count = torch.where(randomness.kind < none_below, 0, count)
        count = torch.where(randomness.kind < all_below, patches, count)
        return rank < count.round()[:, None]

    def forward(
        self, image: Tensor, randomness: Randomness, keep_all: bool, rate_share: Tensor | float = 1.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """[B, 3, S, S] in [−1, 1] -> the loss and its parts, detached. `rate_share` of λ_R is in force.

        Where the decoder trains alone no gradient is recorded for what comes before it, and the loss is that of its output.
        """
        if self.config.trained_part == "entropy":
            return self._entropy_alone(image, randomness)
        alone = self.config.trained_part == "decoder"
        quantizer, decoder, known = self.model.quantizer, self.model.decoder, None
        with torch.no_grad() if alone else nullcontext():
            global_position, patch_position = self.model.positions(image)
            global_codes = None if global_position is None else quantizer.quantize(global_position)
            patch_codes = None if patch_position is None else quantizer.quantize(patch_position)
            if self.model.entropy_model is not None:
                detail = self._detail(image, self.model.config.patch_size)
                known = self._estimate(global_codes, patch_codes, patch_position, detail, randomness, keep_all, rate_share)
        if known is None:
            output = decoder(global_codes, patch_codes)
        else:
            output = decoder(global_codes, patch_codes, known.expected, known.keep)
        loss, parts = self._distortion(output, image, randomness.offset)
        if known is not None:
            parts = parts | known.parts
            loss = loss if alone else loss + known.loss
        if self._adversary is not None:
            loss, of_adversary = self._adversary.pull(output, image, loss, decoder.last_layers, randomness.offset)
            parts = parts | of_adversary
        return loss, {name: value.detach() for name, value in parts.items()} | {"loss": loss.detach()}

    def _estimate(
        self,
        global_codes: Tensor | None,
        patch_codes: Tensor,
        patch_position: Tensor,
        detail: Tensor,
        randomness: Randomness,
        keep_all: bool,
        rate_share: Tensor | float,
    ) -> "_Estimate":
        """The entropy model's estimate of a batch, and the patches that are kept.

        Most samples are filled by the expectation given G alone; the first ones, `partial_share` of the batch, given G and the
        kept patches Z_S, as sequential conditioning does. Half of those keep patches drawn one by one, because a subset that a
        filter chose is not all that the entropy model must know about.
        """
        config, entropy_model = self.config, self.model.entropy_model
        levels = patch_position.detach().round().int()
        # Cross-entropy weighs λ_H for the entropy model itself, but may pull on the global tokens only as hard as the rate.
        pull = config.global_rate_scale * config.rate_weight / config.entropy_weight
        hidden = torch.zeros_like(levels[..., 0], dtype=torch.bool)
        pulled = None if global_codes is None else scale_gradient(global_codes, pull)
        logits = entropy_model(pulled, patch_codes.detach(), hidden)
        bits = self._bits(self.model.quantizer, logits, patch_position, levels)
        keep = self.kept_mask(bits.entropy, detail, randomness, keep_all)

        some = int(config.partial_share * patch_codes.shape[0]) or 1
        given = None if global_codes is None else global_codes[:some].detach()
        visible = keep[:some]
        if not keep_all:
            drawn = randomness.visible[:some] < randomness.visible_share[:some, None].square()
            # In runs and not in turn: every n-th sample of a batch is then of both kinds.
            is_drawn = torch.arange(some, device=drawn.device)[:, None] < (some + 1) // 2
            visible = torch.where(is_drawn, drawn, visible)
        partial = entropy_model(given, patch_codes[:some].detach(), visible)
        unseen = (~visible).float()
        partial_entropy = (surprisal_bits(partial, levels[:some]) * unseen).sum() / unseen.sum().clamp(min=1)

        cross_entropy = bits.surprisal.mean()
        # Bits of smooth patches may cost more than those of busy ones: bits then go where the error would be.
        price = (detail + SMOOTH).pow(-config.rate_detail_exponent)
        rate = (bits.rate * (price / price.mean())).mean()
        parts = {"rate": rate, "cross_entropy": cross_entropy, "partial": partial_entropy}
        parts["entropy"], parts["entropy_std"] = bits.entropy.mean(), bits.entropy.std(1).mean()
        entropy_loss = config.entropy_weight * (cross_entropy + config.partial_weight * partial_entropy)
        return _Estimate(
            rate_share * config.rate_weight * rate + entropy_loss,
            parts,
            torch.cat([visible, keep[some:]]),
            torch.cat([self.model.quantizer.expectation(partial.detach()), bits.expected[some:]]),
        )

    def _entropy_alone(self, image: Tensor, randomness: Randomness) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy given no patch, and given sets that the filter itself would keep, by the decoder's own errors.

        Where a filter has seen the picture, the patches that it hides are not like those that chance hides: by distortion they
        are the ones that are easily filled. ĥ given Z_S is as large as the surprisal only if such sets are trained on.
        """
        model, config = self.model, self.config
        with torch.no_grad():
            global_position, patch_position = model.positions(image)
            global_codes = None if global_position is None else model.quantizer.quantize(global_position)
            patch_codes = model.quantizer.quantize(patch_position)
        levels = patch_position.round().int()
        nothing = torch.zeros_like(levels[..., 0], dtype=torch.bool)
        bits = self._bits(model.quantizer, model.entropy_model(global_codes, patch_codes, nothing), patch_position, levels)
        with torch.no_grad():
            hidden, floor = (
                _patch_errors(model.decoder(global_codes, patch_codes, bits.expected, keep), image, model.config.patch_size)
                for keep in (nothing, ~nothing)
            )
            visible = self.kept_mask(bits.entropy, (hidden - floor).clamp(min=0), randomness, keep_all=False)
        logits = model.entropy_model(global_codes, patch_codes, visible)
        unseen = (~visible).float()
        count = unseen.sum().clamp(min=1)
        surprisal = surprisal_bits(logits, levels)
        cross_entropy, partial = bits.surprisal.mean(), (surprisal * unseen).sum() / count
        parts = {"cross_entropy": cross_entropy, "partial": partial, "entropy": bits.entropy.mean()}
        parts["bias"] = ((entropy_bits(logits) - surprisal) * unseen).sum() / count
        loss = cross_entropy + config.partial_weight * partial
        return loss, {name: value.detach() for name, value in (parts | {"loss": loss}).items()}

    def _distortion(self, output: Tensor, image: Tensor, offset: tuple[float, float]) -> tuple[Tensor, dict[str, Tensor]]:
        """L1 + L2 + λ_p·perceptual + λ_f·roughness of flat areas, and its parts; what weighs nothing is not computed."""
        config, perceptual = self.config, self._perceptual[0]
        l1, l2 = self._pixel_errors(output, image)
        parts, loss = {"l1": l1, "l2": l2}, l1 + l2
        # Every n-th and not the first ones: how a sample is filled depends on its place in the batch, see `_estimate`.
        crops = [_crop(x[:: config.perceptual_every], config.perceptual_crop, offset) for x in (output, image)]
        some = [x[:: config.perceptual_every] for x in (output, image)]
        if isinstance(perceptual, LiteDistance):
            parts["perceptual"], parts["divergence"] = perceptual(*some, offset)
            loss = loss + config.perceptual_weight * parts["perceptual"] + config.recognition_weight * parts["divergence"]
        elif perceptual is not None and config.perceptual_weight:
            parts["perceptual"] = perceptual(*crops).mean()
            loss = loss + config.perceptual_weight * parts["perceptual"]
        if config.weave_weight:
            parts["weave"] = self._weave(*some, self.model.config.patch_size)
            loss = loss + config.weave_weight * parts["weave"]
        if config.weave_excess_weight:
            parts["weave_excess"] = weave_excess(some[0], self.model.config.patch_size)
            loss = loss + config.weave_excess_weight * parts["weave_excess"]
        if config.flat_area_weight:
            parts["roughness"] = self._roughness(*crops)
            loss = loss + config.flat_area_weight * parts["roughness"]
        return loss, parts


class _Estimate(NamedTuple):
    """The entropy model's estimate of a batch."""

    loss: Tensor
    """λ_R·R + λ_H·CE."""
    parts: dict[str, Tensor]
    keep: Tensor  # [B, N] bool
    expected: Tensor  # [B, N, D], detached


class _Bits(NamedTuple):
    """Information of every patch by the entropy model's logits: [B, N] in bits, and [B, N, D]."""

    surprisal: Tensor
    """Its gradient trains the entropy model."""
    rate: Tensor
    """Its gradient trains the encoder."""
    entropy: Tensor
    expected: Tensor


def _bits(quantizer: FiniteScalarQuantizer, logits: Tensor, position: Tensor, levels: Tensor) -> _Bits:
    """[B, N, D, L] logits, and the [B, N, D] positions and levels of the encoder."""
    fixed = logits.detach()
    return _Bits(
        surprisal_bits(logits, levels),
        rate_bits(fixed, position, quantizer.levels),
        entropy_bits(fixed),
        quantizer.expectation(fixed),
    )


def _detail(image: Tensor, patch: int) -> Tensor:
    """Variance of every patch's pixels, summed over channels: [B, 3, S, S] -> [B, N]."""
    return image.unflatten(3, (-1, patch)).unflatten(2, (-1, patch)).var((3, 5), correction=0).sum(1).flatten(1)


def _patch_errors(output: Tensor, image: Tensor, patch: int) -> Tensor:
    """Mean squared error of every patch: [B, 3, S, S] twice -> [B, N]."""
    squares = (output.float() - image).square()
    return squares.unflatten(3, (-1, patch)).unflatten(2, (-1, patch)).mean((1, 3, 5)).flatten(1)


def _pixel_errors(output: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
    """Mean absolute and mean squared error."""
    difference = output.float() - image
    return difference.abs().mean(), difference.square().mean()


def _crop(image: Tensor, share: float, offset: tuple[float, float]) -> Tensor:
    """A crop whose side is a share of the image's.

    A loss network's strides see some pixel phases more than others; at one fixed offset the decoder fills the phases that
    are seen least with a periodic texture.
    """
    size = round(share * image.shape[-1])
    top, left = (int(o * (image.shape[-1] - size + 1)) for o in offset)
    return image[..., top : top + size, left : left + size].contiguous()
