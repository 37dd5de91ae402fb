"""Whatever happens, in whatever order: the promises hold in plays that hypothesis makes up.

Tested, in trees of any strategy with a nested supervisor, with senders and callers that wait, time out and are cancelled,
crashes, kills, stops, slow handlers, small mailboxes of all policies, with lanes of both choices, pauses, concurrent handlers,
redelivery with and without a wait, errors that are answers, callers who take their handler along, quarantines, paced restarts,
first starts that are tried again or hang, weak addresses, timers, messages that are dropped, starts that fail, subtrees that
come and go:
- promise 1, SEMANTICS 21: each accepted message has exactly one end; every mailbox and the tree balance at every step
- promise 2, SEMANTICS 13, 14, 17: one sender's order is kept, nothing is handled twice (unless redelivery was asked for), no
  two lives and no two handlers of an actor overlap (but those that are marked), and a send that failed or was cancelled was
  never accepted
- promise 3: no call outlives its callee: each caller has got exactly one outcome when the tree has ended
- promise 7: nothing is left when the tree has ended
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any, Final

import anyio
import anyio.lowlevel
import pytest
from anyio.streams.memory import MemoryObjectReceiveStream
from hypothesis import given
from tenacity import wait_fixed

from supervise import (
    Account,
    ActorCrashed,
    ActorRestarting,
    ActorStopped,
    Address,
    CallCycle,
    Child,
    Intensity,
    MailboxClosed,
    MailboxFull,
    MessageDropped,
    Redeliver,
    Restart,
    RunningSupervisor,
    SendTimeout,
    StrategyError,
    SuperviseError,
    Supervisor,
    WeakAddress,
    child,
)
from supervise.events import Decided, Event
from supervise.testing import left_over, virtual_time
from tests.doubles import Boom

from .generators import ACTORS, SENDERS, Cancel, Cast, Disturb, FailStart, Part, Pass, Say, Step, casts, steps
from .stage import Answer, Factory, Line, Player, Stage

OK: Final = "ok"
CANCELLED: Final = "cancelled"
OUTCOMES: Final = (
    ActorCrashed, ActorRestarting, ActorStopped, Answer, Boom, CallCycle, ExceptionGroup, MailboxClosed, MailboxFull,
    MessageDropped, TimeoutError,
)  # fmt: skip
NEVER_BEGUN: Final = (ActorRestarting, MailboxClosed, MailboxFull, MessageDropped, SendTimeout)
LONG_AFTER: Final = 1e5


class Sender:
    """One task that writes, one message after the other."""

    def __init__(self, number: int, native: bool, parts: tuple[Part, ...]) -> None:
        self.number = number
        self.parts = parts
        self._native = native
        self.outcomes: dict[int, tuple[Say, Any]] = {}
        self._scope: anyio.CancelScope | None = None
        self._task: asyncio.Task[Any] | None = None
        self._told, self._jobs = anyio.create_memory_object_stream[tuple[int, Say, Address[Player], Address[Player]]](1000)
        self._count = 0

    def tell(self, say: Say, to: Address[Player], then: Address[Player]) -> None:
        self._told.send_nowait((self._count, say, to, then))
        self._count += 1

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
        elif self._scope is not None:
            self._scope.cancel()

    def has_lanes(self, say: Say) -> bool:
        return self.parts[say.to].lanes != "none"

    def finish(self) -> None:
        self._told.close()

    async def run(self) -> None:
        jobs: MemoryObjectReceiveStream[Any] = self._jobs
        async with jobs:
            async for n, say, to, then in jobs:
                outcome: Any = CANCELLED
                if self._native:
                    self._task = asyncio.create_task(self._outcome(n, say, to, then))
                    await asyncio.wait([self._task])
                    outcome = CANCELLED if self._task.cancelled() else self._task.result()
                    self._task = None
                else:
                    with anyio.CancelScope() as self._scope:
                        outcome = await self._outcome(n, say, to, then)
                    self._scope = None
                assert n not in self.outcomes
                self.outcomes[n] = (say, outcome)

    async def _outcome(self, *what: Any) -> Any:
        try:
            await self._write(*what)
        except OUTCOMES as error:
            return type(error)
        return OK

    async def _write(self, n: int, say: Say, to: Address[Player], then: Address[Player]) -> None:
        line = Line(self.number, n, say.deed, say.seconds, then)
        handler: Any = Player.play_at_once if say.deed == "note at once" else Player.play
        if say.deed.startswith("beside"):
            handler = Player.play_beside
        lane = "urgent" if say.urgent and self.has_lanes(say) else None
        by: Address[Player] | WeakAddress[Player] = to.weak if say.weak else to
        if say.way in ("call in time", "send in time"):
            by = by.options(timeout=say.seconds, lane=lane)
        elif say.way == "call or fail":
            by = by.options(on_restart="fail", lane=lane)
        elif lane is not None:
            by = by.options(lane=lane)
        if say.way == "try_send":
            by.try_send(handler, line)
        elif say.way in ("send", "send in time"):
            await by.send(handler, line)
        else:
            assert await by.call(handler, line) == n


class Play:
    """One example, from the first start to the last end."""

    def __init__(self, backend: str, cast: Cast, steps: list[Step]) -> None:
        self.cast = cast
        self.steps = steps
        self.stage = Stage()
        self.senders = [Sender(number, cast.native and backend == "asyncio", cast.parts) for number in range(SENDERS)]
        self.addresses: list[Address[Player]] = []
        self.subtrees: list[tuple[RunningSupervisor, RunningSupervisor]] = []
        """What was started below whom while the tree ran."""
        self.grown = 0
        self.account: Callable[[], Account] = Account

    def tree(self) -> Supervisor:
        a, b, c, d = (self.part(number) for number in range(4))
        inner = Supervisor(
            "inner", c, d, strategy=self.cast.inner_strategy, intensity=Intensity(self.cast.inner_intensity, per=5)
        )
        return Supervisor(
            "app", a, b, inner, strategy=self.cast.strategy, intensity=Intensity(100_000, per=5), listener=self.hear
        )

    def part(self, number: int, name: str | None = None) -> Child[Player]:
        part = self.cast.parts[number]
        factory = Factory(self.stage, part)
        make: Callable[[], Any] = factory.at_once
        if part.slow_start:
            make = factory.around if part.managed else factory.later
        temporary = part.restart == "temporary"
        wait = None if temporary or not part.wait else wait_fixed(part.wait)
        limit = None if part.limit is None or temporary else Intensity(part.limit, per=5)
        by_addresses = part.lives_by_addresses and part.restart != "permanent"
        counted = part.counted and wait is not None and limit is None
        return child(
            make,
            name=ACTORS[number].split("/")[-1] if name is None else name,
            restart=Restart(part.restart, wait=wait, counted=counted),  # type: ignore[arg-type]  # a name will do
            capacity=part.capacity,
            overflow=part.overflow,
            lanes=() if part.lanes == "none" else ("urgent", "normal"),
            choice="fair" if part.lanes == "fair" else "strict",
            redeliver=Redeliver(part.redeliver, wait=wait_fixed(part.redeliver_wait)),
            expects=(Answer,),
            on_error=part.on_error,
            on_cancel=part.on_cancel,
            quarantine=None if temporary else part.quarantine,
            retry_start=part.retry_start and not temporary,
            start_within=part.start_within,
            drain=part.drain,
            handler_deadline=part.handler_deadline,
            limit=limit,
            lifetime="addresses" if by_addresses else "supervisor",
        )

    async def run(self) -> None:
        watch = left_over.watch()
        for number, part in enumerate(self.cast.parts):
            self.stage.failing[f"app/{ACTORS[number]}"] = self.fails_first(part, below=ACTORS[number].startswith("inner/"))
        with anyio.fail_after(LONG_AFTER):
            async with anyio.create_task_group() as audience:
                for sender in self.senders:
                    audience.start_soon(sender.run)
                async with self.tree() as app:
                    self.account = app.account
                    self.addresses = [app.find(path) for path in ACTORS]
                    for step in self.steps:
                        await self.take(step, app, audience.start_soon)
                        self.check()
                        await anyio.lowlevel.checkpoint()
                        self.check()
                    for address in self.addresses:
                        with refusals():
                            address.resume()
                    await virtual_time.at_rest()
                    self.check()
                for sender in self.senders:
                    sender.finish()
        self.check_end()
        assert watch.left(collect=False) == []

    def fails_first(self, part: Part, *, below: bool) -> int:
        """How many of its first starts fail, and are tried again, without spending anybody's patience.

        `below`: it is a child of a supervisor whose intensity may be small.
        """
        if part.restart == "temporary" or not part.retry_start:
            return 0
        if part.limit is not None:
            return min(part.fails_first, part.limit)
        paced = part.wait > 0 and not part.counted
        return part.fails_first if paced or not below or self.cast.inner_intensity > 1 else 0

    async def take(self, step: Step, app: RunningSupervisor, start_soon: Callable[..., object]) -> None:
        match step:
            case Say():
                for _ in range(step.times):
                    self.senders[step.sender].tell(step, self.addresses[step.to], self.addresses[step.then])
            case Cancel():
                self.senders[step.sender].cancel()
            case FailStart():
                self.stage.failing[f"app/{ACTORS[step.actor]}"] += 1
            case Pass(seconds=0.0):
                await virtual_time.at_rest()
            case Pass():
                await anyio.sleep(step.seconds)
            case Disturb(what="kill" | "kill inner"):
                with refusals():
                    app.kill(ACTORS[step.actor] if step.what == "kill" else "inner")
            case Disturb(what="pause" | "resume" | "drop"):
                address = self.addresses[step.actor]
                with refusals():
                    if step.what == "drop":
                        address.drop(lambda message: bool(message.args) and getattr(message.args[0], "n", 1) % 2 == 0)
                    else:
                        getattr(address, step.what)()
            case Disturb(what="stop" | "ping"):
                start_soon(self.control, step)
            case Disturb(what="operator stop" | "operator start" | "operator restart" | "operator limit" | "start one more"):
                start_soon(self.operate, step, app)
            case Disturb(what="start a subtree"):
                start_soon(self.start_subtree, step, app)
            case Disturb(what="end a subtree"):
                start_soon(self.end_subtree, step)
            case Disturb():
                start_soon(self.disturb, step, app)

    async def control(self, step: Disturb) -> None:
        with refusals():
            await getattr(self.addresses[step.actor], step.what)()

    async def operate(self, step: Disturb, app: RunningSupervisor) -> None:
        ada, path = app.operator("ada"), ACTORS[step.actor]
        with refusals():
            if step.what == "operator limit":
                await ada.change(path, limit=Intensity(2, per=5))
            elif step.what == "start one more":
                one = self.part(step.actor)
                more = await app.start(one.factory, name=f"more-{len(self.addresses)}")
                self.addresses.append(more)
                await more.send(Player.tick)
            else:
                await getattr(ada, step.what.removeprefix("operator "))(path)

    async def start_subtree(self, step: Disturb, app: RunningSupervisor) -> None:
        """Two actors below a supervisor that the running tree, or its inner supervisor, didn't have before."""
        self.grown += 1
        eve, fay = self.part(step.actor, "eve"), self.part((step.actor + 1) % len(ACTORS), "fay")
        branch = Supervisor(f"grown-{self.grown}", eve, fay, intensity=Intensity(self.cast.inner_intensity, per=5))
        with refusals():
            parent = app.supervisor("inner") if ACTORS[step.actor].startswith("inner/") else app
            first = self.cast.parts[step.actor]
            self.stage.failing[f"{parent.path}/{branch.name}/eve"] = self.fails_first(first, below=True)
            subtree = await parent.start_child(branch)
            self.subtrees.append((parent, subtree))
            there = [subtree.find(eve), subtree.find(fay)]
            self.addresses += there
            for address in there:
                await address.send(Player.play, Line(-1, self.grown, "begin a task", 0.5, None))

    async def end_subtree(self, step: Disturb) -> None:
        """In one of the ways in which that can be done, and its name is free again."""
        if self.subtrees:
            parent, subtree = self.subtrees.pop(step.actor % len(self.subtrees))
            with refusals():
                if step.actor % 2:
                    await subtree.stop()
                else:
                    await parent.terminate_child(subtree)
                    await parent.delete_child(subtree.name)

    async def disturb(self, step: Disturb, app: RunningSupervisor) -> None:
        branch, _, name = ACTORS[step.actor].rpartition("/")
        with refusals():
            supervisor = app.supervisor(branch) if branch else app
            await getattr(supervisor, f"{step.what}_child")(name)

    def hear(self, event: Event) -> None:
        """A listener that looks back into the tree: it is told when the state is whole."""
        unbalanced = [address.path for address in self.addresses if not address.account().balanced]
        if isinstance(event, Decided):
            rule, ordinal = event.decision.rule, event.decision.ordinal
            self.stage.effects["quarantine"] += rule.startswith("quarantine=")
            retried = rule.startswith("its first start failed") and bool(ordinal)
            self.stage.effects["retried start"] += retried
            self.stage.effects["supervisor's start that waits"] += retried and event.supervisor != "app"
            self.stage.effects["paced restart"] += ordinal.endswith(", paced")
        if unbalanced:
            self.stage.complaints.append(f"at {event} these didn't balance: {unbalanced}")

    def check(self) -> None:
        """What holds at every instant."""
        accounts = [address.account() for address in self.addresses]
        assert [account for account in accounts if not account.balanced] == []
        total = self.account()
        assert total == sum_of(accounts)
        assert self.stage.complaints == []

    def check_end(self) -> None:
        """What holds when all is over."""
        self.check()
        total = self.account()
        assert (total.queued, total.in_hand) == (0, 0)
        assert self.stage.left() == []
        for sender in self.senders:
            self.check_sender(sender)
            self.stage.effects["reply"] += sum(outcome in (Boom, ExceptionGroup) for _, outcome in sender.outcomes.values())

    def check_sender(self, sender: Sender) -> None:
        mine = [(path, n) for path, number, n in self.stage.begun if number == sender.number]
        begun = Counter(n for _, n in mine)
        ended = Counter(n for number, n in self.stage.ended if number == sender.number)
        redelivered = {n for n, (say, _) in sender.outcomes.items() if self.cast.parts[say.to].redeliver}
        assert [n for n, times in begun.items() if times > 1 and n not in redelivered] == []
        for n in redelivered:  # to be in hand when another one ends a life is free once
            assert begun[n] <= 2 + self.cast.parts[sender.outcomes[n][0].to].redeliver, "it was tried too often"
        assert [n for n, times in ended.items() if times > 1 and n not in redelivered] == []
        # One sender's order is kept in each lane; what runs beside others is only handed over in order.
        for where in {(path, self.lane_of(sender, n)) for path, n in mine}:
            seen = list(dict.fromkeys(n for path, n in mine if (path, self.lane_of(sender, n)) == where))
            assert where[1] is None or seen == sorted(seen), f"{where} handled sender {sender.number} in the order {seen}"
        for n, (say, outcome) in sender.outcomes.items():
            if say.deed == "relay" and self.cast.parts[say.to].on_error == "reply":
                continue  # what it got may be what another actor answered
            if n in redelivered:
                continue  # at least once, as it was asked for; whether it was told so is what the account says
            is_send = "send" in say.way
            if (is_send and outcome is not OK) or outcome in NEVER_BEGUN:
                assert begun[n] == 0, f"{say} ended with {outcome}, and was handled"
            elif outcome is OK and not is_send:
                assert ended[n] == 1, f"{say} was answered, and never handled"
            elif outcome in (Answer, Boom, ExceptionGroup):
                assert (begun[n], ended[n]) == (1, 0)

    def lane_of(self, sender: Sender, n: int) -> str | None:
        """The lane that a message came through; None: no order is promised."""
        said = sender.outcomes.get(n)
        if said is None or said[0].deed.startswith("beside"):
            return None
        return "urgent" if said[0].urgent and sender.has_lanes(said[0]) else "normal"


def refusals() -> AbstractContextManager[None]:
    """What the tree may say to a change that comes at a bad time."""
    return suppress(StrategyError, SuperviseError)


def sum_of(accounts: list[Account]) -> Account:
    total = Account()
    for account in accounts:
        total = total.plus(account)
    return total


EFFECTS: Counter[str] = Counter()
"""How often each option took effect, in all plays of this process."""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(cast=casts, steps=steps)
def test_the_promises_hold_whatever_happens(backend: str, cast: Cast, steps: list[Step]) -> None:
    logging.getLogger("supervise").setLevel(logging.CRITICAL)  # thousands of crashes, as asked for
    play = Play(backend, cast, steps)
    try:
        virtual_time.run(backend, play.run)
    finally:
        EFFECTS.update(play.stage.effects)
        logging.getLogger("supervise").setLevel(logging.NOTSET)
