"""One sample in a process of its own: `python -m tests.benchmarks.worker CONTESTANT WORKLOAD SIZE --backend NAME`.

These arguments, and the one line of JSON that it prints, are the protocol between checkouts: `--against` runs the worker of
another one, which may be older or newer. So is how it says that it has no such thing: a contestant that it doesn't know is
argparse's "invalid choice", a workload that it doesn't know ends with `KeyError: 'WORKLOAD'`.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import logging
import sys
from collections.abc import Generator, Sequence

from .backend import Backend, run
from .contestant import CONTESTANTS
from .sample import Sample


def measure(contestant: str, workload: str, size: int, backend: Backend) -> Sample:
    """A short warm-up, which imports and specialises what the workload needs, and then the workload itself."""
    work = CONTESTANTS[contestant].workloads()[workload]
    with _logging_off():
        # What a large warm-up frees, idle actors would find again, and seem smaller than they are.
        run(backend, work, max(min(size // 20, 50 if workload == "idle" else 5_000), 2))
        gc.collect()
        return run(backend, work, size)


@contextlib.contextmanager
def _logging_off() -> Generator[None]:
    """To format a crash report costs ten times as much as the restart, and says nothing of the library."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.worker", description=__doc__)
    parser.add_argument("contestant", choices=CONTESTANTS)
    parser.add_argument("workload")
    parser.add_argument("size", type=int)
    parser.add_argument("--backend", default="asyncio")
    given = parser.parse_args(arguments)
    print(json.dumps(measure(given.contestant, given.workload, given.size, given.backend)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
