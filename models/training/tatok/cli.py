"""Command line: python -m tatok COMMAND …; --help lists the commands, and on each its options."""

import argparse
import dataclasses
import sys
from pathlib import Path

from .bench.profile import profile
from .config import PRESETS, TrainConfig, with_overrides
from .training.distributed import own_rank
from .training.resume import resume_note
from .training.train import RunFiles, train

_PRESET = "tatok-s-256"
_LOSS_NETWORK = "SqueezeNet 1.0 of the original Caffe release as .npz under torchvision's names; not torchvision's weights"


def _counts(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _add_config_options(parser: argparse.ArgumentParser) -> None:
    """One option per scalar field of the training configuration, all optional."""
    for field in dataclasses.fields(TrainConfig):
        if field.type in (int, float, str):
            option, choices = "--" + field.name.replace("_", "-"), field.metadata.get("choices")
            parser.add_argument(option, type=field.type, choices=choices, default=None, help=f"default {field.default}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tatok", description="Train, evaluate and export TaTok tokenizers.")
    commands = parser.add_subparsers(dest="command", required=True)

    pack = commands.add_parser("pack", help="decode a folder of images once, for training")
    pack.add_argument("images", type=Path, nargs="+", help="folders or files")
    pack.add_argument("--out", type=Path, required=True)
    pack.add_argument("--short-side", type=int, default=320, help="larger images are scaled down to this (pixels)")

    train = commands.add_parser("train", help="train, or resume what lies in --out (run under torchrun for many GPUs)")
    profile = commands.add_parser("profile", help="show where the time of a training step goes")
    for command in (train, profile):
        command.add_argument("pack", type=Path)
        command.add_argument("--out", type=Path, required=True)
        command.add_argument("--preset", choices=sorted(PRESETS), help=f"shape of the model, default {_PRESET}")
        command.add_argument("--refinement-width", type=int, help="channels of the decoder's stage at full resolution")
        command.add_argument("--levels", type=_counts, help="FSQ levels of each dimension, such as 8,8,8,8: their product is V")
        command.add_argument("--perceptual", help=f"efficientnet-lite, or {_LOSS_NETWORK}; without it no perceptual loss")
        command.add_argument("--start-from", type=Path, help="checkpoint, weights or bundle that a new schedule starts from")
        _add_config_options(command)
        command.add_argument("--compile", action="store_true", help="compile the model in pieces (minutes, then much faster)")
    train.add_argument("--max-seconds", type=float, help="stop with a checkpoint after this long")

    export = commands.add_parser("export", help="write a bundle from a checkpoint or weights file")
    export.add_argument("weights", type=Path)
    export.add_argument("--out", type=Path, required=True)
    export.add_argument(
        "--manifest", type=Path, required=True, help="JSON with name, version, description, licence, defaults, training"
    )
    export.add_argument("--calibration", type=Path, help="images kept out of training, for the temperature of ĥ")
    export.add_argument("--reference", type=Path, required=True, help="training images whose mean Σĥ is the reference budget")

    cuda = commands.add_parser("cuda-graphs", help="add float16 graphs for the CUDA provider to a bundle")
    cuda.add_argument("bundle", type=Path)

    parity = commands.add_parser("parity", help="compare a bundle's CUDA graphs with its plain graphs on images")
    parity.add_argument("bundle", type=Path)
    parity.add_argument("images", type=Path, help="a folder")
    parity.add_argument("--device", default="cpu", help="where PyTorch runs the CUDA graphs: cpu or cuda")
    parity.add_argument("--limit", type=int, help="at most this many images")

    evaluate = commands.add_parser("evaluate", help="measure a bundle (ONNX Runtime) or weights (PyTorch) on images")
    evaluate.add_argument("model", type=Path, help="bundle folder, checkpoint or weights file")
    evaluate.add_argument("images", type=Path, nargs="+", help="folders; each is reported on its own")
    evaluate.add_argument("--out", type=Path, required=True)
    evaluate.add_argument("--perceptual", type=Path, help=f"{_LOSS_NETWORK}, for the perceptual distance")
    evaluate.add_argument("--limit", type=int, help="at most this many images a folder")
    evaluate.add_argument("--batch", type=int, default=8)
    evaluate.add_argument("--quick", action="store_true", help="fewer points of the curves, and no ablations")
    evaluate.add_argument("--runtime", choices=("onnx", "torch"), default="onnx", help="torch runs a bundle's weights on a GPU")

    compare = commands.add_parser("compare", help="put the metrics of several models into one table and one plot")
    compare.add_argument("metrics", type=Path, nargs="+", help="metrics.json of evaluations of the same folders")
    compare.add_argument("--out", type=Path, required=True)

    generate = commands.add_parser("generate", help="time a GPT that generates an image's tokens, over their number")
    generate.add_argument("bundle", type=Path, help="its manifest says how many tokens an image takes")
    generate.add_argument("--out", type=Path, required=True)
    generate.add_argument("--size", choices=("tiny", "base", "large", "xl"), default="large", help="of the GPT")
    generate.add_argument("--tokens", type=int, help="K + |S|; default: the manifest's mean at the default ε")
    generate.add_argument(
        "--lengths", type=int, nargs="*", default=[32, 48, 64, 96, 128, 192, 288], help="other lengths to time"
    )
    generate.add_argument("--batches", type=int, nargs="+", default=[1, 64])
    generate.add_argument("--runs", type=int, default=5)

    bench = commands.add_parser("bench", help="time a bundle's graphs in PyTorch")
    bench.add_argument("model", type=Path, help="bundle folder, checkpoint or weights file")
    bench.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    bench.add_argument("--threads", type=int, default=2)
    bench.add_argument("--batches", type=_counts, default=[1, 8])
    bench.add_argument("--runs", type=int, default=10)
    bench.add_argument("--warm-up", type=int, default=2)
    bench.add_argument("--json", action="store_true", help="print one JSON object instead of a table")

    golden = commands.add_parser("golden", help="write golden vectors that tests hold other implementations to")
    golden.add_argument("bundle", type=Path)
    golden.add_argument("images", type=Path, nargs="+")
    golden.add_argument("--out", type=Path, required=True, help="file names in it are relative to the working directory")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        _COMMANDS[arguments.command](arguments)
    except (OSError, ValueError, FloatingPointError) as error:
        print(f"tatok: {error}", file=sys.stderr)
        return 1
    return 0


def _pack(arguments: argparse.Namespace) -> None:
    from .data.images import list_images, write_pack

    for path in arguments.images:
        if not path.exists():
            raise ValueError(f"there is no {path}")
    files = [f for p in arguments.images for f in (list_images(p) if p.is_dir() else [p])]
    if not files:
        raise ValueError(f"no images in {', '.join(map(str, arguments.images))}")
    print(f"{write_pack(files, arguments.out, arguments.short_side)} of {len(files)} images packed into {arguments.out}")


def _run(arguments: argparse.Namespace) -> tuple[RunFiles, TrainConfig]:
    options = {name: value for name, value in vars(arguments).items() if value is not None}
    fields = {f.name for f in dataclasses.fields(TrainConfig)}
    model = PRESETS[options.get("preset", _PRESET)]
    if arguments.levels:
        model = dataclasses.replace(model, levels=tuple(arguments.levels))
    if arguments.refinement_width:
        model = dataclasses.replace(model, refinement_width=arguments.refinement_width)
    config = with_overrides(TrainConfig(model=model), {name: options[name] for name in fields & options.keys()})
    files = RunFiles(arguments.pack, arguments.out, arguments.perceptual, arguments.start_from)
    if files.checkpoint.exists() and own_rank() == 0:
        given = options.keys() & {*fields, "preset", "levels", "start_from"}
        print(f"tatok: {resume_note(files, config, given)}", file=sys.stderr)
    return files, config


def _train(arguments: argparse.Namespace) -> None:
    files, config = _run(arguments)
    train(files, config, max_seconds=arguments.max_seconds, compile_model=arguments.compile)


def _profile(arguments: argparse.Namespace) -> None:
    files, config = _run(arguments)
    files.out.mkdir(parents=True, exist_ok=True)
    table = profile(files, config, compile_model=arguments.compile)
    (files.out / "profile.txt").write_text(table)
    print(table)


def _export(arguments: argparse.Namespace) -> None:
    from .bundle.calibration import calibrate
    from .bundle.description import read_description
    from .bundle.export import export_bundle, round_to_half
    from .evaluation.backend import TorchBackend
    from .evaluation.evaluate import reference_budget
    from .tokenizer import TaTok

    description = read_description(arguments.manifest)
    model = TaTok.from_pretrained(arguments.weights)
    measured = {}
    if arguments.calibration is not None:
        measured["entropyTemperature"] = calibrate(model, arguments.calibration)
    round_to_half(model)
    filters = model.config.filters
    measured["referenceBudgetBits"] = reference_budget(TorchBackend(model, "export"), arguments.reference) if filters else 0.0
    export_bundle(model, arguments.out, description, measured)


def _cuda_graphs(arguments: argparse.Namespace) -> None:
    from .bundle.cuda.graphs import add_cuda_graphs

    add_cuda_graphs(arguments.bundle)


def _parity(arguments: argparse.Namespace) -> None:
    import json

    from .bundle.cuda.parity import parity

    print(json.dumps(parity(arguments.bundle, arguments.images, arguments.device, arguments.limit), indent=2))


def _evaluate(arguments: argparse.Namespace) -> None:
    from .evaluation.evaluate import evaluate

    evaluate(
        arguments.model,
        arguments.images,
        arguments.out,
        perceptual=arguments.perceptual,
        limit=arguments.limit,
        batch=arguments.batch,
        runtime=arguments.runtime,
        quick=arguments.quick,
    )


def _compare(arguments: argparse.Namespace) -> None:
    from .evaluation.comparison import compare

    compare(arguments.metrics, arguments.out)


def _generate(arguments: argparse.Namespace) -> None:
    from .bench.generate import generate

    options = vars(arguments)
    generate(**{name: options[name] for name in ("bundle", "out", "size", "tokens", "lengths", "batches", "runs")})


def _bench(arguments: argparse.Namespace) -> None:
    import json

    from .bench.networks import bench, table

    result = bench(
        arguments.model,
        device=arguments.device,
        threads=arguments.threads,
        batches=arguments.batches,
        runs=arguments.runs,
        warm_up=arguments.warm_up,
    )
    print(json.dumps(result) if arguments.json else table(result))


def _golden(arguments: argparse.Namespace) -> None:
    from .bundle.golden import write_filter_vectors, write_golden

    write_filter_vectors(arguments.out)
    write_golden(arguments.bundle, arguments.images, arguments.out / "golden", Path.cwd())


_COMMANDS = {
    "pack": _pack,
    "train": _train,
    "profile": _profile,
    "export": _export,
    "cuda-graphs": _cuda_graphs,
    "parity": _parity,
    "evaluate": _evaluate,
    "compare": _compare,
    "generate": _generate,
    "bench": _bench,
    "golden": _golden,
}
