"""The state machine of one supervisor: facts in, directives out.

Theory of operation
-------------------
Everything that decides about children lives in this package, and nothing in it reads a clock, waits, or calls a child. Each
method here takes a fact (or a wish) with the instant `now` at which it happened, and returns the directives that the runtime
must obey, in order. What the runtime does comes back as further facts.

Like Erlang/OTP's supervisor process it does one thing at a time. A start or a stop under way is a `Work` (`progress.py`);
whatever else arrives meanwhile waits in one queue and is served in order: deaths (`restarting.py`), admin calls (`admin.py`),
and retries of a failed restart, which queue *behind* what is already there. So a stop or a query gets in between the tries of
a restart that keeps failing.

What re-implementations usually get wrong, beside what `restarting.py` says:

- A sibling that is found dead while its group is stopped is swallowed: its own death isn't served or counted (`Slot.dead`).
- A supervisor that is stopping wins over any restart, and cancels a hanging start (on purpose unlike OTP, which waits).

Rule numbers in comments are those of "What the Erlang/OTP supervisor does" in OTP 25's `supervisor.erl`, read and recorded.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping

from . import admin, progress
from . import directives as do
from .child_spec import ChildSpec, SupervisorSpec
from .child_state import RESTARTING, RUNNING, STARTING, STOPPED, STOPPING, UNSTOPPABLE, ChildCount, ChildInfo, Slot
from .directives import Cause, Directive, StopMode
from .errors import AdminError, NotForDynamic, SupervisorNotRunning
from .exit_reason import KILLED, SHUTDOWN, ExitReason
from .failed_starts import overran, start_failed, unstoppable_ended, withdrawn
from .fast_path import is_all, restarts_at_once, starts_at_once
from .intensity import Intensity
from .progress import advance, after_stop, answer, end_without_children, go_on_with_boot, shut_down, stop_ended
from .reload import describe, reload_child, reloads, reloads_in_its_start
from .restart import Draw, Restart, draw
from .restarting import due, exited
from .supervisor_state import ENDING, Call, Phase, SupervisorState
from .work import Purpose, Work


class Supervision:
    """One supervisor's decisions: facts in, directives out.

    It does nothing itself: the runtime obeys the directives, in order, and reports what came of
    them. Each method takes a fact or a wish, with the instant `now` (seconds, of any clock). It
    returns the directives that follow, and may be called at any time. A fact about a child that
    isn't listed, or about an incarnation that is over, is stale and changes nothing.

    Not reusable: a restarted supervisor gets a new one, built from the same spec.

        draw: Asks a wait policy for its delay (default: calls it). Chance comes in here alone.
        lives: How many incarnations the children had under its predecessors, so that no two of
            a child have one number.
        over: Which of them nobody can reach any more (`child_over`).

    Admin calls (`start_child` to `delete_child`) are answered by a `Reply` to their ticket,
    which may be a refusal; none raises it.

        >>> def obey(directives: list[Directive]) -> None:  # a runtime does it; this prints it
        ...     for directive in directives:
        ...         print(directive.decision if isinstance(directive, Report) else directive)
        >>> machine = Supervision(SupervisorSpec("app", (ChildSpec("db"),)))
        >>> obey(machine.begin(now=0))
        Start(id='db', number=1)
        >>> obey(machine.child_started("db", 1, now=0.1))
        Ready()
        >>> obey(machine.child_exited("db", 1, ExitReason(ExitKind.CRASHED, "OSError: gone"), now=9))
        db #1 ended: crashed (OSError: gone); permanent -> restart 1 of 3 within 5 s
        Start(id='db', number=2)
    """

    def __init__(
        self,
        spec: SupervisorSpec,
        *,
        draw: Draw = draw,
        lives: Mapping[str, int] | None = None,
        over: Collection[str] = (),
    ) -> None:
        self._state = SupervisorState(spec, draw, lives or {}, over)

    # -- what can be read at any time ------------------------------------------------------------------------------

    @property
    def spec(self) -> SupervisorSpec:
        """As it was described, but for an intensity that was changed since."""
        return self._state.spec

    @property
    def phase(self) -> Phase:
        """Where the supervisor itself stands."""
        return self._state.phase

    @property
    def busy(self) -> bool:
        """Whether a start or a stop is under way, so that calls wait."""
        return self._state.work is not None

    @property
    def restarts(self) -> int:
        """Restarts remembered for the intensity, as of the last one added."""
        return len(self._state.window)

    def __contains__(self, id: object) -> bool:
        return id in self._state.slots

    def child(self, id: str) -> ChildInfo | None:
        """One child, or None if it isn't listed."""
        slot = self.slot(id)
        return None if slot is None else slot.info()

    def slot(self, id: str) -> Slot | None:
        """For the library: a child as it is kept, which costs less than a `ChildInfo`."""
        return self._state.slots.get(id)

    def children(self) -> list[ChildInfo]:
        """All listed children, in start order."""
        return [slot.info() for slot in self._state.slots.values()]

    def waits(self, id: str) -> bool:
        """Whether the child's start is under way and waits, maybe for long: see `start_waits`."""
        slot = self._state.slots.get(id)
        return slot is not None and slot.detached

    def starting(self, *, before: str | None = None, ending: bool = False) -> list[str]:
        """The children whose start it waits for now.

        `before`: those that have to be up before that one can be, which isn't. `ending`: that one
        is about to end, and its end hasn't been told yet.
        """
        return [slot.id for slot in progress.starting(self._state, before, ending=ending)]

    def starting_again(self) -> list[str]:
        """The children that the restart under way starts, when all of them have stopped."""
        work = self._state.work
        return [] if work is None else [slot.id for slot in work.starts]

    def count(self) -> ChildCount:
        """How many children there are, and how many of them run: OTP's `count_children`."""
        return self._state.count()

    def left(self, id: str | None, now: float) -> int:
        """Restarts that the limit still allows at `now`.

        The child's own limit if it has one, else the supervisor's.
        """
        return self._state.left(id, now)

    @property
    def ends_with(self) -> ExitReason | None:
        """Why it will have ended, while it is stopping."""
        work = self._state.work
        return work.reason if work is not None and work.purpose is Purpose.SHUTDOWN else None

    def trial(self) -> Supervision:
        """For the library: a copy to try one fact on."""
        other = Supervision(self._state.spec)
        other._state = self._state.trial()
        return other

    # -- facts -------------------------------------------------------------------------------------------------------

    def begin(self, now: float) -> list[Directive]:
        """The supervisor is being started: its children start one after the other."""
        state = self._state
        state.phase = Phase.STARTING
        state.work = work = Work(Purpose.BOOT)
        work.starts.extend(state.slots.values())
        return self._go_on(now)

    def child_started(self, id: str, number: int, now: float, *, connecting: bool = False) -> list[Directive]:
        """The incarnation is ready: its factory and its enter hook have returned.

        `connecting`: that it lives isn't yet a sign that it is well. `child_connected` says when it is.
        """
        state = self._state
        slot = state.slots.get(id)
        if slot is None or slot.number != number or slot.state is not STARTING:
            return []
        slot.state = RUNNING
        if slot.history is not None and not connecting:
            slot.begun(now)
        slot.held = False
        detached, slot.detached = slot.detached, False
        if slot.next_start is not None:
            answer(state, slot, True)
        if state.phase is ENDING and state.work is not None and not detached:
            state.work.pending -= 1  # it was ready before its cancellation reached it
            state.work.stops.append(slot)
        return state.flush() if is_all(state, slot) else self._go_on(now)

    def child_connected(self, id: str, number: int, now: float) -> list[Directive]:
        """What speaks for something else has heard from it: it is well from now on."""
        slot = self._state.slots.get(id)
        if slot is not None and slot.number == number and slot.state is RUNNING:
            slot.begun(now)
        return []

    def start_failed(
        self,
        id: str,
        number: int,
        reason: ExitReason,
        now: float,
        *,
        error: BaseException | None = None,
        ignored: bool = False,
    ) -> list[Directive]:
        """The start raised, was cancelled, or (`ignored`) said that the child isn't wanted now."""
        state = self._state
        slot = state.slots.get(id)
        if slot is not None and slot.state in (STOPPING, UNSTOPPABLE):  # a start that was cancelled
            return self.child_exited(id, number, reason, now, error=error)
        if slot is None or slot.number != number or slot.state is not STARTING:
            return []
        slot.state = STOPPED
        start_failed(state, slot, reason, error, ignored)
        return self._go_on(now)

    def start_waits(self, id: str, number: int, now: float) -> list[Directive]:
        """The start of a supervisor waits, maybe for long, for a first start that is tried again.

        Deaths, calls and stops are served meanwhile, as if it were a child of this one that is
        tried again. Idempotent.
        """
        state = self._state
        slot = state.slots.get(id)
        if slot is not None and slot.number == number and slot.state is STARTING:
            progress.detach(state, slot)
        return self._go_on(now)

    def child_exited(
        self,
        id: str,
        number: int,
        reason: ExitReason,
        now: float,
        *,
        error: BaseException | None = None,
        again: bool = False,
        fingerprint: str = "",
        spent: bool = False,
    ) -> list[Directive]:
        """The incarnation is over: nothing of it runs any more.

            error: Looked at by policies, and not kept.
            again: It was ended by a message that had ended a life before, and was tried again. Its
                tries bound that: it costs no limit.
            fingerprint: Names a crash, so that the same one is known again.
            spent: It is a pool, and its workers have all left.

        An end that was asked for, by `Stop`, is no failure, whatever its reason.
        """
        state = self._state
        slot = state.slots.get(id)
        if slot is None or slot.number != number:
            return []
        slot.ended(now)
        if slot.state is STOPPING:
            slot.state = STOPPED
            stop_ended(state)
            after_stop(state, slot)
        elif slot.state is UNSTOPPABLE:
            slot.state = STOPPED
            unstoppable_ended(state, slot, reason, error)
        elif slot.state is STARTING:
            return self.start_failed(id, number, reason, now, error=error)
        elif slot.state is RUNNING and not slot.dead:
            if not again and not spent and restarts_at_once(state, slot, reason, fingerprint, now):
                return state.flush()
            slot.dead = True
            if state.phase is not Phase.STOPPING:
                state.queue.append((exited, slot, number, reason, error, again, fingerprint, spent))
        return self._go_on(now)

    def child_over(self, id: str, now: float) -> list[Directive]:
        """Nobody can reach the child any more, and nothing waits for it: it is never started again.

        It ends no life. Of one that is lived, or of a start that fails, the end is told after it as
        usual.
        """
        state = self._state
        slot = state.slots.get(id)
        if slot is None or slot.over:
            return []
        slot.over = True
        alone = slot.state is RESTARTING and len(state.affected_by(slot)) == 1  # else its group waits for its restart
        if slot.state is STOPPED or alone:
            progress.end_for_good(state, slot)
        return self._go_on(now)

    def stop_overran(
        self,
        id: str,
        number: int,
        now: float,
        *,
        reason: ExitReason = KILLED,
        error: BaseException | None = None,
    ) -> list[Directive]:
        """A child that was stopped, or whose start was cancelled, still runs.

        Only its own restart waits for it any longer. `reason` and `error`: why its start was
        cancelled, if nobody has stopped it; that start has failed by now.
        """
        return self._go_on(now) if overran(self._state, id, number, reason, error) else []

    def timer(self, now: float) -> list[Directive]:
        """The instant of the last `WakeAt` has come."""
        state = self._state
        state.told_wake = None
        while state.waiting and state.waiting[0][0] <= now:
            _, _, slot, token = heapq.heappop(state.waiting)
            state.queue.append((due, slot, token))
        return self._go_on(now)

    def stop(
        self, now: float, *, mode: StopMode = StopMode.FINAL, reason: ExitReason = SHUTDOWN, cause: Cause = Cause.ASKED
    ) -> list[Directive]:
        """Stop all children in reverse order, then be done with `reason`.

        A stop that is under way already goes on as it is.
        """
        shut_down(self._state, mode=mode, reason=reason, cause=cause)
        return self._go_on(now)

    def hold(self) -> None:
        """Serve nothing from now on, so that several facts can arrive before the first is looked at."""
        self._state.holds += 1

    def release(self, now: float) -> list[Directive]:
        """End a `hold`, and serve what came meanwhile, in order."""
        self._state.holds -= 1
        return self._go_on(now)

    # -- admin calls: answered by a `Reply` to the ticket ------------------------------------------------------------

    def start_child(self, spec: ChildSpec, ticket: object, now: float, *, id: str | None = None) -> list[Directive]:
        """Add a child at the end, and start it. OTP: `start_child`.

        `id`: its own, where children share one spec.
        """
        id = spec.id if id is None else id
        if starts_at_once(self._state, id, spec, ticket):
            return self._state.flush()
        return self._call(Call(admin.start_child, (id, spec), ticket), now)

    def terminate_child(self, id: str, ticket: object, now: float, *, by_name: bool = False) -> list[Directive]:
        """Stop a child and leave it listed. OTP: `terminate_child`.

        A temporary or dynamic one is forgotten. It touches no sibling, whatever the strategy, and
        triggers no auto-shutdown. `by_name`: a dynamic supervisor refuses it.
        """
        if by_name and self._state.spec.dynamic:
            return self._refuse(NotForDynamic(id, "terminate_child takes no name here"), ticket, now)
        return self._call(Call(admin.terminate_child, id, ticket), now)

    def restart_child(self, id: str, ticket: object, now: float) -> list[Directive]:
        """Start a child that is listed but stopped. OTP: `restart_child`.

        It counts against no limit. It lifts a quarantine, whose row begins anew. A limit of its own
        has no new budget.
        """
        if self._state.spec.dynamic:
            return self._refuse(NotForDynamic(id, "restart_child takes no name here"), ticket, now)
        return self._call(Call(admin.restart_child, id, ticket), now)

    def start_withdrawn(self, ticket: object, now: float) -> list[Directive]:
        """Whoever asked for a new child was cancelled.

        If its start is tried again, no further try is made for it. One that waits for its next try
        is forgotten at once. Nothing else is changed: a start under way may succeed.
        """
        withdrawn(self._state, ticket, now)
        return self._go_on(now)

    def renew_child(self, id: str, ticket: object, now: float) -> list[Directive]:
        """Stop a child and start it again on its mailbox, without counting that.

        It touches no sibling, and lifts a quarantine. One that is stopped is only started. One that
        waits for a restart gets it now, with its group, and the answer doesn't wait for that. Of a
        dynamic supervisor's children only one in quarantine can be renewed.

        OTP has no such call: `terminate_child` and `restart_child` in one, without the end of the
        mailbox.
        """
        slot = self._state.slots.get(id)
        if self._state.spec.dynamic and (slot is None or not slot.spent):
            return self._refuse(NotForDynamic(id, "it isn't in quarantine, so it would be forgotten as it stops"), ticket, now)
        return self._call(Call(admin.renew_child, id, ticket), now)

    def reload_child(self, id: str, ticket: object, now: float) -> list[Directive]:
        """Its code is new: stop it, and start it again on its mailbox, without counting that.

        Its restart type doesn't matter. Its rows of failures, and a limit of its own, begin anew.
        One that waits for its restart gets it now, one that was given up on is started. One that
        somebody has stopped, or that ended in order, isn't (False). A start that fails is judged as
        that of a restart (False). OTP has no such call.
        """
        if reloads_in_its_start(self._state, id, ticket):
            return self._go_on(now)
        return self._call(Call(reload_child, id, ticket, in_a_start=True), now)

    def reloads(self, id: str) -> bool:
        """Whether `reload_child` would start it."""
        slot = self._state.slots.get(id)
        return slot is not None and reloads(slot)

    def describe(self, spec: SupervisorSpec, now: float) -> list[Directive]:
        """It is described anew, with all its children.

        Policies hold from the next end on, and the order from now on.
        """
        describe(self._state, spec)
        return self._go_on(now)

    def change_child(
        self, id: str, ticket: object, now: float, *, restart: Restart | None = None, limit: Intensity | None = None
    ) -> list[Directive]:
        """Another restart policy, or limit of its own, from the next end on.

        The child's failures in a row are forgotten.
        """
        return self._call(Call(admin.change_child, (id, restart, limit), ticket), now)

    def change_intensity(self, intensity: Intensity, ticket: object, now: float) -> list[Directive]:
        """Another limit for the supervisor; restarts that were counted stay counted."""
        return self._call(Call(admin.change_intensity, intensity, ticket), now)

    def delete_child(self, id: str, ticket: object, now: float) -> list[Directive]:
        """Forget a child that is listed but stopped. OTP: `delete_child`."""
        if self._state.spec.dynamic:
            return self._refuse(NotForDynamic(id, "delete_child takes no name here"), ticket, now)
        return self._call(Call(admin.delete_child, id, ticket), now)

    def _call(self, call: Call, now: float) -> list[Directive]:
        if self._state.phase in (Phase.STOPPING, Phase.DONE):
            return self._refuse(SupervisorNotRunning(self._state.spec.id), call.ticket, now)
        self._state.queue.append(call)
        return self._go_on(now)

    def _refuse(self, error: AdminError, ticket: object, now: float) -> list[Directive]:
        self._state.out.append(do.Reply(ticket, error))
        return self._state.flush()

    # -- the queue ---------------------------------------------------------------------------------------------------

    def _go_on(self, now: float) -> list[Directive]:
        """Go on with what is under way; when nothing is, serve what waits, in order, until something is again."""
        state = self._state
        while True:
            advance(state, now)
            while state.boot and state.work is None and go_on_with_boot(state):
                advance(state, now)
            entry = state.next_entry() if state.queue and state.work is None and not state.holds else None
            if entry is None:
                if not end_without_children(state):
                    return state.flush()
            elif type(entry) is Call:
                entry.serve(state, entry.subject, entry.ticket, now)
            else:
                entry[0](state, *entry[1:], now)
