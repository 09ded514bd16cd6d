"""Every number that defines a model or a training run, in two dataclasses that travel with checkpoints and bundles."""

from dataclasses import Field, asdict, dataclass, field, fields, replace
from typing import Any, Literal, get_args


def option(
    default: Any,
    text: str,
    *,
    unit: str = "",
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
) -> Any:
    """A field with its meaning, unit and range: `--help` shows them, and `check_ranges` holds values to the range.

    A tuple's range is that of each of its numbers.
    """
    limits = {"least": least, "above": above, "most": most, "below": below}
    return field(default=default, metadata={"text": text, "unit": unit, "limits": limits})


def range_of(option: Field[Any]) -> str:
    """The range of an option in words, such as "0 to 1"; empty where every value is good."""
    least, above, most, below = (option.metadata["limits"][name] for name in ("least", "above", "most", "below"))
    low = f"{least:g} or more" if least is not None else f"above {above:g}" if above is not None else ""
    high = f"at most {most:g}" if most is not None else f"below {below:g}" if below is not None else ""
    if least is not None and most is not None:
        return f"{least:g} to {most:g}" if least < most else f"always {least:g}"
    return " and ".join(part for part in (low, high) if part)


def check_ranges(config: Any) -> None:
    """Raises ValueError that names the first option of a configuration whose value is out of its range."""
    for each in fields(config):
        if "limits" not in each.metadata:
            continue
        value, limits = getattr(config, each.name), each.metadata["limits"]
        for number in value if isinstance(value, tuple) else (value,):
            good = (
                (limits["least"] is None or number >= limits["least"])
                and (limits["above"] is None or number > limits["above"])
                and (limits["most"] is None or number <= limits["most"])
                and (limits["below"] is None or number < limits["below"])
            )
            if not good:
                raise ValueError(f"{each.name} is {number:g}; its range is {range_of(each)}")


@dataclass(frozen=True)
class ModelConfig:
    """Shape of a TaTok model. Raises ValueError for a number out of its range, and for sizes that do not divide."""

    image_size: int = option(256, "Side of the square images", unit="pixels", least=16)
    patch_size: int = option(16, "Side of a patch, which the encoder's stem fixes", unit="pixels", least=16, most=16)
    global_tokens: int = option(32, "K, the number of global tokens; 0: patch tokens alone", unit="tokens", least=0)
    patch_codes: bool = option(True, "Each patch has a token; if not, the decoder has the global tokens alone")
    levels: tuple[int, ...] = option(
        (8, 8, 8, 8, 4, 4), "FSQ levels of each dimension of a code; V is their product", unit="levels", least=2
    )
    width: int = option(384, "Channels of the transformers; heads divides it", unit="channels", least=1)
    heads: int = option(6, "Attention heads of each block", unit="heads", least=1)
    encoder_layers: int = option(6, "Transformer blocks of the encoder", unit="blocks", least=1)
    entropy_layers: int = option(
        4, "Transformer blocks of the entropy model; 0: none, so that no patch token can be dropped", unit="blocks", least=0
    )
    decoder_layers: int = option(8, "Transformer blocks of the decoder", unit="blocks", least=1)
    stem_widths: tuple[int, int] = option(
        (96, 192), "Channels of the encoder at 1/4 and 1/8 resolution", unit="channels", least=1
    )
    head_widths: tuple[int, int, int] = option(
        (192, 96, 48), "Channels of the decoder at 1/8, 1/4 and 1/2 resolution", unit="channels", least=1
    )
    refinement_width: int = option(
        0, "Channels of the decoder's last stage at full resolution; 0: no such stage, and no grain", unit="channels", least=0
    )

    def __post_init__(self) -> None:
        check_ranges(self)
        for whole, part in (("image_size", "patch_size"), ("width", "heads")):
            if getattr(self, whole) % getattr(self, part):
                raise ValueError(f"{whole} is {getattr(self, whole)}, and {part}, {getattr(self, part)}, does not divide it")

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
        """True where patch tokens can be dropped: an entropy model says what that costs, an expectation fills the gap."""
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


Optimizer = Literal["adamw", "muon"]
"""AdamW for everything, or Muon for matrices inside transformer blocks and AdamW for the rest."""

TrainedPart = Literal["all", "decoder", "entropy"]
"""The whole model, its decoder alone, or its entropy model alone."""

Precision = Literal["bfloat16", "float32"]
"""On a GPU products of matrices are in bfloat16, or all is in float32 (with TF32); a CPU computes in float32."""

Judges = Literal["features", "pixels", "both"]
"""An adversary sees features of EfficientNet-Lite1, pixels, or both."""


