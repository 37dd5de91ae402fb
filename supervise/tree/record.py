"""A flight record: a tree at one instant, with what led there; and its text, one JSON object with a line for each fact.

It is taken at once, in the tree's thread, and keeps texts and numbers alone. The text can be made anywhere, later.
"""

from __future__ import annotations

import json
import os
import platform
import re
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, cast

from supervise.events import as_dict
from supervise.frame import Frame, place_of
from supervise.journal import facts as sorts
from supervise.journal.fingerprint import fingerprint
from supervise.mailbox.account import Account
from supervise.message import label_of, name_of
from supervise_strategies.exception import interrupts
from supervise_strategies.exit_reason import ExitKind, ExitReason
from supervise_strategies.text import one_line, shown

from .place import ActorPlace
from .pool_place import PoolPlace

if TYPE_CHECKING:
    from supervise.events import Event
    from supervise.journal.facts import Fact, Kept
    from supervise.mailbox.lane import Lane
    from supervise_strategies.directives import Decision

    from .branch import BranchPlace, Place
    from .tree import Tree

FORMAT: Final = "supervise flight record 1"
MOST_BYTES: Final = 1024 * 1024
"""Of one record. The oldest facts are left out where there are more."""
MOST_ACTORS: Final = 1000
"""Of which something is told; those that have something to tell come first."""
FOR_ACTORS: Final = MOST_BYTES // 4
"""Bytes that the actors may take."""
LONGEST: Final = 4096
"""Bytes of one line; a longer one is cut to what says who and when."""
LOOKED_AT: Final = 1000
"""Messages of one queue whose handlers are counted."""
RECENT: Final = 100
"""Texts of crashes among which one is looked for that was cut."""
NAMES: Final = 10
"""Names in one list: handlers that wait, children that are restarted together."""

_QUOTING: Final = re.compile(
    r"(?:child |its last worker left: |(?:\w*Group\()*(?:Actor|Child|Start|GaveUp)\w*: )"
    r".*?(?:crashed \(|didn't start: |crashed(?: with .*? in hand)?: )"
)
"""The beginning of a text of ours that goes on with that of a crash."""


@dataclass(frozen=True, slots=True)
class Record:
    """One that was taken."""

    name: str
    """Of the tree's root."""
    when: float
    """Seconds since 1970."""
    head: dict[str, Any]
    actors: list[dict[str, Any]]
    kept: Kept

    def text(self) -> bytes:
        """The file, at most 1 MiB, as UTF-8."""
        actors = list(_within(map(_line, self.actors), FOR_ACTORS))
        room = MOST_BYTES - sum(map(len, actors)) - 2 * len(actors) - 2 * LONGEST
        newest = list(_within(map(_Text(self).line, reversed(self.kept.facts)), room))
        left_out = {
            "facts_left_out": self.kept.full or len(newest) < len(self.kept.facts),
            "actors_left_out": self.head["actors"] - len(actors),
        }
        told, facts = b",\n".join(actors), b",\n".join(reversed(newest))
        head = _line(self.head | left_out)
        return b"".join((head[:-1], b',\n"actors_told": [\n', told, b'\n],\n"facts": [\n', facts, b"\n]}\n"))


