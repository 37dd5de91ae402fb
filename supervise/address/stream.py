"""An address as an anyio stream: whatever can send into a stream can send to an actor."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import anyio
import anyio.lowlevel
from anyio.abc import ObjectSendStream

from supervise.errors import ActorStopped, MailboxClosed

from .view import cant_be_pickled

if TYPE_CHECKING:
    from .recipient import Recipient

T_contra = TypeVar("T_contra", contravariant=True)


class HandlerStream(ObjectSendStream[T_contra]):
    """Each item is sent to one handler. Made by `Address.stream`. A copy of an open one has a token of its own."""

    __slots__ = ("_path", "_recipient", "_text")

    def __init__(self, recipient: Recipient[Any, Any]) -> None:
        self._recipient: Recipient[Any, Any] | None = recipient
        self._path = recipient.path
        self._text = f"<stream of {recipient!r}>"

    async def send(self, item: T_contra) -> None:
        """Return once the item is in the mailbox.

        As of any anyio stream: ClosedResourceError after `aclose`, or when the address was closed; BrokenResourceError, with
        the reason as its cause, when the actor is gone or stopped. `MailboxFull`, where the mailbox rejects, and TimeoutError,
        where a view set a timeout, leave the stream as it was: the item wasn't accepted, and may be sent again.
        """
        recipient = self._recipient
        if recipient is None or not recipient._token.open:
            raise anyio.ClosedResourceError(f"{self._text} was closed")
        sent = recipient.send(item)
        del recipient, self  # who waits for room doesn't keep the actor alive
        try:
            await sent
        except (ActorStopped, MailboxClosed) as error:
            raise anyio.BrokenResourceError(str(error)) from error

    async def aclose(self) -> None:
        """Give up this stream, and nothing else: the address stays open, and the actor isn't told. Idempotent."""
        self._recipient = None
        await anyio.lowlevel.checkpoint()

    def __copy__(self) -> HandlerStream[T_contra]:
        return self if self._recipient is None else HandlerStream(copy.copy(self._recipient))

    def __deepcopy__(self, memo: dict[int, Any]) -> HandlerStream[T_contra]:
        return self.__copy__()

    def __reduce__(self) -> NoReturn:
        raise cant_be_pickled(self, self._path)

    def __repr__(self) -> str:
        return self._text
