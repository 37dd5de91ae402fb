"""The place of an actor in the tree: what stays while incarnations come and go. It owns the mailbox."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence, Set
from functools import partial
from typing import TYPE_CHECKING, Any

from supervise import events
from supervise.actor.checkpoint import forget_checkpoint
from supervise.actor.ending import bury
from supervise.actor.incarnation import Incarnation
from supervise.actor.loop import spawn
from supervise.journal.crash_log import NO_CRASH, Crash
from supervise.mailbox import observers
from supervise.mailbox.account import Account
from supervise.mailbox.envelope import MessageOptions
from supervise.mailbox.instrument import tell_start
from supervise.mailbox.lifetime import Lifetime
from supervise.mailbox.mailbox import Mailbox
from supervise.message import named
from supervise_strategies.child_spec import DEFAULT_SECONDS
from supervise_strategies.directives import Stop, StopMode
from supervise_strategies.error_type import error_type_of_end
from supervise_strategies.exit_reason import SHUTDOWN, ExitReason, crashed

from .ref import resolved, resolved_partial

if TYPE_CHECKING:
    from supervise._backends import Handle
    from supervise.journal.bus import Bus
    from supervise.mailbox.envelope import Envelope
    from supervise.mailbox.turn import Turn
    from supervise.message import AnyHandler
    from supervise_strategies.answers import Answers
    from supervise_strategies.redeliver import Redeliver

    from .branch import BranchPlace
    from .child import Child
    from .node import Node

UNSTOPPABLE_AFTER = 1.0  # seconds after its cancellation at which what still runs is called unstoppable


class ActorPlace:
    """One logical actor: the owner of its incarnations."""

    __slots__ = ("child", "incarnation", "mailbox", "node", "number", "timer")

    def __init__(self, node: Node, name: str, child: Child[Any]) -> None:
        self.node: Node = node
        self.child: Child[Any] = child
        self.number: int = 0
        backend = node.tree.backend
        self.mailbox: Mailbox = self.new_mailbox(node, name, child)
        if child.rules.lifetime == "addresses":
            self.mailbox.lifetime = Lifetime(backend.from_anywhere(), self._lost)
        if node.tree.instruments is not None:
            kind = named(child.factory, "__name__") or child.spec.id
            self.mailbox.instrument = node.tree.instruments.for_actor(self.mailbox, node.branch.instrument, kind)
        self.incarnation: Incarnation | None = None
        self.timer: Handle | None = None

    def new_mailbox(self, node: Node, name: str, child: Child[Any]) -> Mailbox:
        """What it has over all its lives."""
        return Mailbox(node.tree.backend, node.path, name, child.rules.mailbox, node.tree.dead_letters)

    def drains(self, mode: StopMode) -> bool:
        """Whether an ordered stop handles what waits."""
        return self.child.rules.drain and mode is StopMode.FINAL

    @property
    def name(self) -> str:
        return self.mailbox.name

    @property
    def path(self) -> str:
        return self.mailbox.path

    @property
    def key(self) -> Child[Any]:
        """What finds it, for whoever has it."""
        return self.child

    @property
    def above(self) -> BranchPlace:
        """Its supervisor, over all lives of both."""
        return self.node.branch

    @property
    def over(self) -> bool:
        """Whether it lives by its addresses, none is left, and nothing waits: it isn't to have another life."""
        lifetime, mailbox = self.mailbox.lifetime, self.mailbox
        return lifetime is not None and not lifetime.open and not mailbox.waiting and not mailbox.reserved

    # -- what its incarnation asks -----------------------------------------------------------------------------------

    def make(self) -> Any:
        factory, args = self.child.factory, self.child.args
        if issubclass(type(factory), partial):
            factory = resolved_partial(factory)
        return factory(*resolved(args)) if args else factory()

    @property
    def answers(self) -> Answers:
        return self.child.rules.answers

    @property
    def end_within(self) -> float:
        # A stop time of none bounds the stop that is asked for; an end that was normal by itself isn't a kill for it.
        return self.child.rules.spec.seconds or DEFAULT_SECONDS

    @property
    def bus(self) -> Bus:
        return self.node.tree.bus

    @property
    def host(self) -> object:
        return self.node.tree.host

    def entering(self, incarnation: Incarnation) -> None:
        self.node.tree.starts.enter(self, incarnation)

    def start_overran(self, error: Exception) -> None:
        """Its start takes too long: it is cancelled, and has failed, now or when its coroutine has ended."""
        incarnation = self.incarnation
        if incarnation is None or incarnation.killed or incarnation.failure is not None:
            return
        self._cancel_timer()
        backend = self.node.tree.backend
        self.timer = backend.call_at(backend.now() + UNSTOPPABLE_AFTER, self._overran)
        incarnation.fail(error)

    def started(self, incarnation: Incarnation) -> None:
        node, bus = self.node, self.node.tree.bus
        if node.tree.starts.under_way:
            node.tree.starts.leave(incarnation)
        if self.child.rules.handler_deadline is not None:
            node.tree.deadlines.enter(self, self.child.rules.handler_deadline)
        if bus.hears(events.Started.level):  # an event costs 1 to 4 us, frames included: a tenth of a restart
            tell_start(bus, self.mailbox.instrument, events.Started(self.mailbox.path, incarnation.number))
        begin = self.child.rules.on_tree_started
        if begin is not None:
            unbuilt = node.branch.unbuilt()
            if unbuilt is None:
                self._put_beginning(begin)
            else:
                unbuilt.on_built[self] = None
        now, name, number = node.tree.backend.now(), self.mailbox.name, incarnation.number
        if node.branch.lives.muted != name:
            node.branch.lives.started(now, name, number, self.mailbox.waiting)
        if incarnation.extras.connecting:
            node.step(node.machine.child_started, name, number, now, connecting=True)
        else:
            node.step(node.machine.child_started, name, number, now)

    def connected(self, incarnation: Incarnation) -> None:
        self.node.step(self.node.machine.child_connected, self.mailbox.name, incarnation.number, self.node.tree.backend.now())

    def tree_started(self) -> None:
        """The second phase of its start: all that was started with it is built."""
        if self.mailbox.refusal is not None or self.child.rules.on_tree_started is None:
            return
        try:
            self._put_beginning(self.child.rules.on_tree_started)
        except Exception as error:  # a queue of the user's own
            self.crash(error)
        self.mailbox.wake()

    def _put_beginning(self, begin: Callable[..., Any]) -> None:
        instrument = self.mailbox.instrument
        span = None if instrument is None else instrument.wakes("tree_started")
        self.mailbox.put_beginning((begin, (), {}, None, None, MessageOptions(span=span, beginning=True)))

    def ended(
        self,
        incarnation: Incarnation,
        reason: ExitReason,
        error: BaseException | None,
        *,
        ignored: bool,
        again: bool = False,
        culprit: Envelope | None = None,
    ) -> Incarnation | None:
        if self.timer is not None:
            self._cancel_timer()
        node, mailbox, number, name = self.node, self.mailbox, incarnation.number, self.mailbox.name
        self.incarnation = None
        if node.tree.starts.under_way:
            node.tree.starts.leave(incarnation)
        if self.child.rules.handler_deadline is not None:
            node.tree.deadlines.leave(self, self.child.rules.handler_deadline)
        observers.incarnation_ended(mailbox, number, reason)
        if mailbox.refusal in ("unstoppable", "leaving"):  # what follows decides
            mailbox.accept_again()
        now, crash, ready = node.tree.backend.now(), NO_CRASH, incarnation.running
        if mailbox.lifetime is not None and self.over:
            node.step(node.machine.child_over, name, now)
        if node.tree.bus.hears(logging.ERROR) or self.child.rules.spec.quarantine is not None:  # else nobody
            crash = self._tell_end(incarnation, reason, error, now, culprit and culprit[0], ignored)
        node.branch.lives.ended(now, name, number, reason, ready, mailbox.waiting, error, culprit, crash.frames)
        if ready:
            known = crash.fingerprint
            node.asking, node.in_place = incarnation, None
            node.step(node.machine.child_exited, name, number, reason, now, error=error, again=again, fingerprint=known)
        else:
            node.asking, node.in_place = incarnation, None
            node.step(node.machine.start_failed, name, number, reason, now, error=error, ignored=ignored)
        successor, node.in_place, node.asking = node.in_place, None, None
        node.tree.runs.forget(incarnation)
        if successor is None:  # else it starts again already, and whoever waits for it goes on waiting
            node.tree.registry.went_down(node, name)
        return successor

    def _tell_end(
        self,
        incarnation: Incarnation,
        reason: ExitReason,
        error: BaseException | None,
        now: float,
        handler: AnyHandler | None,
        ignored: bool,
    ) -> Crash:
        """Say that a life is over, or a start has failed; the answer is the crash, where anybody wants to know it."""
        tree, mailbox, number = self.node.tree, self.mailbox, incarnation.number
        heard = tree.bus.hears(events.Stopped.level_of(reason))
        looks = not ignored and (heard or self.child.rules.spec.quarantine is not None)
        crash = tree.crash_log.look_at(mailbox.path, reason, error, handler, tree.bus, now) if looks else NO_CRASH
        if heard:
            kind = error_type_of_end(reason, error, ordered=incarnation.ordered)
            if incarnation.running:
                tree.bus.publish(events.Stopped(mailbox.path, number, reason, mailbox.waiting, None, *crash, kind), error)
            else:
                failed = events.StartFailed(mailbox.path, number, reason, ignored, kind, *crash)
                tree.bus.publish(failed, None if ignored else error)
        return crash

    @property
    def redeliver(self) -> Redeliver:
        return self.child.rules.redeliver

    def _lost(self) -> None:
        """The last strong address of an actor that lives by them is gone."""
        if not self.mailbox.accepted:
            self.publish(events.AddressDropped(self.mailbox.path))
        self.mailbox.wake()
        if self.incarnation is None and self.over:
            self.node.step(self.node.machine.child_over, self.name, self.node.tree.backend.now())

    def fatal(self, error: BaseException) -> None:
        self.node.tree.fatal(error)

    def abandoned(self) -> None:
        self.node.tree.kill()

    def broken(self, error: BaseException) -> None:
        self.incarnation = None
        self.node.tree.broken(error)

    def publish(self, event: events.Event) -> None:
        self.node.tree.bus.publish(event)

    def starting_before(self, mailbox: Mailbox) -> Sequence[Turn]:
        tree = self.node.tree
        return tree.registry.starting_before(tree.root, mailbox)

    def find(self, key: Any, *, lent: bool = False) -> Any:
        return self.node.tree.registry.find_beside(self.node.branch, key, lent=lent)

    def supervisor(self, key: Any) -> object:
        return self.node.branch.supervisor(key)

    def stop_tree(self, why: str) -> None:
        self.node.tree.stop_from_inside(why or f"{self.mailbox.path} asked for it")

    # -- what its supervisor tells it --------------------------------------------------------------------------------

    def start(self, node: Node, number: int) -> None:
        """Begin an incarnation, in the task of its predecessor if that has just asked and can share it."""
        self.node = node
        self.number = number
        mailbox = self.mailbox
        if mailbox.refusal is not None:
            mailbox.accept_again()
        mailbox.last_end = None
        if mailbox.instrument is not None:
            mailbox.instrument.starts(number)
        self.incarnation = incarnation = Incarnation(self, number)
        predecessor = node.asking
        if predecessor is not None and predecessor.owner is self and node.in_place is None and predecessor.can_share():
            # It goes on in the same task, with the kill scope that is open there.
            incarnation.kill_scope, predecessor.kill_scope = predecessor.kill_scope, None
            node.in_place = incarnation
        elif self.child.rules.own_task:
            spawn(incarnation)
        elif number > 1:
            node.tree.runs.add(incarnation)
        else:  # its factory is called when all that is being changed is as it should be
            node.tree.bus.then(partial(node.tree.runs.begin, incarnation))

    def stop(self, directive: Stop) -> None:
        """Ask it to end within a deadline, then cancel it; a brutal kill cancels at once."""
        incarnation = self.incarnation
        if incarnation is None:
            return
        if self.mailbox.instrument is not None:
            self.mailbox.instrument.asked_to_stop()
        drain = False
        if self.mailbox.refusal != "unstoppable":
            if directive.mode is StopMode.FINAL:
                self.mailbox.refuse("stopped")
            drain = self.drains(directive.mode)
        tree = self.node.tree
        within = min(directive.within, tree.budget_left())
        if directive.brutal or within <= 0 or incarnation.killed:  # its time isn't given to it twice
            self.kill()
            return
        incarnation.own_extras().ordered = True
        incarnation.stop(SHUTDOWN, drain=drain)
        tree.registry.stops_with_group(self.node, incarnation)
        self._cancel_timer()
        if within < math.inf:
            self.timer = tree.backend.call_at(tree.backend.now() + within, self.kill)

    def kill(self) -> None:
        """Cancel it now. What still runs a second later is reported as unstoppable."""
        incarnation = self.incarnation
        if incarnation is None:
            return
        if self.mailbox.refusal == "unstoppable":
            self._tell_overran(incarnation)  # its supervisor may not have asked when it overran
        elif self.timer is None or not incarnation.killed:
            self._cancel_timer()
            if self.mailbox.instrument is not None:
                self.mailbox.instrument.killed()
            backend = self.node.tree.backend
            self.timer = backend.call_at(backend.now() + UNSTOPPABLE_AFTER, self._overran)
            incarnation.cancel()

    def crash(self, error: Exception) -> None:
        """Have it crash for what it doesn't see itself; like any end, it is to be over within `stop_within`."""
        incarnation = self.incarnation
        if incarnation is None or incarnation.killed or incarnation.failure is not None:
            return
        within = self.end_within
        if self.timer is None and within < math.inf:
            backend = self.node.tree.backend
            self.timer = backend.call_at(backend.now() + within, self.kill)
        incarnation.fail(error)

    def cancel_start(self, _: object) -> None:
        """Its start isn't wanted any more, however far it is."""
        self.kill()

    def cancel_again(self) -> None:
        """Cancel it, whatever is noted of an earlier time."""
        if self.incarnation is not None:
            self.incarnation.cancel()

    def _overran(self) -> None:
        self.timer = None
        if self.incarnation is not None:
            self.mailbox.refuse("unstoppable")
            self.publish(events.Overran(self.mailbox.path, self.incarnation.number))
            self._tell_overran(self.incarnation)

    def _tell_overran(self, incarnation: Incarnation) -> None:
        node, error = self.node, incarnation.failure
        how: dict[str, Any] = {}
        if not incarnation.running and error is not None:  # its start has failed
            how = {"reason": crashed(error), "error": error}
        node.step(node.machine.stop_overran, self.name, incarnation.number, node.tree.backend.now(), **how)

    def _cancel_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def bury(self, waiting: Set[object]) -> None:
        """Its task may have ended without a word. Those that are `waiting` for their turn have none, and need none."""
        incarnation = self.incarnation
        if incarnation is None or self.mailbox.waker is incarnation or incarnation in waiting:
            return
        if self.node.tree.backend.has_died(incarnation.task):
            bury(incarnation)

    def alive(self) -> bool:
        return self.incarnation is not None

    def account(self) -> Account:
        return self.mailbox.part()

    def close(self) -> None:
        """Stopped, but listed: what waits becomes dead letters, until it is started again on the same mailbox."""
        lifetime = self.mailbox.lifetime
        self.mailbox.refuse("stopped" if lifetime is None or lifetime.open else "closed")
        self.mailbox.discard("its actor is stopped")
        observers.actor_ended(self.mailbox)

    def forget(self) -> None:
        """Gone for good."""
        self.mailbox.refuse("closed")
        forget_checkpoint(self.mailbox)
        self.mailbox.discard("its actor is gone for good")
        observers.actor_ended(self.mailbox)
