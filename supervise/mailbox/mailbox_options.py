"""What is said of a mailbox when its actor is described: how much it holds, what it does when it is full, how it is emptied."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from supervise.journal.listening import is_called_at_once
from supervise_strategies.child_spec import is_count
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.kind import is_of

from .choice import Choice, as_choice
from .envelope import OnCancel
from .message_queue import MessageQueue, lacking

if TYPE_CHECKING:
    from .dead_letters import OnDeadLetter
    from .throttle import Throttle

Overflow: TypeAlias = Literal["wait", "reject", "drop_oldest", "drop_newest"]


class MailboxOptions(NamedTuple):
    """What is said of a mailbox when it is described; shared by all that say the same."""

    capacity: float = 1000
    overflow: Overflow = "wait"
    queue: Callable[[], MessageQueue] = deque
    lanes: tuple[str, ...] = ()
    choice: Choice = "strict"
    throttle: Throttle | None = None
    on_cancel: OnCancel = "finish"
    on_dead_letter: OnDeadLetter | None = None
    drains: bool = False
    concurrency: float | None = None
    """How many handlers run beside each other, whatever the class says of them; None: what the class says."""

    def checked(self, who: str) -> MailboxOptions:
        """The same, with nothing in it that could change. InvalidSpec, with the cure, for what no mailbox can be."""
        if not is_count(self.capacity, 1):
            raise InvalidSpec(who, "capacity", self.capacity, "a whole number of messages, 1 or more, or math.inf")
        if self.overflow not in ("wait", "reject", "drop_oldest", "drop_newest"):
            cure = "'wait', 'reject', 'drop_oldest' or 'drop_newest'"
            raise InvalidSpec(who, "overflow", self.overflow, cure, among=("wait", "reject", "drop_oldest", "drop_newest"))
        if self.concurrency is not None and not is_count(self.concurrency, 1):
            cure = "how many handlers may run at once: a whole number, 1 or more, or math.inf; None for one after the other"
            raise InvalidSpec(who, "concurrency", self.concurrency, cure)
        check_on_cancel(who, self.on_cancel)
        check_on_dead_letter(who, self.on_dead_letter)
        if not callable(self.queue):
            raise InvalidSpec(who, "queue", self.queue, "a class, or a function without arguments, that makes a queue")
        missing = lacking(self.queue) if is_of(self.queue, type) else []
        if missing:
            raise InvalidSpec(who, "queue", self.queue, f"it has no {', '.join(missing)}: see MessageQueue, which a deque is")
        lanes: object = self.lanes
        named = isinstance(lanes, tuple) and all(isinstance(name, str) and name for name in self.lanes)
        if not named or (self.lanes and len({*self.lanes}) != len(self.lanes)) or len(self.lanes) == 1:
            cure = "a tuple of two or more names, most urgent first: messages that don't say go to the last one"
            raise InvalidSpec(who, "lanes", lanes, cure)
        return self._replace(choice=as_choice(who, self.choice, self.lanes))


def check_on_cancel(who: str, on_cancel: object) -> None:
    """InvalidSpec for what isn't a rule for handlers whose caller is gone."""
    if on_cancel not in ("finish", "cancel"):
        cure = "'finish' (a handler that has begun goes on) or 'cancel' (a caller who is gone takes it along)"
        raise InvalidSpec(who, "on_cancel", on_cancel, cure, among=("finish", "cancel"))


def check_on_dead_letter(who: str, hook: object) -> None:
    """InvalidSpec for what can't be called, or would have to be awaited."""
    if hook is not None and not is_called_at_once(hook):
        cure = "a plain function of one Undelivered, which doesn't wait: address.try_send, queue.put_nowait, list.append"
        raise InvalidSpec(who, "on_dead_letter", hook, cure)
