"""An address without a mailbox, a tree or a loop of its own: it records what it is sent, and answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, Generic, Literal, NamedTuple, ParamSpec, TypeAlias, TypeVar, overload

import anyio
import anyio.lowlevel

from supervise.errors import ActorCrashed, ActorStopped, CallCycle, MailboxClosed, MailboxFull, NotAHandler, UnknownHandler
from supervise.mailbox.handler import awaitable, check, class_of, resolve, unfinished, unfinished_result
from supervise.message import AnyHandler, Message, describe, name_of
from supervise_strategies.child_spec import check_name
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.exit_reason import describe as describe_error

A_co = TypeVar("A_co", covariant=True)
P = ParamSpec("P")
R = TypeVar("R")
Way: TypeAlias = Literal["call", "send", "try_send"]


class Sent(NamedTuple):
    """A message that came to a `FakeAddress`, and how.

    `way` is `"call"`, `"send"` or `"try_send"`. The arguments are there as they were given.

        >>> cart = FakeAddress(list)
        >>> await cart.send(list.append, "tea")
        >>> cart.sent == [Sent("send", list.append, ("tea",), {})]
        True
    """

    way: Way
    handler: AnyHandler
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.way} {describe(self.handler, self.args, self.kwargs)}"


class _Waiting:
    """A message that isn't handled yet, with the slot of its reply."""

    def __init__(self, sent: Sent) -> None:
        self.sent = sent
        self.result: Any = None
        self.error: Exception | None = None


