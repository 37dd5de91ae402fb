"""The command line of what is asked of a running tree."""

from __future__ import annotations

import argparse
import os
import stat
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

WHERE: Final = "its name, its socket or its address; not needed where one tree is served"
STATUS: Final = """\
exit status:
  0   it was answered, or done
  1   the tree refuses it: why is on stderr
  2   the command line is wrong
  3   no such tree is served here, or nobody answers there
  74  the answer can't be written, as on a full disk"""
ACTIONS: Final = {
    "restart": "stop an actor in order and start it again, on its mailbox",
    "stop": "stop an actor or supervisor; it stays listed",
    "start": "start what is stopped",
    "pause": "have an actor begin no further message; it keeps accepting",
    "resume": "have a paused actor go on",
    "change": "change a policy: restart=transient, intensity=10/60",
}
ALL: Final = frozenset({"ps", "events", "logs", *ACTIONS})


def add(commands: Commands) -> None:
    """The commands that are for a running tree alone."""
    table = _command(commands, "ps", "list the actors of a running tree", under=True)
    table.add_argument("where", metavar="TREE", nargs="?", help=WHERE)
    table.add_argument("--top", type=count_of, metavar="N", help="only the first N")
    table.add_argument(
        "--sort", metavar="BY", default="tree", help="tree, path, queued, restarts, failed, handled, hand, oldest, worst"
    )
    table.add_argument("--by-type", action="store_true", help="sums by type of actor")
    screen = commands.add_parser("top", help="watch and handle a running tree in the terminal (extra [top])", epilog=STATUS)
    screen.formatter_class = argparse.RawDescriptionHelpFormatter
    screen.add_argument("where", metavar="TREE", nargs="?", help=WHERE)
    screen.add_argument("--once", action="store_true", help="print one picture as plain text instead, which needs no extra")
    screen.add_argument("--every", type=float, metavar="SECONDS", default=1.0, help="between two looks (1)")
    screen.add_argument("--as", dest="who", metavar="NAME", default="", help="who asks, as events say it")
    events = _command(commands, "events", "tell what happened in a running tree", under=True)
    events.add_argument("where", metavar="TREE", nargs="?", help=WHERE)
    events.add_argument("-f", "--follow", action="store_true", help="and what happens from now on")
    events.add_argument("--last", type=count_of, metavar="N", default=100, help="the last N of what is known (100)")
    logs = _command(commands, "logs", "follow the log records of an actor, or of all below a supervisor")
    logs.add_argument("path", metavar="PATH")
    logs.add_argument("where", metavar="TREE", nargs="?", help=WHERE)
    logs.add_argument("-f", "--follow", action="store_true", help="it always does: what was written before isn't known")
    for name, what in ACTIONS.items():
        action = _command(commands, name, what)
        action.add_argument("path", metavar="PATH", help="of the child, e.g. workers/3")
        if name == "change":
            action.add_argument(
                "policy", metavar="POLICY", nargs="+", help="restart=TYPE, intensity=RESTARTS/SECONDS; then TREE"
            )
        else:
            action.add_argument("where", metavar="TREE", nargs="?", help=WHERE)
        action.add_argument("--as", dest="who", metavar="NAME", default="", help="who asks, as events say it")


def _command(commands: Commands, name: str, what: str, *, under: bool = False) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=what, epilog=STATUS, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="as the tree tells it, for programs")
    if under:
        parser.add_argument("--under", metavar="PATH", default="", help="only what is below this supervisor")
    return parser


def is_live(where: str | None) -> bool:
    """Whether it names a running tree rather than `MODULE:TREE`, which has a colon; a socket may have one, too."""
    if where is None or where.startswith(("http://", "https://")) or ":" not in where:
        return True
    try:
        return stat.S_ISSOCK(os.stat(where).st_mode)
    except OSError:
        return False


def count_of(text: str) -> int:
    """How many, as an option of a command says it."""
    try:
        count = int(text)
    except ValueError:
        count = 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"{text!r} isn't a number, 1 or more")
    return count


def policy_of(words: list[str]) -> tuple[dict[str, Any], str | None]:
    """`restart=… intensity=… [TREE]`: what to change, and the tree. Raises ValueError, with what is wrong."""
    change: dict[str, Any] = {}
    rest: list[str] = []
    for word in words:
        key, sign, value = word.partition("=")
        if sign and key.isidentifier():
            if key in change:
                raise ValueError(f"{key}= stands twice")
            change[key] = value
        else:
            rest.append(word)
    if not change:
        raise ValueError("say what to change, e.g. restart=transient or intensity=10/60")
    if len(rest) > 1:
        raise ValueError(f"{rest[1]!r} is one too many: there is one tree")
    return change, rest[0] if rest else None
