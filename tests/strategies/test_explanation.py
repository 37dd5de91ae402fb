"""What an end would cause, told before it happens: the same as what then happens, and nothing changes by asking.

Tested: SEMANTICS 12 on the machine: in random histories each explanation is compared with the crash that follows it; delay,
order, budget, give-up, own limits, auto-shutdown, `when=` with the exception; children that can't crash now; unknown ones.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from typing import Any

import pytest
from tenacity import retry_if_exception_type, stop_after_attempt, wait_exponential, wait_fixed

from supervise_strategies import (
    Action,
    CancelStart,
    ChildNotFound,
    ChildSpec,
    ChildState,
    Directive,
    Done,
    ExitKind,
    ExitReason,
    Explanation,
    Intensity,
    Overran,
    Report,
    Restart,
    Start,
    Stop,
    Supervision,
    SupervisorSpec,
    explain,
)
from supervise_strategies.child_state import Slot
from supervise_strategies.exit_reason import KILLED, NORMAL, SHUTDOWN, crashed
from tests.strategies.rig import CRASH, Rig, spec

RESTARTS = [
    Restart.permanent(),
    Restart.transient(),
    Restart.temporary(),
    Restart.permanent(wait=wait_fixed(2)),
    Restart.transient(wait=wait_exponential(), stop=stop_after_attempt(3)),
    Restart.permanent(when=retry_if_exception_type(ValueError)),
]
ERRORS: list[BaseException] = [ValueError("v"), KeyError("k")]


class Real:
    """Obeys the machine as a runtime would, at once, and writes down what `Explanation` foretells."""

    def __init__(self, machine: Supervision) -> None:
        self.machine = machine
        self.reset()

    def reset(self) -> None:
        self.decisions: list[Any] = []
        self.stops: list[str] = []
        self.starts: list[str] = []
        self.ends: ExitReason | None = None

    def obey(self, directives: Sequence[Directive], now: float) -> None:
        out = deque(directives)
        while out:
            directive = out.popleft()
            if isinstance(directive, Report):
                self.decisions.append(directive.decision)
            elif isinstance(directive, Stop):
                self.stops.append(directive.id)
                child = self.machine.child(directive.id)
                assert child is not None
                out.extend(self.machine.child_exited(directive.id, child.incarnation, SHUTDOWN, now))
            elif isinstance(directive, Start):
                self.starts.append(directive.id)
                out.extend(self.machine.child_started(directive.id, directive.number, now))
            elif isinstance(directive, Done):
                self.ends = directive.reason
            assert not isinstance(directive, CancelStart | Overran)


def snapshot(machine: Supervision, now: float) -> Any:
    children = machine.children()
    return children, machine.phase, machine.restarts, machine.busy, [machine.left(c.id, now) for c in children]


@pytest.mark.parametrize("seed", range(300))
def test_what_is_foretold_is_what_happens_and_asking_changes_nothing(seed: int) -> None:
    chance = random.Random(seed)
    children = [
        ChildSpec(f"c{n}", chance.choice(RESTARTS), limit=chance.choice([None, None, Intensity(1, per=3)]))
        for n in range(chance.randint(1, 4))
    ]
    strategy: Any = chance.choice(["one_for_one", "one_for_all", "rest_for_one"])
    machine = Supervision(SupervisorSpec("sup", tuple(children), strategy=strategy, intensity=Intensity(3, per=10)))
    real, now = Real(machine), 0.0
    real.obey(machine.begin(now), now)
    for _ in range(12):
        now += chance.choice([0.0, 0.5, 4.0])
        real.obey(machine.timer(now), now)
        listed = machine.children()
        if real.ends is not None or not listed:
            return
        child = chance.choice(listed)
        error = chance.choice([*ERRORS, None])
        reason = crashed(error) if error is not None else chance.choice([NORMAL, SHUTDOWN, KILLED])
        before = snapshot(machine, now)
        foretold = explain(machine, child.id, now, reason, error=error)
        assert foretold == explain(machine, child.id, now, reason, error=error)
        assert snapshot(machine, now) == before
        if child.state is not ChildState.RUNNING:
            assert foretold.decision is None
            assert f"it is {child.state.value}" in str(foretold)
            continue
        real.reset()
        real.obey(machine.child_exited(child.id, child.incarnation, reason, now, error=error), now)
        assert foretold.decisions == tuple(real.decisions)
        assert foretold.stops == tuple(real.stops)
        assert foretold.ends == real.ends
        assert foretold.left_after == machine.left(child.id, now)
        if foretold.delay:
            assert real.starts == []
            due = now + foretold.delay
            others = {c.id for c in machine.children() if c.due is not None and c.id != child.id and c.due <= due}
            if others:  # another backoff comes in between
                continue
            now = due
            real.obey(machine.timer(now), now)
        assert foretold.starts == tuple(real.starts)


def explained(rig: Rig, name: str, **how: Any) -> Explanation:
    return explain(rig.machine, name, rig.now, how.pop("reason", CRASH), **how)


def test_a_group_stops_backwards_and_starts_forwards_after_the_delay_and_costs_one_restart() -> None:
    rig = Rig("a", spec("b", Restart.permanent(wait=wait_fixed(7), counted=True)), "c", "d", strategy="rest_for_one")
    found = explained(rig.up(), "b")
    assert (found.stops, found.starts, found.delay) == (("d", "c"), ("b", "c", "d"), 7.0)
    assert (found.left, found.left_after, found.ends, found.above) == (3, 2, None, None)
    assert str(found) == (
        "sup: b #1 ended: crashed (ValueError: x); permanent -> restart 1 of 3 within 5 s with c, d after 7 s\n"
        "  stops, in this order: d, c\n"
        "  starts, in this order, after 7 s: b, c, d\n"
        "  restarts left: 3 before, 2 after"
    )


def test_a_spent_budget_is_a_give_up_that_stops_all_others_and_ends_the_supervisor() -> None:
    rig = Rig("a", "b", intensity=Intensity(1)).up()
    rig.ends("a")
    rig.starts("a")
    found = explained(rig, "a")
    assert found.decision is not None
    assert (found.decision.action, found.stops, found.starts) == (Action.GIVE_UP, ("b",), ())
    assert found.ends is not None
    assert found.ends.kind is ExitKind.GAVE_UP
    assert "the tree ends, and GaveUp is raised" in str(found)
    assert found.left == 0
    assert explained(rig.at(6.0), "a").left == 1


def test_the_end_of_a_significant_child_is_two_decisions() -> None:
    child = spec("a", Restart.transient(), significant=True)
    found = explained(Rig(child, "b", auto_shutdown="any_significant").up(), "a", reason=NORMAL)
    assert [decision.action for decision in found.decisions] == [Action.LEAVE, Action.SHUT_DOWN]
    assert (found.stops, found.ends) == (("b",), SHUTDOWN)


def test_something_unstoppable_among_the_siblings_does_not_hide_a_give_up() -> None:
    rig = Rig("a", "b", intensity=Intensity(0)).up()
    rig.took(rig.machine.terminate_child("b", "ticket", 0.0))
    rig.overruns("b")
    found = explained(rig, "a")
    assert found.ends is not None
    assert found.ends.kind is ExitKind.GAVE_UP


def test_what_is_under_way_is_mentioned() -> None:
    rig = Rig("a", "b").up()
    rig.took(rig.machine.terminate_child("b", "ticket", 0.0))
    assert "under way, and comes first" in str(explained(rig, "a"))
    assert explained(rig, "b").note == "it can't crash now: it is stopping"


def test_a_supervisor_that_stops_restarts_nothing() -> None:
    rig = Rig("a", "b").up()
    rig.took(rig.machine.stop(0.0))
    found = explained(rig, "a")
    assert (found.decision, found.note) == (None, "its supervisor is stopping, and restarts nothing")


def test_an_unknown_child_is_refused() -> None:
    with pytest.raises(ChildNotFound, match="there is no child 'z' here"):
        explained(Rig("a").up(), "z")


def test_a_copy_of_a_childs_slot_has_all_its_fields() -> None:
    slot = Slot("a", ChildSpec("a"), added=True)
    plain = [field for field in Slot.__slots__ if field not in ("history", "next_start")]
    for number, field in enumerate(plain):
        setattr(slot, field, number)
    other = slot.copy()
    assert [getattr(other, field) for field in plain] == [*range(len(plain))]
    assert slot.next_start is not None
    assert other.next_start is not None
    assert other.next_start is not slot.next_start
    assert other.history is None
