"""One hostile play: its steps, and what holds while it goes on and when it is over."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from random import Random
from typing import Any, Final, NamedTuple

import anyio
import anyio.lowlevel

from supervise import GaveUp, StartFailed, Supervisor
from supervise.mailbox import observers
from supervise.testing import left_over, virtual_time
from supervise_strategies.directives import Cause
from supervise_strategies.exception import interrupts

from .fiends import Callback, HostileMetrics, Innocent, provider
from .guards import Hung, guards, tear_down_in, torn_down_if_no_time_passes
from .hostile_world import World
from .malice import ENDS_BY_SYSTEM_EXIT, KINDS, Malice, leaves_of, shown
from .stacks import stacks, where

LONG_AFTER: Final = 1e4
"""Virtual seconds: longer than any play."""
QUICK: Final = 1.0
"""Virtual seconds in which an innocent answers, beside those for which somebody blocks."""


class Failure(NamedTuple):
    """What didn't hold."""

    kind: str
    """The same for all that most likely have the same cause."""
    text: str


class HostilePlay:
    """One example, made from its seed."""

    def __init__(
        self, backend: str, seed: int, among: frozenset[str] = frozenset(KINDS), only: frozenset[str] | None = None
    ) -> None:
        self.backend = backend
        self.seed = seed
        self.random = Random(f"{seed} play")
        drawn = [kind for kind in KINDS if self.random.random() < 0.35] or [*KINDS]
        kinds = among if len(among) < len(KINDS) / 2 else among.intersection(drawn)
        self.malice = Malice(seed, frozenset(kinds), only)
        self.world = World(self.malice)
        self.failures: list[Failure] = []
        self.over = False
        self._tree: Any = None
        self._asking: dict[str, float] = {}
        self._unwatch: Callable[[], object] | None = None
        self._scopes: list[anyio.CancelScope] = []

    def fail(self, kind: str, text: object = "") -> None:
        self.failures.append(Failure(kind, str(text)))

    def hangs(self, how: str, text: str = "") -> None:
        """It came to no end; said once."""
        if not any(failure.kind.startswith("hang") for failure in self.failures):
            self.fail(f"hang: {how} ({self._last_raised()})", text)

    # -- running it --------------------------------------------------------------------------------------------------

    def run(self) -> list[Failure]:
        """Play it in virtual time; what didn't hold."""
        library, options = virtual_time.backend(self.backend)
        threads = {*threading.enumerate()}
        with guards(self):
            try:
                with torn_down_if_no_time_passes(self):
                    anyio.run(self._play, options.get("clock"), backend=library, backend_options=options)
            except BaseException as error:
                self.malice.awake = False
                if type(error) is RuntimeError and error.args == (virtual_time.DEADLOCK,):
                    self.hangs("nothing can run")
                self.fail(f"{type(error).__name__} left the loop, at {where(error)}", shown(error))
            self._release()
        if left := left_over.threads_since(threads):
            self.fail("threads are left", left)
        return self.failures

    def _release(self) -> None:
        """Hold nothing of what ran; what a torn-down loop leaves complains now, and not in the next example."""
        for error, _, _ in self.malice.raised:
            error.__traceback__ = error.__context__ = error.__cause__ = None
        self.malice.release()
        self._scopes.clear()
        self._tree = self._unwatch = None
        self.world = World(self.malice)
        for _ in range(5 if self.failures else 1):  # one makes garbage of the next
            gc.collect()

    async def _play(self, clock: Any) -> None:
        malice = self.malice
        malice.now, malice.jump = anyio.current_time, clock.jump if clock is not None else _jump
        if self.backend == "trio":
            import trio

            malice.cancelled = trio.Cancelled
        observed = {*observers._OBSERVED}
        watch = left_over.watch()
        async with anyio.create_task_group() as group:
            group.start_soon(self._hang_guard)
            async with anyio.create_task_group() as audience:
                await self._scene(audience.start_soon)
                self.over = True
                audience.cancel_scope.cancel()
            self._check_end()
            group.cancel_scope.cancel()
        if left := watch.left(collect=False):
            self.fail(f"left: {_place(left[0])}", "; ".join(left))
        if left_observed := {*observers._OBSERVED} - observed:
            self.malice.note("left", f"{len(left_observed)} observed mailboxes")

    async def _hang_guard(self) -> None:
        await anyio.sleep(LONG_AFTER)
        self.malice.awake = False
        found = stacks()
        self.hangs(_state(self._tree), "\n    ".join(found))
        for path, since in self._asking.items():
            self.fail("an innocent doesn't answer", f"{path} since {since:g}")
        tear_down_in(0.05)  # it may wait for ever, in real time and under shields
        raise Hung

    # -- the play ----------------------------------------------------------------------------------------------------

    async def _scene(self, start_soon: Callable[..., object]) -> None:
        malice, world, chance = self.malice, self.world, self.random
        options: dict[str, Any] = {"tracing": False}
        if "listener" in malice.kinds:
            options["listener"] = Callback(malice.site("listener", "listener"))
        if "instrument" in malice.kinds:
            options["tracing"] = provider(malice)
        if "metrics" in malice.kinds:
            options["metrics"] = HostileMetrics(malice)
        description = world.describe(**options)
        malice.call_now, malice.call_later = world.call_now, world.call_later
        malice.awake = chance.random() < 0.2
        error: BaseException | None = None
        try:
            async with description as app:
                self._tree = app._branch.tree
                malice.runs = lambda: self._tree.ended is None
                world.enter(app)
                malice.awake = True
                for address in world.innocents:
                    start_soon(self._probe, address)
                for _ in range(chance.randint(30, 60)):
                    await self._step(chance, start_soon)
                    self._check_accounts()
        except malice.cancelled:
            raise
        except BaseException as raised:
            error = raised
        malice.awake = False
        self._check_outcome(description, error)

    async def _step(self, chance: Random, start_soon: Callable[..., object]) -> None:
        world = self.world
        what = chance.choice(["message"] * 12 + ["time"] * 4 + ["now"] * 3 + ["later"] * 4 + ["cancel", "rest", "prune"])
        lot = Random(chance.getrandbits(64))
        if not world.fiends or what == "time":
            await anyio.sleep(lot.choice([0.05, 0.5, 3.0]))
        elif what == "message":
            for _ in range(lot.choice([1, 2, 4])):
                start_soon(self._write, lot)
        elif what == "prune":
            fullest = max(world.fiends, key=self._waiting)
            self._harmlessly(
                lambda: fullest.drop(world.predicate(lot)) if lot.random() < 0.5 else fullest.take(world.predicate(lot))
            )
        elif what == "rest":
            await virtual_time.at_rest()
        elif what == "cancel" and self._scopes:
            self._scopes.pop(lot.randrange(len(self._scopes))).cancel()
        elif what == "now" and (now := world.call_now(lot)) is not None:
            self.malice.note("the audience", now[0])
            self._harmlessly(now[1])
        elif what == "later" and (later := world.call_later(lot)) is not None:
            self.malice.note("the audience", later[0])
            start_soon(self._await, later[1])
        await anyio.lowlevel.checkpoint()

    def _waiting(self, address: Any) -> int:
        with self.malice.asleep():
            return int(address.account().queued)

    def _harmlessly(self, function: Callable[[], object]) -> None:
        try:
            function()
        except BaseException as error:
            self.malice.swallow(error)

    async def _await(self, function: Callable[[], Any]) -> None:
        scope = anyio.CancelScope()
        self._scopes.append(scope)
        with scope:
            try:
                await function()
            except self.malice.cancelled:
                raise
            except BaseException as error:
                self.malice.swallow(error)

    async def _write(self, chance: Random) -> None:
        world = self.world
        address, handler, argument = world.view(chance), world.handler(chance), world.argument(chance)
        way = chance.choice(["send", "send", "call", "call", "try_send", "stream", "stream"])
        if way == "stream":
            handler = world.yielding(chance)
        self.malice.note("the audience", f"{way} {getattr(handler, '__name__', handler)} to {address.path}")
        if way == "stream":
            await self._await(lambda: world.read(address, handler, argument, chance))
        elif way == "try_send":
            self._harmlessly(lambda: address.try_send(handler, argument))
        else:
            await self._await(lambda: getattr(address, way)(handler, argument))

    async def _probe(self, address: Any) -> None:
        """An innocent answers all the while, and lives its first life, until its tree ends."""
        while not self.over:
            begun, jumped = anyio.current_time(), self.malice.jumped
            self._asking[address.path] = begun
            try:
                life = await address.call(Innocent.answer)
                async with address.stream_from(Innocent.items) as items:
                    if [item async for item in items] != [*range(5)]:
                        self.fail("an innocent's items are lost")
            except self.malice.cancelled:
                raise
            except BaseException as error:
                del self._asking[address.path]
                if interrupts(error):  # out of an instrument, which the call asks in its caller's task
                    self.malice.swallow(error)
                    continue
                if not self._tree.ending.is_set():
                    self.fail(f"an innocent is gone ({self._last_raised()})", shown(error))
                return
            del self._asking[address.path]
            took = anyio.current_time() - begun - (self.malice.jumped - jumped)
            if took > QUICK:
                self.fail("an innocent is late", f"{address.path} took {took:g} s")
            if life != 1 and not self.failures:
                self.fail("an innocent was restarted", f"{address.path} lives its life #{life}")
            await anyio.sleep(0.5)

    # -- what holds --------------------------------------------------------------------------------------------------

    def _check_accounts(self) -> None:
        with self.malice.asleep():
            app = self.world.app
            accounts = {each.path: each.account() for each in [*self.world.fiends, *self.world.innocents]}
            if app is not None:
                accounts[app.path] = app.account()
        for path, account in accounts.items():
            if not account.balanced and not any(failure.kind.startswith("an account") for failure in self.failures):
                self.fail(f"an account doesn't balance ({self._last_kinds()})", f"{path}: {account}")

    def _last_raised(self) -> str:
        if not self.malice.raised:
            return "after no error"
        error, kind, _ = self.malice.raised[-1]
        return f"after an error of {kind}, last at {where(error)}"

    def _last_kinds(self) -> str:
        return self.malice.deeds[-1].id.partition("#")[0].partition(":")[0] if self.malice.deeds else "nothing"

    def _check_outcome(self, description: Supervisor, error: BaseException | None) -> None:
        malice = self.malice
        if description.running is not None:
            self.fail("`running` isn't None after the end")
        raised = {id(each): kind for each, kind, _ in malice.raised}
        if self._tree is None:  # not even started
            self._check_start(error, raised)
            return
        ended, kind = self._tree.ended, type(error)
        if ended is None:
            self.fail("the `async with` was left before its tree had ended")
            return
        must = [
            each for each, _, ran in malice.raised if type(each) is KeyboardInterrupt and ran and id(each) not in malice.caught
        ]
        if error is None:
            if must:
                self.fail(f"KeyboardInterrupt of {raised[id(must[0])]} is lost", shown(must[0]))
            if ended.cause is not Cause.ASKED and not self.world.asked:
                self.fail("the tree ended by itself", ended)
        elif kind in (KeyboardInterrupt, SystemExit):
            if id(error) not in raised:
                self.fail(f"{kind.__name__} that nobody raised", shown(error))
            elif kind is SystemExit and raised[id(error)] not in ENDS_BY_SYSTEM_EXIT:
                self.fail(f"SystemExit of {raised[id(error)]} ends the tree", shown(error))
        elif kind is GaveUp:
            gave_up: Any = error
            crash = gave_up.crashes[-1] if gave_up.crashes else None
            if must:
                self.fail(f"KeyboardInterrupt of {raised[id(must[0])]} is lost in a give-up", shown(must[0]))
            elif crash is None or crash.path.startswith("app/calm"):
                self.fail("a give-up names no culprit", crash)
        else:
            self.fail(
                f"what hostile code raised left the tree, at {where(error)}"
                if id(error) in raised
                else f"{kind.__name__} left the tree, at {where(error)}",
                shown(error),
            )

    def _check_start(self, error: BaseException | None, raised: dict[int, str]) -> None:
        cause = error.__cause__ if type(error) is StartFailed else error
        if cause is None:
            if type(error) is not StartFailed or not self.malice.deeds:
                self.fail("no start, and no cause", error)
            elif not self.world.asked:
                self.malice.note("start", f"failed without a cause: {error}")
        elif not any(id(leaf) in raised for leaf in leaves_of(cause)) and not self.malice.deeds:
            self.fail(f"the start failed with {type(cause).__name__}, at {where(cause)}", shown(cause))

    def _check_end(self) -> None:
        self._check_accounts()
        if self._tree is None or self._tree.ended is None:
            return
        with self.malice.asleep():
            for each in [*self.world.fiends, *self.world.innocents]:
                account = each.account()
                if account.queued or account.in_hand:
                    self.fail("messages are left", f"{each.path}: {account}")


def _place(text: str) -> str:
    return text.partition("<")[0].partition(":")[0][:60]


def _state(tree: Any) -> str:
    if tree is None:
        return "before the start was over"
    if tree.ended is not None:
        return "after the end"
    kinds = {
        f"{place.incarnation and ('running' if place.incarnation.running else 'starting')}"
        for place in tree.root.actors()
        if place.alive()
    }
    return f"{'while it ends' if tree.ending.is_set() else 'in the play'}, alive: {', '.join(sorted(kinds)) or 'nobody'}"


def _jump(seconds: float) -> None:
    loop: Any = asyncio.get_running_loop()
    loop._jumping.advance_to(loop._jumping.elapsed + seconds)
