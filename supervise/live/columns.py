"""The columns of the table: what stands in each, and how wide they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from supervise.cells import cells

from .alarms import in_line, is_near_its_limit
from .drawing import BAD, DIM, PLAIN, STRONG, WARN, Line, Piece, clean, count, cut, cut_middle, padded, span, spark

if TYPE_CHECKING:
    from .entry import Entry
    from .row import Row
    from .table import Shown, Table

STRATEGIES: Final = {"one_for_one": "1-for-1", "one_for_all": "1-for-all", "rest_for_one": "rest-for-1"}
FULL: Final = 0.8
"""The part of a mailbox that may be full without a word."""
LONG: Final = 1.0
"""Seconds for which a message may be in hand without a word: fast ones were each begun just now."""
LEAST: Final = 12
"""Cells of a column of texts, at least; else others go."""
MOST: Final = 48
"""Cells of one that it takes before all have what they want."""
SPARK: Final = 6
AWAITED: Final = "→ "


class Sight(NamedTuple):
    """What a row is seen in."""

    table: Table
    now: float
    knotted: frozenset[str]
    """Paths of those who wait in a cycle."""


class Column(NamedTuple):
    """One of them."""

    name: str
    piece: Callable[[Sight, Shown], Piece]
    right: bool = False
    is_text: bool = False
    """It has what room is left."""
    rank: int = 0
    """Where there is too little room, the highest goes first; 0 always stays."""
    path: bool = False
    """It is cut in the middle."""


# -- what stands in them -------------------------------------------------------------------------------------------------


def _actor(sight: Sight, shown: Shown) -> Piece:
    (entry, level), table = shown, sight.table
    row = entry.row
    if table.sort != "tree" or not table.is_whole:
        return clean(table.relative(row.path)), PLAIN
    has_children = table.has_children(row.path)
    mark = "  " if not has_children else "▸ " if row.path in table.folded and not table.filter else "▾ "
    name = entry.name if level or has_children else row.path
    dim = bool(table.filter) and not table.fits(entry)
    return f"{'  ' * level}{mark}{clean(name)}", DIM if dim else STRONG if has_children else PLAIN


def _state(sight: Sight, shown: Shown) -> Piece:
    row = shown[0].row
    if row.state == "running" and row.paused:
        return "paused", WARN
    if row.state == "restarting" and row.due is not None and row.due > sight.now:
        return f"backoff {span(row.due - sight.now)}", BAD
    if row.kind == "pool" and row.state == "running":
        return f"pool {row.workers_up}/{row.workers}", PLAIN if row.well else BAD if row.required else WARN
    if row.max_children is not None and row.state == "running":
        is_near = row.children >= FULL * row.max_children
        return f"{row.type} {row.children}/{row.max_children}", WARN if is_near else DIM
    if row.kind == "supervisor" and row.state == "running":
        return STRATEGIES.get(row.type, row.type), DIM
    return row.state, (DIM if row.state == "finished" else PLAIN) if row.well else BAD if row.required else WARN


def _life(_: Sight, shown: Shown) -> Piece:
    life = shown[0].row.life
    return f"{life}", DIM if life <= 1 else PLAIN


def _restarts(_: Sight, shown: Shown) -> Piece:
    row = shown[0].row
    if row.kind == "supervisor" and row.limit is not None:
        meaning = WARN if is_near_its_limit(shown[0]) else PLAIN if row.restarts else DIM
        return f"{count(row.restarts)}/{count(row.limit)}", meaning
    return (count(row.restarts), PLAIN) if row.restarts else ("", PLAIN)


def _queue(sight: Sight, shown: Shown) -> Piece:
    row = shown[0].row
    if row.kind == "supervisor":
        queued = sum(entry.row.queued for entry in _folded(sight, shown))
        return (count(queued), PLAIN) if queued else ("", PLAIN)
    if row.capacity is None:
        return count(row.queued), PLAIN if row.queued else DIM
    meaning = BAD if row.senders or row.queued >= row.capacity else WARN if row.queued >= FULL * row.capacity else PLAIN
    return f"{count(row.queued)}/{count(row.capacity)}", meaning if row.queued or row.senders else DIM


def _rate(sight: Sight, shown: Shown) -> Piece:
    entry = shown[0]
    if entry.row.kind == "supervisor":
        below = _folded(sight, shown)
        return (count(sum(each.rate for each in below)), PLAIN) if below else ("", PLAIN)
    return (count(entry.rate), PLAIN) if entry.rate or entry.moves else ("", PLAIN)


def _spark(sight: Sight, shown: Shown) -> Piece:
    entry = shown[0]
    if entry.row.kind != "supervisor":
        return spark(entry.rates, SPARK), DIM
    sums = [0.0] * SPARK
    for each in _folded(sight, shown):
        last = [*each.rates][-SPARK:]
        for number, rate in enumerate(last, SPARK - len(last)):
            sums[number] += rate
    return spark(sums, SPARK), DIM


def _failed(_: Sight, shown: Shown) -> Piece:
    entry = shown[0]
    return (count(entry.row.failed), WARN if entry.failing else PLAIN) if entry.row.failed else ("", PLAIN)


def _cpu(_: Sight, shown: Shown) -> Piece:
    share = shown[0].row.cpu
    return ("", PLAIN) if share is None else (f"{share * 100:.0f}%", PLAIN if share >= 0.005 else DIM)


def _hand(sight: Sight, shown: Shown) -> Piece:
    row = shown[0].row
    if not row.hand:
        return traffic(row), WARN if row.credit is not None and row.credit >= FULL else PLAIN
    names = ", ".join([clean(name).rpartition(".")[2] for name in row.hand])
    held = 0.0 if row.hand_since is None else sight.now - row.hand_since
    return f"{names} ≥{span(held)}" if held >= LONG else names, PLAIN


def traffic(row: Row) -> str:
    """What is under way over a link, and with whom; empty for what is no link, or isn't connected."""
    told = [
        f"{count(number)} {what}"
        for number, what in (
            (row.open_calls, "out"),
            (row.taken_calls, "in"),
            (row.unconfirmed, "unconfirmed"),
        )
        if number
    ]
    return f"{clean(row.far)}{': ' if told else ''}{', '.join(told)}" if row.far else ""


