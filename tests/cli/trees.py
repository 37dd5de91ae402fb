"""Trees for the command line's tests to run, each in a process of its own."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
from tenacity import wait_fixed

from supervise import DynamicSupervisor, Intensity, Restart, Supervisor, child, current


class Loud:
    """Says on stdout when it starts and ends."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def __aenter__(self) -> Loud:
        print("start", self.name, flush=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        print("stop", self.name, flush=True)


class Slow(Loud):
    """Takes longer to stop than anybody waits."""

    async def __aexit__(self, *_: object) -> None:
        print("stopping", self.name, flush=True)
        await anyio.sleep_forever()


class Deaf(Loud):
    """Swallows every cancellation."""

    async def __aexit__(self, *_: object) -> None:
        print("stopping", self.name, flush=True)
        with anyio.CancelScope(shield=True):
            await anyio.sleep_forever()


class Doomed:
    """Crashes as soon as it has started."""

    async def __aenter__(self) -> Doomed:
        current().nursery.start_soon(self._crash)
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def _crash(self) -> None:
        raise ValueError("doomed")


class Unborn:
    def __init__(self) -> None:
        raise OSError("no such device")


class Unready:
    async def __aenter__(self) -> Unready:
        await self._look()
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def _look(self) -> None:
        await anyio.lowlevel.checkpoint()
        raise OSError("no such device")


ORDERLY = Supervisor("app", child(Loud, "a", name="a"), child(Loud, "b", name="b"))
SLOW = Supervisor("app", child(Slow, "a", name="a", stop_within=float("inf")))
DEAF = Supervisor("app", child(Deaf, "a", name="a", stop_within=0.0))
DOOMED = Supervisor(
    "app", Supervisor("below", child(Doomed, name="doomed", stop_within=1), intensity=Intensity(1)), intensity=Intensity(0)
)
UNBORN = Supervisor("app", child(Unborn, name="unborn"))
UNREADY = Supervisor("app", Supervisor("below", child(Unready, name="unready")))
EMPTY = DynamicSupervisor("empty")
NUMBER = 7
any_child: Any = child  # a type checker refuses what follows
WRONG_ARGUMENTS = Supervisor("app", Supervisor("below", any_child(Loud, "a", "too many", name="a")))
POLICIES = Supervisor(
    "shop",
    child(Loud, "db", name="db"),
    Supervisor(
        "workers",
        child(Loud, "1", name="1", restart=Restart.permanent(wait=wait_fixed(2), counted=True)),
        child(Loud, "2", name="2", restart="transient", required=False),
        strategy="rest_for_one",
        intensity=Intensity(0),
    ),
    DynamicSupervisor("sessions"),
    strategy="one_for_all",
)
