"""Where a tree does otherwise than Erlang/OTP, row by row of the guide's page on it.

Each row has one test, which is named after the row's first cell and shows our side. What OTP does is recorded, as far as a
supervisor decides it: the docstring names the scenario of `tests/conformance`, where real OTP's steps are replayed.
"""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any, Final, NoReturn

import anyio
import pytest
from tenacity import retry_if_not_exception_type, wait_fixed

from supervise import (
    ActorCrashed,
    ActorStopped,
    Address,
    CallCycle,
    CallTimeout,
    ChildUnstoppable,
    Down,
    DynamicSupervisor,
    GaveUp,
    Intensity,
    MailboxClosed,
    Restart,
    StartFailed,
    Supervisor,
    TooManyChildren,
    child,
    concurrent,
    current,
    pool,
)
from supervise.events import Asked, Event, Overran, Starting
from supervise.testing.virtual_time import at_rest
from tests.cli.reload.files import files_in
from tests.cli.reload.stage import running
from tests.conformance.scenario import given_files, load
from tests.doubles import Boom, Gate, Outcomes, Scribe, fill
from tests.members import Member, states

pytestmark = pytest.mark.anyio
PAGE: Final = (Path(__file__).parents[2] / "examples" / "guide" / "differences.md").read_text(encoding="utf-8")


def life(_: object) -> int:
    return current().incarnation


# -- messages -----------------------------------------------------------------------------------------------------------------


async def test_the_mailbox() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log, name="a")) as app:
        a: Address[Scribe] = app.find("a")
        a.pause()
        await a.send(Scribe.crash)
        await a.send(Scribe.note, "waited")
        a.resume()
        await at_rest()
        assert log == ["waited"]
        assert await a.call(life) == 2, "the same address"


async def test_its_size() -> None:
    async with Supervisor("app", child(Scribe, name="a")) as app:
        gate = await fill(app.find("a"), *range(1000))
        with anyio.move_on_after(60) as waits:
            await app.find("a").send(Scribe.note, "one more")
        assert waits.cancelled_caught
        assert len(app.find("a")) == 1000
        gate.open()
        await app.find("a").send(Scribe.note, "one more")


async def test_which_message_is_next() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log, name="a", lanes=("urgent", "normal"))) as app:
        gate = await fill(app.find("a"), 1, 2)
        await app.find("a").options(lane="urgent").send(Scribe.note, "first")
        gate.open()
        await at_rest()
        assert log == ["first", 1, 2]


async def test_what_a_message_holds() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log, name="a")) as app:
        sent = ["an object"]
        await app.find("a").call(Scribe.note, sent)
        assert log[0] is sent


async def test_the_message_in_hand_at_a_crash() -> None:
    attempts: list[int] = []

    def crash_at_first(_: object) -> None:
        attempts.append(current().attempt)
        if len(attempts) == 1:
            raise Boom("once")

    tree = Supervisor("app", child(Scribe, name="a"), child(Scribe, name="again", redeliver=1))
    async with tree as app:
        with pytest.raises(ActorCrashed) as crashed:
            await app.find("a").call(Scribe.crash)
        assert isinstance(crashed.value.__cause__, Boom)
        await app.find("a").send(Scribe.crash)
        await at_rest()
        assert app.find("a").account().dead_lettered == 1
        await app.find("again").call(crash_at_first)
        assert attempts == [1, 2]


async def test_queued_messages_at_a_stop() -> None:
    """OTP: `start_stop/order`, whose stop says nothing of messages."""
    logs: dict[str, list[Any]] = {"a": [], "b": []}
    tree = Supervisor("app", child(Scribe, logs["a"], name="a"), child(Scribe, logs["b"], name="b", drain=True))
    async with tree as app:
        for name in "ab":
            app.find(name).pause()
            await app.find(name).send(Scribe.note, "waits")
        for name in "ab":
            app.find(name).resume()
            await app.terminate_child(name)
        assert [app.find(name).account().dead_lettered for name in "ab"] == [1, 0]
    assert logs == {"a": [], "b": ["waits"]}


async def test_a_message_to_who_is_gone() -> None:
    async with Supervisor("app", child(Scribe, name="a"), DynamicSupervisor("below")) as app:
        gone = await app.supervisor("below").start(Scribe)
        await app.supervisor("below").terminate_child(gone)
        await app.terminate_child("a")
        with pytest.raises(ActorStopped, match=r"app/a is stopped.*restart_child\(\)"):
            await app.find("a").send(Scribe.note, 1)
        with pytest.raises(MailboxClosed):
            await gone.send(Scribe.note, 1)


