"""What code that uses pykka's `ActorRef` has of a child instead.

A `Reference` is used in other threads than the loop's. It has a task of the tree await the address, and hands what comes of
that to a pykka future.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextvars import copy_context
from functools import cache
from typing import Any, Final, NoReturn, cast

import pykka

from supervise._backends import NOWHERE
from supervise.address.address import Address
from supervise.errors import ActorCrashed, ActorStopped, MailboxClosed
from supervise.tree.ref import Ref
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.exception import cause_of, exc_info_of

LOOK: Final = 1.0  # seconds between two looks, of a thread that waits, whether there is still a loop to answer


class Reference:
    """What a pykka `ActorRef` is, but of a child; made by `reference`.

    It stays valid over restarts. It is for other threads, pykka actors' included: in the loop's
    own thread it would wait for itself, and raises RuntimeError.

        >>> import anyio, pykka
        >>> class Echo(pykka.ThreadingActor):
        ...     def on_receive(self, message):
        ...         return message.upper()
        >>> async with Supervisor("app") as app:
        ...     echo: Reference = reference(await app.start(actor(Echo), name="echo"))
        ...     await anyio.to_thread.run_sync(echo.ask, "tea")
        'TEA'
    """

    __slots__ = ("_address", "_soon")

    def __init__(self, address: Address[Any]) -> None:
        self._address = address
        self._soon = address._mailbox.backend.from_anywhere()

    def tell(self, message: Any) -> None:
        """As pykka's: `on_receive(message)`, and nobody waits for it.

        It blocks while the mailbox is full. Raises `pykka.ActorDeadError` if the child is stopped
        or gone; one that is being restarted isn't.
        """
        self._get(self._run(lambda: self._address.send(_named("on_receive"), message)), None)

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        """As pykka's: `on_receive(message)`, and its answer, or a pykka future with `block=False`.

        `timeout` is seconds (default: for ever); then `pykka.Timeout`. What the actor raises is
        raised here, as it is. Whether that is a crash, too, its child says: see `reference`.
        """
        return self._ask("on_receive", (message,), {}, block=block, timeout=timeout)

    def proxy(self) -> Proxy:
        """The actor's public methods, each of which returns a pykka future.

        As pykka's: `reference.proxy().add(1).get()`, and `.proxy().add.defer(1)` for no answer. It
        has no attributes: write a method that returns one.
        """
        return Proxy(self)

    def is_alive(self) -> bool:
        """As pykka's: whether messages are taken. One that is being restarted is alive."""
        return self._address._mailbox.refusal is None

    def __getattr__(self, name: str) -> NoReturn:
        cure = (
            "its supervisor ends it: address.stop(), app.terminate_child(…)" if name == "stop" else "all else has the address"
        )
        raise AttributeError(f"a reference to a child has ask, tell, proxy and is_alive, and no {name!r}: {cure}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and other._address == self._address

    def __hash__(self) -> int:
        return hash(self._address)

    def __repr__(self) -> str:
        return f"<Reference {self._address.path}>"

    def _ask(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], *, block: bool, timeout: float | None) -> Any:
        future = self._run(lambda: self._address.call(_named(name), *args, **kwargs))
        return self._get(future, timeout) if block else future

    def _run(self, ask: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Await it in a task of the tree, and give the future what comes of it."""
        mailbox = self._address._mailbox
        backend = mailbox.backend
        future = cast(Any, pykka.ThreadingFuture())
        if backend.thread != NOWHERE and backend.in_its_thread():
            raise RuntimeError(
                f"a reference to {mailbox.path} is for other threads: in the loop, await the address's call or send"
            )

        def is_dead() -> None:
            future.set_exception(exc_info_of(pykka.ActorDeadError(f"{mailbox.path} is gone")))

        async def run() -> None:
            try:
                future.set(await ask())
            except BaseException as error:
                future.set_exception(exc_info_of(_as_pykka_says(error)))
                if not isinstance(error, Exception):
                    raise

        context = copy_context()  # of the thread that asks

        def begin() -> None:
            try:
                backend.spawn(run, context, f"{mailbox.path} reference")
            except RuntimeError:  # the tree is over
                is_dead()

        if mailbox.refusal == "closed" or not self._soon(begin):
            is_dead()
        return future

    def _get(self, future: Any, timeout: float | None) -> Any:
        left = timeout
        while True:
            wait = LOOK if left is None else min(left, LOOK)
            try:
                return future.get(timeout=wait)
            except pykka.Timeout:
                left = None if left is None else left - wait
                if left == 0:
                    raise
                if self._address._mailbox.refusal == "closed" and left is None:  # the loop is gone, and answers nothing
                    raise pykka.ActorDeadError(f"{self._address.path} is gone") from None


class Proxy:
    """The methods of a child that is a pykka actor; each returns a pykka future."""

    __slots__ = ("_reference",)
    _reference: Reference

    def __init__(self, reference: Reference) -> None:
        object.__setattr__(self, "_reference", reference)

    def __getattr__(self, name: str) -> Method:
        if name.startswith("_"):  # copy and pickle ask for some before there is a reference
            raise AttributeError(f"{name!r} is private: a proxy has the actor's public methods")
        return Method(self._reference, name)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a proxy has the actor's methods alone: to set {name!r}, call a method that does")


class Method:
    """One of these methods."""

    __slots__ = ("_name", "_reference")

    def __init__(self, reference: Reference, name: str) -> None:
        self._reference = reference
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._reference._ask(self._name, args, kwargs, block=False, timeout=None)

    def defer(self, *args: Any, **kwargs: Any) -> None:
        """As pykka's: as `tell`, nobody waits for the answer."""
        reference = self._reference
        reference._get(reference._run(lambda: reference._address.send(_named(self._name), *args, **kwargs)), None)

    def __getattr__(self, name: str) -> NoReturn:
        mine = self._name
        raise AttributeError(
            f"a proxy has the actor's methods alone, and {mine!r} has no {name!r}: if it is a method, call it first, "
            f"proxy().{mine}(…).get(); if it is an attribute, call a method that returns it"
        )


class _Later(Ref[Any]):
    """Stands for a reference in a description, as `ref` does for an address."""

    __slots__ = ()

    def find(self) -> Reference:
        return Reference(self._found())

    def __repr__(self) -> str:
        return f"reference({super().__repr__()})"


def reference(address: Address[Any]) -> Reference:
    """A pykka reference that outlives its actor's crashes.

    It is for code in threads that uses `tell`, `ask` or `proxy()`. It may be made in any thread.
    In a description it is made of a `ref`, and looked up at each start: `child(actor(Clerk,
    reference(ref(ada))))`. Raises `InvalidSpec` for what isn't a strong address.

    What the actor raises is raised at the asker, as it is. A pykka actor lives on then. A class
    of your own crashes, too, unless its child `expects` it, or has `on_error="reply"`. A method
    that it hasn't is the asker's error alone (`UnknownHandler`), as is a call that doesn't fit
    (`BadCall`).

        >>> import anyio, pykka
        >>> class Counter(pykka.ThreadingActor):
        ...     total = 0
        ...     def add(self, number):
        ...         self.total += number
        ...         return self.total
        >>> async with Supervisor("app") as app:
        ...     counter = reference(await app.start(actor(Counter), name="counter"))
        ...     await anyio.to_thread.run_sync(lambda: counter.proxy().add(2).get())
        2
    """
    if issubclass(type(address), Ref):
        later: Any = _Later(cast(Any, address)._key)
        return cast(Reference, later)
    if not isinstance(address, Address):
        raise InvalidSpec("reference", "address", address, "the address of a child: reference(app.find(ledger))")
    return Reference(address)


@cache  # a mailbox remembers the handlers that it was asked for
def _named(name: str) -> Callable[..., Any]:
    """A handler that stands for the method of this name, whatever the class is: so it is looked for before it is run."""

    def handler(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError  # the class's own is run

    handler.__name__ = name
    handler.__qualname__ = f"reference.{name}"
    return handler


def _as_pykka_says(error: BaseException) -> BaseException:
    if isinstance(error, ActorCrashed) and (cause := cause_of(error)) is not None:
        return cause
    if isinstance(error, ActorStopped | MailboxClosed):
        return pykka.ActorDeadError(str(error))
    return error
