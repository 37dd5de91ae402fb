"""The alarms: what of a tree should be looked at first, in words, the worst of it first."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from .drawing import BAD, LOUD, PLAIN, WARN, Line, count, cut_middle, plural, span
from .told import number_in, text_in, texts_in
from .waits import cycles, longest_chain

if TYPE_CHECKING:
    from .entry import Entry
    from .table import Table

WAITS: Final = 1.0
"""Seconds after which it is told that somebody waits: every call does."""
NEAR: Final = 0.8
"""The part of the restarts of a supervisor that may be used up without a word."""
NAMED: Final = 3
"""Of one sort, that are told each by itself."""
LONGEST: Final = 40
"""Cells of one path."""


class Alarm(NamedTuple):
    """One of them."""

    text: str
    meaning: str


def alarms(table: Table, now: float) -> list[Alarm]:
    """All there are."""
    found: list[Alarm] = []
    for each in (
        _of_tree(table),
        _of_cycles(table),
        _down(table),
        _of_chain(table, now),
        _full(table),
        _near(table),
        _paused(table),
    ):
        told = [*each]
        found += told[:NAMED]
        if len(told) > NAMED:
            found.append(Alarm(f"{len(told) - NAMED} more like that", told[NAMED].meaning))
    return found


def alarm_line(table: Table, now: float) -> Line:
    """All of them on one line, however long; what blocks the loop is said alone, and loudly."""
    blocked = blocked_text(table)
    if blocked:
        return [(f"! {blocked} ", LOUD)]
    line: Line = []
    for alarm in alarms(table, now):
        line += [("   " if line else "", PLAIN), (f"! {alarm.text}", alarm.meaning)]
    return line


def blocked_text(table: Table) -> str:
    """Who keeps the tree's loop from running, where, and since when; nothing, if it runs."""
    blocked = table.blocked
    if not blocked:
        return ""
    handler, stack = text_in(blocked, "handler"), texts_in(blocked, "stack")
    by = text_in(blocked, "path") or "something that is no actor"
    return (
        f"blocked for {span(number_in(blocked, 'for'))} by {by}"
        + (f" ({handler})" if handler else "")
        + (f" at {stack[-1]}" if stack else "")
    )


def _of_tree(table: Table) -> Iterator[Alarm]:
    tree = table.tree
    if ended := text_in(tree, "ended"):
        yield Alarm(f"{text_in(tree, 'name')} has ended: {ended}", BAD)
    elif table.head and tree.get("live") is False:
        yield Alarm(f"{text_in(tree, 'name')} isn't running", BAD)
    if problem := text_in(table.head, "problem"):
        yield Alarm(problem, BAD)


def _of_cycles(table: Table) -> Iterator[Alarm]:
    for knot in cycles(table):
        yield Alarm(f"cycle: {_way(table, (*knot, knot[0]))}", BAD)


def _of_chain(table: Table, now: float) -> Iterator[Alarm]:
    chain = longest_chain(table, now)
    if chain is not None and chain.seconds >= WAITS:
        handler = f" ({chain.handler})" if chain.handler else ""
        yield Alarm(f"{_way(table, chain.paths)}: {span(chain.seconds)}{handler}", BAD)


def _down(table: Table) -> Iterator[Alarm]:
    """Those that are required first. A pool is one thing: its workers aren't told by themselves."""
    down = [entry for entry in table.entries.values() if not entry.row.well and not _is_worker(table, entry)]
    for entry in sorted(down, key=lambda entry: not entry.row.required):
        row = entry.row
        if row.kind == "pool" and row.state == "running":
            what = f"{row.workers_up} of {plural(row.workers, 'worker')}"
        else:
            what = f"is {row.state}{f': {row.error}' if row.error != '' else ''}"
        yield Alarm(f"{_name(table, row.path)} {what}", BAD if row.required else WARN)


def _full(table: Table) -> Iterator[Alarm]:
    full = [entry.row for entry in table.entries.values() if entry.row.senders]
    for row in sorted(full, key=lambda row: -row.senders):
        capacity = "" if row.capacity is None else f" {count(row.queued)}/{count(row.capacity)},"
        yield Alarm(f"{_name(table, row.path)}:{capacity} {in_line(row.senders)}", WARN)


def in_line(senders: int) -> str:
    """How many wait for room."""
    return "1 sender waits" if senders == 1 else f"{count(senders)} senders wait"


def _near(table: Table) -> Iterator[Alarm]:
    for entry in table.entries.values():
        if is_near_its_limit(entry):
            restarts = f"{entry.row.restarts} of {plural(entry.row.limit or 0, 'restart')}"
            yield Alarm(f"{_name(table, entry.row.path)}: {restarts}", WARN)


def is_near_its_limit(entry: Entry) -> bool:
    """Whether a supervisor has used up nearly all restarts that it may make within its period."""
    row = entry.row
    return row.kind == "supervisor" and bool(row.limit) and row.restarts >= NEAR * (row.limit or 0)


def _paused(table: Table) -> Iterator[Alarm]:
    paused = [_name(table, entry.row.path) for entry in table.entries.values() if entry.row.paused]
    if paused:
        more = f" and {len(paused) - NAMED} more" if len(paused) > NAMED else ""
        yield Alarm(f"paused: {', '.join(islice(paused, NAMED))}{more}", WARN)


def _is_worker(table: Table, entry: Entry) -> bool:
    supervisor = table.entries.get(entry.row.path.rpartition("/")[0])
    return supervisor is not None and supervisor.row.kind == "pool"


def _way(table: Table, paths: tuple[str, ...]) -> str:
    """Who waits for whom. Of a long one its beginning and its end."""
    names = [_name(table, path) for path in paths]
    if len(names) > 6:
        names = [*names[:3], f"{len(names) - 5} more", *names[-2:]]
    return " -> ".join(names)


def _name(table: Table, path: str) -> str:
    return cut_middle(table.relative(path), LONGEST)
