"""Colour spaces of decoded samples, and the way from samples to opaque sRGB."""

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Curve = Callable[[np.ndarray], np.ndarray]
"""From encoded values in [0, 1] to linear light in [0, 1]."""

Chromaticities = tuple[float, float, float, float, float, float, float, float]
"""x and y of white, red, green and blue."""

_D65 = (0.3127, 0.329)
_C = (0.31, 0.316)
SRGB_PRIMARIES: Chromaticities = (*_D65, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)

# Rec. ITU-T H.273, table 2.
_CODED_PRIMARIES: dict[int, Chromaticities] = {
    1: SRGB_PRIMARIES,
    4: (*_C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.6, 0.15, 0.06),
    6: (*_D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    7: (*_D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    8: (*_C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (*_D65, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),
    10: (1 / 3, 1 / 3, 1, 0, 0, 1, 0, 0),
    11: (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    12: (*_D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    22: (*_D65, 0.63, 0.34, 0.295, 0.605, 0.155, 0.077),
}


def power(exponent: float) -> Curve:
    return lambda value: value**exponent


def srgb_curve(value: np.ndarray) -> np.ndarray:
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def _smpte_240(value: np.ndarray) -> np.ndarray:
    return np.where(value < 0.0912863, value / 4, ((value + 0.1115722) / 1.1115722) ** (1 / 0.45))


# Rec. ITU-T H.273, table 3, without the curves of cameras (BT.601, BT.709, BT.2020 and their like).
_CODED_CURVES: dict[int, Curve] = {
    4: power(2.2),
    5: power(2.8),
    7: _smpte_240,
    8: lambda value: value,
    13: srgb_curve,
    17: lambda value: 52.37 / 48 * value**2.6,
}
_CAMERA_CURVES = {1, 6, 11, 14, 15}


@dataclass(frozen=True)
class ColourSpace:
    """An RGB space by its curve and its primaries: a matrix from linear light to XYZ relative to D50."""

    curve: Curve
    to_xyz: np.ndarray  # [3, 3]


def coded_space(primaries: int, transfer: int, camera: Curve) -> ColourSpace | None:
    """The space of two code points of Rec. ITU-T H.273; None where one is of no RGB display. `camera`: for cameras' curves."""
    chromaticities = _CODED_PRIMARIES.get(primaries)
    curve = camera if transfer in _CAMERA_CURVES else _CODED_CURVES.get(transfer)
    return None if chromaticities is None or curve is None else ColourSpace(curve, _to_xyz(chromaticities))


def gamma_space(gamma: float, chromaticities: Chromaticities) -> ColourSpace | None:
    """The space of PNG's gAMA (exponent from linear light to sample) and cHRM; None for numbers that are of no space."""
    try:
        space = ColourSpace(power(1 / gamma), _to_xyz(chromaticities))
    except (ZeroDivisionError, np.linalg.LinAlgError):
        return None
    return space if np.isfinite(space.to_xyz).all() else None


def is_profile_of(icc: bytes, colours: int) -> bool:
    """Whether an ICC profile is of grey (1) or of RGB (3), as the samples are."""
    return icc[36:40] == b"acsp" and icc[16:20] == (b"GRAY" if colours == 1 else b"RGB ")


def is_simple_profile(icc: bytes, colours: int) -> bool:
    """Whether an ICC profile consists of curves and primaries, or of one curve for grey; False for a damaged one."""
    if not is_profile_of(icc, colours):
        return False
    try:
        tags = _profile_tags(icc)
        if b"A2B0" in tags:
            return False
        curves = (b"kTRC",) if colours == 1 else (b"rTRC", b"gTRC", b"bTRC")
        columns = () if colours == 1 else (b"rXYZ", b"gXYZ", b"bXYZ")
        for name in columns:
            struct.unpack_from(">3i", tags[name], 8)
        return all(_is_curve(tags[name]) for name in curves)
    except (KeyError, struct.error):
        return False


def _profile_tags(icc: bytes) -> dict[bytes, bytes]:
    """Raises struct.error where a tag points beyond the end."""
    tags = {}
    # No profile has more; a damaged count must not keep anyone busy.
    for i in range(min(struct.unpack_from(">I", icc, 128)[0], 200)):
        name, offset, length = struct.unpack_from(">4sII", icc, 132 + 12 * i)
        (tags[name],) = struct.unpack_from(f"{length}s", icc, offset)
    return tags


def _is_curve(tag: bytes) -> bool:
    """ICC.1:2022, 10.6 (curveType) and 10.18 (parametricCurveType). Raises struct.error for one that is cut short."""
    kind = struct.unpack_from(">4s", tag)[0]
    if kind == b"curv":
        count = struct.unpack_from(">I", tag, 8)[0]
        struct.unpack_from(f"{2 * count}s", tag, 12)
        return True
    if kind != b"para":
        return False
    function = struct.unpack_from(">H", tag, 8)[0]
    numbers = (1, 3, 4, 5, 7)
    if function >= len(numbers):
        return False
    struct.unpack_from(f">{numbers[function]}i", tag, 12)
    return True


def opaque_srgb(
    samples: np.ndarray, colours: int, alpha: int | None, premultiplied: bool, space: ColourSpace | None
) -> np.ndarray:
    """Samples [H, W, C] of 8 or 16 unsigned bits as sRGB on white: [H, W, 3] uint8.

    `colours` of a pixel's samples, 1 or 3, come first; the one at `alpha` is alpha; others are ignored.
    """
    if samples.dtype == np.uint8 and alpha is None and space is None:
        # The bytes as they are: the arithmetic below gives the same and takes three times as long as decoding a JPEG.
        return np.ascontiguousarray(np.broadcast_to(samples[..., :colours], (*samples.shape[:2], 3)))
    most = np.iinfo(samples.dtype).max
    encoded = samples[..., :colours].astype(np.float64) / most
    opacity = np.ones(()) if alpha is None else samples[..., alpha, None] / most
    if space is not None:
        if premultiplied:
            encoded = np.divide(encoded, opacity, out=np.zeros_like(encoded), where=opacity > 0).clip(0, 1)
            premultiplied = False
        linear = np.broadcast_to(space.curve(encoded), (*samples.shape[:2], 3))
        encoded = _encoded(linear @ (np.linalg.inv(_to_xyz(SRGB_PRIMARIES)) @ space.to_xyz).T)
    on_white = encoded * (1 if premultiplied else opacity) + (1 - opacity)
    return np.broadcast_to(np.rint(255 * on_white.clip(0, 1)), (*samples.shape[:2], 3)).astype(np.uint8)


def _encoded(light: np.ndarray) -> np.ndarray:
    light = light.clip(0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def _to_xyz(chromaticities: Chromaticities) -> np.ndarray:
    def xyz(x: float, y: float) -> np.ndarray:
        return np.array([x / y, 1, (1 - x - y) / y])

    points = np.array(chromaticities).reshape(4, 2)
    white = xyz(*points[0])
    unscaled = np.array([[x, y, 1 - x - y] for x, y in points[1:]]).T
    relative_to_white = unscaled * np.linalg.solve(unscaled, white)
    # Bradford's adaptation of white to D50, as profiles have it.
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    scale = (bradford @ xyz(0.3457, 0.3585)) / (bradford @ white)
    return np.linalg.inv(bradford) @ np.diag(scale) @ bradford @ relative_to_white
