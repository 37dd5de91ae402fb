"""Connections that end in every way: each call ends, what was sent keeps its order, and nothing is lost but what is counted.

    python -m tests.remote.faults --faults 200 --seed 1 --backend trio --wire tls

A shop runs in a process of its own, behind a proxy of this one. Several senders number what they send and ask, and the shop
appends what it handles to a file. Then the shop is killed, or stopped, or the proxy resets, holds back, or cuts. After each
fault: calls that were open have ended within the limits; all is quiet again, with all credit back, balanced accounts and no
file more than before; and what is in the file goes together with what the senders know. It exits with 1 if anything doesn't.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from itertools import cycle, islice
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias

import anyio
from anyio.abc import Process, TaskGroup
from tenacity import wait_random

from supervise import ActorRestarting, MailboxFull, Supervisor
from supervise.errors import OutcomeUnknown
from supervise.remote.dial import dial
from supervise.remote.limits import Limits
from supervise.remote.link import Link
from supervise.testing import left_over
from supervise.wire.remote_address import RemoteAddress
from tests.house import ROOT

from .fault_ledger import Asked, End, Ledger
from .fault_proxy import Pair, Proxy
from .fault_shop import CAPACITY, NOTES, NotesApi, Report, certify, files, trusts

KIB: Final = 1024
SENDERS: Final = 4
ASKERS: Final = 12
SIZES: Final = (0, 0, 10, 10, 500, 500, 5000, 20_000)
UNEXPECTED: Final = re.compile(r"crashed \((?!ConnectionLost)|ProtocolError|never retrieved|Exception ignored|Segmentation")
"""In what the shop logs."""
ANYIOS: Final = re.compile(r"callback Future.set_result\(None\): InvalidStateError")
"""What asyncio says when bytes come in at a unix socket in the very turn in which its reader is cancelled: anyio gives the loop
the future's `set_result` itself. Nothing comes of it.
"""
DEADLINES: Final = 0.2
"""Seconds that a caller may get its `TimeoutError` late, beside what the loop is late."""
STARTS: Final = 2.0
"""Seconds that a process has to begin in; a guard is ten times of it."""
SHORT: Final[dict[str, Any]] = {
    "connect": 1.0,
    "greeting": 0.5,
    "whole_frame": 0.5,
    "idle": 0.25,
    "pong": 0.5,
    "write": 0.5,
    "grace": 1.0,
}


class Wrong(Exception):
    """What may not be."""


async def fact(check: Callable[[], object], expected: float, what: str) -> None:
    """Wait until it is so. `Wrong` after ten times the seconds that it should take."""
    until = anyio.current_time() + 10 * expected
    while not check():
        if anyio.current_time() >= until:
            raise Wrong(f"{what}: not within {10 * expected:.0f} s")
        await anyio.sleep(0.002)  # what happens in other processes and in the kernel tells nobody


def sum_of(limits: Limits) -> float:
    """Seconds after which a connection that fell silent is over, whatever was under way: each limit, and two looks at it."""
    shortest = min(limits.whole_frame, limits.write, limits.pong, limits.idle)
    return limits.idle + limits.pong + limits.write + limits.whole_frame + shortest * 2 / 5


class Shop:
    """The process, one life after the other."""

    def __init__(self, folder: Path, backend: str, wire: str, chance: Random, *, short: bool) -> None:
        self.folder = folder
        self.wire = wire
        self.notes = folder / "notes"
        self.errors = folder / "errors"
        self.limits = Limits()
        self.files: int | None = None
        """That it had open when it was quiet for the first time."""
        self.short = short
        self._backend, self._chance = backend, chance
        self._process: Process | None = None
        self._read = 0

    async def start(self) -> int:
        """With other limits each time. Returns its port, when it is up."""
        chance = self._chance
        if self.short:
            frame = chance.choice([32, 64]) * KIB
            sizes = {
                name: frame + chance.choice([256, 4 * KIB, 192 * KIB]) for name in ("call_bytes", "send_bytes", "out_bytes")
            }
            calls, depth = chance.choice([1, 2, 4, 16, 64]), chance.choice([1, 4, 8])
            self.limits = Limits(frame=frame, calls=calls, depth=depth, **sizes, **SHORT)
        self.files = None
        arguments = [self.notes, self._backend, json.dumps(asdict(self.limits)), self.wire, self.folder]
        with self.errors.open("ab") as errors:
            self._process = await anyio.open_process(
                [sys.executable, "-m", "tests.remote.fault_shop", *map(str, arguments)],
                stdin=subprocess.PIPE,  # its end is ours: then it ends, too
                stderr=errors,
                cwd=ROOT,
            )
        assert self._process.stdout is not None
        said = b""
        with anyio.move_on_after(10 * STARTS):
            while not said.endswith(b"\n"):
                said += await self._process.stdout.receive()
        if not said:
            raise Wrong(f"the shop didn't begin: {self.errors.read_text()[-1000:]}")
        return int(said)

    def send(self, number: signal.Signals) -> None:
        """To this process alone, by its id, and only as long as it is ours."""
        if self._process is None or self._process.returncode is not None:
            raise Wrong("the shop's process has ended by itself")
        self._process.send_signal(number)

    async def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with anyio.CancelScope(shield=True):
                if process.returncode is None:
                    process.kill()
                await process.wait()
                await process.aclose()

    def new_notes(self) -> list[tuple[int, int]]:
        """Since the last time. A line is written at once, so each is whole."""
        if not self.notes.exists():
            return []
        with self.notes.open("rb") as notes:
            notes.seek(self._read)
            text = notes.read()
        self._read += len(text)
        lines = (line.split() for line in text.decode().splitlines())
        return [(int(sender), int(number)) for sender, number in lines]


class Scene:
    """The shop, the proxy, the caller's tree, and who sends."""

    def __init__(self, shop: Shop, proxy: Proxy, app: Any, link: Link, far: RemoteAddress[NotesApi], chance: Random) -> None:
        self.shop, self.proxy, self.app, self.link, self.far, self.chance = shop, proxy, app, link, far, chance
        self.ledger = Ledger()
        self.late = 0.0  # by how much this loop was late, at worst
        self.first: float | None = None
        """When the first call was answered on a connection that came after `since`."""
        self.since = 0
        self.sending = anyio.Event()
        self.at_work = 0
        self.files = 0
        self.answers = 0
        self.wrong: list[str] = []
        self._hook()

    def _hook(self) -> None:
        """See what goes out on which connection, and what is said at its end."""
        link: Any = self.link
        up, down, write = link.up, link.down, link._write

        def hooked_up(*args: Any) -> None:
            self.ledger.up()
            up(*args)

        def hooked_down(why: str) -> Any:
            lost = down(why)
            self.ledger.down(why, lost)
            return lost

        def hooked_write(outgoing: Any) -> None:
            if outgoing.answer is not None:
                write(outgoing)
                return
            before = link.unconfirmed
            write(outgoing)
            if link.unconfirmed > before:
                self.ledger.written(outgoing.message.args[:2])

        link.up, link.down, link._write = hooked_up, hooked_down, hooked_write

    # -- who sends -----------------------------------------------------------------------------------------------------

    async def look_at_the_clock(self) -> None:
        """How late this loop is: that is nobody's fault."""
        while True:
            began = anyio.current_time()
            await anyio.sleep(0.02)
            self.late = max(self.late, anyio.current_time() - began - 0.02)

    async def sends(self, sender: int, chance: Random, *, only_asks: bool) -> None:
        """Numbered messages, one after the other, as long as all may send."""
        number = 0
        while True:
            if not self.sending.is_set():
                await self.sending.wait()
            self.at_work += 1
            try:
                for _ in range(chance.choice([1, 1, 1, 2, 20, 60]) if not only_asks else 1):
                    number += 1
                    await (self._ask if only_asks else self._any)(sender, number, chance)
            finally:
                self.at_work -= 1
            await anyio.sleep(chance.random() * 0.01 if not only_asks else 0)

    async def _any(self, sender: int, number: int, chance: Random) -> None:
        if chance.random() < 0.1:
            await self._ask(sender, number, chance)
            return
        asked = self._begins(sender, number, call=False)
        data = bytes(chance.choice(SIZES))
        try:
            if chance.random() < 0.1:
                self.far.try_send(NotesApi.note, sender, number, data)
            else:
                with anyio.move_on_after(chance.random() * 0.01 if chance.random() < 0.1 else 1e6) as scope:
                    await self.far.send(NotesApi.note, sender, number, data)
                if scope.cancelled_caught:
                    self._ends(asked, End.REFUSED)
                    return
        except MailboxFull:
            self._ends(asked, End.REFUSED)
            await anyio.sleep(0.001)
        else:
            self._ends(asked, End.SENT)

    async def _ask(self, sender: int, number: int, chance: Random) -> None:
        way, far = chance.random(), self.far
        asked = self._begins(sender, number, call=True)
        life = len(self.ledger.lives) and self.ledger.made
        if way < 0.2:
            asked.seconds = chance.choice([0.002, 0.01, 0.05, 0.3, 2])
            far = far.options(timeout=asked.seconds)
        elif way < 0.25:
            far = far.options(on_restart="fail")
        elif way < 0.3:
            far = far.options(on_cancel="cancel")
        leaves = chance.random() * chance.choice([0.005, 0.1]) if 0.25 < way < 0.4 else 1e6
        try:
            with anyio.move_on_after(leaves) as scope:
                if chance.random() < 0.5:
                    answer = await far.call(NotesApi.note_slowly, sender, number, chance.random() * 0.02)
                else:
                    answer = await far.call(NotesApi.note, sender, number, bytes(chance.choice(SIZES)))
                if answer != number:
                    self.wrong.append(f"call {sender, number} was answered with {answer}")
            if scope.cancelled_caught:
                self._ends(asked, End.CANCELLED)
                return
        except OutcomeUnknown:
            self._ends(asked, End.UNKNOWN)
        except TimeoutError as error:
            self._ends(asked, End.TIMED_OUT)
            asked.certain = not getattr(error, "begun", False)
        except ActorRestarting:
            self._ends(asked, End.NOT_CONNECTED)
            await anyio.sleep(0.005)
        else:
            self._ends(asked, End.ANSWERED)
            self.answers += 1
            if self.first is None and max(life, self.ledger.made) > self.since and self.link.connection is not None:
                self.first = asked.ended

    def _begins(self, sender: int, number: int, *, call: bool) -> Asked:
        asked = self.ledger.asked[sender, number] = Asked((sender, number), anyio.current_time(), call)
        return asked

    def _ends(self, asked: Asked, end: End) -> None:
        asked.end, asked.ended = end, anyio.current_time()

    # -- what is waited for --------------------------------------------------------------------------------------------

    @property
    def limit(self) -> float:
        return max(sum_of(self.link.limits), sum_of(self.shop.limits))

    @property
    def patience(self) -> float:
        """Seconds in which the link should be up again: that, and the longest wait before it dials."""
        return self.limit + (1 if self.shop.short else 30)

    def is_down_since(self, life: int) -> bool:
        """Whether that connection has ended."""
        return self.ledger.made > life or self.link.connection is None

    async def traffic(self) -> int:
        """Wait until calls are answered and others are open. Returns the number of the connection."""
        self.answers = 0
        self.sending.set()
        await fact(lambda: self.link.connection is not None and self.answers > 3, self.limit, "calls are answered")
        is_busy = lambda: self.link.connection is not None and self.link.open_calls and self.link.unconfirmed  # noqa: E731
        await fact(is_busy, self.limit, "something is under way")
        return self.ledger.made

    def settled(self) -> bool:
        """Whether all credit is back here, and all messages have ended."""
        link, account = self.link, self.app.account()
        windows = [*link._calls, *link._sends.values()]
        return (
            not any(window.out or window.out_bytes or window.waiting for window in windows)
            and not link.is_busy
            and not link._held
            and bool(account.balanced and not account.queued and not account.in_hand)
        )

    async def quiet(self, *, killed: bool = False) -> list[str]:
        """Let all come to rest, and judge it."""
        self.sending = anyio.Event()
        limit = self.limit
        try:
            await fact(lambda: not self.at_work, limit, "each call has ended")
        except Wrong as hung:
            open_ones = [asked for asked in self.ledger.asked.values() if asked.end is None]
            raise Wrong(f"{hung}; open: {open_ones[:5]}; up: {self.link.connection is not None}") from None
        await fact(self.settled, limit, "all credit is back and the account balances")
        await fact(lambda: len(self.proxy.pairs) <= 1, limit, "connections that are over are closed")
        self.files = self.files or files()
        try:
            await fact(lambda: files() == self.files, limit, "files are closed")
        except Wrong as kept:
            raise Wrong(f"{kept}: {files()} are open, and {self.files} were") from None
        await self._at_rest_there(limit)
        late = [
            f"{asked.key} has ended {asked.ended - asked.began:.2f} s after it began, and its deadline was {asked.seconds} s"
            for asked in self.ledger.asked.values()
            if asked.ended is not None and asked.seconds is not None
            if asked.ended - asked.began - asked.seconds > DEADLINES + 3 * self.late
        ]
        whys = [life.why for life in self.ledger.lives if life.lost is not None]
        wrong = self.wrong + late + self.ledger.judge(self.shop.new_notes(), CAPACITY + 1 if killed else 0)
        errors = self.shop.errors.read_text(errors="replace")
        wrong += [f"the shop says: {line}" for line in errors.splitlines() if UNEXPECTED.search(line)]
        wrong += [f"a connection ended by this: {why}" for why in whys if "ConnectionLost" not in why]
        return wrong

    async def _at_rest_there(self, limit: float) -> None:
        """All that was accepted there is handled, and nothing of older connections is left."""
        until, report = anyio.current_time() + 10 * limit, Report(False, 0, 0)
        while anyio.current_time() < until:
            try:
                with anyio.fail_after(10 * limit):
                    report = await self.far.call(NotesApi.report)
            except OutcomeUnknown:
                continue
            except TimeoutError:
                break
            if report.balanced and report.links == 1 and self.shop.files is None:
                self.shop.files = report.files
            if report.balanced and report.links == 1 and report.files == self.shop.files:
                return
            await anyio.sleep(0.01)
        raise Wrong(f"the shop doesn't come to rest: {report}, and it had {self.shop.files} files open")


