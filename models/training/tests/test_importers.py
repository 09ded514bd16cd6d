import hashlib
import json
import os
import re
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from conftest import FIXTURES, SAMPLES
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from tatok.bundle.check import check_bundle
from tatok.cli import main
from tatok.data.images import fitted
from tatok.importers.checkpoint import read_checkpoint
from tatok.importers.families import FAMILIES
from tatok.importers.family import ImageSize, image_size

UPSTREAM = Path(__file__).parent / "upstream"
KINDS = {
    "titok": "titok",
    "titok-bl": "titok",
    "one-d-piece": "one-d-piece",
    "maskgit-vqgan": "maskgit-vqgan",
    "llamagen": "llamagen",
    "taming": "taming",
    "open-magvit2": "open-magvit2",
}
TINY_SIZE = ImageSize(32, 32)
L2_OFF = {"model": {"vq_model": {"use_l2_norm": False}}}


def names(file: str) -> dict[str, list[int]]:
    """Names and shapes of a list of upstream's."""
    found = {}
    for line in (UPSTREAM / f"{file}.txt").read_text().splitlines()[1:]:
        name, shape = line.split(" ", 1)
        run = re.search(r"\{(\d+)\.\.(\d+)\}", name)
        numbers = range(int(run[1]), int(run[2]) + 1) if run else [None]
        for number in numbers:
            found[re.sub(r"\{.*\}", str(number), name)] = json.loads(shape)
    return found


def weight(name: str, shape: list[int]) -> Tensor:
    """Numbers that follow from the name: rows of matrices of length about 1, scales about 1, small biases."""
    values = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)
    if len(shape) > 1 and not name.endswith("quantize.embedding.weight"):
        if "embedding" in name or "token" in name:
            values *= 0.3
        else:
            values *= (3 if "in_proj" in name or "patch_embed" in name else 1) / np.sqrt(np.prod(shape[1:]))
    elif len(shape) == 1:
        values = (1 if name.endswith("weight") else 0) + 0.2 * values
    return torch.from_numpy(np.asarray(values)).float()


def tiny_weights(case: str) -> dict[str, Tensor]:
    """The weights behind a golden file, under upstream's names."""
    listed = names(f"tiny-{case}")
    weights = {name: weight(name, shape) for name, shape in listed.items() if not name.startswith("model_ema.")}
    for name in list(weights):
        average = f"model_ema.{name.replace('.', '')}"
        if average in listed:
            weights[average], weights[name] = weights[name], weights[name] + 1
    return weights


def golden(case: str) -> dict[str, np.ndarray]:
    with np.load(UPSTREAM / f"tiny-{case}.npz") as file:
        return dict(file)


def configuration(case: str) -> dict:
    return L2_OFF if case == "titok-bl" else {}


def size_of(case: str) -> ImageSize | None:
    return None if KINDS[case] in ("titok", "one-d-piece") else TINY_SIZE


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        *((f"titok-{size}", "titok") for size in ("s128", "b64", "l32", "bl64", "bl128", "sl256")),
        *((f"one-d-piece-{size}256", "one-d-piece") for size in "sbl"),
        ("maskgit-vqgan", "maskgit-vqgan"),
        ("llamagen-vq16", "llamagen"),
        ("llamagen-vq8", "llamagen"),
        ("taming-1024", "taming"),
        ("open-magvit2-256", "open-magvit2"),
    ],
)
def test_weights_of_published_sizes_are_all_taken(file: str, kind: str):
    """No key of upstream's constructor is missing, left over or of another shape: `load` would refuse."""
    with torch.device("meta"):
        weights = {name: torch.empty(shape) for name, shape in names(file).items()}
        tokenizer = FAMILIES[kind].load(weights, {}, None)
    count = re.search(r"\d+$", file)[0] if kind in ("titok", "one-d-piece") else None
    assert count is None or tokenizer.tokens == int(count)
    assert tokenizer.image_size == ImageSize(256, 256)


