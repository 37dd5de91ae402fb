"""Which of what is used here the other side serves, too: handlers and events are compared by key and hash."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Final, NamedTuple

from supervise_strategies.text import LONG, one_line

from .table import Entry

_SHOWN: Final = 500
"""Characters of a signature in an error."""


class Match(NamedTuple):
    """Where the other side's table has an own entry; or why it hasn't, with both signatures."""

    at: int | None
    why: str = ""


def compare(own: Iterable[Entry], theirs: Sequence[Entry]) -> list[Match]:
    """For each own entry its place in the other side's table: the first of the same key and hash.

    A table may have several of a key: what callers of yesterday ask for, beside what is served
    today. Only the hashes count. The texts are the other side's own words: they are shortened and
    escaped, and stand in `why` alone.

    >>> old, new = Entry("shop.count", b"1" * 8, "count() -> int"), Entry("shop.count", b"2" * 8, "count() -> float")
    >>> compare([old], [new, old])
    [Match(at=1, why='')]
    >>> compare([old], [new])[0].why
    'shop.count has another signature there: here count() -> int; there count() -> float'
    """
    served: dict[str, dict[bytes, int]] = {}
    for index, entry in enumerate(theirs):
        served.setdefault(entry.key, {}).setdefault(entry.hash, index)
    return [_match(entry, served.get(entry.key), theirs) for entry in own]


def _match(entry: Entry, places: dict[bytes, int] | None, theirs: Sequence[Entry]) -> Match:
    if places is None:
        return Match(None, f"{one_line(entry.key, LONG)} isn't served there")
    index = places.get(entry.hash)
    if index is not None:
        return Match(index)
    there = theirs[min(places.values())].text
    differ = next((at for at, (a, b) in enumerate(zip_longest(entry.text, there)) if a != b), 0)
    here, there = _from(entry.text, differ), _from(there, differ)
    more = f" (and {len(places) - 1} more)" if len(places) > 1 else ""
    return Match(None, f"{one_line(entry.key, LONG)} has another signature there: here {here}; there {there}{more}")


def _from(text: str, at: int) -> str:
    """A signature; of a long one what is around the place where the two differ."""
    start = max(0, at - _SHOWN // 2) if len(text) > _SHOWN else 0
    return one_line(f"…{text[start:]}" if start else text, _SHOWN)
