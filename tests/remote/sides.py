"""Both sides of a greeting, for tests of it: a dialing side that serves pages, and a gate that serves a shop and a stock."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from supervise.remote.greeting import Answering, Dialing, Greeted, Met, Step
from supervise.remote.limits import Limits
from supervise.wire.frames import GREETING, Frame, FrameReader, Kind, encode
from supervise.wire.table import Entry, Serves, Table
from tests.wire import by_hand

LINK: Final = bytes(range(16))
GATE_LINK: Final = bytes(16)
SHOP: Final = Serves("shop", "msgpack", (Entry("shop.O.place", b"12345678", "place() -> int"),))
STOCK: Final = Serves(
    "stock", "msgpack", (Entry("stock.S.take", b"abcdefgh", "take() -> int"),), (Entry("stock.Low", b"low low ", ""),)
)
PAGES: Final = Serves("pages", "msgpack", (Entry("pages.P.show", b"87654321", "show(page: str) -> None"),))
SIZES: Final = {"frame": 65536, "calls": 64, "depth": 8, "call_bytes": 262144, "send_bytes": 262144}
Machine: TypeAlias = Dialing | Answering


def dialing(table: Table | None = None, limits: Limits | None = None, **more: Any) -> Dialing:
    more = {"name": "web", "token": "secret", "uses": ["shop"], **more}
    return Dialing(Table([PAGES]) if table is None else table, limits or Limits(), link=LINK, life=3, **more)


def answering(table: Table | None = None, limits: Limits | None = None, **more: Any) -> Answering:
    more = {"name": "gate", "uses": ["pages"], **more}
    return Answering(Table([SHOP, STOCK]) if table is None else table, limits or Limits(), link=GATE_LINK, life=1, **more)


def carried(step: Step) -> list[Frame]:
    """The frames of a step, as the other side reads them."""
    return list(FrameReader(GREETING).feed(b"".join(map(encode, step.frames))))


def taken(machine: Machine, frames: Iterable[Frame]) -> list[Step]:
    return [step for step in map(machine.take, frames) if step != Step()]


def met(dials: Dialing, gate: Answering, names: Iterable[str] | None = None) -> tuple[Met, Met]:
    hello, *rest = carried(dials.begin())
    assert isinstance(gate.take(hello).fact, Greeted)
    answer = carried(gate.admit(names))
    [there] = taken(gate, rest)
    [greeted, here] = taken(dials, answer)
    assert isinstance(greeted.fact, Greeted)
    assert isinstance(here.fact, Met)
    assert isinstance(there.fact, Met)
    assert dials.over
    assert gate.over
    return here.fact, there.fact


def hello_of(more: dict[str, Any]) -> Frame:
    return Frame(Kind.HELLO, body=by_hand.pack({"versions": [1, 1], "link": LINK, "life": 1, "limits": SIZES, **more}))
