"""The entry point of the command `supervise`."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from collections.abc import Sequence
from typing import Any, Final, TextIO, cast

from supervise_strategies.exit_reason import describe
from supervise_strategies.kind import is_of
from supervise_strategies.suggestion import did_you_mean

from . import demo, postmortem, run, show
from .columns import command as columns
from .listening import WrongAddress
from .live import arguments as live
from .outputs import unbreak
from .reload import watcher
from .telemetry import Telemetry, WrongTelemetry, show_records

ENDS: Final = """\
The first SIGTERM or SIGINT, at any time, stops in order what has started. The second kills all process groups
of the tree, and leaves at once. SIGQUIT, unless the program has a meaning of its own for it, writes the flight
record, and the program goes on.

exit status:
  0          the tree was stopped, or ended by itself, in order
  1          it gave up, or didn't start
  2          the command line, or MODULE:TREE, is wrong
  70         something still ran when the budget was spent and it had been cancelled; it was left behind
  128 + n    signal n came second: 130 for SIGINT, 143 for SIGTERM"""
STANDS: Final = "where the Supervisor stands, e.g. shop.trees:TREE, or shop/trees.py:TREE"
LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the answer is the exit status (2: the command line itself is wrong)."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.command == "columns":
        if cast("TextIO | None", sys.stdout) is None:  # it was closed before
            unbreak()
        return columns.main(
            options.file,
            only=options.only,
            last=options.last,
            follow=options.follow,
            width=options.width,
            page=options.html,
            jaeger=options.jaeger,
        )
    if options.command == "top":
        from .top import command as top  # it takes a while to load

        return top.main(options.where, once=options.once, every=options.every, who=options.who)
    if _asks_live(parser, options):
        if cast("TextIO | None", sys.stdout) is None:
            unbreak()
        from .live import command  # loaded only for who asks a running tree

        return command.main(options)
    unbreak()
    if options.command == "postmortem":
        return postmortem.main(options.file, options.all)
    if options.command == "tree":
        return show.tree(options.target, options.factory)
    if options.command == "explain":
        return show.explain(*options.words, factory=options.factory)
    lacking = _lacking(options.backend)
    if lacking:
        print(f"supervise: --backend {options.backend}: {lacking}", file=sys.stderr)
        return 2
    if options.command == "run" and options.reload and not watcher.is_installed():
        print(f"supervise: --reload: {watcher.MISSING}", file=sys.stderr)
        return 2
    if options.command == "run" or options.log_level is not None:  # a demo tells its story in its own words
        show_records(options.log_level)
    if options.metrics_durations and options.metrics is None:
        parser.error("--metrics-durations needs --metrics HOST:PORT")
    seen = _live_options(parser, options) if options.command == "run" else None
    telemetry: Telemetry | None = None
    try:
        telemetry = Telemetry(
            options.log,
            options.otlp,
            options.actor_services,
            options.log_level,
            log_arguments=options.log_arguments,
            exclude=options.trace_exclude if options.command == "run" else (),
            metrics=options.metrics,
            durations=options.metrics_durations,
        )
        if options.command == "demo" and options.live is not None:
            from . import endless_demo

            return endless_demo.main(options.backend, telemetry, options.live)
        if options.command == "demo":
            return demo.main(options.backend, telemetry)
        serving = options.target, options.backend, options.shutdown_budget, telemetry, options.health
        return run.main(*serving, options.factory, seen, options.reload)
    except (WrongTelemetry, WrongAddress) as error:
        print(f"supervise: {error}", file=sys.stderr)
        return 2
    finally:
        if telemetry is not None:
            telemetry.close()


class _Command(argparse.ArgumentParser):
    """Takes words on both sides of an option, as in `restart db --as ada shop`; argparse itself takes them on one side."""

    _mixed = False

    def parse_known_args(self, *args: Any, **options: Any) -> Any:
        if self._mixed:  # it is called by what it calls
            return super().parse_known_args(*args, **options)
        self._mixed = True
        try:
            return self.parse_known_intermixed_args(*args, **options)
        finally:
            self._mixed = False


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="supervise", description="Run, watch and handle supervisor trees.")
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    kind = cast("type[argparse.ArgumentParser]", _Command)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=kind)
    running = commands.add_parser(
        "run",
        help="run a supervisor tree until SIGTERM or SIGINT",
        epilog=ENDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    printing = commands.add_parser("tree", help="print a tree with its policies, running or as it is written")
    explaining = commands.add_parser("explain", help="say what a crash of a child would do, running or as it is written")
    showing = commands.add_parser("demo", help="crash a chat server while its clients talk, and account for every message")
    reading = commands.add_parser("columns", help="show a JSON log with one column for each actor")
    after = commands.add_parser("postmortem", help="tell what led to a crash, from a flight record")

    running.add_argument("target", metavar="MODULE:TREE", nargs="?", help=STANDS)
    printing.add_argument("target", metavar="MODULE:TREE | TREE", nargs="?", help=f"{STANDS}; or a running tree: {live.WHERE}")
    explaining.add_argument(
        "words",
        metavar="MODULE:TREE PATH | PATH [TREE]",
        nargs="+",
        help=f"a tree as it is written, and the path of a child, e.g. workers/3; or the path, and a running tree: {live.WHERE}",
    )
    for command in (running, printing, explaining):
        command.add_argument("--factory", action="store_true", help="TREE is a function without arguments that returns it")
    for command in (printing, explaining):
        command.add_argument("--json", action="store_true", help="of a running tree: as it tells it, for programs")
    running.add_argument(
        "--reload", action="store_true", help="when a file changes, restart the actors whose code it holds, on their mailboxes"
    )
    running.add_argument("--shutdown-budget", type=_seconds, metavar="SECONDS", help="for the ordered stop (25)")
    running.add_argument(
        "--live",
        metavar="PATH | HOST:PORT",
        nargs="?",
        const="",
        help="let it be seen from outside, by a socket, or by HTTP with a page, e.g. 127.0.0.1:8080",
    )
    showing.add_argument(
        "--live",
        metavar="HOST:PORT",
        nargs="?",
        const="127.0.0.1:0",
        help="talk and crash until Ctrl-C, with the page of the live view there (any port of this machine)",
    )
    running.add_argument("--operate", action="store_true", help="and handled: restart, stop, start, pause, resume, change")
    running.add_argument("--health", metavar="HOST:PORT", help="answer /live and /ready there, e.g. 127.0.0.1:8080")
    running.add_argument(
        "--trace-exclude",
        metavar="PATTERN",
        action="append",
        default=[],
        help="make no spans for these handlers, e.g. 'Clock.*'; repeatable",
    )
    for command, default in ((running, "info"), (showing, "none at all")):
        command.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio", help="what runs it (asyncio)")
        command.add_argument(
            "--log-level",
            type=_level,
            metavar="LEVEL",
            help=f"of the log records on stderr: debug, info, warning, error or critical ({default})",
        )
        command.add_argument("--log", metavar="FILE", help="append JSON log records, starts and orderly ends included")
        command.add_argument(
            "--log-arguments",
            action="store_true",
            help="say in log records and errors what messages hold, not only its types",
        )
        command.add_argument("--otlp", metavar="URL", help="send spans to this collector, e.g. http://127.0.0.1:4318")
        command.add_argument("--metrics", metavar="HOST:PORT", help="serve metrics to Prometheus there, e.g. 127.0.0.1:9464")
        command.add_argument(
            "--metrics-durations", action="store_true", help="and how long messages wait and are handled: 20 µs each"
        )
        command.add_argument("--actor-services", action="store_true", help="make each type of actor a service in the spans")

    live.add(commands)
    after.add_argument("file", metavar="FILE", nargs="?", help="the record (the newest one, where trees write them)")
    after.add_argument("--all", action="store_true", help="tell of orderly starts and ends, too, and all lines")
    reading.add_argument("file", metavar="FILE", help="as --log writes it; - for standard input")
    reading.add_argument(
        "--only", metavar="PATTERN", action="append", default=[], help="paths, e.g. 'chat/rooms/*'; repeatable"
    )
    reading.add_argument("--last", type=live.count_of, metavar="N", help="only the last N records of those")
    reading.add_argument("--follow", action="store_true", help="go on with what is written later, as tail -F does")
    reading.add_argument("--width", type=int, metavar="N", help="characters (that of the terminal)")
    reading.add_argument("--html", metavar="OUT", help="write one page instead")
    reading.add_argument("--jaeger", metavar="URL", help="make trace ids links, e.g. http://localhost:16686")
    return parser


def _asks_live(parser: argparse.ArgumentParser, options: argparse.Namespace) -> bool:
    """Whether a running tree is meant. Of `explain` it is, where the first word is no MODULE:TREE."""
    if options.command != "explain":
        return options.command in live.ALL or (options.command == "tree" and live.is_live(options.target))
    words: list[str] = options.words
    if len(words) > 2:
        parser.error(f"explain: {words[2]!r} is one too many: give MODULE:TREE and PATH, or PATH and a running tree")
    if len(words) == 2 and live.is_live(words[0]):
        return True
    if len(words) == 1 and not live.is_live(words[0]):
        parser.error(f"explain: give the path of a child, too: supervise explain {words[0]} PATH")
    return len(words) == 1


def _live_options(parser: argparse.ArgumentParser, options: argparse.Namespace) -> run.Live | None:
    """Where the tree is to be seen. `run --live MODULE:TREE` has the tree where a place could stand."""
    if options.target is None and options.live and not live.is_live(options.live):
        options.target, options.live = options.live, ""
    if options.target is None:
        parser.error("the following arguments are required: MODULE:TREE")
    if options.live is None:
        if options.operate:
            parser.error("--operate needs --live: it says who may handle the tree from there")
        return None
    return run.Live(options.live or None, options.operate)


class _Version(argparse.Action):
    """Looked up only for who asks."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from supervise._version import DISTRIBUTION, version

        print(f"{DISTRIBUTION} {version()}")
        parser.exit()


def _lacking(backend: str) -> str:
    """What there has to be for this backend, and isn't, with the cure."""
    if backend == "trio":
        try:
            importlib.import_module("trio")  # anyio's own text names no cure
        except ImportError as error:
            absent = is_of(error, ModuleNotFoundError) and error.name == "trio"
            why = "trio isn't installed" if absent else describe(error)
            return f"{why}: pip install trio"
    return ""


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not seconds >= 0:
        raise argparse.ArgumentTypeError(f"{text!r} isn't a number of seconds, 0 or more")
    return seconds


def _level(text: str) -> int:
    level = logging.getLevelNamesMapping().get(text.upper())
    if level is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} isn't a level of log records: {did_you_mean(text, LEVELS)}there are {', '.join(LEVELS)}"
        )
    return level or 1  # NOTSET, which a handler takes for a level that nobody has said


if __name__ == "__main__":
    sys.exit(main())
