"""The smallest actor: any class, started under a supervisor, reached through its own methods.

Look for: no base class and no message class. `call` brings back a typed reply, `send` only delivers.
"""

import sys

import anyio

from supervise import Supervisor


class Greeter:
    def __init__(self, greeting: str) -> None:
        self.greeting = greeting
        self.greeted = 0

    async def greet(self, name: str) -> str:
        self.greeted += 1
        return f"{self.greeting}, {name}!"

    def count(self) -> int:  # a plain function is a handler, too
        return self.greeted


async def main() -> None:
    async with Supervisor("app") as app:
        greeter = await app.start(Greeter, "Hello")
        print(await greeter.call(Greeter.greet, "world"))
        await greeter.send(Greeter.greet, "nobody in particular")
        count = await greeter.call(Greeter.count)
        print(f"{greeter.path} greeted {count} times")
        assert count == 2


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
