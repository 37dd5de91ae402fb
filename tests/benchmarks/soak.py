"""`python -m tests.benchmarks.soak [--seconds 60] [--backend asyncio|trio]`: a storm of crashes, and what is left after it.

200 actors in three levels, 100 crashes a second at random, 50 senders. `… --children 100000`: so many dynamic children come
and go. It prints what it saw, and exits with 1 if a promise was broken: a message unaccounted for, an address that doesn't
lead to its actor any more, memory that grows with crashes (or isn't back after the children), a task left.
"""

from __future__ import annotations

import argparse
import gc
import logging
import random
import resource
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.lowlevel

from supervise import (
    ActorCrashed,
    ActorStopped,
    Address,
    DynamicSupervisor,
    Intensity,
    RunningSupervisor,
    SendError,
    Supervisor,
    child,
    concurrent,
    current,
)
from supervise.testing import Chaos, chaos, left_over

from .backend import BACKENDS, Backend, missing

PATIENCE: Final = Intensity(10_000, per=1)
SENDERS: Final = 50
PAUSE: Final = 0.005
"""Seconds between two messages of a sender, on average: more would only measure how fast messages are."""
WARM_UP: Final = 2000
"""Crashes before memory is looked at: each supervisor keeps its last 50, to tell them if it gives up."""
MOST_BLOCKS: Final = 0.8
"""Blocks of memory more for each crash: 1 is the smallest thing that could leak at each, counters over 256 are some, too."""
MOST_BYTES: Final = 2_000_000
"""Resident bytes that may be more after all children have come and gone."""


class Worker:
    """Adds numbers, in ways that take so many seconds and differ in what a crash cuts."""

    def __init__(self) -> None:
        self.count = 0.0

    def add(self, number: float) -> float:
        self.count += number
        return self.count

    async def add_slowly(self, number: float) -> float:
        await anyio.sleep(number)
        return self.add(number)

    @concurrent(limit=4)
    async def add_beside(self, number: float) -> float:
        await anyio.sleep(number)
        return self.add(number)

    async def add_later(self, number: float) -> None:
        current().nursery.start_soon(self.add_slowly, number)

    async def end(self) -> None:
        current().stop()

    async def fail(self) -> None:
        raise RuntimeError("as it was told")


class Managed(Worker):
    """Enters and leaves."""

    async def __aenter__(self) -> Managed:
        await anyio.lowlevel.checkpoint()
        return self

    async def __aexit__(self, *_: object) -> None:
        await anyio.lowlevel.checkpoint()


HANDLERS: Final[tuple[Any, ...]] = (Worker.add, Worker.add_slowly, Worker.add_beside, Worker.add_later)


def tree() -> Supervisor:
    """App, 4 branches, 20 teams of 10 workers, of all strategies, with and without hooks, lanes and redelivery."""
    strategies: Any = ("one_for_one", "one_for_one", "rest_for_one", "one_for_one", "one_for_all")
    kinds: tuple[tuple[Any, dict[str, Any]], ...] = (
        (Worker, {}),
        (Worker, {"redeliver": 1}),
        (Managed, {}),
        (Worker, {"lanes": ("urgent", "normal")}),
        (Managed, {"redeliver": 2, "capacity": 5}),
    )
    branches: list[Supervisor] = []
    for branch in range(4):
        teams: list[Supervisor] = []
        for team in range(5):
            workers = [child(kinds[n % 5][0], name=f"w{n}", **kinds[n % 5][1]) for n in range(10)]
            teams.append(Supervisor(f"t{team}", *workers, strategy=strategies[team], intensity=PATIENCE))
        branches.append(Supervisor(f"b{branch}", *teams, intensity=PATIENCE))
    return Supervisor("app", *branches, intensity=PATIENCE)


