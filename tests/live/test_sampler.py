"""Who takes the processor, by looks: shares of what the loop's thread has used, told only when enough was seen.

Tested: which actors are looked at; shares by hits; few looks that found somebody tell nothing yet, and after a while of nobody;
what is going away raises in a look, and ends nothing; nothing of the tree is held after the end.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from supervise import Supervisor, child
from supervise.actor.incarnation import Incarnation
from supervise.live import sampler as samplers
from supervise.live.board import Board
from supervise.live.row import Row
from supervise.live.sampler import FEW, LONGEST, LOOKED_AT, Sampler

from .test_survey import looked

pytestmark = pytest.mark.anyio


class Echo:
    async def echo(self) -> None: ...


class Clock:
    """Both clocks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.used = 0.0
        monkeypatch.setattr(samplers, "time", SimpleNamespace(monotonic=lambda: self.now))

    def __call__(self, seconds: float, used: float) -> None:
        self.now += seconds
        self.used += used


def sampler_of(app: Any, clock: Clock) -> Sampler:
    lookout: Any = SimpleNamespace(app=app, name="app", loop_time=lambda: clock.used)
    return Sampler(lookout)


async def test_shares_are_those_of_looks_among_what_the_loop_has_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Supervisor("app", *(child(Echo, name=name) for name in "abc")) as app:
        clock, running = Clock(monkeypatch), ["a"]
        sampler, board = sampler_of(app, clock), Board()

        def runs_now(life: Incarnation) -> bool:
            return life.mailbox.name in running

        monkeypatch.setattr(samplers, "runs_now", runs_now)
        await looked(board, 1.0, Row("app/a"), Row("app/b"), Row("app/c"))
        sampler.look_at(board)
        await looked(board, 2.0, Row("app/a", handled=2), Row("app/b", handled=9), Row("app/c"))
        sampler.look_at(board)
        assert [place.path for place in sampler._places] == ["app/b", "app/a"]  # those with work, the busiest first
        assert sampler.shares() == {}
        for _ in range(6):
            sampler._look()
        running[:] = ["b"]
        for _ in range(2):
            sampler._look()
        running[:] = ["c"]
        sampler._look()
        clock(2.0, 1.0)
        assert sampler.shares() == {"app/a": 0.375, "app/b": 0.125}
        clock(1.0, 1.0)
        assert sampler.shares() == {"app/a": 0.375, "app/b": 0.125}  # too little was seen since
        running[:] = ["a"]
        for _ in range(FEW):
            sampler._look()
        assert sampler.shares() == {"app/a": 1.0}
        clock(LONGEST, 0.0)
        assert sampler.shares() == {}
        sampler.stop()
        assert sampler._places == []


async def test_what_is_going_away_and_what_is_gone_end_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(_: object) -> bool:
        raise RuntimeError

    async with Supervisor("app", child(Echo, name="a")) as app:
        sampler, board = sampler_of(app, Clock(monkeypatch)), Board()
        await looked(board, 1.0, Row("app/a"), Row("app/gone"))
        await looked(board, 2.0, Row("app/a", hand=("f",)), Row("app/gone", hand=("f",)))
        sampler.look_at(board)
        assert [place.path for place in sampler._places] == ["app/a"]
        monkeypatch.setattr(samplers, "runs_now", raises)
        sampler._look()
        assert not sampler._found


async def test_of_many_with_work_the_busiest_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    number = LOOKED_AT + 5
    async with Supervisor("app", *(child(Echo, name=str(n)) for n in range(number))) as app:
        sampler, board = sampler_of(app, Clock(monkeypatch)), Board()
        await looked(board, 1.0, *(Row(f"app/{n}") for n in range(number)))
        sampler.look_at(board)
        await looked(board, 2.0, *(Row(f"app/{n}", handled=n + 1) for n in range(number)))
        sampler.look_at(board)
        assert len(sampler._places) == LOOKED_AT
        assert sampler._places[0].path == f"app/{number - 1}"
