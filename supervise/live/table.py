r"""The table: what a client keeps of a stream, as plain values. It knows no terminal, and no network.

    table = Table()
    for kind, data in client.stream():
        table.apply(kind, data)
        print("\n".join(lines(table, 100)))

Rates are of counters, per second of the tree's clock between two surveys (`seen`). A row that isn't told again hasn't changed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from .entry import Entry, row_from
from .happening import Happening, happening_of
from .picture import picture
from .told import list_in, number_in, part_in, parts_in

EVENTS: Final = 500
"""Events that are kept, the last ones."""
SORTS: Final[dict[str, Callable[[Entry], Any]]] = {
    "tree": lambda entry: 0,
    "worst": lambda entry: tuple([-part for part in entry.row.badness()]),
    "actor": lambda entry: entry.row.path,
    "life": lambda entry: -entry.row.life,
    "rst": lambda entry: -entry.row.restarts,
    "queue": lambda entry: (-entry.row.queued, -entry.row.senders),
    "msg/s": lambda entry: -entry.rate,
    "fail": lambda entry: -entry.row.failed,
    "cpu": lambda entry: -(entry.row.cpu or 0.0),
    "in hand": lambda entry: (entry.row.hand_since is None, entry.row.hand_since or 0.0),
}
"""What rows are sorted by, in the order of the columns."""

Shown: TypeAlias = tuple[Entry, int]
"""A row, and how deep in the tree it stands."""


class Table:
    """Of one tree, or of a part of it."""

    def __init__(self) -> None:
        self.head: Mapping[str, Any] = {}
        """What the protocol tells above the rows."""
        self.entries: dict[str, Entry] = {}
        """By path."""
        self.rate: float = 0.0
        """Messages a second that all have finished."""
        self.events: deque[Happening] = deque(maxlen=EVENTS)
        self.missed: int = 0
        """Events that the tree told and this table never heard of."""
        self.sort: str = "tree"
        self.filter: str = ""
        """What is shown has this in its path, its type or its state; upper case or lower is the same."""
        self.folded: set[str] = set()
        """Supervisors and pools whose children aren't shown, in the tree's order."""
        self._children: dict[str, dict[str, None]] = {}
        self._moving: set[str] = set()
        self._order: list[Shown] | None = None

    # -- what the tree says ------------------------------------------------------------------------------------------

    def apply(self, kind: str, data: Mapping[str, Any]) -> None:
        """One part of a stream, as `Client.stream` yields it. What isn't known is let pass."""
        if kind not in ("snapshot", "change"):
            return
        before, self.head = self.head, {key: value for key, value in data.items() if key not in ("rows", "gone", "events")}
        is_same = bool(before) and _pid(before) == _pid(self.head)
        seconds = self.seen - number_in(before, "seen") if is_same else 0.0
        if kind == "snapshot":
            self._children, old = {}, self.entries if is_same else {}
            self.entries, self._order = {}, None
            deque(self._put(parts_in(data, "rows"), seconds, old), maxlen=0)
            self._moving &= self.entries.keys()
        else:
            changed = {*self._put(parts_in(data, "rows"), seconds, self.entries)}
            for path in list_in(data, "gone"):
                self._drop(path)
            if seconds > 0:
                self._rest(self._moving - changed)
        self._sum_up(before, seconds)
        self.events.extend([happening_of(each) for each in parts_in(data, "events")])
        self.missed += int(number_in(data, "missed"))

    def _put(self, rows: Sequence[Mapping[str, Any]], seconds: float, old: Mapping[str, Entry]) -> Iterator[str]:
        """Each row that is told takes its place; the paths."""
        for data in rows:
            row = row_from(data)
            if row is None:
                continue
            entry = old.get(row.path)
            if entry is None:
                entry = Entry(row)
            elif seconds > 0:
                entry.become(row, seconds)
            else:
                entry.row = row
            if entry.rate or entry.failing:
                self._moving.add(row.path)
            if row.path not in self.entries:
                self.entries[row.path] = entry
                self._children.setdefault(above(row.path), {})[row.path] = None
                self._order = None
            yield row.path

    def _drop(self, path: object) -> None:
        if not isinstance(path, str) or self.entries.pop(path, None) is None:
            return
        self._children[above(path)].pop(path)
        self._moving.discard(path)
        self._order = None

    def _rest(self, paths: set[str]) -> None:
        for path in paths:
            entry = self.entries[path]
            entry.stay()
            if not entry.moves:
                entry.rates.clear()
                self._moving.discard(path)

    def _sum_up(self, before: Mapping[str, Any], seconds: float) -> None:
        if not seconds:
            self.rate = self.rate if _pid(before) == _pid(self.head) else 0.0
        elif seconds > 0:
            self.rate = max(0.0, _finished(self.head) - _finished(before)) / seconds
        else:
            self.rate = 0.0

    # -- what is read ------------------------------------------------------------------------------------------------

    @property
    def at(self) -> float:
        """The tree's clock when it last said something."""
        return number_in(self.head, "at")

    @property
    def seen(self) -> float:
        """The same when its rows were last looked at."""
        return number_in(self.head, "seen")

    @property
    def is_whole(self) -> bool:
        """Whether every actor has a row; of very many only the worst have one."""
        return self.head.get("all") is not False

    @property
    def tree(self) -> Mapping[str, Any]:
        return part_in(self.head, "tree")

    @property
    def totals(self) -> Mapping[str, Any]:
        return part_in(self.head, "totals")

    @property
    def loop(self) -> Mapping[str, Any]:
        return part_in(self.head, "loop")

    @property
    def blocked(self) -> Mapping[str, Any]:
        """What blocks the tree's loop; nothing, if nothing does."""
        return part_in(self.loop, "blocked")

    @property
    def may_operate(self) -> bool:
        return self.head.get("operate") is True

    def in_order(self) -> list[Shown]:
        """All rows as they stand in the tree, each after the one before it and all that is below that."""
        if self._order is None:
            self._order = [*self._walk()]
        return self._order

    def _walk(self) -> Iterator[Shown]:
        roots = [path for path in self.entries if above(path) not in self.entries]
        todo = [(path, 0) for path in reversed(roots)]
        while todo:
            path, level = todo.pop()
            yield self.entries[path], level
            todo.extend([(each, level + 1) for each in reversed(self._children.get(path, {}))])

    def has_children(self, path: str) -> bool:
        return bool(self._children.get(path))

    def below(self, path: str) -> list[Entry]:
        """The actors and pools below a supervisor, whose workers are counted in themselves."""
        found: list[Entry] = []
        todo = [*self._children.get(path, {})]
        while todo:
            entry = self.entries[todo.pop()]
            if entry.row.kind != "supervisor":
                found.append(entry)
            if entry.row.kind != "pool":
                todo.extend(self._children.get(entry.row.path, {}))
        return found

    def shown(self) -> list[Shown]:
        """The rows that are to be seen, by what they are sorted, filtered and folded by. Only the tree's order has levels."""
        if self.sort != "tree" or not self.is_whole:
            key = SORTS["worst" if self.sort == "tree" else self.sort]
            fitting = [entry for entry, _ in self.in_order() if not self.filter or self.fits(entry)]
            return [(entry, 0) for entry in sorted(fitting, key=key)]
        if self.filter:
            return self._filtered()
        return self._unfolded() if self.folded else self.in_order()

    def _unfolded(self) -> list[Shown]:
        found: list[Shown] = []
        hidden: int | None = None
        for entry, level in self.in_order():
            if hidden is not None and level > hidden:
                continue
            hidden = level if entry.row.path in self.folded else None
            found.append((entry, level))
        return found

    def _filtered(self) -> list[Shown]:
        """What fits, and those above it, so that it is seen where it stands. Folded or not: who seeks wants to find."""
        wanted: set[str] = set()
        for path, entry in self.entries.items():
            if self.fits(entry):
                while path and path not in wanted:
                    wanted.add(path)
                    path = above(path)
        return [(entry, level) for entry, level in self.in_order() if entry.row.path in wanted]

    def fits(self, entry: Entry) -> bool:
        """Whether the filter lets it through for its own sake."""
        wanted, row = self.filter.casefold(), entry.row
        state = "paused" if row.paused else row.state
        return any(wanted in text.casefold() for text in (row.path, row.type, state))

    def fold_all(self) -> None:
        """Show the root's children alone; if anything is folded, show all."""
        if self.folded:
            self.folded = set()
        else:
            self.folded = {entry.row.path for entry, level in self.in_order() if level and self.has_children(entry.row.path)}

    def relative(self, path: str) -> str:
        """A path without the tree's name, as operators say it; the root's is its name."""
        name = self.tree.get("name")
        return path.removeprefix(f"{name}/") if isinstance(name, str) else path

    def copy(self) -> Table:
        """Another one, that stays as this one is now."""
        other = Table()
        other.head, other.rate, other.missed = self.head, self.rate, self.missed
        other.entries = {path: entry.copy() for path, entry in self.entries.items()}
        other.events.extend(self.events)
        other.sort, other.filter, other.folded = self.sort, self.filter, {*self.folded}
        other._children = {path: {**children} for path, children in self._children.items()}
        return other


def lines(table: Table, width: int, *, ascii: bool = False) -> list[str]:
    """It as plain text: what `supervise ps` prints. No line takes more than `width` cells; all rows are there."""
    return picture(table, width, ascii=ascii)


def above(path: str) -> str:
    """The path of its supervisor."""
    return path.rpartition("/")[0]


def _pid(head: Mapping[str, Any]) -> object:
    return part_in(head, "tree").get("pid")


def _finished(head: Mapping[str, Any]) -> float:
    totals = part_in(head, "totals")
    return number_in(totals, "handled") + number_in(totals, "failed")
