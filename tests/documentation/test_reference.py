"""The tables of the guide are whole: all options of a child and of a supervisor, all that an address and `current()` have.

And what the table of types says: that `print` of each value is short, and says what it means.
"""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import AsyncIterator, Iterable
from typing import get_args

import pytest

from supervise import (
    ActorCrashed,
    ActorRestarting,
    ActorStopped,
    Address,
    CallTimeout,
    Checkpoint,
    ChildOptions,
    Current,
    Down,
    DynamicSupervisor,
    ExitKind,
    ExitReason,
    MailboxClosed,
    RunningSupervisor,
    SuperviseError,
    Supervisor,
    Undelivered,
    child,
    current,
    open_mailbox,
    pool,
)
from supervise import events as happened
from supervise.events import Asked, DeadLetter, Decided, Event, LinkDown, Lost, Started, StartFailed, Stopped
from supervise.health import health, readiness

from .page import GUIDE, Page

ACTORS = Page(GUIDE / "actors.md").text
TREES = Page(GUIDE / "trees.md").text
WATCHING = Page(GUIDE / "watching.md").text


def public(owner: type) -> list[str]:
    return [name for name in dir(owner) if not name.startswith("_")]


def first_cells(text: str, heading: str) -> str:
    """Of all tables below a heading, up to the next one."""
    found = re.search(rf"\n#+ {heading}\n(.*?)(?=\n#+ |\Z)", text, re.DOTALL)
    assert found, f"there is no {heading}"
    return "\n".join(line.split("|")[1] for line in found[1].splitlines() if line.startswith("|"))


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
        (TREES, "All that a running supervisor has", public(RunningSupervisor)),
        (WATCHING, "All events", [event.__name__ for event in get_args(Event)]),
    ],
    ids=["child", "address", "current", "supervisor", "running", "events"],
)
def test_a_table_has_them_all(text: str, heading: str, names: Iterable[str]) -> None:
    cells = first_cells(text, heading)
    assert not [name for name in names if not re.search(rf"`{name}\b", cells)]


def test_records_have_the_levels_of_the_table() -> None:
    rows = dict(re.findall(r"^\| (DEBUG|INFO|WARNING|ERROR) \| (.*) \|$", WATCHING, re.MULTILINE))
    for level, row in rows.items():
        for name in re.findall(r"`(\w+)`", row):
            assert getattr(happened, name).level == getattr(logging, level), name
    crash, shutdown, gave_up = (ExitReason(kind) for kind in (ExitKind.CRASHED, ExitKind.SHUTDOWN, ExitKind.GAVE_UP))
    levels: dict[str, list[Event]] = {
        "DEBUG": [Started("app", 1), Stopped("app", 1, shutdown), DeadLetter("app", "", "")],
        "INFO": [Asked("app", "ada", "pause it"), LinkDown("app/a", 1, "it was stopped", 0, 0)],
        "WARNING": [
            *(Stopped("app", 1, crash, fingerprint="same", alike=2), StartFailed("app", 1, crash, False, "", (), "same", 2)),
            *(Stopped("app", 1, ExitReason(ExitKind.KILLED)), Stopped("app", 1, gave_up), Lost("app", 1, "", "", "")),
            *(LinkDown("app/a", 1, "cut", 1, 0), LinkDown("app/a", 1, "cut", 0, 1)),
        ],
        "ERROR": [Stopped("app", 1, crash, fingerprint="new", alike=1), StartFailed("app", 1, crash, False, "", (), "new", 1)],
    }
    assert levels.keys() == rows.keys()
    for level, found in levels.items():
        assert {event.level for event in found} == {getattr(logging, level)}


@pytest.mark.parametrize("error", [ActorCrashed, ActorRestarting, ActorStopped, CallTimeout, MailboxClosed])
def test_what_a_call_raises_for_want_of_an_answer_is_of_one_class(error: type[Exception]) -> None:
    """As the page on FastAPI says: one handler of exceptions is enough."""
    assert issubclass(error, SuperviseError)
    assert issubclass(error, TimeoutError) == (error is CallTimeout)


class Counter:
    async def count_to(self, end: int) -> AsyncIterator[int]:
        for number in range(end):
            yield number

    def inside(self) -> list[object]:
        me = current()
        me.checkpoint([1])
        return [me, me.nursery, me.after(60, Counter.inside), me.watch(me.find("other"), Counter.down)]

    def down(self, down: Down) -> None: ...

    def crash(self) -> Checkpoint | None:
        if current().incarnation == 1:
            raise ValueError("no")
        return current().last_checkpoint


@pytest.mark.anyio
async def test_each_value_is_a_short_text() -> None:
    """As the section "What you get back" says; pools and trees have a line for each part."""
    values: list[object] = []

    def heard(event: object) -> None:
        values.extend([event, *([event.decision] if isinstance(event, Decided) else [])])

    lost: list[Undelivered] = []
    counter, jobs = child(Counter, on_dead_letter=lost.append), pool(Counter, size=2, name="jobs")
    async with Supervisor("app", counter, jobs, child(Counter, name="other"), listener=heard) as app:
        address = app.find(counter)
        stream = address.stream_from(Counter.count_to, 2)
        async with address.subscribe(int) as subscription, stream as items:
            values += [subscription, stream, items]
        values += [counter, jobs, app, address, address.weak, address.from_thread, address.recipient(Counter.down)]
        values += await address.call(Counter.inside)
        await address.send(Counter.crash)
        values += [await address.call(Counter.crash), await address.ping(), address.account()]
        address.pause()
        await address.send(Counter.crash)
        values += [*address.peek(), *app.which_children(), app.count_children(), app.operator("ada"), app.explain(counter)]
        found = health(app)
        values += [found, *found.children, readiness(app)]
        await app.terminate_child("counter")
        values += [await address.watch(), app.get_childspec("counter"), *lost]
    values.append(app.ended)
    opened = open_mailbox(Counter)
    values += [*opened]
    assert lost
    for value in values:
        text = str(value)
        assert " object at 0x" not in text
        assert max(map(len, text.replace(__file__, "").splitlines())) <= 160, text


@pytest.mark.anyio
async def test_a_line_of_which_children_says_how_a_child_is() -> None:
    async with Supervisor("app", child(Counter), DynamicSupervisor("below")) as app:
        await app.find("counter").send(Counter.crash)
        await app.find("counter").ping()
        await app.terminate_child("below")
        assert [str(info) for info in app.which_children()] == [
            "counter #2 is running; 1 restart, last crashed (ValueError: no)",
            "below #1 is stopped",
        ]
        assert str(app.count_children()) == "2 listed, 1 active; 1 supervisor, 1 worker"
