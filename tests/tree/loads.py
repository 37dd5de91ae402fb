"""Many messages through a pool under load: poison, random crashes, backoffs, and sizes that change meanwhile.

    python -m tests.tree.loads --backend asyncio --messages 100000 --seed 1

What becomes of each message is drawn before it is sent: how often it crashes its worker. So what the policy makes of it is
known: it is handled, at the try after its last crash, or it is one dead letter with as many attempts as it may have. It exits
with 1 if any message came to something else, if a key's messages ended in another order, if a message that could be taken
waited while a worker was idle, or if anything is left.
"""

from __future__ import annotations

import argparse
import logging
import random
import time
from collections import Counter, defaultdict
from typing import Any

import anyio
from tenacity import wait_random

from supervise import Address, Intensity, Message, Pool, Restart, Supervisor, Undelivered, current, pool
from supervise.testing import virtual_time
from supervise.testing.virtual_time import at_rest
from supervise.tree.pool_place import PoolPlace
from tests.doubles import Boom

TRIES = 2  # beside the first
POISON = 99
SIZES = (1, 2, 3, 4, 6, 8)


class Ledger:
    """What was sent, and what became of it."""

    def __init__(self) -> None:
        self.ends: dict[int, tuple[str, int]] = {}
        self.order: defaultdict[int, list[int]] = defaultdict(list)
        self.in_hand: set[int] = set()  # keys
        self.most = 0
        self.at_work = 0
        self.last = -1  # how many there are, when all were sent
        self.over = anyio.Event()

    async def all_ended(self, messages: int) -> None:
        self.last = messages
        if len(self.ends) < messages:
            await self.over.wait()

    def end(self, key: int, n: int, how: str, attempts: int) -> None:
        assert n not in self.ends, f"message {n} has two ends: {self.ends[n]} and {how}"
        self.ends[n] = how, attempts
        self.order[key].append(n)
        if len(self.ends) == self.last:
            self.over.set()


class Worker:
    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    async def job(self, key: int, n: int, crashes: int, seconds: float) -> None:
        ledger, attempt = self.ledger, current().attempt
        assert key not in ledger.in_hand, f"two messages of key {key} are in hand"
        ledger.in_hand.add(key)
        ledger.at_work += 1
        ledger.most = max(ledger.most, ledger.at_work)
        try:
            if seconds:
                await anyio.sleep(seconds)
            if attempt <= crashes:
                raise Boom("poison" if crashes == POISON else "by chance")
        finally:
            ledger.in_hand.discard(key)
            ledger.at_work -= 1
        ledger.end(key, n, "handled", attempt)


def by_first(message: Message) -> Any:
    return message.args[0]


async def load(messages: int, seed: int, *, check_each: int = 997) -> Counter[str]:
    """Send them all, resize meanwhile, and look at what came of it. AssertionError for a broken promise."""
    draw = random.Random(seed)
    ledger = Ledger()
    sent: defaultdict[int, list[int]] = defaultdict(list)
    expected: dict[int, tuple[str, int]] = {}
    seen: Counter[str] = Counter()

    def lost(letter: Undelivered) -> None:
        ledger.end(letter.message.args[0], letter.message.args[1], "dead", letter.attempts)

    jobs: Pool[Worker] = pool(
        Worker,
        ledger,
        size=4,
        name="jobs",
        key=by_first,
        restart=Restart.permanent(wait=wait_random(0, 2)),
        redeliver=TRIES,
        on_dead_letter=lost,
        intensity=Intensity(10**9, per=1),
        capacity=200,
    )
    tree = Supervisor("app", jobs)
    async with tree as app:
        address: Address[Worker] = app.find(jobs)
        place = app._branch.places["jobs"]
        assert isinstance(place, PoolPlace)

        async def send() -> None:
            for n in range(messages):
                chance = draw.random()
                crashes = POISON if chance < 0.01 else draw.randint(1, TRIES) if chance < 0.03 else 0
                key = draw.randrange(50)
                expected[n] = ("handled", crashes + 1) if crashes <= TRIES else ("dead", TRIES + 1)
                sent[key].append(n)
                await address.send(Worker.job, key, n, crashes, draw.choice((0, 0, 0.01, 0.1)))
                if n % check_each == 0:
                    await at_rest()
                    look()

        def look() -> None:
            """Nothing that may be taken waits while a worker is idle."""
            mailbox = place.mailbox
            assert not (mailbox.idle and mailbox.offers()), "a message waits, and a worker is idle"
            assert app.account().balanced, app.account()
            seen["looks"] += 1
            seen["looks with a worker in backoff"] += len(mailbox.up) < len(mailbox.workers)
            seen["looks with idle workers"] += bool(mailbox.idle)

        async def resize() -> None:
            while True:
                await anyio.sleep(draw.uniform(0.5, 3))
                await app.resize(jobs, draw.choice(SIZES))
                seen["resized"] += 1

        async with anyio.create_task_group() as group:
            group.start_soon(resize)
            await send()
            await ledger.all_ended(messages)
            group.cancel_scope.cancel()
        look()
    account = app.account()
    assert ledger.ends == expected, f"{sum(ledger.ends[n] != expected[n] for n in expected)} came to something else"
    assert ledger.order == sent, "the messages of a key ended in another order"
    assert (account.handled, account.dead_lettered) == (
        sum(how == "handled" for how, _ in expected.values()),
        sum(how == "dead" for how, _ in expected.values()),
    )
    seen["handled"], seen["dead letters"] = account.handled, account.dead_lettered
    seen["handled at a second or third try"] = sum(how == "handled" and tries > 1 for how, tries in expected.values())
    seen["at work at once, at most"] = ledger.most
    return seen


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.tree.loads", description="A pool under load.")
    parser.add_argument("--backend", choices=["asyncio", "trio"], default="asyncio")
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    said = parser.parse_args()
    logging.getLogger("supervise").setLevel(logging.CRITICAL)
    begun = time.perf_counter()
    seen = virtual_time.run(said.backend, load, said.messages, said.seed)
    print(f"{said.messages} messages on {said.backend}, each as the policy says, {time.perf_counter() - begun:.1f} s")
    for name, times in seen.items():
        print(f"{times:8}  {name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
