"""A call that is answered in its caller's own step, from the barest one to the library's, each step with what a product needs.

It is read as `ablated_loop.SOURCE` is. A line that ends in `#+coroutine` is for a coroutine function, in `#-coroutine` for a
plain one.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from contextvars import Context
from typing import Any, Final

from supervise._backends import current_backend
from tests.benchmarks.actor import Counter
from tests.benchmarks.backend import on_trio
from tests.benchmarks.sample import Sample, Stopwatch, expect, figure

from . import channel_loop, queue_loop, toolkit
from .ablated_loop import LIBRARY, SLICES, program, text

COROUTINE: Final[Mapping[str, str]] = {
    "coroutine": "one step of a coroutine, by hand",
    "arguments": "any number of arguments",
    "keywords": "arguments by keyword",
    "swap": "as a task of its own: scopes, timeouts",
    "context": "a context of its own, which says whose",
    "address": "address: room? closed? settings? function?",
    "cycle": "who calls, for a circle of calls",
    "thread": "in the thread of its loop?",
    "asleep": "asleep, nothing waits, no stop or kill",
    "lookup": "handler found by the live class",
    "kind": "an `async def` itself, with the same code?",
    "error": "no error that the caller is handling",
    "budget": "fairness: budget and depth",
    "hand": "message in hand, and counted",
    "survival": "try: what a crash leaves intact",
    "scope": "kill scope",
    "clean": "nothing set in its context or task",
    "finished": "a result that is no unfinished work",
    "credits": "senders that wait for room",
}
PLAIN: Final[Mapping[str, str]] = {
    "plain": "a function is called",
    **{step: title for step, title in COROUTINE.items() if step not in ("coroutine", "swap", "kind", "scope")},
}
SOURCE: Final = """
import sys
from collections import deque
from contextvars import ContextVar
from inspect import CO_COROUTINE
from threading import get_ident
from types import AsyncGeneratorType, CoroutineType, FunctionType, GeneratorType
from supervise.actor.first_step import begin, begin_within

CURRENT = ContextVar("turn")
set_turn = CURRENT.set
SHARED = {}

def code_of(function):
    return function.__code__ if type(function) is FunctionType and function.__code__.co_flags & CO_COROUTINE else None


class Life:
    def __init__(self, backend, factory, carrier, context):
        self.backend, self.instance, self.carrier, self.context = backend, factory(), carrier, context
        self.table, self.mailbox, self.queue, self.waker = {}, self, deque(), self
        self.credits, self.handled, self.in_hand, self.attention, self.scope = 127, 0, None, False, None
        self.settings, self.open, self.left, self.depth, self.task, self.kill_scope = None, True, 1 << 60, 0, None, None
        self.thread, self.lifetime, self.used_up = get_ident(), None, lambda: 0
        self.used_up = getattr(carrier, "cancelling", self.used_up)
        self.loop = backend.loop
        self.runs = None

    def answer(self, handler, amount):                              #-arguments
    def answer(self, handler, args):                                #+arguments #-keywords
    def answer(self, handler, args, kwargs):                        #+keywords
        one = self.instance
        function = handler                                          #-lookup
        table = self.table                                          #+lookup
        try:                                                        #+lookup
            function, name, attribute, code = table[handler]        #+lookup
        except KeyError:                                            #+lookup
            name = handler.__name__                                 #+lookup
            code, attribute = code_of(handler), getattr(type(one), name)  #+lookup
            function, name, attribute, code = table[handler] = handler, name, attribute, code  #+lookup
        if getattr(type(one), name) is not attribute:               #+lookup
            return None                                             #+lookup
        if code is None or function.__code__ is not code:           #+kind
            return None                                             #+kind
        backend = self.backend                                      #+swap
        here = backend.current_task()                               #+swap
        queue = self.queue                                          #+asleep
        if self.attention or queue or type(queue) is not deque or self.lifetime is not None:  #+asleep
            return None                                             #+asleep
        if sys.exception() is not None:                             #+error
            return None                                             #+error
        if self.left <= 1 or self.depth >= 16:                      #+budget
            return None                                             #+budget
        self.left -= 1                                              #+budget
        self.depth += 1                                             #+budget
        self.waker = None                                           #+asleep
        self.in_hand = (handler, args, kwargs, None, None, None)    #+hand
        context = self.context                                      #+context
        if self.runs is not self:                                   #+context
            context.run(set_turn, self)                             #+context
            self.runs = self                                        #+context
        error = None                                                #+survival
        if True:                                                    #-survival
        try:                                                        #+survival
            result = function(one, amount)                          #-coroutine #-arguments
            result = function(one, *args)                           #-coroutine #+arguments #-keywords
            result = function(one, *args, **kwargs) if kwargs else function(one, *args)  #-coroutine #+keywords #-context
            result = context.run(function, one, *args)              #-coroutine #+context
            task = self.task = self.carrier                         #+swap
            leave, enter, loop = backend.leave, backend.enter, self.loop  #+swap
            leave(loop, here)                                       #+swap
            enter(loop, task)                                       #+swap
            if True:                                                #+coroutine #-swap
            try:                                                    #+coroutine #+swap
                self.kill_scope = self.scope or self.enter_scope()  #+scope
                rest = function(one, amount)                        #+coroutine #-arguments
                rest = function(one, *args)                         #+coroutine #+arguments #-keywords
                rest = function(one, *args, **kwargs) if kwargs else function(one, *args)  #+coroutine #+keywords
                done, result = begin(rest)                          #+coroutine #-context
                done, result = begin_within(context, rest)          #+coroutine #+context
                if not done:                                        #+coroutine
                    raise RuntimeError("it waits")                  #+coroutine
            finally:                                                #+swap
                leave(loop, task)                                   #+swap
                enter(loop, here)                                   #+swap
        except BaseException as raised:                             #+survival
            error = raised                                          #+survival
        self.depth -= 1                                             #+budget
        if len(context) != 1:                                       #+clean
            raise RuntimeError("a handler has set a variable")      #+clean
        if self.used_up() or getattr(here, "_must_cancel", False) is True:  #+clean #+coroutine
            raise RuntimeError("a handler has cancelled somebody")  #+clean #+coroutine
        kind = type(result)                                         #+finished
        if result is not None and (kind is GeneratorType or kind is AsyncGeneratorType or kind is CoroutineType):  #+finished
            raise RuntimeError("it isn't done")                     #+finished
        self.handled += 1                                           #+hand
        self.in_hand = self.task = self.kill_scope = None           #+hand
        self.waker = self                                           #+asleep
        if self.credits < 64:                                       #+credits
            self.credits = 127                                      #+credits
        if error is not None:                                       #+survival
            raise error                                             #+survival
        return result

    def enter_scope(self):
        self.scope = self.backend.scope()
        self.scope.__enter__()
        return self.scope

