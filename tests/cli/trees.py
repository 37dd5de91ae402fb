"""Trees for the command line's tests to run, each in a process of its own."""

from __future__ import annotations

import anyio

from supervise import DynamicSupervisor, Intensity, Supervisor, child, current


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


ORDERLY = Supervisor("app", child(Loud, "a", name="a"), child(Loud, "b", name="b"))
SLOW = Supervisor("app", child(Slow, "a", name="a", stop_within=float("inf")))
DEAF = Supervisor("app", child(Deaf, "a", name="a", stop_within=0.0))
DOOMED = Supervisor("app", Supervisor("below", child(Doomed, name="doomed"), intensity=Intensity(1)), intensity=Intensity(0))
UNBORN = Supervisor("app", child(Unborn, name="unborn"))
EMPTY = DynamicSupervisor("empty")
NUMBER = 7
