"""A hop from one sleeping actor to the next one, from a bare queue of those that have work to the library's carrier.

It is read as `ablated_loop.SOURCE` is. There is one task, which runs them all, as where no handler waits for anything.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from contextvars import Context
from typing import Any, Final

from supervise._backends import current_backend
from tests.benchmarks.backend import on_trio
from tests.benchmarks.sample import Sample, Stopwatch, Workload, figure

from . import channel_loop, queue_loop, toolkit
from .ablated_loop import LIBRARY, SLICES, program, text

STEPS: Final[Mapping[str, str]] = {
    "bare": "the next of those that have work, awaited",
    "budget": "128 between two turns of the loop",
    "arguments": "any number of arguments",
    "keywords": "arguments by keyword",
    "address": "address: room? closed? settings? function?",
    "thread": "in the thread of its loop?",
    "sender": "the sender, and who works: a variable",
    "asleep": "asleep, nothing waits, no stop or kill",
    "lookup": "handler found by the live class",
    "abandoned": "callers that are gone, deadlines",
    "hand": "message in hand, and counted",
    "step": "one step by hand: does it wait?",
    "scope": "kill scope",
    "survival": "try: what a crash leaves intact",
    "clean": "nothing set in its context or task",
    "credits": "senders that wait for room",
}
SOURCE: Final = """
from collections import deque
from contextvars import ContextVar
from threading import get_ident
from types import CoroutineType, FunctionType
from supervise.actor.first_step import begin

CURRENT = ContextVar("turn")
current_turn, set_turn = CURRENT.get, CURRENT.set
SHARED = {}

class Carrier:
    def __init__(self, backend):
        self.backend, self.ready, self.waker, self.over = backend, deque(), None, False
        self.left, self.scope, self.serving, self.context, self.task = 128, None, False, None, None
        self.thread, self.use, self.unused, self.table = get_ident(), bool, False, {}

    async def run(self):
        ready = self.ready
        self.task = self.backend.current_task()                     #+hand
        self.context = self.backend.context_of(self.task, self.context)  #+clean
        while not self.over:
            while ready:
                if self.left <= 0:                                  #+budget
                    await self.backend.checkpoint()                 #+budget
                    self.left = 128                                 #+budget
                    continue                                        #+budget
                life = ready.popleft()
                handler, amount = life.queue.popleft()              #-arguments
                await handler(life.instance, amount)                #-arguments
                await self.handle(life)                             #+arguments #-step
                self.handle(life)                                   #+step
                self.left -= 1                                      #+budget
            self.waker = self.backend.future()
            self.serving = False                                    #+asleep
            await self.waker
            self.serving = True                                     #+asleep
        if self.scope is not None:
            self.scope.__exit__(None, None, None)
        self.waker = None

    async def handle(self, life):                                   #-step
    def handle(self, life):                                         #+step
        queue, table, one = life.queue, life.table, life.instance
        if life.attention or type(queue) is not deque or len(queue) != 1 or life.lifetime is not None:  #+asleep
            raise RuntimeError("the slow way")                      #+asleep
        handler, args = queue.popleft()                             #-keywords
        handler, args, kwargs = queue.popleft()                     #+keywords #-sender
        handler, args, kwargs, _ = queue.popleft()                  #+sender #-abandoned
        handler, args, kwargs, reply, _, options = queue.popleft()  #+abandoned #-hand
        envelope = queue[0]                                         #+hand
        handler, args, kwargs, reply, _, options = envelope         #+hand
        if options is not None or (reply is not None and reply.done()):  #+abandoned
            raise RuntimeError("the slow way")                      #+abandoned
        function = handler                                          #-lookup
        try:                                                        #+lookup
            function, way, name, attribute, _ = table[handler]      #+lookup
        except KeyError:                                            #+lookup
            name = handler.__name__                                 #+lookup
            attribute = getattr(type(one), name)                    #+lookup
            function, way, name, attribute, _ = table[handler] = handler, True, name, attribute, True  #+lookup
        if (way is not True and way is not False) or getattr(type(one), name) is not attribute:  #+lookup
            raise RuntimeError("the slow way")                      #+lookup
        set_turn(life)                                              #+sender
        life.task, life.in_hand = self.task, envelope               #+hand
        queue.popleft()                                             #+hand
        if True:                                                    #-survival
        try:                                                        #+survival
            result = function(one, *args)                           #-keywords
            result = function(one, *args, **kwargs) if kwargs else function(one, *args)  #+keywords
        except BaseException as error:                              #+survival
            return error                                            #+survival
        life.kill_scope = self.scope or self.enter_scope()          #+scope
        await result                                                #-step
        if type(result) is not CoroutineType or life.attention:     #+step
            raise RuntimeError("the slow way")                      #+step
        if True:                                                    #+step #-survival
        try:                                                        #+step #+survival
            done, result = begin(result)                            #+step
        except BaseException as error:                              #+survival
            return error                                            #+survival
        if not done:                                                #+step
            raise RuntimeError("it waits")                          #+step
        if reply is None:                                           #+hand
            life.handled += 1                                       #+hand
            life.in_hand = None                                     #+hand
        if life.credits < 64:                                       #+credits
            life.credits = 127                                      #+credits
        if life.attention or queue:                                 #+asleep
            raise RuntimeError("the slow way")                      #+asleep
        if len(self.context) != 1 or self.use() is not self.unused:  #+clean
            raise RuntimeError("the slow way")                      #+clean
        life.task = life.kill_scope = None                          #+hand
        life.waker = life                                           #+asleep
        return None

    def enter_scope(self):
        self.scope = self.backend.scope()
        self.scope.__enter__()
        self.use, self.unused = self.backend.usage_of(self.task)      #+clean
        return self.scope

