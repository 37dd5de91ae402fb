"""What the runtime needs of an event loop, and nothing more."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from types import TracebackType
from typing import Any, Protocol

from supervise_strategies.exit_reason import leaves


class Future(Protocol):
    """One result for one waiter: the wake-up of a parked task, and the reply slot of a call.

    A waiter that is cancelled leaves it `done`, so whoever would answer sees that nobody waits any more.
    """

    def done(self) -> bool: ...
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


class Backend(Protocol):
    """One event loop, as the runtime uses it."""

    name: str
    cancelled: type[BaseException]
    """What a cancelled `await` raises."""

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

    async def checkpoint(self) -> None:
        """Let others run once; a cancellation arrives here."""
        ...

    async def until(self, future: Future, deadline: float) -> Any:
        """Wait for the future; TimeoutError at the deadline, and the future is `done` then."""
        ...

    def from_anywhere(self) -> Callable[[Callable[[], object]], None]:
        """A function that runs another one in the loop, soon; callable from any thread and from a finalizer.

        When the loop is closed it does nothing: there is nobody left to tell.
        """
        ...

    def in_its_thread(self) -> bool:
        """Whether the caller is in the thread in which the loop runs."""
        ...

    def run_from_thread(self, coroutine: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a task for another thread. The loop's end cancels it. RuntimeError if the loop is gone."""
        ...

    async def open(self) -> None:
        """Make a place for raw tasks, in the running task. They aren't reached by the cancellation of what is around."""
        ...

    async def close(self) -> None:
        """Leave that place. All its tasks have ended by then."""
        ...

    def spawn(self, coroutine: Callable[[], Coroutine[Any, Any, None]], context: Context, name: str) -> None:
        """Run a raw task in the place that `open` made, in exactly this context."""
        ...

    def call_at(self, when: float, callback: Callable[[], object]) -> Handle:
        """Call back at an instant of `now()`. Belongs to the place that `open` made."""
        ...


def is_cancellation(error: BaseException, cancelled: type[BaseException]) -> bool:
    """Whether it is nothing else; what leaves a cancelled trio nursery is a group of them."""
    if isinstance(error, Exception):  # a group of exceptions holds nothing else
        return False
    return all(isinstance(leaf, cancelled) for leaf in leaves(error))
