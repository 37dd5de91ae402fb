"""Texts for a terminal: pieces with a meaning each, which fit a width, and the words for numbers and times."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

from supervise.cells import cells, cells_of
from supervise_strategies.text import one_line

Piece: TypeAlias = tuple[str, str]
"""A text, and what it means: one of the words below."""
Line: TypeAlias = list[Piece]

PLAIN: Final = ""
DIM: Final = "dim"
"""It is there for those who seek it."""
STRONG: Final = "strong"
WARN: Final = "warn"
"""It isn't as it should be."""
BAD: Final = "bad"
"""It is down, or stands still."""
LOUD: Final = "loud"
"""Nothing works as long as this lasts."""

CUT: Final = "…"
BARS: Final = "▁▂▃▄▅▆▇"
"""Without the full one, so that lines don't run into each other."""
_ASCII: Final = str.maketrans(
    {"…": "~", "≥": ">", "▾": "v", "▸": ">", "→": ">", "↻": "@", **dict(zip(BARS, "_.-=+*#", strict=True))}
)
_LONGEST: Final = 1000


def clean(text: str) -> str:
    """It without what would move the cursor, or turn the writing's direction: the program that is looked at has chosen it."""
    return one_line(text, _LONGEST)


def text_of(line: Line) -> str:
    """It without its meanings."""
    return "".join(text for text, _ in line)


def in_ascii(text: str) -> str:
    """It with signs that every terminal has, as far as they are ours."""
    return text.translate(_ASCII)


# -- fitting ---------------------------------------------------------------------------------------------------------------


def cut(text: str, width: int) -> str:
    """Its beginning, and `…` if that isn't all."""
    if cells(text) <= width:
        return text
    return f"{_beginning(text, width - 1)}{CUT}" if width > 0 else ""


def cut_middle(text: str, width: int) -> str:
    """Its beginning and its end, which of a path tell most."""
    if cells(text) <= width:
        return text
    if width <= 1:
        return CUT[:width]
    end = _beginning(text[::-1], width // 2)[::-1]
    while end and not cells_of(end[0]):  # what combines with a character that is left out
        end = end[1:]
    return f"{_beginning(text, width - 1 - cells(end))}{CUT}{end}"


def padded(text: str, width: int, *, right: bool = False) -> str:
    """It in so many cells."""
    space = " " * (width - cells(text))
    return f"{space}{text}" if right else f"{text}{space}"


def _beginning(text: str, width: int) -> str:
    if text.isascii():
        return text[:width]
    used = 0
    for number, character in enumerate(text):
        used += cells_of(character)
        if used > width:
            return text[:number]
    return text


def fitted(line: Iterable[Piece], width: int) -> Line:
    """It in exactly so many cells: cut, or filled up."""
    found: Line = []
    room = width
    for text, meaning in line:
        size = cells(text)
        if size > room:
            found.append((cut(text, room), meaning))
            room -= cells(found[-1][0])
            break
        found.append((text, meaning))
        room -= size
    if room > 0:
        found.append((" " * room, PLAIN))
    return found


def apart(left: Line, right: Line, width: int) -> Line:
    """One at the left and one at the right; what is at the left is cut before what is at the right goes."""
    size = cells(text_of(right))
    if size + 20 > width:
        return fitted([*left, ("  ", PLAIN), *right], width)
    return [*fitted(left, width - size - 1), (" ", PLAIN), *right]


# -- words -----------------------------------------------------------------------------------------------------------------


def span(seconds: float) -> str:
    """A time, with the one unit that matters."""
    seconds = max(0.0, seconds)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size or (unit == "min" and seconds >= 100):
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def count(number: float) -> str:
    """A number in at most six characters."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 100 * size or (size > 1e3 and number >= 10 * size):
            return f"{number / size:.0f}{unit}"
    return f"{number:.0f}" if number >= 9.95 or number == int(number) else f"{number:.1f}"


def spark(rates: Iterable[float], width: int) -> str:
    """The last rates as bars, the highest of them full; nothing, if there was nothing."""
    last = [*rates][-width:] if width > 0 else []
    top = max(last, default=0.0)
    if top <= 0:
        return ""
    return "".join(" " if rate <= 0 else BARS[min(len(BARS) - 1, int(rate / top * (len(BARS) - 1) + 0.5))] for rate in last)


def plural(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
