"""Hashes the user's own code that a number was computed with."""

from __future__ import annotations

import ast
import hashlib
import importlib
import secrets
import sys
import sysconfig
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import resolve_name
from pathlib import Path
from types import ModuleType
from weakref import WeakKeyDictionary

_STARTED = time.time()
_PROCESS = secrets.token_hex(8)
_INSTALLED = tuple({Path(path) for path in sysconfig.get_paths().values()})


@dataclass(frozen=True)
class Source:
    """The source of a module and of the user's own modules that it imports.

    Attributes:
        sha256: hash of all source files, in the order of their names.
        is_certain: whether it is certain that this process runs these files. It may not if a file changed
            after the process began, because the module may have been imported before the change.
    """

    sha256: str
    is_certain: bool

    @property
    def short(self) -> str:
        """The first eight digits, for signatures."""
        return self.sha256[:8]

    @property
    def key(self) -> str:
        """Key under which results are stored; no other process has it if the source is not certain."""
        return self.sha256 if self.is_certain else f"{self.sha256}-{_PROCESS}"


_seen: WeakKeyDictionary[ModuleType, tuple[object, Source]] = WeakKeyDictionary()


def source_of(module_name: str) -> Source:
    """Hash the source of a module that is imported or can be imported.

    A module is read once, at the first call, because later changes to its file do not change what this
    process runs. A module that was reloaded is read again. For a module without a source file, such as a
    notebook, the key differs in every process.
    """
    module = sys.modules.get(module_name) or importlib.import_module(module_name)
    spec, known = _seen.get(module, (None, None))
    if known is None or spec is not module.__spec__:
        known = _read(module)
        _seen[module] = module.__spec__, known
    return known


def combined(module_names: Iterable[str], also: str = "") -> Source | None:
    """Hash the sources of several modules and an additional text; None if there are no modules."""
    found = [source_of(name) for name in sorted(set(module_names))]
    if not found:
        return None
    text = "".join([*(source.sha256 for source in found), also])
    return Source(hashlib.sha256(text.encode()).hexdigest(), all(source.is_certain for source in found))


def is_own(module_name: str) -> bool:
    """Whether an imported module is the user's own: not installed, and not a part of Python or vgbench."""
    module = sys.modules.get(module_name)
    return module is not None and _is_own(module)


def _read(module: ModuleType) -> Source:
    digest = hashlib.sha256()
    certain = True
    for name, path in sorted(_files(module).items()):
        try:
            digest.update(f"{name}\n".encode())
            digest.update(path.read_bytes())
            certain &= path.stat().st_mtime < _STARTED
        except OSError:
            certain = False
    return Source(digest.hexdigest(), certain)


def _files(module: ModuleType) -> dict[str, Path]:
    """Module name -> file, for a module and for the user's own modules that it imports."""
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        one = waiting.pop()
        if one.__name__ in found:
            continue
        found[one.__name__] = Path(getattr(one, "__file__", None) or f"{one.__name__} has no file")
        waiting += [other for other in _imported_by(one) if _is_own(other)]
    return found


def _imported_by(module: ModuleType) -> Iterator[ModuleType]:
    """Yield the modules that are named by import statements anywhere in the source of a module."""
    try:
        tree = ast.parse(Path(str(module.__file__)).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = resolve_name("." * node.level + (node.module or ""), module.__package__ or "")
            names += [package, *(f"{package}.{alias.name}" for alias in node.names)]
    yield from (sys.modules[name] for name in names if name in sys.modules)


def _is_own(module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    if file is None or module.__name__.partition(".")[0] == "vgbench":
        return False
    return not any(Path(file).is_relative_to(place) for place in _INSTALLED)
