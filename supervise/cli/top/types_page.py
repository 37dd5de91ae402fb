"""Sums by type: what of a tree with very many actors can be seen at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from supervise.live.drawing import BAD, DIM, PLAIN, STRONG, WARN, Line, Piece, clean, count, cut, padded
from supervise.live.told import number_in, parts_in, text_in

from .page import COMMON
from .polled_page import PolledPage

if TYPE_CHECKING:
    from .app import Top

COUNTS: Final = {
    "actors": "actors",
    "down": "down",
    "restarts": "rst",
    "queued": "queue",
    "senders": "wait",
    "busy": "busy",
}
"""What is told, and what it is called here."""
WIDTH: Final = 8


class TypesPage(PolledPage):
    """One line for each type, the commonest first. None is chosen."""

    KEYS: ClassVar[tuple[tuple[str, str], ...]] = COMMON
    CURSOR: ClassVar[bool] = False

    def __init__(self, top: Top) -> None:
        super().__init__(top)
        self._types: list[Mapping[str, Any]] = []
        self._finished: dict[str, float] = {}
        self._rates: dict[str, float] = {}
        self._seen = 0.0

    def ask_for(self) -> dict[str, Any]:
        return self.top.source().snapshot(by="type")

    def answered(self, answer: dict[str, Any]) -> None:
        super().answered(answer)
        self._types = parts_in(answer, "types")
        seconds = number_in(answer, "seen") - self._seen
        if not seconds:  # the same survey
            return
        finished = {text_in(each, "type"): number_in(each, "handled") + number_in(each, "failed") for each in self._types}
        if self._finished and seconds > 0:
            self._rates = {name: max(0.0, n - self._finished.get(name, n)) / seconds for name, n in finished.items()}
        self._finished, self._seen = finished, number_in(answer, "seen")

    def count(self) -> int:
        return len(self._types)

    def lines(self, first: int, number: int, width: int) -> tuple[Line, list[Line]]:
        room = max(10, width - WIDTH * (len(COUNTS) + 3))
        names = [*COUNTS.values(), "msg/s", "failed", "dead"]
        heading: Line = [(padded("type", room), STRONG), ("".join(padded(name, WIDTH, right=True) for name in names), DIM)]
        if not self._types or self.problem:
            return heading, self.apology() or [[("there are no actors", DIM)]]
        return heading, [self._line(each, room) for each in self._types[first : first + number]]

    def _line(self, each: Mapping[str, Any], room: int) -> Line:
        name = text_in(each, "type")
        line: Line = [(padded(cut(clean(name), room - 1), room), PLAIN)]
        for key in COUNTS:
            meaning = BAD if key == "down" else WARN if key == "senders" else PLAIN
            line.append(_number(number_in(each, key), meaning))
        line.append(_number(self._rates.get(name, 0.0), PLAIN))
        line += [_number(number_in(each, key), PLAIN) for key in ("failed", "dead_lettered")]
        return line


def _number(number: float, meaning: str) -> Piece:
    return padded(count(number) if number else "", WIDTH, right=True), meaning if number else PLAIN
