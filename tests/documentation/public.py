"""All public names: in which module each stands, and what it is."""

from __future__ import annotations

import importlib
import inspect
from typing import Any, Final, NamedTuple

import supervise
from tests.test_public_api import PATHS


class Public(NamedTuple):
    module: str
    name: str
    thing: Any

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"

    @property
    def help(self) -> str:
        return inspect.getdoc(self.thing) or ""

    @property
    def has_own_help(self) -> bool:
        """Classes, functions and modules have; an alias of a type, or a constant, has what it is made of."""
        return inspect.isclass(self.thing) or inspect.isroutine(self.thing) or inspect.ismodule(self.thing)


def _found() -> list[Public]:
    """Each thing once: where a program would import it from."""
    seen: set[int] = set()
    found: list[Public] = []
    for module, names in {"supervise": set(supervise.__all__), **PATHS}.items():
        home = importlib.import_module(module)
        for name in sorted(names):
            thing = getattr(home, name)
            if id(thing) not in seen:
                seen.add(id(thing))
                found.append(Public(module, name, thing))
    return found


PUBLIC: Final = _found()