@pytest.mark.parametrize("case", KINDS)
def test_codes_and_pixels_are_those_of_upstreams_code(case: str):
    wanted = golden(case)
    tokenizer = FAMILIES[KINDS[case]].load(tiny_weights(case), configuration(case), size_of(case))
    low, high = tokenizer.value_range
    image = torch.from_numpy(wanted["images"]).permute(0, 3, 1, 2).float() * ((high - low) / 255) + low
    with torch.no_grad():
        codes = tokenizer.encode.eval()(image)
        codes = codes[0] if isinstance(codes, tuple) else codes
        assert np.array_equal(codes.flatten(1).numpy(), wanted["codes"])
        for key in (key for key in wanted if key.startswith("pixels")):
            length = int(key.removeprefix("pixels_")) if "_" in key else tokenizer.tokens
            masks = [torch.arange(tokenizer.tokens).expand(3, -1) < length] if tokenizer.prefix else []
            decoded = (tokenizer.decode.eval()(codes, *masks) - low) * (255 / (high - low))
            pixels = decoded.clamp(0, 255).round().permute(0, 2, 3, 1).numpy()
            assert np.abs(pixels - wanted[key]).max() <= 1, key


def save_tiny(case: str, folder: Path) -> list[str]:
    """Writes the checkpoint as upstream publishes it; returns the command that imports it."""
    weights, checkpoint = tiny_weights(case), folder / f"{case}.pt"
    wrapped = {"llamagen": {"model": weights}, "taming": {"state_dict": weights}, "open-magvit2": {"state_dict": weights}}
    torch.save(wrapped.get(case, weights), checkpoint)
    command = ["import", KINDS[case], str(checkpoint), "--out", str(folder / "bundle")]
    if case == "titok-bl":
        (folder / "config.yaml").write_text("model:\n  vq_model:\n    use_l2_norm: False\n")
        command += ["--config", str(folder / "config.yaml")]
    return command if size_of(case) is None else [*command, "--image-size", "32"]


@pytest.fixture(scope="module", params=KINDS)
def imported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    assert main([*save_tiny(request.param, folder), "--precision", "float32"]) == 0
    return request.param, folder


def test_an_imported_bundle_keeps_the_contract_and_gives_upstreams_codes_and_pixels(imported: tuple[str, Path]):
    case, folder = imported
    bundle, wanted = folder / "bundle", golden(case)
    assert check_bundle(bundle) == []
    stream = json.loads((bundle / "manifest.json").read_text())["streams"][0]
    encoder, decoder = (ort.InferenceSession(bundle / f"{name}.onnx") for name in ("encoder", "decoder"))
    for batch in (1, 2, 3):
        (codes,) = encoder.run([stream["name"]], {"image": wanted["images"][:batch]})
        assert np.array_equal(codes, wanted["codes"][:batch])
        inputs = {stream["name"]: codes}
        if stream["prefix"]:
            inputs["keep_global"] = np.arange(codes.shape[1])[None].repeat(batch, 0) < 5
        (pixels,) = decoder.run(["image"], inputs)
        difference = np.abs(pixels.astype(int) - wanted["pixels_5" if stream["prefix"] else "pixels"][:batch])
        assert difference.max() <= 1


def test_a_manifest_names_the_checkpoint_and_the_code_that_was_followed(imported: tuple[str, Path]):
    case, folder = imported
    manifest = json.loads((folder / "bundle" / "manifest.json").read_text())
    checkpoint = folder / f"{case}.pt"
    family = FAMILIES[KINDS[case]]
    assert manifest["formatVersion"] == 2
    assert manifest["licence"].startswith(family.licence)
    assert manifest["source"] == {
        "kind": KINDS[case],
        "repository": family.repository,
        "commit": family.commit,
        "checkpoint": {
            "path": checkpoint.name,
            "bytes": checkpoint.stat().st_size,
            "sha256": hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
        },
        "weights": "averaged (EMA)" if case == "open-magvit2" else "as stored",
    }


def test_a_comparison_with_upstreams_codes_is_told_and_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    case, folder, wanted = "llamagen", tmp_path, golden("llamagen")
    (folder / "images").mkdir()
    for index, pixels in enumerate(wanted["images"]):
        Image.fromarray(pixels).save(folder / "images" / f"{index}.png")
    codes = {str(index): each.reshape(8, 8) for index, each in enumerate(wanted["codes"])}
    np.savez(folder / "codes.npz", **codes)
    np.savez(folder / "others.npz", **{name: each[::-1] for name, each in codes.items()})
    command = [*save_tiny(case, folder), "--licence", "CC0-1.0", "--check", str(folder / "images")]
    assert main([*command, "--codes", str(folder / "codes.npz")]) == 0
    equal = re.search(r"(\d+) of 192 codes \(.*\) of 3 images equal upstream's", capsys.readouterr().out)
    assert int(equal[1]) >= 185  # Rounding weights to float16 moves codes that were nearly tied.
    manifest = json.loads((folder / "bundle" / "manifest.json").read_text())
    assert manifest["licence"] == "CC0-1.0"
    assert manifest["source"]["compared"] == {"images": 3, "codes": 192, "equal": int(equal[1])}
    assert check_bundle(folder / "bundle") == []
    assert main([*command, "--codes", str(folder / "others.npz")]) == 1
    assert re.match(r"tatok: only \d+\.\d% of 192 codes equal those of the file: ", capsys.readouterr().err)


