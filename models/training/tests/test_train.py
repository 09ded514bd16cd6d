import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tatok.bench.profile import kind_of, profile
from tatok.cli import main
from tatok.config import TINY_MODEL, TrainConfig, with_overrides
from tatok.model import entropy_bits
from tatok.tokenizer import TaTok
from tatok.training.checkpoint import start_from
from tatok.training.distributed import Workers
from tatok.training.objective import Objective, Randomness
from tatok.training.optimizer import learning_rate, moving_average
from tatok.training.train import RunFiles, Trainer, train
from tatok.weights import read_checkpoint, save_weights


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_steps_decrease_the_loss(files: RunFiles, tiny: TrainConfig, alone: Workers, optimizer: str):
    trainer = Trainer(files, with_overrides(tiny, {"optimizer": optimizer, "steps": 400}), alone)
    images = trainer.source.batch(8, trainer.generator.manual_seed(1))
    randomness = Randomness.make(8, tiny.model.patch_tokens, trainer.generator)

    def loss() -> float:
        with torch.no_grad():
            return trainer.objective(images, randomness, True)[0].item()

    before = loss()
    for _ in range(12):
        trainer.step()
    assert loss() < before


def test_resume_is_exact(files: RunFiles, tiny: TrainConfig, alone: Workers):
    trainer = Trainer(files, tiny, alone)
    for _ in range(4):
        trainer.step()
    trainer.save()
    for _ in range(4):
        trainer.step()
    resumed = Trainer(files, tiny, alone)
    assert resumed.step_number == 4
    for _ in range(4):
        resumed.step()
    for a, b in zip(trainer.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b)
    for a, b in zip(trainer.average.parameters(), resumed.average.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("request_", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_asked_to_end_leaves_a_checkpoint_that_goes_on(pack: Path, tmp_path: Path, request_: signal.Signals):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "tatok", "train", pack, "--out", out, "--preset", "tiny", "--batch", "4"]
    command += ["--seed", "3", "--perceptual", "none"]
    with subprocess.Popen([*command, "--steps", "100000"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["step"] == 50
        process.send_signal(request_)
        assert process.wait(timeout=60) == 0
    stopped = read_checkpoint(out / "checkpoint.pt")["step"]
    assert 50 <= stopped < 100000
    assert TaTok.from_pretrained(out / "weights.npz").config == TINY_MODEL
    subprocess.run([*command, "--max-seconds", "0"], check=True, stdout=subprocess.DEVNULL, timeout=60)
    assert read_checkpoint(out / "checkpoint.pt")["step"] == (stopped // 10 + 1) * 10


def test_checkpoints_are_left_on_the_way(files: RunFiles, tiny: TrainConfig, monkeypatch: pytest.MonkeyPatch):
    saved: list[int] = []
    for name in ("begin_saving", "save"):
        monkeypatch.setattr(Trainer, name, lambda trainer: saved.append(trainer.step_number))
    train(files, with_overrides(tiny, {"steps": 7, "checkpoint_every": 3}))
    assert saved == [3, 6, 7]


def test_a_new_schedule_starts_from_averaged_weights(files: RunFiles, tiny: TrainConfig, alone: Workers, tmp_path: Path):
    train(files, with_overrides(tiny, {"steps": 2}))
    weights = files.out / "weights.npz"
    started = Trainer(RunFiles(files.data, tmp_path / "new", start_from=weights), tiny, alone)
    assert started.step_number == 0
    wanted = read_checkpoint(files.checkpoint)["average"]
    for name, parameter in started.model.named_parameters():
        assert torch.allclose(parameter, wanted[name], atol=2e-3)
    assert TaTok.from_pretrained(weights).config == tiny.model


def test_two_processes_train_one_model(pack: Path, tmp_path: Path, tiny: TrainConfig):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "tatok", "train"]
    options = ["--preset", "tiny", "--steps", "60", "--batch", "4", "--warmup-steps", "5", "--perceptual", "none"]
    out = tmp_path / "run"
    environment = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run([*command, pack, "--out", out, *options], check=True, env={**os.environ, **environment}, timeout=300)
    state = read_checkpoint(out / "checkpoint.pt")
    assert state["step"] == 60
    assert TrainConfig.from_dict(state["config"]).model == tiny.model
    entries = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in entries] == [50]


def test_kept_masks_follow_the_recipe(tiny: TrainConfig, model: TaTok):
    """All, none, drawn, by entropy times variance, or by entropy, as the draw of a sample's kind says."""
    objective = Objective(model, tiny, None)
    none = tiny.keep_all_share + tiny.global_only_share
    random = none + (1 - none) * tiny.random_mask_share
    randomness = Randomness.make(5, 16, torch.Generator().manual_seed(1))
    randomness.kind = torch.tensor([0.0, none - 0.01, random - 0.01, random + 0.01, 0.99])
    randomness.share = torch.tensor([0.1, 0.9, 0.5, 0.5, 0.5])
    entropy, detail = torch.rand(5, 16), torch.rand(5, 16)
    keep = objective.kept_mask(entropy, detail, randomness, keep_all=False)
    assert keep.sum(1).tolist() == [16, 0, 4, 4, 4]
    for sample, scores in ((2, randomness.scores), (3, entropy * detail), (4, entropy)):
        assert set(keep[sample].nonzero().flatten().tolist()) == set(scores[sample].topk(4).indices.tolist())
    assert objective.kept_mask(entropy, detail, randomness, keep_all=True).all()


def test_every_kind_of_mask_begins_where_the_one_before_it_ends(tiny: TrainConfig, model: TaTok):
    """With shares that are exact in binary, so that a draw may be the very border."""
    shares = {"keep_all_share": 0.25, "global_only_share": 0.25, "random_mask_share": 0.5, "distortion_mask_share": 0.25}
    objective = Objective(model, replace(tiny, **shares), None)
    randomness = Randomness.make(5, 16, torch.Generator().manual_seed(2))
    randomness.kind, randomness.share = torch.tensor([0.0, 0.25, 0.5, 0.75, 0.875]), torch.full((5,), 0.5)
    entropy, detail = torch.rand(5, 16), torch.rand(5, 16)
    keep = objective.kept_mask(entropy, detail, randomness, keep_all=False)
    assert keep.sum(1).tolist() == [16, 0, 4, 4, 4]
    for sample, scores in ((2, randomness.scores), (3, entropy * detail), (4, entropy)):
        assert set(keep[sample].nonzero().flatten().tolist()) == set(scores[sample].topk(4).indices.tolist())


def test_the_loss_network_sees_another_crop_every_step(files: RunFiles, tiny: TrainConfig, alone: Workers):
    seen: list[torch.Tensor] = []

    class Recorder:
        def __call__(self, output: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
            seen.append(image)
            return (output - image).square().mean((1, 2, 3))

    trainer = Trainer(files, with_overrides(tiny, {"perceptual_crop": 0.875}), alone)
    trainer.objective._perceptual = (Recorder(),)
    image = torch.rand(8, 3, 64, 64)
    generator = torch.Generator()
    for seed in range(20):
        trainer.objective(image, Randomness.make(8, 16, generator.manual_seed(seed)), keep_all=True)
    windows = image[:: tiny.perceptual_every].unfold(2, 56, 1).unfold(3, 56, 1)
    places = {
        (top, left) for crop in seen for top in range(9) for left in range(9) if torch.equal(windows[:, :, top, left], crop)
    }
    assert len(seen) == 20
    assert len(places) > 10


def test_the_average_is_the_recurrence_that_checkpoints_were_written_by():
    """a ← a + (1 − min(ema, (1 + n) / (10 + n)))·(w − a) from the initial weights on, also after a resumption."""
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    average, wanted = moving_average(model, 0.5), [p.detach().clone() for p in model.parameters()]
    for n in range(14):
        if n == 6:
            resumed = moving_average(model, 0.5, steps=6)
            resumed.module.load_state_dict(average.module.state_dict())
            average = resumed
        with torch.no_grad():
            for weights, mean in zip(model.parameters(), wanted, strict=True):
                weights.add_(torch.randn_like(weights))
                torch._foreach_lerp_([mean], [weights], 1 - min(0.5, (1 + n) / (10 + n)))
        average.update_parameters(model)
        assert all(torch.equal(a, b) for a, b in zip(average.parameters(), wanted, strict=True)), n


def test_learning_rate_warms_up_and_decays(tiny: TrainConfig):
    rates = [learning_rate(step, tiny) for step in range(tiny.steps + 1)]
    assert rates[0] == pytest.approx(tiny.learning_rate / tiny.warmup_steps)
    assert max(rates) == pytest.approx(tiny.learning_rate)
    assert rates[-1] == pytest.approx(tiny.final_learning_rate)


@pytest.mark.parametrize(("share", "some"), [(0.05, 1), (0.25, 2), (0.375, 3), (0.5, 4)])
def test_a_share_of_a_batch_is_filled_given_the_kept_patches(
    files: RunFiles, tiny: TrainConfig, alone: Workers, share: float, some: int
):
    """The decoder sees sequential conditioning there: a subset, drawn or a filter's, and expectations given it."""
    trainer = Trainer(files, replace(tiny, keep_all_share=1.0, partial_share=share), alone)
    model, seen = trainer.model, []
    model.decoder.register_forward_pre_hook(lambda _, given: seen.append(given))
    image = torch.rand(8, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    randomness = Randomness.make(8, 16, torch.Generator().manual_seed(1))
    trainer.objective(image, randomness, keep_all=False)
    ((global_codes, patch_codes, expected, keep),) = seen
    drawn = randomness.visible < randomness.visible_share[:, None].square()
    of_draw = (some + 1) // 2
    assert torch.equal(keep[:of_draw], drawn[:of_draw])
    assert not keep[:of_draw].all(1).any()
    assert keep[of_draw:].all()
    for part, given in ((slice(0, some), keep[:some]), (slice(some, 8), torch.zeros(8 - some, 16, dtype=torch.bool))):
        logits = model.entropy_model(global_codes[part], patch_codes[part], given)
        assert torch.allclose(expected[part], model.quantizer.expectation(logits), atol=1e-5)
    trainer.objective(image, randomness, keep_all=True)
    assert seen[1][3].all()


@pytest.mark.parametrize(("batch", "every"), [(32, 1), (32, 2), (32, 3), (32, 4), (64, 8)])
def test_the_loss_network_sees_every_kind_of_fill(tiny: TrainConfig, model: TaTok, batch: int, every: int):
    """Given G and a drawn subset, given G and what a filter chose, and given G alone. Here a filter chooses everything."""
    objective = Objective(model, replace(tiny, keep_all_share=1.0, perceptual_every=every), None)
    seen: list[torch.Tensor] = []
    hook = model.decoder.register_forward_pre_hook(lambda _, given: seen.append(given[3]))
    randomness = Randomness.make(batch, 16, torch.Generator().manual_seed(1))
    with torch.no_grad():
        objective(torch.rand(batch, 3, 64, 64) * 2 - 1, randomness, keep_all=False)
    hook.remove()
    drawn = (randomness.visible < randomness.visible_share[:, None].square())[::every]
    kept = seen[0][::every]
    quarter = -(-batch // 4 // every)
    of_quarter = ["drawn" if torch.equal(k, d) else "chosen" for k, d in zip(kept[:quarter], drawn[:quarter], strict=True)]
    assert set(of_quarter) == {"drawn", "chosen"}
    assert len(kept) > quarter


def test_a_new_schedule_starts_only_from_weights_of_its_shape(model: TaTok, tmp_path: Path):
    weights = tmp_path / "weights.npz"
    save_weights(weights, TINY_MODEL, model.state_dict())
    fresh = TaTok(TINY_MODEL)
    start_from(fresh, weights)
    assert torch.equal(fresh.encoder.query, model.encoder.query.half().float())
    with pytest.raises(ValueError, match="are not this preset's"):
        start_from(TaTok(replace(TINY_MODEL, global_tokens=2)), weights)


def test_a_new_schedule_may_have_more_quantiser_dimensions(model: TaTok, tmp_path: Path):
    """The weights compute the same as before: the new dimensions have no influence yet."""
    weights, config = tmp_path / "weights.npz", replace(TINY_MODEL, levels=(8, 8, 8, 8))
    torch.manual_seed(0)
    old = TaTok(config).eval()
    save_weights(weights, config, old.state_dict())
    old = TaTok.from_pretrained(weights)
    new = TaTok(TINY_MODEL).eval()
    start_from(new, weights)
    image = torch.rand(2, 3, 64, 64) * 2 - 1
    hidden = torch.zeros(2, 16, dtype=torch.bool)
    with torch.no_grad():
        raw, more = old.encoder(image), new.encoder(image)
        codes = [old.quantizer.quantize(old.quantizer.bound(r)) for r in raw]
        more_codes = [new.quantizer.quantize(new.quantizer.bound(r)) for r in more]
        assert torch.equal(more_codes[1][..., :4], codes[1])
        logits, more_logits = old.entropy_model(*codes, hidden), new.entropy_model(*more_codes, hidden)
        assert torch.allclose(more_logits[:, :, :4], logits, atol=1e-5)
        assert torch.allclose(entropy_bits(more_logits), entropy_bits(logits) + 4, atol=1e-4)
        assert torch.allclose(new.decoder(*more_codes), old.decoder(*codes), atol=1e-5)


@pytest.mark.parametrize("option", ["Muon", "sgd"])
def test_an_optimizer_that_does_not_exist_is_refused(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(ValueError, match=f"'{option}': there are adamw and muon"):
        TrainConfig(optimizer=option)
    with pytest.raises(SystemExit):
        main(["train", str(tmp_path), "--out", str(tmp_path), "--optimizer", option])
    assert "Expected one of ('adamw', 'muon')" in " ".join(capsys.readouterr().err.replace("│", " ").split())


@pytest.mark.parametrize("weight", [0.0, -1.0])
def test_an_entropy_model_must_be_trained(tiny: TrainConfig, weight: float):
    with pytest.raises(ValueError, match="leaves the entropy model untrained"):
        replace(tiny, entropy_weight=weight)
    replace(tiny, entropy_weight=0.0, model=replace(TINY_MODEL, entropy_layers=0))


def test_a_profile_is_of_the_steps_that_a_run_has(
    files: RunFiles, tiny: TrainConfig, alone: Workers, monkeypatch: pytest.MonkeyPatch
):
    """Of the checkpoint's batch, and of the phase in which tokens are dropped."""
    config = replace(tiny, batch=4, full_token_phase=0.5)
    Trainer(files, config, alone).save()
    phases: list[bool] = []
    forward = Objective.forward

    def record(
        self: Objective, image: torch.Tensor, randomness: Randomness, keep_all: bool, rate_share: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        phases.append(keep_all)
        return forward(self, image, randomness, keep_all, rate_share)

    monkeypatch.setattr(Objective, "forward", record)
    text = profile(files, config, compile_model=False, warm_up=1, timed=1, traced=1)
    assert text.startswith("One training step of 4 crops on ")
    assert phases == [False] * 3


def test_profile_tells_rate_kinds_and_kernels(files: RunFiles, tiny: TrainConfig):
    text = profile(files, tiny, compile_model=False, warm_up=1, timed=1, traced=1)
    assert re.match(rf"One training step of {tiny.batch} crops on \d+ CPU threads, .* crops a second over 1 steps\.", text)
    kinds, kernels = text.split("ms        calls  kernel\n")
    assert "convolutions" in kinds
    assert "aten::" in kernels
    total = float(re.search(r"([\d.]+) in all", kinds).group(1))
    shares = [float(line.split()[0]) for line in kinds.splitlines() if line.count("%")]
    assert sum(shares) == pytest.approx(total, abs=0.2)


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        ("nvjet_sm90_tst_192x192_64x3_2x1_v_bz_coopB_NNN", "products of matrices"),
        ("cudnn_generated_fort_native_sdpa_sm90_flash_bprop_wgmma_f16_knob_26", "attention"),
        ("sm90_xmma_wgrad_indexed_implicit_gemm_bf16bf16_bf16f32_f32_nhwckrsc_nhwc", "convolutions"),
        ("triton_per_fused__to_copy_native_layer_norm_0", "compiled: layer norms"),
        ("triton_poi_fused__to_copy_convolution_silu_24", "compiled: other"),
        ("Memset (Device)", "other"),
    ],
)
def test_kinds_of_kernels(kernel: str, kind: str):
    assert kind_of(kernel) == kind


def test_a_refinement_stage_begins_by_adding_nothing(model: TaTok, tmp_path: Path):
    save_weights(tmp_path / "weights.npz", model.config, model.state_dict())
    model = TaTok.from_pretrained(tmp_path / "weights.npz")
    refined = TaTok(replace(TINY_MODEL, refinement_width=8))
    start_from(refined, tmp_path / "weights.npz")
    codes = [torch.rand(2, n, len(TINY_MODEL.levels)) * 2 - 1 for n in (TINY_MODEL.global_tokens, TINY_MODEL.patches)]
    with torch.no_grad():
        before, after = model.decoder(*codes), refined.decoder(*codes)
    assert torch.allclose(before, after, atol=1e-6)
    refined.decoder.grain[0].strength.bias.data.fill_(1)
    with torch.no_grad():
        assert not torch.allclose(before, refined.decoder(*codes), atol=1e-2)


def test_the_rate_rises_to_its_weight(files: RunFiles, tiny: TrainConfig, alone: Workers):
    trainer = Trainer(files, replace(tiny, steps=4, rate_start=0.2, rate_ramp=0.5), alone)
    shares: list[float] = []
    trainer.objective.register_forward_pre_hook(lambda _, inputs: shares.append(inputs[3].item()))
    for _ in range(4):
        trainer.step()
    assert shares == pytest.approx([0.2, 0.6, 1.0, 1.0])


def test_bits_of_smooth_patches_cost_more_where_the_price_follows_detail(tiny: TrainConfig, model: TaTok):
    """Halves of one image: the same bits, so that the rate's mean differs by the price alone."""
    generator = torch.Generator().manual_seed(0)
    randomness = Randomness.make(4, TINY_MODEL.patch_tokens, generator)
    image = torch.rand(4, 3, 64, 64, generator=generator) * 2 - 1
    rates = {}
    for exponent in (0.0, 0.3):
        config = replace(tiny, rate_detail_exponent=exponent)
        objective = Objective(model, config, None)
        objective._detail = lambda image, patch: torch.tensor([1e-4, 1.0]).repeat(4, TINY_MODEL.patch_tokens // 2)
        prices: list[torch.Tensor] = []
        bits = objective._bits
        objective._bits = lambda *a, bits=bits, prices=prices: prices.append(bits(*a).rate) or bits(*a)
        rates[exponent] = objective(image, randomness, True)[1]["rate"].item()
        rate = prices[0].detach()
    assert rates[0.0] == pytest.approx(rate.mean().item(), rel=1e-5)
    price = torch.tensor([(1e-4 + 1e-3) ** -0.3, 1.001**-0.3])
    wanted = (rate.unflatten(1, (-1, 2)).mean((0, 1)) * price / price.mean()).mean()
    assert rates[0.3] == pytest.approx(wanted.item(), rel=1e-5)
