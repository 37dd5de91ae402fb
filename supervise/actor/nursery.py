"""The task group of one incarnation: tasks that live, at most, as long as the incarnation does.

It can't be opened in the handler that uses it first: entered there, and left somewhere else, it corrupts the scope stack on
both backends (tried). So it lives in a host task of its own, which is made on first use, with `start_soon` buffering until
that task runs.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, TypeVarTuple, Unpack

import anyio
from anyio.abc import TaskGroup

from supervise.mailbox.hops import hops_of
from supervise.mailbox.turn import Turn, current_turn, set_turn
from supervise.message import name_of
from supervise_strategies.exception import leaves
from supervise_strategies.kind import is_of

if TYPE_CHECKING:
    from supervise._backends import Backend, Future
    from supervise.mailbox.mailbox import Mailbox

Ts = TypeVarTuple("Ts")


class Nursery:
    """The tasks of an actor beside its handlers: `current().nursery`.

    A task that raises crashes the incarnation. When the incarnation ends, for whatever reason,
    all are cancelled and awaited. So nothing of an actor outlives it.

    >>> import anyio
    >>> class Ticker:
    ...     def __init__(self):
    ...         current().nursery.start_soon(self.tick)
    ...     async def tick(self):
    ...         while True:
    ...             await anyio.sleep(1)
    ...             print(f"tick of {current().path}")
    >>> async with Supervisor("app", child(Ticker)) as app:
    ...     await anyio.sleep(2.5)
    tick of app/ticker
    tick of app/ticker
    """

    __slots__ = (
        "_backend",
        "_cancelled",
        "_crashed",
        "_ended",
        "_errors",
        "_group",
        "_left",
        "_pending",
        "_task",
        "_turn",
        "_wake",
        "running",
    )

    def __init__(self, mailbox: Mailbox, turn: Turn, crashed: Callable[[BaseException], object]) -> None:
        self._backend: Backend = mailbox.backend
        self._crashed = crashed
        self._group: TaskGroup | None = None
        self._pending: list[tuple[Context, Callable[..., Coroutine[Any, Any, Any]], tuple[Any, ...], str | None]] = []
        self._cancelled = False
        self._left = False  # the host leaves its group, and waits there for those that run
        self._errors: list[BaseException] = []
        self._wake: Future = self._backend.future()
        self._ended = anyio.Event()
        self._turn = turn
        self.running: int = 0
        """How many tasks there are."""
        # Whatever becomes of the host task, also before it has begun, who waits for the end hears of it.
        self._task = self._backend.spawn(self._host, Context(), f"{mailbox.path} nursery", self._over)

    def __repr__(self) -> str:
        return f"<Nursery of {self._turn.mailbox.path}, {self.running} running>"

    def start_soon(
        self, function: Callable[[Unpack[Ts]], Coroutine[Any, Any, Any]], *args: *Ts, name: str | None = None
    ) -> None:
        """Run `function(*args)` in a task of its own; it isn't an async function.

        It returns *before* the task has begun. In the task, `current()` is the actor, without a
        message in hand. Once the incarnation is ending the task is cancelled as it begins. Once it
        has ended, it raises RuntimeError.
        """
        self._turn.mailbox.check_thread()
        # A group without tasks that is being left takes a task, and never awaits it.
        if self._ended.is_set() or (self._left and not self.running):
            raise RuntimeError("this incarnation has ended, and its nursery with it: ask current() for that of the next")
        self._backend.lets_interrupt(function)
        self.running += 1
        context = copy_context()  # a task inherits that of whoever starts it; but it isn't the turn of the handler in hand
        instrument = self._turn.mailbox.instrument
        if instrument is not None:
            context.run(instrument.branch)
        hops = hops_of(current_turn(None))
        context.run(set_turn, self._turn if hops is None else self._turn.below(hops))
        if self._group is None:
            self._pending.append((context, function, args, name))
        else:
            self._begin(self._group, context, function, args, name)

    def cancel(self) -> None:
        """Cancel all tasks, those to come included."""
        self._cancelled = True
        if self._group is not None:
            self._group.cancel_scope.cancel()

    async def end(self, *, cancel: bool = True) -> None:
        """Cancel all tasks, unless they may finish, and wait until the last one has ended.

        It waits whatever happens to the waiter.
        """
        if cancel:
            self.cancel()
        if not self._wake.done():
            self._wake.set_result(None)
        with anyio.CancelScope(shield=True):
            while not self._ended.is_set():
                if self._backend.has_died(self._task):  # and Ctrl-C, on asyncio, struck in what was to tell of it
                    self._over()
                    break
                try:
                    await self._ended.wait()
                except self._backend.cancelled:  # a native cancel() pierces the shield; all of its tasks got one, too
                    continue

    def _begin(
        self,
        group: TaskGroup,
        context: Context,
        function: Callable[..., Coroutine[Any, Any, Any]],
        args: tuple[Any, ...],
        name: str | None,
    ) -> None:
        # A function of its own: the host task would keep the last task's arguments in its frame, as long as it lives.
        shown = name if name is not None else name_of(function)
        context.run(lambda: group.start_soon(self._run, group, function, args, name=shown))

    async def _run(self, group: TaskGroup, function: Callable[..., Coroutine[Any, Any, Any]], args: tuple[Any, ...]) -> None:
        try:
            await function(*args)
        except BaseException as error:
            if is_of(error, GeneratorExit) and not self._backend.in_its_thread():  # the loop is gone
                raise
            if group.cancel_scope.cancel_called and all(is_of(leaf, self._backend.cancelled) for leaf in leaves(error)):
                raise
            self._crashed(error)  # at once: until its siblings have ended, who may take their time, no message may be begun
            # It isn't raised into the group: on asyncio a cancellation that nobody asked for would end that in silence, and
            # SystemExit the whole loop; and what both backends do with a very deep group ends in a RecursionError.
            self._errors.append(error)
            self.cancel()
        finally:
            self.running -= 1
            if not self.running and self._turn.mailbox.attention:  # it may be all that the actor waits for before its end
                self._turn.mailbox.wake()

    def _over(self) -> None:
        self.running = 0
        self._ended.set()

    async def _host(self) -> None:
        try:
            async with anyio.create_task_group() as self._group:
                while self._pending:
                    self._begin(self._group, *self._pending.pop(0))
                if self._cancelled:
                    self._group.cancel_scope.cancel()
                try:
                    await self._wake
                finally:
                    self._left = True
        except BaseException as error:
            self._errors.append(error)
        errors, self._errors = self._errors, []
        if errors:
            self._crashed(BaseExceptionGroup("tasks of a nursery", errors))  # once more, with all that was raised
