"""A call whose handler runs in the caller's own step: its actor sleeps, and need not be woken for what it can do at once.

Theory of operation
-------------------
- A plain function needs no task, and has none. It runs in a context of its own; what it sees as the current task is its
  caller's.
- A coroutine function makes its first step as an idle carrier, on a loop where another task can be the current one for a step
  (`_backends/_steps.py`). A scope or a timeout that it opens is the carrier's then, and never the caller's. If it ends in that
  step, nobody is woken at all. If it waits, the carrier goes on with it, and the caller waits for the reply as always.
- At most 127 of them come between two turns of the loop, so a caller that asks for ever is cancelled, and others run; and 16
  stand within each other. The handler never sees an exception that its caller is handling.
- It is one function as long as all goes well: each frame more would be 60 ns of a call that takes 2 us.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from functools import partial
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, Final

from supervise._backends import MUST_CANCEL, give
from supervise.mailbox.handler import ASYNC_CONTEXT_MANAGER, CONTEXT_MANAGER, unfinished, unfinished_result
from supervise.mailbox.lane import LOW
from supervise.mailbox.turn import NOT_NOW, Unanswered, set_turn

from .clean_context import InContext
from .first_step import FirstStep, begin_within
from .judgement import refuse

if TYPE_CHECKING:
    from supervise.mailbox.envelope import Envelope, MessageOptions
    from supervise.mailbox.mailbox import Mailbox
    from supervise.message import AnyHandler

    from .carrier import Carrier
    from .incarnation import Incarnation
    from .run_queue import RunQueue

DEPTH: Final = 16
_kind_of: Callable[[object], Any] = type


def answer(
    life: Incarnation,
    handler: AnyHandler,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    sender: Mailbox | None,
    options: MessageOptions | None,
    /,
) -> Any:
    """See `IncarnationTurn.answer`."""
    mailbox = life.mailbox
    backend = mailbox.backend
    runs: Any = backend.runs  # a RunQueue: `cast` would be a call
    table: Any = life.table
    try:
        function, way, name, attribute, code = table[handler]
        if getattr(_kind_of(life.instance), name) is not attribute:
            return NOT_NOW
    except Exception:  # not asked for before, without a hash, or gone from the class
        return NOT_NOW
    idle = runs.idle
    here: Any = None
    if way is not False:
        # What makes the coroutine may be code, too.
        if code is None or function.__code__ is not code or not idle or backend.enter is None:
            return NOT_NOW
        here = backend.current_task()
        if here is None:  # a step that is nobody's
            return NOT_NOW
    queue = mailbox.queue
    budget = runs.budget
    if (
        budget.left <= 1
        or budget.depth >= DEPTH
        or mailbox.attention
        or queue
        or _kind_of(queue) is not deque
        or mailbox.lifetime is not None
        or sys.exception() is not None  # it would be the context of what the handler raises
    ):
        return NOT_NOW
    carrier: Any = None
    context: Any = None
    result: Any = None
    kind: Any = None
    rest: Any = None
    waits_for: Any = None
    error: BaseException | None = None
    done = clean = False
    budget.left -= 1
    budget.depth += 1
    mailbox.waker = None
    mailbox.granted += 1
    life.in_hand = envelope = (handler, args, kwargs, None, sender, options)
    try:
        if way is False:
            context, runs.context = runs.context, None
            if context is None or runs.in_context is not life:
                context = runs.enter_context(context, life)
            run = context.run
            result = run(function, life.instance, *args, **kwargs) if kwargs else run(function, life.instance, *args)
            kind = _kind_of(result)
            # As `awaitable` does, without its frame.
            done = result is None or kind is int or kind is str or kind is dict or not hasattr(kind, "__await__")
            clean = len(context) == 1
        else:
            carrier = idle.pop()
            context = carrier.context
            if carrier.runs is not life:
                context.run(set_turn, life)
                carrier.runs = life
            life.task = task = carrier.task
            leave: Any = backend.leave
            enter: Any = backend.enter
            loop = backend.loop
            leave(loop, here)
            enter(loop, task)
            try:
                life.kill_scope = carrier.scope or carrier.enter_scope()
                rest = function(life.instance, *args, **kwargs) if kwargs else function(life.instance, *args)
                done, result = begin_within(context, rest)
                if done:
                    clean = (
                        len(context) == 1
                        and carrier.usage() is carrier.unused
                        and getattr(here, MUST_CANCEL, False) is not True
                    )
                else:
                    waits_for, result = result, None
            finally:
                leave(loop, task)
                enter(loop, here)
    except BaseException as raised:
        error = raised
    budget.depth -= 1
    if done and clean and not mailbox.attention:
        kind = _kind_of(result)
        if result is None or not (
            kind is GeneratorType
            or kind is AsyncGeneratorType
            or kind is CoroutineType
            or kind is CONTEXT_MANAGER
            or kind is ASYNC_CONTEXT_MANAGER
        ):
            mailbox.handled += 1
            life.in_hand = life.task = life.kill_scope = None
            if carrier is None:
                runs.context = context
            else:
                idle.append(carrier)
            mailbox.waker = life
            if mailbox.credits < LOW:
                mailbox.replenish()
            if queue:
                mailbox.wake()
            return result
    if carrier is None and error is None and not done and context is not None:  # it goes on in the context of what has made it
        result = InContext(context, result, backend.context_here)
    return _answer_otherwise(runs, life, carrier, envelope, result, rest, waits_for, error, done=done, here=here)


def _answer_otherwise(
    runs: RunQueue,
    life: Incarnation,
    carrier: Carrier | None,
    envelope: Envelope,
    result: Any,
    rest: Any,
    waits_for: Any,
    error: BaseException | None,
    *,
    done: bool,
    here: Any,
) -> Any:
    """The caller has to wait for its reply; or else the handler is done, and something else is to be looked at."""
    mailbox = life.mailbox
    if done and not unfinished(result):
        mailbox.handled += 1
        _sleep(runs, life, carrier)
        if carrier is None or getattr(here, MUST_CANCEL, False) is not True:
            return result
        # The handler has cancelled its caller, who has to wait to be told of it, and before it leaves the scope in question.
        later = runs.backend.future()
        runs.backend.call_at(runs.backend.now(), partial(give, later, result))
        return Unanswered(later)
    handler, args, kwargs, _, sender, options = envelope
    reply = runs.backend.future()
    life.in_hand = envelope = (handler, args, kwargs, reply, sender, options)
    if done:
        life.in_hand = None
        refuse(mailbox, mailbox, envelope, unfinished_result(handler, result))
        _sleep(runs, life, carrier)
    elif carrier is None:
        life.task = None
        runs.go_on(life, FirstStep(envelope, result, error=error))
    else:
        runs.hand(carrier, life, FirstStep(envelope, rest, waits_for, begun=True, error=error))
    return Unanswered(reply)


def _sleep(runs: RunQueue, life: Incarnation, carrier: Carrier | None) -> None:
    mailbox = life.mailbox
    life.in_hand = life.task = life.kill_scope = None
    if carrier is not None:
        runs.take_back(carrier)
    mailbox.waker = life
    if mailbox.attention or mailbox.queue:
        mailbox.wake()
