"""What an address is to whoever writes to it, apart from any implementation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

A_co = TypeVar("A_co", covariant=True)
P = ParamSpec("P")
R = TypeVar("R")


class AddressLike(Protocol[A_co]):
    """What all kinds of addresses have in common: ask for this in a signature.

    It is for code that only writes to an actor. `Address` and `WeakAddress` fit, and so does
    whatever else has these methods. That may be `supervise.testing.FakeAddress`, or an address
    of your own, which `LocalAddressContract` of `supervise.testing.contract` tests, or
    `RemoteAddressContract` if its actor is in another process.

    >>> async def greet(names: AddressLike[list]) -> None:
    ...     await names.send(list.append, "ada")
    >>> from supervise.testing import FakeAddress
    >>> fake = FakeAddress(list)
    >>> await greet(fake)
    >>> fake.sent
    [Sent(way='send', handler=<method 'append' of 'list' objects>, args=('ada',), kwargs={})]
    """

    @property
    def name(self) -> str:
        """The actor's name: the last part of its path."""
        ...

    @property
    def path(self) -> str:
        """The full path, from the root on."""
        ...

    @overload
    def call(
        self, handler: Callable[Concatenate[A_co, P], Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, R]: ...
    @overload
    def call(
        self, handler: Callable[Concatenate[A_co, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, R]: ...
    def call(self, handler: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        """Have the actor run the handler in its turn, and return the result.

        It never outlives the actor's own end: then it raises.
        """
        ...

    def send(
        self, handler: Callable[Concatenate[A_co, P], Any], /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, None]:
        """Return once the message is accepted; what becomes of it then is the actor's affair."""
        ...

    def try_send(self, handler: Callable[Concatenate[A_co, P], Any], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Hand the message over now, without waiting, or raise `MailboxFull`.

        The message is attached to the error.
        """
        ...
