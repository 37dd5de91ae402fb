"""What a person asks of a running tree: done, said with who asked, and never counted as a crash.

Tested: pause, resume, restart, stop, start; changes of restart type, backoff, limit and intensity; the `Asked` event of each,
before it is done; no decision and no restart counted; refusals, which say and change nothing more.
"""

from __future__ import annotations

from typing import Any

import pytest
from tenacity import wait_fixed

from supervise import (
    Address,
    ChildNotFound,
    ChildRunning,
    ChildState,
    ChildTemporary,
    DynamicSupervisor,
    Intensity,
    InvalidSpec,
    NotForDynamic,
    Restart,
    RunningSupervisor,
    Supervisor,
    SupervisorNotRunning,
    WouldDeadlock,
    child,
    current,
)
from supervise.events import Asked, Decided, Event, Started, Stopped, as_dict
from supervise.testing.virtual_time import at_rest
from tests.doubles import Scribe
from tests.members import Member, states

pytestmark = pytest.mark.anyio

SLOWLY = Restart.permanent(wait=wait_fixed(1000))


def story(events: list[Event]) -> list[str]:
    names: dict[type[Event], str] = {Started: "started", Stopped: "ended", Decided: "decided"}
    return [str(event) if isinstance(event, Asked) else f"{event.path} {names[type(event)]}" for event in events]


async def test_a_restart_is_said_first_keeps_what_waits_and_counts_nothing() -> None:
    events: list[Event] = []
    log: list[Any] = []
    below = Supervisor(
        "below", child(Scribe, log, name="a"), child(Scribe, name="b"), strategy="one_for_all", intensity=Intensity(0)
    )
    async with Supervisor("app", below) as app:
        app.subscribe(events.append)
        ada, scribe = app.operator("ada"), app.find("below/a")
        ada.pause("below/a")
        await scribe.send(Scribe.note, "waits")
        assert await ada.restart("below/a") is True
        await at_rest()
        assert log == []  # it is paused still
        ada.resume("below/a")
        await at_rest()
        assert log == ["waits"]
        assert app.supervisor("below").restarts == 0
        assert [c.incarnation for c in app.supervisor("below").children()] == [2, 1]
    assert story(events)[:5] == [
        "app/below/a: ada asks to pause it",
        "app/below/a: ada asks to restart it",
        "app/below/a ended",
        "app/below/a started",
        "app/below/a: ada asks to resume it",
    ]
    assert not [event for event in events if isinstance(event, Decided)]
    assert as_dict(events[0]) == {"event": "Asked", "path": "app/below/a", "who": "ada", "what": "pause it"}


async def test_a_stop_and_a_start() -> None:
    events: list[Event] = []
    async with Supervisor("app", child(Member, name="a"), intensity=Intensity(0)) as app:
        app.subscribe(events.append)
        ada = app.operator("ada")
        await ada.stop("a")
        assert states(app) == {"a": "stopped"}
        assert await ada.start("a") is True
        assert states(app) == {"a": "running"}
        with pytest.raises(ChildRunning):
            await ada.start("a")
    asked = [event.what for event in events if isinstance(event, Asked)]
    assert asked == ["stop it", "start it", "start it"]


async def test_a_supervisor_is_stopped_restarted_and_started_as_any_child() -> None:
    below = Supervisor("below", child(Member, name="a"))
    async with Supervisor("app", below, intensity=Intensity(0)) as app:
        ada = app.operator("ada")
        assert await ada.restart(below) is True
        await ada.stop("below")
        assert not app.supervisor("below").running
        await ada.start(below)
        assert (app.children()[0].incarnation, states(app)) == (3, {"below": "running"})


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
async def test_a_restart_touches_nobody_else_and_one_of_the_supervisor_all(strategy: Any) -> None:
    first = child(Member, name="a")
    below = Supervisor("below", first, child(Member, name="b"), strategy=strategy, intensity=Intensity(0))
    async with Supervisor("app", below, intensity=Intensity(0)) as app:
        await app.operator("ada").restart(first)
        assert [info.incarnation for info in app.supervisor(below).which_children()] == [2, 1]
        await app.operator("ada").restart("below")
        assert [info.incarnation for info in app.supervisor(below).which_children()] == [3, 2]


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
async def test_what_an_operator_stopped_comes_back_with_its_group_and_what_is_left_down_does_not(strategy: Any) -> None:
    limited = child(Member, name="limited", limit=Intensity(0))
    group = [child(Member, name="a"), child(Member, name="b"), limited, child(Member, name="left", quarantine=1)]
    async with Supervisor("app", *group, strategy=strategy) as app:
        await app.operator("ada").stop("b")
        for name in ("limited", "left"):
            await app.find(name).send(Member.crash)
            await at_rest()
        assert states(app) == {"a": "running", "b": "stopped", "limited": "stopped", "left": "stopped"}
        await app.find("a").send(Member.crash)
        await at_rest()
        assert states(app) == {"a": "running", "b": "running", "limited": "stopped", "left": "stopped"}


async def test_one_in_its_backoff_is_restarted_now() -> None:
    async with Supervisor("app", child(Member, name="a", restart=SLOWLY)) as app:
        await app.find("a").send(Member.crash)
        await at_rest()
        assert states(app) == {"a": "restarting"}
        await app.operator("ada").restart("a")
        await at_rest()
        assert (states(app), app.restarts) == ({"a": "running"}, 0)  # it was paced, so it wasn't counted


