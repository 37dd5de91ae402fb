"""Clients that mean no good, in short: each comes to a limit that is meant for it. `python -m tests.remote.crowds` is the long
form.

Tested: ten of each kind at a gate in a process of its own, on each backend; what they came to, its memory, its account, and
that nothing is left; that what is wrong is found. No duration is judged here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio
import pytest

from supervise.remote.limits import Limits

from . import crowds
from .crowd_clients import KINDS, Plan, Seen
from .crowd_gate import Report, State
from .crowds import SHORT, Outcome

STATE = State(balanced=True, links=1, places=1, handshakes=0, files=10)


@pytest.mark.parametrize(("backend", "tls"), [("asyncio", False), ("trio", True)])
def test_each_comes_to_its_limit_and_nothing_is_left(backend: str, tls: bool) -> None:
    plan = Plan(0, 10, 1, 0.5, dict(SHORT), asks=12, later=2.0)
    outcome: Outcome = anyio.run(lambda: crowds.run(plan, backend, tls=tls, before=0.1), backend=backend)
    assert outcome.mistakes() == []
    assert len(outcome.seen) == 10 * len(KINDS)
    reached = {outcome.limit_of(seen) for seen in outcome.seen}
    assert reached >= {"greeting", "length", "whole_frame", "write", "idle, pong"}
    assert min(len(outcome.before), len(outcome.during)) > 0


def outcome(**more: Any) -> Outcome:
    """Of one client that was silent, and out in time."""
    seen = Seen("silent", "127.1.0.1:1", since=10.0, out=13.5, greeted=False)
    report = Report({seen.address: ("greeting", 13.4)}, balanced=True)
    right = Outcome(Limits(), 1000, [seen], report, STATE, [0.001] * 100, [0.02] * 100)
    return replace(right, **more)


def test_what_is_right() -> None:
    assert outcome().mistakes() == outcome().delays() == []
    deaf = Seen("deaf", "127.5.0.1:1", since=10.0, out=16.5, greeted=True)  # it looked later
    seen = outcome(seen=[deaf], report=Report({deaf.address: ("write", 15.9)}, balanced=True))
    assert seen.mistakes() == seen.delays() == []
    assert any("write" in line for line in seen.lines())


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"seen": [Seen("silent", "127.1.0.1:1", 10.0, None, False)]}, "is still in"),
        ({"seen": [Seen("silent", "127.1.0.1:2", 10.0, 11.0, False)]}, "came to the limit 'none'"),
        (
            {"seen": [Seen("slow", "127.1.0.1:1", 10.0, 11.0, False)], "report": Report({"127.1.0.1:1": ("id", 1)}, True)},
            "'id'",
        ),
        ({"peak": 1001}, "grew by"),
        ({"state": replace(STATE, balanced=False)}, "doesn't balance"),
        ({"report": Report({"127.1.0.1:1": ("greeting", 13.4)}, True, undone=1)}, "1 without an end"),
        ({"report": Report({"127.1.0.1:1": ("greeting", 13.4)}, True, left=["task 7"])}, "left in the gate's process: task 7"),
        ({"said": "fine\nException ignored in: 7\n"}, "the gate says: Exception"),
    ],
)
def test_what_isnt_is_found(more: dict[str, Any], said: str) -> None:
    assert [line for line in outcome(**more).mistakes() if said in line]


def test_what_takes_too_long_is_found() -> None:
    late = Seen("silent", "127.1.0.1:1", since=10.0, out=14.1, greeted=False)
    assert "out after 4.10 s; greeting: 3 s" in outcome(seen=[late]).delays()[0]
    assert "p99" in outcome(during=[0.021] * 100).delays()[0]


def test_the_command_says_what_is_wrong(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    async def run(*_: Any, **__: Any) -> Outcome:
        return outcome(peak=1001)

    monkeypatch.setattr(crowds, "run", run)
    assert crowds.main(["--each", "1"]) == 1
    said = capsys.readouterr().out
    assert "1 clients on asyncio over tcp, seed 1" in said
    assert "FAILED: the gate's process grew" in said
