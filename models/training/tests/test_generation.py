"""Generators: the network, what it is trained on, what is drawn from it, and its figures."""

import json
import math
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from conftest import SAMPLES
from PIL import Image
from scipy.stats import chisquare
from test_bundle import MANIFEST, MEASURED
from torchmetrics.image.fid import FrechetInceptionDistance

from tatok.bundle.export import export_bundle
from tatok.cli import main
from tatok.config import TINY_MODEL, ModelConfig
from tatok.evaluation.feature_sets import frechet_distance, nearest, precision_recall
from tatok.generation.baselines import IndependentCodes, unrelated
from tatok.generation.config import SIZES, GeneratorConfig
from tatok.generation.export import INPUTS, export_generator
from tatok.generation.network import CachedDecoder, Gpt, SequenceShape, by_uniform
from tatok.generation.sampling import Draw, Generator, kept_patches, patch_bits, sample_patches
from tatok.generation.training import GeneratorTrainer, Sequences, mean_bits
from tatok.tokenizer import TaTok, Tokens
from tatok.training.distributed import Workers

TOY = ModelConfig(
    image_size=32,
    global_tokens=2,
    levels=(3, 2),
    width=16,
    heads=2,
    encoder_layers=1,
    entropy_layers=1,
    decoder_layers=1,
    stem_widths=(8, 8),
    head_widths=(8, 8, 4),
)
"""Six codes, two global tokens and four patches: every sequence can be counted."""


def sharpened(module: torch.nn.Module, scale: float = 0.6) -> torch.nn.Module:
    """Weights so large that nothing is near to uniform."""
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim > 1:
                parameter.add_(torch.randn_like(parameter) * scale)
    return module.eval()


@pytest.fixture(scope="module")
def toy() -> TaTok:
    torch.manual_seed(2)
    return sharpened(TaTok(TOY), 0.8)


@pytest.fixture(scope="module")
def network() -> Gpt:
    torch.manual_seed(0)
    return sharpened(Gpt(SIZES["tiny"], SequenceShape((3, 2), 2, classes=3)), 0.3)


def every_sequence(network: Gpt) -> torch.Tensor:
    """All of two tokens, [36, 2, 2] levels."""
    tokens = list(product(range(3), range(2)))
    return torch.tensor(list(product(tokens, repeat=2)))


def test_probabilities_of_all_sequences_sum_to_one(network: Gpt):
    levels = every_sequence(network)
    for label in range(4):
        p = torch.exp2(-network.bits(levels, torch.full((36,), label)))
        assert p.sum().item() == pytest.approx(1, abs=1e-5)
        assert p.max() > 3 * p.min()


def test_the_cache_and_the_whole_sequence_agree():
    """Greedy tokens are the likeliest given those before, also within a token; and no token looks ahead."""
    torch.manual_seed(1)
    network = sharpened(Gpt(SIZES["tiny"], SequenceShape((8, 8, 4), 9, classes=2)), 0.1)
    labels = torch.tensor([1, 0, 2])
    decoder = CachedDecoder(network, 3, 9)
    levels = decoder.decode(labels).clone()
    with torch.no_grad():
        assert torch.equal(network(levels, labels).argmax(-1), levels)
        changed = levels.clone()
        changed[:, 4, 1] = (changed[:, 4, 1] + 1) % 8
        a, b = network(levels, labels), network(changed, labels)
    assert torch.equal(a[:, :4], b[:, :4])
    assert torch.equal(a[:, 4, :2], b[:, 4, :2])
    assert not torch.equal(a[:, 4, 2], b[:, 4, 2])
    assert not torch.equal(a[:, 5], b[:, 5])
    assert torch.equal(decoder.decode(labels), levels)


def test_uniform_numbers_become_levels_by_the_distribution_function():
    logits = torch.tensor([0.2, 0.5, 0.3]).log()
    logits = torch.cat([logits, torch.tensor([-1e4])])
    numbers = torch.tensor([0.0, 0.19, 0.21, 0.69, 0.71, 0.9999999])
    assert by_uniform(logits.expand(6, 4), numbers).tolist() == [0, 0, 1, 1, 2, 2]