@dataclass(frozen=True)
class TrainConfig:
    """One training run. `batch` is per process; n processes see n·batch crops in a pass, and `global_batch` in a step.

    Raises ValueError for a number out of its range, an optimiser, a part, a judge or a precision that does not exist, an
    entropy model that nothing trains, and an adversary of a run that trains anything but the decoder.
    """

    steps: int = option(20_000, "Length of the run", unit="optimiser steps", least=1)
    batch: int = option(256, "Crops that each process sees in a pass", unit="crops", least=1)
    global_batch: int = option(
        0,
        "Crops of all processes in a step, which takes as many passes as they need; 0: those of one pass",
        unit="crops",
        least=0,
    )
    reference_batch: int = option(
        0,
        "Crops a step that the learning rates are meant for: n times as many scale them by √n; 0: they stay as they are",
        unit="crops",
        least=0,
    )
    precision: Precision = option(
        "bfloat16", "bfloat16 for products of matrices, or float32 (TF32); a CPU computes in float32 always"
    )
    stream: bool = option(
        False, "Read a pack image by image, as shards and folders are read, where it does not fit on the GPUs"
    )
    shards_together: int = option(8, "Shards whose images are mixed", unit="shards", least=1)
    readers: int = option(
        8, "Processes beside each that trains, which read and decode a stream; 0: none", unit="processes", least=0
    )
    gpu_decoding: bool = option(False, "Decode JPEGs of a stream on the GPU (torchvision); others are decoded by the readers")
    learning_rate: float = option(1e-3, "Learning rate at the end of the warm-up", least=0)
    final_learning_rate: float = option(1e-5, "Learning rate at the last step, to which a cosine leads", least=0)
    warmup_steps: int = option(300, "Steps in which the learning rate rises linearly from 0", unit="optimiser steps", least=0)
    weight_decay: float = option(0.03, "Decoupled weight decay of matrices and convolutions, times the learning rate", least=0)
    betas: tuple[float, float] = option((0.9, 0.98), "Decay of AdamW's first and second moments", least=0, below=1)
    gradient_clip: float = option(1.0, "Greatest norm of the gradient; larger ones are scaled down", above=0)
    ema: float = option(0.9995, "Decay of the moving average of the weights, per step", least=0, below=1)
    optimizer: Optimizer = option(
        "adamw", "adamw for everything, or muon for the matrices inside blocks and adamw for the rest"
    )
    perceptual_weight: float = option(1.0, "λ_p, weight of the perceptual distance; the L1 error weighs 1", least=0)
    recognition_weight: float = option(
        0.0, "Weight of the divergence of a classifier's answers on output and image", unit="per nat", least=0
    )
    weave_weight: float = option(
        0.0, "Weight of the residual that neighbouring patches have in common, pixel by pixel; the L1 error weighs 1", least=0
    )
    weave_excess_weight: float = option(
        0.0, "Weight of the power at the patch grid's frequencies over that around them", unit="per decibel", least=0
    )
    perceptual_every: int = option(
        4, "Perceptual distance and roughness see every n-th crop; at most batch / 8 shows some of every kind of fill", least=1
    )
    perceptual_crop: float = option(
        0.6875, "Side of the part of a crop that the two see, at another offset every step", unit="of the side", above=0, most=1
    )
    flat_area_weight: float = option(4.0, "λ_f, weight of fine detail that the image does not have, where it is flat", least=0)
    entropy_weight: float = option(
        0.02, "λ_H, weight of the entropy model's cross-entropy; above 0 where there is one", unit="per bit and patch", least=0
    )
    partial_share: float = option(
        0.25, "Share of the samples that are filled given the kept patches too, half of them drawn one by one", above=0, most=1
    )
    partial_weight: float = option(0.25, "Weight of the cross-entropy given visible patches, beside that given none", least=0)
    rate_weight: float = option(1e-3, "λ_R, weight of the rate", unit="per bit and patch", least=0)
    rate_start: float = option(1.0, "Share of λ_R in force at the first step, from where it rises linearly", least=0)
    rate_ramp: float = option(0.3, "Share of the steps after which all of λ_R is in force", least=0, most=1)
    rate_detail_exponent: float = option(
        0.0, "γ: a patch's bits cost λ_R times its pixels' variance to the power −γ, scaled to a mean of 1", least=0
    )
    global_rate_scale: float = option(0.5, "Share of the rate's gradient that reaches the global tokens", least=0)
    keep_all_share: float = option(0.12, "Share of the samples that keep every patch token", least=0, most=1)
    global_only_share: float = option(0.15, "Share of the samples that keep no patch token", least=0, most=1)
    random_mask_share: float = option(0.2, "Share of the filtered samples that keep random patches", least=0, most=1)
    distortion_mask_share: float = option(
        0.4, "Share of the filtered samples that keep patches of much entropy and much variance", least=0, most=1
    )
    kept_exponent: float = option(2.0, "x: a filtered sample keeps N·u^x of its patches, u uniform in [0, 1)", above=0)
    full_token_phase: float = option(0.05, "First share of the steps, in which every token is kept", least=0, most=1)
    smallest_crop: float = option(0.8, "Side of the smallest crop", unit="of the image's short side", above=0)
    largest_crop: float = option(
        1.0, "Side of the largest crop; beyond 1 it is mirrored at the border", unit="of the image's short side", above=0
    )
    crop_stretch: float = option(0.0, "Greatest |ln(width / height)| of a crop in the image", least=0)
    crop_tilt: float = option(0.0, "Greatest rotation of a crop", unit="degrees", least=0, most=180)
    colour_jitter: float = option(0.2, "Greatest share by which exposure, contrast and saturation change", least=0, below=1)
    sharpening: float = option(0.6, "Greatest strength of the unsharp mask on crops", least=0)
    turned_share: float = option(0.25, "Share of the crops that are transposed", least=0, most=1)
    checkpoint_every: int = option(2000, "Steps between checkpoints, and so the most that a crash loses", unit="steps", least=1)
    checkpoints_kept: int = option(3, "Checkpoints that are kept, the last one among them", unit="checkpoints", least=1)
    samples_every: int = option(
        1000,
        "Steps between sheets of sample pictures, always of the same images; 0: none",
        unit="steps",
        least=0,
    )
    held_out_every: int = option(2000, "Steps between measurements on images kept out of training", unit="steps", least=1)
    tensorboard: bool = option(False, "Write the log and the sample pictures for TensorBoard too")
    mixed_share: float = option(0.0, "Share of the crops one side of which is another photograph's", least=0, most=1)
    trained_part: TrainedPart = option(
        "all", "all, or the decoder or the entropy model alone: all else, and so every token, then stays as it is"
    )
    adversary_weight: float = option(
        0.0,
        "Norm of the adversary's gradient at the decoder's last layers over that of all other terms; needs a decoder alone",
        least=0,
    )
    adversary_sees: Judges = option(
        "both", "features of EfficientNet-Lite1 at four scales, pixels (a PatchGAN), or both, each with half of the say"
    )
    adversary_every: int = option(4, "The adversary sees seven eighths of the side of every n-th crop", unit="crops", least=1)
    adversary_warmup_steps: int = option(
        200, "First steps, in which the adversary learns and the decoder does not follow it", unit="optimiser steps", least=0
    )
    adversary_learning_rate: float = option(2e-4, "Learning rate of the adversary, constant", least=0)
    adversary_limit: float = option(
        1e3, "Greatest factor by which the adversary's term is scaled to give its gradient that norm", above=0
    )
    lecam_weight: float = option(
        0.01, "Weight of LeCAM, which keeps the adversary's answers near their averages on the other kind of picture", least=0
    )
    seed: int = option(0, "Seed of the weights, the crops and the masks", least=0)
    model: ModelConfig = field(default_factory=ModelConfig)

    def __post_init__(self) -> None:
        if self.optimizer not in get_args(Optimizer):
            raise ValueError(f"no optimizer is called {self.optimizer!r}: there are {' and '.join(get_args(Optimizer))}")
        if self.adversary_sees not in get_args(Judges):
            raise ValueError(f"adversary_sees is {self.adversary_sees!r}; it is one of {', '.join(get_args(Judges))}")
        if self.precision not in get_args(Precision):
            raise ValueError(f"precision is {self.precision!r}; it is one of {', '.join(get_args(Precision))}")
        if self.trained_part not in get_args(TrainedPart):
            raise ValueError(f"trained_part is {self.trained_part!r}; it is one of {', '.join(get_args(TrainedPart))}")
        if self.adversary_weight > 0 and self.trained_part != "decoder":
            raise ValueError("an adversary trains the decoder alone: set trained_part to decoder, or adversary_weight to 0")
        if self.trained_part == "entropy" and not self.model.filters:
            raise ValueError("trained_part is entropy, and the model has no entropy model")
        if self.model.filters and not self.entropy_weight > 0:
            raise ValueError(
                f"an entropy weight of {self.entropy_weight} leaves the entropy model untrained: it must be above 0"
            )
        check_ranges(self)

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

# The baselines spend the entropy model's four layers on encoder and decoder, so that all have about 38 million parameters.
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
