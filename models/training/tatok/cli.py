"""Command line: python -m tatok COMMAND …; --help lists the commands, and on each its options.

A command is a dataclass: its fields are the options, and the docstrings below them the help. Modules that take long to import
are imported when a command runs, so that help and errors come at once.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args

import tyro
from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional, subcommand
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from .generation.config import GeneratorConfig
from .importers.families import Kind
from .lens.sizes import Filling, Size
from .training.command import Run, Train, defaults_of_run, options_of

GeneratorOptions = options_of(GeneratorConfig, "GeneratorOptions")


@dataclass(frozen=True)
class Pack:
    """Decode a folder of images once, for training."""

    images: Positional[tuple[Path, ...]]
    """Folders or files."""
    out: Path
    """Folder of the pack; a pack that is there already is replaced at the end."""
    short_side: int = 320
    """Larger images are scaled down to this short side (pixels; 1 or more)."""

    def run(self) -> None:
        from .data.images import list_images, write_pack

        _require("--short-side", self.short_side, 1)
        for path in self.images:
            if not path.exists():
                raise ValueError(f"there is no {path}")
        files = [f for p in self.images for f in (list_images(p) if p.is_dir() else [p])]
        if not files:
            raise ValueError(f"no images in {', '.join(map(str, self.images))}")
        print(f"{write_pack(files, self.out, self.short_side)} of {len(files)} images packed into {self.out}")


@dataclass(frozen=True)
class Shard:
    """Put images into WebDataset tars, from which training reads a stream; go on after a stop."""

    inputs: Positional[tuple[Path, ...]]
    """Folders, lists of files (.txt), tars, Parquet files with the bytes of images."""
    out: Path
    """Folder of the shards; those that it has are not written again."""
    shard_images: int = 2048
    """Images of a shard (1 or more)."""
    seed: int = 0
    """Seed of the order of the images (0 or more)."""
    workers: int | None = None
    """Shards that are written at a time (1 or more); without it as many as there are processors."""

    def run(self) -> None:
        from .data.shards import write_shards

        for option, value, least in (("--shard-images", self.shard_images, 1), ("--seed", self.seed, 0)):
            _require(option, value, least)
        _require("--workers", 1 if self.workers is None else self.workers, 1)
        index = write_shards(list(self.inputs), self.out, shard_images=self.shard_images, seed=self.seed, workers=self.workers)
        missing = index.inputs - sum(index.images)
        left_out = f"; {missing:,} could not be read, which the shards' JSON files name" if missing else ""
        print(f"{sum(index.images):,} images are in {index.count:,} shards in {self.out}{left_out}.")


@dataclass(frozen=True)
class Reproduce:
    """Run a recipe: shards, two stages of training, export, evaluation and the table; go on after a stop."""

    recipe: Positional[Path]
    """YAML file such as models/training/configs/imagenet-256-s.yaml."""
    data: Path
    """Folder of training images, or of shards of them."""
    held_out: Path
    """Folder of images that the models are measured on."""
    out: Path
    """Folder of everything that is made."""
    gpus: int | None = None
    """GPUs of this machine that train (1 or more); without it the recipe's number."""
    models: tuple[str, ...] = ()
    """Models of the recipe to make; without it all."""
    inception: Path | None = None
    """torch-fidelity's pt_inception-2015-12-05-….pth, for rFID."""
    dry_run: bool = False
    """Only print the cost on paper and the commands."""

    def run(self) -> None:
        from .recipes.reproduce import Places, reproduce

        _require("--gpus", 1 if self.gpus is None else self.gpus, 1)
        places = Places(self.recipe, self.data, self.held_out, self.out, self.inception)
        print(reproduce(places, main, gpus=self.gpus, only=self.models, dry_run=self.dry_run), end="")


@dataclass(frozen=True)
class Profile(Run):
    """Show where the time of a training step goes, by kind of kernel and by kernel."""

    def run(self) -> None:
        from .bench.profile import profile

        files, config = self.files(), self.train_config()
        files.out.mkdir(parents=True, exist_ok=True)
        table = profile(files, config, compile_model=self.compile)
        (files.out / "profile.txt").write_text(table)
        print(table)


