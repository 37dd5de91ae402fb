"""A pykka program: one actor keeps a ledger, another one reads lines and books them. Before and after.

Look for: the third line crashes the ledger. Before, that is its end: a pykka actor that has crashed is dead, with its inbox
and its reference. After, its supervisor starts another one: the reference stays good, what waits isn't lost, and only the
third line isn't booked. Neither actor has changed.
"""

import sys
from typing import Any

import pykka

LINES = ["rent -700", "salary 2500", "coffee two", "books -60", "food -240"]
BOOKED: list[int] = []  # stands for the file in which the amounts are kept


class Ledger(pykka.ThreadingActor):
    def on_start(self) -> None:
        self.total = sum(BOOKED)  # goes on where the last one ended

    def on_receive(self, message: Any) -> Any:
        if message == "total":
            return self.total
        _, amount = message.split()
        self.book(int(amount))
        return None

    def book(self, amount: int) -> None:
        BOOKED.append(amount)
        self.total += amount


class Reader(pykka.ThreadingActor):
    def __init__(self, ledger: Any) -> None:
        super().__init__()
        self.ledger = ledger

    def read(self, lines: list[str]) -> int:
        for line in lines:
            self.ledger.tell(line)
        return len(lines)


def work(ledger: Any) -> None:
    reader = Reader.start(ledger).proxy()
    try:
        print(f"{reader.read(LINES).get()} lines read")
        print(f"the total is {ledger.ask('total')}")
    except pykka.ActorDeadError:
        print(f"the ledger is dead; {len(BOOKED)} lines are booked")
    finally:
        reader.stop()


def main() -> None:
    ledger = Ledger.start()
    work(ledger)
    pykka.ActorRegistry.stop_all()


if __name__ == "__main__":
    main()
    sys.exit(0 if sum(BOOKED) == 1500 else 1)
