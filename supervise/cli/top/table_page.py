"""The table of all actors: the page that one begins with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

from supervise.live.columns import Columns, heading, joined
from supervise.live.drawing import DIM, Line
from supervise.live.picture import sight_of
from supervise.live.table import SORTS, Shown

from .page import Page
from .question import Entry

if TYPE_CHECKING:
    from .app import Top


class TablePage(Page):
    """One line for each actor. The one that is chosen stays so wherever it goes; the first line stays the first."""

    KEYS: ClassVar[tuple[tuple[str, str], ...]] = (
        ("t", "tree"),
        ("s", "sort"),
        ("/", "filter"),
        ("enter", "detail"),
        ("w", "waits"),
        ("y", "types"),
        ("e", "events"),
        ("r", "restart"),
        ("p", "pause"),
        ("f", "freeze"),
        ("?", "help"),
        ("q", "quit"),
    )

    def __init__(self, top: Top) -> None:
        super().__init__(top)
        self._rows: list[Shown] = []
        self._chosen: str | None = None
        self._columns = Columns()
        self._drawn_as: object = None

    def prepare(self) -> None:
        view = self.top.view
        self._rows = view.shown()
        if self._chosen is not None:
            found = (number for number, (entry, _) in enumerate(self._rows) if entry.row.path == self._chosen)
            self.put_cursor(next(found, self.cursor))
        drawn_as = (self.size.width, view.sort, view.filter, view.tree.get("pid"))
        if drawn_as != self._drawn_as:
            self._columns, self._drawn_as = Columns(), drawn_as

    def count(self) -> int:
        return len(self._rows)

    def path(self) -> str | None:
        return self._rows[self.cursor][0].row.path if self.cursor < len(self._rows) else None

    def moved(self) -> None:
        self._chosen = self.path() if self.cursor else None

    def lines(self, first: int, number: int, width: int) -> tuple[Line, list[Line]]:
        view = self.top.view
        pieces = self._columns.pieces(sight_of(view, self.top.now), self._rows[first : first + number])
        widths = self._columns.widths(width)
        lines = [joined(each, widths) for each in pieces]
        if not lines and view.head:
            lines = [[(f"nothing fits the filter {view.filter!r}" if view.filter else "there are no actors", DIM)]]
        sort = "worst" if view.sort == "tree" and not view.is_whole else view.sort
        above = heading(widths, "actor" if sort == "tree" else sort)
        return above, lines

    def actions(self) -> Mapping[str, Callable[[], object]]:
        return {
            **self.operations(),
            "t": self._fold_all,
            "space": self._fold,
            "left": lambda: self._fold(True),
            "right": lambda: self._fold(False),
            "s": lambda: self._sort(1),
            "S": lambda: self._sort(-1),
            "/": self._filter,
            "escape": lambda: self._filtered(""),
            "enter": self._detail,
        }

    def _fold_all(self) -> None:
        self._sorted("tree")
        self.top.view.fold_all()
        self._stay()

    def _fold(self, folded: bool | None = None) -> None:
        """One supervisor; on an actor `left` goes to its own."""
        view, path = self.top.view, self.path()
        if path is None or view.sort != "tree":
            return
        is_folded = path in view.folded
        if view.has_children(path) and (folded is None or folded != is_folded):
            (view.folded.discard if is_folded else view.folded.add)(path)
        elif folded:
            above = path.rpartition("/")[0]
            number = next((number for number, (entry, _) in enumerate(self._rows) if entry.row.path == above), self.cursor)
            self.move(number - self.cursor)

    def _stay(self) -> None:
        """Where what was chosen isn't shown any more, its supervisor is."""
        shown = {entry.row.path for entry, _ in self.top.view.shown()}
        while self._chosen and self._chosen not in shown:
            self._chosen = self._chosen.rpartition("/")[0]
        self._chosen = self._chosen or None

    def _sort(self, step: int) -> None:
        names = [*SORTS]
        self._sorted(names[(names.index(self.top.view.sort) + step) % len(names)])
        self.top.say([(f"sorted by {self.top.view.sort}", DIM)])

    def _sorted(self, name: str) -> None:
        if name != self.top.view.sort:
            self.top.view.sort = self.top.table.sort = name
            self.put_cursor(0)
            self._chosen = None

    def _filter(self) -> None:
        self.ask(Entry("filter", self.top.view.filter, changed=self._filtered))

    def _filtered(self, text: str) -> None:
        self.top.view.filter = self.top.table.filter = text

    def _detail(self) -> None:
        if (path := self.path()) is not None:
            self.top.detail(path)
