"""Credit goes to who came first, never more than there is, and none of it is lost, whatever becomes of who waits.

Tested: on both backends, in virtual time: any order of takes, returns, cancellations, deadlines and resizes, one by one against
a model, and several in one turn of the loop; the size that never fits; a long line, whoever leaves it; a stop.
"""

from __future__ import annotations

import math
import random
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervise._backends import Expired, current_backend
from supervise.remote import window as window_module
from supervise.remote.window import Window
from supervise.testing import virtual_time
from supervise.testing.virtual_time import at_rest

pytestmark = pytest.mark.anyio


class Crowd:
    """Those who take credit, in the order in which they came and were served."""

    def __init__(self, group: Any, window: Window) -> None:
        self.group, self.window = group, window
        self.scopes: dict[int, anyio.CancelScope] = {}
        self.got: list[int] = []
        self.sizes: dict[int, int] = {}
        self.late: list[int] = []
        self.waits: dict[int, int] = {}
        self.came: dict[int, int] = {}  # which of all that came: on trio tasks begin in any order
        self.number = 0

    def comes(self, size: int, seconds: float | None = None) -> int:
        self.number += 1
        self.sizes[self.number] = size
        self.scopes[self.number] = anyio.CancelScope()
        self.group.start_soon(self._take, self.number, size, seconds)
        return self.number

    async def _take(self, number: int, size: int, seconds: float | None) -> None:
        until = None if seconds is None else current_backend().now() + seconds
        self.waits[number] = self.came[number] = len(self.came)
        try:
            with self.scopes[number]:
                await self.window.take(size, until)
                self.got.append(number)
        except Expired:
            self.late.append(number)
        finally:
            del self.waits[number]

    def nobody_waits_for_what_there_is(self, most: float, most_bytes: float) -> bool:
        """Asked at rest: the first one in the line needs more than there is."""
        window = self.window
        if not self.waits:
            return window.waiting == 0
        size = self.sizes[min(self.waits, key=self.came.__getitem__)]
        return window.out >= most or (window.out > 0 and window.out_bytes + size > most_bytes)

    def nobody_was_overtaken(self) -> bool:
        """Asked at rest: nobody has credit who came after one that still waits."""
        return all(self.came[number] < came for number in self.got for came in self.waits.values())


async def test_first_come_first_served_and_nobody_overtakes() -> None:
    async with anyio.create_task_group() as group:
        window = Window(current_backend(), 3, 100)
        crowd = Crowd(group, window)
        for size in (60, 60, 10, 10):
            crowd.comes(size)
            await at_rest()
        assert (crowd.got, window.out, window.out_bytes, window.waiting) == ([1], 1, 60, 3)
        assert crowd.nobody_was_overtaken()
        assert not window.try_take(1)  # there is room, and others wait
        window.give_back(60)
        await at_rest()
        assert (sorted(crowd.got), window.out, window.out_bytes) == ([1, 2, 3, 4], 3, 80)


async def test_who_leaves_lets_the_next_ones_by() -> None:
    async with anyio.create_task_group() as group:
        window = Window(current_backend(), 3, 100)
        crowd = Crowd(group, window)
        for size in (50, 90, 20):
            crowd.comes(size)
            await at_rest()
        crowd.scopes[2].cancel()
        await at_rest()
        assert (crowd.got, window.out_bytes) == ([1, 3], 70)


async def test_a_deadline_and_a_cancellation_in_the_turn_of_the_grant_lose_nothing() -> None:
    async with anyio.create_task_group() as group:
        window = Window(current_backend(), 1, math.inf)
        crowd = Crowd(group, window)
        for seconds in (None, None, 5, None):
            crowd.comes(10, seconds)
            await at_rest()
        window.give_back(10)
        crowd.scopes[2].cancel()  # it was given the credit, and leaves
        await at_rest()
        if 2 in crowd.got:  # or it has it after all
            window.give_back(10)
            await at_rest()
        assert crowd.got[-1] == 3
        crowd.comes(10, 5)
        await anyio.sleep(6)
        assert crowd.late == [5]
        window.give_back(10)
        await at_rest()
        assert (crowd.got[-2:], window.out, window.waiting) == ([3, 4], 1, 0)


