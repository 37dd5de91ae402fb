"""The reply of a call that comes item by item: a bounded buffer between a generator and its reader, and the end of it.

Theory of operation
-------------------
- A stream is one call: one envelope, in hand from the generator's first step to its last. This object is the slot of its
  reply; it is settled once, by whoever settles a call. So crashes, redelivery, answers, kills and the account are those of a
  call. It is also what the actor runs in the handler's place: that iterates the generator.
- The generator runs ahead until the buffer is full; then it waits, in the actor's task, until its reader has taken something.
  So a switch of tasks is paid for once for a buffer, and not for each item. Both let others run at least once in `RUN` items.
- Whatever ends the wait (the reader leaves, is cancelled or late; the actor is asked to stop) closes the generator where it
  stands, at its `yield`: as `aclose` does, in the actor's task, before the message is settled, and what that raises is what a
  handler raises. One that yields then is closed again, and has crashed. A generator at work goes on to its next `yield`, as a
  handler does; unless `on_cancel="cancel"` was said.
- It may have a scope or a task group open where it stands at a `yield`. Their GeneratorExit, in a group, is that of the close;
  and a scope of its own that is cancelled meanwhile cancels the actor's task in our wait, so we raise that at the `yield`.
- What was put in before the end is read before the end is told. A deadline covers that, too: what is late isn't read.
- While a generator waits in the actor's own turn its reader holds up the actor. That is an edge (see `call_cycle.py`), and no
  credits are granted meanwhile: each call has to look whether it waits for itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any

import anyio

from supervise._backends import give
from supervise.errors import NotAHandler
from supervise.message import AnyHandler, name_of
from supervise_strategies.kind import is_of
from supervise_strategies.text import shown

from .call_cycle import check_cycle
from .envelope import Envelope, cancels_with_caller, fails_fast
from .handler import StreamingHandler, class_of
from .refusal import too_late
from .stream_run import StreamRun
from .turn import Turn, current_turn

if TYPE_CHECKING:
    from supervise._backends import Backend, Future, Handle

    from .lane import Lane


class StreamedReply(StreamingHandler):
    """One stream, between its reader and its generator. It belongs to the event loop of its actor."""

    __slots__ = (
        "_backend",
        "_envelope",
        "_error",
        "_given_up",
        "_reading",
        "_settled",
        "_timer",
        "arrival",
        "bound",
        "buffer",
        "closing",
        "current_task",
        "handler",
        "lane",
        "reader",
        "reader_turn",
        "run",
        "space",
        "taken",
    )

    def __init__(self, lane: Lane, handler: AnyHandler, bound: int) -> None:
        self.handler: AnyHandler = handler
        self.lane: Lane = lane
        self.buffer: deque[Any] = deque()
        self.taken: bool = False
        """Whether the reader has had an item: then it isn't tried again."""
        self.closing: bool = False
        """Whether the reader wants no further item."""
        self.run: StreamRun | None = None
        """What iterates the generator, in the life that has it in hand, or had it last."""
        self.space: Future | None = None
        """What the generator waits for, until something is taken, or it is to be closed."""
        self.arrival: Future | None = None
        """What the reader waits for."""
        self.reader: object = None
        """The task that reads: the last one that had to wait, or that the generator waited for."""
        self.reader_turn: Turn | None = None
        """Its turn, if it is an actor's own task."""
        self.current_task: Callable[[], object] = lane.mailbox.backend.current_task
        self._backend: Backend = lane.mailbox.backend
        self.bound: int = bound
        self._envelope: Envelope | None = None  # until the reader has left: it has this reply
        self._settled = False
        self._given_up = False  # the reader waits for nothing any more
        self._error: BaseException | None = None
        self._reading = False
        self._timer: Handle | None = None

    # -- the slot of a reply (`_backends.Future`) ----------------------------------------------------------------------------

    def done(self) -> bool:
        return self._settled or self._given_up

    def cancelled(self) -> bool:
        return self._given_up

    def exception(self) -> BaseException | None:
        return self._error

    def set_result(self, result: Any, /) -> None:
        self._settle(result if is_of(result, NotAHandler) else None)

    def set_exception(self, exception: BaseException, /) -> None:
        self._settle(exception)

    def __await__(self) -> Generator[Any, Any, None]:
        """Wait until nothing of the generator is left, and raise what it ended with."""
        return self._end().__await__()

    def _settle(self, error: BaseException | None) -> None:
        if self.done():
            raise RuntimeError("this reply is settled already")
        self._settled, self._error = True, error
        self._over()

    def _over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.wake_generator()
        self.wake_reader()

    # -- the reader's side ---------------------------------------------------------------------------------------------------

    def sent(self, envelope: Envelope) -> None:
        """It was accepted."""
        self._envelope = envelope
        self.lane.mailbox.count_fail_fast(fails_fast(envelope))
        deadline = None if envelope[5] is None else envelope[5].deadline
        if deadline is not None:
            deadline.accepted = self._backend.now()
            if not self.done():
                self._timer = self._backend.call_at(deadline.at, self._expire)

    def read_here(self) -> Turn | None:
        """It is this task that reads. Its turn, if it is an actor's own task, which then holds up that actor."""
        turn = current_turn(None)
        self.reader = task = self.current_task()
        self.reader_turn = turn if turn is not None and turn.exclusive and turn.task is task else None
        return self.reader_turn

    async def arrives(self) -> bool:
        """Wait until there is something to be taken; False: there is nothing more. Raises what the stream ended with."""
        if self._reading:
            raise anyio.BusyResourceError("reading from")
        self._reading = True
        try:
            turn = self.read_here()
            if self.buffer:
                await self._backend.checkpoint()
            while not self.buffer:
                if self.done() or self.closing:
                    self._raise()
                    return False
                await self._wait(turn)
        finally:
            self._reading = False
        return True

    async def _wait(self, turn: Turn | None) -> None:
        """Wait for whatever comes next. In an actor's own task that is an edge, unless the generator runs beside its actor."""
        self.arrival = arrival = self._backend.future()
        envelope = self._envelope
        edge = self.run is None or not self.run.beside
        try:
            if envelope is not None and edge:
                check_cycle(turn, self.lane, *envelope[:3], reply=arrival)
                if turn is not None:
                    turn.awaits, turn.pending = self.lane, arrival
            del envelope
            await arrival
        finally:
            if self.arrival is arrival:
                self.arrival = None
            if turn is not None and edge:
                turn.awaits = turn.pending = None

    async def leave(self, *, wait: bool) -> None:
        """The reader wants nothing more. Return when the generator is closed; `wait`: False, or who is cancelled, doesn't wait.

        Raises what the generator raised as it was closed. What had ended the stream before is the affair of who reads.
        """
        envelope, before = self._envelope, self.done()
        self.buffer.clear()
        self.closing = True
        self.wake_reader()  # another task that waits for an item
        if envelope is None or before:
            self._forget()
            return
        try:
            run, at_work = self.run, not self.waiting
            self.wake_generator()
            if run is None or not wait or (at_work and cancels_with_caller(self.lane.mailbox, envelope)):
                self._give_up(envelope)
            if run is not None and wait:
                await self
        finally:
            self._give_up(envelope)
            del envelope
            self._forget()

    def _give_up(self, envelope: Envelope) -> None:
        """Whoever called is gone. One whose generator stands at its `yield` isn't cancelled: that is closed there."""
        if self.done():
            return
        self._given_up = True
        self._over()
        options = envelope[5]
        if self.waiting and options is not None:
            options = options._replace(on_cancel="finish")
        self.lane.give_up(self, options)

    def _forget(self) -> None:
        if self._envelope is not None:
            self.lane.mailbox.count_fail_fast(-fails_fast(self._envelope))
        self._envelope = self._error = self.reader = self.reader_turn = None

    async def _end(self) -> None:
        turn = self.read_here()
        while not self.done() or (self.run is not None and self.run.open and self._error is None):  # who is late doesn't wait
            await self._wait(turn)
        self._raise()

    def _raise(self) -> None:
        """What it ended with, if whoever reads wasn't told."""
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error

    def _expire(self) -> None:
        """The deadline has passed: nothing more is read, and whoever reads is told."""
        envelope = self._envelope
        if self.done() or envelope is None:
            return
        self.buffer.clear()
        self.closing = True
        self._error = too_late(self.lane.mailbox, envelope)
        self._give_up(envelope)

    def wake_reader(self) -> None:
        """Something has come, or the end."""
        arrival, self.arrival = self.arrival, None
        if arrival is not None:
            give(arrival, None)

    # -- the actor's side ----------------------------------------------------------------------------------------------------

    def begin(self, function: Callable[..., Any], instance: Any, /, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        self._backend.lets_interrupt(function)
        made: Any = function(instance, *args, **kwargs)
        kind = class_of(made)
        if hasattr(kind, "__anext__") and hasattr(kind, "aclose"):
            return StreamRun(self).iterate(made)
        return self._refuse(made)

    async def _refuse(self, made: object) -> Any:
        """A decorator has made something else of an async generator function."""
        what = f"{self.lane.mailbox.path}: handler={name_of(self.handler)} returned {shown(made)}"
        return NotAHandler(f"{what}, so stream_from has nothing to read: it reads what an async generator function makes")

    @property
    def may_begin_again(self) -> bool:
        """Whether the reader has had nothing yet, and still wants something."""
        return not self.taken and not self.closing

    def begin_again(self) -> None:
        """It is put back, to be tried again in the next life."""
        self.buffer.clear()
        self.run = None

    def stop(self) -> None:
        """Its actor was asked to end."""
        if self.run is not None:
            self.run.stop()

    def waited(self) -> float:
        """Seconds for which the generator has waited for its reader, in this life."""
        return 0.0 if self.run is None else self.run.waited()

    @property
    def waiting(self) -> bool:
        """Whether the generator stands at a `yield`, since the buffer was full."""
        return self.run is not None and self.run.waiting

    def wake_generator(self) -> None:
        """Something was taken, or it is to be closed."""
        space, self.space = self.space, None
        if space is not None:
            give(space, None)
