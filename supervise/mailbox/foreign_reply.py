"""The reply slot of a call whose caller is somewhere else: at the other end of a link. Nobody awaits it, it tells.

Rules
-----
- It tells once: what the handler returned, or why there is no reply. Withdrawn before a handler has begun, it tells nothing.
- A caller that is gone doesn't end a handler that has begun, unless the child, or the call, says `on_cancel="cancel"`. Such a
  handler goes on to its end, which is told: whoever counts handlers that are at work for a caller has to know when it ends.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from supervise.log import say
from supervise_strategies.exception import interrupts

if TYPE_CHECKING:
    from collections.abc import Callable

    from .envelope import MessageOptions
    from .lane import Lane


class ForeignReply(ABC):
    """A reply slot that tells how its call has ended. It fits wherever a future of the loop does, but in an `await`."""

    __slots__ = ("_accepted", "_done", "_lane", "_options")

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._done = False
        self._accepted = False
        self._options: MessageOptions | None = None

    @abstractmethod
    def returned(self, result: Any, /) -> None:
        """The handler has returned this. Called in the actor's own step: what it raises is logged."""

    @abstractmethod
    def raised(self, error: BaseException, /) -> None:
        """There will be no result, for this reason."""

    def accepted(self, options: MessageOptions | None) -> None:
        """For the lane: the call is in; or it was, and has ended already."""
        if not self._done:
            self._accepted, self._options = True, options
            self._count(1)

    def withdraw(self) -> bool:
        """Its caller is gone. True: it has ended, and tells nothing. False: a handler is at work for it, whose end it tells."""
        if self._done or not self._accepted:
            self._done = True
            return True
        if not self._takes_along and self._is_in_hand:
            return False
        options = self._options
        self._end()
        self._lane.give_up(self, options)
        return True

    @property
    def _takes_along(self) -> bool:
        said = None if self._options is None else self._options.on_cancel
        return (said or self._lane.mailbox.options.on_cancel) == "cancel"

    @property
    def _is_in_hand(self) -> bool:
        life = self._lane.mailbox.turn
        return life is not None and any(envelope[3] is self for _, envelope in life.held())

    def _end(self) -> None:
        self._done = True
        self._count(-1)
        self._options = None

    def _count(self, calls: int) -> None:
        """Of those that don't wait for a restart."""
        if self._options is not None and self._options.on_restart == "fail":
            self._lane.mailbox.count_fail_fast(calls)

    # -- as a future ---------------------------------------------------------------------------------------------------

    def done(self) -> bool:
        return self._done

    def cancelled(self) -> bool:
        return False

    def exception(self) -> BaseException | None:
        return None

    def set_result(self, result: Any, /) -> None:
        self._settle(self.returned, result)

    def set_exception(self, exception: Any, /) -> None:
        self._settle(self.raised, exception)

    def _settle(self, tell: Callable[[Any], None], what: Any) -> None:
        if self._done:
            raise RuntimeError("this call has ended already")
        self._end()
        try:
            tell(what)
        except BaseException as error:
            pass_up = self._lane.mailbox.dead_letters.bus.pass_up
            if interrupts(error):
                pass_up(error)
            else:
                text = "%s: the end of a call couldn't be told to its caller: %s"
                say(logging.ERROR, text, self._lane.mailbox.path, error, pass_up=pass_up)

    def __await__(self) -> Generator[Any, Any, Any]:
        raise RuntimeError("its caller isn't here, and nobody else may wait for it")
