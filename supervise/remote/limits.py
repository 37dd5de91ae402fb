"""How much one side of a link may ask of the other one. Each has a default, and none is infinite."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from supervise.errors import ProtocolError
from supervise.wire.bodies import SMALLEST_FRAME, Sizes
from supervise.wire.frames import EXTRA
from supervise_strategies.errors import InvalidSpec

KIB: Final = 1024
DEEPEST: Final = 8
"""A frame has room for so many ids of calls, by which a circle of them is seen."""


class _Range(NamedTuple):
    unit: str
    lowest: int
    highest: int


_BYTES: Final = _Range("bytes", SMALLEST_FRAME, 1 << 40)
_NUMBER: Final = _Range("a whole number", 1, 1 << 40)
_RANGES: Final = {
    "frame": _Range("bytes", SMALLEST_FRAME, 1 << 30),
    "calls": _NUMBER,
    "depth": _Range("calls in calls", 1, DEEPEST),
    "call_bytes": _BYTES,
    "send_bytes": _BYTES,
    "out_bytes": _BYTES,
    "connections": _NUMBER,
    "per_address": _NUMBER,
    "handshakes": _NUMBER,
}
_SECONDS: Final = ("connect", "greeting", "whole_frame", "idle", "pong", "write", "grace")
LONGEST: Final = 365 * 24 * 3600
"""Seconds: more is as good as none at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of a link, or of a gate and each of its links.

    Of `frame`, `calls`, `depth`, `call_bytes` and `send_bytes` the smaller of both sides'
    holds. The others are a side's own. Raises `InvalidSpec` for a value that is none, and for
    limits with which a message that is as large as a frame could never be sent.

    - `frame`: bytes of a frame, 32768 or more. A larger one that comes in ends the connection,
      before a byte of it is read; one that is to go out is `TooLarge`.
    - `calls`: calls of one depth that are open at once, in each direction. Further ones wait.
    - `depth`: the deepest call, 1 to 8. A deeper one is `CallTooDeep`.
    - `call_bytes`: bytes of the open calls of one depth. Further ones wait.
    - `send_bytes`: bytes of sends to one interface that its mailbox hasn't accepted yet.
      Further ones wait.
    - `out_bytes`: bytes that wait to be written. The link's handlers wait then.
    - `connections`, `per_address`, `handshakes`: of a gate, in all, from one address, and of
      those that aren't up yet. Further ones are refused.
    - `connect`, `greeting`, `whole_frame`, `idle`, `pong`, `write`: seconds for look-up and
      connect; for TLS and HELLO; for a frame that has begun; without a byte until a PING; for
      its answer; for one write. Then the connection ends.
    - `grace`: seconds that open calls have at an ordered stop.

    A message counts 256 bytes more than its body.

    >>> Limits(calls=16).with_theirs(Limits(calls=500, depth=3).sizes()).calls
    16
    >>> Limits(frame=1024 * 1024)
    Traceback (most recent call last):
    InvalidSpec: Limits: call_bytes=262144 is not valid: at least frame + 256 = 1048832 bytes: else
        one message that is as large as a frame could never be sent
    """

    frame: int = 64 * KIB
    calls: int = 64
    depth: int = DEEPEST
    call_bytes: int = 256 * KIB
    send_bytes: int = 256 * KIB
    out_bytes: int = 256 * KIB
    connections: int = 1000
    per_address: int = 50
    handshakes: int = 100
    connect: float = 5.0
    greeting: float = 3.0
    whole_frame: float = 5.0
    idle: float = 15.0
    pong: float = 15.0
    write: float = 5.0
    grace: float = 5.0

    def __post_init__(self) -> None:
        for field, (unit, lowest, highest) in _RANGES.items():
            value: object = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
                raise InvalidSpec("Limits", field, value, f"{unit}, from {lowest} to {highest}")
        for field in _SECONDS:
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LONGEST:
                raise InvalidSpec("Limits", field, value, f"seconds, above 0 and at most {LONGEST}")
        for field in ("call_bytes", "send_bytes", "out_bytes"):
            if getattr(self, field) < self.frame + EXTRA:
                cure = f"at least frame + {EXTRA} = {self.frame + EXTRA} bytes: else one message that is as large as a frame"
                raise InvalidSpec("Limits", field, getattr(self, field), f"{cure} could never be sent")

    def sizes(self) -> Sizes:
        """What of them travels in HELLO."""
        return Sizes(**{field: getattr(self, field) for field in Sizes.__struct_fields__})

    def with_theirs(self, theirs: Sizes) -> Limits:
        """The limits that hold with a side that said these.

        Raises `ProtocolError` if nothing could be sent with them.
        """
        if theirs.frame < SMALLEST_FRAME:
            raise ProtocolError("limits", f"frame is {theirs.frame}; at least {SMALLEST_FRAME} are needed")
        if min(theirs.calls, theirs.depth) < 1:
            raise ProtocolError("limits", "calls and depth are 1 or more")
        for field in ("call_bytes", "send_bytes"):
            if getattr(theirs, field) < theirs.frame + EXTRA:
                raise ProtocolError("limits", f"{field} is {getattr(theirs, field)}, and a frame {theirs.frame}")
        return replace(self, **{field: min(getattr(self, field), getattr(theirs, field)) for field in Sizes.__struct_fields__})
