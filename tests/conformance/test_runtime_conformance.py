"""Real trees agree with OTP in all recorded scenarios, on asyncio and on trio, and a runtime that doesn't is found out.

Tested:
- every file of recordings on both backends, with hooks where the script needs them and with hooks everywhere; random ones
  with hooks everywhere alone, since `python -m tests.conformance --subject runtime` plays all without
- faults in how the runtime feeds facts to the machine and obeys its directives are seen
- a listener that raises, a message that is lost without a word, and a task that is left behind are seen
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextvars import Context
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import anyio
import pytest

from supervise.actor.incarnation import Incarnation
from supervise.events import Event
from supervise.mailbox.mailbox import Mailbox
from supervise.tree.branch import BranchPlace
from supervise.tree.node import Node
from supervise.tree.place import ActorPlace
from supervise.tree.tree import Tree
from supervise_strategies import ExitKind, ExitReason, Stop, progress, restarting, supervision
from supervise_strategies.supervisor_state import SupervisorState
from tests.long_form import LONG

from . import runtime
from .__main__ import main
from .runtime import RuntimeSubject
from .scenario import GIVEN, Scenario, given_files, load
from .verdict import judge

Sabotage: TypeAlias = Callable[[pytest.MonkeyPatch], None]


RECORDINGS: Final = [
    pytest.param(path, careful, id=f"{'careful' if careful else 'plain'}-{path.stem}")
    for careful in (False, True)
    for path in given_files()
    if LONG or careful or not path.stem.startswith("rnd_")
]


@pytest.mark.parametrize(("path", "careful"), RECORDINGS)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_runtime_does_what_otp_did(backend: str, careful: bool, path: Path) -> None:
    verdicts = [*judge(load(path), partial(runtime.play, backend=backend, careful=careful))]
    failed = [f"{verdict.id}: {verdict.reason}" for verdict in verdicts if verdict.outcome == "failed"]
    assert verdicts
    assert not failed, "\n".join(failed)


def test_the_command_line_runs_both_backends(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--subject", "runtime", str(GIVEN / "defaults.jsonl")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "defaults.jsonl (asyncio): 6 passed, 0 failed, 0 skipped",
        "defaults.jsonl (trio): 6 passed, 0 failed, 0 skipped",
        "sum: 12 passed, 0 failed, 0 skipped",
    ]


# -- a harness that can't fail proves nothing: each of these faults must be seen ---------------------------------------


def stops_in_start_order(patch: pytest.MonkeyPatch) -> None:
    shut_down = progress.shut_down

    def forwards(state: SupervisorState, **how: Any) -> None:
        shut_down(state, **how)
        if state.work is not None:
            state.work.stops.reverse()

    for caller in (supervision, restarting):
        patch.setattr(caller, "shut_down", forwards)


def kills_without_asking(patch: pytest.MonkeyPatch) -> None:
    def kill(self: ActorPlace, directive: Stop) -> None:
        self.kill()

    patch.setattr(ActorPlace, "stop", kill)


def waits_for_ever(patch: pytest.MonkeyPatch) -> None:
    stop = ActorPlace.stop

    def patiently(self: ActorPlace, directive: Stop) -> None:
        stop(self, directive._replace(within=math.inf))

    patch.setattr(ActorPlace, "stop", patiently)


def kills_what_is_below_a_supervisor(patch: pytest.MonkeyPatch) -> None:
    def kill(self: BranchPlace, directive: Stop) -> None:
        self.kill()

    patch.setattr(BranchPlace, "stop", kill)


def starts_the_next_before_the_last_is_ready(patch: pytest.MonkeyPatch) -> None:
    start = ActorPlace.start

    def hasty(self: ActorPlace, node: Node, number: int) -> None:
        start(self, node, number)
        node.step(node.machine.child_started, self.name, number, node.tree.backend.now())

    patch.setattr(ActorPlace, "start", hasty)


def takes_any_end_for_a_crash(patch: pytest.MonkeyPatch) -> None:
    ended = ActorPlace.ended

    def crashed(self: ActorPlace, incarnation: Incarnation, reason: ExitReason, *rest: Any, ignored: bool) -> Any:
        return ended(self, incarnation, ExitReason(ExitKind.CRASHED), *rest, ignored=ignored)

    patch.setattr(ActorPlace, "ended", crashed)


def takes_an_ignored_start_for_a_failure(patch: pytest.MonkeyPatch) -> None:
    ended = ActorPlace.ended

    def strict(self: ActorPlace, *how: Any, ignored: bool) -> Any:
        return ended(self, *how, ignored=False)

    patch.setattr(ActorPlace, "ended", strict)


FAULTS: Final[tuple[Sabotage, ...]] = (
    stops_in_start_order,
    kills_without_asking,
    waits_for_ever,
    kills_what_is_below_a_supervisor,
    starts_the_next_before_the_last_is_ready,
    takes_any_end_for_a_crash,
    takes_an_ignored_start_for_a_failure,
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_faulty_runtime_is_caught(backend: str, fault: Sabotage, monkeypatch: pytest.MonkeyPatch) -> None:
    fault(monkeypatch)
    play = partial(runtime.play, backend=backend)
    everything = (verdict for path in given_files() for verdict in judge(load(path), play))
    assert any(verdict.outcome == "failed" and "raised" not in verdict.reason for verdict in everything)


# -- nor does one that only looks at the events ------------------------------------------------------------------------


@pytest.fixture
def scenario() -> Scenario:
    """One with a crash."""
    return next(each for each in load(GIVEN / "one_for_one.jsonl") if any(step.get("reason") == "crash" for step in each.steps))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_what_the_runtime_logs_as_an_error_is_a_failure(
    backend: str, scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = RuntimeSubject._heard

    def raising(self: RuntimeSubject, event: Event) -> None:
        heard(self, event)
        raise ValueError("a bug in the subject")

    monkeypatch.setattr(RuntimeSubject, "_heard", raising)
    assert "raised at event" in (runtime.play(scenario, backend=backend) or "")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_message_that_vanishes_is_a_failure(backend: str, scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(self: Mailbox, *_: object, **__: object) -> None: ...

    monkeypatch.setattr(Mailbox, "dead_letter", silent)
    assert "doesn't balance" in (runtime.play(scenario, backend=backend) or "")


def test_a_task_that_is_left_behind_is_a_failure(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    close = Tree.close

    async def leaky(self: Tree, exc: BaseException | None) -> bool:
        self.backend.spawn(anyio.sleep_forever, Context(), "left")
        return await close(self, exc)

    monkeypatch.setattr(Tree, "close", leaky)
    assert runtime.play(scenario, backend="asyncio") == "1 tasks are left"
