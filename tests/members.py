"""Children of a supervised group, which write their starts and stops in one log."""

from __future__ import annotations

from typing import Any, Self

import anyio

from supervise import RunningSupervisor, current
from supervise.events import Decided, Event
from tests.doubles import Boom


class Member:
    """Its start takes `start`, its stop `stop` seconds; it starts only while its name isn't in `broken`."""

    def __init__(
        self, log: list[str] | None = None, start: float = 0.0, stop: float = 0.0, broken: set[str] | None = None
    ) -> None:
        self.log = log if log is not None else []
        self._start = start
        self._stop = stop
        self._broken = broken if broken is not None else set[str]()
        self.seen = 0

    async def __aenter__(self) -> Self:
        await anyio.sleep(self._start)
        name = current().name
        if name in self._broken:
            self.log.append(f"{name} fails")
            raise Boom(f"{name} can't start")
        self.log.append(f"+{name}")
        return self

    async def __aexit__(self, *_: Any) -> None:
        await anyio.sleep(self._stop)
        self.log.append(f"-{current().name}")

    async def see(self) -> int:
        self.seen += 1
        return self.seen

    async def life(self) -> int:
        return current().incarnation

    async def crash(self) -> None:
        raise Boom("told to")

    async def finish(self, shutdown: str | None = None) -> None:
        current().stop(shutdown=shutdown)


def states(app: RunningSupervisor) -> dict[str, str]:
    return {child.id: child.state.value for child in app.children()}


def actions(events: list[Event]) -> list[tuple[str, str]]:
    """What was decided about whom."""
    return [(event.path, event.decision.action.value) for event in events if isinstance(event, Decided)]
