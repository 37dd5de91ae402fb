"""What a frame says, and which of its fields mean something then. `frames.py` tells the whole protocol."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final, NamedTuple


class Kind(IntEnum):
    """What a frame says."""

    HELLO = 0
    SERVES = 1
    READY = 2
    GOODBYE = 3
    PING = 4
    PONG = 5
    CALL = 6
    SEND = 7
    REPLY = 8
    ERROR = 9
    CANCEL = 10
    CREDIT = 11
    WATCH = 12
    UNWATCH = 13
    DOWN = 14
    SUBSCRIBE = 15
    UNSUBSCRIBE = 16
    MORE = 17
    EVENT = 18
    ENDED = 19
    MISSED = 20


class Uses(NamedTuple):
    """Which fields of a frame mean something. What it needs is neither 0 nor empty; what it has no use for is."""

    needs: str
    may: str = ""


KINDS: Final[Mapping[Kind, Uses]] = {
    Kind.HELLO: Uses("body"),
    Kind.SERVES: Uses("body"),
    Kind.READY: Uses(""),
    Kind.GOODBYE: Uses("body"),
    Kind.PING: Uses("id"),
    Kind.PONG: Uses("id"),
    Kind.CALL: Uses("id depth above", "to body ms trace flags via"),
    Kind.SEND: Uses("", "to body ms depth trace via"),
    Kind.REPLY: Uses("id", "body"),
    Kind.ERROR: Uses("id body"),
    Kind.CANCEL: Uses("id"),
    Kind.CREDIT: Uses("id", "to"),
    Kind.WATCH: Uses("id", "to"),
    Kind.UNWATCH: Uses("id"),
    Kind.DOWN: Uses("id body"),
    Kind.SUBSCRIBE: Uses("id body", "to"),
    Kind.UNSUBSCRIBE: Uses("id"),
    Kind.MORE: Uses("id to"),
    Kind.EVENT: Uses("id", "body"),
    Kind.ENDED: Uses("id body"),
    Kind.MISSED: Uses("id body"),
}