@dataclass(frozen=True)
class Weights:
    """Write the weights of a model to a safetensors file, which TaTok.from_pretrained and other programs open."""

    model: Positional[Path]
    """Bundle folder, checkpoint or file of weights."""
    out: Path
    """File that ends in .safetensors (float32) or .npz (float16)."""

    def run(self) -> None:
        from .tokenizer import TaTok

        TaTok.from_pretrained(self.model).save_pretrained(self.out)


@dataclass(frozen=True)
class Export:
    """Write a bundle from a checkpoint or a file of weights."""

    weights: Positional[Path]
    """Checkpoint (.pt) or file of weights (.npz, .safetensors)."""
    out: Path
    """Folder of the bundle; graphs that lie in it are of other weights and go."""
    manifest: Path
    """JSON file with name, version, description, licence, defaults and training."""
    reference: Path
    """Folder of training images, whose mean Σĥ is the reference budget."""
    calibration: Path | None = None
    """Folder of images kept out of training, for the temperature of ĥ; without it ĥ is not calibrated."""

    def run(self) -> None:
        from .bundle.calibration import calibrate
        from .bundle.description import read_description
        from .bundle.export import export_bundle, round_weights
        from .evaluation.evaluate import reference_budget
        from .evaluation.torch_backend import TorchBackend
        from .tokenizer import TaTok

        description = read_description(self.manifest)
        model = TaTok.from_pretrained(self.weights)
        measured = {}
        if self.calibration is not None:
            measured["entropyTemperature"] = calibrate(model, self.calibration)
        round_weights(model)
        filters = model.config.filters
        measured["referenceBudgetBits"] = reference_budget(TorchBackend(model, "export"), self.reference) if filters else 0.0
        export_bundle(model, self.out, description, measured)


@dataclass(frozen=True)
class CalibrateBudget:
    """Compare the budgets of a bundle at one mean number of tokens, and find its default ε and reference budget."""

    bundle: Positional[Path]
    """Folder of the bundle; its manifest has the ranking."""
    images: Positional[Path]
    """Folder of photographs that were kept out of training."""
    tokens: float = 56
    """Mean number of global and kept patch tokens of an image."""
    batch: int = 8
    """Images that go through the model together (1 or more)."""
    runtime: Literal["onnx", "torch"] = "torch"
    """Runtime: ONNX Runtime on the CPU, or PyTorch, on a GPU where there is one."""
    budget: Literal["image", "reference"] | None = None
    """Budget that is written; without it the one with the highest 10th percentile of PSNR."""
    write: bool = False
    """Write the budget, its ε and the reference budget into the bundle's manifest.json."""
    json: bool = False
    """Print one JSON object instead of a table."""

    def run(self) -> None:
        from .evaluation.budget import calibrate_budget, report

        _require("--batch", self.batch, 1)
        result = calibrate_budget(
            self.bundle,
            self.images,
            tokens=self.tokens,
            batch=self.batch,
            runtime=self.runtime,
            budget=self.budget,
            write=self.write,
        )
        print(json.dumps(result) if self.json else report(result))


@dataclass(frozen=True)
class CudaGraphs:
    """Add float16 graphs for the CUDA provider to a bundle."""

    bundle: Positional[Path]
    """Folder of the bundle."""

    def run(self) -> None:
        from .bundle.cuda.graphs import add_cuda_graphs

        add_cuda_graphs(self.bundle)


@dataclass(frozen=True)
class Parity:
    """Compare a bundle's CUDA graphs with its plain graphs on images."""

    bundle: Positional[Path]
    """Folder of the bundle."""
    images: Positional[Path]
    """Folder of images."""
    device: str = "cpu"
    """Device on which PyTorch runs the CUDA graphs: cpu or cuda."""
    limit: int | None = None
    """Greatest number of images (1 or more); without it all of them."""

    def run(self) -> None:
        from .evaluation.cuda_parity import parity

        print(json.dumps(parity(self.bundle, self.images, self.device, self.limit), indent=2))


