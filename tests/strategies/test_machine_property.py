"""A supervisor's machine under facts and calls at random: whatever comes, it keeps what it promises.

Tested: SEMANTICS 47, 50, 52 together, with all strategies and all that else is said of children. And its fast path says what
the usual way says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tenacity import stop_after_attempt, wait_fixed

from supervise_strategies import (
    CancelStart,
    ChildSpec,
    Done,
    Forget,
    Intensity,
    Overran,
    Reply,
    Report,
    Restart,
    Start,
    Stop,
    Supervision,
    SupervisorSpec,
    WakeAt,
    fast_path,
    supervision,
)
from supervise_strategies.exit_reason import KILLED, NORMAL, SHUTDOWN, crashed
from supervise_strategies.supervisor_state import Phase

WHERE = ["", "ValueError at f (a.py:1)", "KeyError at g (a.py:2)"]
WAIT = wait_fixed(1)
POLICIES = [
    Restart(),
    Restart.transient(),
    Restart.temporary(),
    Restart.permanent(wait=WAIT),
    Restart.permanent(wait=WAIT, counted=True),
    Restart.permanent(wait=WAIT, stop=stop_after_attempt(3)),
    Restart.permanent(stop=stop_after_attempt(2)),
]


@st.composite
def specs(draw: st.DrawFn, name: str) -> ChildSpec:
    restart = draw(st.sampled_from(POLICIES))
    temporary, counted = restart == Restart.temporary(), restart.counted
    return ChildSpec(
        name,
        restart,
        limit=None if counted else draw(st.sampled_from([None, None, Intensity(1), Intensity(3, per=20)])),
        on_limit=draw(st.sampled_from(["stop", "stop", "escalate"])),
        retry_start=not temporary and draw(st.booleans()),
        quarantine=None if temporary else draw(st.sampled_from([None, 1, 2, 3])),
    )


NAMES = ["a", "b", "c", "d"]
supervisors = st.builds(
    SupervisorSpec,
    st.just("sup"),
    st.tuples(specs("a"), specs("b"), specs("c")),
    strategy=st.sampled_from(["one_for_one", "one_for_all", "rest_for_one"]),
    intensity=st.sampled_from([Intensity(2), Intensity(5), Intensity(50)]),
)
_ENDS = ["crash", "crash", "crash", "kill", "end", "again", "overrun"]
_CALLS = ["add", "terminate", "restart", "renew", "reload", "reload", "describe", "delete", "withdraw", "stop"]
deeds = st.tuples(
    st.sampled_from(["answer", "answer", "answer", "answer", "fail", "fail", "over", "time", *_ENDS, *["waits"] * 6, *_CALLS]),
    st.sampled_from(NAMES),
    st.integers(0, 2),
    st.sampled_from([0.0, 0.3, 1.0, 6.0]),
)


class Play:
    """Obeys the machine as a runtime would, and checks each directive as it comes."""

    def __init__(self, spec: SupervisorSpec) -> None:
        self.machine = Supervision(spec)
        self.now = 0.0
        self.alive: dict[str, tuple[int, str]] = {}  # by name: which life, and whether it starts, runs or is to end
        self.stuck: set[str] = set()
        self.tickets: dict[object, int] = {}
        self.wake: float | None = None
        self.done: Done | None = None
        self.told: list[str] = []

    def took(self, directives: list[Any]) -> None:
        self.told += map(repr, directives)  # an error is equal to itself alone
        for each in directives:
            assert self.done is None or each == WakeAt(None), "something follows its end"
            if isinstance(each, Start):
                assert each.id not in self.alive, "two lives at once"
                self.alive[each.id] = (each.number, "starting")
            elif isinstance(each, Stop | CancelStart):
                number, state = self.alive[each.id]
                assert state == ("starting" if isinstance(each, CancelStart) else "running")
                self.alive[each.id] = (number, "cancelled" if isinstance(each, CancelStart) else "stopping")
            elif isinstance(each, Forget):
                assert each.id not in self.alive, "forgotten alive"
            elif isinstance(each, Reply):
                self.tickets[each.ticket] += 1
            elif isinstance(each, WakeAt):
                self.wake = each.at
            elif isinstance(each, Done):
                self.done = each
                assert not self.alive
            elif isinstance(each, Report):
                decision = each.decision
                assert decision.ordinal or decision.action.value != "restart"
                assert decision.used <= decision.allowed
            else:
                assert not isinstance(each, Overran) or self.stuck

    def of(self, name: str, *states: str) -> int | None:
        number, state = self.alive.get(name, (0, ""))
        return number if state in states else None

    def end(self, name: str, reason: Any, **how: Any) -> None:
        number, state = self.alive.pop(name)
        self.stuck.discard(name)
        if state in ("starting", "cancelled", "late"):
            self.took(self.machine.start_failed(name, number, reason, self.now))
        else:
            self.took(self.machine.child_exited(name, number, reason, self.now, **how))

    def do(self, deed: str, name: str, which: int, seconds: float, added: ChildSpec) -> None:
        machine, now, crash = self.machine, self.now, crashed(ValueError("x"))
        if deed == "time":
            self.now += seconds
            if self.wake is not None and self.wake <= self.now:
                self.wake = None
                self.took(machine.timer(self.now))
        elif deed == "answer":
            number = self.of(name, "starting")
            if number is not None:
                self.alive[name] = (number, "running")
                self.took(machine.child_started(name, number, now))
            elif self.of(name, "stopping", "cancelled", "late") is not None:
                self.end(name, SHUTDOWN)
        elif deed == "fail" and self.of(name, "starting") is not None:
            self.end(name, crash)
        elif deed == "waits" and self.of(name, "starting") is not None:
            self.took(machine.start_waits(name, self.alive[name][0], now))
        elif deed == "overrun":
            number = self.of(name, "starting", "stopping", "cancelled")
            if number is not None and name not in self.stuck:
                self.stuck.add(name)
                if self.alive[name][1] == "starting":
                    self.alive[name] = (number, "late")
                self.took(machine.stop_overran(name, number, now, reason=crash))
        elif deed in ("crash", "kill", "end", "again") and self.of(name, "running") is not None:
            reason = {"kill": KILLED, "end": NORMAL}.get(deed, crash)
            self.end(name, reason, again=deed == "again", fingerprint=WHERE[which])
        elif deed == "over":
            self.took(machine.child_over(name, now))
        elif deed == "withdraw" and self.tickets:
            self.took(machine.start_withdrawn([*self.tickets][which % len(self.tickets)], now))
        elif deed == "stop" and which == 0:
            self.took(machine.stop(now))
        elif deed == "describe":
            *others, last = machine.spec.children
            described = replace(
                machine.spec, children=(last, *others), intensity=Intensity(machine.spec.intensity.restarts + which)
            )
            self.took(machine.describe(described, now))
        elif deed in ("add", "terminate", "restart", "renew", "reload", "delete"):
            ticket = len(self.tickets)
            self.tickets[ticket] = 0
            if deed == "add":
                self.took(machine.start_child(added, ticket, now, id="d"))
            else:
                self.took(getattr(machine, f"{deed}_child")(name, ticket, now))

    def settle(self) -> None:
        """All that is under way comes to its end: then the supervisor is up, or has ended, and every call has its answer."""
        for _ in range(100):
            for name in [*self.alive]:
                self.do("answer", name, 0, 0.0, self.machine.spec.children[0])
            if self.wake is not None:
                self.do("time", "a", 0, max(0.0, self.wake - self.now), self.machine.spec.children[0])
            elif not any(state != "running" for _, state in self.alive.values()):
                break
        assert self.machine.phase is (Phase.RUNNING if self.done is None else Phase.DONE)
        assert not self.machine.busy
        assert set(self.tickets.values()) <= {1}, "a call without an answer, or with two"

    def finish(self, play: list[Any]) -> None:
        """Stop it; then what is under way comes to its end as in the play, and all that it still waits for."""
        if self.machine.phase is not Phase.DONE:
            self.took(self.machine.stop(self.now))
        for deed, name, which, seconds in play:
            if self.done is None:
                self.do(deed, name, which, seconds, self.machine.spec.children[0])
        for _ in range(50):
            for name in [*self.alive]:
                if self.of(name, "stopping", "cancelled", "late") is not None:
                    self.end(name, SHUTDOWN)
            if self.done is not None:
                break
        assert self.machine.phase is Phase.DONE
        assert not self.alive
        assert set(self.tickets.values()) <= {1}, "a call without an answer, or with two"


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(supervisors, specs("d"), st.lists(deeds, min_size=10, max_size=60), st.booleans())
def test_whatever_happens_it_keeps_its_promises(spec: SupervisorSpec, added: ChildSpec, play: list[Any], settles: bool) -> None:
    scene = Play(spec)
    scene.took(scene.machine.begin(0.0))
    for deed, name, which, seconds in play:
        if scene.done is not None:
            break
        scene.do(deed, name, which, seconds, added)
    if settles:
        scene.settle()
    scene.finish(play)


# -- the fast path ---------------------------------------------------------------------------------------------------------

PLAIN = [Restart(), Restart(), Restart.transient(), Restart.temporary(), Restart.permanent(wait=WAIT)]


@st.composite
def plain_specs(draw: st.DrawFn, name: str) -> ChildSpec:
    if draw(st.integers(0, 4)) == 0:
        return draw(specs(name))
    return ChildSpec(name, draw(st.sampled_from(PLAIN)))


plain_supervisors = st.builds(
    SupervisorSpec,
    st.just("sup"),
    st.tuples(plain_specs("a"), plain_specs("b"), plain_specs("c")),
    strategy=st.sampled_from(["one_for_one", "one_for_one", "one_for_one", "one_for_all", "rest_for_one"]),
    max_children=st.sampled_from([3, 10]),
    intensity=st.sampled_from([Intensity(2), Intensity(50), Intensity(50)]),
)
plain_deeds = st.tuples(
    st.sampled_from([*["answer"] * 8, *["crash"] * 5, "fail", "time", "over", *_ENDS, *_CALLS]),
    st.sampled_from(["a", "a", *NAMES]),
    st.integers(0, 2),
    st.sampled_from([0.0, 0.3, 6.0]),
)
_TAKEN: Counter[str] = Counter()


def _counted(shortcut: Callable[..., bool], *args: Any) -> bool:
    taken = shortcut(*args)
    _TAKEN[shortcut.__name__] += taken
    return taken


def _declines(*_: object) -> bool:
    return False


SHORTCUTS = ("starts_at_once", "restarts_at_once", "is_all")


def _played(shortcuts: dict[str, Any], spec: SupervisorSpec, added: ChildSpec, play: list[Any]) -> list[Any]:
    """All that the machine says, and what it shows after each deed."""
    seen: list[Any] = []
    with mock.patch.multiple(supervision, **shortcuts):
        scene = Play(spec)
        scene.took(scene.machine.begin(0.0))
        scene.settle()  # one that never comes up takes no shortcut
        for deed, name, which, seconds in play:
            if scene.done is None:
                scene.do(deed, name, which, seconds, added)
            machine = scene.machine
            seen.append((machine.children(), machine.count(), machine.restarts, machine.busy, machine.phase))
        scene.settle()
    return [scene.told, seen]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plain_supervisors, plain_specs("d"), st.lists(plain_deeds, min_size=30, max_size=60))
def _the_fast_path_says_what_the_usual_way_says(spec: SupervisorSpec, added: ChildSpec, play: list[Any]) -> None:
    counted = {name: partial(_counted, getattr(fast_path, name)) for name in SHORTCUTS}
    assert _played(counted, spec, added, play) == _played(dict.fromkeys(SHORTCUTS, _declines), spec, added, play)


def test_the_fast_path_says_what_the_usual_way_says() -> None:
    _TAKEN.clear()
    _the_fast_path_says_what_the_usual_way_says()
    assert min(_TAKEN[name] for name in SHORTCUTS) > 10, _TAKEN  # 40 to 130 of each, by what is drawn
