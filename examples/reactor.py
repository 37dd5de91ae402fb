"""Many sources, one actor: tasks in its nursery feed it from several streams, and a slow actor slows down all sources.

Look for: the state needs no lock, since the actor handles one event at a time, wherever it came from. Nothing piles up: the
mailbox holds 4, then the feeders wait, take nothing from their streams, and the producers wait, too. The feeders live and end
with the incarnation; after a crash fresh ones go on with the same streams. What a feeder held in its hand then is lost.
"""

import sys
from collections.abc import Mapping
from typing import Self

import anyio
from anyio.abc import ObjectReceiveStream, ObjectSendStream

from supervise import Supervisor, child, current

CAPACITY = 4
EVENTS = 20  # from each source


class Reactor:
    def __init__(self, sources: Mapping[str, ObjectReceiveStream[int]], totals: dict[str, int]) -> None:
        self.sources = sources
        self.totals = totals
        self.open = len(sources)

    async def __aenter__(self) -> Self:
        for name, source in self.sources.items():
            current().nursery.start_soon(self._feed, name, source)
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def _feed(self, name: str, source: ObjectReceiveStream[int]) -> None:
        me = current().address
        async for event in source:
            await me.send(Reactor.react, name, event)
        await me.send(Reactor.exhausted)  # a message like the others, so it comes behind all of this source's events

    async def react(self, name: str, event: int) -> None:
        await anyio.sleep(0.001)  # some work, during which the sources could run ahead
        self.totals[name] = self.totals.get(name, 0) + event

    def exhausted(self) -> None:
        self.open -= 1
        if not self.open:
            current().stop_tree("all sources are exhausted")


async def main() -> None:
    totals: dict[str, int] = {}
    given = 0
    farthest_ahead = 0

    async def produce(sink: ObjectSendStream[int]) -> None:
        nonlocal given, farthest_ahead
        async with sink:
            for _ in range(EVENTS):
                await sink.send(1)
                given += 1
                farthest_ahead = max(farthest_ahead, given - sum(totals.values()))

    names = ("clock", "disk", "network")
    streams = {name: anyio.create_memory_object_stream[int](0) for name in names}
    sources = {name: receiver for name, (_, receiver) in streams.items()}
    async with anyio.create_task_group() as tasks:
        for sink, _ in streams.values():
            tasks.start_soon(produce, sink)
        async with Supervisor("app", child(Reactor, sources, totals, capacity=CAPACITY)) as app:
            await app.wait()
    for source in sources.values():
        source.close()
    print(f"{totals}; at most {farthest_ahead} of {given} events were under way")
    assert totals == dict.fromkeys(names, EVENTS)
    assert farthest_ahead <= CAPACITY + 1 + len(names)  # in the mailbox, in hand, and one with each feeder


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