@dataclass(frozen=True)
class Evaluate:
    """Measure a bundle (ONNX Runtime) or weights (PyTorch) on folders of images."""

    model: Positional[Path]
    """Bundle folder, checkpoint or file of weights."""
    images: Positional[tuple[Path, ...]]
    """Folders; each is reported on its own."""
    out: Path
    """Folder of the report."""
    perceptual: Path | None = None
    """Weights of SqueezeNet 1.0, as the README's 'Loss networks' has them, for the perceptual distance and, where the file has
    the classifier, recognition."""
    lpips: Path | None = None
    """torchvision's weights of AlexNet or VGG16 (.pth), for LPIPS."""
    inception: Path | None = None
    """torch-fidelity's pt_inception-2015-12-05-….pth, for rFID, IS, KID, precision and recall."""
    limit: int | None = None
    """Greatest number of images of a folder (1 or more); without it all of them."""
    batch: int = 8
    """Images that go through the model together (1 or more)."""
    quick: bool = False
    """Fewer points of the curves and one random order; no codecs, equal bits or ablations."""
    npz: bool = False
    """Write originals and reconstructions as .npz for the evaluator of ADM."""
    write_card: bool = False
    """Write the figures into the bundle's README.md and manifest.json."""
    runtime: Literal["onnx", "torch"] = "onnx"
    """Runtime of a bundle: ONNX Runtime on the CPU, or its weights in PyTorch, on a GPU where there is one."""

    def run(self) -> None:
        from .evaluation.evaluate import evaluate

        _require("--batch", self.batch, 1)
        evaluate(
            self.model,
            list(self.images),
            self.out,
            perceptual=self.perceptual,
            limit=self.limit,
            batch=self.batch,
            runtime=self.runtime,
            quick=self.quick,
            lpips=self.lpips,
            inception=self.inception,
            npz=self.npz,
            card=self.write_card,
        )


@dataclass(frozen=True)
class Compare:
    """Put the figures of several models into one table and one plot."""

    metrics: Positional[tuple[Path, ...]]
    """metrics.json of evaluations of the same folders."""
    out: Path
    """Folder of the comparison."""

    def run(self) -> None:
        from .evaluation.comparison import compare

        compare(list(self.metrics), self.out)


@dataclass(frozen=True)
class Generate:
    """Time a GPT that generates an image's tokens, over their number."""

    bundle: Positional[Path]
    """Folder of a bundle, whose manifest has the number of tokens that an image takes."""
    out: Path
    """Folder of the figures and the plot."""
    size: Literal["tiny", "base", "large", "xl"] = "large"
    """Size of the GPT."""
    tokens: int | None = None
    """K + |S| of an image (1 or more); without it the mean at the default ε in the manifest."""
    lengths: tuple[int, ...] = (32, 48, 64, 96, 128, 192, 288)
    """Other lengths to time (tokens; 1 or more)."""
    batches: tuple[int, ...] = (1, 64)
    """Sequences that are generated together (1 or more)."""
    runs: int = 5
    """Runs of which the median is taken (1 or more)."""

    def run(self) -> None:
        from .bench.generate import generate

        _require("--runs", self.runs, 1)
        generate(self.bundle, self.out, self.size, self.tokens, list(self.lengths), list(self.batches), self.runs)


@dataclass(frozen=True)
class TrainGenerator:
    """Train a transformer that makes a bundle's tokens (under torchrun for several GPUs), or go on with the run in --out."""

    bundle: Positional[Path]
    """Folder of the bundle whose tokens these are."""
    tokens: Positional[Path]
    """Token data set of the training images, with every token (tokenize --loss-rate 0)."""
    held_out: Path
    """Token data set of images kept out of training: the weights with the fewest bits on it are kept."""
    out: Path
    """Folder of the run: generator.safetensors, checkpoint, log."""
    conditional: bool = False
    """Labels of the data set are classes, for guidance."""
    max_seconds: float | None = None
    """Stop with a checkpoint after this long (seconds; 0 or more)."""
    options: OmitArgPrefixes[GeneratorOptions] = field(default_factory=GeneratorOptions)

    def run(self) -> None:
        from .generation.training import train_generator

        train_generator(
            self.bundle,
            self.tokens,
            self.held_out,
            self.out,
            GeneratorConfig(**vars(self.options)),
            conditional=self.conditional,
            max_seconds=self.max_seconds,
        )


