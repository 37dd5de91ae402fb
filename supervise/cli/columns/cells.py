"""Where a text is broken, by the cells that it takes of a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from supervise.cells import cells, cells_of

_WORDS: Final = re.compile(r"\s+|\S+")


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width` cells, 2 or more. They break at spaces, which are left out there, and beside wide characters;
    inside a word only if it is longer than a line.
    """
    lines: list[str] = []
    line, used, space = "", 0, ""
    for piece in _pieces(text):
        if piece.isspace():
            space = piece if line else ""
            continue
        room = width - used - len(space)
        parts = [piece] if cells(piece) <= width else list(_cut(piece, room, width))
        for part in parts:
            size = cells(part)
            if line and used + len(space) + size > width:
                lines.append(line)
                line, used, space = "", 0, ""
            line += space + part
            used += len(space) + size
            space = ""
    return [*lines, line] if line else lines


def _pieces(text: str) -> Iterable[str]:
    """Runs of spaces, words, and wide characters one by one; what combines stays with the character before it."""
    return _WORDS.findall(text) if text.isascii() else _wide_pieces(text)


def _wide_pieces(text: str) -> Iterator[str]:
    piece, kind = "", ""
    for character in text:
        size = cells_of(character)
        other = "space" if character.isspace() else "wide" if size == 2 else "word"
        if piece and size and (other != kind or other == "wide"):
            yield piece
            piece = ""
        kind = other if size or not piece else kind
        piece += character
    if piece:
        yield piece


def _cut(word: str, first: int, width: int) -> Iterator[str]:
    """A word in parts of at most `width` cells; the first one fills what is left of a line, if a character has room there."""
    part, used, room = "", 0, first if first >= 2 else width
    for character in word:
        size = 1 if character.isascii() else cells_of(character)
        if used + size > room:
            yield part
            part, used, room = "", 0, width
        part += character
        used += size
    yield part