async def test_how_long_a_call_waits() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log, name="a")) as app, anyio.create_task_group() as group:
        outcomes, gate = Outcomes(group), await fill(app.find("a"))
        await outcomes.watch("no deadline", app.find("a").call(Scribe.note, "patient"))
        with pytest.raises(CallTimeout, match="within 5 s"):
            await app.find("a").options(timeout=5).call(Scribe.note, "expired")
        await anyio.sleep(3600)
        assert not outcomes.of
        gate.open()
        await at_rest()
        assert (outcomes.of["no deadline"], log) == (1, ["patient"]), "what had expired was skipped"


async def test_a_call_that_waits_for_itself() -> None:
    class Asks:
        async def ask(self, *route: Address[Any]) -> None:
            await route[0].call(Asks.ask, *route[1:])

    async with Supervisor("app", child(Asks, name="a"), child(Asks, name="b")) as app:
        a, b = app.find("a"), app.find("b")
        with pytest.raises(ActorCrashed) as crashed:
            await a.call(Asks.ask, b, a)
        error: BaseException | None = crashed.value
        while isinstance(error, ActorCrashed):
            error = error.__cause__
        assert isinstance(error, CallCycle)
        assert anyio.current_time() == 0, "at once"


async def test_handlers_beside_each_other() -> None:
    class Waits:
        @concurrent(limit=2)
        async def wait(self) -> None:
            await anyio.sleep(1)

    async with Supervisor("app", child(Waits, name="a")) as app, anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(app.find("a").call, Waits.wait)
        await anyio.sleep(1.5)
        assert app.find("a").account().handled == 2, "two of the four"


async def test_pools() -> None:
    log: list[str] = []

    class Worker:
        async def note(self) -> None:
            await anyio.sleep(1)
            log.append(current().path)

    workers = pool(Worker, size=2)
    async with Supervisor("app", workers) as app:
        for _ in range(4):
            await app.find(workers).send(Worker.note)
        await anyio.sleep(2.5)
        assert len(log) == 4
        assert len({*log}) == 2


# -- restarts -----------------------------------------------------------------------------------------------------------------


async def test_the_state_of_the_next_life() -> None:
    """OTP: `one_for_one/siblings-untouched`; a restart calls the same start function with the same arguments."""

    class Keeps(Scribe):
        def __init__(self) -> None:
            super().__init__()
            last = current().last_checkpoint
            self.known = None if last is None else last.value

        def learn(self, value: int) -> None:
            current().checkpoint(value)

        def tell(self) -> int | None:
            return self.known

    async with Supervisor("app", child(Keeps, name="a")) as app:
        assert await app.find("a").call(Keeps.tell) is None
        await app.find("a").call(Keeps.learn, 7)
        await app.find("a").send(Scribe.crash)
        assert await app.find("a").call(Keeps.tell) == 7


async def test_default_intensity() -> None:
    """OTP: `defaults/flags`, where the second crash within 5 s is one too many."""
    with pytest.raises(GaveUp, match="more than 3 restarts within 5 s"):
        async with Supervisor("app", child(Member, name="a")) as app:
            for _ in range(3):
                await app.find("a").send(Member.crash)
            assert await app.find("a").call(Member.life) == 4
            await app.find("a").send(Member.crash)
            await anyio.sleep_forever()


async def test_the_window_of_the_intensity() -> None:
    """OTP: `window/within-window-dies`. It counts whole seconds, so no scenario has ends between 3 s and 4 s apart."""
    for apart, left in ((3.0, "gives up"), (3.01, "lives")):
        try:
            async with Supervisor("app", child(Member, name="a"), intensity=Intensity(1, per=3)) as app:
                await app.find("a").send(Member.crash)
                await anyio.sleep(apart)
                await app.find("a").send(Member.crash)
                await anyio.sleep(60)
                assert left == "lives"
        except GaveUp:
            assert left == "gives up"


async def test_a_supervisor_that_gave_up_ends_with() -> None:
    """OTP: `nested/gives-up-transient`, where it stays down."""
    for given, becomes in (({}, "running"), ({"give_up_as": "shutdown"}, "stopped")):
        options: dict[str, Any] = given
        below = Supervisor("below", child(Member, name="a"), intensity=Intensity(0), restart="transient", **options)
        async with Supervisor("app", below) as app:
            await app.find("below/a").send(Member.crash)
            await at_rest()
            assert states(app) == {"below": becomes}


