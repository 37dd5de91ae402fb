"""Restart intensity: how many restarts within how many seconds a supervisor performs before it gives up."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from .errors import InvalidSpec
from .text import shown


@dataclass(frozen=True, slots=True)
class Intensity:
    """At most `restarts` within any `per` seconds; with more, the supervisor gives up.

    The window slides, its edge included. `Intensity(1)` allows one restart, `Intensity(0)`
    none. The restart over the limit isn't performed. The default, 3 in 5 s, is Elixir's;
    Erlang/OTP's own is 1 in 5 s.

    A restart that a backoff has put off isn't counted: see `Restart`.

    >>> print(Supervisor("app", child(list), intensity=Intensity(5, per=60)))
    app  [one_for_one, 5 in 60 s]
      list  permanent
    """

    restarts: int = 3
    per: float = 5.0

    def __post_init__(self) -> None:
        if isinstance(self.restarts, bool) or not isinstance(self.restarts, int) or self.restarts < 0:
            cure = "a whole number of restarts, 0 (none is allowed) or more"
            raise InvalidSpec("Intensity", "restarts", self.restarts, cure, fault="invalid_intensity")
        if isinstance(self.per, bool) or not isinstance(self.per, int | float) or not 0 < self.per < math.inf:
            raise InvalidSpec("Intensity", "per", self.per, "seconds, above 0 and finite", fault="invalid_period")

    def __str__(self) -> str:
        return f"{self.restarts} in {self.per:g} s"


def check_intensity(who: str, field: str, value: object, *, fault: str = "invalid_value") -> None:
    """InvalidSpec for what isn't an Intensity; a number alone, as in other libraries, has no period."""
    if not isinstance(value, Intensity):
        cure = "Intensity(restarts, per=seconds)"
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            cure = f"a number has no period: Intensity({shown(value)}, per=seconds)"
        raise InvalidSpec(who, field, value, cure, fault=fault)


class RestartWindow:
    """The restarts that a limit remembers: instants within its last `per` seconds.

    OTP keeps a list of all restarts of the period, and pays for its length at each crash. More
    than the limit never need be remembered, since the one over it isn't performed; so this is a
    ring of `intensity.restarts`.

        >>> window = RestartWindow(Intensity(2, per=5))
        >>> [window.add(now) for now in (0, 1, 2, 6)]  # the third is one too many
        [1, 2, 0, 2]
    """

    __slots__ = ("_times", "intensity")

    def __init__(self, intensity: Intensity) -> None:
        self.intensity: Intensity = intensity
        self._times: deque[float] = deque()

    def __len__(self) -> int:
        """The restarts remembered, as of the last `add` (old ones are dropped only then, as in OTP)."""
        return len(self._times)

    def add(self, now: float) -> int:
        """Count a restart at `now`: how many there are with it; 0 says that it is one too many."""
        times = self._times
        oldest = now - self.intensity.per
        while times and times[0] < oldest:
            times.popleft()
        if len(times) >= self.intensity.restarts:
            return 0
        times.append(now)
        return len(times)

    def left(self, now: float) -> int:
        """How many restarts it would still allow at `now`; nothing is counted."""
        oldest = now - self.intensity.per
        return max(0, self.intensity.restarts - sum(at >= oldest for at in self._times))

    def copy(self, intensity: Intensity | None = None) -> RestartWindow:
        """Another one with the same restarts, under another limit if one is given."""
        other = RestartWindow(self.intensity if intensity is None else intensity)
        other._times.extend(self._times)
        return other
