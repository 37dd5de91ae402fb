"""The whole picture: what stands above the rows, the rows, and the last event below them. All that draw share it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .alarms import alarm_line
from .columns import Columns, Sight, heading, joined
from .drawing import BAD, DIM, PLAIN, STRONG, WARN, Line, apart, count, fitted, in_ascii, span, text_of
from .told import number_in, text_in
from .waits import cycles

if TYPE_CHECKING:
    from .table import Table

LATE: Final = 0.1
"""Seconds by which a loop may be late without a word."""


def picture(table: Table, width: int, *, ascii: bool = False) -> list[str]:
    """All of it as plain text."""
    now, columns = table.at, Columns()
    sight = sight_of(table, now)
    pieces = columns.pieces(sight, table.shown())
    widths = columns.widths(width)
    above = [head_line(table, width), alarm_line(table, now)]
    below = [event_line(table, width)]
    found = [*filter(None, above), heading(widths, ""), *[joined(each, widths) for each in pieces], *filter(None, below)]
    texts = [text_of(fitted(line, width)).rstrip() for line in found]
    return [in_ascii(text) for text in texts] if ascii else texts


def sight_of(table: Table, now: float) -> Sight:
    """What the rows are seen in, at an instant of the tree's clock."""
    return Sight(table, now, frozenset(path for knot in cycles(table) for path in knot))


def head_line(table: Table, width: int) -> Line:
    """The tree itself, and its sums."""
    tree, cpu = table.tree, table.head.get("cpu")
    if not tree:
        return []
    left: Line = [
        (text_in(tree, "name"), STRONG),
        (f"  pid {number_in(tree, 'pid'):.0f}  up {span(number_in(tree, 'up'))}  ", PLAIN),
        _readiness(table),
    ]
    if not table.is_whole:
        left.append((f"  {count(number_in(table.totals, 'actors'))} actors, the worst {len(table.entries)}", PLAIN))
    right: Line = [(f"{count(table.rate)} msg/s  {count(number_in(table.totals, 'queued'))} queued", PLAIN)]
    if isinstance(cpu, int | float):
        right.append((f"   cpu {cpu * 100:.0f} %", PLAIN))
    lag = number_in(table.loop, "lag")
    right.append((f"  loop lag {span(lag)}", WARN if lag >= LATE else PLAIN))
    return apart(left, right, width)


def _readiness(table: Table) -> tuple[str, str]:
    tree = table.tree
    if table.blocked:
        return "BLOCKED", BAD
    if not tree.get("live"):
        return "NOT RUNNING", BAD
    if not tree.get("ready"):
        return "NOT READY", BAD
    return ("READY, degraded", WARN) if tree.get("degraded") else ("READY", PLAIN)


def event_line(table: Table, width: int) -> Line:
    """The last thing that happened, with its trace."""
    if not table.events:
        return [(f"events: {table.missed} missed", DIM)] if table.missed else []
    last = table.events[-1]
    trace = f"trace {last.trace[:8]}" if last.trace else last.clock
    return apart([("events: ", DIM), (last.text, PLAIN)], [(trace, DIM)], width)
