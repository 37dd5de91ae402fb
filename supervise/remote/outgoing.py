"""One message on its way out over a link, from its sender to its answer."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from supervise._backends import fail, give
from supervise.mailbox.foreign_reply import ForeignReply
from supervise.wire.frames import EXTRA

from .failure import error_of

if TYPE_CHECKING:
    from supervise._backends import Future
    from supervise.mailbox.envelope import Deadline
    from supervise.message import Message
    from supervise.wire.codec import Method
    from supervise.wire.interface import Interface

    from .link import Link


class State(Enum):
    """How far a message is on its way."""

    ASKS = "asks for credit"
    """It holds none yet. Of one that is passed on the caller may be gone meanwhile, who isn't the one that asks."""
    WAITS = "waits"
    """In the link's mailbox, or held back for lack of credit: it goes out on this connection, or on the next."""
    WRITTEN = "written"
    """It was handed to the connection; what becomes of it is known when its answer, or its credit, is there."""
    OVER = "over"


class Outgoing(ForeignReply):
    """A call or a send. As a reply slot it is the link's own message of it: that ends when the message is written.

    `answer` is what its caller waits for; None of a send.
    """

    __slots__ = (
        "above",
        "answer",
        "body",
        "deadline",
        "flags",
        "interface",
        "is_call",
        "level",
        "link",
        "message",
        "method",
        "number",
        "size",
        "state",
        "trace",
        "via",
    )

    def __init__(
        self,
        link: Link,
        interface: Interface[Any],
        method: Method,
        body: bytes,
        message: Message,
        answer: Future | None,
        *,
        level: int,
        above: tuple[bytes, ...] = (),
        deadline: Deadline | None = None,
        trace: str = "",
        flags: int = 0,
        via: tuple[str, ...] = (),
    ) -> None:
        super().__init__(link.mailbox)
        self.link: Link = link
        self.interface: Interface[Any] = interface
        self.method: Method = method
        self.body: bytes = body
        self.message: Message = message
        self.answer: Future | None = answer
        self.is_call: bool = answer is not None
        self.level: int = level
        """How deep its sender stands: messages of one level keep their order."""
        self.above: tuple[bytes, ...] = above
        self.deadline: Deadline | None = deadline
        self.trace: str = trace
        self.flags: int = flags
        self.via: tuple[str, ...] = via
        self.size: int = len(body) + EXTRA
        self.number: int = 0
        """Its id on the connection that it went out on."""
        self.state: State = State.ASKS

    @property
    def depth(self) -> int:
        """Of a call."""
        return self.level + 1

    # -- as the reply slot of the link's own message -------------------------------------------------------------------

    def returned(self, result: Any, /) -> None:
        """It is out of the mailbox: written, or held back."""

    def raised(self, error: BaseException, /) -> None:
        """It never went out; or the life has ended in which it was written, and the end of the connection says more."""
        if self.state is not State.WRITTEN:
            self.refuse(error)

    # -- its end -------------------------------------------------------------------------------------------------------

    def refuse(self, error: BaseException) -> None:
        """There will be no answer, for this reason."""
        if self.end() and self.answer is not None:
            fail(self.answer, error)

    def failed(self, body: bytes, path: str) -> None:
        """The answer is an error. `path`: of the address that was called. ProtocolError for what is none."""
        self.refuse(error_of(body, self.interface, self.message, path))

    def answered(self, body: bytes) -> None:
        """The answer is there."""
        if self.end() and self.answer is not None:
            give(self.answer, body)

    def end(self) -> bool:
        """It holds no credit any more. False: it has ended before."""
        held, self.state = self.state, State.OVER
        if held in (State.WAITS, State.WRITTEN):
            self.link.give_back(self)
        return held is not State.OVER

    def leave(self) -> None:
        """Its caller is gone. What has gone out holds its credit until the answer, which is asked to come soon."""
        if self.state in (State.ASKS, State.WAITS):
            self.withdraw()
            self.end()
        elif self.state is State.WRITTEN:
            self.link.cancel(self)

    def __repr__(self) -> str:
        return f"<{self.message} {self.state.value}>"