class FakeAddress(Generic[A_co]):
    """Stands in for an `AddressLike` in a test of the code that writes to it.

    `FakeAddress(Counter, 10)` handles the messages on a `Counter(10)`, in the task of whoever
    sends them. When `send` and `call` return, all that was sent before has been handled, what
    `try_send` brought included. So `send` takes as long as its handler.

    It isn't supervised: no limit, no delay, no `current()`, no enter and exit hooks. When a
    handler raises, a call gets `ActorCrashed`, a send is listed in `dead_letters`, and the next
    message meets a fresh instance.

    `FakeAddress[Counter]()` has no actor. It knows the answers that it was given by `answer`
    and `fail`; a call to anything else is an AssertionError. A send needs no answer. With an
    actor, too, these answers come first.

        factory: A class, or a function that returns the actor, and then its arguments (default:
            no actor).
        name: What it is called, and its path (default `"fake"`).

    `sent` lists every message that was accepted. `full = True` refuses what would have to wait,
    with `MailboxFull`; `close()` refuses all, with `MailboxClosed`. Raises `InvalidSpec` for a
    factory that can't be called.

        >>> cart = FakeAddress(list)
        >>> await cart.send(list.append, "tea")
        >>> await cart.call(list.copy)
        ['tea']
        >>> cart.fail(list.copy, TimeoutError("too slow"))
        >>> await cart.call(list.copy)
        Traceback (most recent call last):
        TimeoutError: too slow
        >>> print(*cart.sent, sep=", ")
        send list.append('tea'), call list.copy(), call list.copy()
    """

    def __init__(self, factory: Callable[..., A_co] | None = None, /, *args: Any, name: str = "fake") -> None:
        if factory is not None and not callable(factory):
            cure = "a class, or a function that returns the actor; its arguments follow: FakeAddress(Counter, 10)"
            raise InvalidSpec("FakeAddress", "factory", factory, cure)
        check_name("FakeAddress", name)
        self._name = name
        self._factory = factory
        self._args = args
        self._actor: A_co | None = None
        self._incarnation = 0
        self._closed = False
        self._answers: dict[str, Callable[..., Any]] = {}
        self._waiting: deque[_Waiting] = deque()
        self._turn = anyio.Lock()
        self._handling: int | None = None  # the task that runs a handler now
        self.full: bool = False
        self.sent: list[Sent] = []
        self.dead_letters: list[str] = []
        """Messages whose handler raised, and that nobody waited for, as text."""

    @property
    def name(self) -> str:
        """The name that it was given."""
        return self._name

    @property
    def path(self) -> str:
        """Its name, since it is in no tree."""
        return self._name

    def __repr__(self) -> str:
        return f"<FakeAddress {self._name}>"

    # -- what a test says --------------------------------------------------------------------------------------------

    @overload
    def answer(self, handler: Callable[Concatenate[A_co, P], Awaitable[R]], result: R, /) -> None: ...
    @overload
    def answer(self, handler: Callable[Concatenate[A_co, P], R], result: R, /) -> None: ...
    def answer(self, handler: Callable[..., Any], result: Any, /) -> None:
        """From now on this handler isn't run, and a call to it gets this result."""
        check(handler)
        self._answers[name_of(handler)] = lambda: result

    def fail(self, handler: Callable[Concatenate[A_co, P], Any], error: Exception, /) -> None:
        """From now on this handler isn't run, and a call to it raises this.

        For example `ActorCrashed`, `TimeoutError`, or what the child `expects`.
        """
        check(handler)

        def raises() -> None:
            raise error

        self._answers[name_of(handler)] = raises

    def close(self) -> None:
        """Refuse everything from now on, as one whose actor is gone for good; idempotent."""
        self._closed = True

    def of(self, handler: Callable[Concatenate[A_co, P], Any], /) -> list[Sent]:
        """The messages to one handler, in order."""
        return [sent for sent in self.sent if name_of(sent.handler) == name_of(handler)]

    async def settle(self) -> None:
        """Handle what `try_send` brought, and waits."""
        await self._handle_all()

    # -- what the code under test does -------------------------------------------------------------------------------

    @overload
    async def call(self, handler: Callable[Concatenate[A_co, P], Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def call(self, handler: Callable[Concatenate[A_co, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    async def call(self, handler: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Handle a message, after those that wait; the answer is what its handler returns.

        Raises `ActorCrashed` if the handler raises, `CallCycle` inside of a handler of its own, and
        what all three raise: `MailboxClosed`, `MailboxFull`, `NotAHandler`. See `AddressLike.call`.
        """
        sent = Sent("call", handler, args, kwargs)
        if self._handling == anyio.get_current_task().id:
            raise CallCycle([self._name, self._name])
        waiting = self._accept(sent)
        await self._handle_all()
        if waiting.error is not None:
            raise waiting.error
        return waiting.result

    async def send(self, handler: Callable[Concatenate[A_co, P], Any], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Handle a message, after those that wait. See `AddressLike.send`."""
        self._accept(Sent("send", handler, args, kwargs))
        if self._handling == anyio.get_current_task().id:  # its own message comes after the one in hand
            await anyio.lowlevel.checkpoint()
        else:
            await self._handle_all()

    def try_send(self, handler: Callable[Concatenate[A_co, P], Any], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Accept a message, which is handled with the next `send`, `call` or `settle`."""
        self._accept(Sent("try_send", handler, args, kwargs))

    def _accept(self, sent: Sent) -> _Waiting:
        check(sent.handler)
        if self._closed:
            raise MailboxClosed(f"{self._name} was closed", Message(*sent[1:]))
        if self.full:
            raise MailboxFull(f"{self._name} is full, as its test said", Message(*sent[1:]))
        self.sent.append(sent)
        waiting = _Waiting(sent)
        self._waiting.append(waiting)
        return waiting

    async def _handle_all(self) -> None:
        async with self._turn:
            self._handling = anyio.get_current_task().id
            try:
                while self._waiting:
                    await self._handle(self._waiting.popleft())
            finally:
                self._handling = None

    async def _handle(self, waiting: _Waiting) -> None:
        sent = waiting.sent
        try:
            waiting.result = await self._run(sent)
        except _Given as given:
            waiting.error = given.error
        except Exception as error:
            self._actor = None
            waiting.error = ActorCrashed(self._name, self._incarnation, describe_error(error))
            waiting.error.__cause__ = error
        except BaseException:  # the cancellation of a sender, and maybe not of the one who waits for this message
            self._actor = None
            waiting.error = ActorStopped(f"{self._name}: the task in which this message was handled was cancelled")
            raise
        if waiting.error is not None and sent.way != "call":
            self.dead_letters.append(str(Message(*sent[1:])))

    async def _run(self, sent: Sent) -> Any:
        answer = self._answers.get(name_of(sent.handler))
        if answer is not None:
            try:
                return answer()
            except Exception as error:
                raise _Given(error) from None
        if self._factory is None:
            if sent.way != "call":
                return None
            known = ", ".join(self._answers) or "none"
            text = f"{self._name} has no answer to {sent}: give it one with answer() or fail(), or an actor; answers: {known}"
            raise _Given(AssertionError(text))
        if self._actor is None:
            self._incarnation += 1
            self._actor = self._factory(*self._args)
        try:
            function, *_ = resolve(class_of(self._actor), {}, sent.handler)
        except (UnknownHandler, NotAHandler) as error:
            raise _Given(error) from None
        result: Any = function(self._actor, *sent.args, **sent.kwargs)
        result = await result if awaitable(result) else result
        if sent.way == "call" and unfinished(result):
            raise _Given(unfinished_result(sent.handler, result))
        return result


class _Given(Exception):
    """Carries what a call raises without a crash: what the test said, or that there is no such handler."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error
