"""A thread that looks whether the event loop is alive, and names who blocks it, or who is stuck although it is.

Theory of operation
-------------------
An actor that never lets go of the thread (a busy loop, a blocking call) stops all others, and everything in the loop that
could notice it. So this looks from a thread of its own: it asks the loop to run a tiny function, and waits for that to have
been run. If it isn't, for `blocked_after` seconds, the loop is blocked, and the loop's thread stands right in the code that
blocks it: its stack tells where, and whose coroutine is running just then tells who.

While the loop answers, that tiny function also looks, in the loop, at what each actor has in hand; one that has had the same
message there for `stuck_after` seconds is stuck: it waits for something that doesn't come. What its coroutine awaits is known.

Time is counted in the thread's own periods, a quarter of `blocked_after` each: a process that was suspended as a whole, or a
thread that didn't get the processor, is late once, not blocked. What can't be seen: native code that keeps the interpreter's
lock, since no other thread runs then.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Self, TypeAlias

import anyio

from supervise.actor.in_hand import LOOKS, InHand
from supervise.actor.stack import handler_stack
from supervise.events import Blocked, Stuck
from supervise.journal.event_log import tell
from supervise.journal.listening import check_listener
from supervise.log import say
from supervise.tree.blocking import who_blocks
from supervise.tree.running import RunningSupervisor
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.text import shown

if TYPE_CHECKING:
    from types import TracebackType


Finding: TypeAlias = Blocked | Stuck


class Watchdog:
    """Finds who blocks the event loop, and who is stuck: `async with Watchdog(app): …`.

    | | what is wrong | what is told |
    |---|---|---|
    | `Blocked` | the loop ran nothing for `blocked_after` | its thread's stack, and the actor whose code it is |
    | `Stuck` | an actor has a message in hand for `stuck_after` | the actor, the message, what it awaits |

    Nobody is crashed for it: that is what a child's `handler_deadline` does. Each is told once:
    a blocked loop until it has answered again, a stuck actor until it has another message.

        app: The supervisor below which it looks. It is entered in that tree's own event loop.
        blocked_after: Seconds of the real clock (default 1).
        stuck_after: Seconds of the real clock (default 60).
        listener: A function that gets each finding, at once and in the watchdog's thread
            (default: none). It must be quick. If it raises, that is logged.

    A finding is also a record of the logger `supervise`, at once. Listeners of the tree hear of
    it as of any event, when the loop runs again. `Blocked` names the handler alone: a `repr` of
    its arguments might need what the blocked thread holds. Native code that keeps the
    interpreter's lock isn't seen. Leaving `async with` ends the thread and waits for it.

    Raises `InvalidSpec` for what is no running supervisor, no number of seconds or no plain
    function, and RuntimeError when it is used twice.

        >>> import threading
        >>> seen = threading.Event()
        >>> def told(finding):
        ...     print(finding)
        ...     seen.set()
        >>> def block(cart):
        ...     seen.wait()
        >>> async with Supervisor("app") as app, Watchdog(app, blocked_after=0.5, listener=told):
        ...     cart = await app.start(list, name="cart")
        ...     await cart.send(block)
        ...     await cart.call(list.copy)
        app/cart #1: block blocks the event loop for 0.5 s and more, at
          File "...", line 2, in block
        ...
        []
    """

    def __init__(
        self,
        app: RunningSupervisor,
        *,
        blocked_after: float = 1.0,
        stuck_after: float = 60.0,
        listener: Callable[[Finding], object] | None = None,
    ) -> None:
        if not isinstance(app, RunningSupervisor):
            raise InvalidSpec("watchdog", "app", app, "what `async with Supervisor(…)` yields, or a handle of a nested one")
        for field, seconds in (("blocked_after", blocked_after), ("stuck_after", stuck_after)):
            if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
                raise InvalidSpec(f"watchdog of {app.path!r}", field, seconds, "seconds, more than 0")
        check_listener(f"watchdog of {app.path!r}", "listener", listener)
        self._branch = app._branch
        self._blocked_after = blocked_after
        self._stuck_after = stuck_after
        self._listener = listener
        self._soon = app._branch.tree.backend.from_anywhere()
        self._stop = threading.Event()
        self._alive = False  # the loop has answered
        self._found: deque[Finding] = deque()  # in the loop, for the thread to tell
        self._hands: dict[int, InHand] = {}
        self._looked = -math.inf
        self._thread: threading.Thread | None = None
        self._watched = 0
        self._over: anyio.Event | None = None

    async def __aenter__(self) -> Self:
        if self._thread is not None:
            raise RuntimeError(f"this watchdog of {self._branch.path!r} was used already: make another one")
        self._watched = threading.get_ident()
        self._over = over = anyio.Event()
        # A daemon: it must not keep a process alive whose loop was torn down around this.
        self._thread = threading.Thread(
            target=self._run, args=(over.set,), name=f"watchdog of {self._branch.path}", daemon=True
        )
        self._thread.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._over is not None and self._thread is not None:
            with anyio.CancelScope(shield=True):  # its listener may take its time, and that isn't the loop's
                await self._over.wait()
            self._thread.join()

    # -- in the thread -----------------------------------------------------------------------------------------------

    def _run(self, over: Callable[[], object]) -> None:
        period, missed = self._blocked_after / LOOKS, 0
        self._soon(self._answer)
        while not self._stop.wait(period):
            if self._alive:
                self._alive, missed = False, 0
                self._soon(self._answer)
            else:
                missed += 1
                if missed == LOOKS:
                    self._tell(self._blocked())
            while self._found:
                self._tell(self._found.popleft())
        self._soon(over)

    def _blocked(self) -> Blocked:
        return who_blocks(self._branch, self._watched, self._blocked_after)

    def _tell(self, finding: Finding) -> None:
        tell(finding)
        if self._listener is not None:
            try:
                self._listener(finding)
            except BaseException as error:
                say(logging.ERROR, "the watchdog's listener %s raised at %s", shown(self._listener), finding, error=error)
        self._soon(lambda: self._branch.tree.bus.tell(finding))

    # -- in the loop -------------------------------------------------------------------------------------------------

    def _answer(self) -> None:
        now = time.monotonic()
        if now - self._looked >= self._stuck_after / LOOKS:
            self._looked = now
            self._look()
        self._alive = True

    def _look(self) -> None:
        before, self._hands = self._hands, {}
        for place in self._branch.actors():
            incarnation = place.incarnation
            if incarnation is None or incarnation.in_hand is None:
                continue
            self._hands[place.mailbox.id] = hand = before.get(place.mailbox.id) or InHand()
            if hand.overdue(incarnation):
                stack = handler_stack(incarnation)
                message = self._branch.tree.bus.message_text(incarnation.in_hand)
                self._found.append(Stuck(place.mailbox.path, incarnation.number, message, self._stuck_after, stack))
