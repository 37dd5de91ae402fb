"""SystemExit and KeyboardInterrupt, wherever user code raises them, stop the tree in order and leave it as they are.

Tested: SEMANTICS 10 and 65 (handler, factory, hook, nursery task, timer, concurrent handler, policy); and callbacks of the
timer service, which the others survive.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import Any, Self

import anyio
import pytest

from supervise import Intensity, Restart, Supervisor, child, concurrent, current, open_mailbox
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, Scribe

pytestmark = pytest.mark.anyio
ERRORS = [SystemExit(3), KeyboardInterrupt()]


async def raising(error: BaseException) -> None:
    raise error


class Doomed(Scribe):
    """Raises where it is told to, in its second life."""

    def __init__(self, log: list[Any], where: str, error: BaseException) -> None:
        super().__init__(log)
        self.where, self.error = where, error
        if where == "factory" and current().incarnation == 2:
            raise error

    async def __aenter__(self) -> Self:
        if self.where == "enter hook" and current().incarnation == 2:
            raise self.error
        return self

    async def __aexit__(self, *_: object) -> None:
        self.log.append("exit hook")
        if self.where == "exit hook":
            raise self.error

    def strike(self) -> None:
        if self.where in ("factory", "enter hook", "exit hook", *POLICIES):
            raise Boom
        if self.where == "handler":
            raise self.error
        if self.where == "nursery task":
            current().nursery.start_soon(raising, self.error)
        elif self.where == "timer":
            current().after(1, Doomed.in_turn)
        elif self.where == "pipe":
            current().pipe_to(Scribe.note, raising(self.error), failed=Scribe.note)
        elif self.where == "concurrent handler":
            current().address.try_send(Doomed.beside)

    def in_turn(self) -> None:
        raise self.error

    @concurrent(isolate=True)
    async def beside(self) -> None:
        raise self.error


POLICIES = ("when", "wait", "stop")
WHERE = ("handler", "factory", "enter hook", "exit hook", "nursery task", "timer", "pipe", "concurrent handler", *POLICIES)


class Sibling(Scribe):
    """Shows that the stop is in order."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await anyio.sleep(1)
        self.log.append("the sibling left")


@pytest.mark.parametrize("error", ERRORS, ids=["SystemExit", "KeyboardInterrupt"])
@pytest.mark.parametrize("where", WHERE)
async def test_it_stops_the_tree_in_order_and_leaves_it(where: str, error: BaseException) -> None:
    log: list[Any] = []

    def policy(*_: Any) -> Any:
        raise error

    policies: dict[str, Any] = {where: policy} if where in POLICIES else {}
    crashes = where in ("factory", "enter hook", "exit hook", *POLICIES)
    restart = Restart.permanent(**policies)
    doomed = child(Doomed, log, where, error, restart=restart, expects=() if crashes else (BaseException,))
    with pytest.raises(type(error)) as caught:
        async with Supervisor("app", child(Sibling, log), doomed, intensity=Intensity(5)) as app:
            await app.find("doomed").send(Doomed.strike)
            await anyio.sleep(100)
            log.append("the body went on")
    assert caught.value is error
    assert log[-1] == "the sibling left"
    assert "the body went on" not in log


@pytest.mark.parametrize("error", ERRORS, ids=["SystemExit", "KeyboardInterrupt"])
@pytest.mark.parametrize("where", ["handler", "nursery task", "exit hook", "concurrent handler"])
async def test_it_leaves_the_run_of_an_open_mailbox(where: str, error: BaseException) -> None:
    mailbox, address = open_mailbox(Doomed)
    await address.send(Doomed.strike)
    with pytest.raises(type(error)):
        await mailbox.run(Doomed, list[Any](), where, error)
    mailbox.close()


# -- callbacks of the timer service ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [OSError("lost"), SystemExit(3), GeneratorExit("odd")], ids=lambda e: type(e).__name__)
async def test_a_callback_that_raises_is_logged_once_and_the_others_go_on(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "supervise")
    rung: list[str] = []

    def strike() -> None:
        rung.append("strikes")
        raise error

    async with Supervisor("app", child(Scribe)) as app:
        backend = app.find("scribe")._mailbox.mailbox.backend
        now = backend.now()
        for when, callback in ((1, strike), (1, lambda: rung.append("same instant")), (2, lambda: rung.append("later"))):
            backend.call_at(now + when, callback)
        await anyio.sleep(1)
        await at_rest()
        assert rung == ["strikes", "same instant"]
        backend.call_at(backend.now() + 0.5, lambda: rung.append("set afterwards"))
        await anyio.sleep(2)
        assert rung == ["strikes", "same instant", "set afterwards", "later"]
        assert await app.find("scribe").call(Scribe.note, "x") == 1
    records = [record for record in caplog.records if "callback" in record.getMessage()]
    assert len(records) == 1
    assert type(error).__name__ in records[0].getMessage()
    assert "Traceback" in (records[0].exc_text or "")


async def test_each_callback_that_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "supervise")

    def strike() -> None:
        raise OSError

    async with Supervisor("app", child(Scribe)) as app:
        backend = app.find("scribe")._mailbox.mailbox.backend
        for n in range(3):
            backend.call_at(backend.now() + n, strike)
        await anyio.sleep(3)
    assert len([record for record in caplog.records if "callback" in record.getMessage()]) == 3


async def test_a_timers_message_that_a_queue_refuses_costs_that_tick_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "supervise")
    failing: list[BaseException] = []

    class Odd(deque[Any]):
        def append(self, envelope: Any, /) -> None:
            if failing:
                raise failing[0]
            super().append(envelope)

    def begin(_: Scribe) -> None:
        current().every(1, Scribe.note, "one", id="one")
        current().every(1, Scribe.note, "two", id="two")

    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log, queue=Odd)) as app:
        await app.find("scribe").call(begin)
        for error in (OSError(), SystemExit(), GeneratorExit()):
            failing.append(error)
            await anyio.sleep(1)
            await at_rest()
            failing.clear()
        assert log == []
        await anyio.sleep(1)
        await at_rest()
        assert sorted(log) == ["one", "two"]
        assert app.find("scribe").account().balanced
    assert len([record for record in caplog.records if "lost a tick" in record.getMessage()]) == 6