@dataclass(frozen=True)
class Sampling:
    """How pictures are drawn."""

    generator: Positional[Path]
    """File that train-generator wrote, generator.safetensors."""
    bundle: Positional[Path]
    """Folder of the bundle whose tokens it makes."""
    out: Path
    """Folder of what is made."""
    count: int = 8
    """Pictures (1 or more)."""
    seed: int = 0
    """Seed of the pictures (0 or more)."""
    temperature: float = 1.0
    """Temperature of the sequence (above 0 to 2)."""
    loss_rate: float | None = None
    """Information loss rate ε (0 to 1); without it the bundle's."""
    rounds: int = 8
    """Rounds in which patches are drawn (1 or more)."""
    batch: int = 16
    """Pictures that are decoded together (1 or more)."""

    def checked(self) -> None:
        """Raises ValueError for a number out of its range."""
        for name, least in (("count", 1), ("seed", 0), ("rounds", 1), ("batch", 1)):
            _require(f"--{name}", getattr(self, name), least)
        if self.loss_rate is not None and not 0 <= self.loss_rate <= 1:
            raise ValueError(f"--loss-rate is {self.loss_rate:g}; its range is 0 to 1")

    def options(self) -> dict[str, Any]:
        """As `Draw` has them."""
        return {name: getattr(self, name) for name in ("seed", "temperature", "loss_rate", "rounds")}


@dataclass(frozen=True)
class Sample(Sampling):
    """Write pictures of a generator as PNG files."""

    label: int | None = None
    """Class of all pictures, of a generator that has classes."""
    guidance: float = 1.0
    """Weight of classifier-free guidance towards the class; 1: none."""

    def run(self) -> None:
        import torch

        from .generation.figures import default_draw, open_generator, write_pictures

        self.checked()
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        generator = open_generator(self.generator, self.bundle, device)
        labels = None if self.label is None else torch.full((self.count,), self.label)
        draw = default_draw(self.bundle, guidance=self.guidance, **self.options())
        paths = write_pictures(generator, self.out, self.count, draw, labels, self.batch)
        print(f"{len(paths)} pictures are in {self.out}")


@dataclass(frozen=True)
class EvaluateGenerator(Sampling):
    """Measure a generator: exact held-out bits, Fréchet distance, precision and recall, what it remembers; beside baselines."""

    training: Path = field(kw_only=True)
    """Token data set that it was trained on."""
    held_out: Path = field(kw_only=True)
    """Token data set of images kept out of training, with every token."""
    photographs: Path = field(kw_only=True)
    """Folder of photographs kept out of training."""

    def run(self) -> None:
        from .generation.figures import default_draw, evaluate_generator, report

        self.checked()
        draw = default_draw(self.bundle, **self.options())
        paths = (self.generator, self.bundle, self.training, self.held_out, self.photographs, self.out)
        text = report(evaluate_generator(*paths, draw, count=self.count, batch=self.batch))
        (self.out / "figures.md").write_text(text, encoding="utf-8")
        print(text)


@dataclass(frozen=True)
class ExportGenerator:
    """Write one step of a generator as an ONNX graph, in which the caller gives the random numbers."""

    generator: Positional[Path]
    """File that train-generator wrote, generator.safetensors."""
    out: Path
    """ONNX file."""

    def run(self) -> None:
        from .generation.export import export_generator
        from .generation.network import Gpt

        print(", ".join(map(str, export_generator(Gpt.open(self.generator)[0], self.out))))


@dataclass(frozen=True)
class Bench:
    """Time a bundle's graphs in PyTorch."""

    model: Positional[Path]
    """Bundle folder, checkpoint or file of weights."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Device that computes: float32 on cpu, bfloat16 on cuda."""
    threads: int = 2
    """Threads of the CPU (1 or more)."""
    batches: tuple[int, ...] = (1, 8)
    """Images that go through a graph together (1 or more)."""
    runs: int = 10
    """Runs that are counted (1 or more)."""
    warm_up: int = 2
    """Runs before these (0 or more)."""
    json: bool = False
    """Print one JSON object instead of a table."""

    def run(self) -> None:
        from .bench.networks import bench, table

        for option, value, least in (("--threads", self.threads, 1), ("--runs", self.runs, 1), ("--warm-up", self.warm_up, 0)):
            _require(option, value, least)
        result = bench(
            self.model,
            device=self.device,
            threads=self.threads,
            batches=list(self.batches),
            runs=self.runs,
            warm_up=self.warm_up,
        )
        print(json.dumps(result) if self.json else table(result))


