"""The state machine of one supervisor: facts in, directives out.

Theory of operation
-------------------
Everything that decides about children lives in this file, and nothing in it reads a clock, waits, or calls a child. Each
method takes a fact (or a wish) with the instant `now` at which it happened, and returns the directives that the runtime must
obey, in order. What the runtime does comes back as further facts.

Like Erlang/OTP's supervisor process it does one thing at a time. A start or a stop under way is a `Work`; whatever else
arrives meanwhile waits in one queue and is served in order: deaths, admin calls, and retries of a failed restart, which
queue *behind* what is already there. So a stop or a query gets in between the tries of a restart that keeps failing.

What re-implementations usually get wrong, and where it is answered here:

- A sibling that is found dead while its group is stopped is swallowed: its own death isn't served or counted (`Slot.dead`).
- A failed restart costs budget again at each try; one_for_all tries the whole group again, rest_for_one from the child that
  failed (`_retry`). `terminate_child` of that child cancels the retry, and the rest stay as they are (`_release_held`).
- A group restart also brings back members that were stopped by hand, had ended or were ignored; temporary ones go for good.
- Only a child's own end that isn't followed by a restart can trigger auto-shutdown.
- A supervisor that is stopping wins over any restart, and cancels a hanging start (on purpose unlike OTP, which waits).

Rule numbers in comments are those of "What the Erlang/OTP supervisor does" in OTP 25's `supervisor.erl`, read and recorded.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum, auto
from typing import Any, NamedTuple

from . import directives as do
from .backoff import Backoff
from .child_spec import ChildSpec, SupervisorSpec
from .child_state import RESTARTING, RUNNING, STARTING, STOPPED, STOPPING, UNSTOPPABLE, ChildCount, ChildInfo, Slot
from .directives import Action, Cause, Decision, Directive, StopMode
from .errors import (
    AdminError,
    ChildAlreadyPresent,
    ChildAlreadyStarted,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    ChildStartFailed,
    ChildTemporary,
    ChildUnstoppable,
    InvalidSpec,
    NotForDynamic,
    SupervisorNotRunning,
    TooManyChildren,
)
from .exit_reason import SHUTDOWN, ExitKind, ExitReason, describe
from .intensity import Intensity, RestartWindow
from .restart import Draw, Restart, draw
from .strategy import AutoShutdown, Strategy
from .work import Purpose, Work


class Phase(Enum):
    """Where the supervisor itself stands."""

    NEW = auto()
    STARTING = auto()
    RUNNING = auto()
    STOPPING = auto()
    DONE = auto()


class _Call(NamedTuple):
    """An admin call that waits for its turn."""

    serve: Callable[[Any, object, float], None]
    subject: Any
    ticket: object


class Supervision:
    """One supervisor's decisions. Not reusable: a restarted supervisor gets a new one, built from the same spec.

    `lives` says how many incarnations the children had under its predecessors, so that no two of a child have one number.

    Every method returns the directives that follow, and may be called at any time; a fact about a child that isn't listed,
    or about an incarnation that is over, is stale and changes nothing.
    """

    def __init__(self, spec: SupervisorSpec, *, draw: Draw = draw, lives: Mapping[str, int] | None = None) -> None:
        self.spec: SupervisorSpec = spec
        self.phase: Phase = Phase.NEW
        self._draw = draw
        self._window = RestartWindow(spec.intensity)
        self._slots: dict[str, Slot] = {}
        self._queue: deque[Any] = deque()
        self._work: Work | None = None
        self._out: list[Directive] = []
        self._holds = 0
        self._waiting: list[tuple[float, int, Slot, int]] = []  # a heap of pending backoffs: due, tie-break, slot, token
        self._told_wake: float | None = None
        self._sequence = 0
        for child in spec.children:
            self._slots[child.id] = slot = Slot(child.id, child, added=False)
            slot.number = (lives or {}).get(child.id, 0)

    # -- what can be read at any time ------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether a start or a stop is under way, so that calls wait."""
        return self._work is not None

    @property
    def restarts(self) -> int:
        """Restarts remembered for the intensity, as of the last one added."""
        return len(self._window)

    def __contains__(self, id: object) -> bool:
        return id in self._slots

    def child(self, id: str) -> ChildInfo | None:
        """One child, or None if it isn't listed."""
        slot = self._slots.get(id)
        return None if slot is None else slot.info()

    def children(self) -> list[ChildInfo]:
        """All listed children, in start order."""
        return [slot.info() for slot in self._slots.values()]

    def count(self) -> ChildCount:
        """OTP's `count_children`. A child whose end is known but not served yet isn't active."""
        slots = self._slots.values()
        supervisors = sum(s.spec.type == "supervisor" for s in slots)
        active = sum(s.state in (RUNNING, STOPPING, UNSTOPPABLE) and not s.dead for s in slots)
        return ChildCount(len(slots), active, supervisors, len(slots) - supervisors)

    def left(self, id: str | None, now: float) -> int:
        """Restarts that the limit still allows at `now`: the child's own if it has one, else the supervisor's."""
        slot = None if id is None else self._slots.get(id)
        if slot is None or slot.spec.limit is None:
            return self._window.left(now)
        return slot.spec.limit.restarts if slot.window is None else slot.window.left(now)

    def trial(self) -> Supervision:
        """A copy to try one fact on: it runs, with the same children and counts, as if what is under way had been done.

        Calls and ends that wait in the queue aren't in it. Policies are shared: they are asked again, and keep no counts.
        """
        other = Supervision(self.spec, draw=self._draw)
        other.phase = Phase.RUNNING
        other._window = self._window.copy()
        other._slots = {id: slot.copy() for id, slot in self._slots.items()}
        for slot in other._slots.values():
            if slot.state is STARTING:
                slot.state = RUNNING
            elif slot.state is STOPPING:
                slot.state = STOPPED
        return other

    # -- facts -------------------------------------------------------------------------------------------------------

    def begin(self, now: float) -> list[Directive]:
        """The supervisor is being started: its children start one after the other."""
        self.phase = Phase.STARTING
        self._work = work = Work(Purpose.BOOT)
        work.starts.extend(self._slots.values())
        self._go_on(now)
        return self._flush(now)

    def child_started(self, id: str, number: int, now: float) -> list[Directive]:
        """The incarnation is ready: its factory and its enter hook have returned."""
        slot = self._slots.get(id)
        if slot is None or slot.number != number or slot.state is not STARTING:
            return []
        slot.state = RUNNING
        slot.up_since = now
        slot.held = False
        if self.phase is Phase.STOPPING and self._work is not None:  # it was ready before its cancellation reached it
            self._work.pending -= 1
            self._work.stops.append(slot)
        self._go_on(now)
        return self._flush(now)

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
        slot = self._slots.get(id)
        if slot is not None and slot.state is UNSTOPPABLE:  # a start that was cancelled, and took its time to end
            return self.child_exited(id, number, reason, now, error=error)
        if slot is None or slot.number != number or slot.state is not STARTING:
            return []
        slot.state = STOPPED
        slot.up_since = None
        self._start_failed(slot, reason, error, ignored)
        self._go_on(now)
        return self._flush(now)

    def child_exited(
        self, id: str, number: int, reason: ExitReason, now: float, *, error: BaseException | None = None
    ) -> list[Directive]:
        """The incarnation is over: nothing of it runs any more. `error` is looked at by policies, and not kept."""
        slot = self._slots.get(id)
        if slot is None or slot.number != number:
            return []
        if slot.state is STOPPING:
            slot.state = STOPPED
            self._stop_ended()
            self._after_stop(slot)
        elif slot.state is UNSTOPPABLE:
            slot.state = STOPPED
            self._unstoppable_ended(slot)
        elif slot.state is STARTING:
            return self.start_failed(id, number, reason, now, error=error)
        elif slot.state is RUNNING and not slot.dead:
            slot.dead = True
            if self.phase is not Phase.STOPPING:
                self._queue.append((self._exit, slot, number, reason, error))
        self._go_on(now)
        return self._flush(now)

    def stop_overran(self, id: str, number: int, now: float) -> list[Directive]:
        """A child that was stopped, or whose start was cancelled, still runs. Only its own restart waits for it any longer."""
        slot = self._slots.get(id)
        if slot is None or slot.number != number:
            return []
        cancelled = slot.state is STARTING and self.phase is Phase.STOPPING
        if slot.state is not STOPPING and not cancelled:
            return []
        slot.state = UNSTOPPABLE
        self._stop_ended()
        work = self._work
        if work is not None and work.purpose is Purpose.TERMINATE_CHILD:
            self._finish_call(ChildUnstoppable(slot.id))
        self._go_on(now)
        return self._flush(now)

    def timer(self, now: float) -> list[Directive]:
        """The instant of the last `WakeAt` has come."""
        self._told_wake = None
        while self._waiting and self._waiting[0][0] <= now:
            _, _, slot, token = heapq.heappop(self._waiting)
            self._queue.append((self._due, slot, token))
        self._go_on(now)
        return self._flush(now)

    def stop(
        self, now: float, *, mode: StopMode = StopMode.FINAL, reason: ExitReason = SHUTDOWN, cause: Cause = Cause.ASKED
    ) -> list[Directive]:
        """Stop all children in reverse order, then be done with `reason`. A stop that is under way already goes on as it is."""
        self._shut_down(mode=mode, reason=reason, cause=cause)
        self._go_on(now)
        return self._flush(now)

    def hold(self) -> None:
        """Serve nothing from now on, so that several facts can arrive before the first is looked at."""
        self._holds += 1

    def release(self, now: float) -> list[Directive]:
        """End a `hold`, and serve what came meanwhile, in order."""
        self._holds -= 1
        self._go_on(now)
        return self._flush(now)

    # -- admin calls: answered by a `Reply` to the ticket ------------------------------------------------------------

    def start_child(self, spec: ChildSpec, ticket: object, now: float, *, id: str | None = None) -> list[Directive]:
        """Add a child at the end and start it. OTP: `start_child`. `id`: its own, where children share one spec."""
        return self._call(_Call(self._start_child, (spec.id if id is None else id, spec), ticket), now)

    def terminate_child(self, id: str, ticket: object, now: float, *, by_name: bool = False) -> list[Directive]:
        """Stop a child and leave it listed (a temporary or dynamic one is forgotten). OTP: `terminate_child`.

        It touches no sibling, whatever the strategy, and triggers no auto-shutdown.
        """
        if by_name and self.spec.dynamic:
            return self._refuse(NotForDynamic(id, "terminate_child"), ticket, now)
        return self._call(_Call(self._terminate_child, id, ticket), now)

    def restart_child(self, id: str, ticket: object, now: float) -> list[Directive]:
        """Start a child that is listed but stopped. It counts against no limit. OTP: `restart_child`."""
        if self.spec.dynamic:
            return self._refuse(NotForDynamic(id, "restart_child"), ticket, now)
        return self._call(_Call(self._restart_child, id, ticket), now)

    def renew_child(self, id: str, ticket: object, now: float) -> list[Directive]:
        """Stop a child and start it again on its mailbox. It counts against no limit, and touches no sibling.

        One that is stopped is only started. One that waits for a restart gets it now, with its group, and the answer doesn't
        wait for that. OTP has no such call; `terminate_child` and `restart_child` in one, without the end of the mailbox.
        """
        if self.spec.dynamic:
            return self._refuse(NotForDynamic(id, "renew_child"), ticket, now)
        return self._call(_Call(self._renew_child, id, ticket), now)

    def change_child(
        self, id: str, ticket: object, now: float, *, restart: Restart | None = None, limit: Intensity | None = None
    ) -> list[Directive]:
        """Another restart policy, or limit of its own, from the next end on; its failures in a row are forgotten."""
        return self._call(_Call(self._change_child, (id, restart, limit), ticket), now)

    def change_intensity(self, intensity: Intensity, ticket: object, now: float) -> list[Directive]:
        """Another limit for the supervisor. Restarts that were counted stay counted."""
        return self._call(_Call(self._change_intensity, intensity, ticket), now)

    def delete_child(self, id: str, ticket: object, now: float) -> list[Directive]:
        """Forget a child that is listed but stopped. OTP: `delete_child`."""
        if self.spec.dynamic:
            return self._refuse(NotForDynamic(id, "delete_child"), ticket, now)
        return self._call(_Call(self._delete_child, id, ticket), now)

    def _call(self, call: _Call, now: float) -> list[Directive]:
        if self.phase in (Phase.STOPPING, Phase.DONE):
            return self._refuse(SupervisorNotRunning(self.spec.id), call.ticket, now)
        self._queue.append(call)
        self._go_on(now)
        return self._flush(now)

    def _refuse(self, error: AdminError, ticket: object, now: float) -> list[Directive]:
        self._out.append(do.Reply(ticket, error))
        return self._flush(now)

    def _start_child(self, child: tuple[str, ChildSpec], ticket: object, now: float) -> None:
        id, spec = child
        known = self._slots.get(id)
        if known is not None:
            refusal = ChildAlreadyStarted if known.state in (RUNNING, UNSTOPPABLE) else ChildAlreadyPresent
            self._out.append(do.Reply(ticket, refusal(id)))
        elif len(self._slots) >= self.spec.max_children:
            self._out.append(do.Reply(ticket, TooManyChildren(id, f"{self.spec.max_children:g}")))
        else:
            self._slots[id] = slot = Slot(id, spec, added=True)
            self._begin(Work(Purpose.START_CHILD, subject=slot, ticket=ticket), slot, now)

    def _terminate_child(self, id: str, ticket: object, now: float) -> None:
        slot = self._slots.get(id)
        if slot is None:
            self._out.append(do.Reply(ticket, ChildNotFound(id)))
        elif slot.state is UNSTOPPABLE:
            slot.resume = slot.held = False
            self._out.append(do.Reply(ticket, ChildUnstoppable(id)))
        else:
            self._work = work = Work(Purpose.TERMINATE_CHILD, subject=slot, ticket=ticket)
            work.mode = StopMode.FINAL
            work.stops.append(slot)
            self._advance(now)

    def _restart_child(self, id: str, ticket: object, now: float) -> None:
        slot = self._slots.get(id)
        if slot is None:
            self._out.append(do.Reply(ticket, ChildNotFound(id)))
        elif slot.state is not STOPPED:
            refusal = ChildRestarting if slot.state is RESTARTING else ChildRunning
            self._out.append(do.Reply(ticket, refusal(id)))
        else:
            self._begin(Work(Purpose.RESTART_CHILD, subject=slot, ticket=ticket), slot, now)

    def _renew_child(self, id: str, ticket: object, now: float) -> None:
        slot = self._slots.get(id)
        if slot is None:
            self._out.append(do.Reply(ticket, ChildNotFound(id)))
        elif slot.temporary:
            self._out.append(do.Reply(ticket, ChildTemporary(id, "stop it, and start a new one")))
        elif slot.state is UNSTOPPABLE:
            self._out.append(do.Reply(ticket, ChildUnstoppable(id)))
        elif slot.state is RESTARTING:
            self._out.append(do.Reply(ticket, True))
            slot.due = None
            self._restart_group(slot, self.spec.strategy.affected([*self._slots.values()], slot), 0.0, now)
        else:
            work = Work(Purpose.RESTART_CHILD, subject=slot, ticket=ticket)
            work.stops.append(slot)
            self._begin(work, slot, now)

    def _change_child(self, change: tuple[str, Restart | None, Intensity | None], ticket: object, now: float) -> None:
        id, restart, limit = change
        slot = self._slots.get(id)
        if slot is None:
            self._out.append(do.Reply(ticket, ChildNotFound(id)))
            return
        try:
            spec = replace(slot.spec, restart=restart or slot.spec.restart, limit=limit or slot.spec.limit)
            self.spec.check_child(spec)
        except InvalidSpec as refusal:
            self._out.append(do.Reply(ticket, refusal))
            return
        slot.spec = spec
        if restart is not None:
            slot.backoff = None
        if limit is not None and slot.window is not None:
            slot.window = slot.window.copy(limit)
        self._out.append(do.Reply(ticket, None))

    def _change_intensity(self, intensity: Intensity, ticket: object, now: float) -> None:
        self.spec = replace(self.spec, intensity=intensity)
        self._window = self._window.copy(intensity)
        self._out.append(do.Reply(ticket, None))

    def _delete_child(self, id: str, ticket: object, now: float) -> None:
        slot = self._slots.get(id)
        if slot is None:
            self._out.append(do.Reply(ticket, ChildNotFound(id)))
        elif slot.state is not STOPPED:
            refusal = ChildRestarting if slot.state is RESTARTING else ChildRunning
            self._out.append(do.Reply(ticket, refusal(id)))
        else:
            self._forget(slot)
            self._out.append(do.Reply(ticket, None))

    def _begin(self, work: Work, slot: Slot, now: float) -> None:
        self._work = work
        work.starts.append(slot)
        self._advance(now)

    # -- the queue ---------------------------------------------------------------------------------------------------

    def _go_on(self, now: float) -> None:
        """Go on with what is under way; when nothing is, serve what waits, in order, until something is again."""
        self._advance(now)
        queue = self._queue
        while queue and self._work is None and not self._holds and self.phase is Phase.RUNNING:
            entry = queue.popleft()
            if type(entry) is _Call:
                entry.serve(entry.subject, entry.ticket, now)
            else:
                entry[0](*entry[1:], now)
        if self.phase is Phase.STOPPING:  # an end that was just served made it give up or shut down
            self._advance(now)

    def _flush(self, now: float) -> list[Directive]:
        if self._waiting or self._told_wake is not None:
            self._tell_wake()
        out, self._out = self._out, []
        return out

    def _tell_wake(self) -> None:
        waiting = self._waiting
        while waiting and not _pending(waiting[0][2], waiting[0][3]):
            heapq.heappop(waiting)
        wake = waiting[0][0] if waiting and self.phase is Phase.RUNNING else None
        if wake != self._told_wake:
            self._told_wake = wake
            self._out.append(do.WakeAt(wake))

    # -- a child has ended by itself ---------------------------------------------------------------------------------

    def _exit(self, slot: Slot, number: int, reason: ExitReason, error: BaseException | None, now: float) -> None:
        if not slot.dead or slot.number != number:
            return  # swallowed: its group was stopped, or it was terminated, in the meantime (rule 31)
        slot.dead = False
        slot.state = STOPPED
        restart, rule = slot.spec.restart.rule(reason, error)
        up_since, slot.up_since = slot.up_since, None
        if restart:
            self._restart(slot, reason, error, rule, up_since, now)
        else:
            slot.finished = not reason.abnormal
            self._decide(Action.LEAVE, slot, reason, rule, now)
            self._leave(slot)
            self._consider_shutdown(slot, reason, now)

    def _restart(
        self,
        slot: Slot,
        reason: ExitReason,
        error: BaseException | None,
        rule: str,
        up_since: float | None,
        now: float,
    ) -> None:
        """A restart is due: count it against the limit that applies, then do it, put it off, or give up."""
        policy, limit = slot.spec.restart, slot.spec.limit
        delay, enough = 0.0, False
        if policy.wait is not None or policy.stop is not None:
            if slot.backoff is None:
                slot.backoff = Backoff()
            try:
                delay, enough = slot.backoff.failed(policy, now, up_since, error, self._draw)
            except Exception as failure:  # a user's policy; the restart must not depend on it
                rule = f"{rule}; its wait= or stop= raised {describe(failure)}, so it comes back at once"
        window = self._window
        if limit is not None:
            if slot.window is None:
                slot.window = RestartWindow(limit)
            window = slot.window
        if limit is not None or policy.stop is not None:
            if enough or (limit is not None and not window.add(now)):
                self._own_limit(slot, reason, "stop= says enough" if enough else f"its own limit of {limit} is spent", now)
                return
        elif not window.add(now):
            self._give_up(slot, reason, rule, now)
            return
        strategy = self.spec.strategy
        group = [slot] if strategy is Strategy.ONE_FOR_ONE else strategy.affected([*self._slots.values()], slot)
        affected = tuple(s.id for s in group if not s.temporary)
        self._decide(Action.RESTART, slot, reason, rule, now, window=window, delay=delay, affected=affected)
        self._restart_group(slot, group, delay, now)

    def _restart_group(self, slot: Slot, group: list[Slot], delay: float, now: float) -> None:
        self._work = work = Work(Purpose.RESTART, subject=slot, delay=delay)
        work.starts.extend(group)
        work.stops = [member for member in group if member is not slot]
        self._advance(now)

    def _retry(self, slot: Slot, token: int, reason: ExitReason, error: BaseException | None, now: float) -> None:
        """The turn of a restart whose start failed: it counts as one more (rule 14), unless `when=` ends the child."""
        if not _pending(slot, token):
            return
        restart, rule = slot.spec.restart.rule(reason, error)
        rule = f"its restart failed to start; {rule}"
        if restart:
            self._restart(slot, reason, error, rule, None, now)
        else:
            self._stay_down(slot, reason, reason, rule, now)

    def _due(self, slot: Slot, token: int, now: float) -> None:
        """A backoff is over. It was counted when it was decided."""
        if _pending(slot, token):
            slot.due = None
            self._restart_group(slot, self.spec.strategy.affected([*self._slots.values()], slot), 0.0, now)

    def _own_limit(self, slot: Slot, reason: ExitReason, rule: str, now: float) -> None:
        if slot.spec.on_limit == "escalate":
            self._give_up(slot, reason, rule, now)
            return
        self._stay_down(slot, reason, ExitReason(ExitKind.GAVE_UP, reason.detail), rule, now)

    def _stay_down(self, slot: Slot, reason: ExitReason, told: ExitReason, rule: str, now: float) -> None:
        """A restart was due, or under way, and isn't to be: the child is left as it is, and so is its group."""
        slot.state = STOPPED
        self._decide(Action.LEAVE, slot, told, rule, now)
        self._leave(slot)
        self._release_held()
        self._consider_shutdown(slot, reason, now)

    def _give_up(self, slot: Slot, reason: ExitReason, rule: str, now: float) -> None:
        self._decide(Action.GIVE_UP, slot, reason, rule, now)
        slot.state = STOPPED
        why = ExitReason(self.spec.give_up_as, f"child {slot.id!r} ended: {reason}")
        self._shut_down(mode=StopMode.RESTART, reason=why, cause=Cause.GAVE_UP)

    def _consider_shutdown(self, slot: Slot, reason: ExitReason, now: float) -> None:
        """A significant child ended by itself and isn't restarted (rules 37 and 38)."""
        mode = self.spec.auto_shutdown
        if not slot.spec.significant or mode is AutoShutdown.NEVER:
            return
        if mode is AutoShutdown.ALL_SIGNIFICANT and any(
            s.spec.significant and s is not slot and s.state in (RUNNING, RESTARTING, UNSTOPPABLE) for s in self._slots.values()
        ):
            return
        self._decide(Action.SHUT_DOWN, slot, reason, f"auto_shutdown={mode.value!r}", now)
        self._shut_down(mode=StopMode.RESTART, reason=SHUTDOWN, cause=Cause.AUTO_SHUTDOWN)

    def _decide(
        self,
        action: Action,
        slot: Slot,
        reason: ExitReason,
        rule: str,
        now: float,
        *,
        window: RestartWindow | None = None,
        delay: float = 0.0,
        affected: tuple[str, ...] = (),
    ) -> None:
        slot.restarts += action is Action.RESTART
        if reason.abnormal:
            slot.last = reason
        used = self._window if window is None else window
        limit = used.intensity
        decision = Decision(
            action, slot.id, slot.number, reason, rule, len(used), limit.restarts, limit.per, delay, affected, now
        )
        self._out.append(do.Report(decision))

    # -- the work under way ------------------------------------------------------------------------------------------

    def _advance(self, now: float) -> None:
        """Do of the work under way what can be done now."""
        work = self._work
        if work is None:
            return
        at_once = self.spec.dynamic and work.purpose is Purpose.SHUTDOWN
        while work.stops:
            if work.pending and not at_once:
                return
            slot = work.stops.pop()
            if slot.state in (STARTING, STOPPING):  # was under way already when the shutdown began
                work.pending += 1
            elif slot.state is RUNNING and not slot.dead:
                slot.state = STOPPING
                work.pending += 1
                mode = StopMode.FINAL if self._gone_when_stopped(slot) else work.mode
                self._out.append(do.Stop(slot.id, mode, slot.spec.seconds, slot.spec.brutal))
            elif slot.state is not UNSTOPPABLE:
                slot.state = STOPPED
                slot.dead = False
                slot.token += 1
                slot.due = None
                self._after_stop(slot)
        if work.pending:
            return
        if work.purpose is Purpose.SHUTDOWN:
            self._finish_shutdown(work)
        elif work.purpose is Purpose.TERMINATE_CHILD:
            self._finish_call(None)
        elif work.delay and work.subject is not None:
            self._put_off(work, work.subject, now)
        else:
            self._start_next(work)

    def _start_next(self, work: Work) -> None:
        while work.starts:
            slot = work.starts[0]
            if slot.state is STARTING:
                return
            if slot.state is UNSTOPPABLE:
                slot.resume = not slot.temporary
            elif slot.state is not RUNNING and self._slots.get(slot.id) is slot:
                slot.state = STARTING
                slot.number += 1
                slot.token += 1
                slot.due = None
                slot.finished = False
                self._out.append(do.Start(slot.id, slot.number))
                return
            work.starts.popleft()
        self._finish(work)

    def _stop_ended(self) -> None:
        if self._work is not None:
            self._work.pending -= 1

    def _finish(self, work: Work) -> None:
        """All starts of the work are done."""
        self._work = None
        if work.purpose is Purpose.BOOT:
            self.phase = Phase.RUNNING
            self._out.append(do.Ready())
        elif work.ticket is not None:
            subject = work.subject
            stuck = subject is not None and subject.state is UNSTOPPABLE  # it was to be stopped first
            up = subject is not None and subject.state is RUNNING
            self._out.append(do.Reply(work.ticket, ChildUnstoppable(subject.id) if stuck and subject is not None else up))

    def _finish_call(self, result: Exception | None) -> None:
        work, self._work = self._work, None
        if work is not None and work.ticket is not None:
            self._out.append(do.Reply(work.ticket, result))

    def _put_off(self, work: Work, slot: Slot, now: float) -> None:
        """The group is down; it comes back when the backoff is over. Meanwhile the supervisor is free."""
        self._work = None
        slot.state = RESTARTING
        slot.token += 1
        slot.due = now + work.delay
        self._sequence += 1
        heapq.heappush(self._waiting, (slot.due, self._sequence, slot, slot.token))
        for member in work.starts:
            member.held = member is not slot

    def _after_stop(self, slot: Slot) -> None:
        """A child that was to stop is down; what that means depends on why."""
        work = self._work
        slot.up_since = None
        if self._gone_when_stopped(slot):
            self._forget(slot)
        elif work is not None and work.purpose is Purpose.TERMINATE_CHILD:
            slot.held = False
            self._out.append(do.Close(slot.id))
            self._release_held()

    def _gone_when_stopped(self, slot: Slot) -> bool:
        """Temporary and dynamic children are forgotten when they are stopped, added ones when their supervisor ends."""
        ending = self._work is not None and self._work.purpose is Purpose.SHUTDOWN
        return slot.temporary or self.spec.dynamic or (ending and slot.added)

    def _leave(self, slot: Slot) -> None:
        """It ended and isn't restarted."""
        if slot.temporary or self.spec.dynamic:
            self._forget(slot)
        else:
            self._out.append(do.Close(slot.id))

    def _forget(self, slot: Slot) -> None:
        if self._slots.get(slot.id) is slot:
            del self._slots[slot.id]
            slot.token += 1
            self._out.append(do.Forget(slot.id))

    def _release_held(self) -> None:
        """A pending group restart was cancelled: members that no other pending restart covers stay down (rule 18)."""
        if self.spec.strategy is Strategy.ONE_FOR_ONE:
            return
        slots = [*self._slots.values()]
        covered: set[str] = set()
        for slot in slots:
            if slot.state is RESTARTING:
                covered.update(s.id for s in self.spec.strategy.affected(slots, slot))
        for slot in slots:
            if slot.held and slot.id not in covered:
                slot.held = False
                if slot.state is STOPPED:
                    self._out.append(do.Close(slot.id))

    def _start_failed(self, slot: Slot, reason: ExitReason, error: BaseException | None, ignored: bool) -> None:
        work = self._work
        if work is None:
            return
        if work.purpose is Purpose.SHUTDOWN:
            work.pending -= 1
            self._after_stop(slot)
            return
        work.starts.popleft()
        if ignored:
            slot.held = False
            slot.finished = True
            self._leave(slot)
        elif work.purpose is Purpose.BOOT:
            why = ExitReason(ExitKind.CRASHED, f"child {slot.id!r} didn't start: {reason.detail or reason.kind.value}")
            self._work = stop = Work(Purpose.SHUTDOWN)
            stop.stops.extend(self._slots.values())
            stop.reason, stop.cause, stop.failed = why, Cause.START_FAILED, slot.id
            self.phase = Phase.STOPPING
            self._abandon_calls()
        elif work.purpose is Purpose.RESTART:
            self._work = None
            slot.state = RESTARTING
            slot.token += 1
            for member in work.starts:
                member.held = True
            self._queue.append((self._retry, slot, slot.token, reason, error))
        else:
            failure = ChildStartFailed(slot.id, reason.detail or str(reason))
            failure.__cause__ = error
            slot.last = reason
            if work.purpose is Purpose.START_CHILD:
                self._forget(slot)
            else:
                self._out.append(do.Close(slot.id))
            self._finish_call(failure)

    # -- the supervisor's own end ------------------------------------------------------------------------------------

    def _shut_down(self, *, mode: StopMode, reason: ExitReason, cause: Cause) -> None:
        if self.phase in (Phase.STOPPING, Phase.DONE):
            return
        self.phase = Phase.STOPPING
        interrupted, self._work = self._work, Work(Purpose.SHUTDOWN)
        work = self._work
        work.mode, work.reason, work.cause = mode, reason, cause
        if interrupted is not None and interrupted.ticket is not None:
            self._out.append(do.Reply(interrupted.ticket, SupervisorNotRunning(self.spec.id, ": it was stopped meanwhile")))
        self._abandon_calls()
        slots = [*self._slots.values()]
        work.stops = [s for s in slots if s.state is not STARTING and s.state is not STOPPING]
        for slot in slots:  # what is under way ends first, then the others in reverse order
            if slot.state is STARTING:
                self._out.append(do.CancelStart(slot.id))
                work.stops.append(slot)
            elif slot.state is STOPPING:
                work.stops.append(slot)

    def _abandon_calls(self) -> None:
        """Nobody will serve them any more. Queued ends are found at each child's own stop."""
        for entry in self._queue:
            if type(entry) is _Call:
                self._out.append(do.Reply(entry.ticket, SupervisorNotRunning(self.spec.id, ": it was stopped meanwhile")))
        self._queue.clear()

    def _finish_shutdown(self, work: Work) -> None:
        unstoppable = tuple(s.id for s in self._slots.values() if s.state is UNSTOPPABLE)
        if unstoppable:
            if not work.told:
                work.told = True
                self._out.append(do.Overran(unstoppable))
            return
        for slot in [*self._slots.values()]:
            if slot.added or slot.temporary:
                self._forget(slot)
        self._work = None
        self.phase = Phase.DONE
        self._out.append(do.Done(work.reason, work.cause, work.failed))

    def _unstoppable_ended(self, slot: Slot) -> None:
        """The coroutine that nothing could end has ended after all."""
        if self.phase is Phase.STOPPING:
            self._after_stop(slot)
        elif slot.resume:
            slot.resume = False
            slot.state = RESTARTING
            slot.token += 1
            self._queue.append((self._resume, slot, slot.token))
        elif slot.temporary or self.spec.dynamic:
            self._forget(slot)
        elif not slot.held and (self._work is None or slot not in self._work.starts):  # else it comes back with its group
            self._out.append(do.Close(slot.id))

    def _resume(self, slot: Slot, token: int, now: float) -> None:
        if _pending(slot, token):
            self._restart_group(slot, [slot], 0.0, now)


def _pending(slot: Slot, token: int) -> bool:
    return slot.state is RESTARTING and slot.token == token