@dataclass
class Soak:
    """What one soak saw."""

    sent: int = 0
    answered: int = 0
    told: int = 0
    """Calls that were told of a crash, or a stop, of what had accepted them."""
    refused: int = 0
    strikes: int = 0
    blows: int = 0
    """Strikes that came as a message."""
    accepted: int = 0
    unbalanced: int = 0
    undone: int = 0
    """Accepted, and without an end when the tree had ended."""
    invalid: int = 0
    """Addresses that didn't lead to their actor in the end, or said that it is gone."""
    left: list[str] = field(default_factory=list[str])
    samples: list[tuple[int, int, int]] = field(default_factory=list[tuple[int, int, int]])
    """(strikes so far, blocks of memory, resident bytes), once in a while."""

    def count(self, *storms: Chaos) -> None:
        """Count what they did, and keep none of it."""
        for storm in storms:
            self.strikes += len(storm.strikes)
            self.blows += sum(strike.how == "crash" for strike in storm.strikes)
            storm.strikes.clear()

    may_write: anyio.Event = field(default_factory=anyio.Event)
    """For the senders."""

    @property
    def unaccounted(self) -> int:
        """Messages of the senders and of chaos that no mailbox knows of, or the other way round."""
        return abs(self.accepted - self.sent - self.answered - self.told - self.blows)

    def slope(self, column: int) -> float:
        """How much more for each crash, by least squares over all samples."""
        samples = self.samples
        if len(samples) < 3:
            return 0.0
        xs, ys = [float(s[0]) for s in samples], [float(s[column]) for s in samples]
        mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
        spread = sum((x - mean_x) ** 2 for x in xs)
        return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread if spread else 0.0

    def violations(self) -> list[str]:
        """The promises that were broken."""
        found = {
            "messages unaccounted for": self.unaccounted,
            "messages without an end": self.undone,
            "unbalanced accounts": self.unbalanced,
            "invalid addresses": self.invalid,
            "tasks or timers left": len(self.left),
        }
        broken = [f"{what}: {number}" for what, number in found.items() if number]
        if self.slope(1) > MOST_BLOCKS:
            broken.append(f"memory grows by {self.slope(1):.2f} blocks a crash, more than {MOST_BLOCKS:g}")
        return broken

    def __str__(self) -> str:
        lines = {
            "crashes and kills": f"{self.strikes}",
            "messages accepted": f"{self.accepted} ({self.sent} sent, {self.answered} answered, {self.told} told of a crash)",
            "refused": f"{self.refused}",
            "unaccounted for": f"{self.unaccounted}",
            "without an end": f"{self.undone}",
            "unbalanced accounts": f"{self.unbalanced}",
            "invalid addresses": f"{self.invalid}",
            "tasks or timers left": f"{len(self.left)}",
            "memory per crash": f"{self.slope(1):+.3f} blocks, {self.slope(2):+.0f} bytes resident",
        }
        return "\n".join(f"{what:<22}{value}" for what, value in lines.items())


async def soak(seconds: float, rate: float = 100, seed: int = 1, warm_up: int = WARM_UP, senders: int = SENDERS) -> Soak:
    """One soak of so many seconds of the loop's clock."""
    seen, watch, chance = Soak(), left_over.watch(), random.Random(seed)
    async with tree() as app:
        paths = [f"b{b}/t{t}/w{n}" for b in range(4) for t in range(5) for n in range(10)]
        addresses: list[Address[Worker]] = [app.find(path) for path in paths]
        async with anyio.create_task_group() as group:
            seen.may_write.set()
            for _ in range(senders):
                group.start_soon(_write, seen, addresses, random.Random(chance.random()))
            async with chaos(app, 7 * rate, seed) as crashes, chaos(app, 3 * rate, seed, how="kill") as kills:
                await anyio.sleep(warm_up / rate / 10)
            seen.count(crashes, kills)
            async with chaos(app, 0.7 * rate, -seed) as crashes, chaos(app, 0.3 * rate, -seed, how="kill") as kills:
                await anyio.sleep(warm_up / rate / 3)  # chaos remembers something of each actor that it hit; timers run out
                steps = max(8, int(seconds))
                for _ in range(steps):
                    await anyio.sleep(seconds / steps)
                    seen.count(crashes, kills)
                    seen.may_write = anyio.Event()  # what is under way would be noise, 1000 blocks of it
                    with anyio.move_on_after(5):
                        await _at_rest(app)
                    gc.collect()
                    seen.samples.append((seen.strikes, sys.getallocatedblocks(), resident()))
                    seen.may_write.set()
            seen.count(crashes, kills)
            group.cancel_scope.cancel()
        with anyio.move_on_after(60):
            await _at_rest(app)
        for path, address in zip(paths, addresses, strict=True):
            seen.unbalanced += not address.account().balanced
            seen.invalid += not await _leads(app, path, address)
            seen.answered += 1
    total = app.account()
    seen.accepted = total.accepted
    seen.unbalanced += not total.balanced
    seen.undone = total.queued + total.in_hand
    seen.left = watch.left()
    return seen


async def _write(seen: Soak, addresses: list[Address[Worker]], chance: random.Random) -> None:
    """One sender; it is only cancelled between two messages, so that it knows what became of each."""
    while True:
        await seen.may_write.wait()
        with anyio.CancelScope(shield=True):
            address, handler, seconds = chance.choice(addresses), chance.choice(HANDLERS), 20 * PAUSE * chance.random()
            try:
                if chance.random() < 0.5:
                    await address.send(handler, seconds)
                    seen.sent += 1
                else:
                    await address.call(handler, seconds)
                    seen.answered += 1
            except ActorCrashed:
                seen.told += 1
            except SendError as error:
                if isinstance(error, ActorStopped) and error.begun:  # it was in hand when its actor was killed
                    seen.told += 1
                else:
                    seen.refused += 1
        await anyio.sleep(PAUSE * 2 * chance.random())


async def _at_rest(app: RunningSupervisor) -> None:
    """Until nothing waits, so that each actor can answer."""
    while app.account().queued or app.account().in_hand:  # noqa: ASYNC110 - there is no event for it
        await anyio.sleep(0.05)


async def _leads(app: RunningSupervisor, path: str, address: Address[Worker]) -> bool:
    """Whether an address from before all crashes still leads to the actor under its path."""
    same = app.find(path) == address
    with suppress(SendError, TimeoutError):
        with anyio.fail_after(10):
            return same and await address.call(lambda worker: isinstance(worker, Worker))
    return False


