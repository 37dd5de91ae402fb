"""A program that is reloaded while its tree runs, by hand: no watcher, no waiting."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import TaskGroup

from supervise import RunningSupervisor
from supervise.cli.reload.reloader import Reloader
from supervise.cli.target import load
from supervise.events import Event
from supervise.testing.virtual_time import at_rest

from .files import Files


class Stage:
    """The program's module `app` has the tree, `TREE`."""

    def __init__(self, files: Files, capsys: pytest.CaptureFixture[str], target: str, factory: bool) -> None:
        self.files = files
        self.events: list[Event] = []
        self._capsys = capsys
        self._target = files.full(target)
        self._factory = factory
        self.tree = load(self._target, factory)
        self.program = files.program()
        self.reloader = Reloader(self.program, lambda: load(self._target, factory))
        self.app: RunningSupervisor
        self._renewing = anyio.CancelScope()

    async def save(self, **texts: str) -> list[str]:
        """Files are written, and looked at; what was said, the program's own name apart."""
        self.files.write(**texts)
        loaded = self.reloader.look()
        if loaded is not None:
            plan = self.reloader.plan(self.app, loaded)
            if plan is None:
                return ["all anew"]
            await self.reloader.carry_out(self.app, loaded, plan)
        return self.said()

    async def save_meanwhile(self, group: TaskGroup, **texts: str) -> list[str]:
        """The same, without waiting for who can't be up soon; an earlier one of these isn't waited for any more."""
        self._renewing.cancel()
        self._renewing = scope = anyio.CancelScope()
        self.files.write(**texts)
        loaded = self.reloader.look()
        assert loaded is not None
        plan = self.reloader.plan(self.app, loaded)
        assert plan is not None

        async def carry_out() -> None:
            with scope:
                await self.reloader.carry_out(self.app, loaded, plan)

        group.start_soon(carry_out)
        await at_rest()
        return self.said()

    def said(self) -> list[str]:
        err = self._capsys.readouterr().err.replace(f"{self.files.package}/", "").replace(f"{self.files.package}.", "")
        return [line.removeprefix("supervise: reload: ") for line in err.splitlines()]


@asynccontextmanager
async def running(
    files: Files, capsys: pytest.CaptureFixture[str], target: str = "$.app:TREE", factory: bool = False
) -> AsyncGenerator[Stage]:
    stage = Stage(files, capsys, target, factory)
    async with stage.tree as app:
        stage.app = app
        app.subscribe(stage.events.append)
        yield stage
    capsys.readouterr()
