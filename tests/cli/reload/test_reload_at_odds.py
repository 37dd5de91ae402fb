"""Changes that come while something else is under way: a start that hangs, an earlier reload, a backoff, an end.

Tested: a restart that hangs holds up nobody but its siblings, and the next change gets through; so it is with a child that is
added; a supervisor's own start that waits for a first start; a group's restart; who is unstoppable; a tree that is stopped
meanwhile; a supervisor that crashes in between; many generations; what looks at the root.
"""

from __future__ import annotations

import gc
import logging
import weakref
from typing import Any

import anyio
import pytest

from supervise import ChildNotFound
from supervise.testing.virtual_time import at_rest

from .files import Files
from .stage import running
from .test_reload import APP, CLOCK, COUNTER, lives, names, newer, version, write

pytestmark = pytest.mark.anyio

HANGS = (
    COUNTER.replace(
        "    async def add", "    async def __aenter__(self):\n        await anyio.sleep_forever()\n    async def add"
    ).replace("class Counter", "import anyio\nclass Counter")
    + "    async def __aexit__(self, *_):\n        pass\n"
)
TWO = """
    from supervise import Supervisor, child
    from .counter import Counter
    from .clock import Clock
    TREE = Supervisor("app", Supervisor("one", child(Counter, name="a"), child(Clock, name="b")), child(Clock, name="c"))
"""


