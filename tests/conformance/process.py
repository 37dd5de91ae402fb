"""A process of a simulated tree, and who started it."""

from __future__ import annotations

from typing import Protocol

from supervise_strategies import Cause, ExitReason, Stop

from .scenario import ROOT
from .scene import Scene


class Owner(Protocol):
    """Who started a process, and is told what becomes of it."""

    def started(self, id: str, number: int) -> None: ...

    def start_failed(self, id: str, number: int, error: BaseException, ignored: bool) -> None: ...

    def ended(self, id: str, number: int, reason: ExitReason) -> None: ...


class Process:
    """One incarnation of a child, or the root."""

    def __init__(self, scene: Scene, owner: Owner, path: str, number: int) -> None:
        self.scene = scene
        self.owner = owner
        self.path = path
        self.id = path.rpartition("/")[2]
        self.number = number
        self.running = False

    def begin(self) -> None:
        raise NotImplementedError

    def stop(self, order: Stop) -> None:
        raise NotImplementedError

    def cancel_start(self) -> None:
        raise NotImplementedError

    def _up(self) -> None:
        self.running = True
        self.scene.record.started(self.path)
        self.scene.world.soon(lambda: self.owner.started(self.id, self.number))

    def _not_up(self, error: BaseException, *, ignored: bool = False) -> None:
        if self.path != ROOT:  # the root's own failure is the reply to its start
            self.scene.record.start_failed(self.path, ignored=ignored)
        self.scene.world.soon(lambda: self.owner.start_failed(self.id, self.number, error, ignored))

    def _gone(self, reason: ExitReason, cause: Cause = Cause.SELF) -> None:
        self.running = False
        self.scene.record.stopped(self.path, reason, cause)
        self.scene.world.soon(lambda: self.owner.ended(self.id, self.number, reason))
