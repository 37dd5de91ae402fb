"""Tokens of a model, one at a time, out of an actor that crashes in the middle of an answer.

Look for: `stream_from` is a call whose answer comes item by item, typed by what the generator yields. The generator runs in the
actor's turn, a few items ahead of its reader, and no more: a slow reader holds it up. When it crashes, its reader gets what was
sent before, and then `ActorCrashed`; the actor is restarted, and the same address streams again. Who leaves the block early
closes the generator, whose `finally` has run, in the actor's task, before the block is left. `@concurrent` runs streams beside
each other.
"""

import sys
from collections.abc import AsyncIterator

import anyio

from supervise import ActorCrashed, Supervisor, concurrent

ANSWER = ["an", "actor", "is", "an", "object", "with", "a", "mailbox", "that", "outlives", "it"]


class Model:
    lives = 0

    def __init__(self) -> None:
        Model.lives += 1
        self.closed = 0

    async def tokens(self, prompt: str) -> AsyncIterator[str]:
        """One stream after the other, as for a model that has one session."""
        try:
            for number, token in enumerate(ANSWER):
                await anyio.sleep(0.001)  # it thinks
                if prompt == "crash" and number == 4:
                    raise MemoryError("out of memory on the device")
                yield token
        finally:
            self.closed += 1

    @concurrent(limit=2)
    async def summary(self, prompt: str) -> AsyncIterator[str]:
        """Two at once, beside whatever the actor does in its turn."""
        for token in ANSWER[:3]:
            await anyio.sleep(0.001)
            yield f"{prompt}: {token}"


async def main() -> None:
    async with Supervisor("app") as app:
        model = await app.start(Model)

        seen: list[str] = []
        try:
            async with model.stream_from(Model.tokens, "crash") as tokens:
                async for token in tokens:
                    seen.append(token)
        except ActorCrashed as crashed:
            print(f"{' '.join(seen)} … {crashed.__cause__}")

        async with model.stream_from(Model.tokens, "again") as tokens:  # the same address, the next life
            print(" ".join([token async for token in tokens]))

        async with model.stream_from(Model.tokens, "enough") as tokens:
            first = await anext(tokens)
        closed = await model.call(lambda actor: actor.closed)
        print(f"{first!r} was enough; generators closed in this life: {closed}")

        both: list[str] = []
        async with model.stream_from(Model.summary, "a") as a, model.stream_from(Model.summary, "b") as b:
            for stream in (a, b, a, b, a, b):
                both.append(await anext(stream))
        print(", ".join(both))
        assert (seen, Model.lives, closed, len(both)) == (ANSWER[:4], 2, 2, 6)


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
