"""How an actor is reached: strong and weak addresses over one shared mailbox, which outlives every incarnation."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from functools import partial
from inspect import CO_COROUTINE
from threading import get_ident
from types import FunctionType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, overload

from supervise._backends import note
from supervise.mailbox.envelope import NO_KEYWORDS, OnCancel, OnRestart
from supervise.mailbox.handler import check
from supervise.mailbox.lifetime import FOREVER, UNSHARED, Loan, Token, token_for
from supervise.mailbox.turn import NOT_NOW, Unanswered, current_turn

from .control import ControlView
from .from_thread import FromThread
from .mapped import Mapped
from .recipient import Recipient
from .reply_stream import StreamingView
from .stream import HandlerStream
from .view import BUFFER, ViewOptions

if TYPE_CHECKING:
    from anyio.abc import ObjectSendStream

    from supervise.mailbox.mailbox import Mailbox

A_co = TypeVar("A_co", covariant=True)
P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
_sharing: dict[int, Token] = {}  # those that are being made, by the identity of the address


class _AnyAddress(StreamingView[A_co], ControlView[A_co]):
    """What a strong and a weak address can do: sends and calls by handler, streams, and control."""

    __slots__ = ()

    @overload
    async def call(self, handler: Callable[Concatenate[A_co, P], Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def call(self, handler: Callable[Concatenate[A_co, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    async def call(self, handler: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Have the actor run `handler(*args, **kwargs)` in its turn, and return the result.

        A function whose qualified name names a class (`Counter.add`) is looked up by that name on
        the live instance. Any other callable is run with the instance as its first argument.

        A call never outlives its callee: instead of a result it may raise. That is what the handler
        raised, if the child `expects` it. `ActorCrashed`, with the cause, if the handler, or
        anything else of the actor, crashed meanwhile. `ActorStopped` or `MailboxClosed` if the
        actor is stopped or gone. `CallCycle` at once, if the call would wait for itself.
        `UnknownHandler` and `BadCall` for what can't be run. `TimeoutError`, if a view set a
        timeout; else there is no deadline.

        A caller that is cancelled is forgotten: the call is skipped while it is queued. A handler
        that has begun goes on, unless `on_cancel="cancel"` was said.
        """
        mailbox = self._mailbox
        backend = mailbox.backend
        view = self._view_options
        if (
            mailbox.credits
            and (view is None or view.only_hurries)
            and self._token.open
            and type(handler) is FunctionType
            and current_turn(None) is None
            and get_ident() == backend.running._thread_id  # here, and now: 31 ns
        ):
            reply = answered = None
            options = None if view is None else view.for_message(mailbox)
            waker = mailbox.waker
            if (
                waker is not None
                and (life := mailbox.turn) is waker
                and life is not None  # it sleeps: it may answer at once
                and (backend.enter is not None or not handler.__code__.co_flags & CO_COROUTINE)
            ):
                answered = life.answer(handler, args, kwargs or NO_KEYWORDS, None, options)
                if type(answered) is Unanswered:
                    reply = answered.reply
                elif answered is not NOT_NOW:
                    return answered
            if options is not None:  # where it isn't done at once, its deadline needs a look at each step
                kwargs = kwargs or NO_KEYWORDS
                if reply is None:
                    called = mailbox.call(handler, args, kwargs, options)
                else:
                    called = mailbox.reply_to((handler, args, kwargs, reply, None, options), reply, options, None)
                del answered, reply, self
                return await called
            if reply is None:
                reply = backend.future()
                if waker is not None:  # Mailbox.wake without its frame; before it is in, as it raises where the loop is closed
                    try:  # whether it is done is only asked where that fails: 25 ns
                        waker.set_result(None)
                    except Exception:
                        mailbox.wake()
                    mailbox.waker = None
                mailbox.queue.append((handler, args, kwargs or NO_KEYWORDS, reply, None, None))
                mailbox.credits -= 1  # after it is in: a queue of the user's own may raise
            del answered
            del self  # as in send()
            try:
                return await reply
            except BaseException:
                if reply.cancelled():
                    mailbox.give_up(reply, None)
                note(reply)
                raise
            finally:
                del reply  # an error's traceback has this frame, and the reply has the error
        called = self._lane_for(handler, args, kwargs).call(handler, args, kwargs, self._options())
        del self
        return await called

    async def send(self, handler: Callable[Concatenate[A_co, P], Any], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Put a message in the mailbox, and return; nobody waits for a reply.

        A full mailbox makes the sender wait, or raises `MailboxFull`, by its policy. What becomes
        of the message then is the actor's affair: if the handler crashes, it is a dead letter. A
        send that is cancelled, or times out, was never accepted.
        """
        # Credit is enough for a message of which nothing special is to be said: `Mailbox.send` without its frame and its
        # checks, 0.2 of 0.7 us.
        mailbox = self._mailbox
        if (
            mailbox.credits
            and self._view_options is None
            and self._token.open
            and type(handler) is FunctionType
            and get_ident() == mailbox.backend.running._thread_id
        ):
            turn = current_turn(None)
            waker = mailbox.waker
            if waker is not None:  # as in call()
                try:
                    waker.set_result(None)
                except Exception:
                    mailbox.wake()
                mailbox.waker = None
            sender = None if turn is None else turn.mailbox
            mailbox.queue.append((handler, args, kwargs or NO_KEYWORDS, None, sender, None))
            mailbox.credits -= 1
        else:
            sent = self._lane_for(handler, args, kwargs).send(handler, args, kwargs, self._options())
            del self  # who waits for room doesn't keep the actor alive, nor does the frame of an error that somebody keeps
            await sent

    def try_send(self, handler: Callable[Concatenate[A_co, P], Any], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Put the message in now, without waiting, or raise `MailboxFull`.

        The message is attached to the error, and can be sent once more.
        """
        self._lane_for(handler, args, kwargs).try_send(handler, args, kwargs, self._options())

    @overload
    def map(
        self,
        handler: Callable[[A_co, T], Awaitable[R]],
        items: Iterable[T] | AsyncIterable[T],
        /,
        *,
        limit: float = ...,
        ordered: bool = ...,
        return_exceptions: bool = ...,
    ) -> Mapped[R]: ...
    @overload
    def map(
        self,
        handler: Callable[[A_co, T], R],
        items: Iterable[T] | AsyncIterable[T],
        /,
        *,
        limit: float = ...,
        ordered: bool = ...,
        return_exceptions: bool = ...,
    ) -> Mapped[R]: ...
    def map(
        self,
        handler: Callable[..., Any],
        items: Iterable[Any] | AsyncIterable[Any],
        /,
        *,
        limit: float = 64,
        ordered: bool = True,
        return_exceptions: bool = False,
    ) -> Mapped[Any]:
        """Call the handler once for each item: `await workers.map(Worker.job, items)`.

        It gives the results, in the order of the items. Or one by one, as they come: `async with
        workers.map(…) as results: async for result in results`. Leaving that block cancels what is
        under way.

        It is for pools, and for actors with `concurrency=`: a plain one handles one item at a time.

        limit: How many items have been taken, at most, of which the result wasn't read yet
            (default 64). So neither items nor results pile up.
        ordered: `False`: in the order in which they are done (default True).
        return_exceptions: Whether an error of a call stands among the results. Default: False,
            the first one cancels all others, and is raised as it is.
        """
        check(handler)
        return Mapped(self.path, partial(self.call, handler), items, limit, ordered, return_exceptions)

    @property
    def from_thread(self) -> FromThread[A_co]:
        """The same address for code in another thread, which blocks there."""
        return FromThread(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _AnyAddress) and other._mailbox is self._mailbox

    def __hash__(self) -> int:
        return hash(self._mailbox.id)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path}>"


