"""Messages that an actor sends to itself later: once, or again and again.

Theory of operation
-------------------
A timer belongs to one incarnation, and what it sends reaches this incarnation or nobody. When the incarnation ends, its
timers are gone; so is what they had sent, be it to be delivered again, as the next incarnation starts timers of its own.

- All timers of an incarnation share one alarm in the event loop, set for the first that is due. A timer that is cancelled
  or put off leaves the alarm alone: it rings for nothing, once. So starting a timer anew with each message, the common way
  to notice that none comes any more, costs the event loop nothing.
- The n-th tick is due at start + n * period, however late the others were. Ticks that were missed while the loop was blocked
  are counted as skipped and not made up for.
- A tick that is due while the one before it waits in the mailbox is skipped and counted. So an actor that is slow, or paused,
  finds one tick of each timer when it goes on.
- A message goes in above capacity if need be; see `mailbox/source.py`.
- An actor that was asked to end begins nothing new: its timers are silent from then on.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Hashable, Iterator, Mapping
from contextvars import Context
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from supervise.log import say
from supervise.mailbox.source import Source
from supervise.message import AnyHandler, name_of
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.text import shown

if TYPE_CHECKING:
    from supervise._backends import Handle
    from supervise.mailbox.envelope import MessageOptions
    from supervise.mailbox.mailbox import Mailbox

    from .incarnation import Incarnation

SHORTEST: Final = 1e-6  # seconds; far above what the clock of a loop that has run for years can tell


class Timer(Source):
    """A message to oneself, later: what `current().after` and `current().every` return.

    It is gone with its incarnation: start it in `__init__`, so that the next one has it, too.

    >>> class Shop:
    ...     def open(self):
    ...         return current().after(8 * 3600, Shop.close)
    ...     def close(self): ...
    >>> async with Supervisor("app", child(Shop)) as app:
    ...     timer = await app.find("shop").call(Shop.open)
    ...     timer
    ...     timer.cancel()
    ...     timer.active
    <Timer 'timer-1' of app/shop: after Shop.close>
    False
    """

    __slots__ = ("_args", "_kwargs", "_number", "_start", "_timers", "id", "period", "skipped")

    def __init__(
        self,
        timers: Timers,
        id: Hashable,
        start: float,
        period: float | None,
        handler: AnyHandler,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        super().__init__(timers._incarnation.mailbox, handler)
        self.id: Hashable = id
        instrument = self._mailbox.instrument
        if instrument is not None and period is None:
            self._noted = instrument.noted()
        self.period: float | None = period
        """In seconds; None: it sends one message and is over."""
        self.skipped: int = 0
        """How many ticks were due and not sent: the one before waited still, or the event loop was blocked."""
        self._timers = timers
        self._start = start
        self._number = 0  # of the tick that is due next, from 1
        self._args = args
        self._kwargs = kwargs

    @property
    def _trigger(self) -> str:  # type: ignore[override]
        return "delay" if self.period is None else "interval"

    @property
    def active(self) -> bool:
        """Whether anything of it may still come.

        What was sent, and isn't begun yet, is still to come.
        """
        return self._timers.get(self.id) is self

    def cancel(self) -> None:
        """Let nothing of it come any more, not even what waits in the mailbox already. Idempotent.

        What has been begun goes on.
        """
        self._mailbox.check_thread()
        self._cancel()

    def _cancel(self) -> None:
        self._queued = None
        self._timers._forget(self)

    def _next_due(self, now: float) -> float:
        """Go on to the first tick after `now`, and say when it is due."""
        period = self.period
        if period is None:
            return self._start
        number = max(self._number, math.floor((now - self._start) / period)) + 1
        self.skipped += number - self._number - 1
        self._number = number
        return self._start + number * period

    def _send(self) -> None:
        """It is due. What a queue of the user's own raises is said, and costs this tick."""
        if self._queued is not None:
            self.skipped += 1
            return
        try:
            self._put(self._args, self._kwargs)
        except BaseException as error:
            pass_up = self._timers._incarnation.pass_up
            pass_up(error)
            self._queued = None
            self.skipped += 1
            say(logging.ERROR, "%r lost a tick, as the mailbox raised %s", self, error, pass_up=pass_up)
            if self.period is None:
                self._timers._forget(self)

    def _put_back(self, options: MessageOptions) -> None:
        super()._put_back(options)
        self._timers._by_id.setdefault(self.id, self)  # one that was to send once was over already

    def _taken_out(self, options: MessageOptions) -> bool:
        if self._queued is not options:
            return False
        self._queued = None
        if self.period is None or self._timers._silent:
            self._timers._forget(self)
        return True

    def __repr__(self) -> str:
        when = "after" if self.period is None else f"every {self.period:g} s"
        state = "" if self.active else ", over"
        return f"<Timer {shown(self.id)} of {self._mailbox.path}: {when} {name_of(self._handler)}{state}>"


