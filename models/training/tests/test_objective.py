"""The training objective and the steps that follow its gradient, each held to a computation of its own."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tatok.config import TINY_MODEL, TrainConfig
from tatok.features import LiteDistance
from tatok.filter import distortion_weights
from tatok.model import entropy_bits, surprisal_bits
from tatok.tokenizer import TaTok
from tatok.training import objective as of_training
from tatok.training.distributed import Workers
from tatok.training.losses import flat_area_roughness, rate_bits, weave, weave_excess
from tatok.training.objective import Objective, Randomness
from tatok.training.train import RunFiles, Trainer
from tatok.weights import read_checkpoint, save_weights

PATCHES = TINY_MODEL.patch_tokens


def squared_error(output: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """Stands for a loss network."""
    return (output - image).square().mean((1, 2, 3))


@pytest.fixture
def image() -> torch.Tensor:
    """Noise above and a flat area below."""
    image = torch.rand(8, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    image[:, :, 32:] = 0.2
    return image


@pytest.fixture
def randomness() -> Randomness:
    return Randomness.make(8, PATCHES, torch.Generator().manual_seed(1))


def test_the_loss_is_the_weighted_sum_of_its_terms(
    tiny: TrainConfig, model: TaTok, image: torch.Tensor, randomness: Randomness
):
    """Every term is computed anew from the networks and weighs something; a term that is missing changes the sum."""
    config = replace(
        tiny,
        perceptual_weight=0.7,
        flat_area_weight=3.0,
        perceptual_every=1,
        perceptual_crop=1.0,
        weave_weight=2.0,
        weave_excess_weight=0.3,
        rate_weight=0.05,
        partial_share=0.25,
        partial_weight=0.4,
    )
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    hook = model.decoder.register_forward_hook(lambda _, given, output: seen.append((given[3], output)))
    with torch.no_grad():
        loss, parts = Objective(model, config, squared_error)(image, randomness, keep_all=False, rate_share=0.5)
        global_position, position = model.positions(image)
        global_codes, codes = (model.quantizer.quantize(x) for x in (global_position, position))
        levels = position.round().int()
        keep, output = seen[0]
        hidden = torch.zeros(8, PATCHES, dtype=torch.bool)
        logits = model.entropy_model(global_codes, codes, hidden)
        # The first quarter of the batch: surprisal of the patches that the decoder does not see, given those that it sees.
        partial = surprisal_bits(model.entropy_model(global_codes[:2], codes[:2], keep[:2]), levels[:2])
        wanted = {
            "l1": (output - image).abs().mean(),
            "l2": (output - image).square().mean(),
            "perceptual": squared_error(output, image).mean(),
            "roughness": flat_area_roughness(output, image),
            "weave": weave(output, image, TINY_MODEL.patch_size),
            "weave_excess": weave_excess(output, TINY_MODEL.patch_size),
            "rate": rate_bits(logits, position, model.quantizer.levels).mean(),
            "cross_entropy": surprisal_bits(logits, levels).mean(),
            "partial": partial[~keep[:2]].mean(),
        }
    hook.remove()
    assert 0 < keep[:2].sum() < 2 * PATCHES
    for name, value in wanted.items():
        assert parts[name].item() == pytest.approx(value.item(), rel=1e-4), name
        assert value > 0, name
    entropy = entropy_bits(logits)
    assert parts["entropy"].item() == pytest.approx(entropy.mean().item(), rel=1e-4)
    assert parts["entropy_std"].item() == pytest.approx(np.std(entropy.numpy(), axis=1, ddof=1).mean(), rel=1e-4)
    weights = {
        "l1": 1.0,
        "l2": 1.0,
        "perceptual": 0.7,
        "roughness": 3.0,
        "weave": 2.0,
        "weave_excess": 0.3,
        "rate": 0.5 * 0.05,
        "cross_entropy": tiny.entropy_weight,
        "partial": 0.4 * tiny.entropy_weight,
    }
    terms = {name: weights[name] * value.item() for name, value in wanted.items()}
    assert loss.item() == pytest.approx(sum(terms.values()), rel=1e-5)
    assert min(terms.values()) > 1e-3 * loss.item()


def test_terms_without_weight_are_not_computed(tiny: TrainConfig, model: TaTok, image: torch.Tensor, randomness: Randomness):
    for weights, parts in (((0.0, 1.0), {"roughness"}), ((1.0, 0.0), {"perceptual"}), ((0.0, 0.0), set())):
        config = replace(tiny, perceptual_weight=weights[0], flat_area_weight=weights[1])
        with torch.no_grad():
            loss, values = Objective(model, config, squared_error)(image, randomness, keep_all=True)
        assert {"perceptual", "roughness"} & values.keys() == parts
        rest = values["l1"] + values["l2"] + sum(values[name] for name in parts)
        rest = rest + tiny.rate_weight * values["rate"]
        rest = rest + tiny.entropy_weight * (values["cross_entropy"] + tiny.partial_weight * values["partial"])
        assert loss.item() == pytest.approx(rest.item(), rel=1e-5)


class Answers(LiteDistance):
    """Stands for the networks: a distance and a divergence of the pictures themselves."""

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)

    def forward(
        self, output: torch.Tensor, image: torch.Tensor, offset: tuple[float, float]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return (output - image).square().mean() + offset[0], (output - image).abs().mean()


def test_distance_and_divergence_weigh_each_their_own(
    tiny: TrainConfig, model: TaTok, image: torch.Tensor, randomness: Randomness
):
    def parts_and_loss(**weights: float) -> tuple[dict[str, torch.Tensor], float]:
        config = replace(tiny, flat_area_weight=0.0, perceptual_every=2, **weights)
        with torch.no_grad():
            loss, parts = Objective(model, config, Answers())(image, randomness, keep_all=True)
        return parts, loss.item()

    parts, loss = parts_and_loss(perceptual_weight=0.5, recognition_weight=3.0)
    _, without = parts_and_loss(perceptual_weight=0.0, recognition_weight=0.0)
    assert min(parts["perceptual"], parts["divergence"]) > 0.01
    wanted = 0.5 * parts["perceptual"].item() + 3 * parts["divergence"].item()
    assert loss - without == pytest.approx(wanted, rel=1e-4)


class Judge:
    """Stands for an adversary: it doubles the loss."""

    def pull(
        self, output: torch.Tensor, image: torch.Tensor, loss: torch.Tensor, last_layers: object, offset: tuple[float, float]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        return 2 * loss, {"adversary": loss.detach()}


def test_an_adversary_adds_to_the_loss_and_to_its_parts(
    tiny: TrainConfig, model: TaTok, image: torch.Tensor, randomness: Randomness
):
    with torch.no_grad():
        alone, parts = Objective(model, tiny, None)(image, randomness, keep_all=True)
        judged, more = Objective(model, tiny, None, Judge())(image, randomness, keep_all=True)
    assert judged.item() == pytest.approx(2 * alone.item())
    assert more.keys() == parts.keys() | {"adversary"}
    assert more["loss"].item() == pytest.approx(judged.item())
    assert more["adversary"].item() == pytest.approx(alone.item())


def test_the_detail_of_a_patch_is_the_variance_of_its_pixels(image: torch.Tensor):
    detail = of_training._detail(image, 16)
    pixels = image.numpy()
    for sample, row, column in ((0, 0, 0), (1, 1, 3), (7, 0, 2)):
        patch = pixels[sample, :, 16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
        assert detail[sample, 4 * row + column].item() == pytest.approx(patch.reshape(3, -1).var(1).sum(), rel=1e-4)
    assert detail[:, 8:].abs().max() < 1e-6


def test_a_crop_reaches_from_edge_to_edge(image: torch.Tensor):
    """Every place is as likely as any other: the offset's interval is cut into equal parts."""
    for offset, (top, left) in {(0.0, 0.999): (0, 8), (0.999, 0.0): (8, 0), (0.5, 0.2): (4, 1)}.items():
        assert torch.equal(of_training._crop(image, 0.875, offset), image[..., top : top + 56, left : left + 56])


