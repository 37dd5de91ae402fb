"""Whether a message that ended a life is tried again, how often, and after how long."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from typing import Any, Final

from .errors import InvalidSpec
from .restart import Draw, Predicate, Wait, draw, matches, retry_state


@dataclass(frozen=True, slots=True)
class Redeliver:
    """How a message that was in hand as a life ended is tried again.

    So it is delivered at least once, instead of at most once: its handler has to bear that.
    `current().attempt` says which try it is.

    times: How many tries there are after the first.
    wait: One of tenacity's objects, asked for the seconds before each try. Meanwhile the
        message holds its lane, so the order stays. Default: no wait.
    when: One of tenacity's `retry_if_…` objects, or a function of the exception. It is
        asked of the message whose handler raised, and must match each exception in a group.
        What doesn't match is a dead letter at once. Default: any.

    A `when` that raises doesn't match. A `wait` that raises, or says nonsense, is none. Both
    are logged. Raises `InvalidSpec`.

    >>> class Courier:
    ...     def deliver(self):
    ...         if current().attempt < 3:
    ...             raise OSError("no route")
    ...         return f"delivered at try {current().attempt}"
    >>> async with Supervisor("app", child(Courier, redeliver=Redeliver(5))) as app:
    ...     await app.find("courier").call(Courier.deliver)
    'delivered at try 3'
    """

    times: int
    wait: Wait | None = None
    when: Predicate | None = None

    def __post_init__(self) -> None:
        times: Any = self.times
        if isinstance(times, bool) or not isinstance(times, int) or times < 0:
            raise InvalidSpec("Redeliver", "times", times, "how many times more: a whole number, 0 or more")
        for field, example in (("wait", "wait_fixed(1)"), ("when", "retry_if_exception_type(OSError)")):
            policy: Any = getattr(self, field)
            if policy is None:
                continue
            if not callable(policy) or inspect.isclass(policy):
                raise InvalidSpec("Redeliver", field, policy, f"a tenacity object, e.g. {field}={example}")
            if inspect.iscoroutinefunction(policy) or inspect.iscoroutinefunction(policy.__call__):
                raise InvalidSpec("Redeliver", field, policy, f"it can't be awaited: a plain function, or e.g. {example}")

    def wants(self, error: BaseException | None) -> tuple[bool, BaseException | None]:
        """Whether a message whose handler raised this is tried again.

        And what `when` itself raised.
        """
        if self.when is None or error is None:
            return True, None
        return matches(self.when, error)

    def delay(self, failures: int, error: BaseException | None, draw: Draw = draw) -> tuple[float, BaseException | None]:
        """Seconds before the next try, after so many failures; and what `wait` itself raised."""
        if self.wait is None:
            return 0.0, None
        try:
            seconds = draw(self.wait, retry_state(error, attempt=failures, first=0.0, now=0.0))
            if not math.isfinite(seconds):
                raise ValueError(f"it says to wait {seconds} s")
        except BaseException as raised:
            return 0.0, raised
        return max(0.0, seconds), None


def as_redeliver(who: str, value: int | Redeliver) -> Redeliver:
    """A bare number stands for so many tries. Raises `InvalidSpec`; `who` stands in the error."""
    if isinstance(value, Redeliver):
        return value
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        cure = "how many times more: a whole number, 0 or more; or Redeliver(times, wait=…, when=…)"
        raise InvalidSpec(who, "redeliver", value, cure)
    return Redeliver(value) if value else NEVER


NEVER: Final = Redeliver(0)
"""At most once."""
