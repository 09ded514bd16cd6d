import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from tatok.evaluation.metrics import psnr, reduced, ssim


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