def chi_square(counts: np.ndarray, probabilities: np.ndarray) -> float:
    """p of counts; cells that expect fewer than five are one."""
    wanted = probabilities.astype(np.float64)
    wanted *= counts.sum() / wanted.sum()
    few = wanted < 5
    joined = [np.append(x[~few], x[few].sum()) if few.any() else x for x in (counts, wanted)]
    return float(chisquare(*joined).pvalue)


@pytest.mark.parametrize("guidance", [1.0, 2.5])
def test_sequences_come_as_often_as_the_network_says(network: Gpt, guidance: float):
    """Of 8,000; with guidance as often as the guided products of conditionals say."""
    torch.manual_seed(0)
    count = 8000
    decoder = CachedDecoder(network, count, 2, torch.rand(count, 2, 2), guidance=guidance)
    drawn = decoder.decode(torch.full((count,), 1))
    levels = every_sequence(network)
    with torch.no_grad():
        logits = [network(levels, torch.full((36,), label)) for label in (1, network.no_class)]
    guided = logits[1] + guidance * (logits[0] - logits[1]) + network.missing
    p = guided.log_softmax(-1).gather(-1, levels.unsqueeze(-1)).sum((1, 2, 3)).exp()
    assert p.sum().item() == pytest.approx(1, abs=1e-4)
    number = {tuple(s.flatten().tolist()): i for i, s in enumerate(levels)}
    counts = np.bincount([number[tuple(s.flatten().tolist())] for s in drawn], minlength=36)
    assert chi_square(counts, p.numpy()) > 0.01
    assert chi_square(counts, np.ones(36)) < 1e-6


@pytest.mark.parametrize("rounds", [1, 2])
def test_patches_come_as_often_as_the_entropy_model_says(toy: TaTok, rounds: int):
    """All 6⁴ codes of four patches, for one pair of global tokens: the exact bits of each sum to one and fit the counts."""
    codes = torch.tensor(list(product(range(6), repeat=4)), dtype=torch.int32)
    globals_ = torch.tensor([[3, 1]], dtype=torch.int32)
    keep, entropy = kept_patches(toy, globals_, 0.0)
    assert keep.all()
    many = Tokens(globals_.expand(len(codes), -1), codes)
    bits = patch_bits(toy, many, keep.expand(len(codes), -1), entropy.expand(len(codes), -1), rounds=rounds)
    p = torch.exp2(-bits)
    assert p.sum().item() == pytest.approx(1, abs=1e-4)
    count = 20000
    numbers = torch.rand(count, 4, 2, generator=torch.Generator().manual_seed(1))
    given = [x.expand(count, -1) for x in (globals_, keep, entropy)]
    drawn = sample_patches(toy, *given, numbers, rounds=rounds)
    index = (drawn.long() * torch.tensor([216, 36, 6, 1])).sum(1)
    counts = np.bincount(index.numpy(), minlength=len(codes))
    assert chi_square(counts, p.numpy()) > 0.01
    other = patch_bits(toy, many, keep.expand(len(codes), -1), entropy.expand(len(codes), -1), rounds=3 - rounds)
    assert chi_square(counts, torch.exp2(-other).numpy()) < 0.001


def test_only_kept_patches_are_drawn_and_given_ones_stay(toy: TaTok):
    globals_ = torch.tensor([[3, 1], [0, 5]], dtype=torch.int32)
    keep, entropy = kept_patches(toy, globals_, 0.5)
    assert 0 < keep.sum() < keep.numel()
    # By ĥ given G alone: patches of codes that do not exist yet have no say.
    filtered = toy.filter(Tokens(globals_, torch.full((2, 4), 5, dtype=torch.int32)), 0.5).keep
    assert torch.equal(keep, filtered)
    numbers = torch.rand(2, 4, 2, generator=torch.Generator().manual_seed(0))
    codes = sample_patches(toy, globals_, keep, entropy, numbers)
    assert (codes[~keep] == 0).all()
    everything = torch.ones_like(keep)
    given = torch.tensor([[True, False, False, False], [False, False, True, True]])
    known = torch.full((2, 4), 4, dtype=torch.int32)
    again = sample_patches(toy, globals_, everything, entropy, numbers, given=given, patch_codes=known)
    assert (again[given] == 4).all()
    other = sample_patches(toy, globals_, everything, entropy, numbers, given=given, patch_codes=torch.full_like(known, 1))
    assert not torch.equal(again[~given], other[~given])