# -- the faults: each returns when the other side can be reached again, and says since when -----------------------------------


async def killed(scene: Scene, life: int) -> float:
    await scene.shop.kill()
    refused = scene.proxy.refused + scene.chance.choice([0, 0, 1, 3])
    await fact(lambda: scene.is_down_since(life), scene.limit, "the link sees that the shop is gone")
    await fact(lambda: scene.proxy.refused >= refused, scene.limit, "it dials again")
    scene.proxy.to = await scene.shop.start()
    return anyio.current_time()


async def stopped_shortly(scene: Scene, life: int) -> float:
    scene.since = 0  # the connection may live on
    scene.shop.send(signal.SIGSTOP)
    await anyio.sleep(scene.chance.random() * scene.shop.limits.pong)  # that long the fault lasts
    scene.shop.send(signal.SIGCONT)
    scene.first = None
    return anyio.current_time()


async def stopped(scene: Scene, life: int) -> float:
    scene.shop.send(signal.SIGSTOP)
    await fact(lambda: scene.is_down_since(life), scene.limit, "the link gives up a shop that has stopped")
    made = scene.proxy.made + scene.chance.choice([0, 1, 2])
    await fact(lambda: scene.proxy.made >= made, scene.patience, "it dials again")
    scene.shop.send(signal.SIGCONT)
    return anyio.current_time()