async def test_a_supervisor_that_is_restarted() -> None:
    """OTP: `nested/escalates-to-root` and `nested/admin-state-lost`: below it all processes are new ones."""
    log: list[Any] = []
    below = Supervisor("below", child(Scribe, log, name="a"), child(Scribe, name="b"), intensity=Intensity(0))
    async with Supervisor("app", below) as app:
        a = app.find("below/a")
        a.pause()
        await a.send(Scribe.note, "waited")
        await app.find("below/b").send(Scribe.crash)
        await at_rest()
        a.resume()
        assert await a.call(life) == 2
        assert log == ["waited"]


async def test_a_restart_comes() -> None:
    """OTP: `crash_loop/never-settles`, at once each time."""
    for restart, seconds in ((Restart.permanent(), 0), (Restart.permanent(wait=wait_fixed(7)), 7)):
        async with Supervisor("app", child(Member, name="a", restart=restart)) as app:
            began = anyio.current_time()
            await app.find("a").send(Member.crash)
            assert await app.find("a").call(Member.life) == 2
            assert anyio.current_time() - began == pytest.approx(seconds)


async def test_a_restart_that_was_put_off() -> None:
    """OTP: `intensity/exact-0`. Nothing is put off there, so each one counts."""
    for counted in (False, True):
        restart = Restart.permanent(wait=wait_fixed(1), counted=counted)
        try:
            async with Supervisor("app", child(Member, name="a", restart=restart), intensity=Intensity(0)) as app:
                for _ in range(20):
                    await app.find("a").send(Member.crash)
                assert await app.find("a").call(Member.life) == 21
                assert not counted
        except GaveUp:
            assert counted


async def test_a_restart_that_fails_to_start() -> None:
    """OTP: `init_failure/retry-2` and `intensity/failed-attempts-exceed`: at once, and each try counts."""
    broken: set[str] = set()
    log: list[str] = []
    member = child(Member, log, 0.0, 0.0, broken, name="a", restart=Restart.permanent(wait=wait_fixed(10)))
    async with Supervisor("app", member, intensity=Intensity(0)) as app:
        broken.add("a")
        await app.find("a").send(Member.crash)
        await anyio.sleep(35)
        assert log == ["+a", "-a", "a fails", "a fails", "a fails"], "after 10, 20 and 30 s"
        broken.clear()
        assert await app.find("a").call(Member.see) == 1


async def test_who_has_a_limit() -> None:
    """OTP: `intensity/exact-1`, one for all children; `intensity/nested-own-counter`, one for each supervisor."""
    tree = Supervisor(
        "app", child(Member, name="a", limit=Intensity(1, per=60)), child(Member, name="b"), intensity=Intensity(0)
    )
    async with tree as app:
        for _ in range(2):
            await app.find("a").send(Member.crash)
            await at_rest()
        assert states(app) == {"a": "stopped", "b": "running"}


async def test_a_child_that_always_crashes_alike() -> None:
    """OTP: `intensity/exact-2`, which ends the supervisor."""
    async with Supervisor("app", child(Member, name="a", quarantine=3), child(Member, name="b"), intensity=Intensity(1)) as app:
        for _ in range(3):
            await app.find("a").send(Member.crash)
            await at_rest()
        assert states(app) == {"a": "stopped", "b": "running"}


async def test_whom_a_group_restart_brings_back() -> None:
    """OTP: `one_for_all/transient-done-is-revived`, and whoever else is down."""
    tree = Supervisor(
        "app",
        child(Member, name="finished", restart="transient"),
        child(Member, name="spent", limit=Intensity(0)),
        child(Member, name="in quarantine", quarantine=1),
        child(Member, name="crashes"),
        strategy="one_for_all",
    )
    async with tree as app:
        await app.find("finished").send(Member.finish)
        for name in ("spent", "in quarantine", "crashes"):
            await app.find(name).send(Member.crash)
            await at_rest()
        assert states(app) == {"finished": "running", "spent": "stopped", "in quarantine": "stopped", "crashes": "running"}


async def test_whether_an_error_is_a_crash() -> None:
    """OTP: `restart_types/transient-crash`: an error that leaves a callback is one, whatever it is."""
    lost = retry_if_not_exception_type(ConnectionError)
    tree = Supervisor(
        "app",
        child(Scribe, name="expects", expects=(Boom,)),
        child(Scribe, name="replies", on_error="reply"),
        child(Scribe, name="tells apart", restart=Restart.transient(when=retry_if_not_exception_type(Boom))),
        child(Scribe, name="only a lost connection", expects=lost),
    )
    async with tree as app:
        for name in ("expects", "replies", "only a lost connection"):
            with pytest.raises(Boom):
                await app.find(name).call(Scribe.crash)
            assert await app.find(name).call(life) == 1
        await app.find("tells apart").send(Scribe.crash)
        await at_rest()
        assert states(app)["tells apart"] == "stopped"


