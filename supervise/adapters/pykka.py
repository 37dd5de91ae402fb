"""A pykka actor class as a child: its thread is restarted, its address stays.

What waits there stays, too. Begin with `actor`, and with `reference` for code that has an
`ActorRef`. Extra `[pykka]`.

Theory of operation
-------------------
A pykka actor's inbox ends with its thread. Here messages wait in the mailbox of the child, which outlives it, and go over
one at a time: the next one when the last has been answered. A pykka actor starts as a subclass of the given class, whose
public hooks (`on_start`, `on_stop`, `on_failure`, `stop`) report to the loop, and whose `on_receive` takes our own message.

What its method raises to a call goes to the caller. What it raises to a send is a crash of
the child. That is pykka's own rule for ask and tell. At a crash the actor is made to fail
the way pykka's own actors do, with its `on_failure` called. Whoever holds a pykka
`ActorRef` may go on using it, but it is that of one life.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, ParamSpec, TypeVar, cast

import anyio
import anyio.to_thread

from supervise.actor.factory import Factory, name_for
from supervise.tree.ref import resolved, resolved_keywords
from supervise.tree.work import Work
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.exception import traceback_of
from supervise_strategies.exit_reason import describe

from .facade import Facade, facade_of
from .handoff import Handoff

try:
    import pykka
except ImportError:
    raise ImportError("supervise.adapters.pykka needs pykka: pip install pykka") from None

from .pykka_reference import Reference as Reference
from .pykka_reference import reference as reference

A = TypeVar("A", bound="pykka.ThreadingActor")
P = ParamSpec("P")


class _Method:
    """Ours: call this method, and answer."""

    __slots__ = ("answer", "args", "context", "kwargs", "name")

    def __init__(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], answer: Handoff) -> None:
        self.context = copy_context()  # of the handler: its actor, and its span
        self.name = name
        self.args = args
        self.kwargs = kwargs
        self.answer = answer


class _Fail:
    """Ours: end as one whose handler raised this."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error if isinstance(error, Exception) else RuntimeError(describe(error))


