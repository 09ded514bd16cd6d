"""Every number that defines a model or a training run, in two dataclasses that travel with checkpoints and bundles."""

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any


@dataclass(frozen=True)
class ModelConfig:
    """Shape of a TaTok model. Symbols in brackets are the method note's."""

    image_size: int = 256
    patch_size: int = 16
    global_tokens: int = 32  # K; 0 for a tokenizer of patch tokens alone
    patch_codes: bool = True  # False: nothing is said of single patches, the decoder has the global tokens alone
    levels: tuple[int, ...] = (8, 8, 8, 8, 4, 4)  # FSQ levels; V is their product: 65,536 codes, 16 bits
    width: int = 384
    heads: int = 6
    encoder_layers: int = 6
    entropy_layers: int = 4  # 0: no entropy model, so no patch token can be dropped
    decoder_layers: int = 8
    stem_widths: tuple[int, int] = (96, 192)  # channels at 1/4 and 1/8 resolution
    head_widths: tuple[int, int, int] = (192, 96, 48)  # channels at 1/8, 1/4 and 1/2 resolution
    refinement_width: int = 0  # channels of the decoder's last stage at full resolution; 0: no such stage, and no grain

    @property
    def grid(self) -> int:
        """Side of the square patch grid."""
        return self.image_size // self.patch_size

    @property
    def patches(self) -> int:
        """Cells of the grid."""
        return self.grid**2

    @property
    def patch_tokens(self) -> int:
        """N; 0 where patches have no codes."""
        return self.patches if self.patch_codes else 0

    @property
    def filters(self) -> bool:
        """Whether patch tokens can be dropped: an entropy model says what that costs, an expectation fills the gap."""
        return self.patch_codes and self.entropy_layers > 0

    @property
    def codebook_size(self) -> int:
        """V."""
        size = 1
        for level in self.levels:
            size *= level
        return size

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ModelConfig":
        known = {f.name for f in fields(cls)}
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in known})


OPTIMIZERS = ("adamw", "muon")
"""AdamW for everything, or Muon for matrices inside transformer blocks and AdamW for the rest."""


@dataclass(frozen=True)
class TrainConfig:
    """One training run. `batch` is per process; with n processes a step sees n·batch crops.

    Raises ValueError for an optimiser that does not exist, and for an entropy model that nothing trains.
    """

    steps: int = 20_000
    batch: int = 256
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-5
    warmup_steps: int = 300
    weight_decay: float = 0.03
    betas: tuple[float, float] = (0.9, 0.98)
    gradient_clip: float = 1.0
    ema: float = 0.9995
    optimizer: str = field(default="adamw", metadata={"choices": OPTIMIZERS})
    perceptual_weight: float = 1.0  # λ_p
    recognition_weight: float = 0.0  # per nat by which a classifier's answer on the output differs from that on the image
    weave_weight: float = 0.0  # of the residual that neighbouring patches have in common, pixel by pixel
    weave_excess_weight: float = 0.0  # per decibel of power at the patch grid's frequencies over that around them
    # Perceptual distance and roughness see every n-th crop; up to an eighth of the batch that has some of every kind of fill.
    perceptual_every: int = 4
    perceptual_crop: float = 0.6875  # side of what the two see of a crop, at another offset every step
    flat_area_weight: float = 4.0  # λ_f, of fine detail that the image does not have
    entropy_weight: float = 0.02  # λ_H, per bit of cross-entropy per patch
    rate_weight: float = 1e-3  # λ_R, per bit of rate per patch
    rate_start: float = 1.0  # share of λ_R in force at the first step, from where it rises linearly
    rate_ramp: float = 0.3  # share of the steps after which all of λ_R is in force
    rate_detail_exponent: float = 0.0  # γ: a patch's bits cost λ_R times its pixels' variance to the power −γ, of mean 1
    global_rate_scale: float = 0.5  # how much of the rate's gradient reaches the global tokens
    keep_all_share: float = 0.12
    global_only_share: float = 0.15
    random_mask_share: float = 0.2  # of the samples that are filtered
    distortion_mask_share: float = 0.4  # likewise: those that keep patches of much entropy and much variance
    kept_exponent: float = 2.0  # a filtered sample keeps N·u^this of its patches, u uniform in [0, 1)
    full_token_phase: float = 0.05  # first share of the steps, in which every token is kept
    smallest_crop: float = 0.8  # side of the smallest crop relative to the image's short side
    largest_crop: float = 1.0  # of the largest; beyond 1 it is mirrored at the border
    crop_stretch: float = 0.0  # greatest |ln(width / height)| of a crop in the image
    crop_tilt: float = 0.0  # greatest rotation of a crop, degrees
    colour_jitter: float = 0.2  # exposure, contrast and saturation each change by up to this share
    sharpening: float = 0.6  # greatest strength of the unsharp mask on crops
    turned_share: float = 0.25  # share of crops that are transposed
    checkpoint_every: int = 2000  # steps; what a crash may lose
    mixed_share: float = 0.0  # share of crops one side of which is another photograph's
    seed: int = 0
    model: ModelConfig = field(default_factory=ModelConfig)

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"no optimizer is called {self.optimizer!r}: there are {' and '.join(OPTIMIZERS)}")
        if self.model.filters and not self.entropy_weight > 0:
            raise ValueError(
                f"an entropy weight of {self.entropy_weight} leaves the entropy model untrained: it must be above 0"
            )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "TrainConfig":
        known = {f.name for f in fields(cls)} - {"model"}
        flat = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in known}
        return cls(**flat, model=ModelConfig.from_dict(values.get("model", {})))


TINY_MODEL = ModelConfig(
    image_size=64,
    global_tokens=4,
    width=32,
    heads=2,
    encoder_layers=2,
    entropy_layers=1,
    decoder_layers=2,
    stem_widths=(16, 24),
    head_widths=(24, 16, 12),
)
"""Seconds on a CPU: for tests and for trying a command before spending GPU time on it."""

# The rivals spend the entropy model's four layers on encoder and decoder, so that all have about 38 million parameters.
PRESETS: dict[str, ModelConfig] = {
    "tatok-s-256": ModelConfig(),
    "fixed-256": ModelConfig(global_tokens=0, encoder_layers=8, entropy_layers=0, decoder_layers=10),
    "fixed-57": ModelConfig(global_tokens=57, patch_codes=False, encoder_layers=8, entropy_layers=0, decoder_layers=10),
    "patches-only": ModelConfig(global_tokens=0),
    "tiny": TINY_MODEL,
}
"""By name: TaTok; every patch kept and no global token (MaskGIT-VQGAN's shape); a global sequence alone (TiTok's shape);
TaTok without global tokens (an ablation); and a toy."""


def with_overrides(config: TrainConfig, overrides: dict[str, Any]) -> TrainConfig:
    """`config` with the given fields replaced; None means not given."""
    return replace(config, **{k: v for k, v in overrides.items() if v is not None})