async def test_less_than_what_is_out_means_nothing_until_enough_came_back() -> None:
    async with anyio.create_task_group() as group:
        window = Window(current_backend(), 10, 1000)
        crowd = Crowd(group, window)
        for _ in range(10):
            crowd.comes(10)
        await at_rest()
        window.resize(3, 1000)
        crowd.comes(10)
        for _ in range(7):
            window.give_back(10)
        await at_rest()
        assert len(crowd.got) == 10
        window.give_back(10)
        await at_rest()
        assert len(crowd.got) == 11
        window.resize(10, 1000)
        assert window.try_take(10)


async def test_what_is_larger_than_all_of_it_has_it_alone() -> None:
    async with anyio.create_task_group() as group:
        window = Window(current_backend(), 10, 1000)
        crowd = Crowd(group, window)
        crowd.comes(10)
        await at_rest()
        for size in (995, 10):
            crowd.comes(size)
            await at_rest()
        window.resize(10, 500)
        assert crowd.got == [1]
        window.give_back(10)
        await at_rest()
        assert crowd.got == [1, 2]
        window.give_back(995)
        await at_rest()
        assert crowd.got == [1, 2, 3]


async def test_what_is_larger_than_all_of_it_has_it_at_once_if_nothing_is_out() -> None:
    window = Window(current_backend(), 10, 1000)
    await window.take(1001)
    assert not window.try_take(1)
    window.give_back(1001)
    assert window.try_take(1001)
    assert (window.out, window.out_bytes, window.waiting) == (1, 1001, 0)


