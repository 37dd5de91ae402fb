"""Tests that wait for one long command: it runs ahead, beside the other tests, and its test looks at what came of it.

All commands of the chosen tests run one after the other in one process of their own, which begins with the session. So they
take the second processor, and a test makes no thread, which others would see.
"""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest

from .house import ROOT

_runs: Final[list[Runner]] = []


def ahead(command: Callable[..., Sequence[str]]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function of what came of it, and of its own parameters, a test. `command` gets those parameters, too."""

    def decorated(check: Callable[..., None]) -> Callable[..., None]:
        def test(*, request: pytest.FixtureRequest, **parameters: Any) -> None:
            check(_runs[-1].done(request.node.nodeid), **parameters)

        [_, *own] = inspect.signature(check).parameters.values()
        named = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own]
        request = inspect.Parameter("request", inspect.Parameter.KEYWORD_ONLY)
        test.__dict__.update(__signature__=inspect.Signature([request, *named]), command=command)
        test.__name__, test.__qualname__, test.__module__ = check.__name__, check.__qualname__, check.__module__
        return test

    return decorated


def begin(session: pytest.Session) -> None:
    """Run the commands of all tests that were chosen."""
    chosen: list[Any] = [item for item in session.items if hasattr(getattr(item, "function", None), "command")]
    if chosen:
        _runs.append(Runner([(item.nodeid, _command(item)) for item in chosen]))


def _command(item: Any) -> list[str]:
    return [*item.function.command(**(item.callspec.params if hasattr(item, "callspec") else {}))]


def end() -> None:
    """Kill what still runs: nobody waits for it."""
    while _runs:
        _runs.pop().end()


def own_processes() -> set[int]:
    """What runs beside the tests, for those that look at the children of this process."""
    return {runner.pid for runner in _runs}


class Runner:
    """The process that runs the commands."""

    def __init__(self, commands: list[tuple[str, list[str]]]) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "strategies")])}
        self._came: dict[str, subprocess.CompletedProcess[str]] = {}
        self._program = subprocess.Popen(
            [sys.executable, "-m", "tests.ahead", json.dumps(commands)],
            cwd=ROOT,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

        self.pid: int = self._program.pid

    def done(self, name: str) -> subprocess.CompletedProcess[str]:
        """Wait for it."""
        assert self._program.stdout is not None
        while name not in self._came:
            line = self._program.stdout.readline()
            assert line, f"what runs the commands has ended, with status {self._program.wait()}"
            came, command, status, out, err = json.loads(line)
            self._came[came] = subprocess.CompletedProcess(command, status, out, err)
        return self._came[name]

    def end(self) -> None:
        with self._program as program:
            if program.poll() is None:
                os.killpg(program.pid, 9)


def main() -> None:
    for name, command in json.loads(sys.argv[1]):
        done = subprocess.run([sys.executable, *command], text=True, capture_output=True, check=False)
        print(json.dumps([name, command, done.returncode, done.stdout, done.stderr]), flush=True)


if __name__ == "__main__":
    main()
