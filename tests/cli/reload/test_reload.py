"""A running tree takes the new code of its files, child by child, on their own mailboxes.

Tested: who is restarted, with a base class in another file, a partial, a lambda, a task, an argument that is a class, a
coroutine function, a context manager, a factory that imports; who isn't; what waits goes to the new code; callers with old
functions and old keys; module state begins anew; children that are described anew, added, removed, replaced, in another order;
supervisors too; pools; children that were started at run time, and templates; the states that a child can be in; starts that
fail; what is broken, and what is said; nothing counted; every message accounted for.
"""

from __future__ import annotations

import logging
from typing import Any

import pytest

from supervise import ActorCrashed, Address, ChildNotFound, InvalidSpec, MailboxClosed, UnknownHandler
from supervise.events import Asked, Decided, Late, Started, Stopped
from supervise.testing.virtual_time import at_rest

from .files import Files
from .stage import Stage, running

pytestmark = pytest.mark.anyio

COUNTER = """
class Counter:
    VERSION = 1
    def __init__(self, start=0):
        self.total = start
    async def add(self, amount):
        self.total += amount
        return self.total
    def version(self):
        return self.VERSION
"""
CLOCK = "class Clock:\n    VERSION = 1\n    def version(self):\n        return self.VERSION\n"
APP = """
from supervise import Supervisor, child
from .counter import Counter
from .clock import Clock
COUNTER = child(Counter, 10, name="counter")
CLOCK = child(Clock, name="clock")
TREE = Supervisor("app", COUNTER, CLOCK)
"""


def newer(text: str, version: int = 2) -> str:
    return text.replace("VERSION = 1", f"VERSION = {version}")


def write(files: Files, **texts: str) -> None:
    files.write(**{"__init__": "", "counter": COUNTER, "clock": CLOCK, "app": APP, **texts})


def lives(stage: Stage) -> dict[str, int]:
    return {place.path.removeprefix("app/"): place.number for place in stage.app._branch.actors()}


def names(stage: Stage, below: str | None = None) -> list[str]:
    app = stage.app if below is None else stage.app.supervisor(below)
    return [child.id for child in app.children()]


async def version(address: Address[Any]) -> Any:
    return await address.call(lambda actor: actor.version())