def test_compiling_leaves_no_part_out(tiny: TrainConfig, model: TaTok, monkeypatch: pytest.MonkeyPatch):
    compiled: list[object] = []
    monkeypatch.setattr(torch, "compile", lambda part, dynamic: compiled.append((part, dynamic)) or part)
    monkeypatch.setattr(type(model), "compile_parts", lambda self: compiled.append("model"))
    with of_training.functorch.patch("donated_buffer", True):
        plain = Objective(model, tiny, None)
        parts = [plain._pixel_errors, plain._bits, plain._detail, plain._roughness, plain._weave]
        plain.compile_parts()
        # Every step has pictures of the same size.
        assert compiled == ["model", *((part, False) for part in parts)]
        assert of_training.functorch.donated_buffer
        Objective(model, tiny, None, Judge()).compile_parts()
        assert not of_training.functorch.donated_buffer


def test_roughness_needs_no_loss_network(tiny: TrainConfig, model: TaTok, image: torch.Tensor, randomness: Randomness):
    with torch.no_grad():
        _, values = Objective(model, replace(tiny, flat_area_weight=2.0), None)(image, randomness, keep_all=True)
    assert {"perceptual", "roughness"} & values.keys() == {"roughness"}


def test_the_rate_moves_the_encoder(tiny: TrainConfig, model: TaTok, image: torch.Tensor, randomness: Randomness):
    """The gradient grows by λ_R times that of the rate, which reaches the patches' head and not the entropy model."""
    head, entropy_head = model.encoder.patch_head.weight, model.entropy_model.head.weight

    def gradients(weight: float) -> tuple[torch.Tensor, torch.Tensor]:
        config = replace(tiny, rate_weight=weight, global_rate_scale=0.0)
        loss, _ = Objective(model, config, None)(image, randomness, keep_all=True)
        return torch.autograd.grad(loss, [head, entropy_head])

    global_position, position = model.positions(image)
    with torch.no_grad():
        codes = (model.quantizer.quantize(x) for x in (global_position, position))
        logits = model.entropy_model(*codes, torch.zeros(8, PATCHES, dtype=torch.bool))
    (of_rate,) = torch.autograd.grad(rate_bits(logits, position, model.quantizer.levels).mean(), [head])
    without, with_rate = gradients(0.0), gradients(0.1)
    assert of_rate.abs().max() > 1e-4
    assert torch.allclose(with_rate[0] - without[0], 0.1 * of_rate, rtol=1e-3, atol=1e-6)
    assert torch.allclose(with_rate[1], without[1], rtol=1e-5, atol=1e-9)


