"""What comes through a pipe, as lines.

Tested: any way to cut a text into pieces gives the same lines; long lines come in pieces, and nothing is kept of them; what
isn't UTF-8; control characters are spelled out, each of them.
"""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from supervise.adapters.processes.lines import LONGEST_LINE, Lines, harmless


@given(st.lists(st.text(st.characters(blacklist_characters="\n\r"), max_size=20), max_size=5), st.lists(st.integers(1, 7)))
def test_lines_are_the_same_however_they_come(lines: list[str], cuts: list[int]) -> None:
    data = "".join(f"{line}\n" for line in lines).encode(errors="replace")
    pipe, found, at = Lines(), list[str](), 0
    for cut in [*cuts, len(data)]:
        found += pipe.feed(data[at : at + cut])
        at += cut
    assert found + pipe.end() == [line.encode(errors="replace").decode() for line in lines]
    assert pipe.end() == []


def test_a_line_that_never_ends_comes_in_pieces() -> None:
    pipe = Lines()
    found: list[str] = []
    for _ in range(10):
        found += pipe.feed(b"x" * 5000)
    assert {len(line) for line in found} == {LONGEST_LINE}
    found += pipe.feed(b"\r\nnext") + pipe.end()
    assert "".join(found) == "x" * 50000 + "next"
    assert Lines().feed(b"a" * (2 * LONGEST_LINE) + b"\n\n") == ["a" * LONGEST_LINE, "a" * LONGEST_LINE, ""]


def test_what_is_no_text_is_replaced() -> None:
    assert Lines().feed(b"\xff\xfe line\n") == ["\N{REPLACEMENT CHARACTER}" * 2 + " line"]


def test_every_control_character_is_spelled_out_but_the_tab() -> None:
    for number in range(0x110000):
        character = chr(number)
        harmful = unicodedata.category(character) in ("Cc", "Zl", "Zp") or unicodedata.bidirectional(character) in (
            *("LRE", "RLE", "PDF", "LRO", "RLO"),
            *("LRI", "RLI", "FSI", "PDI"),
        )
        harmful = harmful or character in "\u061c\u200e\u200f"  # they mark a direction, and have no other category
        shown = harmless(character)
        assert (shown != character) == (harmful and character != "\t"), hex(number)
        assert shown.isprintable() or shown == character
    assert harmless("\x1b[31mred\x9b") == r"\x1b[31mred\x9b"
