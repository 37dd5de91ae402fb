"""The subject that is the state machine alone, in a simulated world."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from supervise_strategies import Cause, ExitKind, ExitReason, InvalidSpec

from .branch import Branch, StartUndone
from .reasons import exit_reason, reason_word
from .replies import OK, refusal, reply
from .scenario import ROOT, Json, Scenario
from .scene import Scene
from .specs import added_spec
from .subject import Observation
from .subject import play as drive
from .worker import Worker

CALLS: Final = ("start_child", "terminate_child", "restart_child", "delete_child")


def play(scenario: Scenario) -> str | None:
    """Take the machine through a scenario. Nothing in it waits, so that no event loop is needed."""
    running = drive(scenario, MachineSubject(scenario))
    try:
        running.send(None)
    except StopIteration as end:
        difference: str | None = end.value
        return difference
    raise RuntimeError("a simulated world waited for the real one")


class MachineSubject:
    """One `Supervision` per supervisor of the tree, and simulated workers below."""

    def __init__(self, scenario: Scenario) -> None:
        self._spec = scenario.spec
        self._answers: list[tuple[int, Json]] = []
        self._scene = Scene(lambda ticket, result: self._answer(ticket, reply(result)))
        self._root: Branch | None = None
        self._root_call: int | None = None  # the step that waits for the root's start or stop
        self._last_reason: ExitReason | None = None

    async def perform(self, index: int, step: Json) -> Observation:
        begun = self._scene.world.now
        answer = self._do(index, step)
        self._scene.world.settle()
        if answer is not None:
            self._answer(index, answer)
        answers, self._answers = self._answers, []
        return Observation(answers, self._scene.record.take(), dict(self._tree()), self._scene.world.now - begun)

    def _answer(self, ticket: object, answer: Json) -> None:
        if isinstance(ticket, int):
            self._answers.append((ticket, answer))

    def _answer_root_call(self, answer: Json) -> None:
        call, self._root_call = self._root_call, None
        self._answer(call, answer)

    # -- steps: the answer, or None if it comes by itself ----------------------------------------------------------

    def _do(self, index: int, step: Json) -> Json | None:
        do = step["do"]
        if do in CALLS:
            return self._call(index, step)
        if do == "start":
            return self._start(index)
        if do == "stop_supervisor":
            return self._stop(index, step)
        if do == "exit":
            return OK if self._end([step]) else refusal("not_alive")
        if do == "exit_many":
            return self._exit_many(step)
        if do == "open_gate":
            return self._open_gate(step["child"])
        if do == "sleep":
            self._scene.world.sleep(step["ms"] / 1000)
            return OK
        if self._scene.plans.prepare(step):
            return OK
        raise ValueError(f"a step {do!r} isn't known")

    def _start(self, index: int) -> Json | None:
        if self._root is not None:
            return refusal("already_started")
        self._last_reason = None
        self._root_call = index
        self._root = Branch(self._scene, self, ROOT, 1, self._spec)
        self._root.begin()
        return None

    def _stop(self, index: int, step: Json) -> Json | None:
        branch = self._supervisor(step.get("sup", ROOT))
        if branch is None:
            return refusal("noproc")
        if branch is self._root:
            self._root_call = index
            branch.end(ExitReason(ExitKind.SHUTDOWN), Cause.ASKED)
            return None
        branch.end(exit_reason(step["reason"]), Cause.SELF)
        return OK

    def _exit_many(self, step: Json) -> Json:
        branch = self._supervisor(step["sup"])
        if branch is None:
            return refusal("noproc")
        branch.tell.hold()
        died = self._end(step["exits"])
        self._scene.world.settle()
        branch.obey(branch.tell.release(self._scene.world.now))
        return OK if died else refusal("not_alive")

    def _end(self, exits: list[Json]) -> bool:
        """Let workers end by themselves; whether any of them ran."""
        died = False
        for end in exits:
            worker = self._worker(end["child"])
            if worker is not None:
                worker.end(exit_reason(end["reason"]))
                died = True
        return died

    def _open_gate(self, path: str) -> Json:
        go_on = self._scene.hanging.pop(path, None)
        if go_on is None:
            return refusal("not_blocked")
        go_on()
        return OK

    def _call(self, index: int, step: Json) -> Json | None:
        if step["do"] == "start_child":
            return self._start_child(index, step)
        path, now = step["child"], self._scene.world.now
        parent, _, id = path.rpartition("/")
        branch = self._supervisor(parent)
        if branch is None:
            return refusal("noproc")
        machine = branch.tell
        if step["do"] == "restart_child":
            branch.obey(machine.restart_child(id, index, now))
        elif step["do"] == "delete_child":
            branch.obey(machine.delete_child(id, index, now))
        elif machine.spec.dynamic and not step.get("by_id") and id not in machine and self._scene.record.generation(path):
            return OK  # OTP is given the address of a process, and one that has ended is no stranger
        else:
            branch.obey(machine.terminate_child(id, index, now, by_name=step.get("by_id", False)))
        return None

    def _start_child(self, index: int, step: Json) -> Json | None:
        branch = self._supervisor(step["sup"])
        if branch is None or branch.blueprint is None:
            return refusal("noproc")
        spec, template = branch.blueprint
        try:
            child = replace(template, id=step["instance"]) if template is not None else added_spec(spec, step["child"])
        except InvalidSpec as fault:
            return reply(fault)
        branch.obey(branch.tell.start_child(child, index, self._scene.world.now))
        return None

    # -- what becomes of the root --------------------------------------------------------------------------------------

    def started(self, id: str, number: int) -> None:
        self._answer_root_call(OK)

    def start_failed(self, id: str, number: int, error: BaseException, ignored: bool) -> None:
        self._root = None
        if isinstance(error, StartUndone):
            self._answer_root_call(refusal("failed_to_start_child", child=f"{ROOT}/{error.child}"))
        elif isinstance(error, InvalidSpec):
            self._answer_root_call(reply(error))
        else:
            self._answer_root_call(refusal("start_failed"))

    def ended(self, id: str, number: int, reason: ExitReason) -> None:
        self._root = None
        self._last_reason = ExitReason(reason.kind)
        self._answer_root_call(OK)

    # -- what can be seen -------------------------------------------------------------------------------------------

    def _supervisor(self, path: str) -> Branch | None:
        """The supervisor that runs at a path. One that is being started has no address yet, as in OTP."""
        branch = self._living(path)
        return branch if branch is not None and branch.running else None

    def _living(self, path: str) -> Branch | None:
        first, *ids = path.split("/")
        branch = self._root if first == ROOT else None
        for id in ids:
            below = branch.children.get(id) if branch is not None else None
            branch = below if isinstance(below, Branch) else None
        return branch if branch is not None and branch.living else None

    def _worker(self, path: str) -> Worker | None:
        """The running worker at a path."""
        parent, _, id = path.rpartition("/")
        branch = self._living(parent)
        worker = branch.children.get(id) if branch is not None else None
        return worker if isinstance(worker, Worker) and worker.running else None

    def _tree(self) -> Iterator[tuple[str, Json]]:
        if self._root is not None:
            yield from self._branch(self._root)
        elif self._last_reason is not None:
            yield ROOT, {"state": "dead", "reason": reason_word(self._last_reason)}
        else:
            yield ROOT, {"state": "not_started"}

    def _branch(self, branch: Branch) -> Iterator[tuple[str, Json]]:
        if branch.running or branch is self._root:
            yield branch.path, self._state(branch)
        for below in branch.children.values():
            if isinstance(below, Branch) and below.living:
                yield from self._branch(below)

    def _state(self, branch: Branch) -> Json:
        machine, generation = branch.tell, self._scene.record.generation
        if not branch.running:
            return {"state": "starting"}
        if machine.busy:
            return {"state": "busy", "gen": generation(branch.path)}
        dynamic = machine.spec.dynamic
        children = sorted(machine.children(), key=lambda child: child.id) if dynamic else machine.children()
        specs, *others = machine.count()
        return {
            "state": "running",
            "gen": generation(branch.path),
            "children": [
                [child.id, "alive" if child.alive else "stopped", generation(f"{branch.path}/{child.id}")] for child in children
            ],
            "count": [1 if dynamic else specs, *others],  # OTP counts the one template that all instances are made of
            "restarts": machine.restarts,
        }
