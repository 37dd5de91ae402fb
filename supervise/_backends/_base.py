"""What the runtime needs of an event loop, and nothing more."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from supervise_strategies.exception import leaves
from supervise_strategies.kind import is_of

if TYPE_CHECKING:
    from ._errands import Errands
    from ._steps import Swap


class Expired(TimeoutError):
    """The deadline of a wait has passed."""


class Future(Protocol):
    """One result for one waiter: the wake-up of a parked task, and the reply slot of a call.

    A waiter that is cancelled leaves it `done`, so whoever would answer sees that nobody waits any more.
    """

    def done(self) -> bool: ...
    def cancelled(self) -> bool:
        """Whether it is done because its waiter was cancelled."""
        ...

    def exception(self) -> BaseException | None:
        """Of one that is done, and not cancelled. It is then known, and asyncio doesn't complain that nobody wanted it."""
        ...

    def set_result(self, result: Any, /) -> None: ...
    def set_exception(self, exception: Any, /) -> None: ...
    def __await__(self) -> Generator[Any, Any, Any]: ...


class Handle(Protocol):
    """A call that was put off."""

    def cancel(self) -> None: ...


class Scope(Protocol):
    """A cancel scope of the backend: its cancellation reaches worker threads and shields as that of the host's own would."""

    def cancel(self) -> None: ...
    @property
    def cancel_called(self) -> bool: ...
    def __enter__(self) -> Any: ...
    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None, /
    ) -> bool | None: ...


class Sleeper(Protocol):
    """Who waits for something to do, and is woken as whoever waits for a future would be."""

    def done(self) -> bool: ...
    def set_result(self, result: None, /) -> None: ...


class Runs(Protocol):
    """Who runs sleepers that were woken."""

    def add(self, life: Any, /) -> None: ...
    def coroutine_of(self, task: object, /) -> Any:
        """What this task runs of one, if it is lent to it; None otherwise."""
        ...

    def is_answering(self, life: Any, /) -> bool:
        """Whether its handler makes its first step in that of a caller."""
        ...


class Running(Protocol):
    """In which thread a loop runs at this moment. asyncio's own loops say so by themselves: a method would cost 30 ns more."""

    _thread_id: int | None


class Nowhere:
    """The loop of a process that was forked off."""

    _thread_id: int | None = None


