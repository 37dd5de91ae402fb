"""Which siblings a restart takes with it."""

from __future__ import annotations

from enum import StrEnum
from itertools import dropwhile
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


class Strategy(StrEnum):
    """Which siblings are restarted with a child: OTP's three.

    | strategy | a child is restarted: with it |
    |---|---|
    | `one_for_one` | nobody |
    | `one_for_all` | all siblings |
    | `rest_for_one` | those that were started after it |

    Order is start order. A child that is added later comes last; a restart keeps the place. The
    group stops in reverse order and starts in order.

    It includes siblings that were stopped by hand, had ended or were ignored: they come back.
    Temporary ones are stopped and forgotten.

    >>> tree = Supervisor("app", child(list), child(dict), child(set), strategy="rest_for_one")
    >>> async with tree as app:
    ...     app.explain("dict").stops, app.explain("dict").starts
    (('set',), ('dict', 'set'))
    """

    ONE_FOR_ONE = "one_for_one"
    ONE_FOR_ALL = "one_for_all"
    REST_FOR_ONE = "rest_for_one"

    def affected(self, children: Sequence[T], child: T) -> list[T]:
        """The children that a restart of `child` stops and starts, in start order.

        `child` itself is one of them.
        """
        if self is Strategy.ONE_FOR_ONE:
            return [child]
        if self is Strategy.ONE_FOR_ALL:
            return list(children)
        return list(dropwhile(lambda sibling: sibling is not child, children))


class AutoShutdown(StrEnum):
    """Whether a supervisor ends when its significant children have ended.

    `never` is the default. `any_significant`: with the first of them; `all_significant`: with
    the last. Only an end by itself counts, after which the child isn't restarted. The tree then
    ends in order, and nothing is raised.

    >>> async def migrate(): ...
    >>> job = child(task(migrate), restart="transient", significant=True)
    >>> async with Supervisor("app", job, auto_shutdown="any_significant") as app:
    ...     await app.wait()
    >>> print(app.ended)
    auto_shutdown: shutdown
    """

    NEVER = "never"
    ANY_SIGNIFICANT = "any_significant"
    ALL_SIGNIFICANT = "all_significant"