class Address:
    def __init__(self, life):
        self.life = self.mailbox = self.token = life
        self.settings = None

    async def call(self, handler, amount):                          #-arguments
    async def call(self, handler, /, *args):                        #+arguments #-keywords
    async def call(self, handler, /, *args, **kwargs):              #+keywords
        life = self.life                                            #-address
        mailbox = self.mailbox                                      #+address
        if not (mailbox.credits and self.settings is None and self.token.open and type(handler) is FunctionType):  #+address
            raise RuntimeError("the slow way")                      #+address
        if CURRENT.get(None) is not None:                           #+cycle
            raise RuntimeError("the slow way")                      #+cycle
        if get_ident() != mailbox.thread:                           #+thread
            raise RuntimeError("another thread")                    #+thread
        life = mailbox.mailbox                                      #+address
        if mailbox.waker is not life:                               #+asleep
            raise RuntimeError("it doesn't sleep")                  #+asleep
        return life.answer(handler, amount)                         #-arguments
        return life.answer(handler, args)                           #+arguments #-keywords
        return life.answer(handler, args, kwargs or SHARED)         #+keywords
"""


def _variants(steps: Mapping[str, str]) -> Mapping[str, Mapping[str, Any]]:
    return {title: program(text(step, SOURCE, [*steps])) for step, title in steps.items()}


async def _timed(variant: Mapping[str, Any], handler: Any, n: int) -> float:
    """µs per call."""
    backend = current_backend()
    await backend.open()
    over = backend.future()
    context = Context()

    async def idle() -> None:
        await over

    carrier: Any = backend.spawn(idle, context, "ablated")
    await backend.checkpoint()
    address: Any = variant["Address"](variant["Life"](backend, Counter, carrier, Context()))
    with Stopwatch() as watch:
        for _ in range(n):
            await address.call(handler, 1)
    expect(await address.call(handler, 0), n)
    over.set_result(None)
    await backend.checkpoint()
    await backend.close()
    return watch.cpu / n * 1e6


async def compare(n: int, workload: str, handler: Any, variants: Mapping[str, Mapping[str, Any]]) -> Sample:
    """Ratios to the loop by hand, as those of `ablated_loop.compare`."""
    hand: Any = (channel_loop if on_trio() else queue_loop).WORKLOADS["call"]
    library: Any = toolkit.WORKLOADS[workload]
    each = max(1, n // SLICES // 100) * 100
    ratios: dict[str, list[float]] = {title: [] for title in (*variants, LIBRARY)}
    for _ in range(SLICES):
        base = figure(await hand(each), "time", "cpu")
        for title, variant in variants.items():
            ratios[title].append(await _timed(variant, handler, each) / base)
        ratios[LIBRARY].append(figure(await library(each), "time", "cpu") / base)
    return {title: statistics.median(values) for title, values in ratios.items()}


async def call(n: int) -> Sample:
    """A coroutine function is answered at once on asyncio alone; see `ablated_loop` for trio."""
    return await compare(n, "call", Counter.add, _COROUTINES)


async def call_plain(n: int) -> Sample:
    return await compare(n, "call_plain", Counter.add_now, _PLAIN)


_COROUTINES: Final = _variants(COROUTINE)
_PLAIN: Final = _variants(PLAIN)