async def reset(scene: Scene, life: int) -> float:
    pair = the_pair(scene)
    pair.reset()
    return anyio.current_time()


async def closed(scene: Scene, life: int) -> float:
    """Without a word, but in order."""
    pair = the_pair(scene)
    await pair.near.aclose()
    return anyio.current_time()


def reset_with_bytes_under_way(*ways: str) -> Fault:
    """What the old connection still had comes before, while, or after the new one is made."""

    async def reset_near(scene: Scene, life: int) -> float:
        pair = the_pair(scene)
        pair.there.hold()
        enough = scene.chance.choice([1, 1000, 10_000])
        await fact(lambda: pair.there.waits > enough or scene.is_down_since(life), scene.limit, "bytes are under way")
        pair.reset_near()
        began = anyio.current_time()
        await let_through(scene, pair, life, *ways)
        return began

    return reset_near


def half_open(*, there: bool, back: bool) -> Fault:
    async def silent(scene: Scene, life: int) -> float:
        pair = the_pair(scene)
        if there:
            pair.there.hold()
        if back:
            pair.back.hold()
        await fact(lambda: scene.is_down_since(life), scene.limit, "a connection that is half open is given up")
        began = anyio.current_time()
        await let_through(scene, pair, life)
        return began

    return silent


def cut(*, back: bool) -> Fault:
    async def at_a_byte(scene: Scene, life: int) -> float:
        pair = the_pair(scene)
        pair.cut_after(scene.chance.choice([0, 1, 3, 4, 5, 20, 300, 3000]), back=back)
        await fact(lambda: pair.was_cut or scene.is_down_since(life), scene.limit, "the byte comes at which it is cut")
        return anyio.current_time()

    return at_a_byte


