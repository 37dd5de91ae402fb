"""Texts for a terminal fit the cells they are given, whatever is in them; numbers and times are short."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervise.cells import cells
from supervise.live.drawing import (
    BAD,
    PLAIN,
    apart,
    clean,
    count,
    cut,
    cut_middle,
    fitted,
    in_ascii,
    padded,
    plural,
    span,
    spark,
    text_of,
)

TEXTS = st.text(alphabet="ab/界e\u0301가", max_size=30)


@given(TEXTS, st.integers(0, 40))
def test_what_is_cut_fits(text: str, width: int) -> None:
    for found in (cut(text, width), cut_middle(text, width)):
        assert cells(found) <= width
        assert found == text if cells(text) <= width else "…" in found or not width


@given(TEXTS, st.integers(0, 40), st.booleans())
def test_what_is_padded_fills_its_cells(text: str, width: int, right: bool) -> None:
    assert cells(padded(text, width, right=right)) == max(width, cells(text))


@given(st.lists(st.tuples(TEXTS, st.just(PLAIN))), st.lists(st.tuples(TEXTS, st.just(BAD))), st.integers(0, 60))
def test_a_line_fills_its_cells(left: list[tuple[str, str]], right: list[tuple[str, str]], width: int) -> None:
    assert cells(text_of(fitted(left, width))) == width
    assert cells(text_of(apart(left, right, width))) == width


def test_of_a_long_path_the_middle_is_left_out() -> None:
    assert cut_middle("shop/rooms/general/connections/17", 15) == "shop/ro…ions/17"
    assert cut("shop/rooms", 6) == "shop/…"
    assert cut_middle("界界界界", 5) == "界…界"
    assert cut_middle("ab", 1) == "…"
    assert cut_middle("e\u0301" * 5, 4) == "e\u0301…e\u0301e\u0301"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 ms"), (0, "0 ms"), (0.0021, "2 ms"), (1, "1 s"), (99, "99 s"), (100, "1 min"),
        (150, "2 min"), (7199, "119 min"),
        (7200, "2 h"), (172_799, "47 h"), (172_800, "2 d"),
    ],
)  # fmt: skip
def test_a_time_has_one_unit(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"), (0.25, "0.2"), (9.94, "9.9"), (9.97, "10"), (5, "5"), (5.0, "5"),
        (17.4, "17"), (3070, "3070"), (99_999, "99999"), (100_000, "100k"),
        (9_999_999, "10000k"), (10_000_000, "10M"), (1e10, "10G"),
    ],
)  # fmt: skip
def test_a_number_takes_six_characters_at_most(number: float, text: str) -> None:
    assert count(number) == text
    assert len(text) <= 6


def test_bars_tell_of_the_last_rates() -> None:
    assert spark([], 5) == spark([0, 0, 0], 5) == spark([9], 0) == ""
    assert spark([99, 0, 1, 5, 10], 4) == " ▂▄▇"


def test_signs_of_ours_have_others_in_ascii() -> None:
    assert in_ascii("▾▸…≥→↻▁▂▃▄▅▆▇").isascii()
    assert in_ascii("界") == "界"  # it isn't ours


def test_what_would_move_the_cursor_or_turn_the_writing_is_written_out() -> None:
    assert clean("a\x1b[2Jb\r\n\u202e\u2066\x9b\ud800\u200b") == "a\\x1b[2Jb\\r\\n\\u202e\\u2066\\x9b\\ud800\\u200b"


def test_plurals() -> None:
    assert (plural(1, "child"), plural(0, "sender"), plural(2, "sender")) == ("1 child", "0 senders", "2 senders")