@pytest.fixture(scope="module")
def generator(toy: TaTok, network: Gpt) -> Generator:
    return Generator(network, toy)


def test_pictures_depend_on_the_seed_and_their_number_alone(generator: Generator):
    draw = Draw(seed=7, loss_rate=0.4)
    tokens = generator.sample(5, draw)
    again = generator.sample(3, draw)
    for name in ("global_codes", "patch_codes", "keep"):
        assert torch.equal(getattr(tokens, name)[:3], getattr(again, name)), name
    other = generator.sample(5, replace(draw, seed=8))
    assert not torch.equal(tokens.global_codes, other.global_codes)
    assert generator.tokenizer.decode(tokens).shape == (5, 3, 32, 32)
    assert len({tuple(row) for row in tokens.global_codes.tolist()}) > 1


def test_bits_are_those_of_sequence_and_patches(generator: Generator):
    tokens = generator.sample(4, Draw(seed=3, loss_rate=0.0))
    keep, entropy = kept_patches(generator.tokenizer, tokens.global_codes, 0.0)
    sequence = generator.network.bits(generator.network.quantizer.code_levels(tokens.global_codes), torch.full((4,), 3))
    patches = patch_bits(generator.tokenizer, tokens, keep, entropy)
    assert torch.allclose(generator.bits(tokens), sequence + patches)
    assert (generator.bits(tokens, draw=Draw(loss_rate=0.5)) < generator.bits(tokens)).all()