def the_pair(scene: Scene) -> Pair:
    if scene.proxy.pair is None:
        raise Wrong("the link is up, and has no connection through the proxy")
    return scene.proxy.pair


MADE, UP, AT_WORK, NEVER = WAYS = ("as it is made", "when it is up", "when it is at work", "never")


async def let_through(scene: Scene, pair: Pair, life: int, *ways: str) -> None:
    """What an old connection held back: as the new one is made, or when it is up, or is at work; or it is gone."""
    way = scene.chance.choice(ways or WAYS)
    if way == MADE:
        scene.proxy.on_made = lambda _: pair.there.release(end=False)
    await fact(lambda: scene.ledger.made > life and scene.link.connection is not None, scene.patience, "the link is up again")
    scene.proxy.on_made = lambda _: None
    if way == AT_WORK:
        await fact(lambda: scene.first is not None, scene.patience, "a call is answered again")
    if way == NEVER:
        pair.reset()
    else:
        pair.there.release(end=False)
        answers = scene.answers + 20
        await fact(lambda: scene.answers >= answers, scene.patience, "calls are answered meanwhile")
    pair.release()


Fault: TypeAlias = Callable[[Scene, int], Awaitable[float]]
FAULTS: Final[dict[str, Fault]] = {
    "SIGKILL": killed,
    "SIGSTOP, long": stopped,
    "RST": reset,
    "half-open, both ways": half_open(there=True, back=True),
    "RST, old bytes come at once": reset_with_bytes_under_way(MADE, UP),
    "RST, old bytes come later": reset_with_bytes_under_way(AT_WORK),
    "cut at a byte, there": cut(back=False),
    "SIGSTOP, short": stopped_shortly,
    "half-open, there": half_open(there=True, back=False),
    "cut at a byte, back": cut(back=True),
    "half-open, back": half_open(there=False, back=True),
    "closed": closed,
}
AT_DEFAULTS: Final = ("half-open, both ways", "SIGSTOP, long", "half-open, back")