def test_cross_entropy_pulls_on_the_global_tokens_as_hard_as_its_share_of_the_rate(
    tiny: TrainConfig, model: TaTok, image: torch.Tensor, randomness: Randomness
):
    head = model.encoder.global_head.weight

    def gradient(share: float) -> torch.Tensor:
        config = replace(tiny, global_rate_scale=share, rate_weight=0.1)
        loss, _ = Objective(model, config, None)(image, randomness, keep_all=True)
        return torch.autograd.grad(loss, [head])[0]

    global_position, position = model.positions(image)
    codes = model.quantizer.quantize(global_position), model.quantizer.quantize(position).detach()
    logits = model.entropy_model(*codes, torch.zeros(8, PATCHES, dtype=torch.bool))
    (of_cross_entropy,) = torch.autograd.grad(surprisal_bits(logits, position.detach().round().int()).mean(), [head])
    assert of_cross_entropy.abs().max() > 1e-4
    assert torch.allclose(gradient(0.6) - gradient(0.0), 0.6 * 0.1 * of_cross_entropy, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_every_step_uses_the_learning_rate_of_the_schedule(files: RunFiles, tiny: TrainConfig, alone: Workers, optimizer: str):
    """Two steps of warm-up, then a cosine from the learning rate to the final one."""
    config = replace(tiny, optimizer=optimizer, steps=6, warmup_steps=2, learning_rate=4e-3, final_learning_rate=1e-3)
    trainer = Trainer(files, config, alone)
    used: list[list[float]] = [[] for _ in trainer.optimizers]
    for rates, each in zip(used, trainer.optimizers, strict=True):
        each.register_step_pre_hook(lambda o, *_, rates=rates: rates.append({g["lr"] for g in o.param_groups}))
    for _ in range(6):
        trainer.step()
    cosine = [1e-3 + 3e-3 * (1 + math.cos(math.pi * progress)) / 2 for progress in (0, 0.25, 0.5, 0.75)]
    assert len(used) == (2 if optimizer == "muon" else 1)
    for rates in used:
        assert [len(r) for r in rates] == [1] * 6
        assert [min(r) for r in rates] == pytest.approx([2e-3, 4e-3, *cosine])


@pytest.mark.parametrize(("limit", "clipped"), [(1e-3, True), (1e6, False)])
def test_a_gradient_above_the_limit_is_scaled_down_to_it(
    files: RunFiles, tiny: TrainConfig, alone: Workers, limit: float, clipped: bool
):
    trainer = Trainer(files, replace(tiny, gradient_clip=limit), alone)
    norms: list[float] = []

    def record(*_: object) -> None:
        squares = [p.grad.square().sum() for p in trainer.model.parameters() if p.grad is not None]
        norms.append(math.sqrt(sum(s.item() for s in squares)))

    trainer.optimizers[0].register_step_pre_hook(record)
    norm = trainer.step()["norm"].item()
    assert norm > 1e-2
    assert norms == pytest.approx([limit if clipped else norm], rel=1e-3)


def test_a_run_averages_the_weights_of_every_step_and_leaves_the_average(files: RunFiles, tiny: TrainConfig, alone: Workers):
    trainer = Trainer(files, replace(tiny, ema=0.9), alone)
    wanted = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    for n in range(5):
        trainer.step()
        for name, p in trainer.model.named_parameters():
            wanted[name].lerp_(p.detach(), 1 - min(0.9, (1 + n) / (10 + n)))
    trainer.save()
    state = read_checkpoint(files.checkpoint)
    left = TaTok.from_pretrained(files.out / "weights.npz").state_dict()
    for name, p in trainer.model.named_parameters():
        assert torch.allclose(state["average"][name], wanted[name], atol=1e-6), name
        assert torch.equal(state["model"][name], p), name
        assert torch.equal(left[name], state["average"][name].half().float()), name
    moved = "encoder.patch_head.weight"
    assert not np.allclose(state["average"][moved], state["model"][moved], atol=1e-4)


@pytest.fixture
def entropy_alone(tiny: TrainConfig) -> TrainConfig:
    """Every sample keeps what the filter by distortion would."""
    shares = {"keep_all_share": 0.0, "global_only_share": 0.0, "random_mask_share": 0.0, "distortion_mask_share": 1.0}
    return replace(tiny, trained_part="entropy", partial_weight=0.4, full_token_phase=0.0, **shares)


def test_the_entropy_model_alone_learns_of_the_sets_that_the_filter_keeps(
    entropy_alone: TrainConfig, model: TaTok, image: torch.Tensor, randomness: Randomness
):
    """Kept patches are those of most ĥ times the error that they save, by the filter's own NumPy."""
    visible: list[torch.Tensor] = []
    hook = model.entropy_model.register_forward_hook(lambda _, given, output: visible.append(given[2]))
    loss, parts = Objective(model, entropy_alone, squared_error)(image, randomness, keep_all=False)
    hook.remove()
    nothing, kept = visible
    assert not nothing.any()
    with torch.no_grad():
        global_position, position = model.positions(image)
        global_codes, codes = (model.quantizer.quantize(x) for x in (global_position, position))
        levels = position.round().int()
        logits = model.entropy_model(global_codes, codes, nothing)
        filling = model.quantizer.expectation(logits)
        hidden, floor = (
            (model.decoder(global_codes, codes, filling, keep) - image).square().unflatten(3, (4, 16)).unflatten(2, (4, 16))
            for keep in (nothing, ~nothing)
        )
        given_kept = model.entropy_model(global_codes, codes, kept)
    errors = [x.mean((1, 3, 5)).flatten(1).numpy() for x in (hidden, floor)]
    entropies = entropy_bits(logits).numpy()
    for i in range(len(image)):
        worth = distortion_weights(errors[0][i], errors[1][i], np.zeros(PATCHES, bool)) * entropies[i]
        count = int(kept[i].sum())
        assert sorted(np.flatnonzero(kept[i])) == sorted(np.argsort(-worth, kind="stable")[:count])
    assert 0 < kept.sum() < kept.numel()
    cross_entropy = surprisal_bits(logits, levels).mean()
    partial = surprisal_bits(given_kept, levels)[~kept].mean()
    assert loss.item() == pytest.approx((cross_entropy + 0.4 * partial).item(), rel=1e-5)
    assert parts["bias"].item() == pytest.approx(entropy_bits(given_kept)[~kept].mean().item() - partial.item(), abs=1e-3)


def test_the_entropy_model_alone_is_trained_and_its_cross_entropy_falls(
    files: RunFiles, entropy_alone: TrainConfig, model: TaTok, alone: Workers, tmp_path: Path
):
    save_weights(tmp_path / "first.npz", TINY_MODEL, model.state_dict())
    trainer = Trainer(replace(files, start_from=tmp_path / "first.npz"), entropy_alone, alone)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    seen = [trainer.step() for _ in range(entropy_alone.steps)]
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, before[name]) != name.startswith("entropy_model."), name
    first, last = (sum(float(parts["partial"]) for parts in some) / 5 for some in (seen[:5], seen[-5:]))
    assert last < 0.9 * first


def test_a_part_alone_needs_weights_to_start_from(files: RunFiles, entropy_alone: TrainConfig, alone: Workers):
    with pytest.raises(ValueError, match="--start-from"):
        Trainer(files, entropy_alone, alone)


def test_a_part_that_is_not_there_is_refused(entropy_alone: TrainConfig):
    with pytest.raises(ValueError, match="it is one of all, decoder, entropy"):
        replace(entropy_alone, trained_part="encoder")
    with pytest.raises(ValueError, match="has no entropy model"):
        replace(entropy_alone, model=replace(TINY_MODEL, entropy_layers=0))
