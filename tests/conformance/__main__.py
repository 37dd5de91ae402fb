"""The command line: which scenarios agree with OTP, and which don't."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from . import machine
from .scenario import UnreadableFile, given_files, load
from .verdict import Play, Verdict, judge, lines, summary

RUNTIME: Final = "tests.conformance.runtime"
BACKENDS: Final = ("asyncio", "trio")


class Unavailable(Exception):
    """A subject that can't be had."""


def main(arguments: Sequence[str] | None = None) -> int:
    """1 if any scenario differs from OTP, 2 if nothing could be compared, 0 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--subject", choices=("machine", "runtime"), default="machine")
    parser.add_argument("--backend", choices=(*BACKENDS, "both"), default="both", help="what the runtime runs on")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="scenarios, one per line (default: all given ones)")
    options = parser.parse_args(arguments)
    try:
        files = [(path.name, load(path)) for path in options.files or given_files()]
        plays = list(_plays(options.subject, options.backend))
    except (UnreadableFile, Unavailable) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    total: list[Verdict] = []
    for name, scenarios in files:
        for suffix, play in plays:
            verdicts = list(judge(scenarios, play))
            total += verdicts
            print(*lines(name + suffix, verdicts), sep="\n", flush=True)
    print(summary("sum", total))
    return 1 if any(verdict.outcome == "failed" for verdict in total) else 0


def _plays(subject: str, backend: str) -> Iterator[tuple[str, Play]]:
    if subject == "machine":
        yield "", machine.play
        return
    try:
        runtime = importlib.import_module(RUNTIME)
    except ModuleNotFoundError as error:
        if error.name != RUNTIME:
            raise
        raise Unavailable(f"there is no {RUNTIME} yet; use --subject machine") from error
    for name in BACKENDS if backend == "both" else (backend,):
        yield f" ({name})", partial(runtime.play, backend=name)


if __name__ == "__main__":
    sys.exit(main())
