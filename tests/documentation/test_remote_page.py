"""What the page on links says in tables is so: all limits with their defaults, all errors, and the protocol word for word."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Final

import pytest

import supervise
from supervise.remote import Limits
from supervise.wire import frames
from supervise.wire.bodies import ENDS, ERRORS, SMALLEST_FRAME, ErrorBody, Goodbye, Hello, Sizes
from supervise.wire.kinds import KINDS, Kind

from .page import GUIDE, Page
from .test_reference import first_cells

TEXT: Final = Page(GUIDE / "remote.md").text
UNITS: Final = {"KiB": 1024, "s": 1.0, "": 1}


def rows(heading: str) -> list[list[str]]:
    found = re.search(rf"\n#+ {heading}\n(.*?)(?=\n#+ |\Z)", TEXT, re.DOTALL)
    assert found
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in found[1].splitlines() if line.startswith("| ")]


def test_each_limit_has_its_row_and_its_default() -> None:
    said: dict[str, float] = {}
    for name, default, _ in rows("Limits")[1:]:
        number, _, unit = default.partition(" ")
        said[name.strip("`")] = float(number) * UNITS[unit]
    assert said == {field.name: getattr(Limits(), field.name) for field in fields(Limits)}
    assert [*said][:5] == [*Sizes.__struct_fields__]  # of which the smaller of both sides' holds


def test_each_error_of_a_call_over_a_link_has_its_row() -> None:
    cells = first_cells(TEXT, "What is promised")
    crossing = {"CallTooDeep", "BadMessage", "BadReply", "OutcomeUnknown", "NotServed", "TooLarge", "RemoteError"}
    local = {"ActorCrashed", "ActorRestarting", "ActorStopped", "BadCall", "CallCycle", "CallTimeout"}
    local |= {"MailboxClosed", "MailboxFull", "MessageDropped", "SendTimeout"}
    named = {*re.findall(r"`(\w+)`", cells)} & {*supervise.__all__}
    assert named == crossing | local


def test_the_protocol_is_told_as_where_it_is_kept() -> None:
    """The page is for those who write another side, and `frames.py` for those who change this one: one text for both."""
    assert frames.__doc__
    kept = frames.__doc__[frames.__doc__.index("Who writes the other side") :]
    for paragraph in re.sub(r"^(.+)\n-+\n", r"### \1\n\n", kept, flags=re.MULTILINE).strip().split("\n\n"):
        assert paragraph in TEXT, paragraph


@pytest.mark.parametrize("kind", Kind)
def test_each_kind_of_frame_has_its_row(kind: Kind) -> None:
    row = next(cells for cells in rows("A frame") if cells[0] == f"{kind.value} {kind.name}")
    needs, may = (re.findall(r"\w+", cell) for cell in row[1:3])
    assert {*needs} == {*KINDS[kind].needs.split()}
    assert {*may} == {*KINDS[kind].may.split()}


def test_the_maps_have_their_keys_and_the_kinds_are_all_named() -> None:
    keys = {key for cells in rows("Maps in bodies") for key in re.findall(r"\w+", cells[1])}
    for body in (Hello, Goodbye, ErrorBody):
        assert {*body.__struct_fields__} <= keys
    for name in (*ERRORS, *ENDS):
        assert re.search(rf"\b{name}\b", TEXT)
    assert f"{SMALLEST_FRAME} or more" in TEXT