async def test_only_those_whose_code_has_changed_are_restarted(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    write(files)
    async with running(files, capsys) as stage:
        counter = stage.app.find("counter")
        old = files.there("counter").Counter
        assert await counter.call(old.add, 5) == 15
        assert await stage.save(counter=newer(COUNTER)) == [
            "counter.py: restarted app/counter; 1 actor of unchanged code runs on"
        ]
        assert lives(stage) == {"counter": 2, "clock": 1}
        assert await counter.call(old.version) == 2  # by name, on the new class
        assert await counter.call(files.there("counter").Counter.add, 1) == 11  # a life of its own
        assert stage.app.restarts == 0
    assert [str(event) for event in stage.events if isinstance(event, Asked)] == [
        "app/counter: reload asks to restart it with its new code"
    ]
    assert not [event for event in stage.events if isinstance(event, Decided)]


async def test_what_waits_goes_to_the_new_code_and_nothing_is_lost(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    write(files)
    async with running(files, capsys) as stage:
        counter, old = stage.app.find("counter"), files.there("counter").Counter
        counter.pause()
        for _ in range(3):
            await counter.send(old.add, 1)
        await stage.save(counter=newer(COUNTER).replace("self.total += amount", "self.total += 100 * amount"))
        await counter.send(files.there("counter").Counter.add, 1)
        counter.resume()
        await at_rest()
        assert await counter.call(lambda actor: actor.total) == 410
        account = stage.app.account()
    assert (account.accepted, account.handled, account.dead_lettered) == (5, 5, 0)


async def test_a_handler_that_the_new_class_lacks_is_unknown(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    write(files)
    async with running(files, capsys) as stage:
        counter, old = stage.app.find("counter"), files.there("counter").Counter
        await counter.call(old.add, 1)
        await stage.save(counter=COUNTER.replace("add", "plus"))
        with pytest.raises(UnknownHandler):
            await counter.call(old.add, 1)
        assert await counter.call(files.there("counter").Counter.plus, 1) == 11


async def test_old_and_new_keys_find_the_child_also_where_it_was_not_restarted(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    write(files)
    async with running(files, capsys) as stage:
        keys = [(files.there("app").COUNTER, files.there("app").CLOCK)]
        counter, clock = stage.app.find("counter"), stage.app.find("clock")
        for number in (2, 3):
            await stage.save(counter=newer(COUNTER, number))
            keys.append((files.there("app").COUNTER, files.there("app").CLOCK))
        assert len({id(key) for pair in keys for key in pair}) == 6
        for of_counter, of_clock in keys:
            assert stage.app.find(of_counter) == counter
            assert stage.app.find(of_clock) == clock
        await stage.save(app=APP.replace(", CLOCK)", ")"))
        for _, of_clock in keys:
            with pytest.raises(ChildNotFound):
                stage.app.find(of_clock)
        with pytest.raises(InvalidSpec):
            stage.app.find(files.there("app").CLOCK)  # it stands in no tree of that module


@pytest.mark.parametrize(
    "app",
    [
        "child(Sub, name='counter')",
        "child(partial(Counter, start=10), name='counter')",
        "child(partial(partial(Counter), 10), name='counter')",
        "child(lambda: Counter(10), name='counter')",
        "child(make, name='counter')",
        "child(amake, name='counter')",
        "child(manage, name='counter')",
        "child(Holder, Counter, name='counter')",
        "child(Holder, [{'a': (Counter,)}], name='counter')",
        "child(Holder, Counter(), name='counter')",
        "child(Counter.create, name='counter')",
        "child(task(work, Counter), name='counter')",
        "child(late, name='counter')",
        "pool(Counter, size=2, name='counter')",
    ],
)
async def test_whatever_way_a_factory_has_the_code(files: Files, capsys: pytest.CaptureFixture[str], app: str) -> None:
    counter = (
        COUNTER
        + "    @classmethod\n    def create(cls):\n        return cls()\n"
        + "def make():\n    return Counter()\nasync def amake():\n    return Counter()\n"
        + "from contextlib import asynccontextmanager\n@asynccontextmanager\nasync def manage():\n    yield Counter()\n"
    )
    others = """
        import anyio
        class Holder:
            def __init__(self, held):
                self.held = held
            def version(self):
                held = self.held
                return held.VERSION if not isinstance(held, list) else held[0]['a'][0].VERSION
        async def work(held):
            await anyio.sleep_forever()
        def late():
            from .counter import Counter
            return Counter()
    """
    sub = "from .counter import Counter\nclass Sub(Counter):\n    pass\n"
    text = f"""
        from functools import partial
        from supervise import Supervisor, child, pool, task
        from .counter import Counter, make, amake, manage
        from .others import Holder, work, late
        from .sub import Sub
        from .clock import Clock
        TREE = Supervisor("app", {app}, child(Clock, name="clock"))
    """
    write(files, counter=counter, others=others, sub=sub, app=text)
    async with running(files, capsys) as stage:
        said = await stage.save(counter=newer(counter))
        assert said == ["counter.py: restarted app/counter; 1 actor of unchanged code runs on"]
        assert {number for path, number in lives(stage).items() if path.startswith("counter")} == {2}
        assert lives(stage)["clock"] == 1
        if "task" not in app:
            assert await version(stage.app.find("counter")) == 2


async def test_a_lambda_of_the_description_is_taken_from_the_new_one(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    text = APP.replace("child(Counter, 10,", "child(lambda: Counter(10),")
    write(files, app=text)
    async with running(files, capsys) as stage:
        assert await stage.save(app=text.replace("Counter(10)", "Counter(20)")) == [
            "app.py: restarted app/counter; 1 actor of unchanged code runs on"
        ]
        assert await stage.app.find("counter").call(lambda actor: actor.total) == 20


async def test_module_state_begins_anew_and_what_lives_on_keeps_its_old_class(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    value = "class Value:\n    pass\n"
    clock = """
        from .value import Value
        VALUES = []
        class Clock:
            def note(self, value):
                VALUES.append(value)
                return len(VALUES), isinstance(value, Value)
    """
    write(files, value=value, clock=clock)
    async with running(files, capsys) as stage:
        clock_at, note = stage.app.find("clock"), files.there("clock").Clock.note
        kept = files.there("value").Value()
        assert [await clock_at.call(note, kept) for _ in range(2)] == [(1, True), (2, True)]
        await stage.save(value=value + "# new\n")
        assert await clock_at.call(note, kept) == (1, False)


async def test_what_was_handed_over_is_there_for_the_new_code(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    keeps = """
        from supervise import current
        class Counter:
            def __init__(self, start):
                last = current().last_checkpoint
                self.total = start if last is None else last.value
            def add(self, amount):
                self.total += amount
                current().checkpoint(self.total)
                return self.total
    """
    write(files, counter=keeps)
    async with running(files, capsys) as stage:
        counter, add = stage.app.find("counter"), files.there("counter").Counter.add
        assert await counter.call(add, 5) == 15
        await stage.save(counter=keeps.replace("+= amount", "+= 2 * amount"))
        assert await counter.call(add, 5) == 25


@pytest.mark.parametrize(
    ("child", "said", "life"),
    [
        ("child(Counter, 10, name='counter', restart='transient')", "changed app/counter", 1),
        ("child(Counter, 10, name='counter', stop_within=1.0)", "changed app/counter", 1),
        ("child(Counter, 10, name='counter', restart=Restart.permanent(wait=wait_fixed(2)))", "changed app/counter", 1),
        ("child(Counter, 10, name='counter', limit=Intensity(1))", "changed app/counter", 1),
        ("child(Counter, 10, name='counter', handler_deadline=7)", "changed app/counter", 1),
        ("child(Counter, 10, name='counter', on_dead_letter=print)", "changed app/counter", 1),
        ("child(Counter, 11, name='counter')", "restarted app/counter", 2),
        ("child(partial(Counter, 10), name='counter')", "restarted app/counter", 2),
        ("child(Counter, 10, name='counter', concurrency=2)", "restarted app/counter", 2),
        ("child(Counter, 10, name='counter', capacity=5)", "replaced app/counter", 1),
        ("child(Counter, 10, name='counter', lanes=('a', 'b'))", "replaced app/counter", 1),
        ("child(Clock, name='counter')", "replaced app/counter", 1),
        ("pool(Counter, 10, name='counter')", "replaced app/counter", 1),
        ("Supervisor('counter', child(Counter, 10, name='1'))", "replaced app/counter", 1),
    ],
)
async def test_a_child_that_is_described_otherwise(
    files: Files, capsys: pytest.CaptureFixture[str], child: str, said: str, life: int
) -> None:
    def text(child: str) -> str:
        return f"""
            from functools import partial
            from tenacity import wait_fixed
            from supervise import Intensity, Restart, Supervisor, child, pool
            from .counter import Counter
            from .clock import Clock
            TREE = Supervisor("app", child(Clock, name="first"), {child}, child(Clock, name="last"))
        """

    write(files, app=text("child(Counter, 10, name='counter')"))
    async with running(files, capsys) as stage:
        before = stage.app.find("counter")
        (line,) = await stage.save(app=text(child))
        assert line.startswith(f"app.py: {said}; ")
        assert {number for path, number in lives(stage).items() if path.startswith("counter")} == {life}
        assert names(stage) == ["first", "counter", "last"]
        if said.startswith("replaced"):
            with pytest.raises(MailboxClosed):
                await before.send(lambda actor: None)
        else:
            assert stage.app.find("counter") == before
        (line,) = await stage.save(app=text(child) + "\n")
        assert line == f"app.py: nothing of it is an actor; {len(lives(stage))} actors of unchanged code run on"


async def test_a_deadline_that_is_new_holds_from_the_next_message_on(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    clock = CLOCK + "    async def wait(self):\n        import anyio\n        await anyio.sleep(100)\n"
    write(files, clock=clock)
    async with running(files, capsys) as stage:
        wait = files.there("clock").Clock.wait
        await stage.app.find("clock").call(wait)
        await stage.save(app=APP.replace('child(Clock, name="clock"', 'child(Clock, name="clock", handler_deadline=7'))
        assert lives(stage)["clock"] == 1
        with pytest.raises(ActorCrashed):
            await stage.app.find("clock").call(wait)
        assert [event.path for event in stage.events if isinstance(event, Late)] == ["app/clock"]
        await stage.save()
        await stage.save(app=APP)
        await stage.app.find("clock").call(wait)


async def test_policies_that_are_made_anew_of_the_same_change_nothing(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    text = """
        from tenacity import wait_exponential, stop_after_attempt, retry_if_exception_type
        from supervise import DynamicSupervisor, Intensity, Redeliver, Restart, Supervisor, Throttle, child, pool, ref, task
        from .counter import Counter
        from .clock import Clock
        from .work import work
        COUNTER = child(Counter, 10, name="counter", redeliver=Redeliver(2), throttle=Throttle(5, burst=9),
            restart=Restart.transient(wait=wait_exponential(1, 60) + wait_exponential(2),
                stop=stop_after_attempt(3), when=retry_if_exception_type(OSError)))
        TREE = Supervisor("app", COUNTER, child(task(work, ref(COUNTER), 3), name="work"), pool(Clock, size=2, name="clocks"),
            Supervisor("below", child(Clock, name="clock"), child(Counter, ref("clock"), name="uses"), intensity=Intensity(7)),
            DynamicSupervisor("sessions"), strategy="rest_for_one")
    """
    work = "import anyio\nasync def work(address, number):\n    await anyio.sleep_forever()\n"
    write(files, app=text, work=work)
    async with running(files, capsys) as stage:
        assert await stage.save(app=text + "\n") == ["app.py: nothing of it is an actor; 6 actors of unchanged code run on"]
        assert set(lives(stage).values()) == {1}


async def test_children_are_added_removed_and_brought_into_another_order(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    def text(*children: str) -> str:
        described = ", ".join(f"child(Clock, name={name!r})" for name in children)
        return f"from supervise import Supervisor, child\nfrom .clock import Clock\nTREE = Supervisor('app', {described})\n"

    write(files, app=text("a", "b", "c"))
    async with running(files, capsys) as stage:
        stage.events.clear()
        assert await stage.save(app=text("c", "new", "a")) == [
            "app.py: added app/new; removed app/b; 2 actors of unchanged code run on"
        ]
        assert names(stage) == ["c", "new", "a"]
        assert [event.path for event in stage.events if isinstance(event, Started)] == ["app/new"]
        with pytest.raises(ChildNotFound):
            stage.app.find("b")
        stage.events.clear()
        await stage.save(app=text("new"))
        ended = [event.path for event in stage.events if isinstance(event, Stopped)]
        assert ended == ["app/a", "app/c"]  # the youngest first
        await stage.save(app=text("z", "new", "a"))
        stage.events.clear()
    ended = [event.path for event in stage.events if isinstance(event, Stopped)]
    assert ended == ["app/a", "app/new", "app/z", "app"]


async def test_supervisors_are_added_removed_and_changed_and_their_children_live_on(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    head = "from supervise import Intensity, Supervisor, child\nfrom .clock import Clock\nfrom .counter import Counter\n"
    before = "TREE = Supervisor('app', Supervisor('a', child(Clock, name='1'), child(Counter, name='2')), B)\n"
    before = "B = Supervisor('b', child(Clock, name='1'))\n" + before
    after = "A = child(Counter, name='2'), child(Clock, name='3'), child(Clock, name='1')\n"
    after += "A = Supervisor('a', *A, strategy='one_for_all', intensity=Intensity(9))\n"
    after += "TREE = Supervisor('app', A, Supervisor('c', child(Clock, name='1')))\n"
    write(files, app=head + before)
    async with running(files, capsys) as stage:
        assert await stage.save(app=head + after, counter=newer(COUNTER)) == [
            "app.py, counter.py: restarted app/a/2; changed app/a; added app/a/3, app/c; removed app/b; "
            "1 actor of unchanged code runs on"
        ]
        assert lives(stage) == {"a/2": 2, "a/3": 1, "a/1": 1, "c/1": 1}
        stage.app.kill("a/1")
        await at_rest()
        assert lives(stage) == {"a/2": 3, "a/3": 2, "a/1": 2, "c/1": 1}  # one_for_all by now
        stage.app.kill("a")
        await at_rest()
        assert names(stage, "a") == ["2", "3", "1"]  # also in its next life


DYNAMIC = """
from supervise import DynamicSupervisor, Supervisor, child
from .counter import Counter
from .clock import Clock
ROOM = Supervisor("room", child(Counter, name="talk"), child(Clock, name="clock"))
WORKER = child(Counter, 5)
TREE = Supervisor("app", DynamicSupervisor("sessions"), child(Clock, name="clock"))
"""


async def test_children_that_were_started_at_run_time_find_their_factory_again(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    from functools import partial

    write(files, app=DYNAMIC)
    async with running(files, capsys) as stage:
        sessions: Any = stage.app.supervisor("sessions")
        counter, clock = files.there("counter").Counter, files.there("clock").Clock
        addresses: list[Address[Any]] = [
            await sessions.start(counter, 7, name="a"),
            await sessions.start(partial(counter, start=7), name="b"),
            await sessions.start(clock, name="c"),
            await sessions.start_child(files.there("app").WORKER, name="w"),
        ]
        static = await stage.app.start(counter, 7, name="more")
        room = await sessions.start_child(files.there("app").ROOM, name="room")
        worker = files.there("app").WORKER
        (line,) = await stage.save(counter=newer(COUNTER))
        assert line == (
            "counter.py: restarted app/sessions/a, app/sessions/b, app/sessions/w, app/sessions/room/talk, app/more; "
            "3 actors of unchanged code run on"
        )
        assert [await version(address) for address in (*addresses, static)] == [2, 2, 1, 2, 2]
        assert await version(room.find("talk")) == 2
        assert await addresses[0].call(lambda actor: actor.total) == 7
        for key in (worker, files.there("app").WORKER):
            assert stage.app.find(key) == addresses[3]
        room_2 = await sessions.start_child(files.there("app").ROOM, name="room-2")
        assert await version(room_2.find("talk")) == 2
        await addresses[0].call(lambda actor: setattr(actor, "total", 0))
        await stage.save(counter=newer(COUNTER, 3))  # and once more
        assert [await version(address) for address in (*addresses, static)] == [3, 3, 1, 3, 3]
        assert await version(room.find("talk")) == 3


async def test_a_lambda_that_was_started_at_run_time_stays_as_it_is_with_one_warning(
    files: Files, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    starter = COUNTER + "def lambdas():\n    return lambda: Counter(1)\nclass Gone(Counter):\n    pass\n"
    write(files, app=DYNAMIC, counter=starter)
    async with running(files, capsys) as stage:
        sessions = stage.app.supervisor("sessions")
        closure = await sessions.start(files.there("counter").lambdas(), name="closure")
        gone = await sessions.start(files.there("counter").Gone, name="gone")
        with caplog.at_level(logging.WARNING, "supervise"):
            for number in (2, 3):
                said = await stage.save(counter=newer(starter, number).replace("class Gone", "class Went"))
                assert said[-1] == "counter.py: nothing of it is an actor; 1 actor of unchanged code runs on"
        assert [await version(closure), await version(gone)] == [1, 1]
        warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert warnings == [
            "reload: app/sessions/closure, app/sessions/gone: the factory has no name by which the new one could be found, "
            "so the old code runs on"
        ]


async def test_a_pool_has_its_workers_restarted_and_its_size_and_key_changed(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    def text(size: int, key: str) -> str:
        return f"""
            from supervise import Supervisor, pool
            from .counter import Counter
            TREE = Supervisor("app", pool(Counter, size={size}, name="jobs", key=lambda message: {key}))
        """

    write(files, app=text(2, "len(message.args)"))
    async with running(files, capsys) as stage:
        jobs = stage.app.find("jobs")
        await jobs.call(files.there("counter").Counter.add, 1)
        assert (await stage.save(counter=newer(COUNTER)))[0].startswith("counter.py: restarted app/jobs; 0 actors")
        assert lives(stage) == {"jobs/1": 2, "jobs/2": 2}
        assert await version(jobs) == 2
        (line,) = await stage.save(app=text(3, "1 / 0"))
        assert line == "app.py: changed app/jobs; 3 actors of unchanged code run on"
        assert lives(stage) == {"jobs/1": 2, "jobs/2": 2, "jobs/3": 1}
        with pytest.raises(ZeroDivisionError):
            await jobs.call(files.there("counter").Counter.add, 1)
        await stage.app.resize("jobs", 1)
        await stage.save(counter=newer(COUNTER, 3))
        assert lives(stage) == {"jobs/1": 3}  # what was said by hand holds


async def test_one_that_waits_for_its_backoff_gets_the_new_code_at_once(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    text = APP.replace("10, name", "10, restart=Restart.permanent(wait=wait_fixed(1000)), name")
    write(files, app=f"from tenacity import wait_fixed\nfrom supervise import Restart\n{text}")
    async with running(files, capsys) as stage:
        stage.app.kill("counter")
        await at_rest()
        assert not stage.app._branch.places["counter"].alive()
        assert await stage.save(counter=newer(COUNTER)) == [
            "counter.py: restarted app/counter; 1 actor of unchanged code runs on"
        ]
        assert await version(stage.app.find("counter")) == 2
        assert stage.app.restarts == 0


async def test_one_that_was_given_up_on_is_started_and_one_that_was_stopped_by_hand_is_not(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    text = APP.replace("10, name", "10, limit=Intensity(0), name").replace("Supervisor,", "Intensity, Supervisor,")
    text = text.replace('"app", ', '"app", child(Counter, name="by_hand"), ')
    write(files, app=text)
    async with running(files, capsys) as stage:
        await stage.app.terminate_child("by_hand")
        stage.app.kill("counter")
        await at_rest()
        assert await stage.save(counter=newer(COUNTER)) == [
            "counter.py: restarted app/counter; 1 actor of unchanged code runs on"
        ]
        assert lives(stage) == {"by_hand": 1, "counter": 2, "clock": 1}
        await stage.app.restart_child("by_hand")
        assert await version(stage.app.find("by_hand")) == 2
        stage.app.kill("counter")
        await at_rest()  # its limit is a new one, and is spent again
        assert [child.state.value for child in stage.app.children()] == ["running", "stopped", "running"]


async def test_a_supervisor_that_waits_for_its_restart_is_started_with_the_new_code(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    text = """
        from tenacity import wait_fixed
        from supervise import Intensity, Restart, Supervisor, child
        from .counter import Counter
        from .clock import Clock
        PATIENT = Supervisor("patient", child(Counter, name="counter"), intensity=Intensity(0), restart=Restart.permanent(
            wait=wait_fixed(1000)))
        TREE = Supervisor("app", PATIENT, child(Clock, name="clock"))
    """
    write(files, app=text)
    async with running(files, capsys) as stage:
        stage.app.kill("patient/counter")
        await at_rest()
        assert not stage.app.supervisor("patient").running
        await stage.save(counter=newer(COUNTER))
        assert stage.app.supervisor("patient").running
        assert await version(stage.app.find("patient/counter")) == 2


async def test_a_start_that_fails_is_judged_by_its_restart_policy(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    text = APP.replace("10, name", "10, restart=Restart.permanent(wait=wait_fixed(1000)), name")
    write(files, app=f"from tenacity import wait_fixed\nfrom supervise import Restart\n{text}")
    async with running(files, capsys) as stage:
        counter = stage.app.find("counter")
        said = await stage.save(counter=COUNTER.replace("self.total = start", "raise OSError('no port')"))
        assert said == [
            "counter.py: restarted app/counter; 1 actor of unchanged code runs on",
            "app/counter didn't start with its new code: its restart policy decides",
        ]
        assert [child.state.value for child in stage.app.children()] == ["restarting", "running"]
        await counter.send(files.there("counter").Counter.add, 1)  # its mailbox is open
        await stage.save(counter=newer(COUNTER))
        assert await counter.call(files.there("counter").Counter.add, 0) == 11


async def test_a_child_that_is_added_and_does_not_start_is_tried_again_at_the_next_change(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = "class New:\n    def __init__(self):\n        raise OSError('no port')\n"
    write(files, new=broken)
    added = APP.replace("COUNTER, CLOCK)", "COUNTER, child(New, name='new'), CLOCK)") + "\n"
    async with running(files, capsys) as stage:
        said = await stage.save(app="from .new import New\n" + added)
        assert said[0] == "app.py: nothing of it is an actor; 2 actors of unchanged code run on"
        assert said[1].startswith("app/new: ")
        assert said[1].endswith("no port: the next change tries it again")
        assert names(stage) == ["counter", "clock"]
        assert await stage.save(new="class New:\n    pass\n") == ["new.py: added app/new; 2 actors of unchanged code run on"]
        assert names(stage) == ["counter", "new", "clock"]


async def test_who_has_ended_for_good_or_was_deleted_stays_away(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    text = APP.replace('"app", ', '"app", child(Counter, name="brief", restart="temporary"), ')
    write(files, app=text)
    async with running(files, capsys) as stage:
        stage.app.kill("brief")
        await stage.app.terminate_child("clock")
        await stage.app.delete_child("clock")
        await at_rest()
        await stage.save(counter=newer(COUNTER))
        assert names(stage) == ["counter"]


async def test_what_is_broken_keeps_the_old_code_and_says_why(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    write(files)
    async with running(files, capsys) as stage:
        for text, error in (("1 / 0", "ZeroDivisionError: division by zero"), ("def f(:", "SyntaxError: invalid syntax")):
            said = await stage.save(counter=COUNTER + text)
            assert said[0] == "Traceback (most recent call last):" or said[0].startswith("  File")
            assert any('counter.py", line ' in line for line in said)
            assert not any("supervise/cli" in line for line in said)
            assert said[-1].startswith(f"counter.py can't be imported ({error}")
            assert said[-1].endswith("): the old code runs on")
            assert stage.reloader.look(hint=False) is None
            assert stage.said() == []  # nothing new
        assert await version(stage.app.find("counter")) == 1
        assert lives(stage) == {"counter": 1, "clock": 1}
        assert await stage.save(counter=newer(COUNTER)) == [
            "counter.py: restarted app/counter; 1 actor of unchanged code runs on"
        ]


@pytest.mark.parametrize(
    ("app", "why"),
    [
        ("", "'app:TREE': module 'app' has no 'TREE'"),
        ("TREE = 1", "'app:TREE': that is of type int"),
        ("from supervise import Supervisor\nTREE = Supervisor('app', 1)", "app.py can't be imported (InvalidSpec"),
    ],
)
async def test_a_module_without_a_tree_is_broken_too(
    files: Files, capsys: pytest.CaptureFixture[str], app: str, why: str
) -> None:
    write(files)
    async with running(files, capsys) as stage:
        old = files.there("app")
        said = await stage.save(app=app)
        assert said[-1].startswith(why)
        assert files.there("app") is old
        assert await stage.save(app=APP, counter=newer(COUNTER)) == [
            "counter.py: restarted app/counter; 1 actor of unchanged code runs on"
        ]


async def test_the_same_text_again_does_nothing(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    write(files)
    async with running(files, capsys) as stage:
        module = files.there("counter")
        assert await stage.save(counter=COUNTER) == []
        assert await stage.save(fresh="1 / 0") == []  # nobody imports it
        assert files.there("counter") is module


async def test_many_changes_are_one_reload(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    write(files)
    async with running(files, capsys) as stage:
        for number in range(3, 9):
            files.write(counter=newer(COUNTER, number), clock=newer(CLOCK, number))
        assert await stage.save() == [
            "clock.py, counter.py: restarted app/counter, app/clock; 0 actors of unchanged code run on"
        ]
        assert lives(stage) == {"counter": 2, "clock": 2}


async def test_a_function_that_makes_the_tree_is_called_again(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    text = """
        def make():
            from supervise import Supervisor, child
            from .parts import children
            return Supervisor("app", *children())
    """
    parts = "from supervise import child\nfrom .clock import Clock\ndef children():\n    return [child(Clock, name='clock')]\n"
    write(files, app=text, parts=parts)
    async with running(files, capsys, "$.app:make", factory=True) as stage:
        assert await stage.save(parts=parts.replace("]", ", child(Clock, name='second')]")) == [
            "parts.py: added app/second; 1 actor of unchanged code runs on"
        ]
        assert await stage.save(clock=newer(CLOCK)) == [
            "clock.py: restarted app/clock, app/second; 0 actors of unchanged code run on"
        ]


async def test_a_file_as_target_is_a_module_too(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    text = "from supervise import Supervisor, child\nfrom $.clock import Clock\n"
    text += "class Own(Clock):\n    pass\nTREE = Supervisor('app', child(Own))\n"
    write(files, logging=text)  # a name that another module has
    async with running(files, capsys, f"{files.file('logging')}:TREE") as stage:
        own = stage.app.find("own")
        assert await stage.save(logging=text.replace("pass", "VERSION = 5")) == [
            "logging.py: restarted app/own; 0 actors of unchanged code run on"
        ]
        assert await version(own) == 5
        await stage.save(clock=CLOCK + "\n    def more(self):\n        return 6\n")
        assert await own.call(lambda actor: actor.more()) == 6


@pytest.mark.parametrize("root", ["Supervisor('other', COUNTER, CLOCK)", "DynamicSupervisor('app')"])
async def test_another_root_is_another_tree(files: Files, capsys: pytest.CaptureFixture[str], root: str) -> None:
    write(files)
    async with running(files, capsys) as stage:
        text = APP.replace("import ", "import DynamicSupervisor, ", 1).replace('Supervisor("app", COUNTER, CLOCK)', root)
        assert await stage.save(app=text) == ["all anew"]


async def test_the_elder_is_up_before_the_younger_is_stopped(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    text = """
        from supervise import Supervisor, child
        from .counter import Counter
        ONE = Supervisor("one", child(Counter, name="a"), child(Counter, name="b"))
        TREE = Supervisor("app", ONE, child(Counter, name="c"))
    """
    write(files, app=text)
    async with running(files, capsys) as stage:
        stage.events.clear()
        await stage.save(counter=newer(COUNTER))
        told = [f"{type(event).__name__} {event.path.removeprefix('app/')}" for event in stage.events]
        each = [f"{what} {path}" for path in ("one/a", "one/b", "c") for what in ("Asked", "Stopped", "Started")]
        assert told == each
