"""A crash: the actor is built afresh on the same mailbox, and what waited there is handled by the new instance.

Look for: one address for both lives; the three messages behind the bad one aren't lost; the new life starts from 0. What was
in hand is lost, and its caller is told. The lines about the crash come from the logger `supervise`.
"""

import sys

import anyio

from supervise import ActorCrashed, Supervisor, current


class Counter:
    def __init__(self) -> None:
        self.total = 0

    async def add(self, amount: int) -> None:
        if amount < 0:
            raise ValueError(f"can't add {amount}")
        self.total += amount

    async def report(self) -> tuple[int, int]:
        return current().incarnation, self.total


async def main() -> None:
    async with Supervisor("app") as app:
        counter = await app.start(Counter)
        await counter.send(Counter.add, 100)
        await counter.send(Counter.add, -1)  # this one crashes the first life
        for _ in range(3):
            await counter.send(Counter.add, 1)  # these wait behind it
        incarnation, total = await counter.call(Counter.report)
        print(f"incarnation {incarnation} has a total of {total}")
        try:
            await counter.call(Counter.add, -2)
        except ActorCrashed as crash:
            print(f"a caller is told: {crash.__cause__!r}")
        last = await counter.call(Counter.report)
        print(f"lost: {', '.join(letter.message for letter in app.dead_letters())}")
        assert (incarnation, total) == (2, 3)
        assert last == (3, 0)


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
