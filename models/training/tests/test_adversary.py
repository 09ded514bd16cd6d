"""The second stage: the decoder alone, and an adversary that it follows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tatok.bundle.export import export_bundle, round_weights
from tatok.config import TINY_MODEL, TrainConfig
from tatok.features import EfficientNetLite
from tatok.tokenizer import TaTok
from tatok.training.adversary import Adversary, Discriminator, Judge
from tatok.training.distributed import Workers
from tatok.training.objective import Objective, Randomness
from tatok.training.train import RunFiles, Trainer, train
from tatok.weights import save_weights

MODEL = replace(TINY_MODEL, refinement_width=8)


@pytest.fixture
def second(tiny: TrainConfig) -> TrainConfig:
    return replace(
        tiny,
        model=MODEL,
        trained_part="decoder",
        adversary_weight=0.5,
        adversary_sees="pixels",
        adversary_every=2,
        adversary_warmup_steps=2,
    )


@pytest.fixture
def trained(pack: Path, tmp_path: Path) -> RunFiles:
    """A run that starts from weights none of which is zero."""
    torch.manual_seed(0)
    model = TaTok(MODEL)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    save_weights(tmp_path / "first.safetensors", MODEL, model.state_dict())
    (tmp_path / "run").mkdir()
    return RunFiles(pack, tmp_path / "run", start_from=tmp_path / "first.safetensors")


def a_batch(count: int = 8) -> tuple[Tensor, Randomness]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 3, 64, 64, generator=generator) * 2 - 1, Randomness.make(count, MODEL.patch_tokens, generator)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_the_decoder_alone_is_trained(trained: RunFiles, second: TrainConfig, alone: Workers, optimizer: str):
    trainer = Trainer(trained, replace(second, optimizer=optimizer), alone)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    for _ in range(5):
        parts = trainer.step()
    for state in (trainer.model.state_dict(), trainer.average.module.state_dict()):
        for name, value in state.items():
            assert torch.equal(value, before[name]) != name.startswith("decoder."), name
    assert {"adversary", "adaptive_weight", "discriminator", "lecam", "real_accuracy", "fake_accuracy"} <= parts.keys()
    assert all(value.isfinite() for value in parts.values())


def test_nothing_is_recorded_for_what_comes_before_the_decoder(trained: RunFiles, second: TrainConfig, alone: Workers):
    """Nothing is differentiated there, and the decoder's inputs need no gradient."""
    trainer = Trainer(trained, second, alone)
    given: list[Tensor | None] = []
    trainer.model.decoder.register_forward_pre_hook(lambda _, inputs: given.extend(inputs))
    recorded: list[bool] = []
    for part in (trainer.model.encoder, trainer.model.entropy_model):
        part.blocks[0].register_forward_pre_hook(lambda *_: recorded.append(torch.is_grad_enabled()))
    trainer.step()
    assert recorded == [False] * 3
    assert len(given) == 4
    assert not any(x.requires_grad for x in given)


def test_the_loss_of_the_decoder_alone_is_that_of_its_pictures(trained: RunFiles, second: TrainConfig, alone: Workers):
    config = replace(second, adversary_weight=0.0, flat_area_weight=2.0)
    trainer = Trainer(trained, config, alone)
    assert trainer.adversary is None
    loss, parts = trainer.objective(*a_batch(), False)
    assert loss.item() == pytest.approx((parts["l1"] + parts["l2"] + 2 * parts["roughness"]).item(), rel=1e-6)
    whole = Objective(trainer.model.requires_grad_(True), replace(config, trained_part="all"), None)
    assert all(torch.allclose(parts[name], value) for name, value in whole(*a_batch(), False)[1].items() if name != "loss")