class Address(_AnyAddress[A_co]):
    """A strong address: it can be written to over all crashes and restarts of its actor.

    `send` returns when the message is in the mailbox; who must know that it was handled uses
    `call`. It belongs to its event loop: in other threads there is `from_thread`.

    It has a token, which it shares with its recipients and views; `b = a` shares it, too.
    `clone()` makes another one, `close()` gives it up. For an actor that nobody supervises the
    tokens are what keeps it alive. A supervisor keeps its children, whatever becomes of their
    addresses.

    It is equal and hashable by mailbox.

    >>> async with Supervisor("app") as app:
    ...     names = await app.start(list)
    ...     await names.send(list.append, "ada")
    ...     await names.send(list.pop, 7)
    ...     await names.call(list.append, "bob")
    ...     await names.call(list.copy)
    ['bob']
    """

    __slots__ = ()

    def _own_token(self) -> Token:
        """The token that it shares from now on, or gives up. It may be asked for in any thread."""
        token = self._token
        if isinstance(token, Token):
            return token
        # Without a lock: a finalizer, which may strike in here, asks for one, too, and so does the child of a fork.
        made = _sharing.setdefault(id(self), Token(None))
        if self._token is UNSHARED:
            self._token = made
        _sharing.pop(id(self), None)
        return self._own_token()

    @property
    def weak(self) -> WeakAddress[A_co]:
        """An address that doesn't keep the actor alive. Pass this one to factories."""
        return weak_address_of(self._mailbox, self._view_options)

    def options(
        self,
        *,
        timeout: float | None = None,
        on_restart: OnRestart = "wait",
        lane: str | None = None,
        on_cancel: OnCancel | None = None,
        buffer: int = BUFFER,
    ) -> Address[A_co]:
        """A view of this address that says how its messages travel.

        timeout: Seconds for the wait for room, the queue and the handling together. Then it
            raises `CallTimeout`, or `SendTimeout` if it wasn't accepted, both `TimeoutError`s;
            a message that nobody has begun is skipped. Default: None, no deadline.
        on_restart: `"wait"` (default), or `"fail"`: a call raises `ActorRestarting` at once
            when the actor is restarting, or crashes while the call is queued.
        lane: One of those that the child was described with. Default: the last.
        on_cancel: `"cancel"`: a caller that is cancelled, or whose timeout passes, takes the
            handler along, which is cancelled; the actor lives on. `"finish"`: the handler goes
            on. Default: what the child says.
        buffer: How many items of a `stream_from` may wait for their reader (default 16).

        Raises `InvalidSpec`.
        """
        return Address(
            self._mailbox, self._own_token(), ViewOptions(self._mailbox, timeout, on_restart, lane, on_cancel, buffer)
        )

    @overload
    def recipient(self, handler: Callable[Concatenate[A_co, P], Awaitable[R]], /) -> Recipient[P, R]: ...
    @overload
    def recipient(self, handler: Callable[Concatenate[A_co, P], R], /) -> Recipient[P, R]: ...
    def recipient(self, handler: Callable[..., Any], /) -> Recipient[..., Any]:
        """This address narrowed to one handler.

        What takes the same arguments fits in one list, whatever the actors are. It shares this
        address's token. Raises `NotAHandler`.
        """
        check(handler)
        return Recipient(self._mailbox, self._own_token(), self._view_options, handler)

    def stream(self, handler: Callable[[A_co, T], Any], /) -> ObjectSendStream[T]:
        """This address as an anyio stream: each item becomes a message for this handler.

        Sending waits for room, which is back-pressure for whatever feeds the stream. It shares this
        address's token. Closing the stream gives up the stream alone, and the actor isn't told.
        """
        return HandlerStream[T](self.recipient(handler))

    def clone(self) -> Address[A_co]:
        """Another strong address, with a token of its own; it may be made in any thread.

        `copy.copy` and `copy.deepcopy` make one, too. Raises `MailboxClosed` if this one is closed.
        """
        self._check_open()
        return Address(self._mailbox, token_for(self._mailbox.lifetime), self._view_options)

    def __copy__(self) -> Address[A_co]:
        """A clone, with a token of its own: whoever closes the copy doesn't close this one. A closed address gives itself."""
        return self.clone() if self._token.open else self

    def __deepcopy__(self, memo: dict[int, Any]) -> Address[A_co]:
        """As `copy.copy`: the actor isn't copied."""
        return self.__copy__()

    def close(self) -> None:
        """Give up the token that this address shares with its views and recipients.

        Idempotent. Later use raises `MailboxClosed`. A supervisor's child lives on, unless it has
        `lifetime="addresses"` and this was the last one.
        """
        self._own_token().close()


