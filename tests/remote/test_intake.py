"""The way in: in what order messages get into a mailbox, or on to another process, and in what order their credit goes back.

Tested in virtual time, with a target that takes each message when the test lets it: one line for all; one for each depth where
messages are passed on, with calls behind sends that came before, and sends past calls that wait; credit in order of arrival.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest

from supervise.remote.intake import Intake
from supervise.remote.target import Incoming
from supervise.testing.virtual_time import at_rest
from supervise.wire.frames import Frame
from supervise.wire.kinds import Kind

pytestmark = pytest.mark.anyio


class Gated:
    """A target that takes a message once the test lets it in."""

    def __init__(self, *, by_level: bool) -> None:
        self.by_level = by_level
        self.is_open = False
        self.mailbox = None
        self.asked: list[str] = []
        self.let: dict[str, anyio.Event] = {}

    async def take(self, incoming: Incoming) -> None:
        name = bytes(incoming.frame.body).decode()
        self.asked.append(name)
        await self.let.setdefault(name, anyio.Event()).wait()

    def lets(self, *names: str) -> None:
        for name in names:
            self.let.setdefault(name, anyio.Event()).set()


class Call:
    """The reply slot of a call that nobody takes back."""

    def done(self) -> bool:
        return False


class Way:
    """An intake, with what it gives back."""

    def __init__(self, target: Gated, group: Any) -> None:
        self.target = target
        self.back: list[int] = []
        self.intake = Intake("shop", 0, group, lambda _, size: self.back.append(size), lambda: None)

    def comes(self, name: str, size: int = 1, *, level: int = 0, call: bool = False, target: Gated | None = None) -> None:
        kind, depth = (Kind.CALL, level + 1) if call else (Kind.SEND, level)
        frame = Frame(kind, 1 if call else 0, 0, name.encode(), depth=depth)
        none = cast("Any", None)
        arrival = cast("Any", Call()) if call else None
        method = cast("Any", SimpleNamespace(function=None))
        incoming = Incoming(frame, none, method, arrival, size, 0.0, none)
        assert self.intake.take(cast("Any", target or self.target), incoming) is None


@asynccontextmanager
async def way(*, by_level: bool) -> AsyncGenerator[Way]:
    async with anyio.create_task_group() as group:
        yield Way(Gated(by_level=by_level), group)
        group.cancel_scope.cancel()


async def test_here_there_is_one_line_for_all() -> None:
    async with way(by_level=False) as w:
        for name, level, call in (("a", 0, False), ("b", 0, True), ("c", 3, True), ("d", 2, False)):
            w.comes(name, level=level, call=call)
        await at_rest()
        assert w.target.asked == ["a"]
        w.target.lets("a", "b", "c", "d")
        await at_rest()
        assert w.target.asked == ["a", "b", "c", "d"]
        assert w.back == [1, 1]


async def test_what_is_passed_on_waits_for_none_of_another_depth() -> None:
    async with way(by_level=True) as w:
        for name, level, call in (("a", 0, False), ("b", 0, False), ("c", 3, True), ("d", 2, False), ("e", 3, True)):
            w.comes(name, level=level, call=call)
        await at_rest()
        assert sorted(w.target.asked) == ["a", "c", "d"]
        w.target.lets("c")
        await at_rest()
        assert w.target.asked[-1] == "e"
        assert "b" not in w.target.asked


async def test_a_call_waits_for_the_sends_before_it_and_lets_those_after_it_pass() -> None:
    async with way(by_level=True) as w:
        for name, call in (("send", False), ("call", True), ("later", False), ("call too", True), ("last", False)):
            w.comes(name, call=call)
        await at_rest()
        assert w.target.asked == ["send"]
        w.target.lets("send")
        await at_rest()
        assert sorted(w.target.asked[1:]) == ["call", "later"]
        w.target.lets("later")
        await at_rest()
        assert w.target.asked[-1] == "last"
        w.target.lets("call")
        await at_rest()
        assert w.target.asked[-1] == "call too"


async def test_credit_goes_back_in_the_order_of_arrival_whatever_passes() -> None:
    async with way(by_level=True) as w:
        w.comes("first", 10)
        w.comes("second", 20)
        w.comes("deeper", 30, level=1)
        w.target.lets("deeper")
        await at_rest()
        assert (w.back, w.intake.open) == ([], 60)
        w.target.lets("first")
        await at_rest()
        assert (w.back, w.intake.open) == ([10], 50)
        w.target.lets("second")
        await at_rest()
        assert (w.back, w.intake.open) == ([10, 20, 30], 0)


async def test_credit_goes_back_in_that_order_where_some_is_passed_on_and_some_is_for_here() -> None:
    """As where callers of yesterday's interface are served here, and those of today's elsewhere."""
    async with way(by_level=False) as w:
        elsewhere = Gated(by_level=True)
        w.comes("here", 10)
        w.comes("deeper", 30, level=1, target=elsewhere)
        elsewhere.lets("deeper")
        await at_rest()
        assert (w.back, w.intake.open) == ([], 40)
        w.target.lets("here")
        await at_rest()
        assert (w.back, w.intake.open) == ([10, 30], 0)