def refusal(kind: str, weights: dict[str, Tensor], config: dict | None = None, size: ImageSize | None = None) -> str:
    with pytest.raises(ValueError) as error:  # noqa: PT011 (the message is what the tests compare)
        FAMILIES[kind].load(weights, config or {}, size)
    return str(error.value)


def test_missing_left_over_and_misshapen_weights_are_named():
    weights = tiny_weights("llamagen")
    del weights["encoder.mid.1.q.weight"]
    weights["encoder.extra"] = torch.zeros(1)
    weights["quant_conv.bias"] = torch.zeros(7)
    assert refusal("llamagen", weights, size=TINY_SIZE) == (
        "the checkpoint is not of this kind, or of a variant that is not supported. "
        "1 keys are missing: encoder.mid.1.q.weight. 1 keys are left over: encoder.extra. "
        "1 weights have another shape: quant_conv.bias [7] instead of [4]"
    )


@pytest.mark.parametrize(
    ("given", "asked"), [(a, b) for a in KINDS for b in FAMILIES if {KINDS[a], b} != {"titok", "one-d-piece"}]
)
def test_a_checkpoint_of_another_kind_is_refused(given: str, asked: str):
    if KINDS[given] != asked:
        assert "not of this kind" in refusal(asked, tiny_weights(given)) or "no codes" in refusal(asked, tiny_weights(given))


@pytest.mark.parametrize(
    ("kind", "case", "config", "message"),
    [
        (
            "titok",
            "titok",
            {"model": {"vq_model": {"num_latent_tokens": 64}}},
            "num_latent_tokens 64, and the checkpoint has 8",
        ),
        ("taming", "taming", {"model": {"params": {"n_embed": 1024}}}, "n_embed 1024, and the checkpoint has 96"),
        ("open-magvit2", "open-magvit2", {"model": {"init_args": {"n_embed": 8}}}, "n_embed 8, and the checkpoint has 64"),
        ("llamagen", "llamagen", {"model": {}}, "takes no --config"),
    ],
)
def test_a_configuration_that_contradicts_the_checkpoint_is_refused(kind: str, case: str, config: dict, message: str):
    assert message in refusal(kind, tiny_weights(case), config, size_of(case))


def test_variants_that_are_not_supported_are_refused_by_name():
    titok = tiny_weights("titok")
    continuous = {name: value for name, value in titok.items() if not name.startswith("quantize.")}
    first_stage = {name: value for name, value in titok.items() if not name.startswith("pixel_")}
    assert "continuous latents" in refusal("titok", continuous)
    assert "first training stage" in refusal("titok", first_stage)
    assert "caption" in refusal("titok", titok | {"decoder.text_guidance_proj.weight": torch.zeros(1, 1)})
    assert "Gumbel" in refusal("taming", tiny_weights("taming") | {"quantize.embed.weight": torch.zeros(1, 1)})
    assert "leave --image-size out" in refusal("titok", titok, size=ImageSize(64, 64))
    assert "multiples of 4 pixels" in refusal("llamagen", tiny_weights("llamagen"), size=ImageSize(32, 34))


def test_moving_averages_must_be_complete():
    weights = tiny_weights("open-magvit2")
    del weights["model_ema.encoderconv_inweight"]
    assert "have no moving average" in refusal("open-magvit2", weights, size=TINY_SIZE)
    raw = {name: value for name, value in weights.items() if not name.startswith("model_ema.")}
    assert FAMILIES["open-magvit2"].load(raw, {}, TINY_SIZE).weights == "as stored"


