"""The program's own modules that are loaded, and which of them have another source now than the one that runs."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Final, NamedTuple

from supervise_strategies.kind import is_of

from .imports import imported_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .folders import Folders

_UNKNOWN: Final = b""
_NEVER: Final[tuple[bytes | None, frozenset[str]]] = None, frozenset()


class Changes(NamedTuple):
    """What is on the disk, and doesn't run."""

    sources: dict[str, bytes]
    """By module: the digest of what is in its file now."""
    gone: frozenset[str]
    """Modules whose file is gone: they run on until somebody who imports them is imported anew."""

    def __bool__(self) -> bool:
        return bool(self.sources)


class Program:
    """What `sys.modules` has of one program. What is noted of a module is the source that it was made of."""

    def __init__(self, folders: Folders, begun: float | None = None) -> None:
        """`begun`: when the first of its modules was imported, in seconds since the epoch; a file written later is unknown."""
        self.folders = folders
        self._noted: dict[str, bytes] = {}
        self._imports: dict[str, tuple[bytes, frozenset[str]]] = {}
        self._looked_at = time.time() if begun is None else begun
        self.changes()

    def modules(self) -> dict[str, ModuleType]:
        """By name, in the order in which their imports began."""
        found: dict[str, ModuleType] = {}
        for name, module in [*sys.modules.items()]:
            if name != "__main__" and is_of(module, ModuleType) and self._is_own(module):
                found[name] = module
        return found

    def changes(self) -> Changes:
        """What has changed since it was noted. To write the same text once more, aside or in place, changes nothing.

        A module that is seen for the first time is noted as it is, unless its file may be younger than its import.
        """
        sources: dict[str, bytes] = {}
        gone: set[str] = set()
        now = time.time()
        for name, module in self.modules().items():
            file = _file_of(module)
            try:
                written = os.stat(file).st_mtime
                digest = _digest(_read(file))
            except OSError:  # it is being replaced, or it is gone
                gone.add(name)
                continue
            noted = self._noted.get(name)
            if noted is None:
                noted = self._noted[name] = _UNKNOWN if written > self._looked_at else digest
            if noted != digest:
                sources[name] = digest
        self._looked_at = now
        return Changes(sources, frozenset(gone))

    def note(self, changes: Changes) -> None:
        """This runs now."""
        self._noted.update(changes.sources)
        there = self.modules()
        for name in [*self._noted]:
            if name not in there:
                del self._noted[name]
                self._imports.pop(name, None)

    def affected(self, changes: Changes) -> list[str]:
        """The modules that have changed, or are gone, with all that import them, at first or second hand.

        They are in an order in which they can be imported: each circle is entered where it was entered before. Who imports
        others comes first, since that brings the others, and again before it has ended itself.
        """
        modules = self.modules()
        importers: dict[str, set[str]] = {}
        for name, module in modules.items():
            for imported in self._imports_of(name, module, modules):
                importers.setdefault(imported, set()).add(name)
        found = {*changes.sources, *changes.gone}
        todo = [*found]
        while todo:
            for importer in importers.get(todo.pop(), ()):
                if importer not in found:
                    found.add(importer)
                    todo.append(importer)
        ended = [name for name in modules if name in found]  # `sys.modules` is in the order in which imports have ended
        return [*dict.fromkeys([*_entries(ended, importers), *reversed(ended)])]

    def _imports_of(self, name: str, module: ModuleType, modules: Mapping[str, ModuleType]) -> Iterable[str]:
        noted = self._noted.get(name, _UNKNOWN)
        made_of, imports = self._imports.get(name, _NEVER)
        if made_of != noted:
            try:
                imports = imported_by(_read(_file_of(module)), module)
            except (OSError, SyntaxError, ValueError):  # then it has changed itself
                imports = frozenset[str]()
            self._imports[name] = noted, imports
        return imports | _held_by(module, modules)

    def _is_own(self, module: ModuleType) -> bool:
        file = _file_of(module)
        return file.endswith(".py") and self.folders.holds(file)


def _entries(ended: list[str], importers: Mapping[str, set[str]]) -> Iterator[str]:
    """Those that nobody else imports, in the order of their imports. Of a circle that is the one which has ended last."""
    above = {name: _above(name, importers) for name in ended}
    for number, name in enumerate(ended):
        circle = {other for other in above[name] if name in above.get(other, ())}
        if circle == above[name] and not circle.intersection(ended[number + 1 :]):
            yield name


def _above(name: str, importers: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    todo = [name]
    while todo:
        for importer in importers.get(todo.pop(), ()):
            if importer not in found:
                found.add(importer)
                todo.append(importer)
    return found - {name}


def _held_by(module: ModuleType, modules: Mapping[str, ModuleType]) -> set[str]:
    """The modules of which it has something, however it came by that: what it is given by a function that imports, say."""
    found: set[str] = set()
    below = f"{module.__name__}."  # a package has all modules below it, whoever imports them
    for value in [*vars(module).values()]:
        name: object = None
        if is_of(value, ModuleType):
            name = value.__name__
        elif is_of(value, FunctionType):
            name = value.__module__
        elif is_of(value, type):
            name = vars(value).get("__module__")
        if type(name) is str and name in modules and not name.startswith(below) and modules[name] is not module:
            found.add(name)
    return found


def _file_of(module: ModuleType) -> str:
    file: object = vars(module).get("__file__")
    return file if type(file) is str else ""


def _read(file: str) -> bytes:
    with open(file, "rb") as opened:
        return opened.read()


def _digest(source: bytes) -> bytes:
    return hashlib.blake2b(source, digest_size=16).digest()
