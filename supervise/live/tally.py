"""Messages by handler, of actors whose detail is asked for again and again; nobody counts for the others."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from supervise._backends import Backend, Handle
    from supervise.mailbox.mailbox import Mailbox

LOOKED_AT: Final = 8
"""Actors that are counted for; of more, the one that wasn't asked for longest is no more."""
FORGOTTEN: Final = 30.0
"""Seconds after which an actor that nobody asks for isn't counted for any more."""
NAMES: Final = 50
"""Handlers that are told, those with most messages."""


class Tallies:
    """Of one tree, over all its runs. It belongs to the tree's loop."""

    def __init__(self) -> None:
        self._backend: Backend | None = None  # that of the tree's present run, whose timers end with it
        self._asked: dict[Mailbox, float] = {}  # longest ago first
        self._timer: Handle | None = None

    def of(self, mailbox: Mailbox) -> dict[str, int]:
        """The messages that were begun since somebody first asked, by handler."""
        backend = mailbox.backend
        if backend is not self._backend:
            self.end()
            self._backend = backend
        self._asked.pop(mailbox, None)
        self._asked[mailbox] = backend.now()
        mailbox.tally(on=True)
        if len(self._asked) > LOOKED_AT:
            self._drop(next(iter(self._asked)))
        if self._timer is None:
            self._look(backend)
        tally = mailbox.extras.tally
        return {} if tally is None else dict(tally.most_common(NAMES))

    def end(self) -> None:
        """Count for nobody."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for mailbox in [*self._asked]:
            self._drop(mailbox)

    def _drop(self, mailbox: Mailbox) -> None:
        del self._asked[mailbox]
        mailbox.tally(on=False)

    def _look(self, backend: Backend) -> None:
        """Drop those that nobody asks for, and look again as long as there are others."""
        now = backend.now()
        for mailbox in [mailbox for mailbox, asked in self._asked.items() if now - asked >= FORGOTTEN]:
            self._drop(mailbox)
        self._timer = backend.call_at(now + FORGOTTEN, partial(self._look, backend)) if self._asked else None