def test_convolutional_tokenizers_take_other_image_sizes():
    tokenizer = FAMILIES["llamagen"].load(tiny_weights("llamagen"), {}, image_size("48x32"))
    assert tokenizer.image_size == ImageSize(height=32, width=48)
    assert tokenizer.grid == (8, 12)
    with torch.no_grad():
        codes = tokenizer.encode.eval()(torch.zeros(2, 3, 32, 48))
        assert codes.shape == (2, 8, 12)
        assert tokenizer.decode.eval()(codes).shape == (2, 3, 32, 48)


class Callback:
    """Lives in the training code alone."""


class Malicious:
    """Runs a line of Python where it is unpickled without care."""

    def __init__(self, run: Callable, argument: str) -> None:
        self.run, self.argument = run, argument

    def __reduce__(self) -> tuple[Callable, tuple[str]]:
        return (self.run, (self.argument,))


def test_a_checkpoint_of_training_loads_and_runs_nothing(tmp_path: Path):
    file, trap = tmp_path / "last.ckpt", tmp_path / "trap"
    hook = Malicious(exec, f"open({str(trap)!r}, 'w').close()")
    torch.save({"state_dict": {"a": torch.ones(2)}, "callbacks": {Callback: Callback()}, "hook": hook}, file)
    assert read_checkpoint(file).weights["a"].tolist() == [1, 1]
    assert not trap.exists()
    torch.load(file, weights_only=False)
    assert trap.exists(), "the trap itself must work"


def test_a_checkpoint_that_reads_only_by_running_code_is_refused(tmp_path: Path):
    file, trap = tmp_path / "last.ckpt", tmp_path / "trap"
    torch.save({"state_dict": {"a": torch.ones(2)}, "hook": Malicious(os.system, f"touch {trap}")}, file)
    with pytest.raises(ValueError, match="without running code from it: where it was trained, save its weights alone"):
        read_checkpoint(file)
    assert not trap.exists()


def test_a_folder_of_safetensors_brings_its_configuration(tmp_path: Path):
    save_file({"a": torch.ones(2)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"model": {"vq_model": {"use_l2_norm": true}}}')
    read = read_checkpoint(tmp_path)
    assert read.path.name == "model.safetensors"
    assert read.configuration["model"]["vq_model"]["use_l2_norm"] is True


def test_averaged_weights_are_taken_before_others(tmp_path: Path):
    torch.save({"model": {"a": torch.ones(2)}, "ema": {"module.a": torch.zeros(2)}}, tmp_path / "last.pt")
    read = read_checkpoint(tmp_path / "last.pt")
    assert read.averaged
    assert read.weights["a"].tolist() == [0, 0]


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04"])
def test_a_file_that_is_no_checkpoint_is_one_sentence(tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "broken.pt").write_bytes(content)
    assert main(["import", "taming", str(tmp_path / "broken.pt"), "--out", str(tmp_path / "bundle")]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"tatok: {tmp_path / 'broken.pt'} cannot be read as a checkpoint")
    assert error.count("\n") == 1
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("resample", ["lanczos3", "bicubic", "bilinear", "adm"])
def test_images_cover_the_encoders_size_from_their_centre(tmp_path: Path, resample: str):
    """A ramp keeps its slope under every kernel: left and right edges tell where the crop lies."""
    ramp = np.round(np.linspace(0, 200, 400)).astype(np.uint8)[None, :, None].repeat(100, 0).repeat(3, 2)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    pixels = fitted(tmp_path / "ramp.png", (80, 40), resample).astype(int)
    assert pixels.shape == (40, 80, 3)
    # 40 of 100 rows: the 200 columns in the middle are left, of values 50 to 150.
    assert np.abs(pixels[:, 0] - 50).max() <= 2
    assert np.abs(pixels[:, -1] - 150).max() <= 2


RESAMPLED = sorted((FIXTURES / "resampled").glob("*.png"))


@pytest.mark.parametrize("expected", RESAMPLED, ids=lambda path: path.stem)
def test_images_are_resampled_as_the_inspector_does(expected: Path):
    """The inspector's tests hold its own resampling to the same files, to the last bit."""
    source, resample, size = expected.stem.split("-")
    image = expected.parent / "kodim07-adm-64x64.png" if source == "larger" else SAMPLES / f"{source}.png"
    width, height = map(int, size.split("x"))
    np.testing.assert_array_equal(fitted(image, (width, height), resample), np.asarray(Image.open(expected)))
