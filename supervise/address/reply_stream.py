"""A streamed reply, as its reader has it: a block that asks for it and closes it, and the items inside of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from types import FunctionType, TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, NoReturn, ParamSpec, TypeVar

from supervise._backends import is_cancellation
from supervise.errors import ActorStopped
from supervise.mailbox.affinity import OF_A_STREAM, check_thread
from supervise.mailbox.envelope import Envelope, MessageOptions
from supervise.mailbox.hops import below
from supervise.mailbox.refusal import check_message, refused, rejected, restarting
from supervise.mailbox.stream_run import RUN
from supervise.mailbox.streamed_reply import StreamedReply
from supervise.mailbox.turn import current_turn
from supervise.message import AnyHandler, Message, name_of
from supervise_strategies.exception import exc_info_of
from supervise_strategies.kind import is_of

from .view import MailboxView

if TYPE_CHECKING:
    from supervise.mailbox.instrument import AnyMessageSpan

A_co = TypeVar("A_co", covariant=True)
P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class ReplyStream(Generic[R_co]):
    """The answer of an async generator, item by item: what `stream_from` gives.

    It is read as `async with … as items: async for item in items`. The block begins when the
    message is in the mailbox, and ends when the generator is closed.

    It is for one block, and for one reader. Any task of its event loop may read; a second one
    at the same time gets `anyio.BusyResourceError`. What the generator raises is raised to the
    reader, after what was sent before it.

    >>> class Model:
    ...     async def tokens(self, text):
    ...         for word in text.split():
    ...             yield word
    >>> async with Supervisor("app", child(Model)) as app:
    ...     model = app.find("model")
    ...     async with model.stream_from(Model.tokens, "hello there") as tokens:
    ...         [token async for token in tokens]
    ['hello', 'there']
    """

    __slots__ = ("_items", "_message", "_span", "_view")

    def __init__(self, view: MailboxView, handler: AnyHandler, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._view: MailboxView | None = view
        self._message = Message(handler, args, kwargs)
        self._items: _Items[R_co] | None = None
        self._span: AnyMessageSpan | None = None

    def __repr__(self) -> str:
        return f"<ReplyStream of {self._message}>"

    async def __aenter__(self) -> AsyncIterator[R_co]:
        view, self._view = self._view, None
        if view is None:
            raise RuntimeError(f"the stream of {self._message} was entered before: each block asks stream_from for its own")
        asked = self._ask(view)
        del view  # who waits for room doesn't keep the actor alive
        self._items = items = await asked
        return items

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._items is None:
            return
        self._items._check_thread()
        items, self._items = self._items, None
        error: BaseException | None = None
        reply = items._leave()
        told, items._error = items._error, None  # the error's traceback has the frame that has these items
        cancelled = exc is not None and is_cancellation(exc, reply.lane.mailbox.backend.cancelled)
        try:
            await reply.leave(wait=not cancelled)
        except ActorStopped:  # it was closed, which is what this block wants
            pass
        except BaseException as raised:
            error = raised
            if exc is None or not is_of(raised, Exception):
                raise
        finally:
            told = error if told is None else told
            self._end_span(exc if told is None and cancelled else told)
            # The error holds the frame that holds the error, and the collector alone would free both.
            del told, error, reply, items

    if not TYPE_CHECKING:  # a type checker says it by itself

        def __aiter__(self) -> NoReturn:
            cure = "`async with address.stream_from(…) as items: async for item in items`"
            raise TypeError(f"the stream of {self._message} is read in a block, which closes it: {cure}")

    async def _ask(self, view: MailboxView) -> _Items[R_co]:
        """Put the message in."""
        handler, args, kwargs = self._message
        lane, options, bound = view._lane_for(handler, args, kwargs, OF_A_STREAM), view._options(), view._buffer()
        del view
        mailbox = lane.mailbox
        if type(handler) is not FunctionType:
            check_message(mailbox, self._message)
        turn = current_turn(None)
        reply = StreamedReply(lane, handler, bound)
        options = ((options if turn is None else below(turn, options)) or MessageOptions())._replace(stream=reply)
        if mailbox.instrument is not None:
            self._span = span = mailbox.instrument.calls(handler, turn)
            options = options._replace(span=span)
        envelope: Envelope = (handler, args, kwargs, reply, None if turn is None else turn.mailbox, options)
        try:
            if mailbox.refuses(turn) or mailbox.is_over:
                raise rejected(mailbox, refused(mailbox, self._message))
            fail_fast = options.on_restart == "fail"
            if fail_fast and mailbox.restarting:
                raise rejected(mailbox, restarting(mailbox, envelope))
            own = reply.read_here()
            if lane.credits or await lane._admission(envelope, turn, fail_fast, own):
                if fail_fast and mailbox.restarting:  # since the room was given to it
                    lane.give_on()
                    raise rejected(mailbox, restarting(mailbox, envelope))
                lane.accept(envelope)
            reply.sent(envelope)
            dropped = reply.exception()
            if dropped is not None:
                await reply.leave(wait=False)
                raise dropped
        except BaseException as error:
            self._end_span(error)
            raise
        finally:
            dropped = None
            del envelope, options
        return _Items(reply)

    def _end_span(self, error: BaseException | None) -> None:
        span, self._span = self._span, None
        if span is not None:
            span.__exit__(*exc_info_of(error))


class _Items(AsyncIterator[R_co]):
    """What the generator yields, inside of the block."""

    __slots__ = ("_error", "_left", "_reply", "_run")

    def __init__(self, reply: StreamedReply) -> None:
        self._reply = reply
        self._run = RUN
        self._left = False
        self._error: BaseException | None = None  # that it ended with, and that the reader was told

    def __repr__(self) -> str:
        return f"<items of {self._reply.lane.mailbox.path} {name_of(self._reply.handler)}>"

    async def __anext__(self) -> R_co:
        reply = self._reply
        buffer = reply.buffer
        if not buffer or not self._run:
            await self._arrives()
        elif reply.space is not None:  # which is woken by this
            self._check_thread()
        self._run -= 1
        item: R_co = buffer.popleft()
        reply.taken = True
        if reply.reader is not reply.current_task():
            reply.read_here()
        if reply.space is not None:
            reply.wake_generator()
        return item

    async def _arrives(self) -> None:
        """Return when there is an item, which is then taken without awaiting anything."""
        self._check_thread()
        self._check_inside()
        self._run = RUN
        try:
            there = await self._reply.arrives()
        except Exception as error:
            if self._reply.done():
                self._error = error
            raise
        self._check_inside()
        if not there:
            raise StopAsyncIteration

    def _check_thread(self) -> None:
        """Raise `WrongThread` where nobody of its event loop could be woken."""
        mailbox = self._reply.lane.mailbox
        check_thread(mailbox.path, mailbox.backend, OF_A_STREAM)

    def _check_inside(self) -> None:
        if self._left:
            what = f"{self._reply.lane.mailbox.path}: the stream of {name_of(self._reply.handler)}"
            raise RuntimeError(f"{what} was closed when its block was left: read it inside of the block")

    def _leave(self) -> StreamedReply:
        self._left = True
        self._run = 0
        return self._reply


class StreamingView(MailboxView, Generic[A_co]):
    """A view of a mailbox whose actor's generators can be read."""

    __slots__ = ()

    def stream_from(
        self, handler: Callable[Concatenate[A_co, P], AsyncIterator[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> ReplyStream[R]:
        """Read what an async generator of the actor yields, item by item.

        `async with model.stream_from(Model.tokens, "hi") as tokens: async for token in tokens`.

        It is one call: what a call raises is raised to the reader, after what was sent before it.
        The generator runs in the actor's turn, or beside it, if it is `@concurrent`. It is ahead of
        its reader by a bounded buffer, `options(buffer=…)`; then it waits, and its actor with it. A
        next life runs it afresh only if no item was taken.

        Leaving the block closes the generator, and waits until its `finally` has run, in the
        actor's task. If it awaits something then, it is closed at its next `yield`; with
        `on_cancel="cancel"` it is cancelled at once. A reader that is cancelled, or late, doesn't
        wait for that.

        A stop closes one that waits for its reader: `ActorStopped`. A call of the reader to an
        actor that waits for it is a `CallCycle`. The reader is who entered the block, until another
        task has begun to read.
        """
        return ReplyStream(self, handler, args, kwargs)
