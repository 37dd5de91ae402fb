"""What a crash is, what happens in which order, and what becomes of what was in hand.

Tested:
- SEMANTICS 14: no further message to the old instance; nursery cancelled and awaited; exit hook; in hand settled; decision
- SEMANTICS 15: what a crash is: handlers, nursery tasks, factories, hooks
- SEMANTICS 16, without redeliver: in hand, a call raises ActorCrashed with the cause, a send is a dead letter; the queue stays
"""

from __future__ import annotations

from typing import Any, Self

import anyio
import pytest

from supervise import ActorCrashed, ActorStopped, Address, ChildStartFailed, Intensity, Supervisor, child, current
from supervise.testing import virtual_time
from tests.doubles import Boom, Gate, Outcomes, Scribe


class Diary(Scribe):
    """Writes its own life down."""

    async def __aenter__(self) -> Self:
        self.log.append(f"enter {current().incarnation}")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        self.log.append(f"exit {current().incarnation} {kind.__name__ if kind else None}")
        await anyio.sleep(1)
        self.log.append(f"gone {current().incarnation}")

    async def begin(self) -> None:
        current().nursery.start_soon(self._linger)

    async def _linger(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                self.log.append("nursery cancelled")
                await anyio.sleep(1)
                self.log.append("nursery gone")


@pytest.mark.anyio
async def test_a_crash_goes_through_its_steps_in_order() -> None:
    log: list[Any] = []

    def listen(event: object) -> None:
        log.append(type(event).__name__)

    async def call(address: Address[Diary]) -> None:
        with pytest.raises(ActorCrashed):
            await address.call(Scribe.crash)
        log.append("caller told")

    def make() -> Diary:
        log.append(f"make {current().incarnation}")
        return Diary(log)

    async with Supervisor("app", child(make, name="diary"), listener=listen) as app:
        diary: Address[Diary] = app.find("diary")
        await diary.call(Diary.begin)
        gate = Gate()
        await diary.send(Scribe.hold, gate)
        log.clear()
        async with anyio.create_task_group() as group:
            group.start_soon(call, diary)
            await virtual_time.at_rest()
            await diary.send(Scribe.note, "queued")
            gate.open()
        await virtual_time.at_rest()
        told = log.index("caller told")
        assert log[:told] + log[told + 1 :] == [
            "nursery cancelled",
            "nursery gone",
            "exit 1 Boom",
            "gone 1",
            "Stopped",
            "Decided",
            "make 2",
            "enter 2",
            "Started",
            "queued",
        ]
        assert told > log.index("gone 1")


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["crash", "kill", "stop"])
async def test_a_plain_actors_nursery_is_awaited_before_the_next_factory_runs(how: str) -> None:
    log: list[Any] = []

    def make() -> Scribe:
        log.append(f"make {current().incarnation}")
        return Scribe(log)

    async def linger() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.5)
                log.append(f"gone {current().incarnation}")

    def begin(_: Scribe) -> None:
        current().nursery.start_soon(linger)

    def stop(_: Scribe) -> None:
        current().stop()

    async with Supervisor("app", child(make, name="scribe")) as app:
        scribe = app.find("scribe")
        await scribe.call(begin)
        await virtual_time.at_rest()
        if how == "kill":
            app.kill("scribe")
        else:
            await scribe.send(stop if how == "stop" else Scribe.crash)
        await scribe.send(Scribe.note, "queued")
        await anyio.sleep(1)
        assert log == ["make 1", "gone 1", "make 2", "queued"]


@pytest.mark.anyio
async def test_the_next_message_of_a_caller_that_was_told_reaches_the_new_instance() -> None:
    lives: list[int] = []

    async def call_twice(address: Address[Scribe]) -> None:
        with pytest.raises(ActorCrashed):
            await address.call(lambda _: anyio.sleep(10))
        lives.append(await address.call(lambda _: current().incarnation))

    async def crash_soon(_: Scribe) -> None:
        async def crash() -> None:
            await anyio.sleep(1)
            raise Boom

        current().nursery.start_soon(crash)

    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        await scribe.call(crash_soon)
        await call_twice(scribe)
        assert lives == [2]


@pytest.mark.anyio
@pytest.mark.parametrize("hidden", [False, True], ids=["raised", "raised from another"])
async def test_a_call_in_hand_raises_actor_crashed_with_path_incarnation_and_cause(hidden: bool) -> None:
    async def crash(_: Scribe) -> None:
        try:
            raise KeyError("first")
        except KeyError as first:
            if hidden:
                raise Boom("second") from first
        raise Boom("second")

    async with Supervisor("app", Supervisor("inner", child(Scribe))) as app:
        scribe: Address[Scribe] = app.find("inner/scribe")
        with pytest.raises(ActorCrashed, match=r"app/inner/scribe #1 crashed with \S+ in hand: Boom: second") as raised:
            await scribe.call(crash)
        assert (raised.value.path, raised.value.incarnation) == ("app/inner/scribe", 1)
        cause = raised.value.__cause__
        assert isinstance(cause, Boom)
        assert isinstance(cause.__cause__, KeyError) is hidden
        assert cause.__traceback__ is not None


@pytest.mark.anyio
async def test_a_send_in_hand_becomes_a_dead_letter_and_what_is_queued_stays() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = Gate()
        await scribe.send(Scribe.hold, gate)
        await scribe.send(Scribe.crash)
        await scribe.send(Scribe.note, "kept")
        gate.open()
        await virtual_time.at_rest()
        assert log == ["kept"]
        assert scribe.account()[:4] == (3, 2, 0, 1)


