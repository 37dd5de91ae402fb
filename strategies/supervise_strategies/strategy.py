"""Which siblings a restart takes with it."""

from __future__ import annotations

from enum import StrEnum
from itertools import dropwhile
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


class Strategy(StrEnum):
    """OTP's three. Order is start order; a child that is added later comes last, a restart keeps the place.

    | strategy | a child is restarted: with it |
    |---|---|
    | `one_for_one` | nobody |
    | `one_for_all` | all siblings |
    | `rest_for_one` | those that were started after it |

    The group stops in reverse order and starts in order. It includes siblings that were stopped by hand, had ended or were
    ignored (they come back); temporary ones are stopped and forgotten.
    """

    ONE_FOR_ONE = "one_for_one"
    ONE_FOR_ALL = "one_for_all"
    REST_FOR_ONE = "rest_for_one"

    def affected(self, children: Sequence[T], child: T) -> list[T]:
        """The children that a restart of `child` stops and starts, in start order, itself included."""
        if self is Strategy.ONE_FOR_ONE:
            return [child]
        if self is Strategy.ONE_FOR_ALL:
            return list(children)
        return list(dropwhile(lambda sibling: sibling is not child, children))


class AutoShutdown(StrEnum):
    """Whether a supervisor ends when its significant children have ended by themselves and aren't restarted."""

    NEVER = "never"
    ANY_SIGNIFICANT = "any_significant"
    ALL_SIGNIFICANT = "all_significant"
