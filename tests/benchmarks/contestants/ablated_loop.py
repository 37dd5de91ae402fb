"""A hand-written loop that becomes the library's: it begins as the barest parked task, and each step adds what a product needs.

`SOURCE` is all of the loops at once. A line that ends in `#+step` is in from that step on, one in `#-step` up to it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import Context
from functools import partial
from typing import Any, Final, TypeAlias

import anyio

from supervise._backends import Backend, current_backend
from tests.benchmarks.actor import Counter
from tests.benchmarks.backend import on_trio
from tests.benchmarks.sample import Sample, Stopwatch, Workload, expect, figure

from . import channel_loop, queue_loop, toolkit

STEPS: Final[Mapping[str, str]] = {
    "bare": "parked task, deque, bare future",
    "arguments": "any number of arguments",
    "keywords": "arguments by keyword",
    "sender": "the sender, by a context variable",
    "credit": "room, refusal, burst: one credit",
    "address": "address: closed? settings? a function?",
    "lookup": "handler found by the live class",
    "hand": "message in hand, and counted",
    "attention": "stop, kill, failure: one flag",
    "abandoned": "callers that are gone, deadlines",
    "scope": "kill scope",
    "survival": "try: what a crash leaves intact",
    "context": "a clean context for each message",
}
LIBRARY: Final = "the library"

SOURCE: Final = """
import math
from collections import deque
from contextvars import ContextVar
from types import FunctionType

CURRENT = ContextVar("turn")

