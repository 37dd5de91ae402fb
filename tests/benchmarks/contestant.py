"""Who takes part, and what each needs in order to."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Final, cast

from .backend import Backend
from .sample import Clock, Workload


@dataclass(frozen=True, slots=True)
class Contestant:
    name: str
    title: str
    module: str
    backends: tuple[Backend, ...] = ("asyncio",)
    clock: Clock = "cpu"
    package: str | None = None
    """What has to be importable."""
    program: str | None = None
    """What has to be on PATH."""
    python: tuple[int, int] = (3, 11)
    """The oldest Python that its package can be installed on."""

    def missing(self) -> str | None:
        """Why it can't take part, if it can't."""
        if sys.version_info < self.python:
            return f"{self.title} is left out: it needs Python {'.'.join(map(str, self.python))}"
        if self.package is not None and importlib.util.find_spec(self.package) is None:
            return f"{self.title} is left out: the package {self.package!r} is not installed (extra `bench`)"
        if self.program is not None and shutil.which(self.program) is None:
            return f"{self.title} is left out: {self.program!r} is not on PATH"
        return None

    def workloads(self) -> Mapping[str, Workload]:
        """What it can run, by name."""
        return cast(Mapping[str, Workload], self._imported().WORKLOADS)

    def note(self) -> str | None:
        """With which settings it runs, and why it can't do the rest, if that needs saying."""
        return cast("str | None", getattr(self._imported(), "NOTE", None))

    def _imported(self) -> ModuleType:
        return importlib.import_module(f"{__package__}.contestants.{self.module}")


SUPERVISE: Final = "supervise"
GROWTH: Final = "growth"
ABLATED: Final = "ablated"
TRACED: Final = "traced"
QUEUE: Final = "queue"
CHANNEL: Final = "channel"

_ALL: Final = (
    Contestant(SUPERVISE, "supervise", "toolkit", ("asyncio", "uvloop", "trio")),
    Contestant(GROWTH, "supervise", "growth", ("asyncio", "uvloop", "trio")),
    Contestant(ABLATED, "supervise, taken apart", "ablated", ("asyncio", "uvloop", "trio")),
    Contestant(TRACED, "supervise, traced", "traced", ("asyncio", "uvloop", "trio")),
    Contestant(QUEUE, "asyncio.Queue by hand", "queue_loop", ("asyncio", "uvloop")),
    Contestant(CHANNEL, "trio channel by hand", "channel_loop", ("trio",)),
    Contestant("pykka", "pykka (threads)", "pykka_threads", ("own",), "wall", package="pykka"),
    Contestant("thespian", "thespian (simpleSystemBase)", "thespian_simple", ("own",), package="thespian"),
    Contestant("mode", "mode (OneForOneSupervisor)", "mode_services", package="mode"),
    Contestant("aiotools", "aiotools (Supervisor)", "aiotools_scope", package="aiotools"),
    Contestant("tapio", "tapio", "tapio_behaviors", package="tapio"),
    Contestant("casty", "casty", "casty_keys", package="casty", python=(3, 12)),
    Contestant("lapinbeam", "lapinbeam", "lapinbeam_node", clock="wall", package="lapinbeam"),
    Contestant("everything", "everything-is-an-actor", "everything_actors", package="actor_for_agents", python=(3, 12)),
    Contestant("erlang", "Erlang/OTP (gen_server)", "erlang", ("own",), "wall", program="escript"),
)
CONTESTANTS: Final[Mapping[str, Contestant]] = {contestant.name: contestant for contestant in _ALL}
