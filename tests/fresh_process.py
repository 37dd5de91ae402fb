"""Python in a process of its own, which finds this checkout."""

from __future__ import annotations

import os
import subprocess
import sys

from .house import ROOT


def in_a_fresh_process(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "strategies")])}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, check=False)
