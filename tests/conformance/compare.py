"""What was seen after a step against what OTP showed: everything that the recordings define counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from .scenario import Json

REPLY: Final = ("status", "class", "child", "detail")
STATE: Final = ("state", "reason", "gen", "children", "count", "restarts")
EVENT: Final = ("ev", "child", "gen", "reason", "cause", "how")


def differences(recorded: Json, seen: Json) -> list[str]:
    """One sentence per difference; none if both agree."""
    found = list(_fields("reply", REPLY, recorded["reply"], seen["reply"]))
    found += _late_replies(recorded.get("late_replies", ()), seen["late_replies"])
    found += _events(recorded["events"], seen["events"])
    found += _tree(recorded["tree"], seen["tree"])
    if recorded.get("within") and not seen["within"]:
        found.append("it took too long, or not long enough")
    return found


def _fields(what: str, names: Iterable[str], recorded: Json, seen: Json) -> Iterable[str]:
    for name in names:
        if recorded.get(name) != seen.get(name):
            yield f"{what}: {name} is {seen.get(name)!r}, OTP has {recorded.get(name)!r}"


def _late_replies(recorded: Sequence[Json], seen: Sequence[Json]) -> list[str]:
    if [late["step"] for late in recorded] != [late["step"] for late in seen]:
        return [f"late replies are {list(seen)}, OTP has {list(recorded)}"]
    pairs = zip(recorded, seen, strict=True)
    return [text for old, new in pairs for text in _fields(f"late reply to {old['step']}", REPLY, old["reply"], new["reply"])]


def _tree(recorded: Json, seen: Json) -> list[str]:
    if recorded.keys() != seen.keys():
        return [f"living supervisors are {sorted(seen)}, OTP has {sorted(recorded)}"]
    return [text for path in recorded for text in _fields(path, STATE, recorded[path], seen[path])]


def _events(recorded: Sequence[Json], seen: Sequence[Json]) -> list[str]:
    """The order counts, but for entries that OTP leaves unordered. Only the first difference: the rest is shifted by it."""
    signs = [_sign(event) for event in seen]
    at = 0
    for entry in recorded:
        wanted = Counter(_sign(event) for event in entry.get("unordered", (entry,)))
        end = at + wanted.total()
        if Counter(signs[at:end]) != wanted:
            return [f"event {at} is {_words(signs[at:end])}, OTP has {_words(wanted.elements())}"]
        at = end
    return [f"after the last event of OTP: {_words(signs[at:])}"] if at < len(signs) else []


def _sign(event: Json) -> tuple[object, ...]:
    return tuple(event.get(name) for name in EVENT)


def _words(signs: Iterable[tuple[object, ...]]) -> str:
    return " | ".join(" ".join(str(part) for part in sign if part is not None) for sign in signs) or "missing"
