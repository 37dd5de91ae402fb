"""The lanes of a mailbox beside its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .lane import Lane

if TYPE_CHECKING:
    from .mailbox import Mailbox


class SideLane(Lane):
    """A lane beside the mailbox's own."""

    __slots__ = ("_mailbox",)

    def __init__(self, mailbox: Mailbox) -> None:
        super().__init__()
        self._mailbox = mailbox

    @property
    def mailbox(self) -> Mailbox:
        return self._mailbox
