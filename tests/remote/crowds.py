"""A crowd of clients that mean no good at a gate: each is out within its limit, and an honest caller hardly notices.

    python -m tests.remote.crowds --each 500 --backend trio --wire tls

A gate runs in a process of its own, with the limits that a gate has if nobody says else, but for `connections`: so many that
this limit is reached, too. The crowd is another process. So many each are silent, slow (a byte at a time), oversize, garbage
and deaf (they ask, and read no answer), some of them before they have greeted and some after. They come from several hundred
addresses, and from a few that are crowded. An honest caller calls all the time.

It shows who came to which limit, and exits with 1 unless: everyone was out within that limit and a second, and by a limit that
is meant for him; the gate's process grew by at most 20 MB; the honest caller's p99 was at most 20 times its own before; the
account of the gate's tree balances, and nothing is left in its process. `--asks 64 --size 60000` shows what the memory depends
on: a gate keeps the answers that a deaf client has asked for.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import statistics
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import anyio
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from supervise import Supervisor
from supervise.remote.dial import dial
from supervise.remote.limits import Limits
from supervise.wire.remote_address import RemoteAddress
from tests.house import ROOT

from .crowd_clients import KINDS, MAY_REACH, Plan, Seen
from .crowd_gate import DOOR, DoorApi, Report, State
from .fault_shop import certify, trusts

GRACE: Final = 1.0
"""Seconds beyond a limit."""
MOST: Final = {"tcp": 20_000_000, "tls": 50_000_000}
"""Bytes by which the gate's process may grow. OpenSSL keeps its own for each connection."""
TIMES: Final = 20
"""How much slower than before the slowest of a hundred honest calls may be."""
BEFORE: Final = 3.0
"""Seconds of honest calls before the crowd comes."""
REFUSED: Final = ("connections", "per_address", "handshakes")
CONNECTIONS: Final = 200
SHORT: Final[dict[str, Any]] = {
    "greeting": 2.0,
    "whole_frame": 1.0,
    "idle": 0.5,
    "pong": 1.0,
    "write": 0.5,
    "grace": 1.0,
}
"""For the suite, where nobody is refused: how many are at once is up to the clock."""
UNEXPECTED: Final = re.compile(
    r"crashed \((?!ConnectionLost|ProtocolError)|be taken|never retrieved|Exception ignored|Segmentation"
)
"""In what the gate logs."""
GUARD: Final = 60.0
"""Seconds for what takes less than one."""


