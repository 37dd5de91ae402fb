"""Calls over links that wait for themselves are found where they come in, by the ids of the calls above them.

A call that an exclusive handler makes has a random id, which travels with it and with all that is called because of it. A call
that comes in below it, for an actor that waits for just that call, could never be answered.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from supervise.mailbox.call_cycle import check_cycle

if TYPE_CHECKING:
    from supervise.mailbox.lane import Lane
    from supervise.mailbox.turn import Turn
    from supervise.message import AnyHandler

_WAITING: Final[dict[bytes, Turn]] = {}
"""Calls that are under way, by their ids, each with the turn that waits for it; of all links of this process."""


def new_id() -> bytes:
    """Random, so that no other process can guess it, and none has the same."""
    return secrets.token_bytes(8)


def waits(id: bytes, turn: Turn) -> None:
    """This turn waits for that call from now on."""
    _WAITING[id] = turn


def waits_no_more(id: bytes) -> None:
    """It has its answer, or is gone."""
    _WAITING.pop(id, None)


def check(above: tuple[bytes, ...], lane: Lane, handler: AnyHandler, kwargs: dict[str, Any]) -> None:
    """Raise CallCycle if a call with these calls above it would wait, in that lane, for one of them."""
    for id in above:
        turn = _WAITING.get(id)
        if turn is not None:
            check_cycle(turn, lane, handler, (), kwargs)
