"""The tree of a hostile play, and the public calls by which anybody may change it at any time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Any, Final

import anyio
from tenacity import retry_if_exception

from supervise import (
    Address,
    Child,
    DynamicSupervisor,
    ExitKind,
    ExitReason,
    Intensity,
    InvalidSpec,
    NoActor,
    Pool,
    Redeliver,
    Restart,
    RunningSupervisor,
    StrategyError,
    Supervisor,
    Throttle,
    child,
    current,
    pool,
    ref,
    task,
)
from supervise.tree.description import Description

from .fiends import Argument, Callback, Fiend, Innocent, KeyOf, OddCallable, Part, Queue, odd_class, read_as_it_likes
from .malice import LaterCall, Malice, NowCall

STRATEGIES: Final[list[Any]] = ["one_for_one", "one_for_one", "one_for_all", "rest_for_one"]


class World:
    """What is described, what runs, and who is known to whom."""

    def __init__(self, malice: Malice) -> None:
        self.malice = malice
        self.random = Random(f"{malice.seed} world")
        self.fiends: list[Address[Any]] = []
        self.innocents: list[Address[Any]] = []
        self.supervisors: list[RunningSupervisor] = []
        self.paths: list[str] = []
        """Of the fiends, from the root on."""
        self.app: RunningSupervisor | None = None
        self.asked = ""
        """Why the tree may end without a culprit: somebody asked for it."""
        self.pools: list[str] = []
        """Their paths."""
        self._names = 0
        self._kept: dict[str, list[str]] = {}
        """By the path of their supervisor: who isn't forgotten when it ends."""
        self._innocents: list[Child[Any]] = []

    # -- what is described -------------------------------------------------------------------------------------------

    def describe(self, **options: Any) -> Supervisor:
        chance = self.random
        neighbours: list[Any] = []
        self._innocents = [child(Innocent, neighbours, name=name) for name in ("x", "y")]
        children: list[Any] = [Supervisor("calm", *self._innocents)]
        for number in range(chance.choice([1, 1, 2])):
            children.append(self.fiend("", chance) if chance.random() < 0.4 else self.branch(f"mad{number}", "", chance))
        if not any(isinstance(each, Description) for each in children[1:]):
            children.append(self.branch("mad", "", chance))
        if not self._names:  # a dynamic supervisor begins without children
            children.append(self.fiend("", chance))
        return Supervisor(
            "app",
            *children,
            strategy=chance.choice(["one_for_one", "rest_for_one"]),
            intensity=Intensity(chance.choice([2, 10, 40, 40]), per=5),
            shutdown_budget=chance.choice([None, None, 3.0]),
            **options,
        )

    def branch(self, name: str, above: str, chance: Random, depth: int = 0) -> Any:
        path = f"{above}/{name}" if above else name
        restart: Any = chance.choice(["permanent", "permanent", "transient"])
        intensity = Intensity(chance.choice([1, 5, 20]), per=5)
        stop_within: Any = chance.choice([None, None, 2.0, "brutal_kill"])
        if chance.random() < 0.2:
            self.paths.append(path)
            return DynamicSupervisor(name, intensity=intensity, restart=restart, stop_within=stop_within)
        children: list[Any] = [self.fiend(path, chance) for _ in range(chance.choice([1, 2, 2, 3]))]
        if depth < 2 and chance.random() < 0.4:
            children.insert(chance.randint(0, len(children)), self.branch(f"deep{depth}", path, chance, depth + 1))
        auto: Any = chance.choice(["never", "never", "any_significant", "all_significant"])
        significant = any(each.spec.significant for each in children if isinstance(each, Child))
        self.paths.append(path)
        return Supervisor(
            name,
            *children,
            strategy=chance.choice(STRATEGIES),
            intensity=intensity,
            restart=restart,
            stop_within=stop_within,
            auto_shutdown="any_significant" if significant else auto,
            give_up_as=chance.choice(["gave_up", "gave_up", "shutdown"]),
        )

    def fiend(self, above: str, chance: Random, *, dynamic: bool = False) -> Child[Any] | Pool[Any]:
        """One actor, or a pool of them, with any options."""
        self._names += 1
        name = f"f{self._names}"
        path = f"{above}/{name}" if above else name
        self.paths.append(path)
        part = Part(self.malice, path, self.fiends, chance.random() < 0.4)
        lanes = () if chance.random() < 0.7 else ("urgent", "normal")
        restart = self.restart(path, chance)
        options: dict[str, Any] = {
            "name": name,
            "restart": restart,
            "capacity": chance.choice([1, 2, 5, 100]),
            "overflow": chance.choice(["wait", "wait", "reject", "drop_oldest", "drop_newest"]),
            "lanes": lanes,
            "choice": chance.choice(["strict", "fair"]),
            "redeliver": self.redelivery(path, chance),
            "on_error": chance.choice(["crash", "crash", "reply"]),
            "on_cancel": chance.choice(["finish", "finish", "cancel"]),
            "start_within": chance.choice([None, None, 1.0, 3.0]),
            "drain": chance.random() < 0.3,
            "handler_deadline": chance.choice([None, None, 0.5]),
            "stop_within": chance.choice([5, 1.0, 0.2, "brutal_kill", float("inf")]),
            "on_tree_started": Fiend.begin if chance.random() < 0.2 else None,
        }
        if chance.random() < 0.25:
            options["limit"] = Intensity(chance.choice([0, 1, 3]), per=5)
            options["on_limit"] = chance.choice(["stop", "stop", "escalate"])
        if chance.random() < 0.15:
            options["throttle"] = Throttle(5, 2)
        if "queue" in self.malice.kinds and chance.random() < 0.7:
            options["queue"] = lambda: Queue(lambda what: part.site("queue", what))
        if "expects" in self.malice.kinds and chance.random() < 0.7:
            asked = Callback(part.site("expects"), chance.random() < 0.3)
            options["expects"] = chance.choice([(odd_class(part.site("expects")),), asked, retry_if_exception(asked)])
        if "dead letter" in self.malice.kinds and chance.random() < 0.7:
            options["on_dead_letter"] = Callback(part.site("dead letter"))
        if restart != "temporary":
            options["retry_start"] = chance.random() < 0.3
            options["quarantine"] = chance.choice([None, None, 1, 3])
        if chance.random() < 0.1 and restart != "permanent":
            options["lifetime"] = "addresses"
            if isinstance(restart, Restart) and restart.type == "permanent":
                options["restart"] = "transient"
        if restart != "temporary" and above and chance.random() < 0.1 and not dynamic and options["restart"] == "transient":
            options["significant"] = True
        if chance.random() < 0.12:
            options["on_tree_started"] = None
            return child(task(part.task), **options)
        if chance.random() < 0.2:
            options["concurrency"] = chance.choice([1, 2, 3])
            options["handler_deadline"] = None
        factory = chance.choice([part.at_once, part.at_once, part.later, part.around])
        friend: list[Any] = []
        if not dynamic and chance.random() < 0.3:
            friend.append(ref(chance.choice([name, *self._kept.get(above, ())])))
        if chance.random() < 0.3:
            return self.pool(factory, friend, path, chance, options)
        if restart != "temporary":
            self._kept.setdefault(above, []).append(name)
        return child(factory, *friend, **options)

    def pool(
        self, factory: Callable[..., Any], friend: list[Any], path: str, chance: Random, options: dict[str, Any]
    ) -> Pool[Any]:
        for option in ("queue", "lifetime", "significant"):
            options.pop(option, None)
        size = chance.choice([1, 2, 3])
        self.paths += [f"{path}/{number}" for number in range(1, size + 1)]
        self.pools.append(path)
        key = KeyOf(self.malice.site("key", path)) if chance.random() < 0.6 else None
        intensity = Intensity(chance.choice([1, 5, 40]), per=5)
        return pool(factory, *friend, size=size, key=key, intensity=intensity, **options)

    def redelivery(self, path: str, chance: Random) -> Any:
        times = chance.choice([0, 0, 1, 2])
        if "redelivery" not in self.malice.kinds or chance.random() < 0.5:
            return times
        wait, when = (self.malice.site("redelivery", f"{path}.{what}") for what in ("wait", "when"))
        return Redeliver(times, wait=Callback(wait, 0.2), when=Callback(when, chance.random() < 0.8))

    def restart(self, path: str, chance: Random) -> Any:
        kind = chance.choice(["permanent", "permanent", "permanent", "transient", "temporary"])
        if kind == "temporary" or "policy" not in self.malice.kinds or chance.random() < 0.3:
            return kind
        policies: dict[str, Any] = {}
        for name, answer in (("wait", 0.2), ("stop", False), ("when", True)):
            if chance.random() < 0.6:
                policies[name] = Callback(self.malice.site("policy", f"{path}.{name}"), answer)
        return getattr(Restart, kind)(**policies)

    # -- what runs ---------------------------------------------------------------------------------------------------

    def enter(self, app: RunningSupervisor) -> None:
        self.app = app
        self.innocents = [app.find(each) for each in self._innocents]
        self.supervisors = [app]
        for path in self.paths:
            with suppress(StrategyError):  # a temporary one may be gone
                try:
                    self.fiends.append(app.find(path))
                except InvalidSpec:
                    self.supervisors.append(app.supervisor(path))
        for path in self.pools:
            with suppress(StrategyError):
                self.supervisors.append(app.supervisor(path))

    def note(self, started: Any) -> None:
        """A fiend, or a supervisor, that was started at run time."""
        if isinstance(started, RunningSupervisor):
            self.supervisors.append(started)
        else:
            self.fiends.append(started)

    # -- public calls ------------------------------------------------------------------------------------------------

    def argument(self, chance: Random) -> Any:
        return Argument(self.malice.site("repr", f"argument {chance.randint(0, 3)}"))

    def handler(self, chance: Random) -> Any:
        if "callable" in self.malice.kinds and chance.random() < 0.2:
            return OddCallable(self.malice.site("callable", f"odd {chance.randint(0, 2)}"))
        return chance.choice([Fiend.work, Fiend.work, Fiend.quick, Fiend.beside])

    def yielding(self, chance: Random) -> Any:
        return self.handler(chance) if chance.random() < 0.1 else chance.choice([Fiend.yields, Fiend.yields_beside])

    def view(self, chance: Random) -> Any:
        address: Any = chance.choice(self.fiends)
        if chance.random() < 0.2:
            address = address.weak
        if chance.random() < 0.3:
            address = address.options(
                timeout=chance.choice([None, 0.3, 2.0]),
                on_restart=chance.choice(["wait", "fail"]),
                on_cancel=chance.choice([None, "cancel", "finish"]),
                buffer=chance.choice([1, 2, 16]),
            )
        return address

    def predicate(self, chance: Random) -> Any:
        return Callback(self.malice.site("predicate", f"chosen {chance.randint(0, 2)}"), chance.random() < 0.5)

    def call_now(self, chance: Random) -> NowCall | None:
        """A public function that doesn't wait."""
        app = self.app
        if app is None or not self.fiends:
            return None
        address, supervisor, path = self.view(chance), chance.choice(self.supervisors), chance.choice(self.paths)
        handler, argument, predicate = self.handler(chance), self.argument(chance), self.predicate(chance)
        listener = Callback(self.malice.site("subscriber", f"now {chance.randint(0, 2)}"))
        seconds, innocent = chance.choice([0.0, 0.5]), chance.choice(self.innocents)
        calls: dict[str, Callable[[], object]] = {
            "try_send": lambda: address.try_send(handler, argument),
            "try_send to an innocent": lambda: innocent.try_send(Innocent.hear),
            "kill": address.kill,
            "app.kill": lambda: app.kill(path),
            "pause": address.pause,
            "resume": address.resume,
            "drop": lambda: address.drop(predicate),
            "take": lambda: address.take(predicate),
            "peek": lambda: address.peek(2),
            "clone and close": lambda: chance.choice(self.fiends).clone().close(),
            "look at the address": lambda: (repr(address), hash(address), address.path),
            "explain": lambda: str(app.explain(path)),
            "find": lambda: app.find(path),
            "account": lambda: (app.account(), address.account()),
            "which_children": lambda: (supervisor.which_children(), supervisor.count_children(), repr(supervisor)),
            "get_childspec": lambda: supervisor.get_childspec(path.rpartition("/")[2]),
            "dead_letters": lambda: (app.dead_letters(), app.dead_letter_count, supervisor.restarts, supervisor.busy),
            "subscribe": lambda: app.subscribe(listener),
            "subscribe and leave": lambda: app.subscribe(listener)(),
            "operator.pause": lambda: app.operator("ada").pause(path),
            "operator.resume": lambda: app.operator("ada").resume(path),
            "current().stop": lambda: current().stop(),
            "current().stop(shutdown=)": lambda: current().stop(shutdown="enough"),
            "current().after": lambda: current().after(seconds, Fiend.tick),
            "current().every": lambda: current().every(0.3, Fiend.tick, id=argument),
            "current().publish": lambda: current().publish(argument),
            "current().watch": lambda: current().watch(address, Fiend.down),
            "current().nursery": lambda: current().nursery.start_soon(anyio.sleep, seconds),
            "current().timers": lambda: [current().timers.cancel(id) for id in current().timers],
            "current().sender": lambda: (current().sender, current().remaining, current().stopping),
            "stop_tree": lambda: self.ask("stop_tree", lambda: current().stop_tree("malice")),
            "kill_all": lambda: self.ask("kill_all", app.kill_all),
        }
        name = chance.choice([*calls])
        if name.startswith(("current()", "stop_tree")) and _in_an_innocent():
            name = "account"
        if name in ("stop_tree", "kill_all") and chance.random() < 0.8:
            name = "kill"
        return f"{name} ({address.path}, {supervisor.path}, {path})", calls[name]

    def call_later(self, chance: Random) -> LaterCall | None:
        """A public coroutine function, under a deadline."""
        app = self.app
        if app is None or not self.fiends:
            return None
        address, supervisor, path = self.view(chance), chance.choice(self.supervisors), chance.choice(self.paths)
        handler, argument = self.handler(chance), self.argument(chance)
        name, innocent = path.rpartition("/")[2], chance.choice(self.innocents)
        ada, grace, generator = supervisor.operator("ada"), chance.choice([None, 0.0, 0.5]), self.yielding(chance)
        patience = chance.choice([0.0, 0.1, 1.0, 30.0])
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "send": lambda: address.send(handler, argument),
            "call": lambda: address.call(handler, argument),
            "call an innocent": lambda: innocent.call(Innocent.answer),
            "ping": address.ping,
            "app.ping": lambda: supervisor.ping(1.0),
            "stop": lambda: address.stop(grace=grace),
            "address.watch": address.watch,
            "address.subscribe": lambda: _take_one(address.subscribe(object)),
            "events": lambda: _take_one(supervisor.events(capacity=3, overflow=chance.choice(["drop_oldest", "close"]))),
            "terminate_child": lambda: supervisor.terminate_child(chance.choice([name, address])),
            "restart_child": lambda: supervisor.restart_child(name),
            "delete_child": lambda: supervisor.delete_child(name),
            "start": lambda: self.start(supervisor, chance),
            "start_child": lambda: self.start_child(supervisor, chance),
            "operator.stop": lambda: ada.stop(name),
            "operator.start": lambda: ada.start(name),
            "operator.restart": lambda: ada.restart(name),
            "operator.change": lambda: ada.change(name, restart=self.restart(path, chance), limit=Intensity(2, per=5)),
            "operator.change_intensity": lambda: ada.change_intensity(Intensity(5, per=5)),
            "supervisor.stop": lambda: self.stop(supervisor, chance),
            "resize": lambda: self.resize(app, chance),
            "instance": address.instance,
            "stream_from": lambda: self.read(address, generator, argument, chance),
        }
        what = chance.choice([*calls])
        if what == "supervisor.stop" and supervisor.path == app.path and chance.random() < 0.8:
            what = "ping"

        async def call() -> None:
            with anyio.move_on_after(patience):
                await calls[what]()

        return f"{what} ({address.path}, {supervisor.path}, {name}, {patience:g} s)", call

    async def read(self, address: Any, handler: Any, argument: Any, chance: Random) -> None:
        await read_as_it_likes(address, handler, argument, chance, self.malice.site("reader", address.path))

    def ask(self, why: str, function: Callable[[], object]) -> object:
        self.asked = self.asked or why
        return function()

    async def start(self, supervisor: RunningSupervisor, chance: Random) -> None:
        if supervisor.path.startswith("app/calm") or len(self.fiends) > 10:
            return
        above = supervisor.path.partition("/")[2]
        described = self.fiend(above, chance, dynamic=True)
        self.note(await supervisor.start_child(described))

    async def start_child(self, supervisor: RunningSupervisor, chance: Random) -> None:
        if len(self.fiends) > 10:
            return
        self._names += 1
        self.note(await supervisor.start_child(self.branch(f"late{self._names}", supervisor.path.partition("/")[2], chance, 2)))

    async def resize(self, app: RunningSupervisor, chance: Random) -> None:
        if self.pools:
            hand: Any = app if chance.random() < 0.5 else app.operator("ada")
            await hand.resize(chance.choice(self.pools), chance.randint(1, 4))

    async def stop(self, supervisor: RunningSupervisor, chance: Random) -> None:
        if self.app is not None and supervisor.path == self.app.path:
            self.asked = self.asked or "stop"
        await supervisor.stop(chance.choice([ExitReason(ExitKind.SHUTDOWN, "malice"), ExitReason(ExitKind.CRASHED, "malice")]))


def _in_an_innocent() -> bool:
    """Whether it is an innocent's own task that this listener, or instrument, is called in."""
    try:
        return current().path.startswith("app/calm")
    except NoActor:
        return False


async def _take_one(subscription: Any) -> None:
    async with subscription:
        await subscription.receive()