class PykkaActor:
    """One pykka actor, from its start to the end of its thread."""

    def __init__(self, make: Callable[[PykkaActor], Any], facade: type[Facade]) -> None:
        self._make = make
        self._facade = facade
        self._ref: Any = None
        self._in_hand: Handoff | None = None
        self._outlasting: Handoff | None = None  # of a method whose handler was cancelled
        self.thread: threading.Thread | None = None
        self.failure: BaseException | None = None

    async def __aenter__(self) -> Facade:
        self._work = work = Work()
        self.soon: Callable[[Callable[[], object]], object] = work.soon
        self.started: Handoff = Handoff(work.soon)
        self.ended: Handoff = Handoff(work.soon)
        with anyio.CancelScope(shield=True):  # or one that was started in between would be left
            self._ref = await anyio.to_thread.run_sync(self._make, self)
        try:
            await self.started.result()
        except BaseException:
            await self._end(None)
            raise
        work.start(self._follow)
        return self._facade(self._hand)

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        await self._end(error)
        if self.failure is not None and error is None:
            raise self.failure  # on_stop's, or what a message of somebody else's had crashed it with meanwhile

    async def _end(self, error: BaseException | None) -> None:
        raised = None if error is None else traceback_of(error)
        if not self.ended.settled:
            with contextlib.suppress(pykka.ActorDeadError):
                if error is None:
                    self._ref.stop(block=False)
                else:
                    self._ref.tell(_Fail(error))
        try:
            await self.ended.until_settled()
        finally:
            if self.thread is not None:
                self.thread.join()  # its last hook has returned
            if error is not None:
                BaseException.with_traceback(error, raised)  # it says where it was raised, not how the thread was ended by it

    async def _follow(self) -> None:
        """It can end by itself, or be ended by whoever has its pykka reference."""
        try:
            await self.ended.result()
        finally:
            if self.ended.settled and self._in_hand is not None and self.failure is None:
                # It stopped in front of this message, which has left the mailbox, so it is lost and its caller is told.
                self._in_hand.settle(None, pykka.ActorDeadError(f"{self._work.path} stopped before it handled this message"))
        if self.failure is not None:
            raise self.failure

    async def _hand(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._in_hand = answer = Handoff(self.soon)
        try:
            try:
                self._ref.tell(_Method(name, args, kwargs, answer))
            except pykka.ActorDeadError as dead:
                await self.ended.until_settled()
                raise (dead if self.failure is None else self.failure) from None
            return await answer.result()
        except anyio.get_cancelled_exc_class():
            self._outlasting = answer  # a thread can't be cancelled: the message is in hand until the method, or it, has ended
            if not self.ended.settled:
                await answer.outlasted()
            raise
        finally:
            self._in_hand = self._outlasting = None

    # -- told by the actor, in its thread ----------------------------------------------------------------------------

    def is_stopping(self) -> None:
        """It said so itself: no message is begun any more."""
        self.soon(self._work.over)

    def is_starting(self) -> None:
        """What its thread does is the child's: its hooks, and messages of somebody else's."""
        self.thread = threading.current_thread()
        for variable, value in self._work.context().items():
            variable.set(value)

    def has_ended(self, failure: BaseException | None) -> None:
        if failure is not None:
            self.failure = failure
        self.ended.give(None)
        self.soon(self._let_go)

    def _let_go(self) -> None:
        if self._outlasting is not None:
            self._outlasting.settle(None, None)


def _supervised(cls: type[Any]) -> type[Any]:
    """The class, with hooks that report to a `PykkaActor`. All of them are pykka's documented ones."""

    def build(self: Any, life: PykkaActor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._supervise_life = life
        cls.__init__(self, *args, **kwargs)

    def on_start(self: Any) -> None:
        life: PykkaActor = self._supervise_life
        life.is_starting()
        try:
            cls.on_start(self)
        except BaseException as error:
            life.started.fail(error)
            life.has_ended(None)  # it is the start's failure, and no hook is called after it
            raise
        life.started.give(None)

    def on_stop(self: Any) -> None:
        failure: BaseException | None = None
        try:
            cls.on_stop(self)
        except BaseException as error:
            failure = error
            raise
        finally:
            self._supervise_life.has_ended(failure)

    def on_failure(self: Any, kind: Any, error: Any, traceback: Any) -> None:
        try:
            cls.on_failure(self, kind, error, traceback)
        finally:
            self._supervise_life.has_ended(error)

    def stop(self: Any) -> None:
        self._supervise_life.is_stopping()
        cls.stop(self)

    def on_receive(self: Any, message: Any) -> Any:
        if isinstance(message, _Fail):
            raise message.error
        if not isinstance(message, _Method):
            return cls.on_receive(self, message)
        try:
            result = message.context.run(getattr(self, message.name), *message.args, **message.kwargs)
        except BaseException as error:
            message.answer.fail(error)
        else:
            message.answer.give(result)
        return None

    body = {"__init__": build, "__doc__": cls.__doc__, "__module__": cls.__module__, "__qualname__": cls.__qualname__}
    hooks = (on_start, on_stop, on_failure, stop, on_receive)
    return type(cls.__name__, (cls,), {**body, **{hook.__name__: hook for hook in hooks}})


def actor(cls: Callable[P, A], /, *args: P.args, **kwargs: P.kwargs) -> Factory[A]:
    """A child that is a pykka actor, whose address outlives its thread.

    For example `counter = await app.start(actor(Counter, 10), name="counter")`. Not
    `Counter.start(10)`: the tree starts it, anew after each crash. Its methods are called with
    pykka's threads and rules: `await counter.call(Counter.add, 1)`. What was `ref.ask(message)`
    is `await counter.call(Counter.on_receive, message)`. A method that returns a pykka future
    answers with that future. Only methods of the class can be sent.

    What a method raises to a call goes to the caller, and the actor lives on. What it raises to
    a send is a crash, and pykka's `on_failure` is called. With `expects=` or `on_error="crash"`
    on the child, those decide. The child also crashes when a message from another pykka actor
    crashes it, and ends normally when it stops itself.

    What waits in the child's mailbox is kept. What others put into its pykka inbox, through an
    `ActorRef` of one life, ends with that life: give them a `reference` instead.

    The constructor runs in a worker thread, `on_start` before the child is ready. A method that
    doesn't return can't be ended; it is reported (`Overran`), and the child isn't restarted
    while it runs. In its thread `current()` has `find`, `stop`, `checkpoint` and `publish`. Raises
    `InvalidSpec` for anything but a subclass of `pykka.ThreadingActor`, and for `@checkpointed`.

        >>> import pykka
        >>> class Counter(pykka.ThreadingActor):
        ...     def __init__(self, total):
        ...         super().__init__()
        ...         self.total = total
        ...     def add(self, number):
        ...         self.total += number
        ...         return self.total
        >>> async with Supervisor("app") as app:
        ...     counter = await app.start(actor(Counter, 10), name="counter")
        ...     await counter.call(Counter.add, 1)
        11
    """
    running = isinstance(cls, pykka.ActorRef)
    if running or not isinstance(cls, type) or not issubclass(cls, pykka.ThreadingActor):
        cure = "a subclass of pykka.ThreadingActor, not started; its arguments follow: actor(Counter, 10)"
        if running:
            cure = f"it runs already, and would be gone after a crash; give {cure}"
        raise InvalidSpec("actor", "cls", cast(object, cls), cure)
    supervised, facade = _supervised(cls), facade_of(cls, "actor")

    def make() -> PykkaActor:
        positional, keywords = resolved(args), resolved_keywords(kwargs)  # here, in the loop
        return PykkaActor(lambda life: supervised.start(life, positional, keywords), facade)

    life: Any = make
    return Factory(name_for(cls, "actor"), life, on_error="reply", one_at_a_time=True)