async def test_a_session_of_a_dynamic_supervisor_can_be_stopped_but_not_renewed() -> None:
    async with Supervisor("app", DynamicSupervisor("pool")) as app:
        await app.supervisor("pool").start(Member, name="m")
        ada = app.operator("ada")
        for ask in (ada.restart, ada.start):
            with pytest.raises(NotForDynamic):
                await ask("pool/m")
        await ada.stop("pool/m")
        assert app.supervisor("pool").children() == []


async def test_a_temporary_child_can_not_be_renewed() -> None:
    async with Supervisor("app", child(Member, name="a", restart="temporary")) as app:
        with pytest.raises(ChildTemporary, match="'a' is temporary"):
            await app.operator("ada").restart("a")
        assert states(app) == {"a": "running"}


async def test_a_changed_policy_holds_at_the_next_end_and_until_the_supervisor_is_restarted() -> None:
    events: list[Event] = []
    async with Supervisor("app", Supervisor("below", child(Member, name="a"))) as app:
        app.subscribe(events.append)
        ada = app.operator("ada")
        await ada.change("below/a", restart=SLOWLY)
        await app.find("below/a").send(Member.crash)
        await at_rest()
        assert states(app.supervisor("below")) == {"a": "restarting"}
        await ada.restart("below")
        await app.find("below/a").send(Member.crash)
        await at_rest()
        assert states(app.supervisor("below")) == {"a": "running"}
        await ada.change("below/a", restart="transient", limit=Intensity(0))
        assert app.supervisor("below").get_childspec("a").spec.restart == Restart.transient()
        await app.find("below/a").send(Member.crash)
        await at_rest()
        assert app.supervisor("below").get_childspec("a").state is ChildState.STOPPED
    asked = [event.what for event in events if isinstance(event, Asked)]
    assert asked[0] == f"change its restart to {SLOWLY}"
    assert asked[2] == "change its restart to transient and change its limit to 0 in 5 s"


async def test_a_changed_intensity_lets_more_crashes_pass() -> None:
    events: list[Event] = []
    async with Supervisor("app", child(Member, name="a"), intensity=Intensity(0)) as app:
        app.subscribe(events.append)
        assert app.explain("a").ends is not None
        await app.operator("ada").change_intensity(Intensity(2, per=60))
        await app.find("a").send(Member.crash)
        await at_rest()
        assert (states(app), app.restarts) == ({"a": "running"}, 1)
    assert str(events[0]) == "app: ada asks to change its intensity to 2 in 60 s"


@pytest.mark.parametrize(
    ("method", "arguments", "options", "error", "words"),
    [
        ("restart", ("z",), {}, ChildNotFound, "'z'"),
        ("change", ("a",), {}, InvalidSpec, "say what: restart="),
        ("change", ("a",), {"restart": "sometimes"}, InvalidSpec, "'permanent', 'transient' or 'temporary'"),
        ("change", ("a",), {"limit": 3}, InvalidSpec, r"limit=3 .*Intensity\(3, per="),
        ("change", ("by_address",), {"restart": "permanent"}, InvalidSpec, "make it transient"),
        ("change_intensity", (3,), {}, InvalidSpec, r"intensity=3 .*Intensity\(3, per="),
    ],
)
async def test_what_can_not_be_is_refused_and_not_said(
    method: str, arguments: tuple[Any, ...], options: dict[str, Any], error: type[Exception], words: str
) -> None:
    events: list[Event] = []
    async with Supervisor("app", child(Member, name="a")) as app:
        kept = await app.start(Member, name="by_address", lifetime="addresses")
        app.subscribe(events.append)
        with pytest.raises(error, match=words):
            await getattr(app.operator("ada"), method)(*arguments, **options)
        assert events == []
        del kept


async def test_a_supervisor_has_no_mailbox_to_pause() -> None:
    async with Supervisor("app", Supervisor("below", child(Member))) as app:
        with pytest.raises(InvalidSpec, match="name one of its actors"):
            app.operator("ada").pause("below")


@pytest.mark.parametrize("who", ["", "  ", None, 7])
async def test_somebody_has_to_ask(who: Any) -> None:
    async with Supervisor("app") as app:
        with pytest.raises(InvalidSpec, match="the name of who asks"):
            app.operator(who)


async def test_nothing_can_be_asked_of_a_tree_that_has_ended() -> None:
    async with Supervisor("app", child(Member, name="a")) as app:
        ada = app.operator("ada")
        await app.stop()
        with pytest.raises(SupervisorNotRunning):
            await ada.change_intensity(Intensity(1))
        with pytest.raises(SupervisorNotRunning):
            await ada.restart("a")


class Selfish:
    def __init__(self, app: list[RunningSupervisor]) -> None:
        self._app = app

    async def renew_itself(self) -> str:
        try:
            await self._app[0].operator("it").restart(current().name)
        except WouldDeadlock as error:
            return str(error)
        return "done"


async def test_an_actor_can_not_wait_for_its_own_restart() -> None:
    handle: list[RunningSupervisor] = []
    async with Supervisor("app", child(Selfish, handle)) as app:
        handle.append(app)
        selfish: Address[Selfish] = app.find("selfish")
        assert "can't wait for its own end" in await selfish.call(Selfish.renew_itself)


async def test_what_is_asked_of_a_supervisor_that_is_down_isnt_said() -> None:
    events: list[Event] = []
    below = Supervisor("below", child(Member, name="a"), intensity=Intensity(0), restart=SLOWLY)
    async with Supervisor("app", below) as app:
        ada = app.supervisor("below").operator("ada")
        await app.find("below/a").send(Member.crash)
        await at_rest()
        assert states(app) == {"below": "restarting"}
        app.subscribe(events.append)
        with pytest.raises(SupervisorNotRunning):
            await ada.change_intensity(Intensity(1))
        assert events == []
