"""The start in two phases: `on_tree_started`."""

from __future__ import annotations

import pytest

from supervise import (
    Supervisor,
    child,
)
from supervise.testing.virtual_time import at_rest

pytestmark = pytest.mark.anyio


async def test_what_is_to_be_done_when_the_tree_has_started_waits_for_all_of_it() -> None:
    log: list[str] = []

    class Part:
        def __init__(self, name: str, crashes: bool = False) -> None:
            self.name = name
            log.append(f"built {name}")

        async def begin(self) -> None:
            log.append(f"begins {self.name}")

        async def greet(self) -> None:
            log.append(f"greets {self.name}")

    first = child(Part, "a", name="a", on_tree_started=Part.begin)
    inner = Supervisor("inner", child(Part, "b", name="b", on_tree_started=Part.begin))
    async with Supervisor("app", first, inner, child(Part, "c", name="c")) as app:
        await at_rest()
        assert log[:3] == ["built a", "built b", "built c"]
        assert sorted(log[3:]) == ["begins a", "begins b"]
        log.clear()
        await app.find("a").send(lambda _: 1 / 0)
        await app.find("a").call(Part.greet)
        assert log == ["built a", "begins a", "greets a"]  # the tree is built: the next life begins at once
        account = app.find("a").account()
        assert (account.accepted, account.balanced) == (4, True)


async def test_it_comes_before_what_waits_whichever_lane_is_next() -> None:
    log: list[str] = []

    class Part:
        def begin(self) -> None:
            log.append("begins")

        def greet(self, who: str) -> None:
            log.append(f"greets {who}")

    part = child(Part, on_tree_started=Part.begin, lanes=("urgent", "normal"), choice="fair")
    async with Supervisor("app", part) as app:
        address = app.find(part)
        await at_rest()
        address.pause()
        address.options(lane="urgent").try_send(lambda _: 1 / 0)  # then it is the other lane's turn
        address.try_send(Part.greet, "a")
        address.try_send(Part.greet, "b")
        log.clear()
        address.resume()
        await at_rest()
        assert log == ["greets a", "begins", "greets b"]
