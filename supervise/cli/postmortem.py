"""`supervise postmortem FILE`: a flight record as a story, for who comes after the crash.

It ends with status 0, or with 2 and a line on stderr for what is no record.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

from supervise.tree.record import FORMAT
from supervise.tree.record_file import default_folder
from supervise_strategies.exit_reason import describe
from supervise_strategies.text import one_line

Fact: TypeAlias = dict[str, Any]

LINES: Final = 200
"""Of the story; the last ones, unless all are wanted."""
WIDEST: Final = 1000
"""Characters of a line."""
LISTED: Final = 5
"""Lives in one line."""
LONG: Final = 1.0
"""Seconds between two lives from which on the wait is told."""
SUMS: Final = 30
"""Lines of each sum."""

LOSSES: Final = {
    "in_hand": "in hand when a life ended",
    "stopped": "waiting when the actor was stopped",
    "overran": "in hand, and cancelled at the stop",
    "spent": "tried again as often as redeliver= allows",
    "full": "the mailbox was full",
    "refused": "no such handler, or arguments that don't fit",
    "late": "it came after the actor's end",
    "by_hand": "taken out by hand",
}


class NoRecord(Exception):
    """The file is none, or can't be read."""


def main(file: str | None, everything: bool = False) -> int:
    try:
        found = Path(file) if file is not None else _newest()
        record = _read(found)
        try:
            lines = [one_line(line, WIDEST) for line in story(record, everything)]
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
            raise NoRecord(f"{found} is no whole flight record: {describe(error)}") from None
        print("\n".join(lines))
    except NoRecord as error:
        print(f"supervise: {error}", file=sys.stderr)
        return 2
    return 0


def _newest() -> Path:
    try:
        folder = default_folder()
        records = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
    except (OSError, RuntimeError) as error:
        raise NoRecord(f"there is no folder of flight records: {describe(error)}; name a file") from None
    if not records:
        raise NoRecord(f"there is no flight record in {folder}; name a file")
    return records[-1]


def _read(path: Path) -> Fact:
    try:
        found: Any = json.loads(path.read_bytes())
    except OSError as error:
        raise NoRecord(f"{path} can't be read: {error.strerror or describe(error)}") from None
    except (ValueError, RecursionError):
        raise NoRecord(f"{path} is no flight record: it isn't JSON, or not whole") from None
    record = cast("Fact", found if isinstance(found, dict) else {})
    if record.get("format") != FORMAT:
        raise NoRecord(f"{path} is no flight record: its format isn't {FORMAT!r}")
    return record


def story(record: Fact, everything: bool = False) -> Iterator[str]:
    """A record in words, line by line. What an odd record raises is the caller's."""
    facts: list[Fact] = [*filter(_says_something, record["facts"])]
    yield (
        f"{record['tree']}: flight record, as {record['why']}; {record['written']}, process {record['process']}, "
        f"Python {record['python']}"
    )
    if record["facts_left_out"]:
        yield f"(the last {len(facts):,} facts; older ones weren't kept)"
    yield "(#2 is the second life of an actor or supervisor, after its first restart; in hand is what it was handling)"
    yield from _section("Why it gave up:", _why(facts) if record["ended"] else ())
    yield from _section("Crashes, by where they come from:", _crashes(facts))
    yield from _section("What happened (UTC):", _told(facts, everything, record["written"][:10]))
    yield from _section("Messages that were lost, failed or refused:", _messages(facts))
    yield from _section("Waits of a second and more:", _waits(facts))
    yield from _section("What was there then:", _there(record))


def _says_something(fact: Fact) -> bool:
    return fact["fact"] != "more" or bool(fact["starts"] or fact["ends"])


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    found = list(lines)
    if found:
        yield ""
        yield title
        yield from (f"  {line}" for line in found)


def _why(facts: list[Fact]) -> Iterator[str]:
    """The give-up of the root, those below that it came from, and the end that was the last straw; in their order in time."""
    chain: list[Fact] = []
    for fact in reversed(facts):
        match fact["fact"]:
            case "decided" if fact["action"] == "give_up" and (not chain or _above(fact) == chain[-1]["path"]):
                chain.append(fact)
            case "ended" if chain and fact["path"] == chain[-1]["path"] and fact["kind"] != "gave_up":
                yield _ended(fact, {})
                break
            case _:
                pass
    yield from (_decided(fact, {}).strip() for fact in reversed(chain))


