"""Ctrl-C, once or twice, at any line of our own code, in a tree that is busy; and in each kind of the user's code.

Tested (SEMANTICS 64, 65): evenly spread positions of `interrupts.py`, which has the long form; where trio may strike and where
not; a KeyboardInterrupt in the body, a handler, a timer's message, a nursery task, a listener and a log handler passes up.
"""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio
import trio.lowlevel

from supervise import Address, Supervisor, child, current
from supervise.actor.incarnation import Incarnation
from supervise.events import Event, Stopped
from supervise.testing import virtual_time

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("second", [False, True], ids=["once", "twice"])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_ctrl_c_at_any_line_ends_all_of_it_with_keyboard_interrupt(backend: str, second: bool) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "tests.tree.interrupts", "--backend", backend, "--positions", "40"]
    ran = subprocess.run(
        [*command, "--second"] if second else command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr[-3000:]
    *complaints, summary = ran.stdout.splitlines()
    assert complaints == []
    assert int(summary.split()[0]) >= 37
    assert not second or int(summary.split()[3]) >= 30


class Seen:
    """Whether trio would strike here, asked from the user's code that the library calls."""

    def __init__(self) -> None:
        self.protected: dict[str, bool] = {}

    def look(self, where: str) -> None:
        import trio

        self.protected[where] = trio.lowlevel.currently_ki_protected()


def _looking_queue(seen: Seen) -> Callable[[], Any]:
    from collections import deque

    class Looking(deque[Any]):
        def append(self, envelope: Any, /) -> None:
            seen.look("queue")
            super().append(envelope)

    return Looking


class Shown:
    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    def __repr__(self) -> str:
        self._seen.look("repr")
        return "shown"


class Looker:
    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        seen.look("factory")

    async def __aenter__(self) -> Looker:
        self._seen.look("enter hook")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._seen.look("exit hook")

    async def handle(self, shown: object) -> None:
        self._seen.look("handler")
        current().nursery.start_soon(self.task)

    def handle_at_once(self) -> None:
        self._seen.look("plain handler")

    async def task(self) -> None:
        self._seen.look("nursery task")

    async def crash(self, shown: object) -> None:
        raise ValueError


def test_on_trio_it_strikes_in_handlers_and_in_the_body_but_not_in_what_our_own_code_calls() -> None:
    seen = Seen()

    async def main() -> None:
        def listener(_: object) -> None:
            seen.look("listener")

        async with Supervisor(
            "app", child(Looker, seen, queue=_looking_queue(seen)), listener=listener, log_arguments=True
        ) as app:
            looker: Address[Looker] = app.find("looker")
            seen.look("body")
            await looker.call(Looker.handle, Shown(seen))
            await looker.call(Looker.handle_at_once)
            await looker.send(Looker.crash, Shown(seen))
            await virtual_time.at_rest()

    library, options = virtual_time.backend("trio")
    anyio.run(main, backend=library, backend_options=options)
    ours = {"queue", "listener", "repr"}
    assert {where for where, protected in seen.protected.items() if protected} >= ours
    theirs = {"body", "handler", "plain handler"}
    assert theirs | ours <= set(seen.protected)
    assert {where: seen.protected[where] for where in theirs} == dict.fromkeys(theirs, False)


# -- in the user's own code ----------------------------------------------------------------------------------------------


class Struck:
    """Where Ctrl-C strikes by itself."""

    async def handle(self) -> None:
        raise KeyboardInterrupt

    def handle_at_once(self) -> None:
        raise KeyboardInterrupt

    async def begin(self) -> None:
        current().nursery.start_soon(self.handle)

    async def set_timer(self) -> None:
        current().after(1.0, Struck.handle)

    async def pass_on(self) -> None:
        """Nothing happens but events."""


def _interrupt(_: object) -> None:
    raise KeyboardInterrupt


def _once() -> Callable[[object], None]:
    strikes = iter([KeyboardInterrupt()])

    def listener(_: object) -> None:
        for strike in strikes:
            raise strike

    return listener


class _LogHandler(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self._strike = _once()

    def emit(self, record: logging.LogRecord) -> None:
        self._strike(record)

    def __enter__(self) -> None:
        self._level = logging.getLogger("supervise").level
        logging.getLogger("supervise").setLevel(logging.DEBUG)
        logging.getLogger("supervise").addHandler(self)

    def __exit__(self, *_: object) -> None:
        logging.getLogger("supervise").removeHandler(self)
        logging.getLogger("supervise").setLevel(self._level)


PLACES = ["body", "handler", "plain handler", "nursery task", "timer", "listener", "log handler"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_keyboard_interrupt_passes_up_from_anywhere_and_the_tree_is_stopped_in_order(backend: str, place: str) -> None:
    ended: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        virtual_time.run(backend, _play, place, ended)
    assert ended == ["sibling"]


class Sibling:
    def __init__(self, ended: list[str]) -> None:
        self._ended = ended

    async def __aenter__(self) -> Sibling:
        return self

    async def __aexit__(self, *_: object) -> None:
        await anyio.sleep(1)
        self._ended.append("sibling")


async def _play(place: str, ended: list[str]) -> None:
    handlers: dict[str, Any] = {
        "handler": Struck.handle,
        "plain handler": Struck.handle_at_once,
        "nursery task": Struck.begin,
        "timer": Struck.set_timer,
    }
    around: AbstractContextManager[None] = _LogHandler() if place == "log handler" else nullcontext()
    async with Supervisor("app", child(Sibling, ended), child(Struck)) as app:
        struck: Address[Struck] = app.find("struck")
        if place == "body":
            raise KeyboardInterrupt
        if place == "listener":
            app.subscribe(_once())
        with around:
            if place in handlers:
                await struck.send(handlers[place])
            else:
                await app.start(Struck, name="another")
            await anyio.sleep_forever()


# -- once more, while it stops -------------------------------------------------------------------------------------------


class Slow:
    """Takes its time to end."""

    def __init__(self, ended: list[str]) -> None:
        self._ended = ended

    async def __aenter__(self) -> Slow:
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await anyio.sleep(4)
        except BaseException:
            self._ended.append("cancelled")
            raise
        self._ended.append("in order")


@pytest.mark.parametrize("again", [False, True], ids=["once", "twice"])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_keyboard_interrupt_while_it_stops_cancels_all_at_once(backend: str, again: bool) -> None:
    ended: list[str] = []
    took: list[float] = []

    async def main() -> None:
        begun = anyio.current_time()
        try:
            async with Supervisor("app", child(Struck), child(Slow, ended)) as app:
                await app.find("struck").send(Struck.set_timer)
                if again:
                    app.subscribe(lambda event: _interrupt(event) if "struck" in event.path else None)
                await anyio.sleep(2)
        finally:
            took.append(anyio.current_time() - begun)

    with pytest.raises(KeyboardInterrupt):
        virtual_time.run(backend, main)
    assert ended == (["cancelled"] if again else ["in order"])
    assert took[0] < 2 if again else took[0] >= 5


def _slow(cancelled: str, ended: list[str]) -> list[Any]:
    return [child(Slow, ended), child(Stuck)] if cancelled == "start" else [child(Slow, ended)]


class Stuck:
    """Its start takes for ever."""

    async def __aenter__(self) -> Stuck:
        await anyio.sleep_forever()
        return self

    async def __aexit__(self, *_: object) -> None: ...


@pytest.mark.parametrize("cancelled", ["start", "body", "stop"])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_keyboard_interrupt_passes_up_though_the_tree_was_cancelled_from_outside(backend: str, cancelled: str) -> None:
    ended: list[str] = []

    def strike(event: Event) -> None:
        if isinstance(event, Stopped) and event.path == "app/slow":
            raise KeyboardInterrupt

    async def main() -> None:
        with anyio.move_on_after(1):
            async with Supervisor("app", *_slow(cancelled, ended), listener=strike):
                if cancelled == "body":
                    await anyio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        virtual_time.run(backend, main)
    assert ended == ["in order"]


@pytest.mark.parametrize("cancelled", ["start", "body", "stop"])
def test_on_trio_ctrl_c_passes_up_from_where_the_end_is_waited_for_though_it_was_cancelled(cancelled: str) -> None:
    ended: list[str] = []

    @trio.lowlevel.enable_ki_protection
    async def strike() -> None:
        await anyio.sleep(2)
        signal.raise_signal(signal.SIGINT)

    async def main() -> None:
        trio.lowlevel.spawn_system_task(strike)
        with anyio.move_on_after(1):
            async with Supervisor("app", *_slow(cancelled, ended)):
                if cancelled == "body":
                    await anyio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        virtual_time.run("trio", main)
    assert ended == ["cancelled"]


class Lasting:
    """Ends after a while by itself, if nothing cancels it."""

    async def last(self) -> None:
        await anyio.sleep(1000)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_keyboard_interrupt_in_the_middle_of_a_cancellation_leaves_nobody_uncancelled(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt, strikes = Incarnation._interrupt, iter([KeyboardInterrupt()])

    def struck(incarnation: Incarnation) -> None:
        for strike in strikes:
            raise strike
        interrupt(incarnation)

    took: list[float] = []

    async def main() -> None:
        begun = anyio.current_time()
        try:
            async with Supervisor("app", child(Lasting, stop_within=0), child(Lasting, name="other")) as app:
                await app.find("lasting").send(Lasting.last)
                await app.find("other").send(Lasting.last)
                await virtual_time.at_rest()
                monkeypatch.setattr(Incarnation, "_interrupt", struck)
        finally:
            took.append(anyio.current_time() - begun)

    with pytest.raises(KeyboardInterrupt):
        virtual_time.run(backend, main)
    assert took[0] < 100


class Nest:
    """Two of its tasks end the program; that is told as each of them ends, and once more when both have."""

    async def hatch(self) -> None:
        current().nursery.start_soon(self._exit)
        current().nursery.start_soon(self._interrupt)

    async def _interrupt(self) -> None:
        await anyio.lowlevel.checkpoint()
        raise KeyboardInterrupt

    async def _exit(self) -> None:
        try:
            await anyio.sleep_forever()
        except BaseException:
            raise SystemExit(3) from None


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_keyboard_interrupt_that_is_told_twice_is_one(backend: str) -> None:
    ended: list[str] = []

    async def main() -> None:
        async with Supervisor("app", child(Slow, ended), child(Nest)) as app:
            await app.find("nest").send(Nest.hatch)
            await anyio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        virtual_time.run(backend, main)
    assert ended == ["in order"]
