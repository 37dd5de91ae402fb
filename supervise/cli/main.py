"""The entry point of the command `supervise`."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from . import demo, run


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the answer is the exit status (2: the command line itself is wrong)."""
    parser = argparse.ArgumentParser(prog="supervise", description="Run and watch supervisor trees.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    running = commands.add_parser("run", help="run a supervisor tree until SIGTERM or SIGINT")
    running.add_argument("target", metavar="MODULE:TREE", help="where the Supervisor stands, e.g. examples.chat:TREE")
    running.add_argument("--shutdown-budget", type=_seconds, metavar="SECONDS", help="for the ordered stop (25)")

    showing = commands.add_parser("demo", help="crash a chat server while its clients talk, and account for every message")

    for command in (running, showing):
        command.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    options = parser.parse_args(argv)

    if options.command == "demo":
        return demo.main(options.backend)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    return run.main(options.target, options.backend, options.shutdown_budget)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not seconds >= 0:
        raise argparse.ArgumentTypeError(f"{text!r} isn't a number of seconds, 0 or more")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
