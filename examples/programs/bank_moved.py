"""The bank of bank_pykka.py, moved over: first its classes as they are, then accounts and audit native, then all of it.
Each part makes the same bad transfer, with two good ones waiting behind it, and a plain thread makes two more.
Look for: the clerk dies of the bad transfer each time; the balances say that what waited was done by the next one.
"""

import sys
import threading

import anyio
import anyio.to_thread
import bank_pykka as old

from supervise import Address, CallTimeout, FromThread, RunningSupervisor, Supervisor, child, current, ref
from supervise.adapters.own_thread import own_thread
from supervise.adapters.pykka import Reference, actor, reference

Outcome = tuple[list[int], int]  # the balances, and how many lines the audit has
GOOD, BAD, WAITING = ("ada", "bob", 30), ("bob", "ada", 500), [("bob", "ada", 5), ("bob", "ada", 6)]


class ReadableAudit(old.Audit):
    def read(self) -> list[str]:  # an attribute of a pykka actor can't be read through an address
        return self.lines


class Account:  # native: no base, and it runs in the loop
    def __init__(self, owner: str, balance: int) -> None:
        self.owner, self.balance = owner, balance

    def move(self, amount: int) -> int:
        if self.balance + amount < 0:
            raise ValueError(f"{self.owner} has only {self.balance}")
        self.balance += amount
        return self.balance


class Audit:
    def __init__(self) -> None:
        self.lines: list[str] = []

    async def on_receive(self, message: str) -> None:  # under this name, while the clerk still tells by a reference
        self.lines.append(message)


class Vault:
    def store(self, amount: int, door: threading.Event) -> str:
        door.wait()  # blocks its own thread
        return f"{amount} is in the vault"


class Clerk:
    def __init__(self, ada: Address[Account], bob: Address[Account], audit: Address[Audit]) -> None:
        self.accounts, self.audit = {"ada": ada, "bob": bob}, audit
        last = current().last_checkpoint
        self.done: int = last.value if last else 0

    async def __aenter__(self) -> "Clerk":
        print("the clerk opens, with", self.done, "done")
        return self

    async def __aexit__(self, kind: object, error: object, traceback: object) -> None:
        print("the clerk closes" if error is None else f"failed: {error}")

    async def transfer(self, order: tuple[str, str, int]) -> int:
        source, target, amount = order
        left = await self.accounts[source].call(Account.move, -amount)
        await self.accounts[target].call(Account.move, amount)
        await self.audit.send(Audit.on_receive, f"{source} -> {target}: {amount}")
        self.done += 1
        current().checkpoint(self.done)
        return left


def by_reference(clerk: Reference) -> None:  # code of the pykka program, in a thread that knows nothing of the tree
    clerk.tell(("ada", "bob", 1))
    print("a thread, by a reference:", clerk.ask(("ada", "bob", 2)), "left")


def by_address(clerk: FromThread[Clerk]) -> None:
    clerk.send(Clerk.transfer, ("ada", "bob", 1))
    print("a thread, by from_thread:", clerk.call(Clerk.transfer, ("ada", "bob", 2)), "left")


async def finish(thread: threading.Thread) -> None:
    thread.start()
    await anyio.to_thread.run_sync(thread.join)


async def use_pykka_clerk(bank: RunningSupervisor, ada: Reference, bob: Reference, audit: Reference) -> None:
    clerk = await bank.start(actor(old.Clerk, {"ada": ada, "bob": bob}, audit), name="clerk")
    try:
        print("ask:", await clerk.call(old.Clerk.on_receive, GOOD))
        await clerk.call(old.Clerk.on_receive, BAD)
    except ValueError as error:
        print("the asker gets it:", error)
    for order in (BAD, *WAITING):  # the first one ends the clerk
        await clerk.send(old.Clerk.on_receive, order)
    await finish(threading.Thread(target=by_reference, args=(reference(clerk),)))


async def as_they_are(outcomes: list[Outcome]) -> None:
    async with Supervisor("bank") as bank:
        ada, bob = [await bank.start(actor(old.Account, name, 100), name=name) for name in ("ada", "bob")]
        audit = await bank.start(actor(ReadableAudit), name="audit")
        await use_pykka_clerk(bank, reference(ada), reference(bob), reference(audit))
        balances = [await account.call(old.Account.move, 0) for account in (ada, bob)]
        outcomes.append((balances, len(await audit.call(ReadableAudit.read))))


async def two_native(outcomes: list[Outcome]) -> None:
    async with Supervisor("bank") as bank:
        ada, bob = [await bank.start(Account, name, 100, name=name, expects=(ValueError,)) for name in ("ada", "bob")]
        audit = await bank.start(Audit)
        await use_pykka_clerk(bank, reference(ada), reference(bob), reference(audit))
        balances = [await account.call(lambda it: it.balance) for account in (ada, bob)]
        outcomes.append((balances, await audit.call(lambda it: len(it.lines))))


ADA, BOB = [child(Account, name, 100, name=name, expects=(ValueError,)) for name in ("ada", "bob")]
AUDIT, VAULT = child(Audit), child(own_thread(Vault))
CLERK = child(Clerk, ref(ADA), ref(BOB), ref(AUDIT), on_error="reply")  # pykka's rule: a call's error is an answer


async def all_native(outcomes: list[Outcome]) -> None:
    async with Supervisor("bank", ADA, BOB, AUDIT, VAULT, CLERK) as bank:
        clerk, vault, door = bank.find(CLERK), bank.find(VAULT), threading.Event()
        try:
            await vault.options(timeout=0.1).call(Vault.store, 50, door)
        except CallTimeout as error:
            print("the vault is blocked, and nobody else:", error)
        print("call:", await clerk.call(Clerk.transfer, GOOD))
        for order in (BAD, *WAITING):
            await clerk.send(Clerk.transfer, order)
        await finish(threading.Thread(target=by_address, args=(clerk.from_thread,)))
        door.set()
        print(await vault.call(Vault.store, 60, door), "and the clerk has done", await clerk.call(lambda it: it.done))
        balances = [await bank.find(one).call(lambda it: it.balance) for one in (ADA, BOB)]
        outcomes.append((balances, await bank.find(AUDIT).call(lambda it: len(it.lines))))


async def main() -> None:
    outcomes: list[Outcome] = []
    for part in (as_they_are, two_native, all_native):
        await part(outcomes)
    print("balances, and lines of the audit:", outcomes)
    assert outcomes == [([78, 122], 5)] * 3  # in pykka: [70, 130], and 1 line


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
