"""A task that is lent to one actor after the other, each for as long as it is at work. The rules are told in `run_queue.py`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from supervise._backends import Future, Scope

    from .first_step import FirstStep
    from .incarnation import Incarnation
    from .run_queue import RunQueue


def nobody() -> bool:
    """Has cancelled a task that hasn't begun."""
    return False


class Carrier:
    """One task. While it runs a life, that one has its kill scope."""

    __slots__ = (
        "coming",
        "context",
        "handed",
        "is_being_cancelled",
        "life",
        "own",
        "queue",
        "retired",
        "runs",
        "scope",
        "step",
        "task",
        "waited",
        "wake",
    )

    def __init__(self, queue: RunQueue) -> None:
        self.queue: RunQueue = queue
        self.context: Context = Context()
        self.task: object = None
        self.own: bool = False  # it is one life's alone
        self.retired: bool = False  # it runs nobody any more
        self.runs: Incarnation | None = None  # whose turn it is, in its context, while it idles
        self.is_being_cancelled: Callable[[], object] = nobody
        self.handed: tuple[Incarnation, FirstStep] | None = None  # what it is to go on with, before all else
        self.scope: Scope | None = None
        self.wake: Future | None = None  # while it waits for work
        self.life: Incarnation | None = None  # that it waits with
        self.waited: bool = False  # the life that it runs has waited for something other than messages, or is called
        self.coming: bool = False  # it was summoned, and hasn't run since
        self.step: Coroutine[Any, Any, None] | None = None  # of the life that it runs

    def can_be_shared(self) -> bool:
        """Whether nothing of the life that it runs would be felt by another one. 31 ns, and another 25 on asyncio."""
        return len(copy_context()) == 1 and not self.is_being_cancelled()

    def keeps(self, life: Incarnation) -> bool:
        """Whether it goes on waiting with the life that it runs, which may soon wait for something again."""
        if self.waited:
            self.life = life
            self.queue.keep(self)
        return self.waited

    def keeps_no_more(self) -> None:
        """There is something to do, or others are kept instead."""
        self.waited = False
        self.life = None
        self.queue.kept.pop(self, None)

    def becomes_its_own(self) -> None:
        """It is the task of the life that it runs, until that ends."""
        self.own = True

    def enter_scope(self) -> Scope:
        """The one by which what it runs is cancelled. In its own task, or as it."""
        self.scope = scope = self.queue.backend.scope()
        scope.__enter__()
        return scope