class WeakAddress(_AnyAddress[A_co]):
    """An address that keeps nothing alive: `address.weak`.

    It can do all that an `Address` can. Once the last strong one is gone it refuses `send` and
    `call` with `MailboxClosed`. Pass this one to factories: what a factory's arguments hold
    lives as long as the tree. A copy of it is itself.

    >>> mailbox, names = open_mailbox(list)
    >>> weak = names.weak
    >>> await weak.send(list.append, "ada")
    >>> names.close()
    >>> await weak.send(list.append, "bob")
    Traceback (most recent call last):
    MailboxClosed: list: its last strong address is gone
    """

    __slots__ = ()

    def strong(self) -> Address[A_co]:
        """A strong address to the same actor; it may be made in any thread.

        Raises `MailboxClosed` once the last strong one is gone.
        """
        self._check_open()
        return Address(self._mailbox, token_for(self._mailbox.lifetime), self._view_options)

    def options(
        self,
        *,
        timeout: float | None = None,
        on_restart: OnRestart = "wait",
        lane: str | None = None,
        on_cancel: OnCancel | None = None,
        buffer: int = BUFFER,
    ) -> WeakAddress[A_co]:
        """A weak view that says how its messages travel; see `Address.options`."""
        return WeakAddress(self._mailbox, self._token, ViewOptions(self._mailbox, timeout, on_restart, lane, on_cancel, buffer))

    def __copy__(self) -> WeakAddress[A_co]:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> WeakAddress[A_co]:
        return self


def address_of(mailbox: Mailbox) -> Address[Any]:
    """A strong address to a mailbox."""
    return Address(mailbox, token_for(mailbox.lifetime))


def lent_address_of(mailbox: Mailbox) -> Address[Any]:
    """One that is used like a strong one, keeps nothing alive, and ends nothing when it is closed or dropped."""
    return Address(mailbox, token_for(None) if mailbox.lifetime is None else Loan(mailbox.lifetime))


def weak_address_of(mailbox: Mailbox, view_options: ViewOptions | None = None) -> WeakAddress[Any]:
    """A weak address to a mailbox."""
    return WeakAddress(mailbox, FOREVER if mailbox.lifetime is None else mailbox.lifetime, view_options)
