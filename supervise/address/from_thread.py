"""An address for code in other threads than the event loop's: it blocks there."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, Generic, NoReturn, ParamSpec, Protocol, TypeVar, overload

from supervise._backends import NOWHERE, Gone
from supervise.errors import MailboxClosed, WouldDeadlock

from .address_like import AddressLike
from .view import cant_be_pickled

if TYPE_CHECKING:
    from supervise.mailbox.mailbox import Mailbox

A_co = TypeVar("A_co", covariant=True)
P = ParamSpec("P")
R = TypeVar("R")


class LocalAddress(AddressLike[A_co], Protocol[A_co]):
    """One whose mailbox is in this process."""

    _mailbox: Mailbox


class FromThread(Generic[A_co]):
    """The same address for code in other threads, where it blocks: `address.from_thread`.

    Each send and call returns before the thread can make the next one, so they stay in order.

    Raises `WouldDeadlock` in the event loop's own thread, which would wait for itself. Raises
    `MailboxClosed` when the loop is gone, or goes meanwhile, and in a process that was forked
    off.

    >>> import anyio
    >>> def in_a_thread(names):
    ...     names.send(list.append, "ada")
    ...     return names.call(list.copy)
    >>> async with Supervisor("app") as app:
    ...     names = await app.start(list)
    ...     await anyio.to_thread.run_sync(in_a_thread, names.from_thread)
    ['ada']
    """

    __slots__ = ("_address",)

    def __init__(self, address: LocalAddress[A_co]) -> None:
        self._address = address

    @overload
    def call(self, handler: Callable[Concatenate[A_co, P], Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def call(self, handler: Callable[Concatenate[A_co, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    def call(self, handler: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Have the actor run the handler, and block until there is a result.

        It raises what `Address.call` does.
        """
        return self._wait(lambda: self._address.call(handler, *args, **kwargs))

    def send(self, handler: Callable[Concatenate[A_co, P], Any], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Put a message in the mailbox, and block while there is no room for it.

        It raises what `Address.send` does.
        """
        self._wait(lambda: self._address.send(handler, *args, **kwargs))

    def __repr__(self) -> str:
        return f"<from_thread of {self._address!r}>"

    def __copy__(self) -> FromThread[A_co]:
        """For a copy of its address, which has a token of its own if it is a strong one."""
        return FromThread(copy.copy(self._address))

    def __deepcopy__(self, memo: dict[int, Any]) -> FromThread[A_co]:
        return self.__copy__()

    def __reduce__(self) -> NoReturn:
        raise cant_be_pickled(self, self._address.path)

    def _wait(self, ask: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        mailbox = self._address._mailbox
        backend = mailbox.backend
        if backend.thread != NOWHERE and backend.in_its_thread():  # after a fork, trio takes its own loop for a running one
            raise WouldDeadlock(
                f"from_thread of {mailbox.path} in the event loop's own thread, which would wait for itself: await the address"
            )
        try:
            if backend.thread == NOWHERE:
                raise Gone
            return backend.errands.run(ask)
        except Gone:
            raise MailboxClosed(f"{mailbox.path}: its event loop has ended, or is another process's") from None