@pytest.mark.parametrize("limit", [1e6, 0.01])
def test_the_adaptive_weight_is_the_ratio_of_gradients_at_the_last_layers(
    trained: RunFiles, second: TrainConfig, alone: Workers, limit: float
):
    """And the gradient that reaches the decoder is that of the sum, as differentiating it as a whole gives."""
    config = replace(second, adversary_warmup_steps=0, adversary_limit=limit)
    trainer = Trainer(trained, config, alone)
    trainer.step()
    image, randomness = a_batch()
    decoder, discriminator = trainer.model.decoder, trainer.adversary.discriminator
    outputs: list[Tensor] = []
    hook = decoder.register_forward_hook(lambda _, inputs, output: outputs.append(output))
    plain, parts = Objective(trainer.model, replace(config, adversary_weight=0.0), None)(image, randomness, False)
    hook.remove()
    top, left = (int(o * 9) for o in randomness.offset)
    term = -discriminator.judges[0].layers(outputs[0][::2, :, top : top + 56, left : left + 56]).mean()
    layers = [decoder.head[8].conv.weight, decoder.refine[3].weight]
    of_plain, of_term = (torch.autograd.grad(x, layers, retain_graph=True) for x in (plain, term))
    norms = [np.sqrt(sum(g.square().sum().item() for g in gradients)) for gradients in (of_plain, of_term)]
    ratio = min(norms[0] / norms[1], limit)
    assert (ratio == limit) == (limit == 0.01)
    wanted = torch.autograd.grad(plain + 0.5 * ratio * term, list(decoder.parameters()))

    loss, parts = trainer.objective(image, randomness, False)
    assert parts["adaptive_weight"].item() == pytest.approx(ratio, rel=1e-4)
    assert parts["adversary"].item() == pytest.approx(term.item(), rel=1e-4)
    assert loss.item() == pytest.approx((plain + 0.5 * ratio * term).item(), rel=1e-4)
    loss.backward()
    for parameter, gradient in zip(decoder.parameters(), wanted, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-6)
    assert all(p.grad is None and p.requires_grad for p in discriminator.parameters())


def test_the_decoder_follows_the_adversary_after_its_warm_up(trained: RunFiles, second: TrainConfig, alone: Workers):
    trainer = Trainer(trained, second, alone)
    parts = [trainer.step() for _ in range(4)]
    assert ["adversary" in p for p in parts] == [False, False, True, True]
    assert all("discriminator" in p for p in parts)


@pytest.mark.parametrize("sees", ["features", "pixels", "both"])
def test_the_adversary_learns_to_tell(second: TrainConfig, alone: Workers, photograph: np.ndarray, sees: str):
    config = replace(second, adversary_sees=sees, adversary_every=1, adversary_learning_rate=1e-3)
    torch.manual_seed(0)
    adversary = Adversary(config, alone)
    image = torch.from_numpy(photograph[:64, :128].copy()).permute(2, 0, 1)[None] / 127.5 - 1
    image = torch.cat(image.split(64, 3))
    blurred = torch.nn.functional.avg_pool2d(image, 5, 1, 2)
    losses, accuracies = [], []
    for _ in range(40):
        adversary.pull(blurred, image, image.new_zeros(()), [], (0.5, 0.5))
        parts = adversary.learn()
        losses.append(parts["discriminator"].item())
        accuracies.append((parts["real_accuracy"] + parts["fake_accuracy"]).item() / 2)
    assert losses[-1] < 0.5 * losses[0]
    assert accuracies[-1] > 0.9 > accuracies[0]
    assert len(adversary.discriminator.judges) == {"features": 4, "pixels": 1, "both": 5}[sees]


def test_features_are_those_of_the_frozen_network(second: TrainConfig, alone: Workers):
    """From a quarter of the resolution on, with half of the say, whatever their number."""
    adversary = Adversary(replace(second, adversary_sees="both", adversary_warmup_steps=0, adversary_every=1), alone)
    output = (torch.rand(2, 3, 64, 64) * 2 - 1).requires_grad_()
    layer = torch.nn.Parameter(torch.ones(()))
    scaled = output * layer
    _, parts = adversary.pull(scaled, torch.zeros(2, 3, 64, 64), scaled.square().mean(), [layer], (0.0, 0.99))
    seen = output.detach()[..., :56, 8:]
    views = EfficientNetLite(1)(seen)[0][1:]
    assert [view.shape[1] for view in views] == [24, 40, 112, 1280]
    with torch.no_grad():
        of_features = [j(v).mean().item() for j, v in zip(adversary.discriminator.judges[:4], views, strict=True)]
        of_pixels = adversary.discriminator.judges[4](seen).mean().item()
    assert parts["adversary"].item() == pytest.approx(-(np.mean(of_features) + of_pixels) / 2, rel=1e-4)


