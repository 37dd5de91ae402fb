"""What happens to a stream, at each moment of it: one table says what its reader gets, and how the generator ends.

Tested: SEMANTICS 81: {crash in the middle, crash beside, reader leaves, reader cancelled, stop, kill, timeout, slow reader,
group restart of a sibling} x {plain, @concurrent} x {queued, before the first item, at work, waiting for the reader}, with and
without redelivery, and with both rules for a caller who is gone. Each time the account balances, and nothing is left.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from typing import Any, Literal, NamedTuple, TypeAlias

import anyio
import pytest

from supervise import (
    ActorCrashed,
    ActorStopped,
    Address,
    CallTimeout,
    Intensity,
    RunningSupervisor,
    Supervisor,
    child,
    concurrent,
)
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom

Event: TypeAlias = Literal["crash", "crash beside", "leaves", "cancelled", "stop", "kill", "timeout", "slow", "sibling"]
Moment: TypeAlias = Literal["queued", "before the first item", "at work", "waiting"]
EVENTS: list[Event] = ["crash", "crash beside", "leaves", "cancelled", "stop", "kill", "timeout", "slow", "sibling"]
MOMENTS: list[Moment] = ["queued", "before the first item", "at work", "waiting"]
BUFFER = 4
MANY = 20
TAKEN: dict[Moment, int] = {"queued": 0, "before the first item": 0, "at work": 2, "waiting": 2}
SENT: dict[Moment, int] = {"queued": 0, "before the first item": 0, "at work": 3, "waiting": 2 + BUFFER}


class Script:
    """What the generator does, and what it notes."""

    def __init__(self, moment: Moment) -> None:
        self.stands_at = {"before the first item": 0, "at work": 3}.get(moment, -1)
        self.gate = anyio.Event()
        self.reached = anyio.Event()
        self.crash_at = -1
        self.ends: list[str] = []
        self.tasks: set[Any] = set()

    async def stand(self, number: int) -> None:
        if number == self.stands_at and not self.gate.is_set():
            self.reached.set()
            await self.gate.wait()
        if self.crash_at >= 0 and number >= self.crash_at:
            self.crash_at = -1
            raise Boom("in the middle")


class Model:
    async def items(self, script: Script) -> AsyncIterator[int]:
        task = anyio.get_current_task().id
        end = "killed"
        try:
            for number in range(MANY):
                await script.stand(number)
                yield number
            end = "done"
        except Boom:
            end = "raised"
            raise
        except GeneratorExit:
            await anyio.lowlevel.checkpoint()
            end = "closed"
            raise
        except anyio.get_cancelled_exc_class():
            end = "cancelled"
            raise
        finally:
            script.ends.append(end)
            assert anyio.get_current_task().id == task

    @concurrent
    async def items_beside(self, script: Script) -> AsyncIterator[int]:
        task = anyio.get_current_task().id
        end = "killed"
        try:
            for number in range(MANY):
                await script.stand(number)
                yield number
            end = "done"
        except Boom:
            end = "raised"
            raise
        except GeneratorExit:
            await anyio.lowlevel.checkpoint()
            end = "closed"
            raise
        except anyio.get_cancelled_exc_class():
            end = "cancelled"
            raise
        finally:
            script.ends.append(end)
            assert anyio.get_current_task().id == task

    async def crash_beside(self) -> None:
        raise Boom("beside")


class Expected(NamedTuple):
    """What the reader has, what it is told, and how each run of the generator has ended."""

    items: int
    error: type[BaseException] | None
    ends: list[str]
    handled: int = 0
    failed: int = 0
    abandoned: int = 0
    dead_lettered: int = 0


def expected(event: Event, moment: Moment, *, redeliver: int, on_cancel: str) -> Expected:
    """By the rules, one after the other."""
    queued, waiting, taken, sent = moment == "queued", moment == "waiting", TAKEN[moment], SENT[moment]
    again = bool(redeliver) and not taken
    if event == "slow":
        return Expected(MANY, None, ["done"], handled=1)
    if event in ("leaves", "cancelled"):
        if queued:
            return Expected(0, None, [], abandoned=1)
        if on_cancel == "cancel" and not waiting:
            return Expected(taken, None, ["cancelled"], abandoned=1)
        return Expected(taken, None, ["closed"], handled=1)
    if event == "timeout":
        if queued:
            return Expected(0, CallTimeout, [], abandoned=1)
        if on_cancel == "cancel" and not waiting:
            return Expected(taken, CallTimeout, ["cancelled"], abandoned=1)
        return Expected(taken, CallTimeout, ["closed"], handled=1)
    if event == "crash":
        if again:
            return Expected(MANY, None, ["raised", "done"], handled=1)
        return Expected(sent, ActorCrashed, ["raised"], failed=1)
    if queued:  # the mailbox outlives the life
        if event == "stop":
            return Expected(0, ActorStopped, [], dead_lettered=1)
        return Expected(MANY, None, ["done"], handled=1)
    if event in ("crash beside", "kill"):
        if again:
            return Expected(MANY, None, ["closed" if waiting else "cancelled", "done"], handled=1)
        error = ActorCrashed if event == "crash beside" else ActorStopped
        return Expected(sent, error, ["killed" if waiting else "cancelled"], failed=1)
    # An orderly stop: what waits is closed at once, what is at work goes on until it would have to wait.
    if event == "sibling" and again:
        return Expected(MANY, None, ["closed", "done"], handled=1)
    return Expected(taken + BUFFER, ActorStopped, ["closed"], failed=1)


class Reader:
    """Reads to a moment, waits for a sign, and goes on."""

    def __init__(self, event: Event, moment: Moment) -> None:
        self.event: Event = event
        self.moment: Moment = moment
        self.taken = TAKEN[moment]
        self.got: list[int] = []
        self.error: BaseException | None = None
        self.ready = anyio.Event()
        self.sign = anyio.Event()
        self.scope = anyio.CancelScope()
        self.over = anyio.Event()

    async def read(self, address: Address[Model], handler: Any, script: Script) -> None:
        view = address.options(buffer=BUFFER, timeout=100 if self.event == "timeout" else None)
        try:
            with self.scope:
                async with view.stream_from(handler, script) as items:
                    for _ in range(self.taken):
                        self.got.append(await anext(items))
                    self.ready.set()
                    await self.sign.wait()
                    if self.event != "leaves":
                        async for item in items:
                            self.got.append(item)
                            if self.event == "slow":
                                await anyio.sleep(10)
        except Exception as error:
            self.error = error
        self.over.set()


async def cause(event: Event, app: RunningSupervisor, reader: Reader, script: Script, group: Any) -> None:
    """Let it happen, while the reader waits for its sign."""
    model: Address[Model] = app.find("model")
    match event:
        case "crash":
            # Where it stands, or else as it is read on.
            script.crash_at = {"queued": 0, "before the first item": 0, "at work": 3, "waiting": 6}[reader.moment]
            if reader.moment != "waiting":
                script.gate.set()
        case "crash beside":
            turn: Any = model._mailbox.turn
            turn.nursery().start_soon(Model().crash_beside)
        case "cancelled":
            reader.scope.cancel()
        case "stop":
            group.start_soon(app.terminate_child, "model")
        case "kill":
            model.kill()
        case "timeout":
            await anyio.sleep(200)
        case "sibling":
            await app.find("sibling").send(Model.crash_beside)
        case "leaves":
            reader.sign.set()
        case "slow":
            pass


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["plain", "concurrent"])
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("event", EVENTS)
async def test_each_event_at_each_moment(event: Event, moment: Moment, kind: str) -> None:
    handler = Model.items if kind == "plain" else Model.items_beside
    for redeliver, on_cancel in itertools.product((0, 1), ("finish", "cancel")):
        rule: Any = on_cancel
        children = (child(Model, redeliver=redeliver, on_cancel=rule), child(Model, name="sibling"))
        wanted = expected(event, moment, redeliver=redeliver, on_cancel=on_cancel)
        async with Supervisor("app", *children, strategy="one_for_all", intensity=Intensity(100)) as app:
            model: Address[Model] = app.find("model")
            script, reader = Script(moment), Reader(event, moment)
            async with anyio.create_task_group() as group:
                if moment == "queued":
                    model.pause()
                group.start_soon(reader.read, model, handler, script)
                await reader.ready.wait()
                await at_rest()
                assert script.reached.is_set() == (script.stands_at >= 0)
                assert model.account().balanced
                assert model.account().in_hand == (moment != "queued")
                await cause(event, app, reader, script, group)
                await at_rest()
                assert model.account().balanced
                model.resume()
                script.gate.set()
                await at_rest()
                reader.sign.set()
                await reader.over.wait()
            account = model.account()
            assert account.balanced
            assert account[1:] == (
                wanted.handled, wanted.failed, wanted.dead_lettered, wanted.abandoned, 0, 0
            ), (redeliver, on_cancel)  # fmt: skip
            assert script.ends == wanted.ends, (redeliver, on_cancel)
            assert reader.got == [*range(wanted.items)], (redeliver, on_cancel)
            assert type(reader.error) is (wanted.error or type(None)), (redeliver, on_cancel)
            if event != "stop":
                async with model.stream_from(handler, Script("queued")) as items:  # it is as good as new
                    assert [item async for item in items] == [*range(MANY)]