async def test_a_long_line_is_left_in_any_order_in_constant_time_each(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0

    class Counted(window_module._Waiter):
        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return self is other

        __hash__ = object.__hash__

    monkeypatch.setattr(window_module, "_Waiter", Counted)
    for many in (200, 800):
        compared = 0
        async with anyio.create_task_group() as group:
            window = Window(current_backend(), 10, 100)
            assert window.try_take(100)
            crowd = Crowd(group, window)
            for _ in range(many):
                crowd.comes(50)
            await at_rest()
            for number in random.Random(1).sample([*crowd.scopes], many):
                crowd.scopes[number].cancel()
                await at_rest()
            assert (window.waiting, window.out_bytes) == (0, 100)
        assert compared <= many


async def test_at_a_stop_who_waits_is_told_and_who_comes_later_isnt() -> None:
    window = Window(current_backend(), 1, math.inf)
    assert window.try_take(5)
    told: list[str] = []

    async def take() -> None:
        try:
            await window.take(5)
        except ValueError as error:
            told.append(str(error))

    async with anyio.create_task_group() as group:
        group.start_soon(take)
        group.start_soon(take)
        await at_rest()
        window.refuse_waiting(lambda: ValueError("stopped"))
    assert told == ["stopped", "stopped"]
    window.give_back(5)
    assert window.try_take(5)


class Model:
    """What a window is to do, in so many words."""

    def __init__(self, most: float, most_bytes: float) -> None:
        self.most, self.most_bytes = most, most_bytes
        self.now = 0
        self.line: dict[int, tuple[int, float]] = {}  # size, and until when
        self.held: dict[int, int] = {}
        self.late: list[int] = []

    def fits(self, size: int) -> bool:
        alone = not self.held
        return len(self.held) < self.most and (alone or sum(self.held.values()) + size <= self.most_bytes)

    def settle(self) -> None:
        for number, (size, _) in [*self.line.items()]:
            if not self.fits(size):
                break  # and nobody overtakes it
            del self.line[number]
            self.held[number] = size

    def passes(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1
            for number in [number for number, (_, until) in self.line.items() if until <= self.now]:
                del self.line[number]
                self.late.append(number)
            self.settle()


class Come(NamedTuple):
    size: int
    seconds: int | None


class Try(NamedTuple):
    size: int


class Back(NamedTuple):
    which: int


class Leave(NamedTuple):
    which: int


class Resize(NamedTuple):
    most: float
    most_bytes: float


class Pass(NamedTuple):
    seconds: int


SIZES = st.integers(1, 130)
MOST: list[float] = [1, 2, 5, math.inf]
MOST_BYTES: list[float] = [30, 100, 300, math.inf]
Step: TypeAlias = Come | Try | Back | Leave | Resize | Pass
STEPS = st.lists(
    st.one_of(
        st.builds(Come, SIZES, st.sampled_from([None, None, 1, 2, 5])),
        st.builds(Try, SIZES),
        st.builds(Back, st.integers(0, 20)),
        st.builds(Leave, st.integers(0, 20)),
        st.builds(Resize, st.sampled_from(MOST), st.sampled_from(MOST_BYTES)),
        st.builds(Pass, st.integers(1, 3)),
    ),
    max_size=40,
)


async def follow(limits: Resize, steps: list[Step]) -> None:
    model, window = Model(*limits), Window(current_backend(), *limits)
    async with anyio.create_task_group() as group:
        crowd = Crowd(group, window)
        returned: list[int] = []
        for step in steps:
            match step:
                case Come(size, seconds):
                    number = crowd.comes(size, seconds)
                    model.line[number] = size, math.inf if seconds is None else model.now + seconds
                case Try(size):
                    expected = not model.line and model.fits(size)
                    assert window.try_take(size) == expected
                    if expected:
                        window.give_back(size)
                case Back(which):
                    if model.held:
                        number = [*model.held][which % len(model.held)]
                        window.give_back(model.held.pop(number))
                        returned.append(number)
                case Leave(which):
                    if model.line:
                        number = [*model.line][which % len(model.line)]
                        crowd.scopes[number].cancel()
                        del model.line[number]
                case Resize(most, most_bytes):
                    window.resize(most, most_bytes)
                    model.most, model.most_bytes = most, most_bytes
                case Pass(seconds):
                    await anyio.sleep(seconds)
                    model.passes(seconds)
            await at_rest()
            model.settle()
            assert {*crowd.got} - {*returned} == {*model.held}
            assert ({*crowd.waits}, sorted(crowd.late)) == ({*model.line}, sorted(model.late))
            assert (window.out, window.out_bytes) == (len(model.held), sum(model.held.values()))
            assert window.waiting == len(model.line)
        group.cancel_scope.cancel()
    assert (window.waiting, window.out) == (0, len(model.held))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(limits=st.builds(Resize, st.sampled_from(MOST), st.sampled_from(MOST_BYTES)), steps=STEPS)
def test_each_step_does_what_the_model_does(backend: str, limits: Resize, steps: list[Step]) -> None:
    virtual_time.run(backend, partial(follow, limits, steps))


@pytest.mark.parametrize("seed", range(60))
async def test_never_more_than_there_is_and_none_is_lost(seed: int) -> None:
    chance = random.Random(seed)
    most, most_bytes = chance.choice([1, 2, 5, math.inf]), chance.choice([100, 500, math.inf])
    async with anyio.create_task_group() as group:
        window = Window(current_backend(), most, most_bytes)
        crowd = Crowd(group, window)
        returned: set[int] = set()
        for _ in range(150):
            for _ in range(chance.choice([1, 1, 2, 4])):  # of one turn
                match chance.choice(["come", "come", "come", "back", "back", "leave", "resize"]):
                    case "come":
                        crowd.comes(chance.choice([1, 10, 40, 99]), chance.choice([None, None, 1, 3]))
                    case "back":
                        held = [number for number in crowd.got if number not in returned]
                        if held:
                            returned.add(held[0])
                            window.give_back(crowd.sizes[held[0]])
                    case "leave" if crowd.scopes:
                        crowd.scopes[chance.choice([*crowd.scopes])].cancel()
                    case "resize":
                        most, most_bytes = chance.choice([1, 2, 5, math.inf]), chance.choice([100, 500, math.inf])
                        window.resize(most, most_bytes)
                    case _:
                        pass
            if chance.random() < 0.7:
                await at_rest()
            if chance.random() < 0.1:
                await anyio.sleep(1)
            if chance.random() < 0.5:
                await at_rest()
                held = [number for number in crowd.got if number not in returned]
                assert (window.out, window.out_bytes) == (len(held), sum(crowd.sizes[number] for number in held))
                assert crowd.nobody_was_overtaken()
                assert crowd.nobody_waits_for_what_there_is(most, most_bytes)
        await at_rest()
        while len(returned) < len(crowd.got) or window.waiting:
            window.resize(math.inf, math.inf)
            for number in [*crowd.got]:
                if number not in returned:
                    returned.add(number)
                    window.give_back(crowd.sizes[number])
            await at_rest()
        assert (window.out, window.out_bytes, window.waiting) == (0, 0, 0)
