"""The training objective: one forward pass from crops to a scalar loss and its parts."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import TrainConfig
from .losses import SqueezeNetDistance, rate_bits, scale_gradient
from .model import TaTok, entropy_bits, expectation, surprisal_bits


@dataclass
class Draws:
    """Random numbers of one step, made outside so that a resumed run repeats them exactly. All in [0, 1)."""

    kind: Tensor  # [B] which threshold regime a sample is in
    share: Tensor  # [B] square root of the share of patches kept
    scores: Tensor  # [B, N] order of random masks
    visible: Tensor  # [B, N] against `visible_share`, the visible set for sequential conditioning
    visible_share: Tensor  # [B]

    @classmethod
    def make(cls, batch: int, patches: int, generator: torch.Generator) -> "Draws":
        def rand(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator, device=generator.device)

        return cls(rand(batch), rand(batch), rand(batch, patches), rand(batch, patches), rand(batch))


class Objective(nn.Module):
    """Wraps the model so that data parallelism sees one module with one forward."""

    def __init__(self, model: TaTok, config: TrainConfig, perceptual: SqueezeNetDistance | None) -> None:
        super().__init__()
        self.model = model
        self.config = config
        # In a tuple, out of the module tree: the loss network is neither trained nor saved.
        self._perceptual = (perceptual,)

    def kept_mask(self, entropy: Tensor, draws: Draws, keep_all: bool) -> Tensor:
        """Threshold training, per sample: keep all, global only, or |S| = N·u² by descending ĥ or at random. [B, N] bool."""
        patches = entropy.shape[1]
        if keep_all:
            return torch.ones_like(entropy, dtype=torch.bool)
        config = self.config
        all_below = config.keep_all_share
        none_below = all_below + config.global_only_share
        random_below = none_below + (1 - none_below) * config.random_mask_share
        scores = torch.where((draws.kind < random_below)[:, None], draws.scores, entropy)
        rank = scores.argsort(dim=1, descending=True).argsort(dim=1)
        count = patches * draws.share.square()
        count = torch.where(draws.kind < none_below, 0, count)
        count = torch.where(draws.kind < all_below, patches, count)
        return rank < count.round()[:, None]

    def forward(self, image: Tensor, draws: Draws, keep_all: bool) -> tuple[Tensor, dict[str, Tensor]]:
        config, model = self.config, self.model
        quantizer = model.quantizer
        global_raw, patch_raw = model.encoder(image)
        patch_position = quantizer.bound(patch_raw)
        global_codes = quantizer.quantize(quantizer.bound(global_raw))
        patch_codes = quantizer.quantize(patch_position)
        levels = patch_position.detach().round().int()

        # Cross-entropy weighs λ_H for the entropy model itself, but may pull on the global tokens only as hard as the rate.
        pull = config.global_rate_scale * config.rate_weight / config.entropy_weight
        hidden = torch.zeros_like(levels[..., 0], dtype=torch.bool)
        logits = model.entropy_model(scale_gradient(global_codes, pull), patch_codes.detach(), hidden)
        cross_entropy = surprisal_bits(logits, levels).mean()
        rate = rate_bits(logits.detach(), patch_position).mean()

        quarter = image.shape[0] // 4 or 1
        visible = draws.visible[:quarter] < draws.visible_share[:quarter, None]
        partial = model.entropy_model(global_codes[:quarter].detach(), patch_codes[:quarter].detach(), visible)
        unseen = (~visible).float()
        partial_entropy = (surprisal_bits(partial, levels[:quarter]) * unseen).sum() / unseen.sum().clamp(min=1)

        entropy = entropy_bits(logits.detach())
        keep = self.kept_mask(entropy, draws, keep_all)
        expected = expectation(logits.detach(), logits.shape[-1])
        output = model.decoder(global_codes, patch_codes, expected, keep).float()

        l1, l2 = F.l1_loss(output, image), F.mse_loss(output, image)
        loss = l1 + l2 + config.rate_weight * rate + config.entropy_weight * (cross_entropy + 0.25 * partial_entropy)
        parts = {"l1": l1, "l2": l2, "rate": rate, "cross_entropy": cross_entropy, "partial": partial_entropy}
        parts["entropy"], parts["entropy_std"] = entropy.mean(), entropy.std(1).mean()
        perceptual = self._perceptual[0]
        if perceptual is not None and config.perceptual_weight:
            count = max(1, round(config.perceptual_share * image.shape[0]))
            parts["perceptual"] = perceptual(output[-count:], image[-count:]).mean()
            loss = loss + config.perceptual_weight * parts["perceptual"]
        return loss, {name: value.detach() for name, value in parts.items()} | {"loss": loss.detach()}
