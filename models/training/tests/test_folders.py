"""Folders of the package import each other in one direction."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import tatok

ROOT = Path(tatok.__file__).parent


def imported(file: Path) -> set[str]:
    """Modules of the package that a file imports, functions' own imports included, by their parts after `tatok`."""
    package = file.relative_to(ROOT).with_suffix("").parts[:-1]
    modules = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            modules.add(".".join((*base, *(node.module or "").split("."))))
    return modules


def folder(module: str) -> str:
    """The folder of a module. Modules beside the folders count one by one, and so do those that build on no other."""
    first = module.split(".")[0]
    file = (ROOT / module.replace(".", "/")).with_suffix(".py")
    return first if (ROOT / first).is_dir() and imported(file) else module


def test_no_circle_of_folders():
    graph: dict[str, set[str]] = {}
    for file in ROOT.rglob("*.py"):
        own = folder(".".join(file.relative_to(ROOT).with_suffix("").parts))
        graph.setdefault(own, set()).update(folder(m) for m in imported(file) if folder(m) != own)
    assert len(graph) > 8
    # Raises CycleError, which names the circle.
    TopologicalSorter(graph).prepare()
