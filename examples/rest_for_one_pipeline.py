"""rest_for_one: a crash restarts the child and those that were started after it, because they depend on it.

Look for: each stage is wired by its factory, which looks up the stage before it through `current().find`. A factory runs when
the elder children run, so there is always something to find. A crash in the middle leaves the first stage alone.
"""

import sys

import anyio

from supervise import Address, Supervisor, child, current


class Source:
    def __init__(self) -> None:
        self.lines = ["1", "2", "x", "4"]

    async def next(self) -> str | None:
        return self.lines.pop(0) if self.lines else None


class Parser:
    def __init__(self, source: Address[Source]) -> None:
        self.source = source

    async def next(self) -> int | None:
        line = await self.source.call(Source.next)
        return None if line is None else int(line)


class Total:
    def __init__(self, parser: Address[Parser]) -> None:
        self.parser = parser
        self.total = 0

    async def take_all(self) -> None:
        while (number := await self.parser.call(Parser.next)) is not None:
            self.total += number

    async def show(self) -> int:
        return self.total


source = child(Source)
parser = child(lambda: Parser(current().find(source)), name="parser")
total = child(lambda: Total(current().find(parser)), name="total")


async def main() -> None:
    async with Supervisor("app", source, parser, total, strategy="rest_for_one") as app:
        adder = app.find(total)
        await adder.send(Total.take_all)  # the line "x" crashes the parser, and the total comes back with it
        print(f"after the crash: {await adder.call(Total.show)}")
        await adder.call(Total.take_all)
        result = await adder.call(Total.show)
        lives = {stage.id: stage.incarnation for stage in app.children()}
        print(f"after the rest: {result}; lives: {lives}")
        assert lives == {"source": 1, "parser": 2, "total": 2}
        assert result == 4  # the source still knew what came next


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
