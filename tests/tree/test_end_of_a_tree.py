"""How a tree ends, and what leaves `async with`.

Tested: DESIGN's list (body leaves, raises, is cancelled; give-up; auto-shutdown; stop_tree; wait), SEMANTICS 1, 2, 7, 8, 10,
42: entering twice, a start that fails, KeyboardInterrupt and SystemExit, a description that is used again.
"""

from __future__ import annotations

import logging

import anyio
import pytest

from supervise import (
    ActorCrashed,
    Address,
    ExitKind,
    GaveUp,
    Intensity,
    MailboxClosed,
    Restart,
    StartFailed,
    Supervisor,
    child,
    current,
)
from supervise.tree import node
from supervise_strategies import Report

pytestmark = pytest.mark.anyio


class Worker:
    def __init__(self, log: list[str] | None = None, name: str = "worker", stop_takes: float = 0.0) -> None:
        self.log = log if log is not None else []
        self.name = name
        self.stop_takes = stop_takes

    async def __aenter__(self) -> Worker:
        self.log.append(f"start {self.name}")
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await anyio.sleep(self.stop_takes)
            self.log.append(f"stop {self.name}")
        except BaseException:
            self.log.append(f"cancelled {self.name}")
            raise

    async def ping(self) -> str:
        return "pong"

    async def crash(self) -> None:
        raise ValueError("crash")

    async def quit(self) -> None:
        current().stop()

    async def quit_tree(self) -> None:
        current().stop_tree("enough")

    async def raise_it(self, error: BaseException) -> None:
        raise error


async def test_leaving_the_body_stops_the_tree_in_reverse_order() -> None:
    log: list[str] = []
    async with Supervisor("app", child(Worker, log, "a", name="a"), child(Worker, log, "b", name="b")) as app:
        assert app.ended is None
    assert log == ["start a", "start b", "stop b", "stop a"]
    assert app.ended is not None
    assert app.ended.reason.kind is ExitKind.SHUTDOWN


async def test_a_body_s_exception_stops_the_tree_and_leaves_unchanged() -> None:
    log: list[str] = []
    error = ValueError("the body's own")
    with pytest.raises(ValueError, match="the body's own") as caught:
        async with Supervisor("app", child(Worker, log)):
            raise error
    assert caught.value is error
    assert caught.value.__context__ is None
    assert log == ["start worker", "stop worker"]


async def test_at_give_up_the_body_is_cancelled_and_a_bare_gave_up_leaves_with_the_chain() -> None:
    reached = False
    with pytest.raises(GaveUp) as caught:
        async with Supervisor("app", child(Worker, name="w"), intensity=Intensity(1)) as app:
            await app.find("w").send(Worker.crash)
            await app.find("w").send(Worker.crash)
            await anyio.sleep_forever()
            reached = True
    assert not reached
    assert [(c.path, c.decision.incarnation, c.decision.action.value) for c in caught.value.crashes] == [
        ("app/w", 1, "restart"),
        ("app/w", 2, "give_up"),
    ]
    assert caught.value.__context__ is None
    assert "ValueError: crash" in str(caught.value)


async def test_the_body_s_own_error_leaves_as_the_context_of_gave_up() -> None:
    with pytest.raises(GaveUp) as caught:
        async with Supervisor("app", child(Worker, name="w"), intensity=Intensity(0)) as app:
            await app.find("w").send(Worker.crash)
            try:
                await anyio.sleep_forever()
            finally:
                raise KeyError("mine")
    assert isinstance(caught.value.__context__, KeyError)


async def test_a_give_up_chain_holds_what_happened_in_the_supervisor_below() -> None:
    below = Supervisor("below", child(Worker, name="w"), intensity=Intensity(0))
    with pytest.raises(GaveUp) as caught:
        async with Supervisor("app", below, intensity=Intensity(0)) as app:
            await app.find("below/w").send(Worker.crash)
            await app.wait()
    assert [c.path for c in caught.value.crashes] == ["app/below/w", "app/below"]


async def test_auto_shutdown_cancels_the_body_and_leaves_silently() -> None:
    reached = False
    key = child(Worker, name="w", restart=Restart.transient(), significant=True)
    async with Supervisor("app", key, auto_shutdown="any_significant") as app:
        await app.find(key).send(Worker.quit)
        await anyio.sleep_forever()
        reached = True
    assert not reached
    assert app.ended is not None
    assert app.ended.cause.value == "auto_shutdown"


async def test_an_actor_can_stop_the_whole_tree_and_ended_says_why() -> None:
    async with Supervisor("app", Supervisor("below", child(Worker, name="w"))) as app:
        await app.find("below/w").send(Worker.quit_tree)
        await app.wait()
        await anyio.sleep_forever()
    assert app.ended is not None
    assert app.ended.reason.detail == "enough"


async def test_stopping_from_the_body_does_not_cancel_the_body() -> None:
    async with Supervisor("app", child(Worker, name="w")) as app:
        address = app.find("w")
        await app.stop()
        await anyio.sleep(1)
        with pytest.raises(MailboxClosed):
            await address.call(Worker.ping)
        await app.stop()


