import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from tatok.evaluation.metrics import Weave, psnr, reduced, ssim


def test_agree_with_scikit_image(photograph: np.ndarray):
    noise = np.random.default_rng(0).normal(0, 12, photograph.shape)
    noisy = np.clip(photograph + noise, 0, 255).astype(np.uint8)
    pair = torch.from_numpy(noisy)[None], torch.from_numpy(photograph.copy())[None]
    assert abs(float(psnr(*pair)) - peak_signal_noise_ratio(photograph, noisy)) < 1e-3
    grey = [np.rint(x.astype(float) @ [0.299, 0.587, 0.114]) for x in (noisy, photograph)]
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    assert abs(float(ssim(*pair)) - structural_similarity(*grey, **options)) < 1e-3


@pytest.mark.parametrize("grey", [0, 90, 255])
def test_a_flat_image_is_like_itself(grey: int):
    flat = torch.full((2, 64, 64, 3), grey, dtype=torch.uint8)
    assert ssim(flat, flat).tolist() == [1.0, 1.0]
    assert psnr(flat, flat).isinf().all()


def test_what_an_image_holds_is_what_it_loses_at_few_pixels(photograph: np.ndarray):
    square = photograph[:512, :512].copy()
    image = Image.fromarray(square)
    for side in (16, 32):
        small = image.resize((side, side), Image.Resampling.BOX)
        back = np.asarray(small.resize(image.size, Image.Resampling.BICUBIC))
        # Pillow's bicubic kernel is a little softer.
        pixels = torch.from_numpy(square)[None]
        measured = float(psnr(reduced(pixels, side), pixels))
        assert abs(measured - peak_signal_noise_ratio(square, back)) < 0.2
    flat = torch.full((1, 64, 64, 3), 90, dtype=torch.uint8)
    assert torch.equal(reduced(flat, 16), flat)


def _weave_in_numpy(images: np.ndarray, patch: int, reach: int = 2) -> float:
    """Power of luma at the patch grid's harmonics over that of the frequencies around, frequency by frequency."""
    grey = images.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    size = grey.shape[1]
    power = np.mean(np.abs(np.fft.fft2(grey - grey.mean((1, 2), keepdims=True))) ** 2, 0)
    around = [(a, b) for a in range(-reach, reach + 1) for b in range(-reach, reach + 1) if (a, b) != (0, 0)]
    step, values = size // patch, []
    for m in range(step, size // 2, step):
        for n in range(step, size // 2, step):
            for row in (m, size - m):
                near = np.mean([power[(row + a) % size, n + b] for a, b in around])
                values.append(10 * np.log10(power[row, n] / near))
    return float(np.mean(values))


def _weave(images: np.ndarray, batch: int) -> float:
    weave = Weave(images.shape[1], images.shape[1] // 16)
    for start in range(0, len(images), batch):
        weave.update(torch.from_numpy(images[start : start + batch]))
    return weave.decibels()


def test_weave_is_that_of_numpy_whatever_the_batches(photograph: np.ndarray):
    photographs = np.stack([photograph[y : y + 256, y : y + 256] for y in (0, 100, 250)])
    assert _weave(photographs, 3) == pytest.approx(_weave_in_numpy(photographs, 16), abs=1e-6)
    assert _weave(photographs, 2) == pytest.approx(_weave(photographs, 3), abs=1e-6)
    assert abs(_weave(photographs, 3)) < 2


def test_a_pattern_that_repeats_with_the_patches_is_weave_and_another_is_not(photograph: np.ndarray):
    crop, generator = photograph[:256, :256].astype(np.float64), np.random.default_rng(0)
    pattern = generator.normal(0, 6, (16, 16, 1))
    woven = np.clip(crop + np.tile(pattern, (16, 16, 1)), 0, 255).astype(np.uint8)[None]
    noisy = np.clip(crop + generator.normal(0, 6, (256, 256, 1)), 0, 255).astype(np.uint8)[None]
    assert _weave(woven, 1) == pytest.approx(_weave_in_numpy(woven, 16), abs=1e-6)
    assert _weave(woven, 1) > 8
    assert abs(_weave(noisy, 1)) < 2


def test_flat_images_have_no_weave():
    assert _weave(np.full((2, 64, 64, 3), 128, np.uint8), 2) == pytest.approx(0, abs=1e-3)
