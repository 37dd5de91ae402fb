"""How many messages an actor begins at most in a stretch of time: a token bucket."""

from __future__ import annotations

import math
from dataclasses import dataclass

from supervise_strategies.errors import InvalidSpec


@dataclass(frozen=True, slots=True)
class Throttle:
    """At most `rate` messages a second in the long run, and `burst` at once after a rest.

    What can't be begun yet waits in the mailbox, and nothing is lost. A restart begins with the
    bucket as it is. When the last strong address goes, what waits is handled at the same rate.
    Raises `InvalidSpec` for a rate or a burst that is none.

    >>> import anyio
    >>> async with Supervisor("app", child(list, throttle=Throttle(10, burst=3))) as app:
    ...     names, began = app.find("list"), anyio.current_time()
    ...     for name in "abcde":
    ...         await names.call(list.append, name)
    ...     round(anyio.current_time() - began, 1)
    0.2
    """

    rate: float
    burst: int = 1

    def __post_init__(self) -> None:
        if not _is_rate(self.rate):
            raise InvalidSpec("Throttle", "rate", self.rate, "messages a second, above 0 and finite")
        if isinstance(self.burst, bool) or not isinstance(self.burst, int) or self.burst < 1:
            raise InvalidSpec("Throttle", "burst", self.burst, "a whole number of messages, 1 or more")

    def bucket(self) -> Bucket:
        """A full bucket of its own."""
        return Bucket(self)


def as_throttle(who: str, value: float | Throttle | None) -> Throttle | None:
    """A bare number stands for so many messages a second. Raises `InvalidSpec`; `who` stands in the error."""
    if value is None or isinstance(value, Throttle):
        return value
    if not _is_rate(value):
        raise InvalidSpec(who, "throttle", value, "messages a second, above 0 and finite; or Throttle(rate, burst)")
    return Throttle(value)


def _is_rate(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


class Bucket:
    """The tokens of one mailbox: one for each message, `rate` new ones a second, never more than `burst`."""

    __slots__ = ("_at", "_throttle", "_tokens")

    def __init__(self, throttle: Throttle) -> None:
        self._throttle = throttle
        self._tokens = float(throttle.burst)
        self._at = -math.inf

    def rest(self, now: float) -> float:
        """Seconds until there is a token; 0.0: there is one."""
        throttle = self._throttle
        if now > self._at:
            if self._at > -math.inf:
                self._tokens = min(throttle.burst, self._tokens + (now - self._at) * throttle.rate)
            self._at = now
        # Not quite a whole one is enough, so that a sum of parts counts as the whole.
        return 0.0 if self._tokens >= 1 - 1e-9 else (1 - self._tokens) / throttle.rate

    def take(self, tokens: int = 1) -> None:
        """Take one that is there; -1: give it back, as it wasn't used."""
        self._tokens -= tokens
