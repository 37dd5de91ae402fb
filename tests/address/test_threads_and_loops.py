"""An address knows where it may be used: in the thread and the loop of its actor, and nowhere else, before anything changes.

Tested (SEMANTICS 62): each operation in a foreign thread, those of `current()` in a worker thread; what works in any thread;
another loop in the same thread, one that is closed, one that only pauses; a wake-up that fails. Of forks tells `test_forks.py`.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest

from supervise import (
    Address,
    MailboxClosed,
    SuperviseError,
    Supervisor,
    WrongLoop,
    WrongThread,
    child,
    current,
    open_mailbox,
)
from supervise._backends import current_backend
from supervise.testing import virtual_time
from tests.doubles import Gate, Scribe, fill
from tests.real_clock import on_the_real_clock

pytestmark = pytest.mark.anyio


def finish(made: Any) -> Any:
    """What a call gives at once; of a coroutine, what it gives without waiting for anything."""
    if not inspect.iscoroutine(made):
        return made
    try:
        made.send(None)
    except StopIteration as returned:
        return returned.value
    finally:
        made.close()
    return made


class InThread:
    """Runs something in a foreign thread, and hands over what it gave or raised."""

    def __init__(self, action: Callable[[], Any]) -> None:
        self._action = action
        self.result: Any = None
        self.error: BaseException | None = None

    def _run(self) -> None:
        try:
            self.result = finish(self._action())
        except BaseException as error:
            self.error = error

    def wait(self) -> InThread:
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        thread.join(30)
        assert not thread.is_alive()
        return self


async def _bare(view: Any) -> Any:
    """A stream of which only `send` is awaited."""
    await view.send(1)


async def _numbers(_: Scribe) -> AsyncIterator[int]:
    number = 0
    while True:
        yield number
        number += 1


def _any(_: object) -> bool:
    return True


USES: dict[str, Callable[[Address[Scribe]], Any]] = {
    "send": lambda address: address.send(Scribe.note, 1),
    "call": lambda address: address.call(Scribe.note, 1),
    "try_send": lambda address: address.try_send(Scribe.note, 1),
    "ping": lambda address: address.ping(),
    "pause": lambda address: address.pause(),
    "resume": lambda address: address.resume(),
    "stop": lambda address: address.stop(),
    "stop, grace": lambda address: address.stop(grace=1.0),
    "kill": lambda address: address.kill(),
    "drop": lambda address: address.drop(_any),
    "take": lambda address: address.take(_any),
    "subscribe": lambda address: address.subscribe(int),
    "watch": lambda address: address.watch(),
    "stream": lambda address: _bare(address.stream(Scribe.note)),
    "stream_from": lambda address: address.stream_from(_numbers).__aenter__(),
    "recipient.send": lambda address: address.recipient(Scribe.note).send(1),
    "recipient.call": lambda address: address.recipient(Scribe.note).call(1),
    "recipient.try_send": lambda address: address.recipient(Scribe.note).try_send(1),
    "options.send": lambda address: address.options(timeout=1.0).send(Scribe.note, 1),
    "options.call": lambda address: address.options(on_restart="fail").call(Scribe.note, 1),
    "options.try_send": lambda address: address.options(timeout=1.0).try_send(Scribe.note, 1),
    "options.ping": lambda address: address.options(timeout=1.0).ping(),
    "weak.send": lambda address: address.weak.send(Scribe.note, 1),
    "weak.call": lambda address: address.weak.call(Scribe.note, 1),
    "weak.options.call": lambda address: address.weak.options(timeout=1.0).call(Scribe.note, 1),
    "weak.kill": lambda address: address.weak.kill(),
    "send, a lambda": lambda address: address.send(lambda _: None),
    "call, not a function": lambda address: address.call(print),
}
uses = pytest.mark.parametrize("use", list(USES))


class Look:
    """All that one of these operations could change."""

    def __init__(self, address: Address[Any]) -> None:
        mailbox = address._mailbox
        self._seen = (
            address.account(),
            address.peek(),
            mailbox.extras.paused,
            mailbox.attention,
            mailbox.refusal,
            mailbox.credits,
            id(mailbox.waker),
            id(mailbox.turn),
            getattr(mailbox.turn, "killed", None),
            getattr(mailbox.turn, "stopping", None),
            mailbox.extras.pings,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Look) and self._seen == other._seen

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._seen)


@pytest.mark.parametrize("parked", [False, True], ids=["busy", "parked"])
@uses
async def test_in_another_thread_each_use_is_refused_with_the_cure_and_changes_nothing(use: str, parked: bool) -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log), _sibling()) as app:
        address: Address[Scribe] = app.find("scribe")
        gate = Gate()
        if parked:
            await address.call(Scribe.note, 0)
            await virtual_time.at_rest()
        else:
            gate = await fill(address, 10, 11)
        before = Look(address)
        foreign = InThread(lambda: USES[use](address)).wait()
        assert isinstance(foreign.error, WrongThread), foreign.error or foreign.result
        assert "from_thread" in str(foreign.error)
        assert "app/scribe" in str(foreign.error)
        assert Look(address) == before
        gate.open()
        await address.call(Scribe.note, "then")
    assert log == ([0, "then"] if parked else [10, 11, "then"])


@pytest.mark.parametrize("buffer", [1, 16])
async def test_a_stream_is_read_and_left_in_its_own_thread_alone(buffer: int) -> None:
    async with Supervisor("app", child(Scribe)) as app:
        address: Address[Scribe] = app.find("scribe")
        stream = address.options(buffer=buffer).stream_from(_numbers)
        async with stream as numbers:
            assert await anext(numbers) == 0
            await virtual_time.at_rest()
            waits = InThread(lambda: numbers.__anext__()).wait()  # it would wake the generator
            for _ in range(buffer):
                await anext(numbers)
            nothing = InThread(lambda: numbers.__anext__()).wait()
            left = InThread(lambda: stream.__aexit__(None, None, None)).wait()
            for foreign in (waits, nothing, left):
                assert isinstance(foreign.error, WrongThread), foreign.error or foreign.result
                assert "app/scribe" in str(foreign.error)
                assert "read it there, by anyio.from_thread.run" in str(foreign.error)
            assert await anext(numbers) == buffer + 1  # nothing was lost
        assert address.account() == (1, 1, 0, 0, 0, 0, 0)


def _sibling() -> Any:
    """A sibling, so that a wrong stop or crash of the one that is used shows as an end of the tree."""
    return child(Scribe, name="sibling")


async def test_a_refused_use_of_a_full_mailbox_takes_no_place_in_the_line() -> None:
    async with Supervisor("app", child(Scribe, capacity=1)) as app:
        address: Address[Scribe] = app.find("scribe")
        gate = await fill(address, 10)
        for use in ("send", "call", "try_send", "options.send", "stream"):
            assert isinstance(InThread(lambda use=use: USES[use](address)).wait().error, WrongThread)  # type: ignore[misc]
        assert not address._mailbox.waiting_senders
        gate.open()


READS: dict[str, Callable[[Address[Scribe]], Any]] = {
    "len": len,
    "bool": bool,
    "peek": lambda address: [str(message) for message in address.peek()],
    "account": lambda address: address.account(),
    "path": lambda address: (address.path, address.name, address.id),
    "repr": repr,
    "==": lambda address: address == address.clone(),
    "hash": hash,
    "weak": lambda address: address.weak.path,
    "strong": lambda address: address.weak.strong() == address,
    "options": lambda address: address.options(timeout=1.0).path,
    "recipient": lambda address: repr(address.recipient(Scribe.note)),
    "stream": lambda address: repr(address.stream(Scribe.note)),
    "clone": lambda address: address.clone() == address,
    "close a clone": lambda address: address.clone().close(),
    "copy": lambda address: copy.copy(address) == address,
    "deepcopy": lambda address: copy.deepcopy(address) == address,
}


@pytest.mark.parametrize("read", list(READS))
async def test_reads_copies_and_closing_work_in_any_thread(read: str) -> None:
    async with Supervisor("app", child(Scribe)) as app:
        address: Address[Scribe] = app.find("scribe")
        gate = await fill(address, 10)
        foreign = InThread(lambda: READS[read](address)).wait()
        assert foreign.error is None
        assert foreign.result == READS[read](address)
        gate.open()


@on_the_real_clock
async def test_the_last_address_closed_in_another_thread_ends_an_actor_that_lives_by_it(anyio_backend: Any) -> None:
    log: list[Any] = []
    mailbox, address = open_mailbox(Scribe)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(mailbox.run, Scribe, log)
            await address.call(Scribe.note, 1)
            another = address.clone()
            address.close()
            await another.call(Scribe.note, 2)
            assert InThread(another.close).wait().error is None
    assert log == [1, 2]


# -- current() -----------------------------------------------------------------------------------------------------------


async def _items() -> AsyncIterator[int]:
    yield 1


async def _result() -> int:
    return 1


OWN: dict[str, Callable[[Any], Any]] = {
    "nursery": lambda other: current().nursery,
    "nursery.start_soon": lambda other: other["nursery"].start_soon(_result),
    "after": lambda other: current().after(1.0, Asker.note, 1),
    "every": lambda other: current().every(1.0, Asker.note, 1),
    "timers": lambda other: current().timers,
    "timer.cancel": lambda other: other["timer"].cancel(),
    "timers.cancel_all": lambda other: other["timers"].cancel("it"),
    "read": lambda other: current().read(_items(), Asker.note),
    "watch": lambda other: current().watch(other["sibling"], Asker.note),
    "monitor.close": lambda other: other["monitor"].close(),
    "address.send": lambda other: current().address.send(Asker.note, 1),
}


class Asker:
    """Uses what belongs to it in a worker thread."""

    def __init__(self, log: list[Any], sibling: Address[Any] | None = None) -> None:
        self._log = log

    def note(self, entry: Any) -> None:
        self._log.append(entry)

    async def ask(self, use: str) -> None:
        me = current()
        sibling = me.find("sibling")
        other = {
            "nursery": me.nursery,
            "sibling": sibling,
            "timer": me.after(1.0, Asker.note, "timer", id="it"),
            "timers": me.timers,
            "monitor": me.watch(sibling, Asker.note),
        }

        def act() -> None:
            try:
                finish(OWN[use](other))
            except BaseException as error:
                self._log.append(error)
            else:
                self._log.append("nothing was raised")

        running = me.nursery.running
        await anyio.to_thread.run_sync(act)
        self._log.append(me.nursery.running - running)
        me.timers.cancel("it")


@pytest.mark.parametrize("use", list(OWN))
@on_the_real_clock
async def test_what_belongs_to_an_actor_is_refused_in_a_worker_thread_of_its_handler(use: str, anyio_backend: Any) -> None:
    log: list[Any] = []
    with anyio.fail_after(30):
        async with Supervisor("app", child(Scribe, name="sibling"), child(Asker, log)) as app:
            await app.find("asker").call(Asker.ask, use)
            assert app.find("asker").account().failed == 0
            assert app.get_childspec("asker").incarnation == 1
            error, begun = log
            assert isinstance(error, WrongThread), error
            assert begun == 0


@on_the_real_clock
async def test_what_current_tells_can_be_read_in_a_worker_thread(anyio_backend: Any) -> None:
    seen: list[Any] = []

    class Reader:
        async def read(self) -> None:
            await anyio.to_thread.run_sync(self._look)

        def _look(self) -> None:
            me = current()
            seen.append((me.path, me.name, me.incarnation, me.stopping, me.attempt, me.sender, me.remaining, me.address.path))
            seen.append(me.find("reader").path)

    with anyio.fail_after(30):
        async with Supervisor("app", child(Reader)) as app:
            await app.find("reader").call(Reader.read)
    assert seen == [("app/reader", "reader", 1, False, 1, None, None, "app/reader"), "app/reader"]


# -- another loop --------------------------------------------------------------------------------------------------------


class TwoLoops:
    """Two asyncio loops of one thread, whose tasks are begun and left by hand."""

    def __init__(self) -> None:
        self.first = asyncio.new_event_loop()
        self.second = asyncio.new_event_loop()
        self.log: list[Any] = []

    def __enter__(self) -> TwoLoops:
        self.tree = Supervisor("app", child(Scribe, self.log))
        self.app = self.first.run_until_complete(self.tree.open())
        self.address: Address[Scribe] = self.app.find("scribe")
        self.first.run_until_complete(self.address.call(Scribe.note, 0))
        self.first.run_until_complete(_rest())
        return self

    def __exit__(self, *_: object) -> None:
        if not self.first.is_closed():
            self.first.run_until_complete(self.app.close())
            self.first.close()
        self.second.close()


async def _rest() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def _use(use: str, address: Address[Scribe]) -> None:
    made = USES[use](address)
    if inspect.iscoroutine(made):
        await asyncio.wait_for(made, 5)


@uses
def test_in_another_loop_of_the_same_thread_each_use_is_refused(use: str) -> None:
    with TwoLoops() as loops:
        before = Look(loops.address)
        with pytest.raises(WrongLoop, match="another event loop"):
            loops.second.run_until_complete(_use(use, loops.address))
        after = Look(loops.address)
        assert after._seen[0] == before._seen[0]  # the account
        assert loops.address._mailbox.waker is not None  # so the next one wakes it
        loops.first.run_until_complete(loops.address.call(Scribe.note, "then"))
        loops.first.run_until_complete(_rest())
    assert loops.log == [0, "then"]


@pytest.mark.parametrize("use", ["send", "call", "try_send", "recipient.send", "ping"])
def test_when_its_loop_is_closed_nobody_can_be_woken(use: str) -> None:
    loop = asyncio.new_event_loop()
    log: list[Any] = []
    addresses: list[Address[Scribe]] = []
    loop.run_until_complete(_begin(log, addresses))
    address = addresses[0]
    loop.close()
    accepted = address.account().accepted
    with pytest.raises((WrongLoop, MailboxClosed)):
        finish(USES[use](address))
    with pytest.raises((WrongLoop, MailboxClosed)):
        asyncio.run(_use(use, address))
    assert address.account().accepted == accepted


async def _begin(log: list[Any], addresses: list[Any]) -> None:
    app = await Supervisor("app", child(Scribe, log)).open()
    addresses.append(app.find("scribe"))
    await addresses[0].call(Scribe.note, 0)
    await _rest()


def test_what_is_sent_between_two_runs_of_a_loop_that_only_pauses_is_handled_once() -> None:
    with TwoLoops() as loops:
        for n in range(1, 4):
            loops.address.try_send(Scribe.note, n)
            assert loops.address.account().accepted == 1 + n
        loops.address.pause()
        loops.address.resume()
        loops.address.try_send(Scribe.note, 4)
        loops.first.run_until_complete(_rest())
        assert loops.log == [0, 1, 2, 3, 4]
        assert loops.first.run_until_complete(loops.address.call(Scribe.note, 5)) == 6
    assert loops.log == [0, 1, 2, 3, 4, 5]
    account = loops.address.account()
    assert (account.accepted, account.handled) == (6, 6)


def test_a_wake_up_that_fails_leaves_the_actor_to_be_woken_by_the_next_one() -> None:
    with TwoLoops() as loops:
        waker = loops.address._mailbox.waker
        assert waker is not None

        async def wrong() -> None:
            for _ in range(3):
                with pytest.raises(WrongLoop):
                    loops.address.try_send(Scribe.note, "wrong")

        loops.second.run_until_complete(wrong())
        assert loops.address._mailbox.waker is waker
        assert not waker.done()
        loops.first.run_until_complete(loops.address.send(Scribe.note, "right"))
        loops.first.run_until_complete(_rest())
        assert loops.log == [0, "right"]


def test_on_trio_an_address_of_a_run_that_has_ended_is_refused_in_the_next() -> None:
    found: list[Address[Scribe]] = []

    async def first() -> None:
        async with Supervisor("app", child(Scribe)) as app:
            found.append(app.find("scribe"))

    async def second(address: Address[Scribe]) -> None:
        for use in ("send", "call", "ping"):
            with pytest.raises(SuperviseError):
                await USES[use](address)

    anyio.run(first, backend="trio")
    anyio.run(second, found[0], backend="trio")
    assert found[0].account().accepted == 0


@on_the_real_clock
async def test_the_backend_of_a_mailbox_knows_its_thread_by_its_ident(anyio_backend: Any) -> None:
    async with Supervisor("app", child(Scribe)) as app:
        assert app.find("scribe")._mailbox.backend.thread == threading.get_ident()
        assert current_backend().thread == threading.get_ident()
