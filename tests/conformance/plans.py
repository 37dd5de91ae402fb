"""What the script has prepared for coming starts."""

from __future__ import annotations

from typing import NamedTuple

from supervise_strategies import ExitReason

from .reasons import exit_reason
from .scenario import Json


class Init(NamedTuple):
    """How one init goes."""

    outcome: str
    """`ok`, `error` (also for a crash) or `ignore`."""
    gated: bool
    """It hangs first, until the gate is opened."""


class Plans:
    """By path: inits that fail, workers that die right after their start, and gates."""

    def __init__(self) -> None:
        self._failures: dict[str, tuple[int, str]] = {}
        self._dooms: dict[str, tuple[int, ExitReason]] = {}
        self._gates: dict[str, str] = {}

    def prepare(self, step: Json) -> bool:
        """Take note of a preparing step; False if it is of another sort."""
        do = step["do"]
        if do == "init_fails":
            self._failures[step["child"]] = (step["times"], "ignore" if step["how"] == "ignore" else "error")
        elif do == "crash_after_start":
            self._dooms[step["child"]] = (step["times"], exit_reason(step["reason"]))
        elif do == "gate":
            self._gates[step["child"]] = step["then"]
        else:
            return False
        return True

    def init(self, path: str) -> Init:
        """The start of a path begins: how it goes."""
        then = self._gates.pop(path, None)
        if then is not None:
            return Init(then, gated=True)
        times, outcome = self._failures.get(path, (0, ""))
        if times < 1:
            return Init("ok", gated=False)
        self._failures[path] = (times - 1, outcome)
        return Init(outcome, gated=False)

    def doom(self, path: str) -> ExitReason | None:
        """The start of a path has succeeded: the reason with which it ends at once, if it does."""
        times, reason = self._dooms.get(path, (0, None))
        if times < 1 or reason is None:
            return None
        self._dooms[path] = (times - 1, reason)
        return reason
