"""The account of a mailbox: each message that it accepted has exactly one end."""

from __future__ import annotations

from typing import NamedTuple


class Account(NamedTuple):
    """What became of the messages that an actor accepted: each has exactly one end.

    It balances at every instant, and goes on over crashes and restarts.

    accepted: All that came in.
    handled: The handler returned.
    failed: A caller got an error: the handler raised, or the call was cut.
    dead_lettered: No handler will finish it, and nobody could be told; or it waited at a
        stop.
    abandoned: Skipped: its caller was gone, or its deadline had passed.
    queued: It waits.
    in_hand: A handler has begun with it.

    >>> async with Supervisor("app") as app:
    ...     names = await app.start(list)
    ...     await names.send(list.pop)
    ...     await names.send(list.append, "ada")
    ...     await names.call(list.copy)
    ...     names.account()
    ['ada']
    Account(accepted=3, handled=2, failed=0, dead_lettered=1, abandoned=0, queued=0, in_hand=0)
    """

    accepted: int = 0
    handled: int = 0
    """The handler returned."""
    failed: int = 0
    """A caller got an error: the handler raised, or the call was cut."""
    dead_lettered: int = 0
    """No handler will finish it, and nobody could be told (or it waited at a stop)."""
    abandoned: int = 0
    """Skipped: its caller was gone, or its deadline had passed."""
    queued: int = 0
    in_hand: int = 0

    @property
    def balanced(self) -> bool:
        """Whether each accepted message has exactly one end, or still waits for it."""
        return self.accepted == sum(self[1:])

    def plus(self, other: Account) -> Account:
        """The sum of two accounts, e.g. of a whole tree."""
        return Account(*(a + b for a, b in zip(self, other, strict=True)))
