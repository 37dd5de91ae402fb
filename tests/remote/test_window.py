"""Credit goes to who came first, never more than there is, and none of it is lost, whatever becomes of who waits.

Tested: on both backends, in virtual time, against a model: any order of takes, returns, cancellations, deadlines and resizes,
several in one turn of the loop; the size that never fits; a stop.
"""

from __future__ import annotations

import math
import random
from typing import Any

import anyio
import pytest

from supervise._backends import Expired, current_backend
from supervise.remote.window import Window
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
        await at_rest()
        while len(returned) < len(crowd.got) or window.waiting:
            window.resize(math.inf, math.inf)
            for number in [*crowd.got]:
                if number not in returned:
                    returned.add(number)
                    window.give_back(crowd.sizes[number])
            await at_rest()
        assert (window.out, window.out_bytes, window.waiting) == (0, 0, 0)
