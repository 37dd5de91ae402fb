"""A Protocol is an actor's interface, apart from any implementation.

Look for: two classes that share nothing, their addresses in one typed list, called through the protocol's own function.
"""

import sys
from typing import Protocol

import anyio

from supervise import Address, Supervisor


class Shape(Protocol):
    async def area(self) -> float: ...


class Square:
    def __init__(self, side: float) -> None:
        self.side = side

    async def area(self) -> float:
        return self.side**2


class Rectangle:
    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height

    async def area(self) -> float:
        return self.width * self.height


async def main() -> None:
    async with Supervisor("app") as app:
        shapes: list[Address[Shape]] = [await app.start(Square, 2.0), await app.start(Rectangle, 2.0, 3.0)]
        areas = [await shape.call(Shape.area) for shape in shapes]
        for shape, area in zip(shapes, areas, strict=True):
            print(f"{shape.path}: {area:g}")
        assert areas == [4.0, 6.0]


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
