"""A program in a folder of its own, whose files are written, changed and broken by tests."""

from __future__ import annotations

import importlib
import itertools
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

from supervise.cli.reload.folders import Folders
from supervise.cli.reload.generation import Generation, import_anew
from supervise.cli.reload.program import Program

_numbers = itertools.count(1)


class Files:
    """`$` in names and texts stands for the name of the program's package, which no other test has."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.package = f"reloaded_{next(_numbers)}"
        self.folders = Folders(str(folder))

    def full(self, text: str) -> str:
        return dedent(text).replace("$", self.package)

    def write(self, **texts: str) -> None:
        """`orders="…"` is the file `orders.py` in the package; `__` in a name is a folder: `rooms__big` is `rooms/big.py`."""
        (self.folder / self.package).mkdir(exist_ok=True)
        for name, text in texts.items():
            self.file(name).parent.mkdir(exist_ok=True)
            self.file(name).write_text(self.full(text), encoding="utf-8")

    def file(self, name: str) -> Path:
        return self.folder / self.package / f"{name if name == '__init__' else name.replace('__', '/')}.py"

    def load(self, name: str) -> Any:
        return importlib.import_module(f"{self.package}.{name}")

    def there(self, name: str) -> Any:
        """The module that is in `sys.modules`."""
        return sys.modules[f"{self.package}.{name}" if name else self.package]

    def program(self) -> Program:
        return Program(self.folders)


def anew(program: Program) -> Generation:
    """All that has changed is imported anew, and noted."""
    changes = program.changes()
    generation = import_anew(program, program.affected(changes), changes.gone)
    program.note(changes)
    return generation


def short(names: Any) -> list[str]:
    return [name.partition(".")[2] for name in names]


@contextmanager
def files_in(folder: Path) -> Generator[Files]:
    """The folder is on the path, and nothing that was imported from it is left."""
    path, modules, cwd = [*sys.path], {*sys.modules}, os.getcwd()
    sys.path.insert(0, str(folder))
    try:
        yield Files(folder)
    finally:
        os.chdir(cwd)
        sys.path[:] = path
        for name in [name for name in sys.modules if name not in modules]:
            file = getattr(sys.modules[name], "__file__", None) or ""
            if file.startswith(str(folder)) or not file:
                del sys.modules[name]
        importlib.invalidate_caches()
