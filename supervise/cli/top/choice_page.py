"""Which tree is to be shown, where several are served."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

from supervise.live.drawing import DIM, PLAIN, STRONG, Line, clean, padded
from supervise.live.folder import Found

from .page import Page

if TYPE_CHECKING:
    from .app import Top


class ChoicePage(Page):
    """One line for each."""

    KEYS: ClassVar[tuple[tuple[str, str], ...]] = (("enter", "show it"), ("q", "quit"))

    def __init__(self, top: Top, among: tuple[Found, ...]) -> None:
        super().__init__(top)
        self._among = among

    def count(self) -> int:
        return len(self._among)

    def lines(self, first: int, number: int, width: int) -> tuple[Line, list[Line]]:
        names = [clean(found.name) for found in self._among]
        size = max(map(len, names)) + 2
        return [("several trees are served here: which one?", STRONG)], [
            [(padded(name, size), PLAIN), (f"pid {found.pid}  ", PLAIN), (clean(str(found.socket)), DIM)]
            for name, found in [*zip(names, self._among, strict=True)][first : first + number]
        ]

    def actions(self) -> Mapping[str, Callable[[], object]]:
        return {"enter": lambda: self.top.choose(self._among[self.cursor])}
