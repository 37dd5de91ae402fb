"""README and the guide can be read: short sentences, something that runs soon, and an order to read them in.

Tested: no sentence above 30 words, but for those listed here with their reason; the first block that runs on each page stands
within two screens; the index lists every page once; every public name stands on a page or in an example.
"""

from __future__ import annotations

import doctest
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import pytest

from .page import GUIDE, PAGES, README, Page
from .public import PUBLIC

MOST_WORDS: Final = 30
MOST_LINES: Final = 2 * 40
"""Two screens, of a browser or an editor."""
LONGER: Final[dict[str, str]] = {}
"""The beginnings of sentences that may have more words, each with the reason."""
_CODE: Final = re.compile(r"``?[^`]+``?")
_ITEM: Final = re.compile(r"\s*([-*]|\d+\.|#+|>)\s+")
_END: Final = re.compile(r"(?<=[.?!…])[)*_\"]*\s+(?=[A-Z0-9(*`_\"])|(?<=:)\s*$")


def sentences(text: str) -> Iterator[str]:
    """Of prose in Markdown. A cell of a table, and an item of a list, is a paragraph of its own; code is one word."""
    paragraphs: list[str] = [""]
    for line in text.splitlines():
        if line.startswith("|"):
            paragraphs += [*line.strip("|").split(" | "), ""]
        elif not line.strip():
            paragraphs.append("")
        elif _ITEM.match(line):
            paragraphs.append(_ITEM.sub("", line, count=1))
        else:
            paragraphs[-1] += " " + line.strip()
    for paragraph in paragraphs:
        for sentence in _END.split(_CODE.sub(lambda code: "X" + "." * code[0].rstrip("`").endswith("."), paragraph)):
            if sentence.strip():
                yield sentence.strip()


def words(sentence: str) -> int:
    return len(re.findall(r"\w[\w'’.,%/×-]*", sentence))


def test_sentences_are_told_apart() -> None:
    text = "# A title\n\nOne of `a. B` here. Two, is it? Here: three.\n\n- four\n  goes on\n- five\n\n| six | seven. Eight |\n"
    assert [*sentences(text)] == [
        *("A title", "One of X here.", "Two, is it?", "Here: three.", "four goes on", "five", "six", "seven.", "Eight"),
    ]
    assert words("It takes 0.5 s, and isn't X") == 7


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path.stem)
def test_no_sentence_is_long(page: Page) -> None:
    long = [
        f"{words(sentence)} words: {sentence}"
        for sentence in sentences(page.prose)
        if words(sentence) > MOST_WORDS and not sentence.startswith(tuple(LONGER))
    ]
    assert not long, f"{page.name}:\n" + "\n".join(long)


def test_each_exception_is_one() -> None:
    prose = [sentence for page in PAGES for sentence in sentences(page.prose)]
    for begins in LONGER:
        assert any(sentence.startswith(begins) and words(sentence) > MOST_WORDS for sentence in prose), begins


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path.stem)
def test_something_runs_within_two_screens(page: Page) -> None:
    if page.path.parent == GUIDE and page.path.stem == "README":
        return  # the index
    runs = {"python", "sh"}
    first = next(  # a file that is there for what comes after it doesn't count
        (block.line for block, after in pairwise(page.blocks) if block.language in runs and after.language == "text"), None
    )
    assert first is not None, f"{page.name}: nothing on it runs"
    assert first <= MOST_LINES, f"{page.name}: the first block that runs is in line {first}"


def test_the_index_lists_every_page_once_with_a_line_on_it() -> None:
    index = Page(GUIDE / "README.md")
    listed = re.findall(r"^\d+\. \[[^\]]+\]\(([\w-]+\.md)\): \S.*\.$", index.text, re.MULTILINE)
    assert sorted(listed) == sorted(page.path.name for page in PAGES if page.path not in {README.path, index.path})
    assert "examples/guide/README.md" in README.links()


def test_the_readme_is_a_front_page() -> None:
    assert len(README.text.splitlines()) <= 250


def test_every_public_name_is_shown_somewhere() -> None:
    examples = [example for one in PUBLIC for example in doctest.DocTestParser().get_examples(one.help)]
    texts = [*(page.text for page in PAGES), *(f"{example.source}\n{example.want}" for example in examples)]
    shown = {*re.findall(r"\w+", "\n".join(texts))}
    assert not [str(one) for one in PUBLIC if one.name not in shown]
