"""Where the program's own files are: below some folders, without what tools and package managers keep there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Final

from supervise_strategies import kind

_OTHERS: Final = frozenset({"__pycache__", "node_modules", "site-packages", "dist-packages", "venv", "env"})
_OURS: Final = frozenset(
    (
        os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))),
        os.path.dirname(os.path.realpath(kind.__file__)),
    )
)


class Folders:
    """The folders that the program's own modules are in, with all below them."""

    def __init__(self, *tops: str) -> None:
        self.tops: tuple[str, ...] = tuple(sorted({os.path.realpath(top) for top in tops}))
        self._known: dict[str, bool] = {}
        self._files: dict[str, bool] = {}

    def holds(self, file: str) -> bool:
        """Whether a file is the program's own, as it was found to be first: to follow links takes 40 us, for each module."""
        held = self._files.get(file)
        if held is None:
            held = self._files[file] = self._is_own(os.path.dirname(os.path.realpath(file)))
        return held

    def shown(self, file: str) -> str:
        """Its path from the folder that it is in."""
        real = os.path.realpath(file)
        return next((os.path.relpath(real, top) for top in self.tops if _is_below(real, top)), file)

    def walk(self) -> Iterator[str]:
        """All of the folders, some maybe twice. One that vanishes meanwhile is left out."""
        for top in self.tops:
            for folder, below, _ in os.walk(top):
                below[:] = [name for name in below if self._is_own(os.path.join(folder, name))]
                yield folder

    def _is_own(self, folder: str) -> bool:
        known = self._known.get(folder)
        if known is None:
            known = self._known[folder] = any(
                folder == top or (_is_below(folder, top) and self._leads_to(top, folder)) for top in self.tops
            )
        return known

    @staticmethod
    def _leads_to(top: str, folder: str) -> bool:
        """Whether nothing on the way down is of others."""
        at = top
        for part in os.path.relpath(folder, top).split(os.sep):
            at = os.path.join(at, part)
            if part in _OTHERS or part.startswith(".") or at == sys.prefix or at in _OURS:
                return False
            if os.path.exists(os.path.join(at, "pyvenv.cfg")):
                return False
        return True


def _is_below(path: str, top: str) -> bool:
    return path.startswith(os.path.join(top, ""))
