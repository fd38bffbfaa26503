"""What no module of the package may do; the layers are stated for import-linter in pyproject.toml."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OPENERS = {"files", "PackageLoader", "render_page"}
"""Functions that open the data files of a package by its name."""


@cache
def modules() -> dict[str, ast.Module]:
    """Path relative to the checkout -> syntax tree, for every module of the package."""
    paths = sorted((ROOT / "vgbench").rglob("*.py"))
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def defined(tree: ast.Module) -> set[str]:
    """Underscore names that a module defines, as functions, classes, variables or attributes."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.id if isinstance(node, ast.Name) else node.attr)
    return set(filter(is_private, names))


def foreign_privates(path: str, tree: ast.Module, others: set[str]) -> Iterator[str]:
    """Underscore names that a module imports, or reaches for, and that only other modules define."""
    own = defined(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vgbench"):
            yield from (f"{path}:{node.lineno} {a.name}" for a in node.names if is_private(a.name))
        elif isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr in others - own:
            yield f"{path}:{node.lineno} {node.attr}"


def test_no_underscore_name_crosses_a_file():
    names = {path: defined(tree) for path, tree in modules().items()}
    everything = set().union(*names.values())
    found = [line for path, tree in modules().items() for line in foreign_privates(path, tree, everything)]
    assert found == []


def room(name: str) -> str:
    """The package directly below `vgbench` that a dotted name or a path belongs to; "" for a module there."""
    parts = re.split(r"[./]", name.removesuffix(".py"))
    return parts[1] if len(parts) > 2 or "." in name.removesuffix(".py") else ""


def foreign_files(path: str, tree: ast.Module) -> Iterator[str]:
    """Places where a module opens data files of another package."""
    depth = path.count("/") - 1
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            package = node.args[0] if node.args else None
            if (
                name in OPENERS
                and isinstance(package, ast.Constant)
                and room(str(package.value)) != room(path)
            ):
                yield f"{path}:{node.lineno} {package.value}"
        if levels_up(node) > depth:
            yield f"{path}:{node.lineno} {ast.unparse(node)}"


def levels_up(node: ast.AST) -> int:
    """How many folders above the module itself an expression on `__file__` leads; 0 for any other."""
    match node:
        case ast.Attribute(value=inner, attr="parent") if "__file__" in ast.unparse(inner):
            return levels_up(inner) + 1
        case ast.Subscript(
            value=ast.Attribute(value=inner, attr="parents"), slice=ast.Constant(value=int(n))
        ):
            return n + 1 if "__file__" in ast.unparse(inner) else 0
    return 0


def test_a_package_s_data_files_are_opened_by_its_own_modules():
    assert [line for path, tree in modules().items() for line in foreign_files(path, tree)] == []


def dotted(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imported(tree: ast.AST, known: Collection[str]) -> Iterator[str]:
    """Modules that a module imports at any time, except for those that only type checkers need."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name if name in known else node.module for name in names)
        yield from imported(node, known)


def test_no_module_imports_itself_through_others():
    trees = {dotted(path): tree for path, tree in modules().items()}
    graph = {name: set(imported(tree, trees)) & trees.keys() - {name} for name, tree in trees.items()}
    assert len(graph) > 100
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from vgbench.metrics.kernel import _blocks", True),
        ("from torch.nn.modules.batchnorm import _BatchNorm", False),
        ("kernel._blocks()", True),
        ("self._blocks()", True),
        ("def _blocks(): ...\nself._blocks()", False),
        ("os._exit(1)", False),
    ],
)
def test_the_check_of_underscore_names_finds_what_it_should(text, found):
    assert bool(list(foreign_privates("vgbench/a/b.py", ast.parse(text), {"_blocks"}))) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("resources.files('vgbench.training') / 'presets'", True),
        ("resources.files('vgbench.a') / 'presets'", False),
        ("resources.files(__name__)", False),
        ("render_page('vgbench.pages', 'base')", True),
        ("Path(__file__).parent / 'x.yaml'", False),
        ("Path(__file__).parent.parent / 'training' / 'x.yaml'", True),
        ("Path(__file__).resolve().parents[1] / 'training'", True),
    ],
)
def test_the_check_of_data_files_finds_what_it_should(text, found):
    assert bool(list(foreign_files("vgbench/a/b.py", ast.parse(text)))) == found