class Mailbox:
    def __init__(self, backend, factory, capacity):
        self.backend, self.factory, self.capacity = backend, factory, capacity
        self.queue, self.waker, self.waiters, self.over = deque(), None, deque(), False
        self.credits, self.handled, self.in_hand, self.attention, self.scope = 0, 0, None, False, None
        self.mailbox, self.settings, self.open = self, None, True

    def wake(self):
        waker, self.waker = self.waker, None
        if waker is not None and not waker.done():
            waker.set_result(None)

    async def admitted(self):
        while len(self.queue) >= self.capacity:                     #-credit
        while not self.credits:                                     #+credit
            if len(self.queue) >= self.capacity:
                self.waiters.append(self.backend.future())
                await self.waiters[-1]
            else:                                                   #+credit
                await self.backend.checkpoint()                     #+credit
            self.credits = int(min(127, self.capacity - len(self.queue)))  #+credit

    async def run(self):
        CURRENT.set(self)                                           #+sender
        instance, future, queue, left = self.factory(), self.backend.future, self.queue, 128
        table = {}                                                  #+lookup
        error = None                                                #+survival
        context = self.backend.context_of(self.backend.current_task(), self.context)  #+context
        seen = context.copy()                                       #+context
        while not self.over:
            batch = len(queue)
            if not batch:
                self.waker = waker = future()
                await waker
                left = 128
                continue
            done = 0
            for done in range(1, min(batch, left) + 1):
                envelope = queue.popleft()                          #-hand
                self.in_hand = envelope = queue.popleft()           #+hand
                handler, amount, reply = envelope                   #-arguments
                handler, args, reply = envelope                     #+arguments #-keywords
                handler, args, kwargs, reply = envelope             #+keywords #-sender
                handler, args, kwargs, reply, _, deadline = envelope  #+sender
                if reply is not None and reply.done() or (          #+abandoned
                    deadline is not None and deadline <= self.backend.now()  #+abandoned
                ):                                                  #+abandoned
                    continue                                        #+abandoned
                if True:  #-survival
                try:                                                #+survival
                    result = await handler(instance, amount)        #-arguments
                    result = await handler(instance, *args)         #+arguments #-keywords
                    result = await handler(instance, *args, **kwargs)  #+keywords #-lookup
                    try:                                            #+lookup
                        found = table[handler]                      #+lookup
                    except (KeyError, TypeError):                   #+lookup
                        found = table[handler] = getattr(type(instance), handler.__name__), True  #+lookup
                    function, is_coroutine = found                  #+lookup
                    result = function(instance, *args, **kwargs) if kwargs else function(instance, *args)  #+lookup
                    if is_coroutine or hasattr(type(result), "__await__"):  #+lookup
                        if self.scope is None:                      #+scope
                            self.scope = self.backend.scope()       #+scope
                            self.scope.__enter__()                  #+scope
                        result = await result                       #+lookup
                except BaseException as raised:                     #+survival
                    error = raised                                  #+survival
                    break                                           #+survival
                else:                                               #+survival
                if True:  #-survival
                    self.handled += 1                               #+hand
                    if reply is not None and not reply.done():
                        reply.set_result(result)
                try:                                                #+context
                    changed = context != seen                       #+context
                except BaseException:                               #+context
                    changed = True                                  #+context
                if changed:                                         #+context
                    raise RuntimeError("a handler has set a variable")  #+context
                if self.attention:                                  #+attention
                    break                                           #+attention
            self.in_hand = None                                     #+hand
            envelope = handler = args = kwargs = reply = result = None
            if self.credits < 64:                                   #+credit
                self.credits = int(min(127, self.capacity - len(queue)))  #+credit
            for _ in range(min(len(self.waiters), 1 + (self.capacity - len(queue)) // 64) if self.waiters else 0):
                self.waiters.popleft().set_result(None)
            left -= done
            if left <= 0:
                left = 128
                await self.backend.checkpoint()
            if error is not None:                                   #+survival
                raise error                                         #+survival
        if self.scope is not None:
            self.scope.__exit__(None, None, None)

class Address:                                                      #+address
    def __init__(self, mailbox):                                    #+address
        self.mailbox, self.settings, self.token = mailbox, None, mailbox  #+address

    async def send(self, handler, amount):                          #-arguments
    async def send(self, handler, /, *args):                        #+arguments #-keywords
    async def send(self, handler, /, *args, **kwargs):              #+keywords
        mailbox = self.mailbox
        if len(mailbox.queue) >= mailbox.capacity:                  #-credit
        if not mailbox.credits:                                     #+credit #-address
        if not (mailbox.credits and self.settings is None and self.token.open and type(handler) is FunctionType):  #+address
            await mailbox.admitted()
        mailbox.credits -= 1                                        #+credit
        turn = CURRENT.get(None)                                    #+sender
        mailbox.queue.append((handler, amount, None))               #-arguments
        mailbox.queue.append((handler, args, None))                 #+arguments #-keywords
        mailbox.queue.append((handler, args, kwargs, None))         #+keywords #-sender
        mailbox.queue.append((handler, args, kwargs, None, None if turn is None else turn.mailbox, None))  #+sender
        waker = mailbox.waker
        if waker is not None:
            mailbox.waker = None
            if not waker.done():
                waker.set_result(None)

    async def call(self, handler, amount, within=None):             #-arguments
    async def call(self, handler, /, *args, within=None):           #+arguments #-keywords
    async def call(self, handler, /, *args, within=None, **kwargs):  #+keywords
        mailbox = self.mailbox
        backend = mailbox.backend
        deadline = None if within is None else backend.now() + within
        if len(mailbox.queue) >= mailbox.capacity:                  #-credit
        if not mailbox.credits:                                     #+credit #-address
        if not (mailbox.credits and self.settings is None and self.token.open and type(handler) is FunctionType):  #+address
            await mailbox.admitted()
        mailbox.credits -= 1                                        #+credit
        turn = CURRENT.get(None)                                    #+sender
        reply = backend.future()
        mailbox.queue.append((handler, amount, reply))              #-arguments
        mailbox.queue.append((handler, args, reply))                #+arguments #-keywords
        mailbox.queue.append((handler, args, kwargs, reply))        #+keywords #-sender
        mailbox.queue.append((handler, args, kwargs, reply, None if turn is None else turn.mailbox, deadline))  #+sender
        waker = mailbox.waker
        if waker is not None:
            mailbox.waker = None
            if not waker.done():
                waker.set_result(None)
        if deadline is not None:
            return await backend.until(reply, deadline)
        return await reply

def made(mailbox):
    return mailbox                                                  #-address
    return Address(mailbox)                                         #+address
"""

Drive: TypeAlias = Callable[[Any, int], Coroutine[Any, Any, None]]
SLICES = 3


def text(step: str, source: str = SOURCE, order: Sequence[str] = (*STEPS,)) -> str:
    """The program as it is at this step."""
    reached = set(order[: order.index(step) + 1])
    lines: list[str] = []
    for line in source.splitlines():
        code, *marks = line.split("  #") if "  #" in line else [line]
        tags = " ".join(marks).replace("#", " ").split()
        if all((tag[1:] in reached) == (tag[0] == "+") for tag in tags):
            lines.append(code)
    return "\n".join(lines)


def program(text: str) -> dict[str, Any]:
    """What it defines."""
    names: dict[str, Any] = {}
    exec(text, names)
    return names


VARIANTS: Final = {title: program(text(step)) for step, title in STEPS.items()}


async def _timed(backend: Backend, variant: Mapping[str, Any], n: int, capacity: float, drive: Drive) -> float:
    """µs per operation of one loop."""
    mailbox: Any = variant["Mailbox"](backend, Counter, capacity)
    address: Any = variant["made"](mailbox)
    await backend.open()
    mailbox.context = Context()
    backend.spawn(mailbox.run, mailbox.context, "ablated")
    with Stopwatch() as watch:
        await drive(address, n)
        total = await address.call(Counter.add, 0)
    expect(total, n)
    mailbox.over = True
    mailbox.wake()
    await backend.checkpoint()
    await backend.close()
    return watch.cpu / n * 1e6


async def compare(n: int, workload: str, capacity: float, drive: Drive) -> Sample:
    """Ratios to the loop by hand: all take turns, a slice of the work each, as the machine isn't the same for long."""
    hand: Any = (channel_loop if on_trio() else queue_loop).WORKLOADS[workload]
    library: Any = toolkit.WORKLOADS[workload]
    each = max(1, n // SLICES // 100) * 100
    ratios: dict[str, list[float]] = {title: [] for title in (*VARIANTS, LIBRARY)}
    for _ in range(SLICES):
        base = figure(await hand(each), "time", "cpu")
        for title, variant in VARIANTS.items():
            ratios[title].append(await _timed(current_backend(), variant, each, capacity, drive) / base)
        ratios[LIBRARY].append(figure(await library(each), "time", "cpu") / base)
    return {title: statistics.median(values) for title, values in ratios.items()}


async def _sends(address: Any, n: int) -> None:
    for _ in range(n):
        await address.send(Counter.add, 1)


async def _calls(address: Any, n: int) -> None:
    for _ in range(n):
        await address.call(Counter.add, 1)


async def _hurried_calls(address: Any, n: int) -> None:
    for _ in range(n):
        await address.call(Counter.add, 1, within=5)


async def _crowd(drive: Drive, address: Any, n: int) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(100):
            group.start_soon(drive, address, n // 100)


def _loops(workload: str, drive: Drive, capacity: float = 1000) -> Workload:
    return partial(compare, workload=workload, capacity=capacity, drive=drive)


async def call(n: int) -> Sample:
    """One that its actor's own loop answers."""
    return await compare(n, "call", 1000, _calls)


WORKLOADS: Final[Mapping[str, Workload]] = {
    "send": _loops("send", _sends),
    "send_unbounded": _loops("send_unbounded", _sends, math.inf),
    "call_deadline": _loops("call_deadline", _hurried_calls),
    "callers": _loops("callers", partial(_crowd, _calls)),
    "fan_in": _loops("fan_in", partial(_crowd, _sends)),
}
