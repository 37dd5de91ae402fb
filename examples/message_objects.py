"""Who likes message objects writes one `receive` with overloads and a match.

Look for: the messages are plain dataclasses, and the type checker knows what each of them is answered with. `expects` makes
one exception an answer: the caller gets it as it is, and the account lives on.
"""

import sys
from dataclasses import dataclass
from typing import overload

import anyio

from supervise import Supervisor


class InsufficientFunds(Exception):
    pass


@dataclass(frozen=True)
class Deposit:
    amount: int


@dataclass(frozen=True)
class Withdraw:
    amount: int


@dataclass(frozen=True)
class Statement:
    pass


class BankAccount:
    def __init__(self) -> None:
        self.balance = 0

    @overload
    async def receive(self, message: Deposit | Withdraw) -> int: ...
    @overload
    async def receive(self, message: Statement) -> str: ...
    async def receive(self, message: Deposit | Withdraw | Statement) -> int | str:
        match message:
            case Deposit(amount):
                self.balance += amount
                return self.balance
            case Withdraw(amount):
                if amount > self.balance:
                    raise InsufficientFunds(f"{amount} asked for, {self.balance} there")
                self.balance -= amount
                return self.balance
            case Statement():
                return f"balance: {self.balance}"


async def main() -> None:
    async with Supervisor("app") as app:
        account = await app.start(BankAccount, expects=(InsufficientFunds,))
        balance: int = await account.call(BankAccount.receive, Deposit(100))
        print(f"after the deposit: {balance}")
        try:
            await account.call(BankAccount.receive, Withdraw(500))
        except InsufficientFunds as answer:
            print(f"refused: {answer}")
        statement: str = await account.call(BankAccount.receive, Statement())
        print(statement)
        assert statement == "balance: 100"
        assert app.get_childspec("bankaccount").incarnation == 1  # it never crashed


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