@dataclass(frozen=True)
class Rankings:
    """Compare rankings and their numbers of rounds: quality at as many patches, and the time that one image takes."""

    model: Positional[Path]
    """Folder of a bundle."""
    images: Positional[Path]
    """Folder of images."""
    out: Path
    """Markdown file of the figures."""
    rounds: tuple[int, ...] = (1, 2, 3, 4, 8, 16)
    """Numbers of rounds (1 or more), in ascending order: differences are from the last."""
    limit: int | None = None
    """Greatest number of images (1 or more); without it all of them."""
    batch: int = 8
    """Images that go through the model together (1 or more)."""
    runtime: Literal["onnx", "torch"] = "torch"
    """Runtime: ONNX Runtime on the CPU, or PyTorch, on a GPU where there is one."""

    def run(self) -> None:
        from .bench.rankings import compare_rankings, report

        _require("--batch", self.batch, 1)
        for count in self.rounds:
            _require("--rounds", count, 1)
        result = compare_rankings(
            self.model, self.images, rounds=self.rounds, limit=self.limit, batch=self.batch, runtime=self.runtime
        )
        limit = "" if self.limit is None else f" --limit {self.limit}"
        rounds = ",".join(map(str, self.rounds))
        options = f"{limit} --rounds {rounds} --runtime {self.runtime}"
        text = report(result, f"python -m tatok rankings {self.model} {self.images.name}{options} --out {self.out.name}")
        self.out.write_text(text, encoding="utf-8")
        print(text)


@dataclass(frozen=True)
class Golden:
    """Write golden vectors that tests hold other implementations to."""

    bundle: Positional[Path]
    """Folder of the bundle."""
    images: Positional[tuple[Path, ...]]
    """Image files."""
    out: Path
    """Folder of the vectors; file names in them are relative to the working directory."""

    def run(self) -> None:
        from .evaluation.golden import write_filter_vectors, write_golden

        write_filter_vectors(self.out)
        write_golden(self.bundle, list(self.images), self.out / "golden", Path.cwd())


@dataclass(frozen=True)
class Import:
    """Write a bundle from a checkpoint of a public tokenizer."""

    kind: Positional[Kind]
    """Family of the tokenizer."""
    checkpoint: Positional[Path]
    """File of upstream's weights, or a folder with model.safetensors and config.json."""
    out: Path
    """Folder of the bundle."""
    config: Path | None = None
    """Upstream's configuration of the checkpoint, YAML or JSON."""
    image_size: str | None = None
    """Pixels, such as 256 or 384x256 (width and height), for convolutional tokenizers."""
    name: str | None = None
    """Name of the bundle; without it the checkpoint's file name."""
    licence: str | None = None
    """Licence of the checkpoint; without it that of upstream's repository."""
    precision: Literal["float16", "float32"] = "float16"
    """Precision of the stored weights."""
    check: Path | None = None
    """Image, or folder of images, whose codes are compared with --codes."""
    codes: Path | None = None
    """Upstream's codes: an .npz file with an array named after each image's file, without its ending."""

    def run(self) -> None:
        from .importers.command import compare_codes, import_tokenizer, record_agreement
        from .importers.family import image_size

        if (self.check is None) != (self.codes is None):
            raise ValueError("--check and --codes go together: images, and upstream's codes of them")
        assumptions = import_tokenizer(
            self.kind,
            self.checkpoint,
            self.out,
            config=self.config,
            image_size=None if self.image_size is None else image_size(self.image_size),
            name=self.name,
            licence=self.licence,
            precision=self.precision,
        )
        print("\n".join([*assumptions, f"{self.out} is a bundle of {self.checkpoint.name}."]))
        if self.check is not None and self.codes is not None:
            agreement = compare_codes(self.out, self.check, self.codes)
            equal = f"{agreement.equal} of {agreement.codes} codes ({agreement.share:.2%})"
            print(f"{equal} of {agreement.images} images equal upstream's.")
            record_agreement(self.out, agreement)


@dataclass(frozen=True)
class Check:
    """Name the rules of the bundle contract that a bundle breaks, after runs of every graph with 1, 2 and 3 images."""

    bundle: Positional[Path]
    """Folder of the bundle."""

    def run(self) -> None:
        from .bundle.check import check_bundle

        problems = check_bundle(self.bundle)
        if problems:
            raise ValueError("\n".join(problems))
        print(f"{self.bundle} keeps the bundle contract: every graph ran with 1, 2 and 3 images.")


