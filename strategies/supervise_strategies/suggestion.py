"""The nearest of the names that there are, for an error about one that there isn't."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

from .kind import is_of

COMPARED: Final = 200  # names that are looked at: each takes 10 µs, and an event loop may be waiting
LONGEST: Final = 100  # characters of a name that somebody has typed


def did_you_mean(name: object, names: Iterable[object]) -> str:
    """`did you mean 'restart'? `, for the beginning of what is said of them; empty if no name is near, or it is no text."""
    found = nearest(name, names)
    return "" if found is None else f"did you mean {found!r}? "


def nearest(name: object, names: Iterable[object]) -> str | None:
    """The one that was meant, perhaps: the same in other letters, the only one that begins so, or the most similar one."""
    if not is_of(name, str) or not 0 < str.__len__(name) <= LONGEST:
        return None
    wrong = str.lower(name)
    there = [str.__getitem__(other, slice(LONGEST + 1)) for other in islice(names, COMPARED) if is_of(other, str)]
    by_letters = {other.lower(): other for other in reversed(there) if len(other) <= LONGEST}
    if wrong in by_letters:
        return by_letters[wrong]
    longer = [other for other in by_letters if other.startswith(wrong)]
    if len(longer) == 1 and len(wrong) > 1:
        return by_letters[longer[0]]
    from difflib import get_close_matches  # who makes no mistake doesn't wait for it

    close = get_close_matches(wrong, by_letters, 1)
    return by_letters[close[0]] if close else None
