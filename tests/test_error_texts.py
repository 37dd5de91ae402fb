"""The text of each error is a surface: it names the actor, the handler and the value, and says the cure.

Tested: SEMANTICS 45. A row is a situation, the error, and its whole text; what a row has as `.message` was refused or given up.
Bad values of options are in `test_bad_input.py`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import anyio
import pytest
from tenacity import wait_fixed

from supervise import (
    ActorCrashed,
    ActorRestarting,
    ActorStopped,
    Address,
    BadCall,
    CallCycle,
    CallTimeout,
    HandlerLate,
    MailboxClosed,
    MailboxFull,
    Message,
    MessageDropped,
    NoActor,
    NotAHandler,
    Restart,
    RunningSupervisor,
    SendTimeout,
    StartLate,
    SuperviseError,
    Supervisor,
    UnknownHandler,
    WouldDeadlock,
    child,
    current,
)
from supervise import errors as all_errors
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, Gate

pytestmark = pytest.mark.anyio


class Db:
    async def query(self, sql: str) -> str:
        if sql == "crash":
            raise Boom("no such table")
        return f"rows of {sql}"

    async def hold(self, gate: Gate) -> None:
        await gate.walk_through()

    async def sleep(self) -> None:
        await anyio.sleep(1000)

    async def to_itself(self) -> None:
        await current().address.call(Db.query, "q")

    async def stop_itself(self) -> None:
        await current().address.stop()

    def rows(self) -> Any:
        yield 1

    async def items(self, many: int = 1) -> AsyncIterator[int]:
        for number in range(many):
            yield number


class Cache:
    def clear(self, all: bool) -> None: ...


class Scene:
    def __init__(self, app: RunningSupervisor) -> None:
        self.app = app
        self.db: Address[Any] = app.find("db")
        self.gate = Gate()

    async def busy(self) -> None:
        await self.db.send(Db.hold, self.gate)
        await self.gate.reached.wait()

    async def soon(self, action: Callable[[], Any], error: Awaitable[Any]) -> None:
        """Await what raises, while something else happens."""

        async def act() -> None:
            await at_rest()
            done = action()
            if done is not None:
                await done

        async with anyio.create_task_group() as group:
            group.start_soon(act)
            try:
                await error
            finally:
                self.gate.open()


@asynccontextmanager
async def scene(**options: Any) -> AsyncGenerator[Scene]:
    async with Supervisor(
        "app", child(Db, name="db", restart=Restart.permanent(wait=wait_fixed(9)), **options), log_arguments=True
    ) as app:
        found = Scene(app)
        try:
            yield found
        finally:
            found.gate.open()


class Row(NamedTuple):
    error: type[Exception]
    text: str
    raises: Callable[[Scene], Awaitable[Any]]
    message: Any = None
    options: dict[str, Any] = {}  # noqa: RUF012 - nobody changes it
    cause: bool = False
    """The error is the cause of what is raised."""


async def _crash(s: Scene) -> None:
    await s.db.call(Db.query, "crash")


async def _stopped(s: Scene) -> None:
    await s.app.terminate_child("db")
    await s.db.send(Db.query, "q")


async def _gone(s: Scene) -> None:
    await s.app.terminate_child("db")
    await s.app.delete_child("db")
    await s.db.call(Db.query, "q")


async def _closed(s: Scene) -> None:
    address = s.db.clone()
    address.close()
    await address.send(Db.query, "q")


async def _stopped_in_hand(s: Scene) -> None:
    await s.soon(lambda: s.app.terminate_child("db"), s.db.call(Db.sleep))


async def _restarting(s: Scene) -> None:
    s.app.kill("db")
    await at_rest()
    await s.db.options(on_restart="fail").call(Db.query, "q")


async def _full(s: Scene) -> None:
    await s.busy()
    s.db.try_send(Db.query, "a")
    s.db.try_send(Db.query, "b")


async def _rejected(s: Scene) -> None:
    await s.busy()
    await s.db.send(Db.query, "a")
    await s.db.send(Db.query, "b")


async def _no_room(s: Scene) -> None:
    await s.busy()
    await s.db.send(Db.query, "a")
    await s.db.options(timeout=0.5).send(Db.query, "b")


async def _late(s: Scene) -> None:
    s.db.pause()
    await s.db.options(timeout=0.5).call(Db.query, "q")


async def _late_in_hand(s: Scene) -> None:
    await s.db.options(timeout=0.5).call(Db.sleep)


async def _dropped(s: Scene) -> None:
    s.db.pause()
    await s.soon(lambda: s.db.drop(lambda _: True) and None, s.db.call(Db.query, "q"))


def _call(*what: Any) -> Callable[[Scene], Awaitable[Any]]:
    return lambda s: s.db.call(*what)


def _stream(handler: Any, *args: Any) -> Callable[[Scene], Awaitable[Any]]:
    async def read(s: Scene) -> None:
        async with s.db.stream_from(handler, *args) as items:
            await anext(items)

    return read


async def _to_what_waits(s: Scene) -> None:
    async with s.db.stream_from(Db.items, 100):
        await at_rest()
        await s.db.call(Db.query, "q")


_to_itself: Final = _call(Db.to_itself)

TABLE: Final[dict[str, Row]] = {
    "a crash": Row(
        ActorCrashed, "app/db #1 crashed with Db.query in hand: Boom: no such table", _crash, Message(Db.query, ("crash",), {})
    ),
    "a stopped actor": Row(
        ActorStopped,
        "app/db is stopped, and doesn't get Db.query: "
        "restart_child(), or operator(…).restart(), starts it again on this mailbox",
        _stopped,
        Message(Db.query, ("q",), {}),
    ),
    "an actor that is gone": Row(
        MailboxClosed,
        "app/db is gone for good, and doesn't get Db.query: find or start its successor, and use that address",
        _gone,
        Message(Db.query, ("q",), {}),
    ),
    "a closed address": Row(
        MailboxClosed,
        "this address of app/db was closed: use another, or make one with clone() before",
        _closed,
        Message(Db.query, ("q",), {}),
    ),
    "stopped with the call in hand": Row(
        ActorStopped,
        "app/db #1 was stopped (killed) with Db.sleep in hand: a longer stop_within lets it finish",
        _stopped_in_hand,
        Message(Db.sleep, (), {}),
        {"stop_within": 1},
    ),
    "a call that doesn't wait for a restart": Row(
        ActorRestarting,
        "app/db is restarting, and the call Db.query('q') doesn't wait: on_restart='wait' lets it wait for the next life",
        _restarting,
        Message(Db.query, ("q",), {}),
    ),
    "no room for try_send": Row(
        MailboxFull,
        "the mailbox of app/db is full (1 message waits), and doesn't take Db.query: "
        "try_send doesn't wait for room, and send does",
        _full,
        Message(Db.query, ("b",), {}),
        {"capacity": 1},
    ),
    "a mailbox that rejects": Row(
        MailboxFull,
        "the mailbox of app/db is full (1 message waits), and doesn't take Db.query: overflow='reject'; 'wait' waits for room",
        _rejected,
        Message(Db.query, ("b",), {}),
        {"capacity": 1, "overflow": "reject"},
    ),
    "no room in time": Row(
        SendTimeout,
        "app/db: Db.query('b') found no room within 0.5 s: waited 0.5 s for room",
        _no_room,
        Message(Db.query, ("b",), {}),
        {"capacity": 1},
    ),
    "no answer in time": Row(
        CallTimeout,
        "app/db: Db.query('q') had no answer within 0.5 s: queued 0.5 s, never begun (it is paused)",
        _late,
        Message(Db.query, ("q",), {}),
    ),
    "no answer in time, in hand": Row(
        CallTimeout,
        "app/db: Db.sleep() had no answer within 0.5 s: queued 0 s, in hand 0.5 s",
        _late_in_hand,
        Message(Db.sleep, (), {}),
        {"on_cancel": "cancel"},
    ),
    "taken out by hand": Row(
        MessageDropped, "app/db dropped Db.query('q'): taken out by hand", _dropped, Message(Db.query, ("q",), {})
    ),
    "an unknown handler": Row(
        UnknownHandler,
        "app/db: Db has no handler 'clear' (asked for Cache.clear): give a plain function of Db, or one that takes the actor",
        _call(Cache.clear, True),
        Message(Cache.clear, (True,), {}),
    ),
    "a call that doesn't fit": Row(
        BadCall,
        "app/db: Db.query() doesn't fit: it takes (self, sql: 'str') -> 'str'; "
        "TypeError: Db.query() missing 1 required positional argument: 'sql'",
        _call(Db.query),
        Message(Db.query, (), {}),
    ),
    "a bound method": Row(
        NotAHandler,
        r"app/db: handler=.*Db\.query.* is bound to an object of its own: name the function on the class, Db\.query",
        _call(Db().query, "q"),
        True,
    ),
    "a handler that yields": Row(
        NotAHandler,
        "app/db: handler=Db.rows yields, and its body would run in its caller's task, beside the actor's own handlers: "
        "return a list, or send() or publish() the items one by one; stream_from reads one that is `async def`",
        _call(Db.rows),
        Message(Db.rows, (), {}),
    ),
    "a handler that yields items": Row(
        NotAHandler,
        "app/db: handler=Db.items yields, and its body would run in its caller's task, beside the actor's own handlers: "
        "read it with stream_from, return a list, or send() or publish() the items one by one",
        _call(Db.items),
        Message(Db.items, (), {}),
    ),
    "a stream of what doesn't yield": Row(
        NotAHandler,
        "app/db: handler=Db.query isn't an async generator function, so stream_from has nothing to read: use call",
        _stream(Db.query, "q"),
        Message(Db.query, ("q",), {}),
    ),
    "a stream that doesn't fit": Row(
        BadCall,
        "app/db: Db.items(int, int) doesn't fit: it takes (self, many: 'int' = 1) -> 'AsyncIterator[int]'; "
        "TypeError: Db.items() takes from 1 to 2 positional arguments but 3 were given",
        _stream(Db.items, 1, 2),
        Message(Db.items, (1, 2), {}),
    ),
    "a call of the reader to the actor that waits for it": Row(
        CallCycle,
        "app/db -> the reader of its stream: this call of Db.query, by that reader, would wait for itself for ever; "
        "use send, call from another task, or leave the stream's block first",
        _to_what_waits,
        Message(Db.query, ("q",), {}),
    ),
    "a call to itself": Row(
        CallCycle,
        "app/db -> app/db: this call of Db.query would wait for itself for ever; "
        "use send, or call from a task of current().nursery",
        _to_itself,
        Message(Db.query, ("q",), {}),
        cause=True,
    ),
    "its own stop": Row(
        WouldDeadlock,
        "app/db can't wait for its own end: use current().stop(), which doesn't wait",
        _call(Db.stop_itself),
        cause=True,
    ),
    "a handler that takes too long": Row(
        HandlerLate,
        "app/db: Db.sleep() was in hand for longer than its handler_deadline of 4 s",
        _call(Db.sleep),
        options={"handler_deadline": 4},
        cause=True,
    ),
}


@pytest.mark.parametrize("name", TABLE)
async def test_the_text_of_each_error(name: str) -> None:
    row = TABLE[name]
    async with scene(**row.options) as s:
        raised = await _raised(row.raises(s))
        error = raised.__cause__ if row.cause else raised
        assert type(error) is row.error
        text = str(error)
        assert re.fullmatch(row.text, text) if ".*" in row.text else text == row.text
        if row.message is True:
            assert getattr(error, "message", None) is not None
        elif row.message is not None:
            assert getattr(error, "message", None) == row.message


async def _raised(awaited: Awaitable[Any]) -> BaseException:
    try:
        await awaited
    except BaseExceptionGroup as group:
        (error,) = group.exceptions
        return error
    except Exception as error:
        return error
    raise AssertionError("it raised nothing")


async def test_outside_of_an_actor() -> None:
    with pytest.raises(NoActor) as raised:
        current()
    assert (
        str(raised.value) == "current() only works in an actor: in its factory, hooks, handlers and the tasks that they start"
    )


# What has its text tested elsewhere, and where.
ELSEWHERE: Final = {
    "SuperviseError", "SendError", "CallError",  # bases
    "GaveUp", "StartFailed", "IgnoreStart",  # tests/tree/test_limits.py, test_children.py
    "StartLate",  # tests/tree/test_patience.py
    "SubscriberTooSlow",  # tests/mailbox/test_subscriptions.py
    "Unsupervised",  # tests/actor/test_open_mailbox.py
    "WrongThread", "WrongLoop", "WrongProcess",  # tests/address
    "NoActor",
    "BadMessage", "BadReply", "NotServed", "TooLarge",  # tests/wire/test_codec.py, tests/wire/test_interface.py
    "ProtocolError",  # tests/wire/test_frames.py, tests/remote/test_greeting_rules.py, tests/remote/test_gates.py
    "CallTooDeep", "ConnectionLost", "OutcomeUnknown", "RemoteError",  # tests/remote
}  # fmt: skip


def test_every_error_has_its_row() -> None:
    classes = {
        name for name, found in vars(all_errors).items() if isinstance(found, type) and issubclass(found, SuperviseError)
    }
    assert classes == {row.error.__name__ for row in TABLE.values()} | ELSEWHERE
    assert issubclass(StartLate, TimeoutError)