@dataclass(frozen=True)
class Lens:
    """Fit an entropy model to a frozen tokenizer, so that its tokens can be dropped; go on after a stop."""

    bundle: Positional[Path]
    """Folder of a bundle without an entropy model."""
    images: Positional[Path]
    """Folder of photographs, better thousands than hundreds."""
    out: Path
    """Folder of the new bundle, with its figures in lens.md and lens.json; until it is whole, codes and a checkpoint."""
    size: Size = "tiny"
    """Parameters: tiny 1 million, small 5, base 25."""
    steps: int = 2000
    """Steps of the fit (1 or more)."""
    batch: int = 16
    """Photographs of a step (1 or more)."""
    filling: Filling = "expectation"
    """Code in place of a dropped one: the nearest to the expectation, or the likeliest."""
    seed: int = 0
    """Decides which photographs are held out, the first weights, and what each step hides."""
    held_out: int = 64
    """Photographs that are not fitted to, a quarter at most; half of them choose the step, figures are of the other half."""
    threads: int = 0
    """Threads of the CPU; 0: all."""

    def run(self) -> None:
        from .lens.command import make_lens
        from .lens.fit import FitConfig
        from .training.stop_signals import StopSignals

        for option, value, least in (
            ("--steps", self.steps, 1),
            ("--batch", self.batch, 1),
            ("--held-out", self.held_out, 2),
            ("--threads", self.threads, 0),
        ):
            _require(option, value, least)
        config = FitConfig(self.size, self.steps, self.batch, self.seed)
        with StopSignals() as signals:
            text = make_lens(
                self.bundle,
                self.images,
                self.out,
                config,
                filling=self.filling,
                held_out=self.held_out,
                threads=self.threads,
                say=lambda line: print(line, flush=True),
                stopped=lambda: signals.requested,
            )
        print(text or f"Stopped; the same command goes on from {self.out}.")


@dataclass(frozen=True)
class Tokenize:
    """Write the tokens of many images to a token data set, on this machine or on a cluster; go on after a stop."""

    inputs: Positional[tuple[Path, ...]]
    """Folders, lists of files (.txt), WebDataset tars, Parquet files with the bytes of images."""
    out: Path
    """Folder of the data set, NAME.tokens; shards that it has are not made again."""
    model: Path = Path("models/tatok-s-256")
    """Folder of a bundle."""
    engine: Literal["local", "ray"] = "local"
    """This process alone, or Ray Data."""
    address: str | None = None
    """Address of a Ray cluster, or auto; without it Ray runs on this machine."""
    gpus_per_actor: float | None = None
    """GPUs of each of Ray's actors (0 or more, also a fraction); without it 1 on CUDA and 0 on the CPU."""
    actors: int | None = None
    """Ray's actors (1 or more); without it as many as the GPUs allow, or three quarters of the processors."""
    batch: int | None = None
    """Images that go through the model together (1 or more); without it 2 on the CPU and 16 on CUDA."""
    runtime: Literal["onnx", "torch"] = "onnx"
    """ONNX Runtime, as in the extension, or PyTorch."""
    provider: Literal["auto", "cpu", "cuda"] = "auto"
    """Execution provider of ONNX Runtime, and PyTorch's device."""
    loss_rate: float | None = None
    """Information loss rate ε (0 to 1); without it the model's."""
    edge_priority: float | None = None
    """Bits that patches on the outer ring gain in the ranking (0 or more); without it the model's."""
    budget: Literal["image", "reference"] | None = None
    """Total that the loss rate is a share of; without it the model's."""
    ranking: Literal["entropy", "sequential", "distortion"] | None = None
    """Order in which patches are dropped; without it the model's."""
    rounds: int | None = None
    """Rounds of a ranking that has these (1 or more); without it the model's."""
    entropies: bool = False
    """Also write the entropy and surprisal of every patch."""
    quality: bool = False
    """Also decode, and write PSNR and SSIM."""
    shard_size: int = 1024
    """Rows of a file (1 or more)."""

    def run(self) -> None:
        from .tokens.command import tokenize
        from .tokens.encode import make_recipe

        for name in ("batch", "actors", "rounds", "shard_size"):
            value = getattr(self, name)
            _require(f"--{name.replace('_', '-')}", 1 if value is None else value, 1)
        of_ray = {"--address": self.address, "--actors": self.actors, "--gpus-per-actor": self.gpus_per_actor}
        for option, value in of_ray.items():
            if self.engine != "ray" and value is not None:
                raise ValueError(f"{option} goes with --engine ray")
        if self.gpus_per_actor is not None and not self.gpus_per_actor >= 0:
            raise ValueError(f"--gpus-per-actor is {self.gpus_per_actor:g}; its range is 0 or more")
        recipe = make_recipe(
            self.model,
            runtime=self.runtime,
            provider=self.provider,
            batch=self.batch,
            loss_rate=self.loss_rate,
            edge_priority=self.edge_priority,
            budget=self.budget,
            ranking=self.ranking,
            rounds=self.rounds,
            entropies=self.entropies,
            quality=self.quality,
        )
        dataset = tokenize(
            list(self.inputs),
            self.out,
            recipe,
            shard_size=self.shard_size,
            engine=self.engine,
            address=self.address,
            actors=self.actors,
            gpus_per_actor=self.gpus_per_actor,
        )
        counts = dataset.description.counts
        if counts.failed:
            raise ValueError(f"{counts.failed:,} of {counts.rows:,} images could not be read: column error says why")
        print(f"{dataset.folder} has the tokens of {counts.rows:,} images.")


