"""An address narrowed to one handler: what takes the same arguments fits in one list, whatever the actors are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

from supervise.mailbox.lifetime import Token
from supervise.message import name_of

from .reply_stream import ReplyStream
from .view import MailboxView, ViewOptions

if TYPE_CHECKING:
    from supervise.mailbox.mailbox import Mailbox

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")


class Recipient(MailboxView, Generic[P, R_co]):
    """An address and one handler of it: `address.recipient(Shop.order)`.

    What takes the same arguments fits in one list, whatever the actors are. It is equal and
    hashable by address and handler. A copy has a token of its own, as of an address.

    >>> async with Supervisor("app", child(list), child(set)) as app:
    ...     guests = app.find("list").recipient(list.append)
    ...     seen = app.find("set").recipient(set.add)
    ...     for recipient in (guests, seen):
    ...         await recipient.call("ada")
    ...     guests
    <Recipient app/list list.append>
    """

    __slots__ = ("_handler",)

    def __init__(self, mailbox: Mailbox, token: Token, view_options: ViewOptions | None, handler: Callable[..., Any]) -> None:
        super().__init__(mailbox, token, view_options)
        self._handler = handler

    async def call(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Have the actor run the handler with these arguments; see `Address.call`."""
        called = self._lane_for(self._handler, args, kwargs).call(self._handler, args, kwargs, self._options())
        del self  # as in Address.send
        result: R_co = await called
        return result

    async def send(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Put a message with these arguments in the mailbox; see `Address.send`."""
        sent = self._lane_for(self._handler, args, kwargs).send(self._handler, args, kwargs, self._options())
        del self
        await sent

    def try_send(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Put the message in now, or raise `MailboxFull`; see `Address.try_send`."""
        self._lane_for(self._handler, args, kwargs).try_send(self._handler, args, kwargs, self._options())

    def stream_from(self: Recipient[P, AsyncIterator[T]], *args: P.args, **kwargs: P.kwargs) -> ReplyStream[T]:
        """Read what the async generator yields, item by item; see `Address.stream_from`."""
        return ReplyStream(self, self._handler, args, kwargs)

    def __copy__(self) -> Recipient[P, R_co]:
        mailbox = self._mailbox
        return Recipient(mailbox, Token(mailbox.lifetime), self._view_options, self._handler) if self._token.open else self

    def __deepcopy__(self, memo: dict[int, Any]) -> Recipient[P, R_co]:
        return self.__copy__()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Recipient):
            return False
        same = cast("Recipient[..., Any]", other)
        return same._mailbox is self._mailbox and same._handler == self._handler

    def __hash__(self) -> int:
        return hash((self._mailbox.id, self._handler))

    def __repr__(self) -> str:
        return f"<Recipient {self.path} {name_of(self._handler)}>"
