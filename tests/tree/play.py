"""One play: actors, pools and senders to whom things happen, and what is looked at, at every step and at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any, Final

import anyio
import anyio.lowlevel
from tenacity import wait_fixed

from supervise import (
    Account,
    Address,
    Child,
    Intensity,
    Pool,
    Redeliver,
    Restart,
    RunningSupervisor,
    StrategyError,
    SuperviseError,
    Supervisor,
    child,
    pool,
    ref,
)
from supervise.events import Decided, Event, Stopped
from supervise.testing import left_over, virtual_time
from supervise_strategies.directives import Action
from tests.doubles import Boom

from .generators import (
    ACTORS,
    SENDERS,
    Cancel,
    Cast,
    Disturb,
    FailStart,
    Part,
    Pass,
    Resize,
    Say,
    Step,
    TurnTo,
)
from .pools import NoKey, neglected, pools_of
from .senders import NEVER_BEGUN, OK, Sender, is_stream
from .stage import TURNS_TO_ANOTHER, Answer, Factory, Line, Player, Stage, ask

LONG_AFTER: Final = 1e5
LONG: Final = 100.0
"""Virtual seconds in which whoever waits is answered, when nothing is held up."""


class Play:
    """One example, from the first start to the last end."""

    def __init__(self, backend: str, cast: Cast, steps: list[Step]) -> None:
        self.cast = cast
        self.steps = steps
        self.stage = Stage()
        native = cast.native and backend == "asyncio"
        self.senders = [Sender(number, native, cast.parts, self.worker, self.stage) for number in range(SENDERS)]
        self.addresses = self.stage.addresses
        self.subtrees: list[tuple[RunningSupervisor, RunningSupervisor]] = []
        """What was started below whom while the tree ran."""
        self.grown = 0
        self.app: Any = None
        self.described: list[Child[Player] | Pool[Player]] = []
        self.account: Callable[[], Account] = Account

    def tree(self) -> Supervisor:
        for number, name in enumerate(ACTORS):
            self.described.append(self.part(number, name.split("/")[-1], self.friend_of(number)))
        a, b, c, d = self.described
        inner = Supervisor(
            "inner", c, d, strategy=self.cast.inner_strategy, intensity=Intensity(self.cast.inner_intensity, per=5)
        )
        return Supervisor(
            "app", a, b, inner, strategy=self.cast.strategy, intensity=Intensity(100_000, per=5), listener=self.hear
        )

    def friend_of(self, number: int) -> Any:
        """Whose address its factory gets: an elder by its description, and a younger one, or itself, by a path.

        The path alone, for the factory to look up, if it may be forgotten. None: none, or it is below a younger supervisor,
        where it isn't found before that is started, or what the factory looks up would be its first and last strong address.
        """
        friend, path = self.cast.parts[number].friend, ACTORS[self.cast.parts[number].friend]
        if self.cast.parts[number].greeting == "nothing" or number < 2 <= friend:
            return None
        if not self.is_kept(friend) and self.cast.parts[friend].lives_by_addresses:
            return None
        if friend < len(self.described):
            return ref(self.described[friend]) if self.is_kept(friend) else self.described[friend]
        return ref(path.removeprefix("inner/")) if self.is_kept(friend) else path.removeprefix("inner/")

    def is_kept(self, number: int) -> bool:
        """Whether it is always found, whatever happens to it."""
        deleted = Disturb("delete", number) in self.steps
        return self.cast.parts[number].restart != "temporary" and not deleted

    def part(self, number: int, name: str, friend: Any = None) -> Child[Player] | Pool[Player]:
        part = self.cast.parts[number]
        factory = Factory(self.stage, part)
        make: Callable[..., Any] = factory.at_once
        if part.slow_start:
            make = factory.around if part.managed else factory.later
        temporary = part.restart == "temporary"
        wait = None if temporary or not part.wait else wait_fixed(part.wait)
        limit = None if part.limit is None or temporary else Intensity(part.limit, per=5)
        counted = part.counted and wait is not None and limit is None
        args = () if friend is None else (friend,)
        options: dict[str, Any] = {
            "name": name,
            "restart": Restart(part.restart, wait=wait, counted=counted),  # type: ignore[arg-type]  # a name will do
            "capacity": part.capacity,
            "overflow": part.overflow,
            "lanes": () if part.lanes == "none" else ("urgent", "normal"),
            "choice": "fair" if part.lanes == "fair" else "strict",
            "redeliver": Redeliver(part.redeliver, wait=wait_fixed(part.redeliver_wait)),
            "expects": (Answer,),
            "on_error": part.on_error,
            "on_cancel": part.on_cancel,
            "quarantine": None if temporary else part.quarantine,
            "retry_start": part.retry_start and not temporary,
            "start_within": part.start_within,
            "drain": part.drain,
            "handler_deadline": part.handler_deadline if part.concurrency is None else None,
            "limit": limit,
            "concurrency": part.concurrency,
        }
        if part.size:
            key = self.stage.keys.key_of if part.keyed else None
            return pool(make, *args, size=part.size, key=key, intensity=Intensity(part.pool_intensity, per=5), **options)
        by_addresses = part.lives_by_addresses and part.restart != "permanent"
        return child(make, *args, lifetime="addresses" if by_addresses else "supervisor", **options)

    async def run(self) -> None:
        watch = left_over.watch()
        for number, part in enumerate(self.cast.parts):
            path = f"app/{ACTORS[number]}"
            self.stage.failing[_first(path, part)] = self.fails_first(part, below=ACTORS[number].startswith("inner/"))
            self.stage.effects["pool"] += part.size > 0
        with anyio.fail_after(LONG_AFTER):
            async with anyio.create_task_group() as audience:
                for sender in self.senders:
                    audience.start_soon(sender.run)
                async with self.tree() as app:
                    self.app, self.account = app, app.account
                    self.addresses += [app.find(path) for path in ACTORS]
                    for step in self.steps:
                        await self.take(step, app, audience.start_soon)
                        self.check()
                        await anyio.lowlevel.checkpoint()
                        self.check()
                    await self.come_to_rest(app)
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
        intensity = self.cast.inner_intensity if below else 1000
        return part.fails_first if paced or (part.pool_intensity if part.size else intensity) > 1 else 0

    async def come_to_rest(self, app: RunningSupervisor) -> None:
        """Nothing is held up any more, so whoever waits is answered some time."""
        self.stage.failing.clear()
        for address in self.addresses:
            with refusals():
                address.resume()
        ada = app.operator("ada")
        for path in [f"{place.path}/{name}".removeprefix("app/") for place in pools_of(app) for name in place.places]:
            with refusals():
                app.find(path).resume()
                await ada.start(path)
        await virtual_time.at_rest()
        self.check(at_rest=True)
        waited: dict[int, int | None] = {}
        while any(sender.at_work is not None for sender in self.senders):
            await anyio.sleep(LONG)
            self.check()
            for sender in self.senders:
                n = sender.at_work
                assert n is None or waited.get(sender.number) != n, f"no answer within {LONG:g} s: {sender.at_work}"
                waited[sender.number] = n

    async def take(self, step: Step, app: RunningSupervisor, start_soon: Callable[..., object]) -> None:
        match step:
            case Say():
                for _ in range(step.times):
                    self.senders[step.sender].tell(step, self.addresses[step.to], self.addresses[step.then])
            case Cancel():
                self.senders[step.sender].cancel()
            case FailStart():
                self.stage.failing[_first(f"app/{ACTORS[step.actor]}", self.cast.parts[step.actor])] += 1
            case Pass(seconds=0.0):
                await virtual_time.at_rest()
                self.check(at_rest=True)
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
                start_soon(self.control, self.addresses[step.actor], step.what)
            case Disturb(what="instance"):
                start_soon(ask, self.stage, self.addresses[step.actor])
            case TurnTo():
                if self.cast.parts[step.actor].size:
                    self.turn_to(step, app, start_soon)
                    await virtual_time.at_rest()
                    self.check(at_rest=True)
            case Resize():
                start_soon(self.resize, step, app)
            case Disturb(what="operator stop" | "operator start" | "operator restart" | "operator limit" | "start one more"):
                start_soon(self.operate, step, app)
            case Disturb(what="start a subtree"):
                start_soon(self.start_subtree, step, app)
            case Disturb(what="end a subtree"):
                start_soon(self.end_subtree, step)
            case Disturb():
                start_soon(self.disturb, step, app)

    async def control(self, address: Address[Player], what: str) -> None:
        with refusals():
            await getattr(address, what)()

    def worker(self, number: int, n: int) -> Address[Player] | None:
        """One of the workers of a pool, if it is there now."""
        with refusals():
            if self.app.find(ACTORS[number]) in self.addresses:
                found: Address[Player] = self.app.find(f"{ACTORS[number]}/{1 + n % 3}")
                return found
        return None

    def turn_to(self, step: TurnTo, app: RunningSupervisor, start_soon: Callable[..., object]) -> None:
        path = f"{ACTORS[step.actor]}/{step.worker}"
        with refusals():
            address = app.find(path)
            if app.find(ACTORS[step.actor]) != self.addresses[step.actor]:
                return  # a temporary pool comes back with its supervisor, as another one, which nobody here counts
            if step.woken:
                self.addresses[step.actor].try_send(Player.tick)
            if step.what == "write":
                address.try_send(Player.tick)
            elif step.what == "kill":
                app.kill(path)
            elif step.what in ("pause", "resume"):
                getattr(address, step.what)()
            elif step.what in ("stop", "ping"):
                start_soon(self.control, address, step.what)
            elif step.what == "instance":
                start_soon(ask, self.stage, address)
            else:
                start_soon(self.disturb_at, path, step.what, app)

    async def disturb_at(self, path: str, what: str, app: RunningSupervisor) -> None:
        branch, _, name = path.rpartition("/")
        with refusals():
            if what.startswith("operator "):
                await getattr(app.operator("ada"), what.removeprefix("operator "))(path)
            else:
                supervisor = app.supervisor(branch) if branch else app
                await getattr(supervisor, f"{what}_child")(name)

    async def resize(self, step: Resize, app: RunningSupervisor) -> None:
        if self.cast.parts[step.actor].size:
            with refusals(), anyio.move_on_after(step.patience):
                await (app.operator("ada") if step.operator else app).resize(ACTORS[step.actor], step.size)
                self.stage.effects["resize"] += 1

    async def operate(self, step: Disturb, app: RunningSupervisor) -> None:
        ada, path = app.operator("ada"), ACTORS[step.actor]
        with refusals():
            if step.what == "operator limit":
                await ada.change(path, limit=Intensity(2, per=5))
            elif step.what == "start one more":
                more = await app.start_child(self.part(step.actor, f"more-{len(self.addresses)}"))
                self.addresses.append(more)
                await more.send(Player.tick)
            else:
                await getattr(ada, step.what.removeprefix("operator "))(path)

    async def start_subtree(self, step: Disturb, app: RunningSupervisor) -> None:
        """Two actors below a supervisor that the running tree, or its inner supervisor, didn't have before."""
        self.grown += 1
        first, second = (self.cast.parts[(step.actor + n) % len(ACTORS)] for n in range(2))
        eve = self.part(step.actor, "eve", self.described[first.friend])
        fay = self.part((step.actor + 1) % len(ACTORS), "fay", self.described[second.friend])
        branch = Supervisor(f"grown-{self.grown}", eve, fay, intensity=Intensity(self.cast.inner_intensity, per=5))
        with refusals():
            parent = app.supervisor("inner") if ACTORS[step.actor].startswith("inner/") else app
            self.stage.failing[_first(f"{parent.path}/{branch.name}/eve", first)] = self.fails_first(first, below=True)
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
        await self.disturb_at(ACTORS[step.actor], step.what, app)

    def hear(self, event: Event) -> None:
        """A listener that looks back into the tree: it is told when the state is whole."""
        unbalanced = [address.path for address in self.addresses if not address.account().balanced]
        if isinstance(event, Stopped):
            self.stage.readers.over(event.path, event.incarnation)
        if isinstance(event, Stopped) and (player := self.stage.players.get((event.path, event.incarnation))) is not None:
            player.over = True
        if isinstance(event, Decided):
            rule, ordinal = event.decision.rule, event.decision.ordinal
            is_worker = event.path.rpartition("/")[2].isdecimal()
            self.stage.effects["worker that left"] += is_worker and event.decision.action is Action.LEAVE
            self.stage.effects["last worker that left"] += rule == "it was the last of its pool"
            self.stage.effects["quarantine"] += rule.startswith("quarantine=")
            retried = rule.startswith("its first start failed") and bool(ordinal)
            self.stage.effects["retried start"] += retried
            self.stage.effects["supervisor's start that waits"] += retried and event.supervisor != "app"
            self.stage.effects["paced restart"] += ordinal.endswith(", paced")
        if unbalanced:
            self.stage.complaints.append(f"at {event} these didn't balance: {unbalanced}")

    def check(self, *, at_rest: bool = False) -> None:
        """What holds at every instant, and when nothing can run."""
        accounts = [address.account() for address in self.addresses]
        assert [account for account in accounts if not account.balanced] == []
        total = self.account()
        assert total == sum_of(accounts)
        assert self.stage.complaints == []
        if at_rest and self.app is not None:
            found = neglected(self.app)
            assert found == [], f"at {anyio.current_time():g}: {found}"

    def check_end(self) -> None:
        """What holds when all is over."""
        self.check()
        total = self.account()
        assert (total.queued, total.in_hand) == (0, 0)
        assert self.stage.left() == []
        assert self.stage.keys.broken() == []
        assert self.stage.readers.left_over() == []
        assert [address.path for address in self.addresses if address._mailbox.extras.fail_fast] == []
        for sender in self.senders:
            self.check_sender(sender)
            self.stage.effects["no key"] += sum(outcome is NoKey for _, outcome in sender.outcomes.values())
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
        for where in {(path, sender.order_of(n)) for path, n in mine}:
            seen = list(dict.fromkeys(n for path, n in mine if (path, sender.order_of(n)) == where))
            assert where[1] is None or seen == sorted(seen), f"{where} handled sender {sender.number} in the order {seen}"
        for n, (say, outcome) in sender.outcomes.items():
            if is_stream(say):
                promised = say.reading.items if say.deed != "hand on" else 2 * say.reading.items
                assert self.stage.readers.broken(sender.number, n, promised, to_the_end=outcome is OK) == []
            if say.deed in (*TURNS_TO_ANOTHER, "read oneself") and self.cast.parts[say.to].on_error == "reply":
                continue  # what it got may be what another actor answered
            if n in redelivered:
                continue  # at least once, as it was asked for; whether it was told so is what the account says
            is_send = "send" in say.way
            if (is_send and outcome is not OK) or outcome in NEVER_BEGUN:
                assert begun[n] == 0, f"{say} ended with {outcome}, and was handled"
            elif outcome is OK and (sender.number, n) in self.stage.readers.left:
                assert begun[n] <= 1
            elif outcome is OK and not is_send:
                assert ended[n] == 1, f"{say} was answered, and never handled"
            elif outcome in (Answer, Boom, ExceptionGroup):
                assert (begun[n], ended[n]) == (1, 0)


def _first(path: str, part: Part) -> str:
    """The actor at this path, or the first worker of the pool."""
    return f"{path}/1" if part.size else path


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
