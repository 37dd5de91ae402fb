"""What becomes of one job of a pool, in each situation, as the guide's table says.

Tested: the table of `examples/guide/pool.md`, written by hand. Each of its cells begins with what is seen here, of a job that
was sent and of one that was called for.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import anyio
import pytest
from anyio.abc import TaskGroup
from tenacity import wait_fixed

from supervise import Intensity, Pool, Restart, RunningSupervisor, Supervisor, Undelivered, current, pool
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom

pytestmark = pytest.mark.anyio
GUIDE: Final = (Path(__file__).parents[2] / "examples" / "guide" / "pool.md").read_text(encoding="utf-8")
PATIENT: Final = Restart.permanent(wait=wait_fixed(10))


def table() -> dict[str, tuple[str, str]]:
    section = GUIDE.partition("## What becomes of a job when …\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.+) \| (.+) \| (.+) \|$", section, re.MULTILINE)
    return {when: (sent, called) for when, sent, called in rows if when != "when …"}


class Expected(Exception):
    pass


class Worker:
    def __init__(self, begun: list[int], done: list[str]) -> None:
        self.begun = begun
        self.done = done

    async def job(self, seconds: float = 1, error: Exception | None = None) -> None:
        self.begun.append(current().attempt)
        await anyio.sleep(seconds)
        if error is not None:
            raise error
        self.done.append("job")

    async def other(self, seconds: float = 0, crash: bool = False) -> None:
        await anyio.sleep(seconds)
        if crash:
            raise Boom("other")


class World:
    """A pool, and the one job that is looked at."""

    def __init__(self, way: str) -> None:
        self.way = way
        self.group: TaskGroup
        self.begun: list[int] = []
        self.done: list[str] = []
        self.dead: list[Undelivered] = []
        self.error: BaseException | None = None
        self.gone = anyio.CancelScope()
        self.app: RunningSupervisor

    def pool(self, **options: Any) -> Pool[Worker]:
        return pool(Worker, self.begun, self.done, name="jobs", on_dead_letter=self.note, **options)

    def note(self, lost: Undelivered) -> None:
        if lost.message.handler is Worker.job:
            self.dead.append(lost)

    async def put(self, *args: Any) -> None:
        self.group.start_soon(self._put, *args)
        await at_rest()

    async def _put(self, *args: Any) -> None:
        address = self.app.find("jobs")
        with self.gone:
            if self.way == "sent":
                await address.send(Worker.job, *args)
            else:
                try:
                    await address.call(Worker.job, *args)
                except Exception as error:
                    self.error = error

    async def others(self, times: int, *args: Any) -> None:
        for _ in range(times):
            await self.app.find("jobs").send(Worker.other, *args)
        await at_rest()

    def seen(self) -> str:
        """What became of it."""
        account = self.app.account()
        assert account.balanced
        assert self.begun == [*range(1, len(self.begun) + 1)]
        assert not self.dead or self.dead[0].attempts == len(self.begun)
        ends: list[str] = []
        if self.done:
            assert self.done == ["job"]
            ends.append("done")
        if self.error is not None:
            ends.append(f"`{type(self.error).__name__}`")
            if isinstance(self.error.__cause__, Boom):
                ends.append("with the cause")
        if self.dead:
            ends.append("dead letter")
        if not ends:
            ends.append("failed" if account.failed else "skipped")
        if len(self.begun) > 1:
            ends.append(f"after {len(self.begun)} tries")
        return ", ".join(ends)


async def raises(world: World) -> None:
    async with Supervisor("app", world.pool()) as world.app:
        await world.put(1, Boom("job"))
        await anyio.sleep(60)


async def raises_again_and_again(world: World) -> None:
    async with Supervisor("app", world.pool(redeliver=2)) as world.app:
        await world.put(1, Boom("job"))
        await anyio.sleep(60)


async def raises_what_is_expected(world: World) -> None:
    async with Supervisor("app", world.pool(expects=(Expected,))) as world.app:
        await world.put(1, Expected())
        await anyio.sleep(60)


async def is_late(world: World) -> None:
    async with Supervisor("app", world.pool(handler_deadline=5)) as world.app:
        await world.put(30)
        await anyio.sleep(60)


async def a_worker_waits(world: World) -> None:
    async with Supervisor("app", world.pool(size=2, restart=PATIENT)) as world.app:
        await world.others(1, 0, True)
        await world.put()
        await anyio.sleep(2)
        assert world.done


async def all_workers_wait(world: World) -> None:
    async with Supervisor("app", world.pool(size=2, restart=PATIENT)) as world.app:
        await world.others(2, 0, True)
        await world.put()
        await anyio.sleep(9)
        assert not world.done
        await anyio.sleep(3)


async def the_pool_is_restarted(world: World) -> None:
    async with Supervisor("app", world.pool(size=1, intensity=Intensity(0, per=60))) as world.app:
        await world.others(1, 1, True)
        await world.put()
        await anyio.sleep(60)
        assert world.app.get_childspec("jobs").restarts == 1


async def the_last_worker_leaves(world: World) -> None:
    async with Supervisor("app", world.pool(size=1, quarantine=1)) as world.app:
        await world.others(1, 1, True)
        await world.put()
        await anyio.sleep(60)


async def the_mailbox_is_full(world: World) -> None:
    async with Supervisor("app", world.pool(size=1, capacity=1)) as world.app:
        await world.others(2, 5)
        await world.put()
        assert len(world.app.find("jobs")) == 1
        await anyio.sleep(60)


async def its_caller_is_gone(world: World) -> None:
    async with Supervisor("app", world.pool(size=1)) as world.app:
        await world.others(1, 5)
        await world.put()
        world.gone.cancel()
        await anyio.sleep(60)


async def its_worker_is_too_many(world: World) -> None:
    async with Supervisor("app", world.pool(size=2)) as world.app:
        await world.others(1, 3)
        await world.put(2)
        await world.app.resize("jobs", 1)
        assert world.done  # before it returns


async def the_tree_stops_with_it_in_hand(world: World) -> None:
    async with Supervisor("app", world.pool(size=1)) as world.app:
        await world.put(2)


async def the_tree_stops_and_it_waits(world: World) -> None:
    async with Supervisor("app", world.pool(size=1)) as world.app:
        await world.others(1, 1)
        await world.put()


async def the_tree_drains(world: World) -> None:
    async with Supervisor("app", world.pool(size=1, drain=True)) as world.app:
        await world.others(1, 1)
        await world.put()


SITUATIONS: Final[dict[str, Callable[[World], Awaitable[None]]]] = {
    "its handler raises": raises,
    "its handler raises, and there is `redeliver=2`": raises_again_and_again,
    "its handler raises what `expects=` names": raises_what_is_expected,
    "it is in hand for longer than `handler_deadline=`": is_late,
    "a worker waits for its restart": a_worker_waits,
    "all workers wait for their restart": all_workers_wait,
    "the pool has too many restarts, and is restarted itself": the_pool_is_restarted,
    "the last worker leaves the pool, and it waits": the_last_worker_leaves,
    "the mailbox is full": the_mailbox_is_full,
    "its caller is gone before it is begun": its_caller_is_gone,
    "`app.resize()` takes its worker away": its_worker_is_too_many,
    "the tree stops, and it is in hand": the_tree_stops_with_it_in_hand,
    "the tree stops, and it waits": the_tree_stops_and_it_waits,
    "the tree stops, it waits, and there is `drain=True`": the_tree_drains,
}


def test_the_table_is_whole() -> None:
    assert [*table()] == [*SITUATIONS]


@pytest.mark.parametrize("way", ["sent", "called"])
@pytest.mark.parametrize("when", SITUATIONS)
async def test_each_job_ends_as_the_table_says(when: str, way: str) -> None:
    world = World(way)
    async with anyio.create_task_group() as world.group:
        await SITUATIONS[when](world)
    seen, cell = world.seen(), table()[when][way == "called"]
    assert re.match(rf"{re.escape(seen)}(?=$|[,;: ])", cell), f"{seen}, and the guide says: {cell}"