def _above(fact: Fact) -> str:
    return str(fact["path"]).rpartition("/")[0]


def _crashes(facts: list[Fact]) -> Iterator[str]:
    alike: dict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        if fact["fact"] == "ended" and fact.get("fingerprint"):
            alike[fact["fingerprint"]].append(fact)
    for fingerprint, those in sorted(alike.items(), key=lambda item: -len(item[1])):
        lives = [_life(fact) for fact in those]
        more = f" and {len(lives) - LISTED:,} more" if len(lives) > LISTED else ""
        yield f"{len(those):,} x {fingerprint}"
        yield f"    of {', '.join(lives[:LISTED])}{more}; last: {those[-1]['detail']}"


def _told(facts: list[Fact], everything: bool, today: str) -> Iterator[str]:
    lines: list[str] = []
    ends: dict[str, Fact] = {}
    plain: Counter[str] = Counter()
    for fact in facts:
        what = _plain(fact)
        if what and not everything:
            plain[what] += 1
        else:
            day = "" if fact["at"][:10] == today else f"{fact['at'][:10]} "
            lines.append(f"{day}{fact['at'][11:23]}  {_words(fact, ends)}")
        if fact["fact"] == "ended":
            ends[fact["path"]] = fact
    if plain:
        yield f"(and {', '.join(f'{number:,} {what}' for what, number in plain.most_common())}: --all shows them)"
    if len(lines) > LINES and not everything:
        yield f"(the last {LINES} of {len(lines):,} lines: --all shows them)"
        lines = lines[-LINES:]
    yield from lines


def _plain(fact: Fact) -> str:
    """What it is called where it needs no line of its own, as nothing went wrong."""
    match fact["fact"]:
        case "started":
            return "first starts" if fact["incarnation"] <= 1 else ""
        case "ended":
            return "orderly ends" if fact["kind"] in ("normal", "shutdown") and fact["was_ready"] else ""
        case "decided":
            return "" if fact["abnormal"] or fact["action"] != "leave" else "orderly ends that had no consequence"
        case _:
            return ""


def _words(fact: Fact, ends: dict[str, Fact]) -> str:
    words = _WORDS.get(fact["fact"])
    return f"{fact['path']}: {fact['fact']}" if words is None else words(fact, ends)


def _started(fact: Fact, ends: dict[str, Fact]) -> str:
    before = ends.get(fact["path"])
    since = 0.0 if before is None else _seconds(before["at"], fact["at"])
    after = f" {since:.3g} s after the end of #{before['incarnation']}" if before is not None and since >= LONG else ""
    return f"{_life(fact)} started{after}{_waiting(fact)}"


def _ended(fact: Fact, _: dict[str, Fact]) -> str:
    what = "ended" if fact["was_ready"] else "failed to start"
    if not fact.get("error"):
        detail = f" ({fact['detail']})" if fact["detail"] else ""
        return f"{_life(fact)} {what}: {fact['kind']}{detail}{_waiting(fact)}"
    held = f" with {fact['handler']} in hand" if fact["handler"] else ""
    where = f", in {fact['where']}" if fact["where"] else ""
    return f"{_life(fact)} {what}{held}: {fact['kind']} ({fact['detail']}){where}{_waiting(fact)}"


def _decided(fact: Fact, _: dict[str, Fact]) -> str:
    return f"    {_above(fact)} decides: {fact['decision']}"


def _messages_ended(fact: Fact, _: dict[str, Fact]) -> str:
    return f"{fact['path']}: {_many(fact)} {fact['fact']}: {LOSSES.get(fact['why'], fact['why'])}"


def _waited(fact: Fact, _: dict[str, Fact]) -> str:
    return f"{fact['path']}: {fact['handler']} waited for {fact['why']} for {fact['seconds']:.3g} s"


