"""The entry point of the command `supervise`."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from . import columns, demo, run, show
from .telemetry import Telemetry, WrongTelemetry

ENDS = """\
The first SIGTERM or SIGINT, at any time, stops in order what has started. The second kills all process groups
of the tree, and leaves at once.

exit status:
  0          the tree was stopped, or ended by itself, in order
  1          it gave up, or didn't start
  2          the command line, or MODULE:TREE, is wrong
  70         something still ran when the budget was spent and it had been cancelled; it was left behind
  128 + n    signal n came second: 130 for SIGINT, 143 for SIGTERM"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the answer is the exit status (2: the command line itself is wrong)."""
    parser = argparse.ArgumentParser(prog="supervise", description="Run and watch supervisor trees.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    running = commands.add_parser(
        "run",
        help="run a supervisor tree until SIGTERM or SIGINT",
        epilog=ENDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    running.add_argument("target", metavar="MODULE:TREE", help="where the Supervisor stands, e.g. examples.chat:TREE")
    running.add_argument("--shutdown-budget", type=_seconds, metavar="SECONDS", help="for the ordered stop (25)")

    running.add_argument("--health", metavar="HOST:PORT", help="answer /live, /ready and /tree there, e.g. 127.0.0.1:8080")

    printing = commands.add_parser("tree", help="print a tree with its policies, and check it, without running it")
    printing.add_argument("target", metavar="MODULE:TREE", help="where the Supervisor stands, e.g. examples.chat:TREE")

    explaining = commands.add_parser("explain", help="say what a crash of a child would do, without running anything")
    explaining.add_argument("target", metavar="MODULE:TREE", help="where the Supervisor stands, e.g. examples.chat:TREE")
    explaining.add_argument("path", metavar="PATH", help="of the child, relative to the tree, e.g. workers/3")

    showing = commands.add_parser("demo", help="crash a chat server while its clients talk, and account for every message")

    for command in (running, showing):
        command.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
        command.add_argument("--log", metavar="FILE", help="append JSON log records, starts and orderly ends included")
        command.add_argument("--otlp", metavar="URL", help="send spans to this collector, e.g. http://127.0.0.1:4318")
        command.add_argument("--actor-services", action="store_true", help="make each type of actor a service in the spans")

    reading = commands.add_parser("columns", help="show a JSON log with one column for each actor")
    reading.add_argument("file", metavar="FILE", help="as --log writes it; - for standard input")
    reading.add_argument(
        "--only", metavar="PATTERN", action="append", default=[], help="paths, e.g. 'chat/rooms/*'; repeatable"
    )
    reading.add_argument("--follow", action="store_true", help="go on with what is written later")
    reading.add_argument("--width", type=int, metavar="N", help="characters (that of the terminal)")
    reading.add_argument("--html", metavar="OUT", help="write one page instead")
    reading.add_argument("--jaeger", metavar="URL", help="make trace ids links, e.g. http://localhost:16686")
    options = parser.parse_args(argv)

    if options.command == "columns":
        return columns.main(
            options.file,
            only=options.only,
            follow=options.follow,
            width=options.width,
            page=options.html,
            jaeger=options.jaeger,
        )
    if options.command == "tree":
        return show.tree(options.target)
    if options.command == "explain":
        return show.explain(options.target, options.path)
    if options.command == "run":
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    telemetry = Telemetry(options.log, options.otlp, options.actor_services)
    try:
        if options.command == "demo":
            return demo.main(options.backend, telemetry)
        return run.main(options.target, options.backend, options.shutdown_budget, telemetry, options.health)
    except WrongTelemetry as error:
        print(f"supervise: {error}", file=sys.stderr)
        return 2
    finally:
        telemetry.close()


def _seconds(text: str) -> float:
    seconds = float(text)
    if not seconds >= 0:
        raise argparse.ArgumentTypeError(f"{text!r} isn't a number of seconds, 0 or more")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
