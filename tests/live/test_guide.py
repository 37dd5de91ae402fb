"""The guide's page on the live view says what there is: each field that a tree tells, each command, a program that runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from supervise import Supervisor, child
from supervise.cli.live.arguments import ACTIONS, ALL
from supervise.live import Client, serve
from supervise.live.deed import NAMES
from supervise.live.endpoint import SORTS
from supervise.live.row import FIELDS
from tests.house import ROOT
from tests.real_clock import on_the_real_clock

from .asked import ask, following, told

GUIDE: Final = (ROOT / "examples" / "guide" / "live.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """What stands below a bold word, up to the next."""
    return GUIDE.partition(f"**{title}.**")[2].partition("\n**")[0]


def named(text: str) -> list[str]:
    """The first column of a table."""
    return [name for line in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for name in re.findall(r"`(\w+)`", line)]


def listed(text: str) -> list[str]:
    return re.findall(r"`(\w+)`", text)


class Db:
    async def boom(self) -> None:
        raise ValueError


@pytest.mark.anyio
@on_the_real_clock
async def test_each_field_that_is_told_stands_there() -> None:
    async with Supervisor("app", child(Db, name="db")) as app, serve(app) as at:
        client = Client(at.socket)
        found, by_type = await ask(client.snapshot), await ask(client.snapshot, by="type")
        head = named(section("Head"))
        assert head == [*(key for key in found if key not in ("rows", "totals", "all")), "totals", "all", "problem"]
        assert [*listed(section("Head").partition("| `tree` | ")[2].partition("|")[0])] == [*found["tree"]]
        assert named(section("Row")) == [*FIELDS]
        assert listed(section("Type")) == [*by_type["types"][0]]
        more = {key for key in found if key != "rows"}
        frames = client.stream(every=0.25)
        await following(frames)
        await app.find("db").send(Db.boom)
        change = await told(frames, lambda data: any(event["event"] == "Decided" for event in data["events"]))
        await ask(frames.close)
        assert listed(section("Change")) == ["rows", "gone", "events", "missed"] == [key for key in change if key not in more]
        fields = {key for event in change["events"] for key in event}
        assert fields <= set(listed(section("Event").replace("supervise.events", "")))
        await app.find("db").ping()
        about = await ask(client.actor, "db")
        assert {*about} - {"schema", "at", "operate"} == set(listed(section("Actor"))) - {*about["ends"][0]}
        assert {*about["ends"][0]} <= set(listed(section("Actor")))
        of_root = await ask(client.actor, "")
        assert {*of_root} == set(listed(section("Supervisor or pool"))) - {"explain"}


def test_each_command_action_and_order_stands_there() -> None:
    for name in (*NAMES, *SORTS):
        assert re.search(rf"\b{name}\b", GUIDE), name
    for name in ALL - set(ACTIONS):
        assert f"`supervise {name}" in GUIDE


def test_its_pictures_are_there() -> None:
    pictures = re.findall(r"!\[.+?\]\((.+?)\)", GUIDE)
    assert len(pictures) == 2
    assert all((ROOT / "examples" / "guide" / picture).read_bytes().startswith(b"\x89PNG") for picture in pictures)


def test_the_program_there_runs(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    variables = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'strategies'}"}
    done = subprocess.run(
        [sys.executable, "-c", block], cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "['shop', 'shop/db']\ndb is restarted\n"
