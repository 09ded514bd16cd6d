import numpy as np
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from tatok.metrics import psnr, ssim


def test_agree_with_scikit_image(photograph: np.ndarray):
    noise = np.random.default_rng(0).normal(0, 12, photograph.shape)
    noisy = np.clip(photograph + noise, 0, 255).astype(np.uint8)
    pair = torch.from_numpy(noisy)[None], torch.from_numpy(photograph.copy())[None]
    assert abs(float(psnr(*pair)) - peak_signal_noise_ratio(photograph, noisy)) < 1e-3
    grey = [np.rint(x.astype(float) @ [0.299, 0.587, 0.114]) for x in (noisy, photograph)]
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    assert abs(float(ssim(*pair)) - structural_similarity(*grey, **options)) < 1e-3
