"""How an actor is reached: strong and weak addresses over one shared mailbox, which outlives every incarnation."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from functools import partial
from threading import get_ident
from types import FunctionType
from typing import TYPE_CHECKING, Any, Concatenate, Final, Generic, ParamSpec, TypeVar, overload

from supervise._backends import answered, note
from supervise.errors import ActorRestarting, WouldDeadlock
from supervise.mailbox.envelope import OnCancel, OnRestart
from supervise.mailbox.handler import check
from supervise.mailbox.lifetime import FOREVER, Loan, Token
from supervise.mailbox.observers import Down, subscribe, watch
from supervise.mailbox.refusal import refused
from supervise.mailbox.subscription import Subscription, WhenFull
from supervise.mailbox.turn import CURRENT
from supervise.message import Message
from supervise_strategies.errors import InvalidSpec

from .from_thread import FromThread
from .instance import instance_of
from .mapped import Mapped
from .recipient import Recipient
from .stream import HandlerStream
from .view import MailboxView, ViewOptions

if TYPE_CHECKING:
    from anyio.abc import ObjectSendStream

    from supervise.mailbox.mailbox import Mailbox
    from supervise_strategies.exit_reason import ExitReason

A_co = TypeVar("A_co", covariant=True)
P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class _AnyAddress(MailboxView, Generic[A_co]):
    """What a strong and a weak address can do: sends and calls by handler, control, and looks into the mailbox."""

    __slots__ = ()

    @overload
    async def call(self, handler: Callable[Concatenate[A_co, P], Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def call(self, handler: Callable[Concatenate[A_co, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    async def call(self, handler: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Have the actor run `handler(*args, **kwargs)` in its turn, and wait for what it returns.

        A call never outlives its callee. Instead of a result it raises: what the handler raised, if the child `expects` it;
        `ActorCrashed` (the cause is attached) if the handler, or anything else of the actor, crashed meanwhile;
        `ActorStopped` or `MailboxClosed` if the actor is stopped or gone; `CallCycle` at once, if the call would wait for
        itself; `UnknownHandler`; `BadCall`; `TimeoutError`, if a view set a timeout. A caller that is cancelled is forgotten:
        the call is skipped while it is queued, and a handler that has begun goes on, unless `on_cancel="cancel"` was said.

        A function whose qualified name names a class (`Counter.add`) is looked up by that name on the live instance. Any
        other callable is run with the instance as its first argument.
        """
        mailbox = self._mailbox
        backend = mailbox.backend
        if (
            mailbox.credits
            and self._view_options is None
            and self._token.open
            and type(handler) is FunctionType
            and CURRENT.get(None) is None
            and get_ident() == backend.running._thread_id  # here, and now: 31 ns
        ):
            reply = backend.future()
            waker = mailbox.waker
            if waker is not None:  # Mailbox.wake without its frame; before it is in, as it raises where the loop is closed
                try:  # whether it is done is only asked where that fails: 25 ns
                    waker.set_result(None)
                except Exception:
                    mailbox.wake()
                mailbox.waker = None
            mailbox.queue.append((handler, args, kwargs, reply, None, None))
            mailbox.credits -= 1  # after it is in: a queue of the user's own may raise
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
        """Return once the message is in the mailbox; a full one makes the sender wait (or raises `MailboxFull`, by its policy).

        What becomes of it then is the actor's affair: if the handler crashes, the message is a dead letter. A send that is
        cancelled, or times out, was never accepted.
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
            turn = CURRENT.get(None)
            if mailbox.waker is not None:
                mailbox.wake()
            mailbox.queue.append((handler, args, kwargs, None, None if turn is None else turn.mailbox, None))
            mailbox.credits -= 1
        else:
            sent = self._lane_for(handler, args, kwargs).send(handler, args, kwargs, self._options())
            del self  # who waits for room doesn't keep the actor alive, nor does the frame of an error that somebody keeps
            await sent

    def try_send(self, handler: Callable[Concatenate[A_co, P], Any], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Put the message in now, without waiting, or raise `MailboxFull` with the message attached."""
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
        """Call the handler once for each item: `results = await pool.map(Worker.job, items)`, in the order of the items.

        Or one by one, as they come: `async with pool.map(…) as results: async for result in results`; leaving the block cancels
        what is under way. At most `limit` items have been taken at any time of which the result wasn't read yet, so neither
        items nor results pile up. `ordered=False`: in the order in which they are done. The first error cancels all others, and
        is raised as it is; with `return_exceptions=True` an error of a call stands among the results instead. It is for pools,
        and for actors with `concurrency=`: a plain one handles one item at a time.
        """
        check(handler)
        return Mapped(self.path, partial(self.call, handler), items, limit, ordered, return_exceptions)

    # -- control: it isn't held up by what is queued -----------------------------------------------------------------

    def _own_mailbox(self) -> Mailbox:
        """What is asked of the mailbox itself is asked where its actor's loop runs."""
        self._mailbox.check_here()
        self._check_open()
        return self._mailbox

    async def ping(self) -> float:
        """The seconds until the actor looks around, which it does between messages, also when it is paused.

        A handler that takes its time delays the answer, a full mailbox doesn't; one that is restarting answers when it is
        back. `ActorStopped` or `MailboxClosed` if it doesn't run and won't. Without a deadline: use `anyio.fail_after`.
        """
        mailbox = self._own_mailbox()
        begun = mailbox.backend.now()
        seen: float = await answered(mailbox.ping())
        return seen - begun

    async def instance(self) -> A_co:
        """The object of the life that goes on, for what was made to be shared: a pool, a client, a cache that is only read.

        It waits through a restart, but not for what is queued, nor for a pause. What is done with the object is no message: it
        isn't done in the actor's turn, and what it raises crashes nobody. A later life has another one, so ask again rather
        than keep it. `ActorStopped` or `MailboxClosed` if it doesn't run and won't; `WouldDeadlock` in the actor's own tasks,
        and in a start that has to be over first; TypeError where the object lives in a thread of its own.
        Without a deadline: use `anyio.fail_after`.
        """
        mailbox = self._own_mailbox()
        del self
        instance: A_co = await instance_of(mailbox)
        return instance

    def pause(self) -> None:
        """Begin no further message, over restarts too, until `resume()`. Messages are accepted and kept, in their order.

        What is in hand goes on, and so do concurrent handlers, nursery tasks and control. A stop is obeyed at once.
        """
        self._own_mailbox().pause()

    def resume(self) -> None:
        """Go on after `pause()`. Idempotent."""
        self._own_mailbox().resume()

    async def stop(self, *, grace: float | None = None) -> ExitReason:
        """Let it handle what waits and let its nursery finish, taking in nothing more; the answer is how this life ended.

        What still runs after `grace` seconds (default: the child's `stop_within`; 5 s if that is `"brutal_kill"`) is killed.
        For its supervisor it is an end by itself, and a normal one: a permanent child comes back, on the same mailbox;
        `terminate_child` keeps it down.
        `ActorRestarting` if it is between two lives; `WouldDeadlock` in the actor's own tasks: use `current().stop()`.
        """
        mailbox = self._own_mailbox()
        if grace is not None and (isinstance(grace, bool) or not isinstance(grace, int | float) or not grace >= 0):
            raise InvalidSpec(f"stop of {mailbox.path!r}", "grace", grace, "seconds, 0 or more; math.inf for no limit")
        here = CURRENT.get(None)
        if here is not None and mailbox in (here.mailbox, here.mailbox.shared):  # it ends with it, as do its nursery's tasks
            raise WouldDeadlock(f"{mailbox.path} can't wait for its own end: use current().stop(), which doesn't wait")
        turn = mailbox.turn
        if turn is None:
            if mailbox.refusal is not None:
                raise refused(mailbox, _STOP)
            cure = "terminate_child() on its supervisor keeps it down" if mailbox.parent else "its mailbox runs none now"
            raise ActorRestarting(f"{mailbox.path} is restarting: {cure}")
        reason: ExitReason = await turn.leave(grace)
        return reason

    def kill(self) -> None:
        """Cancel what it does, now: its supervisor sees `killed`, and decides as after a crash. It returns at once."""
        turn = self._own_mailbox().turn
        if turn is not None:
            turn.kill()

    # -- looking into the mailbox ------------------------------------------------------------------------------------

    def peek(self, most: int | None = None) -> list[Message]:
        """The messages that wait, lane by lane, at most so many. They are the real arguments: don't keep them."""
        queued = itertools.chain.from_iterable(lane.queue for lane in self._mailbox.lanes)
        return [Message(*envelope[:3]) for envelope in itertools.islice(queued, most)]

    def drop(self, chosen: Callable[[Message], bool], /) -> int:
        """Take out what waits and is chosen: dead letters, and their callers get `MessageDropped`. How many they were."""
        self._mailbox.check_here()
        return len(self._mailbox.remove(chosen, "taken out by hand"))

    def take(self, chosen: Callable[[Message], bool], /) -> list[Message]:
        """The same, and hand them over, e.g. to send them to somebody else."""
        self._mailbox.check_here()
        return self._mailbox.remove(chosen, "taken out by hand")

    @property
    def from_thread(self) -> FromThread[A_co]:
        """The same address for code in another thread, which blocks there."""
        return FromThread(self)

    def subscribe(self, kind: type[T], /, *, capacity: float = 100, overflow: WhenFull = "drop_oldest") -> Subscription[T]:
        """What the actor publishes (`current().publish`) and is an instance of `kind`: `async with … as prices: async for …`.

        It is the logical actor's: it goes on over restarts, and while the actor is stopped, and ends when that is gone for good
        (at once, if it is already). The publisher never waits. At most `capacity` events wait for the reader; beyond that the
        oldest is dropped and counted, or, with `overflow="close"`, the subscription ends with `SubscriberTooSlow`. All
        subscribers get the same object. A subscription keeps nobody alive.
        """
        self._mailbox.check_here()
        return subscribe(self._mailbox.mailbox, kind, capacity, overflow)

    async def watch(self) -> Down:
        """Wait until the actor has ended and isn't started again by itself, and say why; at once, if it has ended before.

        That is: it is stopped but listed, or gone for good; a restart, or a wait for one, isn't an end. (To hear of the end of
        each incarnation there is `current().watch`.) Waiting doesn't keep the actor alive. `WouldDeadlock` if it is the actor's
        own task that would wait.
        """
        self._mailbox.check_here()
        ended = watch(self._mailbox.mailbox)
        del self  # as in send()
        return await ended

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _AnyAddress) and other._mailbox is self._mailbox

    def __hash__(self) -> int:
        return hash(self._mailbox.id)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path}>"


