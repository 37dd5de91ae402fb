"""The simulated workers."""

from __future__ import annotations

from typing import Final

from supervise_strategies import ExitKind, ExitReason, Stop

from .process import Owner, Process
from .scene import Scene
from .specs import ScriptedSpec

KILLED: Final = ExitReason(ExitKind.KILLED)


class Worker(Process):
    """It does its init and then nothing, until it is told to end."""

    def __init__(self, scene: Scene, owner: Owner, path: str, number: int, spec: ScriptedSpec) -> None:
        super().__init__(scene, owner, path, number)
        self.spec = spec
        self._outcome = "ok"

    def begin(self) -> None:
        init = self.scene.plans.init(self.path)
        self._outcome = init.outcome
        if init.gated:
            self.scene.hanging[self.path] = self._init
            self.scene.record.blocked(self.path)
        else:
            self._init()

    def end(self, reason: ExitReason) -> None:
        """Unless it has ended already, which its owner may not know yet."""
        if self.running:
            self._gone(reason)

    def stop(self, order: Stop) -> None:
        needs = self.spec.stop_seconds
        if order.brutal:
            self.end(KILLED)
        elif needs > order.within:
            self.scene.world.after(order.within, lambda: self.end(KILLED))
        elif needs:
            self.scene.world.after(needs, lambda: self.end(self.spec.stop_reason))
        else:
            self.end(self.spec.stop_reason)

    def cancel_start(self) -> None:
        if self.scene.hanging.pop(self.path, None) is not None:  # otherwise its init is done, and that is on its way
            self._not_up(RuntimeError("cancelled"))

    def _init(self) -> None:
        if self._outcome != "ok":
            self._not_up(RuntimeError(f"init: {self._outcome}"), ignored=self._outcome == "ignore")
            return
        self._up()
        doom = self.scene.plans.doom(self.path)
        if doom is not None:
            self.scene.world.soon(lambda: self.end(doom))