@dataclass(frozen=True)
class Convert:
    """Write a token data set in a format that other programs read."""

    dataset: Positional[Path]
    """Folder of the data set, NAME.tokens."""
    to: Literal["memmap", "jsonl", "webdataset"]
    """NumPy arrays of fixed width, JSON lines as 1d-tokenizer reads them, or tars for WebDataset."""
    out: Path
    """Folder to write, or file for jsonl; what is there already is not overwritten."""

    def run(self) -> None:
        from .tokens.convert import convert

        print(f"{convert(self.dataset, self.to, self.out):,} images are in {self.out}.")


COMMANDS: dict[str, type] = {
    "pack": Pack,
    "shard": Shard,
    "train": Train,
    "profile": Profile,
    "reproduce": Reproduce,
    "weights": Weights,
    "export": Export,
    "calibrate-budget": CalibrateBudget,
    "cuda-graphs": CudaGraphs,
    "parity": Parity,
    "evaluate": Evaluate,
    "compare": Compare,
    "generate": Generate,
    "train-generator": TrainGenerator,
    "sample": Sample,
    "evaluate-generator": EvaluateGenerator,
    "export-generator": ExportGenerator,
    "bench": Bench,
    "rankings": Rankings,
    "golden": Golden,
    "import": Import,
    "check": Check,
    "lens": Lens,
    "tokenize": Tokenize,
    "convert": Convert,
}


def main(argv: list[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    try:
        parse(arguments).run()
    except (OSError, ValueError, FloatingPointError) as error:
        print(f"tatok: {error}", file=sys.stderr)
        return 1
    return 0


def parse(arguments: Sequence[str]) -> Any:
    """The command that the arguments ask for. Ends the process with status 2 after a message where they ask for none."""
    commands = []
    for name, command in COMMANDS.items():
        chosen = list(arguments[:1]) == [name]
        with_defaults = {"default": defaults_of_run(command, arguments)} if chosen and issubclass(command, Run) else {}
        commands.append(Annotated[command, subcommand(name, **with_defaults)])
    with _registry:
        return tyro.cli(
            Union[*commands],
            prog="python -m tatok",
            description="Train, evaluate and export TaTok tokenizers, and import others.",
            args=arguments,
            config=(FlagCreatePairsOff,),
        )


_registry = ConstructorRegistry()


@_registry.primitive_rule
def _whole_numbers(kind: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[tuple[int, ...]] | None:
    """Lists of whole numbers, after commas or spaces: 8,8,4 or 8 8 4."""
    if kind.type_origin is not tuple or set(get_args(kind.type)) - {int, ...}:
        return None

    def numbers(texts: list[str]) -> tuple[int, ...]:
        return tuple(int(part) for text in texts for part in text.split(",") if part)

    return PrimitiveConstructorSpec(
        nargs="*",
        metavar="INT,…",
        instance_from_str=numbers,
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=lambda value: [",".join(map(str, value))],
    )


def _require(option: str, value: int, least: int) -> None:
    if value < least:
        raise ValueError(f"{option} is {value}; its range is {least} or more")
