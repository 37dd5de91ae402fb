"""All that is known of one actor, pool or supervisor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from supervise.cli.columns.cells import wrapped
from supervise.live.alarms import in_line
from supervise.live.columns import traffic
from supervise.live.drawing import BAD, DIM, PLAIN, STRONG, WARN, Line, clean, plural, span
from supervise.live.entry import row_from
from supervise.live.row import Row
from supervise.live.told import number_in, part_in, parts_in, text_in, texts_in

from .events_page import event_text
from .page import COMMON
from .polled_page import PolledPage

if TYPE_CHECKING:
    from .app import Top

LABEL: Final = 10
"""Cells of what stands before the lines."""
EVENTS: Final = 10
"""Events of it that are told, the last ones."""


class DetailPage(PolledPage):
    """Its lines are read, and none is chosen; the operator's keys are for it."""

    KEYS: ClassVar[tuple[tuple[str, str], ...]] = (
        ("r", "restart"),
        ("x", "stop"),
        ("a", "start"),
        ("p", "pause"),
        ("c", "change"),
        *COMMON,
    )
    CURSOR: ClassVar[bool] = False

    def __init__(self, top: Top, path: str) -> None:
        super().__init__(top)
        self._path = path
        self._lines: list[Line] = []

    def ask_for(self) -> dict[str, Any]:
        return self.top.source().actor(self._path)

    def path(self) -> str | None:
        return self._path

    def actions(self) -> Mapping[str, Callable[[], object]]:
        return self.operations()

    def prepare(self) -> None:
        self._lines = [*self.apology(), *self._told(max(30, self.size.width))]

    def count(self) -> int:
        return len(self._lines)

    def lines(self, first: int, number: int, width: int) -> tuple[Line, list[Line]]:
        return [(clean(self._path), STRONG)], self._lines[first : first + number]

    def _told(self, width: int) -> Iterator[Line]:
        answer = self.answer
        if answer is None:
            return
        row = row_from(part_in(answer, "row")) or Row(self._path)
        now = number_in(answer, "at")
        yield from _labelled("state", [_state(row, now)])
        yield from _labelled("policy", [[(part, PLAIN)] for part in [_policy(answer, row)] if part])
        yield from _labelled("in hand", _hand(row, now))
        yield from _labelled("link", _link(row, answer))
        yield from _labelled("stands at", [[(frame, PLAIN)] for frame in texts_in(answer, "stack")])
        yield from _labelled("account", [[(part, PLAIN)] for part in wrapped(_account(answer), width - LABEL)])
        for label, name in (("handled", "handlers"), ("waiting", "waiting")):
            yield from _labelled(
                label, [[(f"{number:>8,}  {clean(handler)}", PLAIN)] for handler, number in _counts(answer, name)]
            )
        explained = [part for text in _lines_of(answer, "explain") for part in wrapped(text, width - LABEL)]
        yield from _labelled("a crash", [[(part, PLAIN)] for part in explained])
        ends = [line for end in parts_in(answer, "ends") for line in _end(end)]
        yield from _labelled("its ends", ends)
        events = [event for event in self.top.view.events if event.path == text_in(part_in(answer, "row"), "path")]
        yield from _labelled("events", [event_text(event) for event in events[-EVENTS:]])


def _labelled(label: str, lines: list[Line]) -> Iterator[Line]:
    for number, line in enumerate(lines):
        yield [(f"{'' if number else label:{LABEL}}", DIM), *line]


def _state(row: Row, now: float) -> Line:
    state = f"backoff {span(row.due - now)}" if row.due is not None and row.due > now else row.state
    line: Line = [(state, PLAIN if row.well else BAD), (f"  {row.type}", PLAIN)]
    if row.kind != "supervisor":
        capacity = "" if row.capacity is None else f" of {row.capacity}"
        line += [(f"  life {row.life}, {plural(row.restarts, 'restart')}  {row.queued}{capacity} queued", PLAIN)]
    if row.paused:
        line.append(("  paused", WARN))
    if row.senders:
        line.append((f"  {plural(row.senders, 'sender')} waiting for room", BAD))
    if row.error != "":
        line.append((f"  last: {row.error}", DIM if row.well else BAD))
    return line


def _policy(answer: Mapping[str, Any], row: Row) -> str:
    policy = text_in(answer, "policy")
    if row.kind == "supervisor":
        children = int(number_in(answer, "children"))
        return f"{policy}; {row.restarts} of these are used; {children} {'child' if children == 1 else 'children'}"
    return policy


def _hand(row: Row, now: float) -> list[Line]:
    since = "" if row.hand_since is None else f"  for {span(now - row.hand_since)} at least"
    lines: list[Line] = [[(f"{name}{since}", PLAIN)] for name in row.hand]
    if row.waits_for:
        lines.append([(f"waits for {row.waits_for}", PLAIN)])
    if row.oldest_since is not None:
        lines.append([(f"the oldest message has waited for {span(now - row.oldest_since)} at least", PLAIN)])
    return lines


def _link(row: Row, answer: Mapping[str, Any]) -> list[Line]:
    """Who is at the other end, and what of its credit is used."""
    lines: list[Line] = [[(traffic(row), PLAIN)]] if row.far else []
    if held := number_in(answer, "held_back"):
        lines.append([(f"{plural(int(held), 'message')} held back until there is credit again", WARN)])
    for each in parts_in(answer, "credit"):
        most = number_in(each, "most")
        number = f"{number_in(each, 'out'):,.0f}{f' of {most:,.0f}' if most else ''}"
        size = f"{number_in(each, 'out_bytes'):,.0f} of {number_in(each, 'most_bytes'):,.0f} bytes"
        waiting = int(number_in(each, "waiting"))
        line: Line = [(f"{text_in(each, 'of')}: {number}, {size}", PLAIN)]
        if waiting:
            line.append((f"  {in_line(waiting)} for credit", BAD))
        lines.append(line)
    return lines


def _account(answer: Mapping[str, Any]) -> str:
    account = part_in(answer, "account")
    told = [(clean(name).replace("_", " "), number) for name, number in account.items() if isinstance(number, int)]
    return ", ".join(f"{number:,} {name}" for name, number in told)


def _end(end: Mapping[str, Any]) -> Iterator[Line]:
    """How one life ended: when, why, in which handler, and where."""
    handler = text_in(end, "handler")
    detail = text_in(end, "detail")
    yield [
        (f"{text_in(end, 'time').partition('T')[2][:8]}  ", DIM),
        (f"#{number_in(end, 'life'):.0f} {text_in(end, 'kind')}", STRONG),
        (f"  {detail}" if detail else "", PLAIN),
        (f"  in {handler}" if handler else "", PLAIN),
    ]
    for frame in texts_in(end, "frames"):
        yield [(f"          {frame}", DIM)]


def _counts(answer: Mapping[str, Any], name: str) -> list[tuple[str, int]]:
    counts = part_in(answer, name)
    return sorted(((key, number) for key, number in counts.items() if isinstance(number, int)), key=lambda each: -each[1])


def _lines_of(answer: Mapping[str, Any], name: str) -> list[str]:
    text: object = answer.get(name)
    return [clean(line) for line in text.splitlines()] if isinstance(text, str) else []
