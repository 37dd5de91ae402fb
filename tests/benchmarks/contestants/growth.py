"""What the library's operations cost as the number in question grows; the size of a workload is that number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from supervise import Supervisor, child

from ..actor import Counter
from ..sample import Sample, Stopwatch, Workload, expect
from .toolkit import crash, pass_token


async def hop(actors: int) -> Sample:
    """One message at a time, round a ring: the cost of a message is then the same work for any number of actors."""
    return await pass_token(actors, max(2 * actors, 50_000))


async def backlog(queued: int) -> Sample:
    """Fill the mailbox up to this number, and have it handled; as often as makes 100,000 messages."""
    rounds = max(1, 100_000 // queued)
    async with Supervisor("bench") as app:
        counter = await app.start(Counter, capacity=math.inf)
        fill, drain = Stopwatch(), Stopwatch()
        cpu = wall = 0.0
        for _ in range(rounds):
            with fill:
                for _ in range(queued):
                    counter.try_send(Counter.add, 1)
            with drain:
                total = await counter.call(Counter.add, 0)
            cpu, wall = cpu + fill.cpu + drain.cpu, wall + fill.wall + drain.wall
        expect(total, rounds * queued)
    # the call that waits for the end is counted as one more message
    messages = rounds * (queued + 1)
    return {"time.cpu": cpu / messages * 1e6, "time.wall": wall / messages * 1e6}


async def tree(children: int) -> Sample:
    """A static tree, started in order and stopped in order."""
    description = Supervisor("bench", *(child(Counter, name=f"child-{number}") for number in range(children)))
    with Stopwatch() as start:
        app = await description.__aenter__()
    expect(app.count_children().active, children)
    with Stopwatch() as stop:
        await description.__aexit__(None, None, None)
    return start.per(children, "start") | stop.per(children, "stop")


async def lookup(children: int) -> Sample:
    """Addresses by path, over all of the tree."""
    finds = 20_000
    paths = [f"half/child-{number * children // 1000}" for number in range(1000)]
    below = Supervisor("half", *(child(Counter, name=f"child-{number}") for number in range(children)))
    async with Supervisor("bench", below) as app:
        with Stopwatch() as watch:
            for number in range(finds):
                app.find(paths[number % 1000])
    return watch.per(finds)


WORKLOADS: Final[Mapping[str, Workload]] = {
    "hop": hop,
    "backlog": backlog,
    "crash": crash,
    "tree": tree,
    "lookup": lookup,
}