# -- a run ---------------------------------------------------------------------------------------------------------------------


class Table:
    """What is printed."""

    def __init__(self) -> None:
        self.faults: Counter[str] = Counter()
        self.hangs: dict[str, list[float]] = defaultdict(list)
        self.back: dict[str, list[float]] = defaultdict(list)
        self.sums: Counter[str] = Counter()
        self.lives = 0

    def lines(self) -> list[str]:
        heads = f"  {'fault':<34}{'number':>7}{'longest hang':>14}{'first answer p50':>18}{'worst':>8}"
        found = [heads]
        for kind, number in self.faults.items():
            back = sorted(self.back[kind])
            hang, middle, worst = max(self.hangs[kind], default=0.0), median(back), back[-1]
            found.append(f"  {kind:<34}{number:>7}{hang:>12.3f} s{middle:>16.3f} s{worst:>6.3f} s")
        sums = self.sums
        calls = [End.ANSWERED, End.UNKNOWN, End.TIMED_OUT, End.CANCELLED, End.NOT_CONNECTED]
        found.append("  calls: " + ", ".join(f"{sums[end.value]} {end.value}" for end in calls))
        sends = ["noted", "lost", "unconfirmed", "confirmed, and died over there", "send refused"]
        found.append("  sends: " + ", ".join(f"{sums[name]} {name}" for name in sends))
        return [*found, f"  connections: {self.lives}"]