@pytest.mark.parametrize(
    ("changes", "labels", "message"),
    [
        ({"guidance": 2.0}, None, "guidance leads towards a class"),
        ({"temperature": 0.0}, None, "the temperature is 0; its range is above 0 and at most 2"),
        ({}, [3, 0], r"classes are in \[0, 3\), and there is one from 0 to 3"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(generator: Generator, changes: dict, labels: list[int] | None, message: str):
    with pytest.raises(ValueError, match=message):
        generator.sample(2, Draw(**changes), None if labels is None else torch.tensor(labels))


def test_a_generator_of_another_tokenizer_is_refused(network: Gpt):
    with pytest.raises(ValueError, match=r"makes 2 tokens of levels \(3, 2\), and the tokenizer has 4 of"):
        Generator(network, TaTok(TINY_MODEL))


def test_fixed_tokenizers_have_generators_of_their_own_tokens():
    for changes, length in (({"global_tokens": 0, "entropy_layers": 0}, 4), ({"patch_codes": False, "entropy_layers": 0}, 2)):
        tokenizer = TaTok(replace(TOY, **changes)).eval()
        made = Generator(Gpt(SIZES["tiny"], SequenceShape((3, 2), length)).eval(), tokenizer)
        tokens = made.sample(3, Draw(seed=1))
        assert tokens.counts.tolist() == [length] * 3
        assert tokenizer.decode(tokens).shape == (3, 3, 32, 32)
        assert made.bits(tokens).shape == (3,)


def sequences(count: int, length: int = 2) -> Sequences:
    """The second token is the first one; classes say its first level."""
    rng = torch.Generator().manual_seed(0)
    first = torch.stack([torch.randint(3, (count,), generator=rng), torch.randint(2, (count,), generator=rng)], 1)
    return Sequences(first[:, None].expand(-1, length, -1).to(torch.uint8).contiguous(), first[:, 0].clone())


def test_steps_lower_the_loss_and_classes_help(tmp_path: Path, alone: Workers):
    config = GeneratorConfig(size="tiny", steps=80, batch=64, learning_rate=5e-3, warmup_steps=5, dropout=0.0, ema=0.9)
    data, kept_out = sequences(200), sequences(64)
    trainer = GeneratorTrainer(config, SequenceShape((3, 2), 2, 3), tmp_path, alone)
    before = mean_bits(trainer.average.module, kept_out, 32)
    for _ in range(80):
        trainer.step(data)
    after = mean_bits(trainer.average.module, kept_out, 32)
    # Without a class a sequence has log2 6 bits, with it log2 2.
    assert before > 4
    assert after == pytest.approx(1, abs=0.3)
    bare = Sequences(kept_out.levels, torch.full((64,), 3))
    assert mean_bits(trainer.average.module, bare, 32) == pytest.approx(math.log2(6), abs=0.5)


def test_a_run_goes_on_exactly_and_keeps_its_best_weights(tmp_path: Path, alone: Workers):
    config = GeneratorConfig(size="tiny", steps=9, batch=16, warmup_steps=2, dropout=0.2)
    shape, data = SequenceShape((3, 2), 2, 3), sequences(50)
    trainer = GeneratorTrainer(config, shape, tmp_path, alone)
    for _ in range(3):
        trainer.step(data)
    trainer.save({}, 5.0)
    kept = (tmp_path / "generator.safetensors").read_bytes()
    for _ in range(2):
        trainer.step(data)
    resumed = GeneratorTrainer(config, shape, tmp_path, alone)
    assert (resumed.step_number, resumed.best) == (3, 5.0)
    for _ in range(2):
        resumed.step(data)
    for part in ("network", "average"):
        for a, b in zip(getattr(trainer, part).parameters(), getattr(resumed, part).parameters(), strict=True):
            assert torch.equal(a, b)
    resumed.save({}, 6.0)
    assert (tmp_path / "generator.safetensors").read_bytes() == kept
    with pytest.raises(ValueError, match=r"was trained with dropout 0.2, and 0.0 is asked for"):
        GeneratorTrainer(replace(config, dropout=0.0), shape, tmp_path, alone)


def test_a_saved_network_is_the_same(network: Gpt, tmp_path: Path):
    network.save(tmp_path / "a.safetensors", {"classes": ["x"]})
    again, facts = Gpt.open(tmp_path / "a.safetensors")
    assert facts == {"classes": ["x"]}
    levels, labels = every_sequence(network), torch.zeros(36, dtype=torch.long)
    assert torch.equal(again.bits(levels, labels), network.bits(levels, labels))
    (tmp_path / "b.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"b\.safetensors is no generator"):
        Gpt.open(tmp_path / "b.safetensors")


@pytest.fixture(scope="module")
def exported(network: Gpt, tmp_path_factory: pytest.TempPathFactory) -> ort.InferenceSession:
    (path,) = export_generator(network, tmp_path_factory.mktemp("exported") / "generator.onnx")
    return ort.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("batch", [1, 3])
def test_the_exported_step_draws_the_tokens_that_pytorch_draws(network: Gpt, exported: ort.InferenceSession, batch: int):
    numbers = torch.rand(batch, 2, 2, generator=torch.Generator().manual_seed(batch))
    labels = torch.tensor([1, 3, 0])[:batch]
    wanted = CachedDecoder(network, batch, 2, numbers).decode(labels)
    codes = (wanted * network.quantizer.strides).sum(-1)
    previous = np.full(batch, -1)
    cache, bits = np.zeros((batch, 4, 2, 2, 16), np.float32), np.zeros(batch)
    for position in range(2):
        given = (previous, labels.numpy(), np.full(batch, position), cache, numbers[:, position].numpy())
        previous, told, cache = exported.run(None, dict(zip(INPUTS, given, strict=True)))
        assert previous.tolist() == codes[:, position].tolist()
        bits += told
    assert bits == pytest.approx(network.bits(wanted, labels).detach().numpy(), abs=1e-4)


def test_frechet_distance_is_that_of_torchmetrics():
    class Given(torch.nn.Module):
        num_features = 5

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    rng = torch.Generator().manual_seed(0)
    a, b = torch.randn(40, 5, generator=rng), torch.randn(60, 5, generator=rng) * 2 + 1
    metric = FrechetInceptionDistance(feature=Given(), normalize=False, input_img_size=(5,))
    metric.update(a, real=True)
    metric.update(b, real=False)
    assert frechet_distance(a, b) == pytest.approx(float(metric.compute()), rel=1e-4)
    # Also of fewer pictures than features.
    few = [torch.cov(x[:3].T.double()) for x in (a, b)]
    root = torch.linalg.eigvals(few[0] @ few[1]).real.clamp(min=0).sqrt().sum()
    wanted = (a[:3].double().mean(0) - b[:3].double().mean(0)).square().sum() + few[0].trace() + few[1].trace() - 2 * root
    assert frechet_distance(a[:3], b[:3]) == pytest.approx(float(wanted), rel=1e-4)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_precision_and_recall_are_shares_within_neighbourhoods():
    """On a line: half of the samples lie among the real points, which these reach a third of."""
    real = torch.tensor([[0.0], [1.0], [2.0], [100.0], [101.0], [102.0], [200.0], [201.0], [202.0]])
    samples = torch.tensor([[0.5], [1.5], [2.5], [500.0], [501.0], [502.0]])
    found = precision_recall(real, samples, neighbours=2)
    assert found == (0.5, pytest.approx(1 / 3))
    distances, which = nearest(torch.tensor([[3.5], [99.0]]), real, rows=1)
    assert (distances.tolist(), which.tolist()) == ([1.5, 1.0], [2, 3])


def test_independent_codes_have_the_frequencies_of_the_data():
    codes = torch.tensor([[0, 5], [1, 5], [0, 5], [0, 4]], dtype=torch.int32)
    model = IndependentCodes(codes, (3, 2))
    # Of token 0: levels 0 (three of four) and 1 of the first dimension, always 0 of the second; one is added to each count.
    first = (3 + 1) / (4 + 3) * (4 + 1) / (4 + 2)
    second = (3 + 1) / (4 + 3) * (4 + 1) / (4 + 2)
    assert model.bits(torch.tensor([[0, 5]]))[0].item() == pytest.approx(-math.log2(first * second), rel=1e-5)
    drawn = model.sample(4000, torch.Generator().manual_seed(0))
    assert (drawn[:, 0] == 0).float().mean().item() == pytest.approx(first, abs=0.03)
    assert set(map(tuple, unrelated(codes, 50, torch.Generator().manual_seed(0)).tolist())) <= set(map(tuple, codes.tolist()))


def test_a_generator_is_trained_drawn_from_and_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """From photographs to figures, as a user types it."""
    bundle, folder = tmp_path / "bundle", tmp_path / "photographs"
    torch.manual_seed(0)
    export_bundle(sharpened(TaTok(TINY_MODEL), 0.1), bundle, MANIFEST, MEASURED)
    folder.mkdir()
    photograph = Image.open(SAMPLES / "kodim23.png").convert("RGB")
    for number in range(8):
        photograph.crop((60 * number, 0, 60 * number + 200, 200)).resize((64, 64)).save(folder / f"{number}.png")
    tokens = tmp_path / "all.tokens"
    options = ["--model", str(bundle), "--runtime", "torch", "--ranking", "entropy", "--batch", "8"]
    assert main(["tokenize", str(folder), "--out", str(tokens), "--loss-rate", "0", *options]) == 0
    run = tmp_path / "run"
    train = ["train-generator", str(bundle), str(tokens), "--held-out", str(tokens), "--out", str(run), "--size", "tiny"]
    assert main([*train, "--steps", "4", "--batch", "4", "--evaluate-every", "2"]) == 0
    assert main([*train, "--conditional"]) == 1
    assert "has no labels: leave --conditional out" in capsys.readouterr().err
    network = str(run / "generator.safetensors")
    assert main(["sample", network, str(bundle), "--out", str(tmp_path / "drawn"), "--count", "2", "--seed", "5"]) == 0
    assert [Image.open(path).size for path in sorted((tmp_path / "drawn").iterdir())] == [(64, 64)] * 2
    evaluate = ["evaluate-generator", network, str(bundle), "--out", str(tmp_path / "figures"), "--count", "4"]
    places = ["--training", str(tokens), "--held-out", str(tokens), "--photographs", str(folder)]
    assert main([*evaluate, *places]) == 0
    figures = json.loads((tmp_path / "figures" / "figures.json").read_text())
    assert list(figures["samplers"]) == list(figures["heldOutBits"])
    assert list(figures["samplers"]) == ["generator", "independent codes", "p(G), unrelated patches"]
    # The held-out pictures are the training pictures here.
    assert figures["nearestOfHeldOut"] == pytest.approx(0, abs=1e-3)
    for row in figures["samplers"].values():
        assert row["frechet"] > 0
        assert row["nearestTrainingPicture"] > 0
    assert Image.open(tmp_path / "figures" / "sheet.png").size == (128, 256)
    assert "| generator |" in (tmp_path / "figures" / "figures.md").read_text()
