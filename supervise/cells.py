"""How many cells of a terminal a text takes: a wide character takes two, one that combines none."""

from __future__ import annotations

import unicodedata
from typing import Final

_JAMO: Final = range(0x1160, 0x1200)  # vowels and finals of Hangul, which join the consonant before them


def cells(text: str) -> int:
    """The cells that a text takes. It is one without control characters."""
    return len(text) if text.isascii() else sum(map(cells_of, text))


def cells_of(character: str) -> int:
    """Those of one character: 0, 1 or 2."""
    if unicodedata.category(character) in ("Mn", "Me") or ord(character) in _JAMO:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
