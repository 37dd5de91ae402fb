"""The tables of the guide are whole: all options of a child and of a supervisor, all that an address and `current()` have."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable

import pytest

from supervise import Address, ChildOptions, Current, DynamicSupervisor, Supervisor

from .page import GUIDE, Page

ACTORS = Page(GUIDE / "actors.md").text
TREES = Page(GUIDE / "trees.md").text


def public(owner: type) -> list[str]:
    return [name for name in dir(owner) if not name.startswith("_")]


def first_cells(text: str, heading: str) -> str:
    """Of all tables below a heading, up to the next one."""
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    assert section, f"there is no {heading}"
    return "\n".join(line.split("|")[1] for line in section.splitlines() if line.startswith("|"))


OPTIONS_OF_A_SUPERVISOR = (
    {*inspect.signature(Supervisor.__init__).parameters} | {*inspect.signature(DynamicSupervisor.__init__).parameters}
) - {"self", "children"}


@pytest.mark.parametrize(
    ("text", "heading", "names"),
    [
        (ACTORS, "All options of a child", ChildOptions.__annotations__),
        (ACTORS, "From outside", public(Address)),
        (ACTORS, "From inside", public(Current)),
        (TREES, "All options of a supervisor", sorted(OPTIONS_OF_A_SUPERVISOR)),
    ],
    ids=["child", "address", "current", "supervisor"],
)
def test_a_table_has_them_all(text: str, heading: str, names: Iterable[str]) -> None:
    cells = first_cells(text, heading)
    assert not [name for name in names if not re.search(rf"`{name}\b", cells)]
