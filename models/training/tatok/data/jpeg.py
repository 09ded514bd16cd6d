"""JPEG files on a GPU: which of them its decoder reads as this package does, and decoding these."""

import torch
import torch.nn.functional as F
from torch import Tensor

_START_OF_SCAN = 0xDA
_FRAMES = (0xC0, 0xC1, 0xC2)
_APP1, _APP2, _APP14 = 0xE1, 0xE2, 0xEE


def is_plain_jpeg(file: bytes) -> bool:
    """True for a JPEG of grey or YCbCr in 8 bits whose bytes alone tell its colours: no profile, no EXIF and no Adobe marker.

    Others turn, convert or invert their samples, which a GPU's decoder does not do.
    """
    if file[:2] != b"\xff\xd8" or file[-2:] != b"\xff\xd9":
        return False
    at, components = 2, 0
    while at + 4 <= len(file) and file[at] == 0xFF:
        marker, length = file[at + 1], int.from_bytes(file[at + 2 : at + 4])
        if marker == _START_OF_SCAN:
            return components in (1, 3)
        if marker in (_APP2, _APP14) or (marker == _APP1 and file[at + 4 : at + 8] == b"Exif"):
            return False
        if marker in _FRAMES:
            components = file[at + 9] if file[at + 4 : at + 5] == b"\x08" else 0
        at += 2 + length
    return False


def decode_jpegs(files: list[Tensor], short_side: int, device: torch.device) -> list[Tensor]:
    """Bytes of plain JPEGs, [bytes] uint8 in host memory -> pictures on `device`, each [H, W, 3] uint8.

    Their short side is at most `short_side`; scaling is bilinear with a filter against aliasing. Raises ValueError without
    torchvision, and RuntimeError where a file of the batch is damaged.
    """
    try:
        from torchvision.io import ImageReadMode, decode_jpeg
    except ImportError as error:
        raise ValueError("decoding on a GPU needs torchvision: pip install 'tatok[gpu-decoding]'") from error
    decoded = decode_jpeg(files, mode=ImageReadMode.RGB, device=device) if files else []
    return [_scaled_down(image, short_side).permute(1, 2, 0).contiguous() for image in decoded]


def _scaled_down(image: Tensor, short_side: int) -> Tensor:
    scale = short_side / min(image.shape[1:])
    if scale >= 1:
        return image
    size = [max(short_side, round(side * scale)) for side in image.shape[1:]]
    scaled = F.interpolate(image[None].float(), size, mode="bilinear", antialias=True, align_corners=False)
    return scaled[0].round().clamp(0, 255).to(torch.uint8)
