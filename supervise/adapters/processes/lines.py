"""What comes through a pipe, as lines of text that can be shown."""

from __future__ import annotations

import re
from typing import Final

LONGEST_LINE: Final = 8192  # bytes; what is longer is told in pieces

# What a terminal obeys, and what turns the order of letters or breaks a line; a tab does no harm.
_HARMFUL: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class Lines:
    """One pipe. It keeps the line that isn't complete yet."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[str]:
        """The lines that are complete now, without their ends."""
        *lines, rest = (self._rest + piece).split(b"\n")
        whole = len(rest) - len(rest) % LONGEST_LINE
        if whole:
            lines.append(rest[:whole])
        self._rest = rest[whole:]
        return [_text(line[at : at + LONGEST_LINE]) for line in lines for at in range(0, len(line) or 1, LONGEST_LINE)]

    def end(self) -> list[str]:
        """What is left when nothing more will come."""
        rest, self._rest = self._rest, b""
        return [_text(rest)] if rest else []


def _text(line: bytes) -> str:
    return line.decode(errors="replace").removesuffix("\r")


def harmless(text: str) -> str:
    r"""The text with its control characters spelled out, as `\x1b`: it may go to a terminal."""
    return _HARMFUL.sub(lambda found: ascii(found[0])[1:-1], text)
