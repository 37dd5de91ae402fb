"""What all kinds of addresses are: a view of one mailbox, which may say how the messages that go through it travel.

Nobody who holds one holds the actor, or its queue: the mailbox behind it can one day be in another process.
"""

from __future__ import annotations

import math
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, NoReturn

from supervise.errors import MailboxClosed, SuperviseError
from supervise.mailbox.affinity import OF_AN_ADDRESS, check_thread
from supervise.mailbox.envelope import Deadline, MessageOptions, OnCancel, OnRestart
from supervise.mailbox.mailbox_options import check_on_cancel
from supervise.mailbox.turn import current_turn
from supervise.message import AnyHandler, Message
from supervise_strategies.child_spec import is_count
from supervise_strategies.errors import InvalidSpec

if TYPE_CHECKING:
    from supervise.mailbox.account import Account
    from supervise.mailbox.lane import Lane
    from supervise.mailbox.lifetime import Access
    from supervise.mailbox.mailbox import Mailbox


BUFFER: Final = 16
"""Items of a stream that may wait for their reader, where nobody says how many."""


class ViewOptions:
    """What a view says about each message that it sends."""

    __slots__ = ("buffer", "lane", "on_cancel", "on_restart", "only_hurries", "timeout")

    def __init__(
        self,
        mailbox: Mailbox,
        timeout: float | None,
        on_restart: OnRestart,
        lane: str | None,
        on_cancel: OnCancel | None,
        buffer: int = BUFFER,
    ) -> None:
        path = mailbox.path
        good = timeout is None or (isinstance(timeout, int | float) and not isinstance(timeout, bool) and timeout >= 0)
        if not good or (timeout is not None and math.isnan(timeout)):
            raise InvalidSpec(f"options of {path!r}", "timeout", timeout, "seconds, 0 or more, or None for no deadline")
        if on_restart not in ("wait", "fail"):
            raise InvalidSpec(f"options of {path!r}", "on_restart", on_restart, "'wait' or 'fail'", among=("wait", "fail"))
        self.timeout: float | None = timeout
        if on_cancel is not None:
            check_on_cancel(f"options of {path!r}", on_cancel)
        self.on_restart: OnRestart = on_restart
        self.on_cancel: OnCancel | None = on_cancel
        self.lane: Lane = mailbox.lane(lane)
        self.only_hurries: bool = (
            timeout is not None and on_restart == "wait" and on_cancel is None and self.lane is mailbox.mailbox
        )
        """A call through it has a deadline, and nothing else is special."""
        if buffer == math.inf or not is_count(buffer, 1):
            raise InvalidSpec(f"options of {path!r}", "buffer", buffer, "how many items may wait: a whole number, 1 or more")
        self.buffer: int = buffer

    def for_message(self, mailbox: Mailbox) -> MessageOptions | None:
        """What travels with the next message; None: there is nothing to be said."""
        if self.timeout is None and self.on_restart == "wait" and self.on_cancel is None:
            return None
        deadline = None if self.timeout is None else Deadline(mailbox.backend.now(), self.timeout)
        return MessageOptions(deadline, self.on_restart, self.on_cancel)


class MailboxView:
    """What all kinds of addresses share: a mailbox, what keeps it open for them, and what `options()` said, if anything."""

    __slots__ = ("_mailbox", "_token", "_view_options")

    def __init__(self, mailbox: Mailbox, token: Access, view_options: ViewOptions | None = None) -> None:
        self._mailbox = mailbox
        self._token = token
        self._view_options = view_options

    @property
    def id(self) -> int:
        """A number that no other mailbox of this process has, or ever had."""
        return self._mailbox.id

    @property
    def name(self) -> str:
        """The actor's name: the last part of its path."""
        return self._mailbox.name

    @property
    def path(self) -> str:
        """The full path, from the root supervisor on."""
        return self._mailbox.path

    def __len__(self) -> int:
        """How many messages wait in the mailbox."""
        return self._mailbox.waiting

    def __bool__(self) -> bool:
        return True  # an empty mailbox isn't a missing address

    def account(self) -> Account:
        """What became of all messages that the mailbox ever accepted, over all incarnations."""
        return self._mailbox.account()

    def __reduce__(self) -> NoReturn:
        raise cant_be_pickled(self, self.path)

    def _lane_for(self, handler: AnyHandler, args: tuple[Any, ...], kwargs: dict[str, Any], cure: str = OF_AN_ADDRESS) -> Lane:
        """The lane that its messages go to. Raises, with the message attached, where it can't be used: here, or any more."""
        try:
            if get_ident() != self._mailbox.backend.thread:
                check_thread(self._mailbox.path, self._mailbox.backend, cure)
            if not self._token.open:
                self._check_open()
        except SuperviseError as refusal:
            refusal.message = Message(handler, args, kwargs)
            raise
        return self._mailbox if self._view_options is None else self._view_options.lane

    def _check_open(self) -> None:
        token = self._token
        if not (token.open or self._mailbox.is_own(current_turn(None))):
            raise MailboxClosed(token.closed(self.path))

    def _options(self) -> MessageOptions | None:
        return None if self._view_options is None else self._view_options.for_message(self._mailbox)

    def _buffer(self) -> int:
        return BUFFER if self._view_options is None else self._view_options.buffer


def cant_be_pickled(reference: object, path: str) -> TypeError:
    """What `pickle` gets: a reference leads to something in this process."""
    return TypeError(f"{reference!r} can't be pickled: send its path, {path!r}, and find() it where that is read")
