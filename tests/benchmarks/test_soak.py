"""The soak in small, in virtual time: the promises hold, and a broken one is told and is exit code 1."""

from __future__ import annotations

import logging
from collections.abc import Generator
from typing import Any

import anyio
import pytest

from supervise.testing import virtual_time

from . import soak
from .soak import MOST_BYTES, ComeAndGo, Soak


@pytest.fixture(autouse=True)
def quiet() -> Generator[None]:
    logging.getLogger("supervise").setLevel(logging.CRITICAL)  # thousands of crashes, as asked for
    yield
    logging.getLogger("supervise").setLevel(logging.NOTSET)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_no_message_no_address_and_no_task_is_lost_in_a_storm_of_crashes(backend: str) -> None:
    seen: Soak = virtual_time.run(backend, lambda: soak.soak(2, warm_up=30, senders=20))
    seen.samples.clear()  # too few crashes to say anything of memory
    assert seen.violations() == []
    assert seen.strikes > 150
    assert min(seen.sent, seen.answered) > 500
    assert seen.told > 0


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_of_dynamic_children_that_come_and_go_nothing_is_left(backend: str) -> None:
    gone: ComeAndGo = virtual_time.run(backend, lambda: soak.come_and_go(1000, at_once=50))
    assert gone.left == []
    assert gone.objects < 200, "the last dead letters: less than one object of five children"
    assert gone.blocks < 4000, "what an event loop itself keeps for a while"


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (Soak(sent=1), "messages unaccounted for: 1"),
        (Soak(accepted=2, blows=1), "messages unaccounted for: 1"),
        (Soak(undone=1), "messages without an end: 1"),
        (Soak(unbalanced=1), "unbalanced accounts: 1"),
        (Soak(invalid=1), "invalid addresses: 1"),
        (Soak(left=["task"]), "tasks or timers left: 1"),
        (Soak(samples=[(n, n, 0) for n in range(0, 800, 100)]), "memory grows by 1.00 blocks a crash, more than 0.8"),
        (ComeAndGo(1, MOST_BYTES + 1, 0, 0, []), "2.0 MB more are resident, more than 2"),
        (ComeAndGo(1, 0, 0, 0, ["task"]), "tasks or timers left: 1"),
    ],
)
def test_a_broken_promise_is_told_and_is_exit_code_1(
    seen: Any, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*_: object, **__: object) -> Any:
        return seen

    monkeypatch.setattr(anyio, "run", run)
    assert soak.main([]) == 1
    assert f"VIOLATION: {said}" in capsys.readouterr().out


def test_what_keeps_its_promises_is_exit_code_0(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*_: object, **__: object) -> Any:
        return Soak(samples=[(n, 1000, 0) for n in range(0, 800, 100)])

    monkeypatch.setattr(anyio, "run", run)
    assert soak.main(["--backend", "trio"]) == 0
    assert "-- trio" in capsys.readouterr().out


def test_nonsense_is_refused() -> None:
    with pytest.raises(SystemExit):
        soak.main(["--seconds", "0"])