class Timers(Mapping[Hashable, Timer]):
    """The timers of an incarnation that are active, by id: `current().timers`.

    A timer that was started without an id has one, too: `timer-1`, `timer-2`. It may be changed
    while somebody iterates over it.

    >>> class Shop:
    ...     def __init__(self):
    ...         current().every(60, Shop.count, id="count")
    ...     def count(self): ...
    ...     def stop_counting(self):
    ...         return list(current().timers), current().timers.cancel("count")
    >>> async with Supervisor("app", child(Shop)) as app:
    ...     await app.find("shop").call(Shop.stop_counting)
    (['count'], True)
    """

    def __init__(self, incarnation: Incarnation) -> None:
        self._incarnation = incarnation
        self._silent = False  # nothing is sent any more: the actor was asked to end
        self._by_id: dict[Hashable, Timer] = {}
        self._due: list[tuple[float, int, Timer]] = []  # a heap; of timers that are over, too
        self._started = 0
        self._set = 0
        self._alarm: Handle | None = None
        self._alarm_at = math.inf

    def __getitem__(self, id: Hashable) -> Timer:
        return self._by_id[id]

    def __iter__(self) -> Iterator[Hashable]:
        return iter([*self._by_id])

    def __len__(self) -> int:
        return len(self._by_id)

    def cancel(self, id: Hashable) -> bool:
        """Cancel the timer of this id; False if there is none, as it is over or never was."""
        timer = self._by_id.get(id)
        if timer is None:
            return False
        timer.cancel()
        return True

    def _start(
        self, seconds: float, again: bool, handler: AnyHandler, args: tuple[Any, ...], kwargs: dict[str, Any], id: Hashable
    ) -> Timer:
        """Make a timer, which takes the place of one with the same id."""
        self._started += 1
        if id is None:
            id = f"timer-{self._started}"
        try:
            replaced = self._by_id.get(id)
        except TypeError:
            raise InvalidSpec(
                f"a timer of {self._incarnation.mailbox.path!r}", "id", id, "something hashable, as a text"
            ) from None
        now = self._incarnation.mailbox.backend.now()
        timer = Timer(self, id, now if again else now + seconds, seconds if again else None, handler, args, kwargs)
        if replaced is not None:
            replaced._cancel()
        self._by_id[id] = timer
        self._await(timer, now)
        self._set_alarm()
        return timer

    def _forget(self, timer: Timer) -> None:
        """It is over."""
        if self._by_id.get(timer.id) is timer:
            del self._by_id[timer.id]
            due = self._due
            if len(due) > 64 and len(due) > 2 * len(self._by_id):
                due[:] = [entry for entry in due if entry[2].active]
                heapify(due)

    def _end(self) -> None:
        """The incarnation is over, and all of them with it."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._due.clear()
        for timer in [*self._by_id.values()]:
            timer._cancel()

    def _await(self, timer: Timer, now: float) -> None:
        self._set += 1  # among those that are due at the same instant, the one that was set first is the first
        heappush(self._due, (timer._next_due(now), self._set, timer))

    def _set_alarm(self) -> None:
        due = self._due
        while due and not due[0][2].active:
            heappop(due)
        if not due or (self._alarm is not None and self._alarm_at <= due[0][0]):
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = due[0][0]
        # In a context of its own: a timer is no part of what the actor did when it started it, and keeps none of it.
        self._alarm = Context().run(self._incarnation.mailbox.backend.call_at, self._alarm_at, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        if self._incarnation.stopping:
            self._fall_silent()
            return
        now = max(self._incarnation.mailbox.backend.now(), self._alarm_at)  # asyncio's clock may lack a nanosecond
        due = self._due
        while due and due[0][0] <= now:
            timer = heappop(due)[2]
            if timer.active:
                timer._send()
                if timer.period is not None:
                    self._await(timer, now)
        self._set_alarm()

    def _fall_silent(self) -> None:
        self._silent = True
        self._due.clear()
        for timer in [*self._by_id.values()]:
            if timer._queued is None:  # what waits is handled, if the actor drains its mailbox
                self._forget(timer)


def check_wait(mailbox: Mailbox, seconds: object) -> None:
    """The rule for the time until a message, for `after`."""
    if not _is_number(seconds) or not 0 <= seconds < math.inf:
        raise InvalidSpec(f"after() of {mailbox.path!r}", "seconds", seconds, "a finite number of seconds, 0 or more")


def check_period(mailbox: Mailbox, seconds: object) -> None:
    """The rule for the time between two messages, for `every`."""
    if not _is_number(seconds) or not SHORTEST <= seconds < math.inf:
        cure = (
            f"a finite number of seconds, {SHORTEST:.6f} or more; what goes on without a pause is a task of current().nursery"
        )
        raise InvalidSpec(f"every() of {mailbox.path!r}", "seconds", seconds, cure)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
