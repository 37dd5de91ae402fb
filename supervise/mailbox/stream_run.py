"""The run of one generator for its reader: in its actor's turn, or beside it, in one life. See `streamed_reply.py`."""

from __future__ import annotations

from types import AsyncGeneratorType
from typing import TYPE_CHECKING, Any, Final

from supervise._backends import give
from supervise_strategies.exception import leaves
from supervise_strategies.kind import is_of

from .handler import class_of
from .reader_calls import end_calls_of_reader
from .turn import IncarnationTurn, Turn, current_turn

if TYPE_CHECKING:
    from supervise._backends import Backend, Future

    from .streamed_reply import StreamedReply

RUN: Final = 128
"""Items that cross without letting anybody else run."""
CLOSES: Final = 16
"""How often a generator that yields as it is closed is told again."""


class StreamStopped(Exception):
    """A stream was closed since its actor is to end: its message is cut off, and nothing has crashed."""


async def _aclose(generator: Any) -> None:
    """As `aclose`, which leaves one that yields then where it stands, for ever: here it is told again, so its `finally` runs.

    RuntimeError even so, as of `aclose`.
    """
    if class_of(generator) is not AsyncGeneratorType or generator.ag_frame is None:
        await generator.aclose()
        return
    times = 0
    while times < CLOSES:
        try:
            await generator.athrow(GeneratorExit())
        except (GeneratorExit, StopAsyncIteration):
            break
        times += 1
    else:
        await generator.aclose()
    if times:
        raise RuntimeError(f"async generator ignored GeneratorExit, and yielded {times} more")


async def _close(generator: Any) -> None:
    """Close it where it stands. A task group that is open in it makes a group of the GeneratorExit that it is closed with: as
    if that was all that was raised, it is closed.
    """
    rest: BaseException | None = None
    try:
        await _aclose(generator)
    except BaseExceptionGroup as group:
        if not any(is_of(leaf, GeneratorExit) for leaf in leaves(group)):
            raise
        rest = _without_exit(group)
    if rest is not None:
        try:
            raise rest
        finally:
            del rest


def _without_exit(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """What else is in it."""
    try:
        return BaseExceptionGroup.split(group, GeneratorExit)[1]
    except Exception:  # of a kind that makes its parts itself
        return group


class StreamRun:
    """Iterates a generator, waits where its buffer is full, and closes it whatever happens."""

    __slots__ = ("_backend", "_reply", "_seen", "_since", "_stopped", "_waited", "beside", "open", "waiting")

    def __init__(self, reply: StreamedReply) -> None:
        self._reply = reply
        self._backend: Backend = reply.lane.mailbox.backend
        self.beside: bool = False
        """Whether it runs beside the actor's own turn."""
        self.open: bool = False
        """Whether there is a generator that isn't closed yet."""
        self.waiting: bool = False
        """Whether that stands at a `yield`, since the buffer was full."""
        self._stopped = False
        self._since = self._waited = 0.0
        self._seen = 0  # how many messages had come when calls of its reader were looked for

    async def iterate(self, generator: Any) -> None:
        """Run it to its end, or until nobody wants more."""
        turn, reply = current_turn(), self._reply
        buffer, bound, run = reply.buffer, reply.bound, RUN
        self.beside = not turn.exclusive
        self.open, reply.run = True, self
        item: Any = None
        try:
            if reply.closing or reply.done():  # the reader left before this task has run
                return
            async for item in generator:
                if reply.closing:
                    break
                buffer.append(item)
                arrival = reply.arrival
                if arrival is not None:  # `reply.wake_reader`, without its frame
                    reply.arrival = None
                    give(arrival, None)
                run -= 1
                if run and len(buffer) < bound:
                    continue
                run = RUN
                try:
                    if len(buffer) < bound:
                        await self._backend.checkpoint()
                    elif not await self._wait_for_reader(turn):
                        break
                except self._backend.cancelled as cancelled:
                    if self._is_ending(turn) or not hasattr(class_of(generator), "athrow"):
                        raise
                    if not await self._hand_in(generator, cancelled):
                        break
        finally:
            item = None
            try:
                await _close(generator)
            finally:
                self.open = False
                if reply.cancelled():  # nobody settles it, and who leaves waits for this
                    reply.wake_reader()

    async def _hand_in(self, generator: Any, cancelled: BaseException) -> bool:
        """A cancel scope that is open in the generator was cancelled while that stood at a `yield`: let it know, as an `await`
        would. False: it has ended with that.
        """
        try:
            item = await generator.athrow(cancelled)
        except StopAsyncIteration:
            return False
        finally:
            del cancelled
        if not self._reply.closing:
            self._reply.buffer.append(item)
            self._reply.wake_reader()
        return True

    @staticmethod
    def _is_ending(turn: Turn) -> bool:
        """Whether its life was asked to end, or has crashed: then whoever is cancelled is cancelled by that."""
        life = turn.life
        return isinstance(life, IncarnationTurn) and life.stopping

    async def _wait_for_reader(self, turn: Turn) -> bool:
        """Wait until something was taken; False: nobody wants more. StreamStopped if the actor is to end."""
        reply = self._reply
        if self._is_ending(turn):
            raise StreamStopped
        reply.space = space = self._backend.future()
        self.waiting = True
        self._since = self._backend.now()
        try:
            if turn.exclusive:
                self._hold_up(turn, space)
            await space
        finally:
            self.waiting = False
            reply.space = None
            self._waited += self._backend.now() - self._since
            if turn.exclusive:
                turn.awaits = turn.pending = None
        if self._stopped:
            raise StreamStopped
        return not reply.closing

    def _hold_up(self, turn: Turn, space: Future) -> None:
        """The actor's own turn waits for a task: from now on each call looks whether that would wait for itself."""
        for lane in turn.mailbox.lanes:
            lane.revoke()
        reply = self._reply
        self._seen = end_calls_of_reader(turn, reply, self._seen)
        if reply.reader_turn is not None:
            turn.awaits, turn.pending = reply.reader_turn.mailbox, space

    def stop(self) -> None:
        """Its actor was asked to end: a generator that waits is closed at once."""
        if self.waiting:
            self._stopped = True
            self._reply.wake_generator()

    def waited(self) -> float:
        """Seconds for which it has waited for its reader."""
        return self._waited + (self._backend.now() - self._since if self.waiting else 0.0)
