"""What is tried again that was in hand as a life ended: what the child says, or the handler itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, partialmethod, singledispatchmethod
from typing import TYPE_CHECKING, Any, Final, TypeVar

from supervise.mailbox.handler import attribute_named_by, class_of
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.kind import attribute_of_kind
from supervise_strategies.redeliver import Redeliver
from supervise_strategies.restart import Predicate, Wait
from supervise_strategies.text import shown

if TYPE_CHECKING:
    from supervise.message import AnyHandler

    from .incarnation import Incarnation

F = TypeVar("F", bound=Callable[..., Any])
MADE_OF: Final = 20
"""How deep it is looked: a mock is made of mocks for ever."""
_MARK: Final = "__supervise_redelivered__"
_marked = False  # whether any handler of the program is: where none is, not to look for it saves a restart 4 us of 60


def redelivered(times: int, /, *, wait: Wait | None = None, when: Predicate | None = None) -> Callable[[F], F]:
    """Say of one handler how often its messages are tried again: `@redelivered(3)`.

    It counts whatever the child says with `redeliver=`. 0 is never, for a handler that must not
    run twice. It stands beside `@concurrent`, in any order. See `Redeliver` for `wait` and
    `when`. Raises `InvalidSpec`.

    >>> class Courier:
    ...     @redelivered(2)
    ...     def deliver(self):
    ...         if current().attempt < 3:
    ...             raise OSError("no route")
    ...         return f"delivered at try {current().attempt}"
    >>> async with Supervisor("app", child(Courier)) as app:
    ...     await app.find("courier").call(Courier.deliver)
    'delivered at try 3'
    """
    policy = Redeliver(times, wait, when)

    def mark(function: F) -> F:
        if not callable(function):
            raise InvalidSpec("@redelivered", "function", shown(function), "a handler of the actor's class")
        global _marked
        setattr(function, _MARK, policy)
        _marked = True
        return function

    return mark


def policy_of(life: Incarnation, handler: AnyHandler) -> Redeliver:
    """What the handler itself says, or else the child."""
    if not _marked:
        return life.owner.redeliver
    found: Redeliver | None = None
    try:
        kind = class_of(life.instance)
        name = attribute_named_by(kind, handler)
        found = _mark_of(handler if name is None else attribute_of_kind(kind, name))
    except BaseException as raised:  # a callable of the user's own
        life.pass_up(raised)
    return life.owner.redeliver if found is None else found


def _mark_of(function: Any) -> Redeliver | None:
    """What was said of it, or of what it was made of: by a decorator, a partial, or as the stand-in of a thread's method."""
    for _ in range(MADE_OF):
        found: Any = getattr(function, _MARK, None)
        if isinstance(found, Redeliver):  # a mock has every attribute
            return found
        made_of: Any = getattr(function, "__wrapped__", None)
        if made_of is None and issubclass(type(function), partial | partialmethod | singledispatchmethod):
            made_of = function.func
        if made_of is None:
            break
        function = made_of
    return None