def test_the_loss_of_the_judges_is_hinge_and_lecam():
    """On given answers: two judges, of which each adds its number to a mean."""

    class Fixed(Judge):
        def __init__(self, shift: float) -> None:
            super().__init__([])
            self.shift = shift

        def forward(self, x: Tensor) -> Tensor:
            return x + self.shift

    discriminator = Discriminator([Fixed(0.0), Fixed(0.5)], lecam_weight=0.1)
    discriminator.answers.copy_(torch.tensor([[0.4, 0.6], [-0.2, -0.3]]))
    real, fake = torch.tensor([2.0, 0.3]), torch.tensor([-0.4, 0.7])
    loss, parts = discriminator([real, real], [fake, fake])
    hinges, lecams = [], []
    for shift, of_real, of_fake in ((0.0, 0.4, -0.2), (0.5, 0.6, -0.3)):
        r, f = real.numpy() + shift, fake.numpy() + shift
        hinges.append(np.maximum(0, 1 - r).mean() + np.maximum(0, 1 + f).mean())
        lecams.append((np.maximum(0, r - of_fake) ** 2).mean() + (np.maximum(0, of_real - f) ** 2).mean())
    assert parts["discriminator"].item() == pytest.approx(np.mean(hinges))
    assert parts["lecam"].item() == pytest.approx(np.mean(lecams))
    assert loss.item() == pytest.approx(np.mean(hinges) + 0.1 * np.mean(lecams))
    assert parts["real_accuracy"].item() == 1
    assert parts["fake_accuracy"].item() == 0.25
    wanted = [[0.4 + 0.01 * (1.15 - 0.4), 0.6 + 0.01 * (1.65 - 0.6)], [-0.2 + 0.01 * 0.35, -0.3 + 0.01 * 0.95]]
    assert torch.allclose(discriminator.answers, torch.tensor(wanted))


def test_a_second_stage_resumes_exactly_and_is_exported(trained: RunFiles, second: TrainConfig, alone: Workers, tmp_path: Path):
    trainer = Trainer(trained, second, alone)
    for _ in range(3):
        trainer.step()
    trainer.save()
    resumed = Trainer(trained, second, alone)
    for _ in range(2):
        trainer.step(), resumed.step()
    for a, b in ((trainer.model, resumed.model), (trainer.adversary.discriminator, resumed.adversary.discriminator)):
        for name, value in a.state_dict().items():
            assert torch.equal(value, b.state_dict()[name]), name
    description = {"name": "tiny", "version": "1", "description": "a test", "licence": "MIT", "defaults": {}, "training": {}}
    export_bundle(TaTok.from_pretrained(trained.checkpoint), tmp_path / "bundle", description, {"referenceBudgetBits": 100.0})
    bundle = TaTok.from_pretrained(tmp_path / "bundle")
    first = round_weights(TaTok.from_pretrained(trained.start_from))
    image = a_batch(1)[0] / 2 + 0.5
    tokens, of_first = bundle.encode(image), first.encode(image)
    assert torch.equal(tokens.patch_codes, of_first.patch_codes)
    assert torch.equal(tokens.global_codes, of_first.global_codes)
    assert (bundle.decode(tokens) != first.decode(tokens)).any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"trained_part": "all"}, "an adversary trains the decoder alone"),
        ({"adversary_sees": "phases"}, "it is one of features, pixels, both"),
        ({"adversary_every": 0}, "its range is 1 or more"),
    ],
)
def test_an_adversary_that_cannot_be_is_refused(second: TrainConfig, options: dict, words: str):
    with pytest.raises(ValueError, match=words):
        replace(second, **options)


def test_a_decoder_alone_needs_weights_to_start_from(trained: RunFiles, second: TrainConfig):
    with pytest.raises(ValueError, match="--start-from"):
        train(replace(trained, start_from=None), second)


def test_bfloat16_trains_the_same_decoder(trained: RunFiles, second: TrainConfig, alone: Workers):
    """Autocast, as a GPU has it, changes the ratio by its rounding alone."""
    trainer = Trainer(trained, replace(second, adversary_warmup_steps=0, adversary_sees="both"), alone)
    trainer.step()
    _, exact = trainer.objective(*a_batch(), False)
    with torch.autocast("cpu", torch.bfloat16):
        loss, rounded = trainer.objective(*a_batch(), False)
        loss.backward()
    assert rounded["adaptive_weight"].item() == pytest.approx(exact["adaptive_weight"].item(), rel=0.1)
    assert all(p.grad.isfinite().all() for p in trainer.model.decoder.parameters())
    with torch.autocast("cpu", torch.bfloat16):
        assert trainer.adversary.learn()["discriminator"].isfinite()