class _Text:
    """Makes the lines of one record."""

    def __init__(self, record: Record) -> None:
        self._begin = record.when - record.kept.now
        # A crash's text stands in others, too: in what was decided, in a give-up above, in the crash of who had called. There
        # it is what its own fact says, and where that isn't there, as it was counted or is forgotten, it is left out.
        self._of_life: dict[tuple[str, str, int], str] = {}
        self._instead: dict[str, str] = {}
        for fact in record.kept.facts:
            if fact[1] == sorts.ENDED and (fact[8] or fact[11]):
                told = self._of_life[fact[2], fact[3], fact[4]] = self._clean(fact[7])
                self._instead[_bare(fact[7])] = self._instead[_bare(fact[6].detail)] = self._instead[_bare(told)] = told

    def line(self, fact: Fact) -> bytes:
        at, sort, above, name = fact[:4]
        found: dict[str, Any] = {"at": self._clock(at), "fact": sort, "path": f"{above}/{name}" if above else name}
        more = dict(zip(sorts.FIELDS[sort], fact[4:], strict=True))
        if "handler" in more:
            more["handler"] = label_of(more["handler"])
        if "until" in more:
            more["until"] = self._clock(more["until"])
        match sort:
            case sorts.ENDED:
                more = self._ended(more)
            case sorts.DECIDED:
                more = self._decided(above, more["decision"])
            case sorts.LOST:
                more["why"] = more["why"].lower()
            case sorts.TOLD:
                more = self._told(more["event"])
            case _:
                pass
        return _line(found | more)

    def _clock(self, at: float) -> str:
        return _clock(self._begin + at)

    def _clean(self, detail: str) -> str:
        """A text of ours that may hold that of a crash."""
        quoting = _QUOTING.match(detail)
        if quoting is None:
            return detail
        head, quoted = detail[: quoting.end()], detail[quoting.end() :]
        instead = self._instead.get(_bare(quoted))
        if instead is None and _QUOTING.match(quoted):
            instead = self._clean(_bare(quoted))
        if instead is None and quoted.endswith("…"):
            last = islice(reversed(self._instead.items()), RECENT)
            instead = next((told for known, told in last if known.startswith(quoted[:-1])), None)
        closing = ")" * (head.count("(") - head.count(")"))
        return f"{head}{'…' if instead is None else instead}{closing}"

    def _ended(self, fact: dict[str, Any]) -> dict[str, Any]:
        reason: ExitReason = fact.pop("reason")
        frames: tuple[Frame, ...] = fact.pop("frames")
        detail: str = fact.pop("detail")
        told = {key: value for key, value in fact.items() if key in ("incarnation", "was_ready", "waiting")}
        told |= {"kind": reason.kind.value}
        if not frames and not fact["handler"]:
            return told | {"detail": self._clean(reason.detail)}
        error, where = _name_in(detail), place_of(frames)
        return told | {
            "detail": self._clean(detail),
            "error": error,
            "handler": fact["handler"],
            "called": fact["called"],
            "fingerprint": fingerprint(error, frames, fact["handler"]),
            "where": "" if where is None else str(where),
        }

    def _decided(self, above: str, decision: Decision) -> dict[str, Any]:
        detail = self._of_life.get((above, decision.child, decision.incarnation))
        if detail is None:
            detail = self._clean(decision.reason.detail)
            if decision.reason.kind is ExitKind.CRASHED and not _QUOTING.match(detail):
                detail = self._instead.get(_bare(detail), detail and "…")
        reason = decision.reason._replace(detail=detail)
        others = len(decision.affected) - NAMES
        affected = (*decision.affected[:NAMES], *([f"{others:,} more"] if others > 0 else ()))
        few = decision._replace(affected=affected, reason=reason, fingerprint="")
        return {
            "action": decision.action.value,
            "incarnation": decision.incarnation,
            "abnormal": decision.reason.abnormal,
            "decision": one_line(str(few), LONGEST // 4),
            "delay": decision.delay,
            "affected": len(decision.affected),
        }

    def _told(self, event: Event) -> dict[str, Any]:
        said = {key: value for key, value in as_dict(event).items() if key not in ("path", "stack")}
        return said | {"text": one_line(str(event), LONGEST // 4)}


def told(kept: Kept, when: float, facts: list[Fact]) -> list[dict[str, Any]]:
    """Some of the facts that are kept, as a record taken at that instant would tell them.

    What a fact quotes of another that isn't among them is left out.
    """
    text = _Text(Record("", when, {}, [], kept._replace(facts=facts)))
    return [json.loads(text.line(fact)) for fact in facts]


def take(tree: Tree, why: str) -> Record:
    """Take it now, in the tree's thread; what can't be told of the tree in the middle of a change is left out."""
    when, kept = time.time(), tree.bus.facts.kept()
    rows: list[dict[str, Any]] = []
    number, account = 0, Account()
    try:
        account = tree.root.account()
        for place in tree.root.walk():
            number += 1
            if len(rows) < MOST_ACTORS and (row := _row(place)):
                rows.append(row)
    except BaseException as error:  # the tree may be in the middle of anything, where a signal came
        if interrupts(error):
            raise
    head = {
        "format": FORMAT,
        "tree": tree.root.name,
        "why": why,
        "written": _clock(when),
        "process": os.getpid(),
        "python": platform.python_version(),
        "ended": "" if tree.ended is None else tree.ended.cause.value,
        "dead_letters": tree.dead_letters.count,
        "actors": number,
        "account": account._asdict(),
    }
    return Record(tree.root.name, when, head, rows, kept)


def _row(place: Place) -> dict[str, Any]:
    """One actor, pool or supervisor, if there is anything to tell: it isn't up, has ended before, or has something to do."""
    above = cast("BranchPlace", place.above)
    info = None if above.node is None else above.node.machine.child(place.name)
    state = "stopped" if info is None else info.state.value
    row: dict[str, Any] = {"path": place.path, "state": state, "incarnation": place.number}
    if info is not None and info.last is not None:
        row["ended"] = info.last.kind.value
    if isinstance(place, ActorPlace):
        account = place.mailbox.account()
        turn = place.mailbox.turn
        in_hand = [] if turn is None else [name_of(envelope[0]) for _, envelope in turn.held()]
        row["in_hand"] = in_hand[:NAMES]
        lanes: tuple[Lane, ...] = tuple(place.mailbox.lanes)
    elif isinstance(place, PoolPlace):
        account, lanes = place.own_account(), ()
    else:
        return {} if state == "running" and place.number <= 1 else row
    if state == "running" and place.number <= 1 and account.handled == account.accepted:
        return {}
    row["account"] = account._asdict()
    waiting = Counter(name_of(envelope[0]) for lane in lanes for envelope in islice(_own(lane), LOOKED_AT))
    return row | ({"waiting": dict(waiting.most_common(NAMES))} if waiting else {})


def _own(lane: Lane) -> Iterator[Any]:
    """What waits there, if no code of the user's is in between."""
    return iter(lane.queue) if type(lane.queue) is deque else iter(())


def _within(lines: Iterator[bytes], room: int) -> Iterator[bytes]:
    """As many as there is room for."""
    for line in lines:
        room -= len(line) + 2
        if room < 0:
            return
        yield line


def _line(values: dict[str, Any]) -> bytes:
    line = b""
    for limit in (None, 200, 60, 20):
        told = values if limit is None else _cut(values, limit)
        line = json.dumps(told, ensure_ascii=False, default=shown).encode(errors="backslashreplace")
        if len(line) <= LONGEST:
            break
    return line


def _cut(value: Any, limit: int) -> Any:
    match value:
        case str():
            return one_line(value, limit)
        case [*parts]:
            return [_cut(one, limit) for one in parts]
        case {**pairs}:
            return {_cut(key, limit): _cut(one, limit) for key, one in pairs.items()}
        case _:
            return value


def _bare(detail: str) -> str:
    """A text by which it is known again among brackets."""
    return detail.rstrip(")")


def _name_in(detail: str) -> str:
    """The type in the text of a crash; of a group, that of the first one inside."""
    found = re.match(r"(?:[^:;()]*\()*([^:;()]*)", detail)
    return detail if found is None else found[1]


def _clock(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
