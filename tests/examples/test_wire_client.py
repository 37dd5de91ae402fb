"""The protocol is what its table says: a client that was written from the table, in the standard library alone, is understood.

Tested: a call and its reply, and an error, at a real gate, in a process without any package; a refusal; that the gate is left
in order; the size of it, and its numbers.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from typing import Final, Protocol

import anyio
import anyio.to_thread
import pytest

from supervise import ExitKind, Supervisor, child
from supervise.events import Stopped
from supervise.remote import Admit, gate
from supervise.testing import record
from supervise.wire import Interface
from supervise.wire.kinds import Kind
from tests.real_clock import on_both

from .scripts import HANG_GUARD, ROOT

CLIENT: Final = ROOT / "examples" / "wire_client.py"
PLACE: Final = "shop.OrdersApi.place"
RECEIPT: Final = "Receipt{item: str, note: str | None = ..., number: int}"


@dataclass
class Receipt:
    item: str
    number: int
    note: str | None = None


class OrdersApi(Protocol):
    def count(self) -> int: ...
    async def place(self, item: str, number: int = 1) -> Receipt: ...


class Orders:
    def count(self) -> int:
        return 0

    async def place(self, item: str, number: int = 1) -> Receipt:
        return Receipt(item, -number)


ORDERS: Interface[OrdersApi] = Interface("shop", OrdersApi)


async def ask(*arguments: str, admit: Admit | None = None) -> tuple[str, str, list[ExitKind]]:
    """What it prints on stdout and stderr, and how the links of the gate ended."""
    orders = child(Orders)
    done, ends = subprocess.CompletedProcess([], 1, "", ""), list[Stopped]()
    door = gate("tcp://127.0.0.1:0", serves=[ORDERS.by(orders)], admit=admit)
    with anyio.fail_after(HANG_GUARD):
        async with Supervisor("shop", orders, door) as shop:
            events = record(shop)
            (address,) = await shop.find("gate/acceptor").call(lambda acceptor: acceptor.addresses())
            port = address.rpartition(":")[2]
            command = [sys.executable, "-I", "-S", str(CLIENT), "127.0.0.1", port, *arguments]
            done = await anyio.to_thread.run_sync(
                lambda: subprocess.run(command, capture_output=True, encoding="utf-8", timeout=HANG_GUARD, check=False)
            )
            if admit is None:
                while not (ends := [each for each in events.events if isinstance(each, Stopped) and "links" in each.path]):
                    await anyio.lowlevel.checkpoint()
    return done.stdout, done.stderr, [each.reason.kind for each in ends]


@pytest.mark.anyio
@on_both
async def test_it_calls_a_real_gate_and_says_goodbye() -> None:
    said, complained, ends = await ask(PLACE, '{"item": "tea", "number": 200}')
    assert not complained
    assert said.splitlines() == [
        f"{PLACE} is handler 1: place(item: str, number: int = ...) -> {RECEIPT}",
        "REPLY {'item': 'tea', 'number': -200, 'note': None}",
    ]
    assert ends == [ExitKind.SHUTDOWN]


@pytest.mark.anyio
@on_both
async def test_an_error_is_told_as_the_table_says() -> None:
    said, complained, ends = await ask(PLACE, '{"item": 7}')
    assert not complained
    assert re.search(r"^ERROR \{'kind': 'bad_message', 'text': .*\$\.item: Expected `str`, got `int`", said, re.MULTILINE)
    assert ends == [ExitKind.SHUTDOWN]


@pytest.mark.anyio
@on_both
async def test_it_may_be_refused() -> None:
    said, complained, _ = await ask(PLACE, "{}", admit=lambda _: False)
    assert (said, complained) == ("", "refused: it isn't admitted\n")


def test_it_is_small_and_its_numbers_are_those_of_the_protocol() -> None:
    text = CLIENT.read_text(encoding="utf-8")
    assert len([line for line in text.splitlines() if line.strip()]) <= 60
    assert {*re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE)} <= sys.stdlib_module_names
    names, numbers = re.findall(r"^([A-Z, ]+) = ([\d, ]+)$", text, re.MULTILINE)[0]
    for name, number in zip(names.split(", "), numbers.split(", "), strict=True):
        assert Kind[name] == int(number)
