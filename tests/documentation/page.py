"""Pages of prose, as tests read them: README and the guide, with their blocks, remarks and sentences.

A block is what stands between two fences. One whose first line is a comment with the name of a file, as `# shop.py`, is that
file, and is there for the blocks after it. A remark is a comment of HTML right above a block, which the reader doesn't see:

- `<!-- real clock: WHY -->`: the program doesn't run in virtual time, as all others do;
- `<!-- asyncio: WHY -->` or `<!-- trio: WHY -->`: it runs on this backend alone;
- `<!-- same shell: WHY -->`: the commands go on in the shell of the commands before them;
- `<!-- run by: tests/FILE.py::test_name -->`: that test runs the commands;
- `<!-- checked by: tests/FILE.py::test_name -->`: that test looks at what is no program: a manifest, a unit.

And anywhere, `<!-- kept by: tests/FILE.py::test_name, ... -->` names the tests that keep a promise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

from tests.house import ROOT

GUIDE: Final = ROOT / "examples" / "guide"
_FENCED: Final = re.compile(r"((?:^<!--[^\n]*-->\n)*)\n?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMENT: Final = re.compile(r"<!-- (.*?) -->", re.DOTALL)
_FILE: Final = re.compile(r"# ([\w/-]+\.\w+|Dockerfile)\n")
_TESTS: Final = re.compile(r"(?:kept|run|checked) by: (.*)", re.DOTALL)


class Block(NamedTuple):
    language: str
    text: str
    line: int
    remarks: dict[str, str]
    """By their first words: `real clock`, `asyncio`, `run by`."""

    @property
    def file(self) -> str | None:
        named = _FILE.match(self.text)
        return named[1] if named else None


class Page:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text(encoding="utf-8")

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def blocks(self) -> list[Block]:
        found: list[Block] = []
        for fenced in _FENCED.finditer(self.text):
            above, language, text = fenced.groups()
            remarks = dict(remark.split(": ", 1) for remark in _COMMENT.findall(above))
            found.append(Block(language, text, self.text.count("\n", 0, fenced.start(2)) + 1, remarks))
        assert self.text.count("\n```") == 2 * len(found), f"{self.name}: a fence stands alone"
        return found

    @cached_property
    def prose(self) -> str:
        """All that is read as text: without blocks, remarks and pictures; a link is its words."""
        text = re.sub(r"^```.*?^```$", "\n", self.text, flags=re.MULTILINE | re.DOTALL)
        text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
        return re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)

    def links(self) -> list[str]:
        outside = re.sub(r"^```.*?^```$", "", self.text, flags=re.MULTILINE | re.DOTALL)
        return re.findall(r"\]\(([^)\s]+)\)", outside)

    def named_tests(self) -> Iterator[str]:
        """The tests that remarks name, as `tests/FILE.py::test_name`."""
        for comment in _COMMENT.findall(self.text):
            if found := _TESTS.fullmatch(comment):
                yield from re.split(r",\s*", found[1])


README: Final = Page(ROOT / "README.md")
PAGES: Final = [README, *(Page(path) for path in sorted(GUIDE.glob("*.md")))]
