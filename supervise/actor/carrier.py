"""A task that is lent to one actor after the other, each for as long as it is at work. The rules are told in `run_queue.py`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final

from supervise.log import say

if TYPE_CHECKING:
    from supervise._backends import Future, Scope

    from .first_step import FirstStep
    from .incarnation import Incarnation
    from .run_queue import RunQueue


UNNAMED: Final = "supervise carrier"
"""What a task is called that runs nobody who waits."""
IDLE: Final = 64
"""Carriers that may wait for work, or with an actor; more of them end."""


class Carrier:
    """One task. While it runs a life, that one has its kill scope."""

    __slots__ = (
        "coming",
        "context",
        "handed",
        "life",
        "named",
        "own",
        "queue",
        "renews",
        "retired",
        "runs",
        "scope",
        "step",
        "task",
        "unused",
        "usage",
        "waited",
        "wake",
    )

    def __init__(self, queue: RunQueue) -> None:
        self.queue: RunQueue = queue
        self.context: Context = Context()
        self.task: object = None
        self.named: bool = False  # its task is called as the actor that it runs
        self.own: bool = False  # it is one life's alone
        self.retired: bool = False  # it runs nobody any more
        self.runs: Incarnation | None = None  # whose turn it is, in its context, while it idles
        self.usage: Callable[[], object] = bool  # answers another object than `unused` when something was left in the task
        self.unused: object = False
        self.handed: tuple[Incarnation, FirstStep] | None = None  # what it is to go on with, before all else
        self.scope: Scope | None = None
        self.wake: Future | None = None  # while it waits for work
        self.life: Incarnation | None = None  # that it waits with
        self.waited: bool = False  # the life that it runs has waited for something other than messages, or is called
        self.renews: int | None = None  # the budget that was used up when it was summoned
        self.coming: bool = False  # it was summoned, and hasn't run since
        self.step: Coroutine[Any, Any, None] | None = None  # of the life that it runs

    def can_be_shared(self) -> bool:
        """Whether nothing of the life that it runs would be felt by another one. 80 to 95 ns."""
        return len(self.context) == 1 and self.usage() is self.unused

    def keeps(self, life: Incarnation) -> bool:
        """Whether it goes on waiting with the life that it runs, which may soon wait for something again."""
        if not self.waited:
            return False
        kept = self.queue.kept
        if len(kept) >= IDLE:  # the one that has waited longest does so no more
            longest = next(iter(kept))
            del kept[longest]
            if longest.life is not None:
                longest.life.mailbox.wake()
        self.life = life
        kept[self] = None
        return True

    def keeps_no_more(self) -> None:
        """There is something to do, or others are kept instead."""
        self.waited = False
        self.life = None
        self.queue.kept.pop(self, None)

    def becomes_its_own(self, life: Incarnation) -> None:
        """It is the task of the life that it runs, until that ends."""
        self.own = True
        self.name(life.mailbox.name)

    def name(self, name: str | None) -> None:
        """Call its task so, for whoever lists tasks; None: it is nobody's."""
        self.named = name is not None
        self.queue.backend.rename(self.task, UNNAMED if name is None else name)

    def enter_scope(self) -> Scope:
        """The one by which what it runs is cancelled. In its own task, or as it."""
        backend = self.queue.backend
        self.scope = scope = backend.scope()
        scope.__enter__()
        self.usage, self.unused = backend.usage_of(self.task)
        return scope

    def keep_scope_of(self, life: Incarnation) -> None:
        """It has ended. Who ends next needs no scope of its own: that was a sixth of the end of an idle actor."""
        if life.kill_scope is not None and not life.kill_scope.cancel_called:
            self.scope, life.kill_scope = life.kill_scope, None

    def leave_scope(self) -> None:
        """Its task ends. What a handler has left open there has been felt by others already, and is said."""
        scope, self.scope = self.scope, None
        if scope is None:
            return
        try:
            scope.__exit__(None, None, None)
        except Exception as error:
            say(logging.ERROR, "a handler has left a cancel scope open in a task that was lent to it: %s", error, error=error)
