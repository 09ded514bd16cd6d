"""Changes one expression of the filter or of the objective at a time and asks the tests whether they notice.

    python models/training/tests/mutation.py [filter] [objective]

test/mutation/python.md keeps the results of the last run of each module. The changes are cosmic-ray's. Each is made in a fork
of one process that holds PyTorch already, and in memory: no file changes, and a change takes a second or two.
"""

import ast
import importlib.util
import io
import os
import re
import resource
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import NamedTuple

import cosmic_ray.plugins
import pytest
import torch
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

PACKAGE = Path(__file__).resolve().parents[1]
REPORT = PACKAGE.parents[1] / "test" / "mutation" / "python.md"

TESTS = {
    "filter": ("tatok/filter.py", ["tests/test_filter.py", "tests/test_rankings.py"]),
    "objective": ("tatok/training/objective.py", ["tests/test_objective.py", "tests/test_train.py"]),
}
"""File of every module, and its tests: those of one second."""
OTHERS = (
    "profile or processes or asked_to_end or decrease_the_loss or resume_is_exact or optimizer_that_does_not or averages_the"
    " or schedule or checkpoints_are_left or refinement_stage or rate_rises or kinds_of_kernels"
)
"""Tests there of runs, optimisers and the command line, which are slow and ask nothing of these modules."""

CHANGES = re.compile(
    r"core/(AddNot|NumberReplacer|Replace(TrueWithFalse|FalseWithTrue|AndWithOr|OrWithAnd)|ZeroIterationForLoop"
    r"|ReplaceBreakWithContinue|ReplaceContinueWithBreak|RemoveDecorator"
    r"|ReplaceBinaryOperator_(Add_Sub|Sub_Add|Mul_Div|Div_Mul|FloorDiv_Mul|Mod_Mul|Pow_Mul|BitOr_BitAnd|BitAnd_BitOr)"
    r"|ReplaceComparisonOperator_(Lt_LtE|Lt_GtE|LtE_Lt|LtE_Gt|Gt_GtE|Gt_LtE|GtE_Gt|GtE_Lt|Eq_NotEq|NotEq_Eq|Is_IsNot|IsNot_Is)"
    r"|ReplaceUnaryOperator_Delete_\w+)"
)
"""The changes that Stryker makes in TypeScript, and numbers ± 1. cosmic-ray knows each operator by all others of Python; most
of these (`a << b` of floats) raise at once, and would only lift the share."""

LIBRARIES = ("onnx", "onnxruntime", "scipy.stats", "torchmetrics.image", "torchvision.ops", "tyro", "yaml")
"""What the tests import, so that a fork has it already."""

SECONDS = 60
"""Processor time of a change's tests, 20 times that of the unchanged code: longer is a loop without end."""
MEMORY = 2**30
"""Address space that a change's tests may add to that of the libraries, above which a growing array ends as a MemoryError."""


class Change(NamedTuple):
    operator: str
    occurrence: int
    line: int
    before: str
    after: str
    source: str


def changes_of(source: str) -> Iterator[Change]:
    """Every change of a module; not those of annotations, which compute nothing."""
    annotations = list(_annotations(ast.parse(source)))
    tree, lines = get_ast(source), source.splitlines()
    for name in sorted(cosmic_ray.plugins.operator_names()):
        if not CHANGES.fullmatch(name):
            continue
        operator = cosmic_ray.plugins.get_operator(name)()
        positions = (start for node in ast_nodes(tree) for start, _ in operator.mutation_positions(node))
        for occurrence, (line, column) in enumerate(positions):
            # A star that ends the positional parameters is none of a product.
            bare = lines[line - 1][column:].startswith("*,")
            if bare or any(first <= (line, column) < last for first, last in annotations):
                continue
            changed = mutate_code(source, operator, occurrence)
            # A change may leave its text as it was: `-1` to `+1` is none of `- 1`.
            if changed is None or changed == source:
                continue
            after = next((new for old, new in zip(lines, changed.splitlines(), strict=False) if old != new), "")
            yield Change(name.removeprefix("core/"), occurrence, line, lines[line - 1].strip(), after.strip(), changed)


def _annotations(tree: ast.Module) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    for node in ast.walk(tree):
        for each in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if each is not None:
                yield (each.lineno, each.col_offset), (each.end_lineno, each.end_col_offset)


class Changed(SourceFileLoader):
    """Loads a module from a changed source, whatever is compiled of it on the disk."""

    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self.source = source

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.source, self.path, "exec")

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        return importlib.util.spec_from_file_location(name, self.path, loader=self) if name == self.name else None


def notices(path: str, source: str, tests: list[str], seconds: int = SECONDS) -> bool:
    """Whether a test fails, or takes no end, with this source of a module."""
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        held = resource.getpagesize() * int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, held + MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        name = path.removesuffix(".py").replace("/", ".")
        sys.meta_path.insert(0, Changed(name, str(PACKAGE / path), source))
        sys.path.insert(0, str(PACKAGE))
        options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-k", f"not ({OTHERS})"]
        status = 1
        try:
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                status = int(pytest.main([*options, *tests]))
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return status != 0


def main(names: list[str]) -> None:
    os.chdir(PACKAGE)
    torch.set_num_threads(1)
    for library in LIBRARIES:
        importlib.import_module(library)
    rows, survivors = _former()
    for name in names or TESTS:
        path, tests = TESTS[name]
        source = (PACKAGE / path).read_text()
        if notices(path, source, tests):
            raise SystemExit(f"The tests of {path} fail before anything is changed.")
        changes, left = list(changes_of(source)), []
        for index, change in enumerate(changes):
            if not notices(path, change.source, tests):
                left.append(f"- line {change.line}, {change.operator}: `{change.after}`\n")
            print(f"\r{path}: {index + 1} of {len(changes)}, {len(left)} not noticed", end="", flush=True)
        print()
        killed = len(changes) - len(left)
        rows[path] = (len(changes), killed)
        survivors[path] = "".join(sorted(left, key=lambda entry: int(re.search(r"\d+", entry)[0])))
    REPORT.write_text(_report(rows, survivors))


def _former() -> tuple[dict[str, tuple[int, int]], dict[str, str]]:
    text = REPORT.read_text() if REPORT.exists() else ""
    rows = {
        path: (int(of), int(killed)) for path, of, killed in re.findall(r"^\| `(.+?)`\s+\|\s+(\d+) \|\s+(\d+) \|", text, re.M)
    }
    return rows, dict(re.findall(r"^### (.+)\n\n((?:- .*\n)+)", text, re.M))


def _report(rows: dict[str, tuple[int, int]], survivors: dict[str, str]) -> str:
    changes, killed = (sum(row[i] for row in rows.values()) for i in range(2))
    width = max(len(path) for path in rows) + 2
    table = [
        f"| {f'`{path}`':<{width}} | {of:>7} | {of_these:>7} | {100 * of_these / of:>4.1f} % |"
        for path, (of, of_these) in sorted(rows.items())
    ]
    sections = [f"### {path}\n\n{lines}" for path, lines in sorted(survivors.items()) if lines]
    return "\n".join(
        [
            "# Mutation run of the Python package\n",
            "Made by `python models/training/tests/mutation.py`. "
            f"{killed} of {changes} changes are noticed, {100 * killed / changes:.1f} %.\n",
            f"| {'File':<{width}} | Changes | Noticed |  Share |",
            f"| {'-' * width} | ------: | ------: | -----: |",
            *table,
            "\n## Not noticed\n",
            *sections,
        ]
    )


if __name__ == "__main__":
    main(sys.argv[1:])
