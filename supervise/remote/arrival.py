"""One call that came in over a link, from the frame to its one answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supervise.errors import BadReply
from supervise.mailbox.foreign_reply import ForeignReply
from supervise.wire.kinds import Kind

from .failure import error_body
from .outgoing import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervise.mailbox.lane import Lane
    from supervise.wire.codec import Method
    from supervise.wire.interface import Interface

    from .outgoing import Outgoing


class Arrival(ForeignReply):
    """Its reply slot. It answers once, whatever becomes of the call; also after its caller was said to be gone."""

    __slots__ = ("_answer", "depth", "interface", "method", "most", "number", "passed_on", "size")

    def __init__(
        self,
        lane: Lane,
        number: int,
        interface: Interface[Any],
        method: Method,
        depth: int,
        size: int,
        most: int,
        answer: Callable[[Arrival, Kind, bytes], object],
    ) -> None:
        super().__init__(lane)
        self.number: int = number
        self.interface: Interface[Any] = interface
        self.method: Method = method
        self.depth: int = depth
        self.size: int = size
        self.most: int = most
        """Bytes that its result may have."""
        self.passed_on: Outgoing | None = None
        """By a relay: the message that it is on its way in."""
        self._answer = answer

    def returned(self, result: Any, /) -> None:
        try:
            body = self.method.encode_result(result, self.most)
        except BadReply as error:
            self.raised(error)
        else:
            self._answer(self, Kind.REPLY, body)

    def raised(self, error: BaseException, /) -> None:
        self._answer(self, Kind.ERROR, error_body(error, self.interface))

    def pass_back(self, kind: Kind, body: bytes) -> None:
        """What somebody else has answered, as it is."""
        if self.done():
            return
        self._end()
        if len(body) > self.most:
            what = "result" if kind is Kind.REPLY else "error"
            text = f"the {what} of {self.method.name} has {len(body)} bytes, and {self.most} may cross"
            self.raised(BadReply(f"{text} here: send a reference to what is large"))
        else:
            self._answer(self, kind, body)

    def withdraw(self) -> bool:
        if self.passed_on is None or self.done():
            return super().withdraw()
        self.passed_on.leave()
        if self.passed_on.state is not State.OVER:
            return False
        self._done = True
        return True

    def refuse(self, error: BaseException) -> None:
        """It doesn't get into the mailbox."""
        if not self.done():
            self.set_exception(error)