async def test_a_restart_by_hand() -> None:
    """OTP: `admin/restart-keeps-place`: terminate_child, then restart_child."""
    events: list[Event] = []
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log, name="a"), intensity=Intensity(0), listener=events.append) as app:
        a = app.find("a")
        a.pause()
        await a.send(Scribe.note, "waits")
        await app.operator("ada").restart("a")
        a.resume()
        assert await a.call(life) == 2
        assert log == ["waits"]
        assert [(event.who, event.what) for event in events if isinstance(event, Asked)] == [("ada", "restart it")]
        await app.operator("ada").change_intensity(Intensity(1))
        await a.send(Scribe.crash)
        assert await a.call(life) == 3


# -- starts and stops ---------------------------------------------------------------------------------------------------------


async def test_a_first_start_that_fails() -> None:
    """OTP: `start_stop/init-fails-middle`, which ends the supervisor's own start."""
    tries: list[float] = []

    def late() -> Scribe:
        tries.append(anyio.current_time())
        if len(tries) == 1:
            raise Boom("not yet")
        return Scribe()

    with pytest.raises(StartFailed):
        async with Supervisor("app", child(late)):
            raise AssertionError("it runs")
    tries.clear()
    again = child(late, name="a", retry_start=True, restart=Restart.permanent(wait=wait_fixed(2)))
    async with Supervisor("app", again) as app:
        assert states(app) == {"a": "running"}
        assert tries[1] - tries[0] == pytest.approx(2)


async def test_a_start_that_takes_long() -> None:
    """OTP: `gated/start-child-hangs`, where all wait."""
    events: list[Event] = []
    async with Supervisor("app", child(Member, None, 11.0, name="slow"), listener=events.append):
        assert [event.path for event in events if isinstance(event, Starting)] == ["app/slow", "app/slow"], "at 5 s and at 10 s"
    with pytest.raises(StartFailed, match="within start_within=3 s"):
        async with Supervisor("app", child(Member, None, 11.0, name="slow", start_within=3)):
            raise AssertionError("it runs")


async def test_a_stop_during_a_hanging_start() -> None:
    """OTP waits for the start. Whoever records more: `tests/conformance/skips.py` leaves out scenarios of this kind."""
    log: list[str] = []
    with anyio.move_on_after(1):
        async with Supervisor("app", child(Member, log, name="a"), child(Member, None, 3600.0, name="hangs")):
            raise AssertionError("it runs")
    assert anyio.current_time() == pytest.approx(1)
    assert log == ["+a", "-a"]


async def test_a_look_while_a_child_starts() -> None:
    """OTP: `gated/start-child-hangs`, where another call waits."""
    async with Supervisor("app", child(Member, name="a")) as app, anyio.create_task_group() as group:
        group.start_soon(app.start_child, child(Member, None, 3600.0, name="slow"))
        await at_rest()
        assert states(app) == {"a": "running", "slow": "starting"}
        assert anyio.current_time() == 0
        group.cancel_scope.cancel()


async def test_time_to_stop() -> None:
    """OTP: `shutdown/sequential-timeouts`: each child has its own."""
    members = [child(Member, None, 0.0, 3.0, name=name) for name in "abc"]
    began = anyio.current_time()
    async with Supervisor("app", *members, shutdown_budget=4.0):
        pass
    assert anyio.current_time() - began == pytest.approx(4)


async def test_a_kill() -> None:
    """OTP: `shutdown/brutal-ignores-cleanup`, which nothing withstands."""
    events: list[Event] = []
    gate = Gate()

    async def refuse(_: object) -> None:
        with anyio.CancelScope(shield=True):
            await gate.walk_through()

    async with Supervisor("app", child(Scribe, name="a", stop_within="brutal_kill"), listener=events.append) as app:
        await app.find("a").send(refuse)
        await at_rest()
        with pytest.raises(ChildUnstoppable):
            await app.terminate_child("a")
        assert [event.path for event in events if isinstance(event, Overran)] == ["app/a"]
        gate.open()


async def test_children_of_a_dynamic_supervisor() -> None:
    """OTP: `simple_one_for_one/permanent-crash`: as their spec says, and that is permanent unless it says otherwise."""
    async with DynamicSupervisor("app", max_children=1) as app:
        session = await app.start(Scribe)
        with pytest.raises(TooManyChildren):
            await app.start(Scribe)
        await session.send(Scribe.crash)
        await at_rest()
        assert states(app) == {}


# -- around a process ------------------------------------------------------------------------------------------------------