def _more(fact: Fact, _: dict[str, Fact]) -> str:
    counted = [f"{fact[what]:,} {what}" for what in ("starts", "ends") if fact[what]]
    crashes = f", {fact['crashes']:,} of them crashes" if fact["crashes"] else ""
    return f"{fact['path']}: and {' and '.join(counted) or 'none'} more of its children within a second{crashes}"


def _event(fact: Fact, _: dict[str, Fact]) -> str:
    return str(fact["text"])


_WORDS: Final[dict[str, Callable[[Fact, dict[str, Fact]], str]]] = {
    "started": _started,
    "ended": _ended,
    "decided": _decided,
    "lost": _messages_ended,
    "failed": _messages_ended,
    "refused": _messages_ended,
    "waited": _waited,
    "told": _event,
    "more": _more,
}


def _messages(facts: list[Fact]) -> Iterator[str]:
    sums: Counter[tuple[str, str, str, str]] = Counter()
    for fact in facts:
        if fact["fact"] in ("lost", "failed", "refused"):
            why = str(LOSSES.get(fact["why"], fact["why"]))
            sums[fact["path"], fact["handler"], fact["fact"], why] += fact["number"]
        elif fact["fact"] == "ended" and fact.get("called"):
            sums[fact["path"], fact["handler"], "failed", "its actor crashed with it in hand"] += 1
    for (path, handler, what, why), number in sums.most_common(SUMS):
        yield f"{number:,} x {handler} to {path} {what}: {why}"
    if len(sums) > SUMS:
        yield f"and {sum(sums.values()) - sum(n for _, n in sums.most_common(SUMS)):,} of {len(sums) - SUMS} other sorts"


def _waits(facts: list[Fact]) -> Iterator[str]:
    ends: dict[str, Fact] = {}
    found: list[tuple[float, str]] = []
    for fact in facts:
        if fact["fact"] == "waited":
            found.append((fact["seconds"], _waited(fact, ends)))
        elif fact["fact"] == "ended":
            ends[fact["path"]] = fact
        elif fact["fact"] == "started" and fact["waiting"] and (before := ends.get(fact["path"])) is not None:
            seconds = _seconds(before["at"], fact["at"])
            if seconds >= LONG:
                waiting = _messages_of(fact["waiting"])
                found.append((seconds, f"{fact['path']}: {waiting} for #{fact['incarnation']}, for {seconds:.3g} s"))
    yield from (text for _, text in sorted(found, key=lambda one: -one[0])[:SUMS])


def _there(record: Fact) -> Iterator[str]:
    account: dict[str, int] = record["account"]
    numbers = [f"{number:,} {name.replace('_', ' ')}" for name, number in account.items() if number]
    yield f"all messages: {', '.join(numbers) or 'none'}"
    stopped = 0
    for actor in record["actors_told"]:
        if record["ended"] and actor["state"] == "stopped" and not actor.get("in_hand") and not actor.get("waiting"):
            stopped += 1  # as all are after the end
            continue
        ended = f", its last end {actor['ended']}" if actor.get("ended") else ""
        hand = f"; in hand: {', '.join(actor['in_hand'])}" if actor.get("in_hand") else ""
        waiting = "".join(f"; {number:,} x {handler} waiting" for handler, number in actor.get("waiting", {}).items())
        yield f"{actor['path']} #{actor['incarnation']} {actor['state']}{ended}{hand}{waiting}"
    if stopped:
        yield f"{stopped:,} {'actors and supervisors, all' if stopped > 1 else 'actor or supervisor, and it is'} stopped"
    if record["actors_left_out"]:
        yield f"and {record['actors_left_out']:,} others"


def _life(fact: Fact) -> str:
    return f"{fact['path']} #{fact['incarnation']}"


def _many(fact: Fact) -> str:
    return f"{fact['number']:,} x {fact['handler']}" if fact["number"] > 1 else str(fact["handler"])


def _waiting(fact: Fact) -> str:
    return f"; {_messages_of(fact['waiting'])}" if fact.get("waiting") else ""


def _messages_of(number: int) -> str:
    return f"{number:,} {'messages wait' if number > 1 else 'message waits'}"


def _seconds(first: str, then: str) -> float:
    return (datetime.fromisoformat(then) - datetime.fromisoformat(first)).total_seconds()