class Backend(Protocol):
    """One event loop, as the runtime uses it."""

    name: str
    cancelled: type[BaseException]
    """What a cancelled `await` raises."""
    pass_up: Callable[[BaseException], object] | None
    """Who takes a KeyboardInterrupt that struck in a callback; None: it ends the loop."""
    leave: Swap | None
    """The task that is the current one isn't for now; None: this loop lets nobody do that."""
    enter: Swap | None
    """This task is the current one from now on."""
    loop: object
    """What both are told first: the same for all that run in this event loop, for as long as it lasts."""
    runs: Runs | None
    """Set by whoever opens it, if actors are to be without a task while they idle."""
    errands: Errands
    """What other threads wait for here."""
    running: Running
    """The ident of the thread in which the loop runs, as long as it does."""
    thread: int
    """The ident of the thread in which the loop runs; in a process that was forked off, of none."""

    def now(self) -> float:
        """The loop's clock, in seconds."""
        ...

    def future(self) -> Future:
        """A new `Future`."""
        ...

    def scope(self) -> Scope:
        """A new cancel scope, not entered yet."""
        ...

    def current_task(self) -> object:
        """The identity of the running task."""
        ...

    def waits_for(self, task: object, future: Future) -> bool:
        """Whether this is what the task waits for now."""
        ...

    async def checkpoint(self) -> None:
        """Let others run once; a cancellation arrives here."""
        ...

    async def until(self, future: Future, deadline: float) -> Any:
        """Wait for the future; `Expired` at the deadline, and the future is `done` then."""
        ...

    def has_expired(self, future: Future) -> bool:
        """Whether its deadline has passed, of one that is `done`; its waiter may have been cancelled in the same instant."""
        ...

    def is_running(self) -> bool:
        """Whether the loop runs. 40 ns, so it is asked for each wake-up, in the loop's own thread: then it is this one."""
        ...

    def is_closed(self) -> bool:
        """Whether nothing will ever run in the loop again; from any thread."""
        ...

    def elsewhere(self) -> str | None:
        """Of a loop that doesn't run: why nobody can be woken there. None: it may go on later, and nothing is lost."""
        ...

    def in_its_thread(self) -> bool:
        """Whether the caller runs in this very loop. In doubt, `thread` isn't enough: idents are used again."""
        ...

    def from_anywhere(self) -> Callable[[Callable[[], object]], bool]:
        """A function that runs another one in the loop, soon; callable from any thread and from a finalizer.

        False: the loop is closed, or the process is another one, and there is nobody left to tell. What the function raises is
        logged.
        """
        ...

    def run_apart(self, coroutine: Callable[[], Coroutine[Any, Any, None]], context: Context) -> None:
        """Run a task that belongs to nothing but the loop, whose end cancels it. It must raise nothing but that."""
        ...

    async def open(self) -> None:
        """Make a place for raw tasks, in the running task. They aren't reached by the cancellation of what is around."""
        ...

    def empty(self) -> None:
        """Have the last tasks of our own end, where the task that made the place can't leave it."""
        ...

    async def close(self) -> None:
        """Leave that place. All its tasks have ended by then."""
        ...

    def spawn(
        self,
        coroutine: Callable[[], Coroutine[Any, Any, None]],
        context: Context,
        name: str,
        over: Callable[[], object] | None = None,
    ) -> object:
        """Run a raw task in the place that `open` made, in exactly this context. The task, where there is one by now.

        `over` is called when it has ended, however: a task that is cancelled before it begins runs nothing of the coroutine.
        """
        ...

    context_here: Callable[[], Context] | None
    """The context that the current task runs in, where that may be exchanged under it; None where it can't."""

    def context_of(self, task: Any, given: Context) -> Context:
        """The very context that a task of `spawn` runs in, to which this one was given. Asked for in that task."""
        ...

    def spawn_soon(
        self, coroutine: Callable[[], Coroutine[Any, Any, None]], context: Context, name: str, over: Callable[[], object]
    ) -> object:
        """The same, but never begun at once, whatever makes the tasks of this loop."""
        ...

    def rename(self, task: Any, name: str) -> None:
        """Call a task of `spawn` otherwise."""
        ...

    def usage_of(self, task: Any) -> tuple[Callable[[], object], object]:
        """Asked of a task that runs: what to call, and the very object that it answers as long as nothing is left in the task.

        Whoever runs in it next would feel a native cancellation that wasn't taken back, or, on trio, a cancel scope that was
        opened since and not closed; asyncio's scopes and timeouts don't show. Both are C: on trio 20 ns less than a function.
        """
        ...

    def has_died(self, task: object) -> bool:
        """Whether the task has ended. One whose coroutine tells its end itself may have been prevented from it."""
        ...

    def cancels_all(self, task: object, host: object) -> bool:
        """Whether both tasks were cancelled natively, as the end of the loop does it to all tasks at once."""
        ...

    def call_at(self, when: float, callback: Callable[[], object]) -> Handle:
        """Call back at an instant of `now()`. Belongs to the place that `open` made. What the callback raises is logged."""
        ...

    def lets_interrupt(self, function: object) -> None:
        """A KeyboardInterrupt may strike in the user's function, which may never end, though our own code is spared it."""
        ...


def give(future: Future, result: Any) -> bool:
    """Settle it, unless it is done; whether it was settled.

    To ask first isn't enough: asyncio takes Ctrl-C by cancelling the main task from within a signal handler, which runs between
    any two lines, and cancels what that task waits for at once.
    """
    try:
        future.set_result(result)
    except Exception:
        if not future.done():  # its loop is closed, or is another one
            raise
        return False
    return True


def fail(future: Future, error: BaseException) -> bool:
    """The same with an error."""
    try:
        future.set_exception(error)
    except Exception:
        if not future.done():
            raise
        return False
    return True


async def answered(future: Future) -> Any:
    """Wait for it. Who is cancelled at the very moment at which an error comes leaves nobody to hear of that."""
    try:
        return await future
    except BaseException:
        note(future)
        raise
    finally:
        del future  # it has the error, whose traceback has this frame


def note(future: Future) -> None:
    """Whoever waited is leaving with an error, maybe another one than what came."""
    if future.done() and not future.cancelled():
        future.exception()


def is_cancellation(error: BaseException, cancelled: type[BaseException]) -> bool:
    """Whether it is nothing else; what leaves a cancelled trio nursery is a group of them."""
    if is_of(error, Exception):  # a group of exceptions holds nothing else
        return False
    return all(is_of(leaf, cancelled) for leaf in leaves(error))