@asynccontextmanager
async def staged(backend: str, wire: str, chance: Random, group: TaskGroup, *, short: bool) -> AsyncGenerator[Scene]:
    """All of it, up; and down again."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="faults-")))
        if wire == "tls":
            certify(folder)
        shop, proxy = Shop(folder, backend, wire, chance, short=short), Proxy(folder if wire == "unix" else None)
        await group.start(proxy.run)
        stack.push_async_callback(proxy.stop)
        stack.push_async_callback(shop.kill)
        limits = Limits(calls=16, send_bytes=96 * KIB, **SHORT) if short else Limits()
        wait = wait_random(0.02, 0.15) if short else None
        where = f"unix://{folder / 'proxy.sock'}" if wire == "unix" else f"tcp://localhost:{proxy.port}"
        dialed = dial(where, uses=[NOTES], limits=limits, wait=wait, tls=trusts(folder) if wire == "tls" else None)
        app = await stack.enter_async_context(Supervisor("web", dialed))
        found = app.find(dialed)
        link = found._mailbox.mailbox.extras.carrier
        assert isinstance(link, Link)
        scene = Scene(shop, proxy, app, link, NOTES.over(found), chance)
        proxy.to = await shop.start()
        senders = await stack.enter_async_context(anyio.create_task_group())
        senders.start_soon(scene.look_at_the_clock)
        for sender in range(SENDERS + ASKERS):
            senders.start_soon(_sends, scene, sender, Random(chance.random()))
        yield scene
        senders.cancel_scope.cancel()


async def _sends(scene: Scene, sender: int, chance: Random) -> None:
    await scene.sends(sender, chance, only_asks=sender >= SENDERS)


async def one(scene: Scene, kind: str, name: str, table: Table) -> list[str]:
    """One fault, and what is wrong after it."""
    ledger, link = scene.ledger, scene.link
    scene.proxy.delay = scene.chance.choice([0, 0, 0.001, 0.01])
    life = await scene.traffic()
    scene.first, scene.since, scene.late = None, life, 0.0
    opened = [ledger.asked[key] for outgoing in link._flights.calls if (key := outgoing.message.args[:2]) in ledger.asked]
    limit, began = scene.limit, anyio.current_time()
    up_since = await FAULTS[kind](scene, life)
    await fact(lambda: scene.first is not None, scene.patience, "a call is answered again")
    assert scene.first is not None
    wrong = await scene.quiet(killed=kind == "SIGKILL")
    limit = max(limit, scene.limit)
    table.faults[name] += 1
    table.back[name].append(max(0.0, scene.first - up_since))
    for asked in opened:
        if asked.ended is None:
            wrong.append(f"call {asked.key} never ended")
            continue
        hang = max(0.0, asked.ended - began)
        table.hangs[name].append(hang)
        if hang > limit + 3 * scene.late:
            wrong.append(f"call {asked.key} hung for {hang:.2f} s; the limits add up to {limit:.2f} s")
    return wrong


async def play(scene: Scene, names: Sequence[tuple[str, str]], table: Table) -> list[str]:
    """These faults, until something is wrong."""
    name, number = "before the first", 0
    try:
        await scene.traffic()
        wrong = await scene.quiet()
        for number, (kind, name) in enumerate([] if wrong else names, 1):  # noqa: B007 - it is said which one it was
            wrong = await one(scene, kind, name, table)
            if wrong:
                break
    except Wrong as broken:
        wrong = [str(broken)]
    table.sums += scene.ledger.sums
    table.lives += scene.ledger.made
    return [f"fault {number}, {name}: {each}" for each in wrong]


async def run(faults: int, seed: int, backend: str, table: Table, kinds: Sequence[str], wire: str = "tcp") -> list[str]:
    """Returns what is wrong."""
    chance = Random(seed)
    at_defaults = min(len(AT_DEFAULTS), faults // 50)
    watch, files_before = left_over.watch(), files()
    plays = [
        (True, [(kind, kind) for kind in islice(cycle(kinds), faults - at_defaults)]),
        (False, [(kind, f"{kind} (defaults)") for kind in AT_DEFAULTS[:at_defaults]]),
    ]
    wrong: list[str] = []
    for short, names in plays:
        wrong = list[str]()
        if names:
            async with anyio.create_task_group() as group, staged(backend, wire, chance, group, short=short) as scene:
                wrong = await play(scene, names, table)
        if wrong:
            return wrong
    left = [each for each in watch.left() if wire != "unix" or not ANYIOS.search(each)]
    if files() > files_before:
        left.append(f"{files() - files_before} files")
    return [f"left at the end: {each}" for each in left]


def main(arguments: Sequence[str] | None = None) -> int:
    """1 if anything is wrong, 0 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tests.remote.faults", description="Connections that end in every way.")
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    parser.add_argument("--wire", choices=("tcp", "unix", "tls"), default="tcp")
    parser.add_argument("--only", choices=[*FAULTS], action="append", help="a kind of fault; several of them")
    options = parser.parse_args(arguments)
    table, began = Table(), time.monotonic()
    logger = logging.getLogger("supervise")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # of each connection that is lost
    try:
        kinds = options.only or [*FAULTS]
        wrong = anyio.run(
            run, options.faults, options.seed, options.backend, table, kinds, options.wire, backend=options.backend
        )
    finally:
        logger.setLevel(level)
    how = f"{options.backend}, over {options.wire}, seed {options.seed}"
    print(f"{sum(table.faults.values())} faults on {how}, {time.monotonic() - began:.0f} s")
    print(*table.lines(), sep="\n")
    print(*[f"FAILED: {line}" for line in wrong], sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
