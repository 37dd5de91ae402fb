"""A small bank in pykka: accounts, a clerk that asks them, an audit that is told, a vault that blocks.

A bad transfer raises in the clerk, which was told, and thereby dies with all that waits in its inbox.
Look for: "failed:" and "dead for ever:"; the clerk is dead, and two transfers that waited were never done.
"""

import threading
from types import TracebackType
from typing import Any

import pykka


class Account(pykka.ThreadingActor):
    def __init__(self, owner: str, balance: int) -> None:
        super().__init__()
        self.owner, self.balance = owner, balance

    def move(self, amount: int) -> int:
        if self.balance + amount < 0:
            raise ValueError(f"{self.owner} has only {self.balance}")
        self.balance += amount
        return self.balance


class Audit(pykka.ThreadingActor):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def on_receive(self, message: str) -> None:
        self.lines.append(message)


class Vault(pykka.ThreadingActor):
    def store(self, amount: int, door: threading.Event) -> str:
        door.wait()  # blocks this thread
        return f"{amount} is in the vault"


class Clerk(pykka.ThreadingActor):
    def __init__(self, accounts: dict[str, Any], audit: Any) -> None:
        super().__init__()
        self.accounts, self.audit = accounts, audit
        self.done = 0

    def on_start(self) -> None:
        print("the clerk opens")

    def on_stop(self) -> None:
        print("the clerk closes")

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        print("failed:", exception_value)

    def have_lunch(self, bell: threading.Event) -> None:
        bell.wait()

    def on_receive(self, message: tuple[str, str, int]) -> int:
        source, target, amount = message
        left: int = self.accounts[source].proxy().move(-amount).get()
        self.accounts[target].proxy().move(amount).get()
        self.audit.tell(f"{source} -> {target}: {amount}")
        self.done += 1
        return left


def main() -> None:
    audit, vault = Audit.start(), Vault.start()
    accounts = {owner: Account.start(owner, 100) for owner in ("ada", "bob")}
    clerk = Clerk.start(accounts, audit)
    door, bell = threading.Event(), threading.Event()
    stored = vault.proxy().store(50, door)  # goes on while the clerk works
    print("ask:", clerk.ask(("ada", "bob", 30)))
    try:
        clerk.ask(("ada", "bob", 500))
    except ValueError as error:
        print("the asker gets it:", error)
    proxy = clerk.proxy()
    print("proxy:", proxy.done.get(), "done")
    proxy.have_lunch(bell)  # meanwhile three orders come
    clerk.tell(("bob", "ada", 500))  # nobody waits for an answer: the clerk dies of it
    clerk.tell(("bob", "ada", 5))
    clerk.tell(("bob", "ada", 6))
    bell.set()
    clerk.actor_stopped.wait()
    try:
        proxy.done.get()
    except pykka.ActorDeadError as error:
        print("dead for ever:", error)
    door.set()
    print(stored.get())
    balances = [account.proxy().balance.get() for account in accounts.values()]
    lines = audit.proxy().lines.get()
    pykka.ActorRegistry.stop_all()
    print("balances:", balances, "audit:", lines)
    assert (balances, len(lines)) == ([70, 130], 1)  # what waited behind the bad transfer is lost


if __name__ == "__main__":
    main()
