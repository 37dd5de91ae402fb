"""Plain data of all kinds, and an interface that uses them, as most programs would write it: for tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Generic, Literal, NamedTuple, NewType, NotRequired, Protocol, TypedDict, TypeVar
from uuid import UUID

import msgspec

T = TypeVar("T")
Sku = NewType("Sku", str)


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Size(IntEnum):
    SMALL = 1
    LARGE = 10


@dataclass
class Item:
    sku: Sku
    qty: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1


@dataclass(frozen=True)
class Tag:
    name: str


@dataclass
class Order:
    items: list[Item]
    note: str | None = None
    tags: frozenset[Tag] = frozenset()
    before: Order | None = None


@dataclass
class Box(Generic[T]):
    inside: T


class Point(NamedTuple):
    x: float
    y: float = 0.0


class Address(TypedDict):
    street: str
    town: NotRequired[str]


class Circle(msgspec.Struct, tag="circle"):
    radius: float


class Square(msgspec.Struct, tag="square"):
    side: float


class Pair(msgspec.Struct, array_like=True, frozen=True):
    left: int
    right: int = 0


@dataclass
class Receipt:
    id: int
    when: datetime
    lines: list[str] = field(default_factory=list[str])


@dataclass
class PriceChanged:
    sku: Sku
    price: Decimal


class OutOfStock(Exception):
    pass


class TooMany(Exception):
    def __init__(self, sku: str, number: int) -> None:
        super().__init__(sku, number)
        self.sku = sku
        self.number = number


class OrdersApi(Protocol):
    async def place(self, order: Order, *, urgent: bool = False) -> Receipt: ...

    def count(self) -> int: ...

    def find(
        self, kind: Literal["new", "old"], day: date, at: time = ..., /, limit: int = 10, *, within: timedelta
    ) -> list[Order]: ...

    def draw(self, shape: Circle | Square, at: Point = ..., colour: Colour | None = None, size: Size = ...) -> Pair: ...

    def move(
        self, where: Address, ids: dict[UUID, tuple[int, str]], boxes: list[Box[int]], other: Box[str], data: bytes
    ) -> None: ...