def _waits(sight: Sight, shown: Shown) -> Piece:
    row = shown[0].row
    if row.waits_for:
        return f"{AWAITED}{clean(sight.table.relative(row.waits_for))}", BAD if row.path in sight.knotted else PLAIN
    if row.senders:
        return in_line(row.senders), WARN
    return clean(row.error), DIM if row.well else BAD


def _folded(sight: Sight, shown: Shown) -> list[Entry]:
    """Of whom a folded supervisor tells; of an open one they tell themselves."""
    table, path = sight.table, shown[0].row.path
    is_folded = path in table.folded and table.sort == "tree" and not table.filter
    return table.below(path) if is_folded else []


COLUMNS: Final = (
    Column("actor", _actor, is_text=True, path=True),
    Column("state", _state),
    Column("life", _life, right=True, rank=4),
    Column("rst", _restarts, right=True, rank=2),
    Column("queue", _queue, right=True),
    Column("msg/s", _rate, right=True),
    Column("", _spark, rank=6),
    Column("fail", _failed, right=True, rank=3),
    Column("cpu", _cpu, right=True, rank=5),
    Column("in hand", _hand, is_text=True, rank=1),
    Column("waits for", _waits, is_text=True),
)


# -- how wide they are ---------------------------------------------------------------------------------------------------


class Columns:
    """As wide as what has stood in them. They only grow, so that nothing jumps."""

    def __init__(self) -> None:
        self._wanted = [SPARK if not column.name else cells(column.name) for column in COLUMNS]

    def pieces(self, sight: Sight, rows: Iterable[Shown]) -> list[list[Piece]]:
        """What stands in them, row by row; they have grown to that."""
        found = [[column.piece(sight, shown) for column in COLUMNS] for shown in rows]
        for pieces in found:
            for number, (text, _) in enumerate(pieces):
                self._wanted[number] = max(self._wanted[number], cells(text))
        return found

    def widths(self, width: int) -> list[int]:
        """The cells of each; 0: it isn't there, for want of room."""
        there = [True] * len(COLUMNS)
        for rank in sorted({column.rank for column in COLUMNS}, reverse=True):
            texts = [number for number, column in enumerate(COLUMNS) if there[number] and column.is_text]
            if rank == 0 or self._room(there, width) >= sum(min(self._wanted[number], 2 * LEAST) for number in texts):
                break
            there = [is_there and column.rank != rank for is_there, column in zip(there, COLUMNS, strict=True)]
        found = [self._wanted[number] if there[number] and not column.is_text else 0 for number, column in enumerate(COLUMNS)]
        texts = [number for number, column in enumerate(COLUMNS) if there[number] and column.is_text]
        for number, size in zip(texts, _shared(self._room(there, width), [self._wanted[n] for n in texts]), strict=True):
            found[number] = size
        return found

    def _room(self, there: Sequence[bool], width: int) -> int:
        """What is left for texts."""
        fixed = sum(self._wanted[number] for number, column in enumerate(COLUMNS) if there[number] and not column.is_text)
        return max(0, width - fixed - 2 * (sum(there) - 1))


def _shared(room: int, wanted: Sequence[int]) -> list[int]:
    """Room for texts: a fair share for each, and what one doesn't want is for the others; the last one has the rest."""
    found = [0] * len(wanted)
    left, open_ = room, sorted(range(len(wanted)), key=lambda number: min(wanted[number], MOST))
    for done, number in enumerate(open_):
        found[number] = min(wanted[number], MOST, left // (len(open_) - done))
        left -= found[number]
    found[-1] += left
    return found


def heading(widths: Sequence[int], sort: str) -> Line:
    """The names; that of the column by which rows are sorted stands out."""
    names = [(column.name, STRONG if column.name == sort else DIM) for column in COLUMNS]
    return joined(names, widths)


def joined(pieces: Sequence[Piece], widths: Sequence[int]) -> Line:
    """One row, of exactly so many cells."""
    line: Line = []
    for (text, meaning), column, width in zip(pieces, COLUMNS, widths, strict=True):
        if not width:
            continue
        if line:
            line.append(("  ", PLAIN))
        text = (cut_middle if column.path or text.startswith(AWAITED) else cut)(text, width)
        space = width - cells(text)
        if not space:
            line.append((text, meaning))
        elif column.right:
            line += [(" " * space, PLAIN), (text, meaning)]
        else:
            line += [(text, meaning), (padded("", space), PLAIN)]
    return line