@dataclass
class Outcome:
    """What a crowd did to a gate."""

    limits: Limits
    most: int
    seen: list[Seen] = field(default_factory=list[Seen])
    report: Report = field(default_factory=Report)
    state: State | None = None
    before: list[float] = field(default_factory=list[float])
    """Seconds of honest calls."""
    during: list[float] = field(default_factory=list[float])
    first: int = 0
    """Bytes of the gate's process before the crowd came."""
    peak: int = 0
    last: int = 0
    said: str = ""
    """By the gate, on stderr."""
    wrong: list[str] = field(default_factory=list[str])

    def limit_of(self, seen: Seen) -> str:
        """To which it came."""
        return self.report.ends.get(seen.address, ("none", 0.0))[0]

    def seconds(self, limit: str) -> float:
        """That a client has which comes to this limit."""
        if limit == "idle, pong":
            return self.limits.idle + self.limits.pong
        return float(getattr(self.limits, limit)) if limit in ("greeting", "whole_frame", "write") else 0.0

    def took(self, seen: Seen) -> float | None:
        """Seconds until it was out. Who doesn't read can't see it: of him the gate knows when."""
        if seen.out is None:
            return None
        deaf = seen.kind == "deaf" and self.limit_of(seen) == "write"
        return (self.report.ends[seen.address][1] if deaf else seen.out) - seen.since

    # -- the verdict -----------------------------------------------------------------------------------------------------------

    def mistakes(self) -> list[str]:
        """What may not be, whatever the clock says."""
        wrong = [*self.wrong]
        for seen in self.seen:
            limit = self.limit_of(seen)
            if seen.out is None:
                wrong.append(f"{seen.kind} at {seen.address} is still in")
            elif limit not in {*MAY_REACH[seen.kind], *REFUSED}:
                wrong.append(f"{seen.kind} at {seen.address} came to the limit {limit!r}")
        if self.peak - self.first > self.most:
            grew, most = (self.peak - self.first) / 1e6, self.most / 1e6
            wrong.append(f"the gate's process grew by {grew:.1f} MB; at most {most:.0f} may be")
        if self.state is None or not self.state.balanced or not self.report.balanced or self.report.undone:
            wrong.append(f"the account doesn't balance: {self.state}, {self.report.undone} without an end")
        wrong += [f"left in the gate's process: {each}" for each in self.report.left]
        wrong += [f"the gate says: {line}" for line in self.said.splitlines() if UNEXPECTED.search(line)]
        return wrong

    def delays(self) -> list[str]:
        """What took too long."""
        wrong: list[str] = []
        for seen in self.seen:
            took, limit = self.took(seen), self.limit_of(seen)
            if took is not None and took > self.seconds(limit) + GRACE:
                wrong.append(f"{seen.kind} at {seen.address} was out after {took:.2f} s; {limit}: {self.seconds(limit):g} s")
        if percentile(self.during, 99) > TIMES * percentile(self.before, 99):
            wrong.append(f"an honest call's p99 is more than {TIMES} times its own before")
        return wrong

    def lines(self) -> list[str]:
        """As a table."""
        limits = Counter((seen.kind, self.limit_of(seen)) for seen in self.seen)
        names = sorted({limit for _, limit in limits})
        took: dict[str, list[float]] = defaultdict(list)
        for seen in self.seen:
            took[self.limit_of(seen)].append(self.took(seen) or 0.0)
        found = [f"  {'out by':<13}" + "".join(f"{kind:>10}" for kind in KINDS) + f"{'limit':>10}{'p50':>10}{'worst':>10}"]
        for name in names:
            row = f"  {name:<13}" + "".join(f"{limits[kind, name] or '':>10}" for kind in KINDS)
            found.append(f"{row}{self.seconds(name):>8g} s{statistics.median(took[name]):>8.3f} s{max(took[name]):>8.3f} s")
        for name, calls in (("before", self.before), ("meanwhile", self.during)):
            ms = [percentile(calls, each) * 1e3 for each in (50, 99, 100)]
            text = "  honest calls {:<9} {:>6}: p50 {:.2f} ms, p99 {:.2f} ms, worst {:.2f} ms"
            found.append(text.format(name, len(calls), *ms))
        ratio = percentile(self.during, 99) / percentile(self.before, 99)
        found.append(f"  p99 meanwhile : before = {ratio:.1f} (at most {TIMES})")
        peak, last = (self.peak - self.first) / 1e6, (self.last - self.first) / 1e6
        found.append(f"  memory: {self.first / 1e6:.1f} MB, at most {peak:+.1f} MB, afterwards {last:+.1f} MB")
        return found


def percentile(values: Sequence[float], of: int) -> float:
    """Of 100: the largest."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * of // 100)]


# -- a run ---------------------------------------------------------------------------------------------------------------------


@contextmanager
def no_log() -> Generator[None]:
    """Of links that come and go, as asked for."""
    logger = logging.getLogger("supervise")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


@asynccontextmanager
async def process(module: str, *arguments: object, **how: Any) -> AsyncGenerator[Process]:
    """A module of this folder; it is killed if it hasn't ended."""
    words = [sys.executable, "-m", f"tests.remote.{module}", *map(str, arguments)]
    started = await anyio.open_process(words, cwd=ROOT, **how)
    try:
        yield started
    finally:
        with anyio.CancelScope(shield=True):
            if started.returncode is None:
                started.kill()
            await started.wait()
            await started.aclose()


async def line_of(started: Process) -> str:
    """One line that it prints."""
    assert started.stdout is not None
    said, text = "", TextReceiveStream(started.stdout)
    while not said.endswith("\n"):
        said += await text.receive()
    return said


def resident(pid: int) -> int:
    """Bytes of a process that are in memory; 0 where nobody says so."""
    statm = Path(f"/proc/{pid}/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0


async def run(plan: Plan, backend: str, *, tls: bool = False, before: float = BEFORE) -> Outcome:
    """One crowd at one gate."""
    limits = Limits(**plan.limits)
    outcome, plan.limits = Outcome(limits, MOST["tls" if tls else "tcp"]), asdict(limits)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="crowds-")))
        if tls:
            certify(folder)
            plan.folder = str(folder)
        with (folder / "errors").open("wb") as errors:
            door = await stack.enter_async_context(
                process(
                    "crowd_gate",
                    backend,
                    json.dumps(plan.limits),
                    *([folder] if tls else []),
                    stdin=subprocess.PIPE,
                    stderr=errors,
                )
            )
        with anyio.fail_after(GUARD):
            plan.port = int(await line_of(door))
        await _calls(plan, outcome, door.pid, before)
        assert door.stdin is not None
        await door.stdin.aclose()
        with anyio.fail_after(GUARD):
            report: dict[str, Any] = json.loads(await line_of(door))
            report["ends"] = {who: tuple(end) for who, end in report["ends"].items()}
            outcome.report = Report(**report)
            outcome.said = (folder / "errors").read_text(errors="replace")
            if await door.wait():
                outcome.wrong.append(f"the gate's process ended with {door.returncode}")
    return outcome


