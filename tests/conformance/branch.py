"""The simulated supervisors."""

from __future__ import annotations

from collections.abc import Iterable

from supervise_strategies import (
    CancelStart,
    Cause,
    Directive,
    Done,
    ExitKind,
    ExitReason,
    InvalidSpec,
    Phase,
    Ready,
    Reply,
    Start,
    Stop,
    Supervision,
    WakeAt,
)

from .process import Owner, Process
from .scenario import Json
from .scene import Scene
from .specs import Blueprint, ScriptedSpec, blueprint
from .worker import Worker


class StartUndone(Exception):
    """A supervisor's start failed because of this child's, and was undone."""

    def __init__(self, child: str | None) -> None:
        super().__init__(f"child {child!r} didn't start")
        self.child = child


class Branch(Process):
    """A supervisor: it carries out what its machine decides and tells it what came of it."""

    def __init__(self, scene: Scene, owner: Owner, path: str, number: int, sup: Json) -> None:
        super().__init__(scene, owner, path, number)
        self.children: dict[str, Process] = {}
        self.blueprint: Blueprint | None = None
        self.machine: Supervision | None = None
        self._sup = sup
        self._wake: float | None = None

    @property
    def living(self) -> bool:
        """Starting, running or stopping."""
        return self.machine is not None and self.machine.phase is not Phase.DONE

    def begin(self) -> None:
        init = self.scene.plans.init(self.path)
        if init.outcome != "ok":
            self._not_up(RuntimeError(f"init: {init.outcome}"), ignored=init.outcome == "ignore")
            return
        try:
            self.blueprint = blueprint(self.id, self._sup)
        except InvalidSpec as fault:
            self._not_up(fault)
            return
        self.machine = Supervision(self.blueprint.spec)
        self.obey(self.machine.begin(self.scene.world.now))

    def stop(self, order: Stop) -> None:
        """It takes the time its children need: OTP leaves open what a shorter one does to them, and no recording has it."""
        self.obey(self.tell.stop(self.scene.world.now, mode=order.mode))

    def end(self, reason: ExitReason, cause: Cause) -> None:
        """Nobody above asked for it."""
        self.obey(self.tell.stop(self.scene.world.now, reason=reason, cause=cause))

    def cancel_start(self) -> None:
        if self.machine is not None:  # otherwise its init has failed, and that is on its way
            self.obey(self.machine.stop(self.scene.world.now))

    @property
    def tell(self) -> Supervision:
        """The machine, once it has begun."""
        if self.machine is None:
            raise RuntimeError(f"{self.path} hasn't begun")
        return self.machine

    # -- facts about the children ----------------------------------------------------------------------------------

    def started(self, id: str, number: int) -> None:
        self.obey(self.tell.child_started(id, number, self.scene.world.now))

    def start_failed(self, id: str, number: int, error: BaseException, ignored: bool) -> None:
        reason = ExitReason(ExitKind.CRASHED, str(error))
        self.obey(self.tell.start_failed(id, number, reason, self.scene.world.now, error=error, ignored=ignored))

    def ended(self, id: str, number: int, reason: ExitReason) -> None:
        self.obey(self.tell.child_exited(id, number, reason, self.scene.world.now))

    # -- directives --------------------------------------------------------------------------------------------------

    def obey(self, directives: Iterable[Directive]) -> None:
        for directive in directives:
            match directive:
                case Start(id, number):
                    self._start(id, number)
                case Stop(id):
                    self.children[id].stop(directive)
                case CancelStart(id):
                    self.children[id].cancel_start()
                case Reply(ticket, result):
                    self.scene.answer(ticket, result)
                case WakeAt(at):
                    self._wake_at(at)
                case Ready():
                    self._up()
                case Done():
                    self._done(directive)
                case _:
                    pass  # about mailboxes and those who listen, which nobody has here

    def _start(self, id: str, number: int) -> None:
        info = self.tell.child(id)
        if info is None or not isinstance(info.spec, ScriptedSpec):
            raise RuntimeError(f"{self.path} is to start {id!r}, which isn't listed")
        path, nested = f"{self.path}/{id}", info.spec.nested
        child: Process
        if nested is None:
            child = Worker(self.scene, self, path, number, info.spec)
        else:
            child = Branch(self.scene, self, path, number, nested)
        self.children[id] = child
        child.begin()

    def _wake_at(self, at: float | None) -> None:
        self._wake = at
        if at is not None:
            self.scene.world.alarm(at, lambda: self._woken(at))

    def _woken(self, at: float) -> None:
        if self._wake == at:
            self._wake = None
            self.obey(self.tell.timer(self.scene.world.now))

    def _done(self, done: Done) -> None:
        if self.running:
            self._gone(done.reason, done.cause)
        else:
            self._not_up(StartUndone(done.failed))
