"""A server on one CPython, and a caller on another: `python -m tests.remote.two_pythons OTHER_PYTHON`, in both directions.

Shown: signatures of all kinds of plain data have the same texts and hashes, and values of them come back as they were; calls,
sends in order, errors of all kinds, `raises`, events; and a stop after which both have ended by themselves. It exits with 1 if
anything isn't so. OTHER_PYTHON has what the library needs; what is imported here is this checkout's.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal, Protocol
from uuid import UUID

import anyio
import anyio.to_thread

from supervise import ActorCrashed, Supervisor, child, current
from supervise.errors import BadMessage, RemoteError
from supervise.remote.dial import dial
from supervise.remote.gate import gate
from supervise.wire.interface import Interface
from tests.house import ROOT
from tests.wire.data import (
    Address,
    Box,
    Circle,
    Colour,
    Item,
    Order,
    OrdersApi,
    OutOfStock,
    Pair,
    Point,
    PriceChanged,
    Receipt,
    Size,
    Sku,
    Square,
    Tag,
    TooMany,
)

GUARD: Final = 60.0  # seconds; all of it takes one or two
NOON: Final = datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=UTC)


@dataclass
class Everything:
    """A value of each kind of plain data."""

    nothing: None
    flag: bool
    number: int
    real: float
    text: str
    data: bytes
    at: datetime
    day: date
    clock: time
    span: timedelta
    price: Decimal
    id: UUID
    colour: Colour
    size: Size
    word: Literal["new", "old"]
    several: list[int | None]
    fixed: tuple[int, str, float]
    any_number: tuple[str, ...]
    names: set[str]
    tags: frozenset[Tag]
    prices: dict[str, Decimal]
    by_number: dict[int, list[Point]]
    where: Address
    shape: Circle | Square
    pair: Pair
    box: Box[Order]
    maybe: Receipt | None = None


class KindsApi(Protocol):
    """What else is asked."""

    async def echo(self, value: Everything) -> Everything: ...
    async def note(self, number: int) -> None: ...
    async def noted(self) -> list[int]: ...
    async def fail(self, how: str) -> None: ...
    async def publish(self, sku: Sku, price: Decimal) -> None: ...
    def about(self) -> dict[str, str]: ...


ORDERS: Interface[OrdersApi] = Interface("shop", OrdersApi, raises=(TooMany, OutOfStock))
KINDS: Interface[KindsApi] = Interface("kinds", KindsApi, raises=(TooMany,), events=(PriceChanged, Point, Circle))


def signatures() -> dict[str, str]:
    """Of all that can be asked: hash and text, by the key."""
    tables = [interface.table() for interface in (ORDERS, KINDS)]
    entries = [entry for table in tables for entry in (*table.handlers, *table.events)]
    return {entry.key: f"{entry.hash.hex()} {entry.text}" for entry in entries}


class Shop:
    """Serves what `data.py` declares."""

    async def place(self, order: Order, *, urgent: bool = False) -> Receipt:
        return Receipt(len(order.items), NOON, [order.note or "", str(urgent), *sorted(tag.name for tag in order.tags)])

    def count(self) -> int:
        return 3

    def find(
        self, kind: Literal["new", "old"], day: date, at: time = time(9), /, limit: int = 10, *, within: timedelta
    ) -> list[Order]:
        return [Order([Item(Sku(f"{kind} {day} {at} {limit} {within}"))])]

    def draw(self, shape: Circle | Square, at: Point = Point(0), colour: Colour | None = None, size: Size = Size.SMALL) -> Pair:  # noqa: B008 - frozen
        return Pair(int(shape.radius if isinstance(shape, Circle) else shape.side), int(at.x) + size)

    def move(
        self, where: Address, ids: dict[UUID, tuple[int, str]], boxes: list[Box[int]], other: Box[str], data: bytes
    ) -> None:
        raise TooMany(where["street"], len(ids) + sum(box.inside for box in boxes) + len(other.inside) + len(data))


class Kinds:
    """Serves the rest."""

    def __init__(self) -> None:
        self._noted: list[int] = []

    async def echo(self, value: Everything) -> Everything:
        return value

    async def note(self, number: int) -> None:
        self._noted.append(number)

    async def noted(self) -> list[int]:
        return self._noted

    async def fail(self, how: str) -> None:
        raise TooMany("tea", 7) if how == "raises" else KeyError(how) if how == "answer" else ValueError(how)

    async def publish(self, sku: Sku, price: Decimal) -> None:
        current().publish(PriceChanged(sku, price))

    def about(self) -> dict[str, str]:
        return {"python": "{}.{}".format(*sys.version_info), **signatures()}


async def serve(folder: Path) -> None:
    """Until stdin ends."""
    shop, kinds = child(Shop, name="shop", expects=(TooMany,)), child(Kinds, name="kinds", expects=(TooMany, KeyError))
    async with Supervisor("there", shop, kinds, gate(_where(folder), serves=[ORDERS.by(shop), KINDS.by(kinds)])) as app:
        print("up", flush=True)
        await anyio.to_thread.run_sync(sys.stdin.buffer.read, abandon_on_cancel=True)
    _say_account(app)


def _say_account(app: Any) -> None:
    account = app.account()
    assert account.balanced, account
    assert not account.queued, account
    assert not account.in_hand, account


def _where(folder: Path) -> str:
    return f"unix://{folder / 'shop.sock'}"


def everything() -> Everything:
    order = Order([Item(Sku("tea"), 2)], "soon", frozenset({Tag("a"), Tag("b")}), Order([]))
    return Everything(
        None,
        True,
        -(2**63),
        1.5e300,
        "tea ☕ \U0001f375",
        bytes(range(256)),
        NOON,
        date(2024, 2, 29),
        time(23, 59, 59, 999999),
        timedelta(days=-1, microseconds=1),
        Decimal("0.10"),
        UUID(int=7),
        Colour.BLUE,
        Size.LARGE,
        "old",
        [1, None, 2**64 - 1],
        (1, "2", 3.0),
        ("a", "b"),
        {"x", "y"},
        frozenset({Tag("t")}),
        {"tea": Decimal("1E+3")},
        {1: [Point(1, 2), Point(3)]},
        {"street": "High Street"},
        Square(2),
        Pair(1, 2),
        Box(order),
        Receipt(1, NOON, ["line"]),
    )


async def call(folder: Path) -> str:
    """All that is to be shown. The version of the other side."""
    link, version = dial(_where(folder), uses=[ORDERS, KINDS]), ""
    async with Supervisor("here", link) as app:
        shop, kinds = ORDERS.over(app.find(link)), KINDS.over(app.find(link))
        with anyio.fail_after(GUARD):
            about = await kinds.call(KindsApi.about)
            version = about.pop("python")
            expect(about, signatures())
            expect(await kinds.call(KindsApi.echo, everything()), everything())
            for number in range(300):
                await kinds.send(KindsApi.note, number)
            expect(await kinds.call(KindsApi.noted), [*range(300)])
            order = everything().box.inside
            expect(await shop.call(OrdersApi.place, order, urgent=True), Receipt(1, NOON, ["soon", "True", "a", "b"]))
            expect(await shop.call(OrdersApi.count), 3)
            found = await shop.call(OrdersApi.find, "new", date(2024, 1, 2), limit=5, within=timedelta(hours=1))
            expect(found, [Order([Item(Sku("new 2024-01-02 09:00:00 5 1:00:00"))])])
            expect(await shop.call(OrdersApi.draw, Circle(3), Point(4), Colour.RED, Size.LARGE), Pair(3, 14))
            moved = shop.call(OrdersApi.move, {"street": "s"}, {UUID(int=1): (1, "a")}, [Box(2)], Box("abc"), b"1234")
            expect(await _error_of(moved), (TooMany, ("s", 10)))
            expect(await _error_of(kinds.call(KindsApi.fail, "raises")), (TooMany, ("tea", 7)))
            expect((await _error_of(kinds.call(KindsApi.fail, "answer")))[0], RemoteError)
            wrong: Any = Order([Item(Sku("tea"), 1001)])
            expect((await _error_of(shop.call(OrdersApi.place, wrong)))[0], BadMessage)
            async with kinds.subscribe(PriceChanged) as prices:
                await kinds.call(KindsApi.about)  # it is there by now
                await kinds.call(KindsApi.publish, Sku("tea"), Decimal("2.50"))
                expect(await prices.receive(), PriceChanged(Sku("tea"), Decimal("2.50")))
            expect((await _error_of(kinds.call(KindsApi.fail, "crash")))[0], ActorCrashed)
            expect(await kinds.call(KindsApi.noted), [])
    _say_account(app)
    return version


async def _error_of(asked: Any) -> tuple[type[BaseException], tuple[Any, ...]]:
    try:
        await asked
    except Exception as error:
        return type(error), error.args
    raise AssertionError("it was answered")


def expect(found: object, wanted: object) -> None:
    if found != wanted or type(found) is not type(wanted):
        raise AssertionError(f"{found!r} instead of {wanted!r}")


def between(server: str, caller: str) -> str:
    """A server on one of them, and a caller on the other. What was shown."""
    module = ["-m", "tests.remote.two_pythons"]
    with TemporaryDirectory() as folder:
        with subprocess.Popen(
            [server, *module, "--serve", folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        ) as there:
            try:
                assert there.stdout is not None
                if there.stdout.readline() != "up\n":
                    raise AssertionError(f"the server didn't begin on {server}")
                here = subprocess.run(
                    [caller, *module, "--call", folder],
                    stdout=subprocess.PIPE,
                    text=True,
                    cwd=ROOT,
                    timeout=2 * GUARD,
                    check=False,
                )
                if here.returncode:
                    raise AssertionError(f"the caller on {caller} ended with {here.returncode}")
                there.communicate(timeout=GUARD)
            finally:
                there.kill()
    if there.returncode:
        raise AssertionError(f"the server on {server} ended with {there.returncode}")
    versions = json.loads(here.stdout)
    return f"a caller on CPython {versions['here']}, a server on {versions['there']}: all is as it should be"


def main(arguments: Sequence[str] | None = None) -> int:
    """1 if anything isn't as it should be, 0 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tests.remote.two_pythons", description="A link between two CPythons.")
    parser.add_argument("other", nargs="?", metavar="OTHER_PYTHON", help="an interpreter that has what the library needs")
    parser.add_argument("--serve", type=Path, metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--call", type=Path, metavar="FOLDER", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    has_trio = importlib.util.find_spec("trio") is not None
    if given.serve is not None:
        logging.getLogger("supervise").setLevel(logging.CRITICAL)  # of a crash, as asked for
        anyio.run(serve, given.serve)
    elif given.call is not None:
        there = anyio.run(call, given.call, backend="trio" if has_trio else "asyncio")
        print(json.dumps({"here": "{}.{}".format(*sys.version_info), "there": there}))
    elif given.other is None:
        parser.error("which other Python?")
    else:
        try:
            for server, caller in ((given.other, sys.executable), (sys.executable, given.other)):
                print(between(server, caller))
        except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
            print(f"FAILED: {error}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