async def test_a_cancel_from_outside_stops_the_tree_in_order_under_a_shield() -> None:
    log: list[str] = []
    with anyio.move_on_after(1) as scope:
        async with Supervisor("app", child(Worker, log, "a", 1.0), child(Worker, log, "b", 1.0, name="b")):
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert log == ["start a", "start b", "stop b", "stop a"]
    assert anyio.current_time() == pytest.approx(scope.deadline + 2.0)


@pytest.mark.parametrize(("budget", "within"), [(None, 5.0), (2.0, 2.0), (60.0, 5.0)])
async def test_the_shield_lasts_five_seconds_or_the_budget_and_then_all_that_lives_is_cancelled(
    budget: float | None, within: float
) -> None:
    log: list[str] = []
    with anyio.move_on_after(1) as scope:
        worker = child(Worker, log, "a", 99.0, stop_within=99.0)
        async with Supervisor("app", worker, intensity=Intensity(1, per=1000), shutdown_budget=budget):
            await anyio.sleep_forever()
    assert log == ["start a", "cancelled a"]
    assert anyio.current_time() == pytest.approx(scope.deadline + within)


async def test_a_cancel_during_the_orderly_stop_shortens_it_and_leaves() -> None:
    log: list[str] = []
    with anyio.move_on_after(1) as scope:
        worker = child(Worker, log, "a", 99.0, stop_within=99.0)
        async with Supervisor("app", worker, intensity=Intensity(1, per=1000)):
            pass
    assert scope.cancelled_caught
    assert log == ["start a", "cancelled a"]
    assert anyio.current_time() == pytest.approx(scope.deadline + 5.0)


async def test_a_cancel_during_the_start_leaves_nothing_behind() -> None:
    log: list[str] = []

    class Hanging(Worker):
        async def __aenter__(self) -> Worker:
            await anyio.sleep_forever()
            return self

    with anyio.move_on_after(1) as scope:
        async with Supervisor("app", child(Worker, log, "a"), child(Hanging)):
            raise AssertionError("it never started")
    assert scope.cancelled_caught
    assert log == ["start a", "stop a"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
async def test_what_ends_a_program_passes_up_from_a_handler_bare_after_an_orderly_stop(error: BaseException) -> None:
    log: list[str] = []
    with pytest.raises(type(error)) as caught:
        async with Supervisor("app", child(Worker, log, "a", name="a"), child(Worker, log, "b", name="b")) as app:
            await app.find("a").send(Worker.raise_it, error)
            await anyio.sleep_forever()
    assert caught.value is error
    assert log == ["start a", "start b", "stop a", "stop b"]


async def test_a_start_that_fails_stops_the_elders_and_raises_the_cause() -> None:
    log: list[str] = []

    def broken() -> Worker:
        raise OSError("no device")

    with pytest.raises(StartFailed, match="no device") as caught:
        async with Supervisor("app", child(Worker, log), child(broken), child(Worker, log, "late", name="late")):
            raise AssertionError("it never started")
    assert isinstance(caught.value.__cause__, OSError)
    assert log == ["start worker", "stop worker"]


async def test_entering_a_supervisor_that_runs_raises_and_the_description_can_be_used_again() -> None:
    key = child(Worker, name="w")
    tree = Supervisor("app", key)
    found: list[Address[Worker]] = []
    async with tree as app:
        first = app.find(key)
        found.append(first)
        with pytest.raises(RuntimeError, match="runs already"):
            async with tree:
                pass
        assert await first.call(Worker.ping) == "pong"
    async with tree as app:
        assert await app.find("w").call(Worker.ping) == "pong"
        with pytest.raises(MailboxClosed):
            await found[0].call(Worker.ping)


async def test_a_transient_supervisor_that_gave_up_is_restarted_unless_told_to_do_as_otp() -> None:
    """SEMANTICS 2: it gave up, which is no orderly end."""
    for as_, children in (("gave_up", 1), ("shutdown", 0)):
        below = Supervisor(
            "below",
            child(Worker, name="w"),
            intensity=Intensity(0),
            restart="transient",
            give_up_as=as_,  # type: ignore[arg-type]
        )
        async with Supervisor("app", below) as app:
            with pytest.raises(ActorCrashed):
                await app.find("below/w").call(Worker.crash)
            await anyio.sleep(1)
            assert app.count_children().active == children


async def test_a_failure_of_the_library_itself_cancels_the_tree_and_leaves_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Swallowed in some actor's task it would leave a tree that hangs, and nobody would know."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    log: list[str] = []
    with pytest.raises(ZeroDivisionError):
        async with Supervisor("app", child(Worker, log, "a", name="a"), child(Worker, log, "b", name="b")) as app:
            monkeypatch.setitem(node._OBEY, Report, broken)
            await app.find("a").send(Worker.crash)
            await anyio.sleep_forever()
    assert "cancelled b" in log or "stop b" in log
    critical = [record.getMessage() for record in caplog.records if record.levelno == logging.CRITICAL]
    assert critical == ["app: a bug in supervise: ZeroDivisionError: a bug; the tree is cancelled"]
