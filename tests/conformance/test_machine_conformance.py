"""The state machine agrees with OTP in all recorded scenarios, and a machine that doesn't is found out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest

from supervise_strategies import (
    ChildCount,
    ChildState,
    ExitReason,
    RestartWindow,
    Strategy,
    Supervision,
    failed_starts,
    progress,
    restarting,
    supervision,
)
from supervise_strategies.child_state import Slot
from supervise_strategies.supervisor_state import SupervisorState

from . import machine
from .__main__ import main
from .compare import differences
from .scenario import GIVEN, Json, given_files, load
from .verdict import Verdict, judge

MOST_SKIPS: Final = 10
"""More would make the agreement a matter of choice."""

START_A: Final[Json] = {"ev": "start", "child": "root/a", "gen": 1}
STOP_B: Final[Json] = {"ev": "stop", "child": "root/b", "gen": 1, "reason": "shutdown"}
STOP_C: Final[Json] = {"ev": "stop", "child": "root/c", "gen": 1, "reason": "shutdown"}
TREE: Final[Json] = {"root": {"state": "running", "gen": 1, "children": [["a", "alive", 1]], "restarts": 0}}
SEEN: Final[Json] = {
    "reply": {"status": "ok"},
    "late_replies": [],
    "within": True,
    "events": [START_A, STOP_B, STOP_C],
    "tree": TREE,
}
RECORDED: Final[Json] = {
    "reply": {"status": "ok"},
    "within": True,
    "events": [START_A, {"unordered": [STOP_C, STOP_B]}],
    "tree": TREE,
}

Sabotage: TypeAlias = Callable[[pytest.MonkeyPatch], None]


@cache
def verdicts(path: Path) -> list[Verdict]:
    return list(judge(load(path), machine.play))


@pytest.mark.parametrize("path", given_files(), ids=lambda path: path.stem)
def test_the_machine_does_what_otp_did(path: Path) -> None:
    failed = [f"{verdict.id}: {verdict.reason}" for verdict in verdicts(path) if verdict.outcome == "failed"]
    assert verdicts(path)
    assert not failed, "\n".join(failed)


def test_without_its_fast_path_it_does_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def declines(*_: object) -> bool:
        return False

    for shortcut in ("starts_at_once", "restarts_at_once", "is_all"):
        monkeypatch.setattr(supervision, shortcut, declines)
    for path in given_files():
        assert list(judge(load(path), machine.play)) == verdicts(path)


def test_few_scenarios_are_skipped() -> None:
    skipped = [verdict.id for path in given_files() for verdict in verdicts(path) if verdict.outcome == "skipped"]
    assert len(skipped) <= MOST_SKIPS, skipped


# -- a harness that can't fail proves nothing: each of these faults must be seen ---------------------------------------


def restarts_the_child_alone(patch: pytest.MonkeyPatch) -> None:
    def affected(self: Strategy, children: Iterable[object], child: object) -> list[object]:
        return [child]

    patch.setattr(Strategy, "affected", affected)


def restarts_all_for_rest_for_one(patch: pytest.MonkeyPatch) -> None:
    def affected(self: Strategy, children: Iterable[object], child: object) -> list[object]:
        return list(children)

    patch.setattr(Strategy, "affected", affected)


def never_gives_up(patch: pytest.MonkeyPatch) -> None:
    add = RestartWindow.add

    def always(self: RestartWindow, now: float) -> int:
        return add(self, now) or len(self)

    patch.setattr(RestartWindow, "add", always)


def gives_up_one_restart_early(patch: pytest.MonkeyPatch) -> None:
    add = RestartWindow.add

    def early(self: RestartWindow, now: float) -> int:
        return add(self, now) if len(self) + 1 < self.intensity.restarts else 0

    patch.setattr(RestartWindow, "add", early)


def never_forgets_a_restart(patch: pytest.MonkeyPatch) -> None:
    add = RestartWindow.add

    def timeless(self: RestartWindow, now: float) -> int:
        return add(self, 0.0)

    patch.setattr(RestartWindow, "add", timeless)


def retries_only_the_child_that_failed(patch: pytest.MonkeyPatch) -> None:
    def retry(state: SupervisorState, slot: Slot, token: int, reason: ExitReason, error: object, now: float) -> None:
        if slot.token == token and state.window.add(now):
            progress.restart_group(state, slot, [slot], 0.0, now)

    patch.setattr(failed_starts, "retry", retry)


def retries_for_free(patch: pytest.MonkeyPatch) -> None:
    def retry(state: SupervisorState, slot: Slot, token: int, reason: ExitReason, error: object, now: float) -> None:
        if slot.token == token:
            progress.restart_group(state, slot, state.affected_by(slot), 0.0, now)

    patch.setattr(failed_starts, "retry", retry)


def retries_what_was_cancelled(patch: pytest.MonkeyPatch) -> None:
    retry = restarting.retry

    def stubborn(state: SupervisorState, slot: Slot, token: int, reason: ExitReason, error: Any, now: float) -> None:
        slot.state, slot.token = ChildState.RESTARTING, token
        retry(state, slot, token, reason, error, now)

    patch.setattr(failed_starts, "retry", stubborn)


def serves_a_swallowed_end(patch: pytest.MonkeyPatch) -> None:
    serve = restarting.exited

    def again(state: SupervisorState, slot: Slot, number: int, reason: ExitReason, error: Any, *rest: Any) -> None:
        slot.dead, number = True, slot.number
        serve(state, slot, number, reason, error, *rest)

    patch.setattr(supervision, "exited", again)


def stops_in_start_order(patch: pytest.MonkeyPatch) -> None:
    shut_down = progress.shut_down

    def forwards(state: SupervisorState, **how: Any) -> None:
        shut_down(state, **how)
        if state.work is not None:
            state.work.stops.reverse()

    for caller in (supervision, restarting):
        patch.setattr(caller, "shut_down", forwards)


def keeps_temporary_children(patch: pytest.MonkeyPatch) -> None:
    def kept(state: SupervisorState, slot: object) -> bool:
        return state.spec.dynamic

    patch.setattr(progress, "_gone_when_stopped", kept)


def ignores_significant_children(patch: pytest.MonkeyPatch) -> None:
    def nothing(state: SupervisorState, slot: object, reason: ExitReason, now: float) -> None: ...

    patch.setattr(restarting, "_consider_shutdown", nothing)


def takes_any_end_for_a_crash(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ExitReason, "abnormal", True)


def counts_dead_children(patch: pytest.MonkeyPatch) -> None:
    count = Supervision.count

    def generous(self: Supervision) -> ChildCount:
        return count(self)._replace(active=len(self.children()))

    patch.setattr(Supervision, "count", generous)


FAULTS: Final[tuple[Sabotage, ...]] = (
    restarts_the_child_alone,
    restarts_all_for_rest_for_one,
    never_gives_up,
    gives_up_one_restart_early,
    never_forgets_a_restart,
    retries_only_the_child_that_failed,
    retries_for_free,
    retries_what_was_cancelled,
    serves_a_swallowed_end,
    stops_in_start_order,
    keeps_temporary_children,
    ignores_significant_children,
    takes_any_end_for_a_crash,
    counts_dead_children,
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_faulty_machine_is_caught(fault: Sabotage, monkeypatch: pytest.MonkeyPatch) -> None:
    fault(monkeypatch)
    everything = (verdict for path in given_files() for verdict in judge(load(path), machine.play))
    assert any(verdict.outcome == "failed" and "raised" not in verdict.reason for verdict in everything)


@pytest.mark.parametrize(
    "change",
    [
        {"reply": {"status": "ok", "child": "alive"}},
        {"late_replies": [{"step": 0, "reply": {"status": "ok"}}]},
        {"events": []},
        {"events": [STOP_B, START_A, STOP_C]},
        {"events": [START_A, STOP_B, {**STOP_C, "reason": "killed"}]},
        {"events": [START_A, STOP_B, STOP_C, STOP_C]},
        {"tree": {"root": {"state": "running", "gen": 1, "children": [["a", "stopped", 1]], "restarts": 0}}},
        {"tree": {"root": TREE["root"], "root/s": TREE["root"]}},
        {"within": False},
    ],
    ids=str,
)
def test_any_difference_is_seen(change: Json) -> None:
    assert differences(RECORDED, {**SEEN, **change})


def test_what_otp_leaves_unordered_may_come_in_any_order() -> None:
    assert not differences(RECORDED, SEEN)
    assert not differences(RECORDED, {**SEEN, "events": [START_A, STOP_C, STOP_B]})


# -- the command line ----------------------------------------------------------------------------------------------------


def test_the_command_line_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(GIVEN / "defaults.jsonl")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "defaults.jsonl: 6 passed, 0 failed, 0 skipped",
        "sum: 6 passed, 0 failed, 0 skipped",
    ]


def test_the_command_line_names_what_failed_or_was_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line: dict[str, Any] = json.loads((GIVEN / "one_for_one.jsonl").read_text().splitlines()[0])
    eventless: dict[str, list[Json]] = {"events": []}
    wrong = {**line, "id": "wrong", "expect": [{**result, **eventless} for result in line["expect"]]}
    odd = {**line, "id": "odd", "features": ["gate_stop"]}
    broken = {**line, "id": "broken", "steps": [{"do": "dance"} for _ in line["steps"]]}
    file = tmp_path / "some.jsonl"
    file.write_text("\n".join(map(json.dumps, (wrong, odd, line, broken))))
    assert main([str(file)]) == 1
    first, *below, total = capsys.readouterr().out.splitlines()
    assert first == "some.jsonl: 1 passed, 2 failed, 1 skipped"
    assert [reason.split(":")[0] for reason in below] == ["  failed wrong", "  skipped odd", "  failed broken"]
    assert total == "sum: 1 passed, 2 failed, 1 skipped"


@pytest.mark.parametrize("text", [None, "no json", "[]", '{"id": "x"}', '{"id": "x", "spec": {}, "steps": [{}], "expect": []}'])
def test_an_unreadable_file_is_one_line(text: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bad.jsonl"
    if text is not None:
        file.write_text(text)
    assert main([str(file)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert "bad.jsonl" in captured.err
