"""The subject that is the runtime: real actors in a real tree, on asyncio or trio, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import anyio

from supervise import Address, InvalidSpec, RunningSupervisor, open_mailbox
from supervise.events import Event, Started, StartFailed, Stopped
from supervise.testing import virtual_time
from supervise.tree.supervisor import Runnable
from supervise_strategies import Cause, ExitKind, ExitReason, StrategyError
from supervise_strategies.exit_reason import describe

from .actors import Script, Worker
from .complaints import complaints
from .descriptions import Describer, Pool
from .host import Host
from .reasons import exit_reason, reason_word
from .replies import OK, refusal, reply
from .scenario import ROOT, Json, Scenario
from .subject import Observation
from .subject import play as drive

CALLS: Final = ("start_child", "terminate_child", "restart_child", "delete_child")
PATIENCE: Final = 1e7
"""Seconds on the virtual clock after which a tree that waits for nothing is given up; the scripts last some hours."""


def play(scenario: Scenario, *, backend: str, careful: bool = False) -> str | None:
    """Take the runtime through a scenario, in an event loop of its own: how it differs from OTP, or None.

    `careful`: all workers have hooks, not only those that need them.
    """
    with complaints() as said:
        difference = virtual_time.run(backend, _play, scenario, careful, backend)
    return difference or "; ".join(said) or None


async def _play(scenario: Scenario, careful: bool, backend: str) -> str | None:
    subject = RuntimeSubject(scenario, careful=careful)
    difference: str | None = None
    try:
        with anyio.fail_after(PATIENCE):
            async with subject.tasks:
                difference = await drive(scenario, subject)
                subject.tasks.cancel_scope.cancel()  # a tree that still runs is stopped, as one whose owner is cancelled
    except* Exception as group:
        difference = "; ".join(f"raised {describe(error)}" for error in group.exceptions)
    # An asyncio loop outlives forgotten tasks; trio's nurseries don't.
    left = len(asyncio.all_tasks()) - 1 if backend == "asyncio" else 0
    return difference or subject.imbalance() or (f"{left} tasks are left" if left else None)


class RuntimeSubject:
    """A tree of real actors, whose life-cycle events are what is compared."""

    def __init__(self, scenario: Scenario, *, careful: bool) -> None:
        self.tasks = anyio.create_task_group()
        """In which the tree runs, and calls wait."""
        self._spec = scenario.spec
        self._script = Script(self._kill)
        self._record = self._script.record
        gated = frozenset(step["child"] for step in scenario.steps if step["do"] == "gate")
        self._describer = Describer(self._script, gated, careful=careful)
        self._description: Runnable | None = None
        self._host: Host | None = None
        self._alive: set[str] = set()
        self._failed: str | None = None  # the child of the root whose start failed last
        self._last_reason: ExitReason | None = None
        self._instances: dict[str, Address[Any] | RunningSupervisor] = {}
        self._answers: list[tuple[int, Json]] = []

    async def perform(self, index: int, step: Json) -> Observation:
        begun = anyio.current_time()
        answer = await self._do(index, step)
        await virtual_time.at_rest()
        while self._script.cleaning:
            await self._script.cleaned()
            await virtual_time.at_rest()
        if answer is not None:
            self._answers.append((index, answer))
        # Which of two callers' tasks runs first is up to the event loop, and nothing that a supervisor decides.
        answers, self._answers = sorted(self._answers, key=lambda answer: answer[0]), []
        return Observation(answers, self._record.take(), dict(self._tree()), anyio.current_time() - begun)

    def imbalance(self) -> str | None:
        """Messages without an end, or with more than one, in the last tree."""
        app = self._host.app if self._host is not None else None
        return None if app is None or app.account().balanced else f"the account doesn't balance: {app.account()}"

    def _heard(self, event: Event) -> None:
        match event:
            case Started(path):
                self._alive.add(path)
                self._record.started(path)
            case StartFailed(path) if path != ROOT:  # the root's own failure is the reply to its start
                if not event.ignored and path.rpartition("/")[0] == ROOT:
                    self._failed = path
                self._record.start_failed(path, ignored=event.ignored)
            case Stopped(path):
                self._alive.discard(path)
                self._record.stopped(path, event.reason, event.cause or Cause.SELF)
                if path == ROOT:
                    self._last_reason = ExitReason(event.reason.kind)
            case _:
                pass

    # -- steps: the answer, or None if it comes by itself ----------------------------------------------------------

    async def _do(self, index: int, step: Json) -> Json | None:
        do = step["do"]
        if do in CALLS:
            return self._call(index, step)
        if do == "start":
            return self._start(index)
        if do == "stop_supervisor":
            return self._stop(index, step)
        if do == "exit":
            return OK if self._end(step) else refusal("not_alive")
        if do == "exit_many":
            return await self._exit_many(step)
        if do == "open_gate":
            gate = self._script.hanging.get(step["child"])
            if gate is None:
                return refusal("not_blocked")
            gate.set()
            return OK
        if do == "sleep":
            await anyio.sleep(step["ms"] / 1000)
            return OK
        if self._script.plans.prepare(step):
            return OK
        raise ValueError(f"a step {do!r} isn't known")

    def _start(self, index: int) -> Json | None:
        if self._host is not None and self._host.living:
            return refusal("already_started")
        self._last_reason = None
        try:
            if self._description is None:
                self._description = self._describer.supervisor(ROOT, self._spec, listener=self._heard)
        except InvalidSpec as fault:
            return reply(fault)
        self._host = Host(self._description, lambda up: self._answers.append((index, self._start_reply(up))))
        self.tasks.start_soon(self._host.run)
        return None

    def _start_reply(self, up: bool) -> Json:
        return OK if up else refusal("failed_to_start_child", child=self._failed)

    def _stop(self, index: int, step: Json) -> Json | None:
        handle = self._supervisor(step.get("sup", ROOT))
        if handle is None:
            return refusal("noproc")
        if "sup" in step:
            reason = exit_reason(step["reason"])
            return self._ask(index, lambda: handle.stop(reason))
        return self._ask(index, handle.stop)

    async def _exit_many(self, step: Json) -> Json:
        handle = self._supervisor(step["sup"])
        node = None if handle is None else handle._branch.node
        if node is None:
            return refusal("noproc")
        died = False
        with node.held():
            for end in step["exits"]:
                died |= self._end(end)
                await virtual_time.at_rest()  # each is dead before the next dies
        return OK if died else refusal("not_alive")

    def _end(self, end: Json) -> bool:
        """Let a worker end by itself; whether it ran."""
        path, reason = end["child"], exit_reason(end["reason"])
        if path not in self._alive:
            return False
        try:
            worker = self._app.find(path.removeprefix(f"{ROOT}/"))
        except InvalidSpec:  # a supervisor: that ends by `stop_supervisor`
            return False
        if reason.kind is ExitKind.KILLED:
            self._kill(path)
        else:
            worker.try_send(Worker.end, reason)
        return True

    def _kill(self, path: str) -> None:
        self._app.kill(path.removeprefix(f"{ROOT}/"))

    def _call(self, index: int, step: Json) -> Json | None:
        do, path = step["do"], step.get("child")
        parent, _, id = path.rpartition("/") if isinstance(path, str) else (step["sup"], "", "")
        handle = self._supervisor(parent)
        if handle is None:
            return refusal("noproc")
        if do == "start_child":
            return self._ask(index, lambda: self._start_child(handle, step))
        if do == "restart_child":
            return self._ask(index, lambda: handle.restart_child(id))
        if do == "delete_child":
            return self._ask(index, lambda: handle.delete_child(id))
        instance = isinstance(handle._branch.description, Pool) and not step.get("by_id", False)
        return self._ask(index, lambda: handle.terminate_child(self._instance(f"{parent}/{id}") if instance else id))

    async def _start_child(self, handle: RunningSupervisor, step: Json) -> bool:
        below = handle._branch.description
        child = {**below.template, "id": step["instance"]} if isinstance(below, Pool) else step["child"]
        path = f"{handle.path}/{child.get('id', '')}"
        before = self._record.generation(path)
        started: Address[Any] | RunningSupervisor
        if isinstance(below, Pool) and "spec" not in child:
            recipe = self._describer.worker(path, child)
            started = await handle.start(recipe.factory, *recipe.args, **recipe.options)
        else:
            started = await handle.start_child(self._describer.child(path, child))
        if self._record.generation(path) == before:
            return False  # it was ignored, and `start` answers with an address nevertheless
        self._instances[path] = started
        return True

    def _instance(self, path: str) -> Address[Any] | RunningSupervisor:
        """What a call on simple_one_for_one names: OTP wants a process. One that never started is a stranger."""
        if not self._record.generation(path):
            return open_mailbox(object)[1]
        return self._instances[path]

    def _ask(self, index: int, call: Callable[[], Awaitable[bool | None]]) -> Json | None:
        """Make a call that may have to wait, in a task of its own."""

        async def wait() -> None:
            result: bool | Exception | None
            try:
                result = await call()
            except StrategyError as refused:
                result = refused
            self._answers.append((index, reply(result)))

        self.tasks.start_soon(wait)
        return None

    # -- what can be seen -------------------------------------------------------------------------------------------

    @property
    def _app(self) -> RunningSupervisor:
        app = self._host.app if self._host is not None else None
        if app is None:
            raise RuntimeError("there is no tree")
        return app

    def _supervisor(self, path: str) -> RunningSupervisor | None:
        """The supervisor that runs at a path. One that is being started has no address yet, as in OTP."""
        if path not in self._alive:
            return None
        if path == ROOT:
            return self._app
        try:
            return self._app.supervisor(path.removeprefix(f"{ROOT}/"))
        except InvalidSpec:  # a worker that has a supervisor's former id
            return None

    def _tree(self) -> Iterator[tuple[str, Json]]:
        if self._host is not None and self._host.living:
            yield from self._branch(self._app)
        elif self._last_reason is not None:
            yield ROOT, {"state": "dead", "reason": reason_word(self._last_reason)}
        else:
            yield ROOT, {"state": "not_started"}

    def _branch(self, handle: RunningSupervisor) -> Iterator[tuple[str, Json]]:
        if handle.path in self._alive or handle.path == ROOT:
            yield handle.path, self._state(handle)
        for child in handle.which_children():
            if child.spec.type == "supervisor":
                below = handle.supervisor(child.id)
                if below.running:
                    yield from self._branch(below)

    def _state(self, handle: RunningSupervisor) -> Json:
        if handle.path not in self._alive:
            return {"state": "starting"}
        generation = self._record.generation
        if handle.busy:
            return {"state": "busy", "gen": generation(handle.path)}
        pool = isinstance(handle._branch.description, Pool)
        children = handle.which_children()
        specs, *others = handle.count_children()
        return {
            "state": "running",
            "gen": generation(handle.path),
            "children": [
                [child.id, "alive" if child.alive else "stopped", generation(f"{handle.path}/{child.id}")]
                for child in (sorted(children, key=lambda child: child.id) if pool else children)
            ],
            "count": [1 if pool else specs, *others],  # OTP counts the one template that all instances are made of
            "restarts": handle.restarts,
        }