# -- children that come and go -------------------------------------------------------------------------------------------


@dataclass
class ComeAndGo:
    """Children that came and went, and what is left of them."""

    children: int
    resident: int
    """Bytes more than before them."""
    blocks: int
    objects: int
    """Of classes of the library and of this file."""
    left: list[str]

    def violations(self) -> list[str]:
        """The promises that were broken."""
        broken = [f"tasks or timers left: {len(self.left)}"] if self.left else []
        if self.resident > MOST_BYTES:
            broken.append(f"{self.resident / 1e6:.1f} MB more are resident, more than {MOST_BYTES / 1e6:g}")
        return broken

    def __str__(self) -> str:
        return (
            f"{self.children} children came and went: {self.resident / 1e6:+.2f} MB resident, {self.blocks:+d} blocks, "
            f"{self.objects:+d} objects, {len(self.left)} tasks or timers left"
        )


SETTLING: Final = 10
"""Waves before the base line. The heap comes to rest by then: after 2 it still grew by 2 MB, whatever number came."""


async def come_and_go(children: int, at_once: int = 1000) -> ComeAndGo:
    """So many dynamic children, some at a time, which end in all ways; as many as live at once came before the base line."""
    watch = left_over.watch()
    base = after = (0, 0, 0)
    # A flight recorder keeps facts on purpose, and here it would be asked whether anything is kept.
    async with DynamicSupervisor("app", intensity=PATIENCE, recorder=False) as app:
        for _ in range(SETTLING):
            await _wave(app, min(at_once, children))
        base = _measured()
        for begun in range(0, children, at_once):
            await _wave(app, min(at_once, children - begun))
        after = _measured()
    more = [now - then for now, then in zip(after, base, strict=True)]
    return ComeAndGo(children, more[0], more[1], more[2], left=watch.left())


def _measured() -> tuple[int, int, int]:
    gc.collect()
    # trio keeps up to 1000 deadlines that are over, so only our own classes tell something
    # str(): a class may have a descriptor under that name
    ours = sum(str(type(each).__module__).startswith(("supervise", __name__)) for each in gc.get_objects())
    return resident(), sys.getallocatedblocks(), ours


async def _wave(app: RunningSupervisor, number: int) -> None:
    kinds: tuple[Any, ...] = (Worker, Managed)
    born = [await app.start(kinds[n // 5 % 2]) for n in range(number)]
    for n, address in enumerate(born):
        await address.call(Worker.add, 1)
        await address.send(Worker.add_beside if n % 7 == 0 else Worker.add_slowly if n % 3 == 0 else Worker.add, PAUSE)
        if n % 5 == 0:
            await app.terminate_child(address)
        elif n % 5 == 1:
            await address.send(Worker.fail)
        elif n % 5 == 2:
            address.kill()
        elif n % 5 == 3:
            await address.stop()
        else:
            await address.send(Worker.end)
    while app.count_children().specs:  # noqa: ASYNC110 - there is no event for it
        await anyio.sleep(0.001)


def resident() -> int:
    """Bytes of this process in memory; where the system doesn't say, the most that they ever were."""
    pages = Path("/proc/self/statm")
    if pages.exists():
        return int(pages.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main(arguments: Sequence[str] | None = None) -> int:
    """1 if a promise was broken, 0 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default: 60)")
    parser.add_argument("--backend", choices=(*BACKENDS, "all"), default="asyncio")
    parser.add_argument("--rate", type=float, default=100.0, help="crashes a second (default: 100)")
    parser.add_argument("--seed", type=int, default=1, help="which actors, and when (default: 1)")
    parser.add_argument("--children", type=int, metavar="N", help="instead: so many dynamic children come and go")
    given = parser.parse_args(arguments)
    if not given.seconds > 0 or not given.rate > 0 or (given.children is not None and given.children < 1):
        parser.error("--seconds, --rate and --children: more than 0")
    logging.getLogger("supervise").setLevel(logging.CRITICAL)  # thousands of crashes, as asked for
    broken = False
    for backend in BACKENDS if given.backend == "all" else (given.backend,):
        why = missing(backend)
        if why is not None:
            print(f"{why}: left out")
            continue
        broken = _run(backend, given) or broken
    return int(broken)


def _run(backend: Backend, given: argparse.Namespace) -> bool:
    settings: dict[str, Any] = {"use_uvloop": True} if backend == "uvloop" else {}
    work: Any = partial(soak, given.seconds, given.rate, given.seed)
    if given.children is not None:
        work = partial(come_and_go, given.children)
    seen: Soak | ComeAndGo = anyio.run(work, backend="trio" if backend == "trio" else "asyncio", backend_options=settings)
    print(f"-- {backend}\n{seen}", flush=True)
    violations = seen.violations()
    for violation in violations:
        print(f"VIOLATION: {violation}")
    return bool(violations)


if __name__ == "__main__":
    sys.exit(main())
