"""Crashes at random.

Tested: actors crash at the rate, all of them, and at other times by another seed; the same seed gives the same strikes; only
those that were asked for; a busy one is killed; kills; what the body raises leaves unchanged; nothing is struck afterwards, nor
when the tree is over; what can't be meant is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Self

import anyio
import pytest

from supervise import DynamicSupervisor, GaveUp, Intensity, InvalidSpec, Supervisor, child
from supervise.events import Stopped
from supervise.testing import Recording, assert_story, at_rest, chaos, record
from supervise.testing.chaos import How
from tests.doubles import Boom, Gate, Scribe

pytestmark = pytest.mark.anyio
PATIENT = Intensity(100_000, per=1)


class SlowToEnd(Scribe):
    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await anyio.sleep(4.9)


def tree(listener: Any = None) -> Supervisor:
    inner = Supervisor("inner", child(Scribe, name="c"), intensity=PATIENT)
    return Supervisor("app", child(Scribe, name="a"), child(Scribe, name="b"), inner, intensity=PATIENT, listener=listener)


async def strikes(
    seed: int, how: How = "crash", among: Callable[[str], bool] | None = None, seconds: float = 100
) -> list[tuple[float, str]]:
    found, began = list[tuple[float, str]](), anyio.current_time()
    async with tree() as app:
        async with chaos(app, 2.0, seed, how=how, among=among) as storm:
            await anyio.sleep(seconds)
        assert str(storm).startswith(f"chaos, seed {seed}: {len(storm.strikes)} strikes")
        found += [(round(strike.at - began, 6), strike.path) for strike in storm.strikes]
    return found


async def test_actors_crash_at_the_rate_all_of_them_also_below_other_supervisors() -> None:
    events = Recording()
    async with tree(events) as app:
        async with chaos(app, 2.0, 1) as storm:
            await anyio.sleep(500)
            await at_rest()
        assert 850 < len(storm.strikes) < 1150
        hit = Counter(strike.path for strike in storm.strikes)
        assert set(hit) == {"app/a", "app/b", "app/inner/c"}
        assert min(hit.values()) > 250
        for path, count in hit.items():
            assert_story(events, f"crashed {count} times with Sabotage, restarted {count} times, still running", of=path)
        assert app.account().balanced


async def test_the_same_seed_gives_the_same_strikes_and_another_one_others() -> None:
    first = await strikes(seed=1)
    assert await strikes(seed=1) == first
    assert await strikes(seed=2) != first
    assert await strikes(seed=1, how="kill") == first


async def test_only_those_are_struck_that_were_asked_for() -> None:
    assert {path for _, path in await strikes(seed=1, among=lambda path: path != "app/b")} == {"app/a", "app/inner/c"}
    assert await strikes(seed=1, among=lambda _: False) == []


async def test_a_handle_of_a_supervisor_strikes_below_it() -> None:
    async with tree() as app, chaos(app.supervisor("inner"), 2.0, 1) as storm:
        await anyio.sleep(20)
    assert {strike.path for strike in storm.strikes} == {"app/inner/c"}


async def test_kills_are_kills() -> None:
    async with tree() as app:
        events = record(app)
        async with chaos(app, 2.0, 1, how="kill") as storm:
            await anyio.sleep(20)
            await at_rest()
        assert_story(events, f"was killed {len(storm.strikes)} times, never crashed")
        assert {strike.how for strike in storm.strikes} == {"kill"}


async def test_an_actor_that_doesnt_come_to_it_is_killed() -> None:
    async with Supervisor("app", child(Scribe), intensity=PATIENT) as app:
        events = record(app)
        await app.find("scribe").send(Scribe.hold, Gate())  # for ever
        await at_rest()
        async with chaos(app, 2.0, 1) as storm:
            await events.wait_for(Stopped)
        assert [strike.how for strike in storm.strikes] == ["crash", "kill"]
        assert_story(events, "was killed once")


async def test_an_actor_whose_mailbox_is_full_is_killed() -> None:
    async with Supervisor("app", child(Scribe, capacity=1), intensity=PATIENT) as app:
        events = record(app)
        await app.find("scribe").send(Scribe.hold, Gate())
        await at_rest()
        await app.find("scribe").send(Scribe.note, "a")
        async with chaos(app, 2.0, 1) as storm:
            await events.wait_for(Stopped)
        assert [strike.how for strike in storm.strikes] == ["kill"]


async def test_what_the_body_raises_leaves_unchanged_and_nothing_is_struck_afterwards() -> None:
    async with tree() as app:
        storm = chaos(app, 2.0, 1)
        with pytest.raises(Boom):
            async with storm:
                await anyio.sleep(20)
                raise Boom("the body's own")
        struck = len(storm.strikes)
        assert struck > 10
        await anyio.sleep(20)
        assert len(storm.strikes) == struck


async def test_a_tree_that_gives_up_is_left_alone() -> None:
    storm: Any = None
    with pytest.raises(GaveUp):
        async with Supervisor("app", child(Scribe), intensity=Intensity(3, per=1000)) as app:
            async with chaos(app, 2.0, 1) as storm:
                await anyio.sleep_forever()
    assert len(storm.strikes) == 4


async def test_a_tree_that_is_being_stopped_is_left_alone() -> None:
    events = Recording()
    async with Supervisor("app", child(SlowToEnd), intensity=PATIENT, listener=events) as app:
        async with chaos(app, 10.0, 1) as storm:
            await app.stop()
        assert storm.strikes == []
    assert_story(events, "ended shutdown, never crashed, never killed", of="app/slowtoend")


async def test_where_nobody_runs_nobody_is_struck() -> None:
    async with DynamicSupervisor("app") as app, chaos(app, 2.0, 1) as storm:
        await anyio.sleep(20)
        assert storm.strikes == []
        await app.start(Scribe)
        await anyio.sleep(20)
        assert len(storm.strikes) == 1  # it is temporary


async def test_a_choice_that_raises_ends_the_strikes_and_leaves_the_block() -> None:
    def among(path: str) -> bool:
        raise Boom(path)

    async with tree() as app:
        with pytest.raises(Boom):
            async with chaos(app, 2.0, 1, among=among):
                await anyio.sleep(20)


async def test_what_cant_be_meant_is_refused() -> None:
    async with tree() as app:
        bad: Any
        for bad in (0, -1, float("inf"), float("nan"), True, "2"):
            with pytest.raises(InvalidSpec, match="rate="):
                chaos(app, bad, 1)
        for bad in (None, 1.5, True):
            with pytest.raises(InvalidSpec, match="seed="):
                chaos(app, 1, bad)
        bad = "explode"
        with pytest.raises(InvalidSpec, match="how='explode'"):
            chaos(app, 1, 1, how=bad)
        bad = "app/a"
        with pytest.raises(InvalidSpec, match="among='app/a'"):
            chaos(app, 1, 1, among=bad)
        async with chaos(app, 1, 1) as storm:
            with pytest.raises(RuntimeError, match="reigns already"):
                await storm.__aenter__()