class Address(_AnyAddress[A_co]):
    """A strong address: it can be written to over all crashes and restarts of the actor behind it.

    Its recipients and views share its token, `b = a` does too; `clone()` makes another one, `close()` gives it up. For an
    actor that nobody supervises the tokens are what keeps it alive; a supervisor keeps its children whatever becomes of
    their addresses. Equal and hashable by mailbox.
    """

    __slots__ = ()
    _token: Token

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
    ) -> Address[A_co]:
        """A view of this address that says how its messages travel.

        `timeout`, in seconds, covers the wait for room, the queue and the handling: then `CallTimeout`, or `SendTimeout` if it
        wasn't accepted, both `TimeoutError`s, and an envelope that nobody has begun is skipped. `on_restart="fail"`: a call
        raises `ActorRestarting` at once when the actor is restarting, or crashes while the call is queued. `lane`: one of those
        that the child was described with. `on_cancel="cancel"`: a caller that is cancelled, or whose timeout passes, takes the
        handler along, which is cancelled; the actor lives on. Default: what the child says, or else that the handler goes on.
        """
        return Address(self._mailbox, self._token, ViewOptions(self._mailbox, timeout, on_restart, lane, on_cancel))

    @overload
    def recipient(self, handler: Callable[Concatenate[A_co, P], Awaitable[R]], /) -> Recipient[P, R]: ...
    @overload
    def recipient(self, handler: Callable[Concatenate[A_co, P], R], /) -> Recipient[P, R]: ...
    def recipient(self, handler: Callable[..., Any], /) -> Recipient[..., Any]:
        """This address narrowed to one handler: what takes the same arguments fits in one list, whatever the actors are."""
        check(handler)
        return Recipient(self._mailbox, self._token, self._view_options, handler)

    def stream(self, handler: Callable[[A_co, T], Any], /) -> ObjectSendStream[T]:
        """This address as an anyio stream: each item that is sent into it becomes a message for this handler.

        Sending waits for room, which is back-pressure for whatever feeds the stream. It shares this address's token; closing
        the stream gives up the stream alone, and the actor isn't told.
        """
        return HandlerStream[T](self.recipient(handler))

    def clone(self) -> Address[A_co]:
        """Another strong address, with a token of its own, in any thread. `copy.copy` and `copy.deepcopy` make one, too."""
        self._check_open()
        return Address(self._mailbox, Token(self._mailbox.lifetime), self._view_options)

    def __copy__(self) -> Address[A_co]:
        """A clone, with a token of its own: whoever closes the copy doesn't close this one. A closed address gives itself."""
        return self.clone() if self._token.open else self

    def __deepcopy__(self, memo: dict[int, Any]) -> Address[A_co]:
        """As `copy.copy`: the actor isn't copied."""
        return self.__copy__()

    def close(self) -> None:
        """Give up the token that this address shares with its views and recipients. Idempotent; later use: MailboxClosed."""
        self._token.close()


