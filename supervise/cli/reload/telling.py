"""What a reload says on stderr. Each line begins in the same way."""

from __future__ import annotations

import sys


def tell(line: str, before: str = "") -> None:
    """Say it, after a traceback, if there is one."""
    print(f"{before}supervise: reload: {line}", file=sys.stderr, flush=True)
