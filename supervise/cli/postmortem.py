"""`supervise postmortem FILE`: a flight record as a story, for who comes after the crash.

It ends with status 0, or with 2 and a line on stderr for what is no record.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, cast

from supervise.tree.record import FORMAT
from supervise.tree.record_file import default_folder
from supervise_strategies.exit_reason import describe
from supervise_strategies.text import one_line

from .fact import LONG, LOSSES, Fact, above, decided, ended, life, messages_of, seconds_between, waited, words

LINES: Final = 200
"""Of the story; the last ones, unless all are wanted."""
WIDEST: Final = 1000
"""Characters of a line."""
LISTED: Final = 5
"""Lives in one line."""
SUMS: Final = 30
"""Lines of each sum."""


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
            case "decided" if fact["action"] == "give_up" and (not chain or above(fact) == chain[-1]["path"]):
                chain.append(fact)
            case "ended" if chain and fact["path"] == chain[-1]["path"] and fact["kind"] != "gave_up":
                yield ended(fact, {})
                break
            case _:
                pass
    yield from (decided(fact, {}).strip() for fact in reversed(chain))


def _crashes(facts: list[Fact]) -> Iterator[str]:
    alike: dict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        if fact["fact"] == "ended" and fact.get("fingerprint"):
            alike[fact["fingerprint"]].append(fact)
    for fingerprint, those in sorted(alike.items(), key=lambda item: -len(item[1])):
        lives = [life(fact) for fact in those]
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
            lines.append(f"{day}{fact['at'][11:23]}  {words(fact, ends)}")
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
            found.append((fact["seconds"], waited(fact, ends)))
        elif fact["fact"] == "ended":
            ends[fact["path"]] = fact
        elif fact["fact"] == "started" and fact["waiting"] and (before := ends.get(fact["path"])) is not None:
            seconds = seconds_between(before["at"], fact["at"])
            if seconds >= LONG:
                waiting = messages_of(fact["waiting"])
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