class WeakAddress(_AnyAddress[A_co]):
    """An address that keeps nothing alive. Once the last strong one is gone it refuses `send` and `call`.

    A copy of it is itself.
    """

    __slots__ = ()

    def strong(self) -> Address[A_co]:
        """A strong address to the same actor; MailboxClosed once the last strong one is gone. It may be made in any thread."""
        self._check_open()
        return Address(self._mailbox, Token(self._mailbox.lifetime), self._view_options)

    def options(
        self,
        *,
        timeout: float | None = None,
        on_restart: OnRestart = "wait",
        lane: str | None = None,
        on_cancel: OnCancel | None = None,
    ) -> WeakAddress[A_co]:
        """A weak view; see `Address.options`."""
        return WeakAddress(self._mailbox, self._token, ViewOptions(self._mailbox, timeout, on_restart, lane, on_cancel))

    def __copy__(self) -> WeakAddress[A_co]:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> WeakAddress[A_co]:
        return self


def address_of(mailbox: Mailbox) -> Address[Any]:
    """A strong address to a mailbox."""
    return Address(mailbox, Token(mailbox.lifetime))


def lent_address_of(mailbox: Mailbox) -> Address[Any]:
    """One that is used like a strong one, keeps nothing alive, and ends nothing when it is closed or dropped."""
    return Address(mailbox, Token(None) if mailbox.lifetime is None else Loan(mailbox.lifetime))


def weak_address_of(mailbox: Mailbox, view_options: ViewOptions | None = None) -> WeakAddress[Any]:
    """A weak address to a mailbox."""
    return WeakAddress(mailbox, FOREVER if mailbox.lifetime is None else mailbox.lifetime, view_options)


def _stop(_: object) -> None:
    """Stands for a stop where a message is shown."""


_stop.__name__ = _stop.__qualname__ = "a stop"
_STOP: Final = Message(_stop, (), {})
