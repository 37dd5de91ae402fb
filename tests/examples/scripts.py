"""Scripts as a user runs them: which there are, how each is run, and what it may say on stderr."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
HANG_GUARD: Final = 60  # seconds; a script takes one or two
# What the logger `supervise` says: "app/counter #1 ended: …", "app: counter #1 ended: …",
# "app/counter #1: … raised the expected …", "app/link #1: the connection has ended …".
LOG_LINE: Final = re.compile(
    r"[a-z][\w/-]*( #\d+ | #\d+: (.* raised the expected |the connection has ended )|"
    r": ([\w/-]+ #\d+ ended: |.* is lost: |\d+ (more lost|waiting messages?))).*"
)
CRASH: Final = re.compile(r"(ended|failed to start): crashed")
COMPLAINT: Final = re.compile(r"Warning: |Exception ignored in|never awaited")
# What asyncio's debug mode says of a step that took 0.1 s: that is the machine's doing, with everything else that runs there.
SLOW_MACHINE: Final = re.compile(r"Executing <.* took \d+\.\d+ seconds$")


class Said(NamedTuple):
    out: str
    err: str


def backends(script: Path) -> list[tuple[str, ...]]:
    """The arguments of each of its runs: once for each backend, if it takes one."""
    return [("asyncio",), ("trio",)] if "sys.argv[1]" in script.read_text(encoding="utf-8") else [()]


def run(script: Path, arguments: tuple[str, ...]) -> Said:
    """Run it with all warnings as errors, in an empty folder; what it says. It prints something, and complains of nothing."""
    with tempfile.TemporaryDirectory() as elsewhere:
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-W", "error", str(script), *arguments],
            cwd=elsewhere,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "strategies")])},
            capture_output=True,
            encoding="utf-8",
            timeout=HANG_GUARD,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout, "a script shows something"
    strange = strange_lines(done.stderr)
    assert not strange, "\n".join(strange)
    return Said(done.stdout, done.stderr)


def says_what_to_look_for(script: Path) -> bool:
    return "Look for:" in (ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or "")


def ends_with_an_assertion(script: Path) -> bool:
    """Whether the last statement of its `main` is one, however deep in blocks."""
    module = ast.parse(script.read_text(encoding="utf-8"))
    mains = [part for part in module.body if isinstance(part, ast.AsyncFunctionDef | ast.FunctionDef) and part.name == "main"]
    last: ast.stmt = mains[-1].body[-1]
    while isinstance(last, ast.AsyncWith | ast.With):
        last = last.body[-1]
    return isinstance(last, ast.Assert)


def strange_lines(stderr: str) -> list[str]:
    """The lines that are none of the log's: neither a record, nor of the traceback below the record of a crash."""
    found: list[str] = []
    below_a_crash = False
    for line in stderr.splitlines():
        if LOG_LINE.fullmatch(line):
            below_a_crash = CRASH.search(line) is not None
        elif (not below_a_crash or COMPLAINT.search(line)) and not SLOW_MACHINE.match(line):
            found.append(line)
    return found