async def test_a_start_that_hangs_is_overtaken_by_the_next_change(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    write(files, app=TWO)
    async with running(files, capsys) as stage, anyio.create_task_group() as group:
        counter = stage.app.find("one/a")
        await stage.save_meanwhile(group, counter=HANGS, clock=newer(CLOCK))
        await counter.send(files.there("counter").Counter.add, 5)
        assert lives(stage) == {"one/a": 2, "one/b": 1, "c": 1}  # the elder isn't up
        said = await stage.save_meanwhile(group, counter=newer(COUNTER))
        assert lives(stage) == {"one/a": 3, "one/b": 2, "c": 2}  # who waited for it has got its code, too
        assert said == ["counter.py: restarted app/one/a; 2 actors of unchanged code run on"]
        assert await counter.call(lambda actor: actor.total) == 5
        assert stage.app.supervisor("one").restarts == 0


async def test_a_child_that_is_added_and_hangs_is_overtaken_too(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    write(files, new=HANGS)
    added = APP.replace('"app", ', '"app", child(New, name="new"), ') + "\n"
    async with running(files, capsys) as stage, anyio.create_task_group() as group:
        await stage.save_meanwhile(group, app="from .new import Counter as New\n" + added, clock=newer(CLOCK))
        assert lives(stage) == {"counter": 1, "clock": 1, "new": 1}
        await stage.save_meanwhile(group, new=newer(COUNTER))
        assert names(stage) == ["new", "counter", "clock"]
        assert lives(stage) == {"new": 2, "counter": 1, "clock": 2}
        assert await version(stage.app.find("new")) == 2
        await stage.save(new=newer(COUNTER, 3))
        assert await version(stage.app.find("new")) == 3


async def test_what_is_left_of_an_earlier_change_is_done_with_the_newest_code(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    write(files, new=HANGS, more=COUNTER)
    added = APP.replace("COUNTER, CLOCK)", "COUNTER, child(New, name='new'), child(More, name='more'), CLOCK)") + "\n"
    added = "from .new import Counter as New\nfrom .more import Counter as More\n" + added
    async with running(files, capsys) as stage, anyio.create_task_group() as group:
        await stage.save_meanwhile(group, app=added)
        await stage.save_meanwhile(group, more=newer(COUNTER))  # `more` is asked for, and waits for `new`
        await stage.save_meanwhile(group, more=newer(COUNTER, 3))
        assert names(stage) == ["counter", "new", "clock"]
        await stage.save_meanwhile(group, new=COUNTER)
        assert names(stage) == ["counter", "new", "more", "clock"]
        assert [lives(stage)["more"], await version(stage.app.find("more"))] == [1, 3]


async def test_one_that_is_removed_while_it_starts_is_gone(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    write(files, new=HANGS)
    added = APP.replace("COUNTER, CLOCK)", "COUNTER, child(New, name='new'), CLOCK)") + "\n"
    async with running(files, capsys) as stage, anyio.create_task_group() as group:
        await stage.save_meanwhile(group, app="from .new import Counter as New\n" + added)
        assert names(stage)[-1] == "new"
        assert await stage.save_meanwhile(group, app=APP) == ["app.py: removed app/new; 2 actors of unchanged code run on"]
        assert names(stage) == ["counter", "clock"]
        assert stage.app.restarts == 0


async def test_a_group_that_waits_for_its_restart_comes_back_with_the_new_code(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    text = APP.replace("10, name", "10, restart=Restart.permanent(wait=wait_fixed(1000)), name").replace(
        "CLOCK)\n", "CLOCK, strategy='one_for_all')\n"
    )
    write(files, app="from tenacity import wait_fixed\nfrom supervise import Restart\n" + text)
    async with running(files, capsys) as stage:
        stage.app.kill("counter")
        await at_rest()
        assert not stage.app._branch.alive()
        await stage.save(counter=newer(COUNTER), clock=newer(CLOCK))
        assert [await version(stage.app.find(name)) for name in ("counter", "clock")] == [2, 2]
        assert set(lives(stage).values()) <= {2, 3}


async def test_a_supervisor_that_crashes_in_between_begins_with_the_new_code(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    write(files, app=TWO)
    async with running(files, capsys) as stage, anyio.create_task_group() as group:
        await stage.save_meanwhile(group, counter=HANGS, clock=newer(CLOCK))
        stage.app.kill("one")
        await at_rest()
        await stage.save_meanwhile(group, counter=newer(COUNTER, 3))
        assert [await version(stage.app.find(name)) for name in ("one/a", "one/b", "c")] == [3, 2, 2]


async def test_a_tree_that_is_stopped_meanwhile_ends(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    write(files, app=TWO)
    async with anyio.create_task_group() as group:
        async with running(files, capsys) as stage:
            await stage.save_meanwhile(group, counter=HANGS)
        assert stage.app.ended is not None


async def test_what_is_removed_while_its_supervisor_is_down_is_forgotten(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    write(files, app=TWO)
    async with running(files, capsys) as stage:
        key: Any = next(child for path, child in stage.tree.walk() if path == ("one", "a"))
        await stage.app.find("one/a").send(files.there("counter").Counter.add, 1)
        await stage.app.terminate_child("one")
        before = stage.app.account()
        await stage.save(app=TWO.replace('child(Counter, name="a")', 'child(Counter, name="z")'))
        with pytest.raises(ChildNotFound):
            stage.app.find(key)
        assert stage.app.account() == before
        await stage.app.restart_child("one")
        assert names(stage, "one") == ["z", "b"]


async def test_old_code_is_gone_when_nobody_holds_it(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    write(files)
    async with running(files, capsys) as stage:
        old: list[Any] = []
        for number in range(2, 8):
            old += [weakref.ref(files.there("counter").Counter), weakref.ref(files.there("app").COUNTER)]
            await stage.save(counter=newer(COUNTER, number))
        del stage.tree
        gc.collect()
        assert [one() for one in old[2:]] == [None] * 10  # the first tree is the program's own


async def test_what_looks_at_the_root_runs_on_with_its_old_code_and_that_is_said_once(
    files: Files, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    text = "def heard(event):\n    pass\n" + APP.replace("COUNTER, CLOCK)", "COUNTER, CLOCK, listener=heard)")
    write(files, app=text)
    async with running(files, capsys) as stage:
        with caplog.at_level(logging.WARNING, "supervise"):
            for number in (2, 3):
                await stage.save(counter=newer(COUNTER, number))
        warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert warnings == ["reload: listener= of app runs on with its old code until the program is started again"]
