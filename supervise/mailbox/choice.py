"""Which lane of a mailbox is next: the most urgent one, each in its turn, each by its weight, or whatever a function says."""

from __future__ import annotations

import inspect
import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

from supervise.log import say
from supervise_strategies.child_spec import is_count
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.exception import interrupts
from supervise_strategies.exit_reason import describe

if TYPE_CHECKING:
    from .lane import Lane
    from .mailbox import Mailbox

Choice: TypeAlias = Literal["strict", "fair"] | Mapping[str, int] | Callable[[Mapping[str, int]], str]

WINDOW: Final = 60.0  # seconds between two records of a function that fails
_CURE: Final = (
    "'strict' (the most urgent first), 'fair' (in turns), weights as {'urgent': 8, 'normal': 1}, or a function "
    "of {name: how many wait} that returns a name"
)


def as_choice(who: str, choice: Any, lanes: tuple[str, ...]) -> Choice:
    """The choice as it is kept: weights are copied. InvalidSpec, with the cure, for what is none."""
    if isinstance(choice, str) and choice in ("strict", "fair"):
        return "strict" if choice == "strict" else "fair"
    if isinstance(choice, Mapping):
        given = cast(Any, choice)
        try:
            weights = dict(given.items())
        except Exception as error:
            raise InvalidSpec(who, "choice", given, f"weights that can be read; its items() raised {describe(error)}") from None
        if {*weights} != {*lanes} or not lanes:
            there = ", ".join(map(repr, lanes)) or "none: it needs lanes=(...)"
            raise InvalidSpec(who, "choice", weights, f"a weight for each lane, and for nothing else; there are {there}")
        for name, weight in weights.items():
            if not isinstance(weight, int) or not is_count(weight, 1):
                raise InvalidSpec(
                    who, f"choice[{name!r}]", weight, "a whole number, 1 or more: 8 is served 8 times as often as 1"
                )
        return MappingProxyType(weights)
    if not callable(choice) or isinstance(choice, type):
        raise InvalidSpec(who, "choice", choice, _CURE, among=("strict", "fair"))
    if inspect.iscoroutinefunction(choice) or inspect.iscoroutinefunction(type(choice).__call__):
        raise InvalidSpec(who, "choice", choice, "it can't be awaited: a plain function, asked before each message")
    if not lanes:
        raise InvalidSpec(who, "choice", choice, "'strict': without lanes=(...) there is nothing to choose from")
    return cast(Choice, choice)


def choosing(choice: Choice, lanes: tuple[str, ...], mailbox: Mailbox) -> Choosing:
    """What chooses among these lanes of one mailbox."""
    if choice == "strict":
        return STRICT
    if choice == "fair":
        return Fair()
    if isinstance(choice, Mapping):
        return Weighted([cast(Any, choice)[name] for name in lanes])
    return Chosen(choice, lanes, mailbox)


class Choosing(ABC):
    """Chooses among the lanes of one mailbox."""

    __slots__ = ()

    @abstractmethod
    def next(self, lanes: Sequence[Lane], held_up: Collection[Lane]) -> Lane | None:
        """The lane that the next message comes from; None: all are empty, or held up. `lanes`: the most urgent first."""

    def begin(self) -> None:
        """The next one is to be the most urgent that has a message, and from there all goes on as at first."""
        return


class Strict(Choosing):
    """The most urgent one that has a message."""

    __slots__ = ()

    def next(self, lanes: Sequence[Lane], held_up: Collection[Lane]) -> Lane | None:
        for lane in lanes:
            if lane.queue and lane not in held_up:
                return lane
        return None


STRICT: Final = Strict()


class Fair(Choosing):
    """Each in its turn."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next = 0

    def next(self, lanes: Sequence[Lane], held_up: Collection[Lane]) -> Lane | None:
        for turn in range(self._next, self._next + len(lanes)):
            lane = lanes[turn % len(lanes)]
            if lane.queue and lane not in held_up:
                self._next = (turn + 1) % len(lanes)
                return lane
        return None

    def begin(self) -> None:
        self._next = 0


class Weighted(Choosing):
    """Each by its weight, and evenly spread: a, a, b, a for 3 to 1 rather than a, a, a, b.

    Smooth weighted round robin. Each lane that could be served earns its weight; the richest is served, and pays what all
    have earned. One that is empty, or held up, loses what it has, so it can't make up for it later in one go.
    """

    __slots__ = ("_begins", "_credits", "_weights")

    def __init__(self, weights: Sequence[int]) -> None:
        self._weights = weights
        self._credits = [0] * len(weights)
        self._begins = False

    def next(self, lanes: Sequence[Lane], held_up: Collection[Lane]) -> Lane | None:
        if self._begins:
            self._begins = False
            return STRICT.next(lanes, held_up)
        credits, richest, earned = self._credits, None, 0
        for index, lane in enumerate(lanes):
            if not lane.queue or lane in held_up:
                credits[index] = 0
                continue
            earned += self._weights[index]
            credits[index] += self._weights[index]
            if richest is None or credits[index] > credits[richest]:
                richest = index
        if richest is None:
            return None
        credits[richest] -= earned
        return lanes[richest]

    def begin(self) -> None:
        self._begins = True
        self._credits = [0] * len(self._weights)


class Chosen(Choosing):
    """By a function of the user's own. Where that fails, the strict choice stands in."""

    __slots__ = ("_begins", "_choose", "_mailbox", "_names", "_silent_until")

    def __init__(self, choose: Callable[[Mapping[str, int]], str], names: tuple[str, ...], mailbox: Mailbox) -> None:
        self._choose = choose
        self._names = names
        self._mailbox = mailbox
        self._silent_until = -math.inf
        self._begins = False
        mailbox.backend.lets_interrupt(choose)

    def next(self, lanes: Sequence[Lane], held_up: Collection[Lane]) -> Lane | None:
        there = {name: lane for name, lane in zip(self._names, lanes, strict=True) if lane.queue and lane not in held_up}
        if not there:
            return None
        if self._begins:
            self._begins = False
            return STRICT.next(lanes, held_up)
        lane: Lane | None = None
        try:
            chosen: object = self._choose(MappingProxyType({name: len(lane.queue) for name, lane in there.items()}))
            lane = there[chosen] if isinstance(chosen, str) and chosen in there else None
        except BaseException as error:
            if interrupts(error):
                raise
            self._complain(f"raised {describe(error)}")
        else:
            if lane is None:
                self._complain(f"returned something else than one of the lanes that have a message: {', '.join(there)}")
        # By now the function itself may have taken messages out.
        return lane if lane is not None and lane.queue else STRICT.next(lanes, held_up)

    def begin(self) -> None:
        self._begins = True

    def _complain(self, what: str) -> None:
        now = self._mailbox.backend.now()
        if now >= self._silent_until:
            self._silent_until = now + WINDOW
            text = "%s: its choice= %s; the most urgent lane is next instead. This is said once in %.0f s"
            say(logging.ERROR, text, self._mailbox.path, what, WINDOW)