async def test_a_name() -> None:
    """OTP: `nested/escalates-to-root`; the paths there are the recorder's, as a process has a pid, and a name if registered."""
    below = Supervisor("below", child(Scribe, name="a"), intensity=Intensity(0))
    async with Supervisor("app", below) as app:
        a = app.find("below/a")
        await a.send(Scribe.crash)
        await at_rest()
        assert app.find("below/a") == a
        assert await a.call(life) == 2


async def test_a_monitor() -> None:
    told: list[str] = []

    class Watches:
        def begin(self, other: Address[Any]) -> None:
            current().watch(other, Watches.down)

        def down(self, down: Down) -> None:
            told.append(f"{down.incarnation}: {down.reason.kind.value}")

    async with Supervisor("app", child(Scribe, name="a"), child(Watches, name="w"), child(Watches, name="late")) as app:
        await app.find("w").call(Watches.begin, app.find("a"))
        await app.find("a").send(Scribe.crash)
        await at_rest()
        await app.terminate_child("a")
        await at_rest()
        assert told == ["1: crashed", "2: shutdown"]
        await app.find("late").call(Watches.begin, app.find("a"))
        await at_rest()
        assert told[2:] == ["2: shutdown"], "why it ended before anybody asked"


async def test_a_pause() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log, name="a")) as app:
        app.find("a").pause()
        await app.find("a").send(Scribe.note, "held")
        app.kill("a")
        await at_rest()
        assert app.get_childspec("a").incarnation == 2
        assert log == []
        app.find("a").resume()
        await at_rest()
        assert log == ["held"]


async def test_new_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "class Clock:\n    VERSION = 1\n    def version(self):\n        return self.VERSION\n"
    app = "from supervise import Supervisor, child\nfrom .clock import Clock\nTREE = Supervisor('app', child(Clock))\n"
    with files_in(tmp_path) as files:
        files.write(__init__="", clock=text, app=app)
        async with running(files, capsys) as stage:
            clock = stage.app.find("clock")
            clock.pause()
            async with anyio.create_task_group() as group:
                outcomes = Outcomes(group)
                await outcomes.watch("waits", clock.call(files.there("clock").Clock.version))
                await stage.save(clock=text.replace("VERSION = 1", "VERSION = 2"))
                clock.resume()
                await at_rest()
                assert outcomes.of["waits"] == 2, "it waited for the old class, and the new one answers"
            assert await clock.call(life) == 2, "in a life of its own"


async def test_preemption() -> None:
    log: list[Any] = []

    async with Supervisor("app", child(Scribe, name="busy"), child(Scribe, log, name="other")) as app:
        busy, other = app.find("busy"), app.find("other")

        def block(_: object) -> tuple[int, list[Any]]:
            other.try_send(Scribe.note, "waits for the thread")
            for _ in range(100_000):
                pass
            return len(other), [*log]

        assert await busy.call(block) == (1, [])
        await at_rest()
        assert log == ["waits for the thread"]


async def test_links() -> None:
    class Parent:
        def __init__(self) -> None:
            self.kept: Any = None

        async def start(self) -> Address[Scribe]:
            return await current().supervisor().start(Scribe, name="child")

        def crash(self) -> NoReturn:
            raise Boom("the parent")

    async with Supervisor("app", child(Parent, name="parent")) as app:
        scribe = await app.find("parent").call(Parent.start)
        await app.find("parent").send(Parent.crash)
        await at_rest()
        assert [info.incarnation for info in app.children()] == [2, 1]
        assert await scribe.call(life) == 1


async def test_nodes() -> None:
    async with Supervisor("app", child(Scribe, name="a")) as app:
        with pytest.raises(TypeError, match="can't be pickled: send its path, 'app/a'"):
            pickle.dumps(app.find("a"))


# -- the page and these tests are one -----------------------------------------------------------------------------------------

ROWS: Final = re.findall(r"^\| ([^|]+?) \| [^|]+ \| [^|]+ \|$", PAGE, re.MULTILINE)
TESTS: Final = {name: test for name, test in globals().items() if name.startswith("test_")}


def test_rows_of_the_page_and_tests_are_the_same_in_the_same_order() -> None:
    assert [f"test_{re.sub(r'[^a-z]+', '_', row.lower())}" for row in ROWS if row != "---"] == [*TESTS]


def test_each_scenario_that_a_docstring_names_is_recorded() -> None:
    recorded = {scenario.id for path in given_files() for scenario in load(path)}
    named = {id for test in TESTS.values() for id in re.findall(r"`(\w+/[\w-]+)`", test.__doc__ or "")}
    assert len(named) > 10
    assert named <= recorded