def raise_at_once(_: Scribe) -> None:
    raise Boom("at once")


async def raise_later(_: Scribe) -> None:
    await anyio.sleep(1)
    raise Boom("later")


async def raise_group(_: Scribe) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(raise_later, _)


async def raise_in_nursery(_: Scribe) -> None:
    current().nursery.start_soon(raise_later, _)
    await anyio.sleep(10)


async def raise_after_a_cancelled_scope(_: Scribe) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await anyio.sleep(1)
    raise Boom("after")


@pytest.mark.anyio
@pytest.mark.parametrize("handler", [raise_at_once, raise_later, raise_group, raise_in_nursery, raise_after_a_cancelled_scope])
async def test_whatever_leaves_a_handler_or_its_nursery_is_a_crash(handler: Any) -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe, expects=(KeyError,))
        with pytest.raises(ActorCrashed, match="Boom"):
            await scribe.call(handler)
        assert app.get_childspec("scribe").incarnation == 2


@pytest.mark.anyio
async def test_an_exception_in_an_exit_hook_of_an_orderly_end_is_a_crash() -> None:
    class Clumsy(Scribe):
        async def __aenter__(self) -> Self:
            return self

        async def __aexit__(self, *_: object) -> None:
            raise Boom("on the way out")

    ends: list[str] = []
    async with Supervisor("app", listener=lambda event: ends.append(str(event))) as app:
        clumsy = await app.start(Clumsy, restart="transient")
        await clumsy.call(lambda _: current().stop())
        await virtual_time.at_rest()
        assert app.get_childspec("clumsy").incarnation == 2
        assert any("clumsy #1 ended: crashed (Boom: on the way out)" in end for end in ends)


@pytest.mark.anyio
async def test_a_hook_that_raises_after_a_crash_doesnt_hide_the_crash(caplog: pytest.LogCaptureFixture) -> None:
    class Clumsy(Scribe):
        async def __aenter__(self) -> Self:
            return self

        async def __aexit__(self, *_: object) -> None:
            raise KeyError("on the way out")

    async with Supervisor("app") as app:
        clumsy = await app.start(Clumsy)
        with pytest.raises(ActorCrashed, match="Boom: first") as raised:
            await clumsy.call(Scribe.crash, "first")
        assert isinstance(raised.value.__cause__, Boom)
    assert "its exit hook raised KeyError" in caplog.text


@pytest.mark.anyio
async def test_a_hook_that_raises_the_crash_again_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Passing(Scribe):
        async def __aenter__(self) -> Self:
            return self

        async def __aexit__(self, kind: Any, error: BaseException | None, _: object) -> None:
            if error is not None:
                raise error

    async with Supervisor("app") as app:
        passing = await app.start(Passing)
        with pytest.raises(ActorCrashed, match="Boom: once"):
            await passing.call(Scribe.crash, "once")
    assert "exit hook raised" not in caplog.text


@pytest.mark.anyio
async def test_a_hook_that_returns_true_doesnt_swallow_the_crash() -> None:
    class Forgiving(Scribe):
        async def __aenter__(self) -> Self:
            return self

        async def __aexit__(self, *_: object) -> bool:
            return True

    async with Supervisor("app") as app:
        forgiving = await app.start(Forgiving)
        with pytest.raises(ActorCrashed):
            await forgiving.call(Scribe.crash)
        assert app.get_childspec("forgiving").incarnation == 2


@pytest.mark.anyio
async def test_a_factory_that_raises_even_generator_exit_fails_the_start() -> None:
    def leave() -> Scribe:
        raise GeneratorExit

    async with Supervisor("app") as app:
        with pytest.raises(ChildStartFailed, match="GeneratorExit"):
            await app.start(leave)


@pytest.mark.anyio
async def test_a_nursery_task_that_crashes_while_its_actor_starts_fails_the_start() -> None:
    """Without this the enter hook, which waits for that very task, would wait for ever."""

    class Connecting(Scribe):
        async def __aenter__(self) -> Self:
            connected = anyio.Event()

            async def connect() -> None:
                await anyio.sleep(1)
                raise Boom("no route")

            current().nursery.start_soon(connect)
            await connected.wait()
            return self

        async def __aexit__(self, *_: object) -> None:
            raise AssertionError("it never entered")

    async def connecting() -> Scribe:
        return await Connecting().__aenter__()

    async with Supervisor("app") as app:
        for factory in (Connecting, connecting):
            began = anyio.current_time()
            with anyio.fail_after(50), pytest.raises(ChildStartFailed, match="no route"):
                await app.start(factory, name="connecting")
            assert anyio.current_time() - began == 1


@pytest.mark.anyio
async def test_innocent_siblings_of_a_group_restart_tell_their_callers_that_they_were_stopped() -> None:
    first, second = child(Scribe, name="first"), child(Scribe, name="second", stop_within=1)
    tree = Supervisor("app", first, second, strategy="one_for_all", intensity=Intensity(1, per=5))
    async with tree as app, anyio.create_task_group() as group:
        outcomes, gate = Outcomes(group), Gate()
        await outcomes.watch("in hand", app.find(second).call(Scribe.hold, gate))
        await outcomes.watch("queued", app.find(second).call(Scribe.note, 1))
        await outcomes.watch("guilty", app.find(first).call(Scribe.crash))
        await anyio.sleep(2)
        assert isinstance(outcomes.of["guilty"], ActorCrashed)
        assert isinstance(outcomes.of["in hand"], ActorStopped)
        assert outcomes.of["queued"] == 1