async def _calls(plan: Plan, outcome: Outcome, gate: int, before: float) -> None:
    """The honest caller, before the crowd and meanwhile."""
    tls = trusts(Path(plan.folder)) if plan.folder else None
    link = dial(f"tcp://localhost:{plan.port}", uses=[DOOR], tls=tls)
    async with Supervisor("web", link) as web, anyio.create_task_group() as group:
        far = DOOR.over(web.find(link))
        await far.options(timeout=GUARD).call(DoorApi.blob, plan.size)
        group.start_soon(_honest, far, outcome)
        calls, outcome.during = outcome.during, outcome.before
        await anyio.sleep(before)
        outcome.during, outcome.first = calls, resident(gate)
        group.start_soon(_weigh, gate, outcome)
        async with process("crowd_clients", json.dumps(asdict(plan)), stdin=subprocess.DEVNULL, stderr=None) as crowd:
            with anyio.fail_after(plan.seconds + 10 * GUARD):
                outcome.seen = [Seen(**each) for each in json.loads(await line_of(crowd))]
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True), anyio.move_on_after(GUARD):
            while True:
                state = outcome.state = await far.call(DoorApi.state)
                if state.balanced and (state.links, state.places, state.handshakes) == (1, 1, 0):
                    break
                await anyio.sleep(0.01)
        outcome.last = resident(gate)
        if outcome.state is None or (outcome.state.links, outcome.state.places, outcome.state.handshakes) != (1, 1, 0):
            outcome.wrong.append(f"the gate has more than its honest caller: {outcome.state}")


async def _honest(far: RemoteAddress[DoorApi], outcome: Outcome) -> None:
    last = 0
    while True:
        began = time.perf_counter()
        count = await far.call(DoorApi.count)
        outcome.during.append(time.perf_counter() - began)
        if count != last + 1:
            outcome.wrong.append(f"an honest call was answered with {count} after {last}")
        last = count
        await anyio.sleep(0.001)


async def _weigh(gate: int, outcome: Outcome) -> None:
    while True:
        outcome.peak = max(outcome.peak, resident(gate))
        await anyio.sleep(0.02)


def main(arguments: Sequence[str] | None = None) -> int:
    """1 if anything is wrong, 0 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tests.remote.crowds", description="A crowd of clients that mean no good.")
    parser.add_argument("--each", type=int, default=500, help="clients of each kind (default: 500)")
    parser.add_argument("--seconds", type=float, help="over which they come (default: 125 a second, of TLS 50)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    parser.add_argument("--wire", choices=("tcp", "tls"), default="tcp")
    parser.add_argument("--connections", type=int, default=CONNECTIONS, help=f"a limit of the gate (default: {CONNECTIONS})")
    parser.add_argument(
        "--asks", type=int, help=f"answers that a deaf client asks for (default: {Plan.asks}, of TLS twice that)"
    )
    parser.add_argument("--size", type=int, default=Plan.size, help=f"bytes of each of them (default: {Plan.size})")
    given = parser.parse_args(arguments)
    began = time.monotonic()
    rate = 125 if given.wire == "tcp" else 50  # a handshake of TLS is work for both sides
    seconds = given.each * len(KINDS) / rate if given.seconds is None else given.seconds
    limits = {"connections": given.connections}
    asks = given.asks or (Plan.asks if given.wire == "tcp" else 2 * Plan.asks)
    plan = Plan(0, given.each, given.seed, seconds, limits, asks=asks, size=given.size)
    with no_log():
        outcome = anyio.run(lambda: run(plan, given.backend, tls=given.wire == "tls"), backend=given.backend)
    wrong = [*outcome.mistakes(), *outcome.delays()]
    took = time.monotonic() - began
    print(f"{len(outcome.seen)} clients on {given.backend} over {given.wire}, seed {given.seed}, {took:.0f} s")
    print(*outcome.lines(), sep="\n")
    print(*[f"FAILED: {line}" for line in wrong[:20]], sep="\n", end="\n" if wrong else "")
    if len(wrong) > 20:
        print(f"… and {len(wrong) - 20} more")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
