"""A pool of workers: one address, one mailbox, four workers, and a letter that crashes whoever takes it.

Look for: the letters of one customer are delivered in their order, and those of different customers beside each other. The bad
one is tried three times, and is one dead letter; nobody else's waits for a worker that is being restarted. Fewer workers do.
"""

import sys

import anyio
from tenacity import wait_exponential

from supervise import Intensity, Message, Restart, Supervisor, Undelivered, current, pool


class Mailer:
    async def deliver(self, customer: str, letter: str) -> str:
        if letter == "unreadable":
            raise ValueError(f"{customer}: {letter}")
        await anyio.sleep(0.01)
        return f"{customer} has the {letter}, by worker {current().name}"

    async def greet(self, customer: str) -> str:
        return await self.deliver(customer, "greeting")


def spill(lost: Undelivered) -> None:
    print(f"undelivered after {lost.attempts} attempts: {lost.message.args}")


def customer(message: Message) -> object:
    return message.args[0]


mailers = pool(
    Mailer,
    name="mailers",
    size=4,
    key=customer,
    redeliver=2,
    on_dead_letter=spill,
    restart=Restart.permanent(wait=wait_exponential(multiplier=0.1, max=30)),
    intensity=Intensity(10, per=60),
)


async def main() -> None:
    async with Supervisor("app", mailers) as app:
        address = app.find(mailers)
        await address.send(Mailer.deliver, "eve", "unreadable")
        for letter in ("first", "second"):
            for name in ("ada", "bob", "eve"):
                await address.send(Mailer.deliver, name, letter)
        for name in ("ada", "bob", "eve"):
            print(await address.call(Mailer.deliver, name, "third"))  # behind the other two

        await app.resize(mailers, 2)
        customers = [f"customer {n}" for n in range(1, 8)]
        async with address.map(Mailer.greet, customers, limit=4) as greetings:
            async for greeting in greetings:
                print(greeting)

        account = app.account()
        print(account)
        assert account.balanced
        assert (account.handled, account.dead_lettered) == (16, 1)


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