class Life:
    def __init__(self, carrier, instance):
        self.carrier, self.instance, self.queue, self.table = carrier, instance, deque(), carrier.table
        self.attention, self.lifetime, self.credits, self.handled = False, None, 1 << 60, 0
        self.in_hand, self.task, self.kill_scope, self.waker = None, None, None, self
        self.mailbox = self.token = self
        self.settings, self.open, self.thread = None, True, carrier.thread

    def set_result(self, result, /):                                #+asleep
        carrier = self.carrier                                      #+asleep
        carrier.ready.append(self)                                  #+asleep
        if not carrier.serving:                                     #+asleep
            carrier.waker.set_result(None)                          #+asleep

    async def send(self, handler, amount):                          #-arguments
    async def send(self, handler, /, *args):                        #+arguments #-keywords
    async def send(self, handler, /, *args, **kwargs):              #+keywords
        mailbox = self                                              #-address
        mailbox = self.mailbox                                      #+address
        if not (mailbox.credits and self.settings is None and self.token.open and type(handler) is FunctionType):  #+address
            raise RuntimeError("the slow way")                      #+address
        if get_ident() != mailbox.thread:                           #+thread
            raise RuntimeError("another thread")                    #+thread
        turn = current_turn(None)                                   #+sender
        waker = mailbox.waker                                       #+asleep
        if waker is not None:                                       #+asleep
            waker.set_result(None)                                  #+asleep
            mailbox.waker = None                                    #+asleep
        sender = None if turn is None else turn.mailbox             #+sender
        mailbox.queue.append((handler, amount))                     #-arguments
        mailbox.queue.append((handler, args))                       #+arguments #-keywords
        mailbox.queue.append((handler, args, kwargs or SHARED))     #+keywords #-sender
        mailbox.queue.append((handler, args, kwargs or SHARED, sender))  #+sender #-abandoned
        mailbox.queue.append((handler, args, kwargs or SHARED, None, sender, None))  #+abandoned
        mailbox.credits -= 1                                        #+address
        mailbox.carrier.ready.append(mailbox)                       #-asleep
        if mailbox.carrier.waker is not None and not mailbox.carrier.waker.done():  #-asleep
            mailbox.carrier.waker.set_result(None)                  #-asleep
"""


class Node:
    """A station of the ring."""

    def __init__(self, done: Any) -> None:
        self.following: Any = None
        self.done = done

    async def token(self, left: int) -> None:
        if left:
            await self.following.send(Node.token, left - 1)
        else:
            self.done.set_result(None)


async def _timed(variant: Mapping[str, Any], n: int) -> float:
    """µs per hop."""
    backend = current_backend()
    await backend.open()
    carrier: Any = variant["Carrier"](backend)
    done = backend.future()
    lives: list[Any] = [variant["Life"](carrier, Node(done)) for _ in range(1000)]
    for life, following in zip(lives, lives[1:] + lives[:1], strict=True):
        life.instance.following = following
    carrier.context = context = Context()
    context.run(variant["CURRENT"].set, None)
    backend.spawn(carrier.run, context, "ablated")
    while carrier.waker is None:
        await backend.checkpoint()
    with Stopwatch() as watch:
        await lives[0].send(Node.token, n)
        await done
    carrier.over = True
    carrier.waker.set_result(None)
    while carrier.waker is not None:
        await backend.checkpoint()
    await backend.close()
    return watch.cpu / n * 1e6


async def ring(n: int) -> Sample:
    """Ratios to the ring by hand, as those of `ablated_loop.compare`."""
    hand: Any = (channel_loop if on_trio() else queue_loop).WORKLOADS["ring"]
    library: Any = toolkit.WORKLOADS["ring"]
    each = max(1, n // SLICES // 100) * 100
    ratios: dict[str, list[float]] = {title: [] for title in (*_VARIANTS, LIBRARY)}
    for _ in range(SLICES):
        base = figure(await hand(each), "time", "cpu")
        for title, variant in _VARIANTS.items():
            ratios[title].append(await _timed(variant, each) / base)
        ratios[LIBRARY].append(figure(await library(each), "time", "cpu") / base)
    return {title: statistics.median(values) for title, values in ratios.items()}


_VARIANTS: Final = {title: program(text(step, SOURCE, [*STEPS])) for step, title in STEPS.items()}
WORKLOADS: Final[Mapping[str, Workload]] = {"ring": ring}
