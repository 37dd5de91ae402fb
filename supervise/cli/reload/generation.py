"""Modules that are imported anew, and take the place of the old ones; or, if one of them raises, all the old ones come back.

Theory of operation
-------------------
- The old modules are taken out of `sys.modules`, and each is imported as if for the first time. Nothing is written into one
  that runs, as `importlib.reload` does: whoever holds something of an old one, a live actor for one, goes on with all of it.
- Python's own import does the order: dependencies first.
- The source is always compiled. Python would take bytecode that it kept, if the file has the same size, and a time of change
  within the same second.
- A package that is imported anew gets the modules below it that aren't, before it runs: nobody imports those again for it.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from itertools import pairwise
from types import CodeType, ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Final

from supervise_strategies.exception import traceback_of

if TYPE_CHECKING:
    from .program import Program

_NOTHING: Final = object()


class NotImported(Exception):
    """One of them can't be imported; the old ones are in their places."""

    def __init__(self, file: str, error: BaseException) -> None:
        super().__init__(file)
        self.file = file
        self.error = error


class Generation:
    """What has taken the place of what."""

    def __init__(self, program: Program, old: dict[str, ModuleType], before: Collection[str]) -> None:
        self.old = old
        self.new: dict[str, ModuleType] = {}
        self._program = program
        self._before = frozenset(before)
        self._attributes: list[tuple[ModuleType, str, object]] = []  # of the packages, as they were
        for name in old:
            package = sys.modules.get(name.rpartition(".")[0])
            if package is not None:
                self._attributes.append((package, _last(name), vars(package).get(_last(name), _NOTHING)))

    def take_out(self) -> None:
        """The old ones, from the packages, too: `from shop import orders` asks the package first."""
        for name in self.old:
            del sys.modules[name]
        for package, attribute, value in self._attributes:
            if any(value is module for module in self.old.values()):
                delattr(package, attribute)

    def put_back(self) -> None:
        """All is as it was before: in `sys.modules`, and in the packages. What was imported for the first time is gone, too."""
        for name, module in self._program.modules().items():
            if name not in self._before:
                del sys.modules[name]
                parent = sys.modules.get(name.rpartition(".")[0])
                if parent is not None and vars(parent).get(_last(name)) is module:
                    delattr(parent, _last(name))
        for name in self.old:
            sys.modules.pop(name, None)
        sys.modules.update(self.old)
        for package, attribute, value in self._attributes:
            if value is not _NOTHING:
                setattr(package, attribute, value)
            elif attribute in vars(package):
                delattr(package, attribute)


def import_anew(program: Program, names: Sequence[str], gone: Collection[str] = ()) -> Generation:
    """Import these modules of the program anew. `gone`: those that have no file any more are only taken out.

    Raises `NotImported`, after which all is as it was; so it is after KeyboardInterrupt, which passes up.
    """
    modules = program.modules()
    old = {name: modules[name] for name in names if name in modules}
    generation = Generation(program, old, modules)
    finder = _Finder(old, {name: module for name, module in modules.items() if name not in old})
    importlib.invalidate_caches()
    done = False
    sys.meta_path.insert(0, finder)
    try:
        generation.take_out()
        for name, module in old.items():
            if name in gone or name in sys.modules:
                continue
            real = vars(module).get("__name__")
            try:
                importlib.import_module(name if type(real) is not str or real not in old else real)
            except (Exception, SystemExit) as error:
                _leave_out_ours(error)
                raise NotImported(program.folders.shown(finder.failed or str(module.__file__)), error) from None
            if name not in sys.modules and type(real) is str and real in sys.modules:
                sys.modules[name] = sys.modules[real]  # another name for it
        done = True
    finally:
        sys.meta_path.remove(finder)
        if not done:
            generation.put_back()
    generation.new.update({name: sys.modules[name] for name in old if name in sys.modules})
    return generation


class _Finder:
    """Finds the modules that are imported anew, as Python itself would; or, where it wouldn't, where they were."""

    def __init__(self, old: Mapping[str, ModuleType], kept: Mapping[str, ModuleType]) -> None:
        self._old = old
        self._kept = kept
        self.failed: str | None = None
        """The file of the first one that raised."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        was = self._old.get(name)
        if was is None:
            return None
        spec = self._elsewhere(name, path, target)
        if spec is None:
            file = str(was.__file__)
            if not os.path.exists(file):
                return None
            spec = spec_from_file_location(name, file, loader=SourceFileLoader(name, file))  # it was named as a file
        if spec is not None and type(spec.loader) in (SourceFileLoader, _Loader):
            below = {_last(module): self._kept[module] for module in self._kept if module.rpartition(".")[0] == name}
            spec.loader = _Loader(self, name, str(spec.origin), below)
        return spec

    def _elsewhere(self, name: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
        for finder in sys.meta_path:
            find: Any = getattr(finder, "find_spec", None)
            if finder is not self and find is not None:
                spec: ModuleSpec | None = find(name, path, target)
                if spec is not None:
                    return spec
        return None


class _Loader(SourceFileLoader):
    def __init__(self, finder: _Finder, name: str, path: str, below: Mapping[str, ModuleType]) -> None:
        super().__init__(name, path)
        self._finder: _Finder | None = finder
        self._below: Mapping[str, ModuleType] = below

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code

    def exec_module(self, module: ModuleType) -> None:
        vars(module).update(self._below)
        finder, self._finder = self._finder, None
        self._below = {}
        try:
            super().exec_module(module)
        except BaseException:
            if finder is not None and finder.failed is None:
                finder.failed = self.path if isinstance(self.path, str) else None
            raise


def _leave_out_ours(error: BaseException) -> None:
    """Of its traceback only the user's lines are left: Python leaves out its own where it finds no others in between."""
    line, kept = traceback_of(error), list[TracebackType]()
    while line is not None:
        file = line.tb_frame.f_code.co_filename
        if file != __file__ and file != importlib.__file__ and not file.startswith("<frozen importlib"):
            kept.append(line)
        line = line.tb_next
    for one, following in pairwise(kept):
        one.tb_next = following
    if kept:
        kept[-1].tb_next = None
    error.__traceback__ = kept[0] if kept else None


def _last(name: str) -> str:
    return name.rpartition(".")[2]
